"""Checks a copy of a whole log (checkpoint, tiles, bundles of entries, as tlog-tiles lays them out) in a folder.

Standard library and cryptography alone. The entries decide: every tile is made again from them and compared.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from audit import checkpoint
from audit.checked import NOT_EXTENDED, Fault
from audit.checkpoint import NoteError
from audit.merkle import EMPTY_ROOT, Frontier
from audit.rotation import follow
from audit.tiles import WIDTH, TileError, entries_in, tile_name, tile_root

_KEYS = "handovers"


def check_whole(folder: Path, vkey: str, origin: str, since: Sequence[str], told: list[str]) -> None:
    """Everything in it. Fault names the first thing that does not hold; `told` gets what does."""
    notes = sorted((folder / _KEYS).glob("*")) if (folder / _KEYS).is_dir() else []
    try:
        trusted = follow(vkey, [note.read_text(encoding="utf-8") for note in notes])
        root = checkpoint.verify(_read(folder, "checkpoint").decode(), trusted, origin)
    except (NoteError, UnicodeDecodeError) as error:
        raise Fault(f"the checkpoint does not hold: {error}") from error
    told.append(f"the checkpoint of {root.size} entries is signed by the pinned key")
    wanted = {}
    for note in since:
        try:
            old = checkpoint.verify(note, trusted, origin)
        except NoteError as error:
            raise Fault(f"the checkpoint that you hold does not hold itself: {error}", NOT_EXTENDED) from error
        if old.size > root.size:
            raise Fault(f"you hold a checkpoint of {old.size} entries, and {root.size} are left", NOT_EXTENDED)
        wanted[old.size] = old.root
    before = time.perf_counter()
    found = _root(folder, root.size, origin.partition("/")[2], wanted)
    if found != root.root:
        raise Fault("the entries are not those that the checkpoint commits to")
    taken = time.perf_counter() - before
    told.append(f"{root.size} entries are those that it commits to ({root.size / max(taken, 1e-9):,.0f} a second)")
    if since:
        told.append(f"the log extends the {len(since)} checkpoints that you hold")


def _read(folder: Path, name: str) -> bytes:
    try:
        return folder.joinpath(*name.split("/")).read_bytes()
    except OSError as error:
        raise Fault(f"{name} is not in the copy of the log") from error


def _leaves(folder: Path, size: int, log: str) -> Iterator[list[bytes]]:
    """Leaf hashes, a tile's worth at a time, each compared with the tile that lies there."""
    for first in range(0, size, WIDTH):
        n, width = first // WIDTH, min(WIDTH, size - first)
        try:
            entries = entries_in(_read(folder, tile_name(None, n, width)))
        except TileError as error:
            raise Fault(f"{tile_name(None, n, width)}: {error}") from error
        if len(entries) != width:
            raise Fault(f"{tile_name(None, n, width)} has {len(entries)} entries instead of {width}")
        leaves = [sha256(b"\x00" + entry).digest() for entry in entries]
        if b"".join(leaves) != _read(folder, tile_name(0, n, width)):
            raise Fault(f"{tile_name(0, n, width)} is not the hashes of its entries")
        # One of each bundle is read: an entry of another log would hash as well as one of this.
        _belongs(entries[0], first, log)
        yield leaves


def _belongs(entry: bytes, index: int, log: str) -> None:
    try:
        told = json.loads(entry)["log"]
    except (ValueError, KeyError, TypeError) as error:
        raise Fault(f"entry {index} is no entry of a log") from error
    if told != log:
        raise Fault(f"entry {index} belongs to another log")


def _root(folder: Path, size: int, log: str, wanted: dict[int, bytes]) -> bytes:
    """The root over everything; at the sizes that are wanted it must be that."""
    frontier = Frontier()
    for leaves in _leaves(folder, size, log):
        inside = [old for old in wanted if frontier.size < old < frontier.size + len(leaves)]
        if inside or len(leaves) < WIDTH:
            for leaf in leaves:
                frontier.append(leaf)
                _compare(frontier, wanted)
        else:
            frontier.append_perfect(8, tile_root(leaves))
            _compare(frontier, wanted)
    return frontier.root() if size else EMPTY_ROOT


def _compare(frontier: Frontier, wanted: dict[int, bytes]) -> None:
    if frontier.size in wanted and wanted[frontier.size] != frontier.root():
        raise Fault(f"the first {frontier.size} entries are not those of the checkpoint that you hold", NOT_EXTENDED)
