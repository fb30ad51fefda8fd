"""Tiles and entry bundles of a log (C2SP tlog-tiles): their names, their making, and reading hashes out of them.

A tile of level L holds 256 hashes (8192 bytes), each the root of 256^L leaves; the last one of a level may be partial.
A bundle holds the entries of a tile of level 0: big-endian uint16 length and bytes each. Pure: what is written is
given out, what is read comes from a function; standard library alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from audit.merkle import EMPTY_ROOT, Frontier, node_hash

WIDTH: Final = 256
_HASH: Final = 32

Fetch = Callable[[str], bytes | None]
"""An object's bytes by its name below the log's prefix, or None when there is none."""


class TileError(Exception):
    """A tile or bundle that is missing, or of another form than it should be."""


def _number(n: int) -> str:
    """Groups of three digits, all but the last prefixed by x: 1234067 is x001/x234/067."""
    groups = [f"{n % 1000:03}"]
    while n := n // 1000:
        groups.append(f"x{n % 1000:03}")
    return "/".join(reversed(groups))


def tile_name(level: int | None, n: int, width: int = WIDTH) -> str:
    """`tile/<L>/<N>[.p/<W>]`; level None is the bundle of entries."""
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{'entries' if level is None else level}/{_number(n)}{partial}"


def parse_name(name: str) -> tuple[int | None, int, int]:
    """(level or None, N, width) of a tile's name. TileError for anything that `tile_name` would not write so."""
    kind, _, rest = name.removeprefix("tile/").partition("/")
    number, partial, width = rest.partition(".p/")
    digits = number.replace("/", "").replace("x", "")
    wide = width if partial else str(WIDTH)
    fits = len(digits) <= 18 and all(part.isascii() and part.isdigit() for part in (digits, wide))
    if fits and (kind == "entries" or (kind.isascii() and kind.isdigit() and len(kind) <= 2)):
        found = (None if kind == "entries" else int(kind)), int(digits), int(wide)
        if 1 <= found[2] <= WIDTH and tile_name(*found) == name and (found[0] or 0) < 64:
            return found
    raise TileError("not the name of a tile")


def edge_names(size: int) -> list[str]:
    """Names of the partial tiles and the partial bundle that a log of `size` entries ends with."""
    names = [tile_name(None, size // WIDTH, size % WIDTH)] if size % WIDTH else []
    level = 0
    while size:
        if size % WIDTH:
            names.append(tile_name(level, size // WIDTH, size % WIDTH))
        size, level = size // WIDTH, level + 1
    return names


def hashes_in(tile: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [tile[at : at + _HASH] for at in range(0, len(tile), _HASH)]


def entries_in(bundle: bytes) -> list[bytes]:
    """The entries of a bundle. TileError when it is cut short."""
    found, at, end = [], 0, len(bundle)
    while at < end:
        start = at + 2
        at = start + (bundle[at] << 8 | bundle[start - 1]) if start <= end else end + 1
        if at > end:
            raise TileError("a bundle of entries is cut short")
        found.append(bundle[start:at])
    return found


def cut(level: int | None, data: bytes, width: int) -> bytes:
    """The first `width` hashes or entries of a tile or bundle that has more. TileError when it has fewer."""
    if level is not None:
        if len(data) < width * _HASH:
            raise TileError("the tile is narrower than that")
        return data[: width * _HASH]
    entries = entries_in(data)
    if len(entries) < width:
        raise TileError("the bundle is shorter than that")
    return b"".join(map(_framed, entries[:width]))


def _framed(entry: bytes) -> bytes:
    return len(entry).to_bytes(2, "big") + entry


def tile_root(hashes: list[bytes]) -> bytes:
    """The root over a perfect number of hashes (1, 2, 4 … 256)."""
    while len(hashes) > 1:
        hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


class TileWriter:
    """Grows a log from its right edge: takes entries, gives out each tile and bundle as it is full, then the rest."""

    def __init__(self) -> None:
        self.size = 0
        self._levels: list[list[bytes]] = []
        self._bundle: list[bytes] = []

    @classmethod
    def at(cls, size: int, fetch: Fetch) -> TileWriter:
        """One that goes on after `size` entries. TileError when the partial tiles that it needs are not there."""
        made = cls()
        made.size = size
        left, level = size, 0
        while left:
            name = tile_name(level, left // WIDTH, left % WIDTH)
            made._levels.append(hashes_in(_exactly(fetch, name, left % WIDTH)) if left % WIDTH else [])
            left, level = left // WIDTH, level + 1
        if size % WIDTH:
            name = tile_name(None, size // WIDTH, size % WIDTH)
            data = fetch(name)
            if data is None or len(entries := entries_in(data)) != size % WIDTH:
                raise TileError(f"{name} is missing or damaged")
            made._bundle = entries
        return made

    def add(self, entry: bytes, leaf: bytes) -> Iterator[tuple[str, bytes]]:
        """One entry and its leaf hash; (name, bytes) of whatever became full with it."""
        self._bundle.append(entry)
        self.size += 1
        if len(self._bundle) == WIDTH:
            yield tile_name(None, self.size // WIDTH - 1), b"".join(map(_framed, self._bundle))
            self._bundle = []
        count, level, node = self.size, 0, leaf
        while True:
            if level == len(self._levels):
                self._levels.append([])
            held = self._levels[level]
            held.append(node)
            if len(held) < WIDTH:
                return
            count //= WIDTH
            yield tile_name(level, count - 1), b"".join(held)
            node, level = tile_root(held), level + 1
            held.clear()

    def edge(self) -> Iterator[tuple[str, bytes]]:
        """(name, bytes) of the partial tiles and bundle that it ends with now."""
        if self._bundle:
            yield tile_name(None, self.size // WIDTH, len(self._bundle)), b"".join(map(_framed, self._bundle))
        for level, held in enumerate(self._levels):
            if held:
                yield tile_name(level, self.size >> 8 * (level + 1), len(held)), b"".join(held)

    def root(self) -> bytes:
        """The tree's root."""
        hashes: list[bytes] = []
        for held in reversed(self._levels):
            range_of_level = Frontier()
            for node in held:
                range_of_level.append(node)
            hashes += range_of_level.hashes
        return Frontier(self.size, hashes).root() if self.size else EMPTY_ROOT


def _exactly(fetch: Fetch, name: str, width: int) -> bytes:
    data = fetch(name)
    if data is None or len(data) != width * _HASH:
        raise TileError(f"{name} is missing or damaged")
    return data


class TileReader:
    """Hashes and entries of a log of `size` entries, out of its tiles; what was read is kept for the next question."""

    def __init__(self, size: int, fetch: Fetch) -> None:
        self.size = size
        self._fetch = fetch
        self._tiles: dict[tuple[int | None, int], list[bytes]] = {}

    def _tile(self, level: int | None, n: int) -> list[bytes]:
        held = self._tiles.get((level, n))
        if held is not None:
            return held
        width = min(WIDTH, (self.size >> 8 * (level or 0)) - n * WIDTH)
        if width < 1:
            raise TileError(f"{tile_name(level, n)} is beyond a log of {self.size} entries")
        name = tile_name(level, n, width)
        if level is None:
            found = entries_in(self._fetch(name) or b"")
            if len(found) != width:
                raise TileError(f"{name} is missing or damaged")
        else:
            found = hashes_in(_exactly(self._fetch, name, width))
        self._tiles[level, n] = found
        return found

    def entry(self, index: int) -> bytes:
        """The bytes of one entry. TileError."""
        return self._tile(None, index // WIDTH)[index % WIDTH]

    def node(self, height: int, index: int) -> bytes:
        """The root of the perfect subtree over leaves [index·2^height, (index+1)·2^height). TileError."""
        level, within = divmod(height, 8)
        first = index << within
        n, at = divmod(first, WIDTH)
        return tile_root(self._tile(level, n)[at : at + (1 << within)])
