"""Appending to the log and reading it. An append commits in the caller's transaction, with the change it tells of."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from audit import canonical
from audit.clock import LogClock
from audit.events import MAX_ENTRY, Event, EventError
from audit.merkle import leaf_hash
from audit.sealing import FileKeyStore, KeyDestroyed, open_personal, seal_personal
from audit.tables import entries, payloads


class Erased(str):
    """What stands in place of a personal field whose key was destroyed: "(erased on 2026-11-25)"."""

    __slots__ = ()


ERASED: Final = Erased("(erased)")
# Built once: what it costs to build a statement is a good part of what a short one costs.
_ENTRIES: Final = insert(entries)
# Written out, not bound: only then does a database see that its partial index serves.
_CONFIRMED: Final = (
    select(entries)
    .where(
        entries.c.log_id == bindparam("of_log"),
        entries.c.kind == bindparam("of_kind", "addresses.confirmed", literal_execute=True),
    )
    .order_by(entries.c.seq)
)
_PAYLOADS: Final = insert(payloads)


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append gave: the event's random id and its time (Unix ms)."""

    event_id: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Row:
    """One entry as read: its bytes as hashed, and the same parsed ({} when they are no longer an entry).

    `index` is None until sequenced. `leaf` is the hash that was stored when it was appended.
    """

    log: str
    seq: int
    index: int | None
    entry: bytes
    body: dict[str, Any]
    leaf: bytes = b""


def parse_entry(entry: bytes) -> dict[str, Any]:
    """What an entry says; {} of bytes that are none, since a tampered log must still be readable to be judged."""
    try:
        body = json.loads(entry)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _row(r: Any) -> Row:
    return Row(r.log_id, r.seq, r.idx, r.entry, parse_entry(r.entry), r.leaf_hash)


class AuditLog:
    """Builds entries from events and writes them in the caller's transaction."""

    def __init__(self, keys: FileKeyStore, clock: LogClock) -> None:
        self.keys = keys
        self.clock = clock
        self.on_appended: Callable[[], None] = lambda: None

    async def append(self, connection: AsyncConnection, event: Event) -> Appended:
        """Append one event. EventError when it is too large; the database's own errors pass through."""
        (appended,) = await self.append_many(connection, (event,))
        return appended

    async def append_many(self, connection: AsyncConnection, events: Sequence[Event]) -> list[Appended]:
        """Append several in one statement, in order, in the caller's transaction."""
        appended: list[Appended] = []
        rows: list[dict[str, Any]] = []
        sealed_rows: list[dict[str, Any]] = []
        await self._prepare_keys(events)
        for event in events:
            event_id, now = "evt_" + secrets.token_hex(12), self.clock.now()
            commitments, sealed = seal_personal(self.keys, event.log, event_id, event.personal)
            entry = canonical.encode(event.body(event_id, now, commitments))
            if len(entry) > MAX_ENTRY:
                raise EventError(f"{event.kind}: an entry of {len(entry)} bytes is over {MAX_ENTRY}")
            rows.append(
                {
                    "log_id": event.log,
                    "event_id": event_id,
                    "kind": event.kind,
                    "time_ms": now,
                    "session_id": event.session,
                    "operation_id": event.operation,
                    "subject": event.subject,
                    "entry": entry,
                    "leaf_hash": leaf_hash(entry),
                }
            )
            sealed_rows.extend(
                {"log_id": event.log, "event_id": event_id, "key_id": key_id, "sealed": data} for key_id, data in sealed
            )
            appended.append(Appended(event_id, now))
        await connection.execute(_ENTRIES, rows)
        if sealed_rows:
            await connection.execute(_PAYLOADS, sealed_rows)
        self.on_appended()
        return appended

    async def _prepare_keys(self, events: Sequence[Event]) -> None:
        """Make the keys that are new, in a thread: a file and an fsync each, and the loop must not wait on a disk."""
        wanted = {(event.log, item.key_id) for event in events for item in event.personal}
        for log, key_id in wanted:
            if not self.keys.cached(log, key_id):
                await self.keys.off_the_loop(self.keys.living, log, key_id)

    async def _unwrapped(self, log: str, key_ids: set[str]) -> None:
        """Have keys at hand that a token has to be asked for, in a thread. What is missing shows when it is used."""
        if not self.keys.master.slow:
            return
        for key_id in key_ids:
            if not self.keys.cached(log, key_id):
                await self.keys.off_the_loop(self.keys.has, log, key_id)

    async def read(
        self,
        connection: AsyncConnection,
        log: str,
        *,
        session: str | None = None,
        operation: str | None = None,
        subject: str | None = None,
        kinds: Sequence[str] = (),
        from_ms: int | None = None,
        until_ms: int | None = None,
        after_seq: int = 0,
        limit: int = 1000,
    ) -> list[Row]:
        """Entries of one log in order of appending, from a cursor on; `until_ms` is exclusive."""
        query = select(entries).where(entries.c.log_id == log, entries.c.seq > after_seq)
        wanted = ((entries.c.session_id, session), (entries.c.operation_id, operation), (entries.c.subject, subject))
        for column, value in wanted:
            if value is not None:
                query = query.where(column == value)
        if kinds:
            query = query.where(entries.c.kind.in_(kinds))
        if from_ms is not None:
            query = query.where(entries.c.time_ms >= from_ms)
        if until_ms is not None:
            query = query.where(entries.c.time_ms < until_ms)
        found = await connection.execute(query.order_by(entries.c.seq).limit(limit))
        return [_row(r) for r in found]

    async def sizes(
        self, connection: AsyncConnection, log: str, sessions: Sequence[str], kinds: Sequence[str]
    ) -> dict[str, tuple[int, int]]:
        """(how many entries of these kinds, the newest one's cursor) of each of these sessions that has any."""
        query = (
            select(entries.c.session_id, func.count(), func.max(entries.c.seq))
            .where(entries.c.log_id == log, entries.c.session_id.in_(sessions), entries.c.kind.in_(kinds))
            .group_by(entries.c.session_id)
        )
        return {str(session): (int(n), int(seq)) for session, n, seq in await connection.execute(query)}

    async def confirmed(self, connection: AsyncConnection, log: str) -> list[Row]:
        """Every confirmation of addresses, in order of appending: by an index of their own, however long the log is."""
        found = await connection.execute(_CONFIRMED, {"of_log": log})
        return [_row(r) for r in found]

    async def personal(self, connection: AsyncConnection, row: Row) -> dict[str, Any]:
        """The row's personal fields in clear; an erased one reads "(erased)". SealingError when one is false."""
        fields, _ = await self.personal_of(connection, row)
        return fields

    async def personal_of(self, connection: AsyncConnection, row: Row) -> tuple[dict[str, Any], frozenset[str]]:
        """The same, and the keys that were destroyed under this event: they explain what is missing."""
        commitments: dict[str, str] = row.body.get("commit", {})
        if not commitments:
            return {}, frozenset()
        event_id = str(row.body["id"])
        opened: dict[str, Any] = {}
        destroyed: dict[str, str] = {}
        where = (payloads.c.log_id == row.log) & (payloads.c.event_id == event_id)
        sealed = list(await connection.execute(select(payloads).where(where)))
        await self._unwrapped(row.log, {found.key_id for found in sealed})
        for found in sealed:
            try:
                opened |= open_personal(self.keys, row.log, event_id, found.key_id, found.sealed, commitments)
            except KeyDestroyed as error:
                destroyed[found.key_id] = error.day
        day = max(destroyed.values(), default="")
        gone = Erased(f"(erased on {day})") if day else ERASED
        return {name: opened.get(name, gone) for name in commitments}, frozenset(destroyed)


async def all_entries(connection: AsyncConnection, log: str, page: int = 1000) -> AsyncIterator[Row]:
    """Every sequenced entry of a log, by index, in pages, so that memory stays flat."""
    following = 0
    while True:
        query = (
            select(entries)
            .where(entries.c.log_id == log, entries.c.idx >= following)
            .order_by(entries.c.idx)
            .limit(page)
        )
        found = (await connection.execute(query)).all()
        for r in found:
            yield _row(r)
        if len(found) < page:
            return
        following = found[-1].idx + 1
