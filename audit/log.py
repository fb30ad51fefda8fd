"""Appending to the log and reading it. An append commits in the caller's transaction, with the change it tells of."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import String, bindparam, column, func, select, values
from sqlalchemy.ext.asyncio import AsyncConnection

from audit import finding
from audit.clock import LogClock
from audit.entry import entry
from audit.events import MAX_ENTRY, Event, EventError
from audit.merkle import leaf_hash
from audit.sealing import FileKeyStore, KeyDestroyed, MasterKeyAway, SealingError, open_personal, seal_personal
from audit.tables import entries, payloads


class Erased(str):
    """What stands in place of a personal field whose key was destroyed: "(erased on 2026-11-25)"."""

    __slots__ = ()


ERASED: Final = Erased("(erased)")
# Written out, not bound: only then does a database see that its partial index serves.
_CONFIRMED: Final = (
    select(entries)
    .where(
        entries.c.log_id == bindparam("of_log"),
        entries.c.kind == bindparam("of_kind", "addresses.confirmed", literal_execute=True),
    )
    .order_by(entries.c.seq)
)
_COLUMNS: Final = ("log_id", "event_id", "kind", "time_ms", "entry", "leaf_hash", "ticket", *finding.COLUMNS)
_PAYLOAD: Final = ("log_id", "event_id", "key_id", "sealed")
_KNOWN_BY: Final = ("log_id", "word", "subject")
_RANDOM: Final = 13
"""Hex digits of an event's id that are random, after eleven that are its time: what is new then stands beside what was
written last in every index of ids, and an append changes a few pages instead of one an event."""
_AHEAD: Final = 64
"""Entries that are handed to a driver that can put them off, before those after them are written."""
_TOGETHER: Final = 500
"""Entries whose sealed fields are asked for in one statement."""


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
    found_by: tuple[Any, ...] = ()
    """What the columns beside the bytes say (audit/finding.py), of a row that was read to be judged."""


def parse_entry(entry: bytes) -> dict[str, Any]:
    """What an entry says; {} of bytes that are none, since a tampered log must still be readable to be judged."""
    try:
        body = json.loads(entry)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _plain(r: Any) -> tuple[str, int, int | None, bytes, dict[str, Any], bytes]:
    return r.log_id, r.seq, r.idx, r.entry, parse_entry(r.entry), r.leaf_hash


def _row(r: Any) -> Row:
    return Row(*_plain(r))


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
        """Append several, in order, in the caller's transaction, which is to be undone when this fails."""
        await self._prepare_keys(events)
        put_off = _put_off(connection)
        # One time for all: they commit together. Random bytes are asked of the system once.
        now, chance = self.clock.now(), secrets.token_hex((_RANDOM * len(events) + 1) // 2)
        appended: list[Appended] = []
        rows: list[tuple[Any, ...]] = []
        sealed_rows: list[tuple[Any, ...]] = []
        words: dict[tuple[str, str, str], None] = {}
        for number, event in enumerate(events):
            event_id = f"evt_{now:011x}{chance[_RANDOM * number : _RANDOM * (number + 1)]}"
            commitments, sealed = seal_personal(self.keys, event.log, event_id, event.personal)
            written = entry(event, event_id, now, commitments)
            if len(written) > MAX_ENTRY:
                raise EventError(f"{event.kind}: an entry of {len(written)} bytes is over {MAX_ENTRY}")
            ticket = finding.ticket(event) if event.personal else None
            keyed = None if ticket is None else self.keys.keyed(event.log, "ticket", ticket)
            found_by = finding.columns(event)
            rows.append((event.log, event_id, event.kind, now, written, leaf_hash(written), keyed, *found_by))
            for key_id, data in sealed:
                sealed_rows.append((event.log, event_id, key_id, data))
            for word in finding.words(event) if event.personal else ():
                words[event.log, self.keys.keyed(event.log, "word", word), str(event.subject)] = None
            appended.append(Appended(event_id, now))
            if put_off is not None and len(rows) == _AHEAD:
                # The database is at work on these while the next are written and sealed.
                put_off(_statement("qmark", "entries", _COLUMNS, ""), rows)
                rows = []
        await _insert(connection, "entries", _COLUMNS, rows)
        await _insert(connection, "payloads", _PAYLOAD, sealed_rows)
        # In one order for everybody: on PostgreSQL two that tell of the same person wait, one for the other alone.
        await _insert(connection, "known_by", _KNOWN_BY, sorted(words), " ON CONFLICT DO NOTHING")
        self.on_appended()
        return appended

    async def _prepare_keys(self, events: Sequence[Event]) -> None:
        """Make the keys that are new, in a thread: a file and an fsync each, and the loop must not wait on a disk."""
        wanted = {(event.log, item.key_id) for event in events for item in event.personal}
        for log, key_id in wanted:
            if not self.keys.cached(log, key_id):
                await self.keys.off_the_loop(self.keys.living, log, key_id)

    async def keys_ahead(self, log: str, key_ids: Iterable[str]) -> None:
        """Have keys at hand that will be wanted soon, made together where they are new. What cannot be made is made,
        or missed, when it is wanted."""
        with suppress(SealingError, MasterKeyAway):
            await self.keys.off_the_loop(self.keys.make_ready, log, tuple(key_ids))

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
        for place, value in wanted:
            if value is not None:
                query = query.where(place == value)
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
        if not row.body.get("commit"):
            return {}, frozenset()
        where = (payloads.c.log_id == row.log) & (payloads.c.event_id == str(row.body["id"]))
        sealed = (await connection.execute(select(payloads).where(where))).all()
        await self._unwrapped(row.log, {found.key_id for found in sealed})
        return self.open(row, sealed)

    async def personal_of_many(self, connection: AsyncConnection, rows: Sequence[Row]) -> list[dict[str, Any] | None]:
        """Personal fields in clear of each; None of a row of which something sealed is false."""
        sealed = await self.sealed_of(connection, rows)
        # In a thread: each visit's key is a file, and a token may have to be asked for it.
        return await self.keys.off_the_loop(lambda: [self._clear(row, sealed) for row in rows])

    async def sealed_of(self, connection: AsyncConnection, rows: Sequence[Row]) -> dict[tuple[str, str], list[Any]]:
        """What is sealed of these rows, by log and event: some hundreds in one statement."""
        wanted = [(row.log, str(row.body.get("id"))) for row in rows if row.body.get("commit")]
        sealed: dict[tuple[str, str], list[Any]] = {}
        for at in range(0, len(wanted), _TOGETHER):
            # Joined, not `in`: for pairs that are `in` a list SQLite reads the whole table.
            some = values(column("log", String), column("event", String), name="wanted")
            these = some.data(wanted[at : at + _TOGETHER]).cte("wanted")
            joined = (payloads.c.log_id == these.c.log) & (payloads.c.event_id == these.c.event)
            for found in await connection.execute(select(payloads).join_from(these, payloads, joined)):
                sealed.setdefault((found.log_id, found.event_id), []).append(found)
        return sealed

    def _clear(self, row: Row, sealed: Mapping[tuple[str, str], Sequence[Any]]) -> dict[str, Any] | None:
        try:
            return self.open(row, sealed.get((row.log, str(row.body.get("id"))), ()))[0]
        except (SealingError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def open(self, row: Row, found: Sequence[Any]) -> tuple[dict[str, Any], frozenset[str]]:
        """As `personal_of`, of what `sealed_of` found of a row."""
        commitments: dict[str, str] = row.body.get("commit", {})
        if not commitments:
            return {}, frozenset()
        event_id = str(row.body["id"])
        opened: dict[str, Any] = {}
        destroyed: dict[str, str] = {}
        for one in found:
            try:
                opened |= open_personal(self.keys, row.log, event_id, one.key_id, one.sealed, commitments)
            except KeyDestroyed as error:
                destroyed[one.key_id] = error.day
        day = max(destroyed.values(), default="")
        gone = Erased(f"(erased on {day})") if day else ERASED
        return {name: opened.get(name, gone) for name in commitments}, frozenset(destroyed)


def _put_off(connection: AsyncConnection) -> Callable[[str, list[tuple[Any, ...]]], None] | None:
    """What a driver has that can put an insert off; None without it."""
    opened = connection.sync_connection if connection.in_transaction() else None
    return None if opened is None else getattr(opened.connection.driver_connection, "put_off", None)


async def _insert(
    connection: AsyncConnection, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]], then: str = ""
) -> None:
    """Insert rows as the driver takes them: what SQLAlchemy makes of each is more work than all the rest of it.

    A driver that can put an insert off (gateway/store/sqlite.py) is told directly: it raises what is wrong with it at
    the transaction's next statement or its COMMIT.
    """
    if not rows:
        return
    sql = _statement(connection.dialect.paramstyle, table, tuple(columns), then)
    if (put_off := _put_off(connection)) is not None:
        put_off(sql, rows)
    else:
        await connection.exec_driver_sql(sql, rows[0] if len(rows) == 1 else rows)


@cache
def _statement(style: str, table: str, columns: tuple[str, ...], then: str) -> str:
    marks = ", ".join(["?" if style == "qmark" else "%s"] * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}){then}"  # noqa: S608 - names of ours alone


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
            yield Row(*_plain(r), (r.kind, r.time_ms, *(getattr(r, name) for name in finding.COLUMNS)))
        if len(found) < page:
            return
        following = found[-1].idx + 1
