"""Going on after a database was set back: what is lost is said, logged, and stays visible.

A checkpoint that the object store holds and the database cannot reach is never overwritten as if it had not been.
Steps, each safe to be cut short and done again: 1 the old note is kept as `log/<log>/abandoned/<size>-<root>`,
2 the log gets a `log.restored` that names its size and root, 3 the sequencer publishes over it. Whoever holds the
old note (a customer, from the mail after a visit) sees that this log does not extend it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from audit import checkpoint
from audit.checkpoint import Checkpoint
from audit.events import Event
from audit.log import AuditLog, parse_entry
from audit.storage import Objects
from audit.tables import entries

KIND = "log.restored"


@dataclass(frozen=True, slots=True)
class Loss:
    """What the object store's checkpoint of one log commits to and the database does not have.

    `size` is the database's, `last_ms` (Unix ms) the time of its last entry, 0 when it has none. `lost` is 0 when
    the entries are here and only wait for their index: then nothing is lost, and the log catches up.
    """

    log: str
    size: int
    held: Checkpoint
    note: str
    last_ms: int
    lost: int

    def __str__(self) -> str:
        since = "" if not self.last_ms else f", written after {_day(self.last_ms)}"
        which = span(self.size, self.held.size)
        return f"log {self.log}: entries {which} ({self.lost} of {self.held.size} entries{since})"


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(first: int, size: int) -> str:
    """Indexes from `first` to the last of `size` entries, as people read them."""
    return str(first) if size - first == 1 else f"{first} to {size - 1}"


def abandoned_name(log: str, held: Checkpoint) -> str:
    """Where an abandoned checkpoint of a log is kept."""
    return f"log/{log}/abandoned/{held.size}-{held.root.hex()[:16]}"


def is_abandoned(objects: Objects, log: str, note: bytes) -> bool:
    """True when exactly this note was kept as abandoned. StorageError when the store cannot be read."""
    return objects.get(abandoned_name(log, checkpoint.parse(note.decode()))) == note


async def told(connection: AsyncConnection, log: str) -> set[tuple[int, str]]:
    """(size, root in hex) of every checkpoint that this log says it left behind."""
    query = select(entries.c.entry).where(entries.c.log_id == log, entries.c.kind == KIND)
    return {_names(parse_entry(entry)) for entry in (await connection.execute(query)).scalars()}


def _names(body: Mapping[str, Any]) -> tuple[int, str]:
    data = body.get("data", {})
    return int(data.get("checkpoint_size", -1)), str(data.get("root", ""))


def _kept(objects: Objects, log: str) -> Iterator[str]:
    for name in objects.list(f"log/{log}/abandoned"):
        yield (objects.get(name) or b"").decode(errors="replace")


async def accept(connection: AsyncConnection, audit: AuditLog, objects: Objects, loss: Loss, actor: str) -> None:
    """Steps 1 and 2, in the caller's transaction on `loss.log`.

    Abandoned notes of earlier losses, of which the entries that told were lost this time, are told again.
    """
    objects.put_new(abandoned_name(loss.log, loss.held), loss.note.encode())
    known = await told(connection, loss.log)
    for note in _kept(objects, loss.log):
        held = checkpoint.parse(note)
        if (held.size, held.root.hex()) not in known:
            data = {
                "size": loss.size, "lost": max(0, held.size - loss.size), "checkpoint_size": held.size,
                "root": held.root.hex(),
            }  # fmt: skip
            await audit.append(connection, Event(KIND, loss.log, actor, data=data))


@dataclass(slots=True)
class Judged:
    """What a verifier says of a log's restorations: plain words, and faults as (index or None, words)."""

    told: list[str] = field(default_factory=list)
    faults: list[tuple[int | None, str]] = field(default_factory=list)


def judge(
    log: str,
    origin: str,
    vkey: str | Sequence[str],
    restored: Sequence[tuple[int, Mapping[str, Any]]],
    outside: Mapping[str, bytes],
) -> Judged:
    """Compare what the log tells (`restored`: index and body of each `log.restored`) with the notes that were kept.

    `outside` is every object under `log/` by its name.
    """
    found = Judged()
    kept: set[tuple[int, str]] = set()
    for name, data in sorted(outside.items()):
        if name.startswith(f"log/{log}/abandoned/"):
            try:
                held = checkpoint.verify(data.decode(errors="replace"), vkey, origin)
            except checkpoint.NoteError as error:
                found.faults.append((None, f"an abandoned checkpoint does not hold: {error}"))
            else:
                kept.add((held.size, held.root.hex()))
    names = set()
    for index, body in restored:
        size, root = _names(body)
        names.add((size, root))
        data = body["data"]
        if size < 0:
            words = f"restored from a backup on {_day(body['time'])} (entry {index})"
        else:
            words = (
                f"restored on {_day(body['time'])} (entry {index}): {data['lost']} entries lost, "
                f"{span(data['size'], size)} of those that a signed checkpoint of {size} commits to"
            )
            if (size, root) not in kept:
                found.faults.append((index, f"it tells of an abandoned checkpoint of {size} entries that is gone"))
        found.told.append(f"log {log}: {words}")
    for size, _ in sorted(kept - names):
        found.faults.append((None, f"a checkpoint of {size} entries was abandoned and the log does not tell of it"))
    return found
