"""Checks a copy of a whole log (checkpoint, tiles, bundles of entries, as tlog-tiles lays them out) in a folder.

Standard library and cryptography alone. The entries decide: every tile is made again from them and compared. Changes of
the signing key lie beside it, in a file `handovers` as they are served, or in a folder of that name as they are stored.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from audit import checkpoint
from audit.checked import NOT_EXTENDED, Fault
from audit.checkpoint import NoteError
from audit.merkle import EMPTY_ROOT, Frontier
from audit.rotation import follow, lineage
from audit.tiles import WIDTH, TileError, entries_in, tile_name, tile_root

_KEYS = "handovers"
_NOTE = re.compile(r"^frameroom log key handover v1\n(?:[^\n]+\n)+\n(?:— [^\n]+\n)+", re.MULTILINE)

_REST = re.compile(rb'(?:,"[a-z]+":(?:"[^"\\]*"|\d+))+}')
"""What follows a log's name in an entry: ids, time and version, up to its end. A name that another entry has within
itself, in a list or an object, is followed by the end of that."""


def check_whole(folder: Path, vkey: str, origin: str, since: Sequence[str], told: list[str]) -> None:
    """Everything in it. Fault names the first thing that does not hold; `told` gets what does."""
    try:
        notes = _handovers(folder / _KEYS)
        trusted = follow(vkey, notes)
        root = checkpoint.verify(_read(folder, "checkpoint").decode(), trusted, origin)
    except (NoteError, UnicodeDecodeError) as error:
        raise Fault(f"the checkpoint does not hold: {error}") from error
    after = f", after {len(trusted) - 1} handovers" if len(trusted) > 1 else ""
    told.append(f"the checkpoint of {root.size} entries is signed by the pinned key{after}")
    # Whoever pinned a newer key still holds checkpoints by those before it: each handover is signed by both.
    known = [*trusted, *lineage(vkey, notes)]
    wanted: dict[int, bytes] = {}
    for note in since:
        try:
            old = checkpoint.verify(note, known, origin)
        except NoteError as error:
            raise Fault(f"the checkpoint that you hold does not hold itself: {error}", NOT_EXTENDED) from error
        if old.size > root.size:
            raise Fault(f"you hold a checkpoint of {old.size} entries, and {root.size} are left", NOT_EXTENDED)
        if wanted.setdefault(old.size, old.root) != old.root:
            raise Fault(f"you hold two checkpoints of {old.size} entries that are not of one log", NOT_EXTENDED)
    before = time.perf_counter()
    found = _root(folder, root.size, origin.partition("/")[2], wanted)
    if found != root.root:
        raise Fault("the entries are not those that the checkpoint commits to")
    taken = time.perf_counter() - before
    told.append(f"{root.size} entries are those that it commits to ({root.size / max(taken, 1e-9):,.0f} a second)")
    if since:
        told.append(f"the log extends the {len(since)} checkpoints that you hold")


def _handovers(path: Path) -> list[str]:
    if path.is_dir():
        return [note.read_text(encoding="utf-8") for note in sorted(path.glob("*"))]
    return _NOTE.findall(path.read_text(encoding="utf-8")) if path.is_file() else []


def _read(folder: Path, name: str) -> bytes:
    try:
        return folder.joinpath(*name.split("/")).read_bytes()
    except OSError as error:
        raise Fault(f"{name} is not in the copy of the log") from error


def _leaves(folder: Path, size: int, log: str) -> Iterator[list[bytes]]:
    """Leaf hashes, a tile's worth at a time, each compared with the tile that lies there."""
    mark = f'"log":{json.dumps(log)}'.encode()
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
        # An entry of another log would hash as well as one of this. One of each bundle is parsed, for that costs time.
        _belongs(entries[0], first, log)
        for index, entry in enumerate(entries, first):
            named = entry.rfind(mark)
            if named < 0 or not _REST.fullmatch(entry, named + len(mark)):
                _belongs(entry, index, log)
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
    frontier, above = Frontier(), _Above(folder)
    for leaves in _leaves(folder, size, log):
        inside = [old for old in wanted if frontier.size < old < frontier.size + len(leaves)]
        if len(leaves) == WIDTH:
            above.add(tile_root(leaves))
        if inside or len(leaves) < WIDTH:
            for leaf in leaves:
                frontier.append(leaf)
                _compare(frontier, wanted)
        else:
            frontier.append_perfect(8, tile_root(leaves))
            _compare(frontier, wanted)
    above.finish()
    return frontier.root() if size else EMPTY_ROOT


class _Above:
    """The tiles above the lowest level: made again, and compared with those that lie there. One that was not copied
    is no fault, for it follows from the others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._levels: list[list[bytes]] = []
        self._full: list[int] = []

    def add(self, node: bytes) -> None:
        """The root of one more full tile of the lowest level."""
        for level in range(len(self._levels) + 1):
            if level == len(self._levels):
                self._levels.append([])
                self._full.append(0)
            held = self._levels[level]
            held.append(node)
            if len(held) < WIDTH:
                return
            self._compare(level)
            node = tile_root(held)
            self._full[level] += 1
            held.clear()

    def finish(self) -> None:
        """The partial ones at the right edge."""
        for level, held in enumerate(self._levels):
            if held:
                self._compare(level)

    def _compare(self, level: int) -> None:
        held = self._levels[level]
        name = tile_name(level + 1, self._full[level], len(held))
        if self._folder.joinpath(*name.split("/")).is_file() and _read(self._folder, name) != b"".join(held):
            raise Fault(f"{name} is not the hashes of the tiles below it")


def _compare(frontier: Frontier, wanted: dict[int, bytes]) -> None:
    if frontier.size in wanted and wanted[frontier.size] != frontier.root():
        raise Fault(f"the first {frontier.size} entries are not those of the checkpoint that you hold", NOT_EXTENDED)
