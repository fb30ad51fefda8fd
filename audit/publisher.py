"""Putting a signed log where others can read it: first its tiles and bundles, then its checkpoint; never the reverse.

Steps, each safe to be cut short and done again: 1 the right edge of what is published is read and checked against
the published checkpoint, 2 tiles and bundles from there to the new size are made durable, 3 their root is compared
with the one that was signed, 4 the checkpoint is swapped in, 5 partial tiles that nobody needs any more are removed.
A tile's bytes follow from the log alone, so that two nodes, or a restart, write the same.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from audit import checkpoint
from audit.checkpoint import Checkpoint
from audit.merkle import EMPTY_ROOT, leaf_hash
from audit.restored import is_abandoned
from audit.steps import Step, Steps
from audit.storage import Objects
from audit.tables import entries
from audit.tiles import WIDTH, Fetch, TileError, TileWriter, cut, edge_names, parse_name, tile_name

_PAGE: Final = 2_000
_AT_ONCE: Final = 64
_REMEMBERED: Final = 32
"""Logs whose right edge is kept in memory; of any other it is read again."""


class LogForked(Exception):
    """The database no longer has what a checkpoint was signed over: publishing would fork the log."""


def prefix(log: str) -> str:
    """Below what name the log's objects lie."""
    return f"log/{log}"


def object_name(log: str) -> str:
    """Where a log's newest checkpoint lies."""
    return f"{prefix(log)}/checkpoint"


def note_names(objects: Objects) -> Iterator[str]:
    """Names of every log's published checkpoint and of those that were left behind; not of its tiles."""
    for log in objects.folders("log"):
        if objects.get(object_name(log)) is not None:
            yield object_name(log)
        yield from objects.list(f"{prefix(log)}/abandoned")


def fetcher(objects: Objects, log: str) -> Fetch:
    """Reads a log's tiles and bundles."""
    return lambda name: objects.get(f"{prefix(log)}/{name}")


def tile_of(objects: Objects, log: str, level: int | None, n: int, width: int) -> bytes | None:
    """A tile or bundle as it is asked for; a partial one that is gone is cut out of the wider one that replaced it."""
    fetch = fetcher(objects, log)
    # Twice: it may be replaced between two looks.
    for _ in range(2):
        if (data := fetch(tile_name(level, n, width))) is not None:
            return data
        note = objects.get(object_name(log))
        size = checkpoint.parse(note.decode()).size if note is not None else 0
        wider = min(WIDTH, (size >> 8 * (level or 0)) - n * WIDTH)
        if wider > width and (data := fetch(tile_name(level, n, wider))) is not None:
            return cut(level, data, width)
    return None


class Publisher:
    """Publishes what the sequencer signed. `steps` is for tests that stop it at a moment."""

    def __init__(self, objects: Objects, steps: Steps | None = None) -> None:
        self._objects, self.steps = objects, steps or Steps()
        self._edges: OrderedDict[str, TileWriter] = OrderedDict()

    async def publish(self, connection: AsyncConnection, log: str, note: str) -> None:
        """Publish the checkpoint of `log` in `note`, whose entries are read from `connection`'s database.

        Nothing when one as new is published, with its tiles. StorageError when the store says no: then it can be
        tried again. LogForked when the database does not have what was signed.
        """
        signed = checkpoint.parse(note)
        raw, held = await asyncio.to_thread(self._published, log)
        if held.size > signed.size:
            return
        # Taken out: after anything that goes wrong below, the next call reads what is there. Where that very checkpoint
        # is published, all there is to do is to look whether its tiles are there too.
        writer = self._edges.pop(log, None)
        published = raw == note.encode()
        if published or writer is None or writer.size != held.size or writer.root() != held.root:
            writer = await asyncio.to_thread(self._edge, log, held)
        if published and writer.size == signed.size:
            return
        made: list[tuple[str, bytes]] = []
        async for entry in _sequenced(connection, log, writer.size, signed.size):
            made += writer.add(entry, leaf_hash(entry))
            if len(made) >= _AT_ONCE:
                await asyncio.to_thread(self._store, log, made, held.size)
                made = []
        made += writer.edge()
        await asyncio.to_thread(self._store, log, made, held.size)
        if (writer.size, writer.root()) != (signed.size, signed.root):
            raise LogForked(
                f"log {log}: the database does not have the {signed.size} entries that its own checkpoint commits to, "
                "or not those that are published. Going on would fork it: put back the database as it was."
            )
        await self.steps.reached(Step.TILED)
        await asyncio.to_thread(self._swap, log, note)
        await self.steps.reached(Step.PUBLISHED)
        await asyncio.to_thread(self._tidy, log, held.size, signed.size)
        self._remember(log, writer)

    def _remember(self, log: str, writer: TileWriter) -> None:
        """The next checkpoint of a log mostly goes on from our own last one: then nothing need be read."""
        self._edges[log] = writer
        if len(self._edges) > _REMEMBERED:
            self._edges.popitem(last=False)

    def _published(self, log: str) -> tuple[bytes, Checkpoint]:
        """What stands there; an empty log where nothing does, or only what was left behind."""
        raw = self._objects.get(object_name(log))
        if raw is None or is_abandoned(self._objects, log, raw):
            return b"", Checkpoint("", 0, EMPTY_ROOT)
        return raw, checkpoint.parse(raw.decode())

    def _edge(self, log: str, held: Checkpoint) -> TileWriter:
        """Step 1. From the beginning where the tiles are not those of the checkpoint: they can be made again."""
        try:
            writer = TileWriter.at(held.size, fetcher(self._objects, log))
        except TileError:
            return TileWriter()
        return writer if writer.root() == held.root else TileWriter()

    def _store(self, log: str, made: list[tuple[str, bytes]], published: int) -> None:
        for name, data in made:
            full = f"{prefix(log)}/{name}"
            # What is there already was written by another node or before a crash, or belongs to a log left behind.
            if self._objects.put_new(full, data) or self._objects.get(full) == data:
                continue
            level, n, width = parse_name(name)
            if (n * WIDTH + width) << 8 * (level or 0) <= published:
                raise LogForked(
                    f"log {log}: {name}, which is published, is not what the database says. Going on could fork it: "
                    "`frameroom audit verify` says which of the two was altered."
                )
            self._objects.put(full, data)

    def _swap(self, log: str, note: str) -> None:
        """Step 4, by compare-and-swap, so that two nodes never set a checkpoint back.

        Only one that was kept as abandoned (audit/restored.py) gives way to a smaller one.
        """
        size = checkpoint.parse(note).size

        def newer(held: bytes | None) -> bytes | None:
            if held is None or checkpoint.parse(held.decode()).size < size or is_abandoned(self._objects, log, held):
                return note.encode()
            return None

        self._objects.update(object_name(log), newer)

    def _tidy(self, log: str, old: int, new: int) -> None:
        """Whoever still reads by an older checkpoint cuts the partial tile out of a wider one (tlog-tiles)."""
        for name in set(edge_names(old)) - set(edge_names(new)):
            self._objects.remove(f"{prefix(log)}/{name}")


_ENTRIES: Final = (  # built once: a busy gateway asks it several times a second
    select(entries.c.entry)
    .where(
        entries.c.log_id == bindparam("of_log"),
        entries.c.idx >= bindparam("first", type_=BigInteger),
        entries.c.idx < bindparam("end", type_=BigInteger),
    )
    .order_by(entries.c.idx)
)


async def _sequenced(connection: AsyncConnection, log: str, first: int, size: int) -> AsyncIterator[bytes]:
    """The bytes of entries [first, size), in pages, so that memory stays flat."""
    while first < size:
        values = {"of_log": log, "first": first, "end": min(size, first + _PAGE)}
        found: Any = (await connection.execute(_ENTRIES, values)).scalars().all()
        for entry in found:
            yield entry
        first += _PAGE
