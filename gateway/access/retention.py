"""How long records are kept: the contract and so many months after, never less than the law wants, never while held.

A record may go when both are over: the contract's end plus the months agreed for its kind, and, for access logs, 13
months from the record itself. Without an end of the contract, or without months for a kind, nothing of it goes.
What goes says so in the log (`retention.deleted`, with the keys and visits concerned) and in the ledger, in one
transaction, before it goes; what could not go (a locked object) stays in the ledger as scheduled and is tried again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Table, delete, func, insert, select, update

from audit.events import Event
from audit.log import AuditLog, parse_entry
from audit.sealing import KeyMissing
from audit.storage import Objects, StorageError
from audit.tables import entries, known_by, payloads
from gateway.access.blanking import blank_rows
from gateway.access.kept import holds_over
from gateway.access.proposals import HOLD
from gateway.access.subjects import Subject, Subjects
from gateway.choices import FLOOR_MONTHS
from gateway.choices import RecordKind as RecordKind
from gateway.errors import InvalidError
from gateway.lifecycle import ProposalState, SessionState
from gateway.model import new_id
from gateway.store.duties import contracts, ledger, proposals, retention_terms
from gateway.store.engine import Scope, Store
from gateway.store.tables import approvers, contacts, customers, notes, sessions

_PART: Final = 300
"""Visits or keys that one entry names: it stays far below the largest entry."""
_ACCESS: Final = (
    "session.", "operation.", "request.", "grant.", "consent.", "approval.", "secret.", "looked.", "auth.", "notice.",
    "login.", "visit.",
)  # fmt: skip


def add_months(at_ms: int, months: int) -> int:
    """The same day so many calendar months later or, where there is none, that month's last day (Unix ms, UTC)."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    count = at.year * 12 + at.month - 1 + months
    year, month = divmod(count, 12)
    for day in (at.day, 30, 29, 28):
        try:
            return int(at.replace(year=year, month=month + 1, day=day).timestamp() * 1000)
        except ValueError:
            continue
    raise InvalidError("that is no period")


@dataclass(slots=True)
class Due:
    """What of one kind may go now: ids of visits, persons or notes, keys of payloads; over which time (Unix ms)."""

    kind: RecordKind
    why: str
    ids: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    count: int = 0
    from_ms: int = 0
    until_ms: int = 0
    held: list[str] = field(default_factory=list)
    """What would go but for a legal hold."""


class Retention:
    """Sets periods, says what is due, deletes it."""

    def __init__(self, store: Store, audit: AuditLog, objects: Objects, subjects: Subjects) -> None:
        self._store, self._audit, self._objects, self._subjects = store, audit, objects, subjects

    # --- what is agreed ---

    async def set(self, actor: str, customer: str, kind: RecordKind, months: int) -> None:
        """So many months after the contract's end. InvalidError for a period below the statutory floor."""
        if not 0 <= months <= 1200:
            raise InvalidError("a period has from 0 to 1200 months")
        if kind is RecordKind.ACCESS_LOG and months < FLOOR_MONTHS:
            raise InvalidError(f"access logs are kept at least {FLOOR_MONTHS} months", next_step="Nothing was changed.")
        async with self._store.scope(customer) as scope:
            here = (retention_terms.c.customer_id == customer) & (retention_terms.c.kind == kind.value)
            await scope.execute(delete(retention_terms).where(here))
            values = {"customer_id": customer, "id": new_id("ret"), "kind": kind.value, "months": months}
            await scope.execute(insert(retention_terms).values(**values))
            await self._log(scope, "retention.set", actor, {"months": {kind.value: months}})

    async def set_contract(self, actor: str, customer: str, ends_ms: int | None) -> None:
        """When the contract ends or ended; None while it runs on."""
        async with self._store.scope(customer) as scope:
            await scope.execute(delete(contracts).where(contracts.c.customer_id == customer))
            values = {"customer_id": customer, "id": new_id("ctr"), "ends_ms": ends_ms, "set_by": actor}
            await scope.execute(insert(contracts).values(**values))
            await self._log(scope, "retention.set", actor, {"contract_ends_ms": ends_ms})

    async def agreed(self, scope: Scope) -> tuple[int | None, dict[RecordKind, int]]:
        """The contract's end (Unix ms), and months by kind."""
        ends = select(contracts.c.ends_ms).where(contracts.c.customer_id == scope.customer_id)
        terms = select(retention_terms).where(retention_terms.c.customer_id == scope.customer_id)
        months = {RecordKind(row.kind): int(row.months) for row in await scope.execute(terms)}
        return (await scope.execute(ends)).scalar_one_or_none(), months

    async def _log(self, scope: Scope, kind: str, actor: str, data: dict[str, Any]) -> str:
        event = Event(kind, scope.customer_id, actor, data=data)
        return (await self._audit.append(scope.connection, event)).event_id

    # --- what is due ---

    async def due(self, customer: str) -> list[Due]:
        """What may go now, kind by kind, and what a hold keeps. Changes nothing."""
        now = self._audit.clock.now()
        async with self._store.look(customer) as scope:
            ends, months = await self.agreed(scope)
            if ends is None:
                return []
            held = await _held(scope)
            found = []
            for kind in RecordKind:
                if kind not in months or add_months(ends, months[kind]) > now:
                    continue
                why = f"the contract ended {_day(ends)}; {months[kind]} months after it are over"
                one = await self._looks[kind](self, scope, Due(kind, why), held, now)
                if one.count or one.held:
                    found.append(one)
        return found

    async def _recordings(self, scope: Scope, one: Due, held: frozenset[str], now: int) -> Due:
        gone = select(ledger.c.target).where(
            ledger.c.customer_id == scope.customer_id, ledger.c.kind == RecordKind.RECORDINGS.value
        )
        query = select(sessions.c.id, sessions.c.opened_ms).where(
            sessions.c.customer_id == scope.customer_id, sessions.c.state != SessionState.OPEN,
            sessions.c.id.not_in(gone),
        )  # fmt: skip
        rows = (await scope.execute(query.order_by(sessions.c.opened_ms))).all()
        kept = await _visits_of(scope, held)
        one.held = [row.id for row in rows if scope.customer_id in held or row.id in kept]
        free = [row for row in rows if row.id not in set(one.held)]
        return _spanned(one, [row.id for row in free], [row.opened_ms for row in free])

    async def _access_log(self, scope: Scope, one: Due, held: frozenset[str], now: int) -> Due:
        kinds = [entries.c.kind.startswith(prefix, autoescape=True) for prefix in _ACCESS]
        any_kind = kinds[0]
        for each in kinds[1:]:
            any_kind = any_kind | each
        old = (
            (entries.c.log_id == scope.customer_id) & any_kind
            & (entries.c.time_ms <= add_months(now, -FLOOR_MONTHS)) & (payloads.c.sealed != b"")
        )  # fmt: skip
        joined = (payloads.c.log_id == entries.c.log_id) & (payloads.c.event_id == entries.c.event_id)
        query = select(
            payloads.c.event_id, payloads.c.key_id, entries.c.time_ms, entries.c.subject, entries.c.session_id
        )
        rows = (await scope.execute(query.join(entries, joined).where(old).order_by(entries.c.seq))).all()
        kept = await _visits_of(scope, held)
        stays = [
            row for row in rows if scope.customer_id in held or row.subject in held or (row.session_id or "") in kept
        ]
        one.held = sorted({row.event_id for row in stays})
        free = [row for row in rows if row.event_id not in set(one.held)]
        one.keys = sorted({row.key_id for row in free})
        return _spanned(one, [row.event_id for row in free], [row.time_ms for row in free])

    async def _people(self, scope: Scope, one: Due, held: frozenset[str], now: int) -> Due:
        ids, times = [], []
        for table in (contacts, approvers):
            here = (table.c.customer_id == scope.customer_id) & table.c.removed_ms.is_not(None)
            for row in await scope.execute(select(table).where(here, table.c.name != "(erased)")):
                kind = "contact" if table is contacts else "approver"
                subject = Subject(
                    row.id, scope.customer_id, kind, frozenset({row.name}), frozenset({row.email} - {""})
                )  # fmt: skip
                keys = await self._subjects.keys(scope, subject)
                if held and await holds_over(scope, subject, keys):
                    one.held.append(row.id)
                    continue
                ids.append(row.id)
                times.append(row.removed_ms)
                one.keys += sorted(keys)
        return _spanned(one, ids, times)

    async def _notes(self, scope: Scope, one: Due, held: frozenset[str], now: int) -> Due:
        rows = (await scope.execute(select(notes).where(notes.c.customer_id == scope.customer_id))).all()
        if scope.customer_id in held:
            one.held = [row.id for row in rows]
            return one
        return _spanned(one, [row.id for row in rows], [row.at_ms for row in rows])

    _looks: Final = {
        RecordKind.RECORDINGS: _recordings,
        RecordKind.ACCESS_LOG: _access_log,
        RecordKind.PEOPLE: _people,
        RecordKind.NOTES: _notes,
    }

    # --- deleting ---

    async def run(self, actor: str, customer: str | None = None) -> list[Due]:
        """Delete what is due, and try again what was scheduled. What went, customer by customer."""
        async with self._store.look_at_everyone() as scope:
            known = list((await scope.execute(select(customers.c.id))).scalars())
        went: list[Due] = []
        for one in [customer] if customer is not None else known:
            for due in await self.due(one):
                if due.count:
                    await self._delete(actor, one, due)
                    went.append(due)
            await self._finish(one)
        return went

    async def _delete(self, actor: str, customer: str, due: Due) -> None:
        async with self._store.scope(customer) as scope:
            if due.kind is RecordKind.ACCESS_LOG:
                await _empty(scope, payloads.c.event_id, due.ids)
                await _unfind(scope, due.ids)
            elif due.kind is RecordKind.PEOPLE:
                await _empty(scope, payloads.c.key_id, due.keys)
                for person in due.ids:
                    kind = "contact" if person.startswith("con") else "approver"
                    await blank_rows(scope, Subject(person, customer, kind), self._audit.clock.now())
            elif due.kind is RecordKind.NOTES:
                due.keys = await self._drop_notes(scope, due.ids)
            await self._enter(scope, due, await self._say(scope, actor, due))

    async def _say(self, scope: Scope, actor: str, due: Due) -> list[str]:
        """The ids of the entries that say so, each of `_PART` visits or keys."""
        visits = due.ids if due.kind is RecordKind.RECORDINGS else []
        length = max(len(visits), len(due.keys), 1)
        said = []
        for at in range(0, length, _PART):
            data = {
                "what": due.kind.value, "why": due.why, "count": due.count, "from_ms": due.from_ms,
                "until_ms": due.until_ms, "sessions": visits[at : at + _PART], "keys": due.keys[at : at + _PART],
            }  # fmt: skip
            said.append(await self._log(scope, "retention.deleted", actor, data))
        return said

    async def _enter(self, scope: Scope, due: Due, said: list[str]) -> None:
        now = self._audit.clock.now()
        recordings = due.kind is RecordKind.RECORDINGS
        rows = [
            {
                "customer_id": scope.customer_id, "id": new_id("led"), "kind": due.kind.value, "target": target,
                "why": due.why, "count": 0 if recordings else due.count, "at_ms": now,
                "waits": "to be deleted", "due_ms": None, "event_id": said[number // _PART],
            }
            for number, target in enumerate(due.ids if recordings else [""])
        ]  # fmt: skip
        await scope.execute(insert(ledger), rows)

    async def _drop_notes(self, scope: Scope, ids: list[str]) -> list[str]:
        """Notes and what the log sealed of them; the keys that it was sealed under."""
        here = (entries.c.log_id == scope.customer_id) & (entries.c.kind == "note.written")
        events = [
            row.event_id
            for row in await scope.execute(select(entries.c.event_id, entries.c.entry).where(here))
            if any(f'"{note}"'.encode() in row.entry for note in ids)
        ]
        mine = (payloads.c.log_id == scope.customer_id) & payloads.c.event_id.in_(events)
        keys = list((await scope.execute(select(payloads.c.key_id).where(mine).distinct())).scalars())
        await _empty(scope, payloads.c.event_id, events)
        await scope.execute(delete(notes).where(notes.c.customer_id == scope.customer_id, notes.c.id.in_(ids)))
        return keys

    async def _finish(self, customer: str) -> None:
        """What the log tells of goes: segments of recordings, and keys that nothing is sealed under any more. What a
        lock keeps stays scheduled; what a crash cut short is done at the next run."""
        query = select(ledger).where(ledger.c.customer_id == customer, ledger.c.waits != "")
        async with self._store.look(customer) as scope:
            waiting = (await scope.execute(query)).all()
            keys = {kind: await _keys_told_of(scope, kind) for kind in {row.kind for row in waiting}}
        for row in waiting:
            count, waits, mine = 0, "", keys[row.kind]
            if row.kind == RecordKind.RECORDINGS:
                folder, mine = f"recordings/{customer}/{row.target}", {f"session:{row.target}"}
                count, waits = await asyncio.to_thread(self._remove_segments, folder)
            async with self._store.scope(customer) as scope:
                here = (ledger.c.customer_id == customer) & (ledger.c.id == row.id)
                values = {"count": row.count + count, "at_ms": self._audit.clock.now()}
                await scope.execute(update(ledger).where(here).values(values))
                free = [] if waits else [key for key in sorted(mine) if not await _in_use(scope, key, row.target)]
            for key in free:
                with suppress(KeyMissing):  # it is gone already, which is all that is wanted of it
                    await asyncio.to_thread(self._audit.keys.destroy, customer, key, self._audit.clock.now())
            async with self._store.scope(customer) as scope:
                await scope.execute(update(ledger).where(here).values(waits=waits))

    def _remove_segments(self, folder: str) -> tuple[int, str]:
        """How many objects went, and why the rest did not ("" when all did)."""
        count, waits = 0, ""
        try:
            names = list(self._objects.list(folder))
        except StorageError as error:
            return 0, f"scheduled: {error}"
        for name in names:
            try:
                self._objects.remove(name)
                count += 1
            except StorageError as error:
                waits = f"scheduled: {error}"
        return count, waits

    async def entered(self, customer: str | None) -> list[Any]:
        """The ledger, newest first."""
        query = select(ledger).order_by(ledger.c.at_ms.desc(), ledger.c.id)
        if customer is not None:
            query = query.where(ledger.c.customer_id == customer)
        async with self._store.look_at_everyone() as scope:
            return list((await scope.execute(query)).all())


def _spanned(one: Due, ids: list[str], times: list[int]) -> Due:
    one.ids = list(dict.fromkeys(ids))
    one.count = len(one.ids)
    one.from_ms, one.until_ms = (min(times), max(times)) if times else (0, 0)
    return one


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


async def _held(scope: Scope) -> frozenset[str]:
    """Everything of the scope's customer that a legal hold is on: the customer, persons, visits."""
    query = select(proposals.c.target).where(
        proposals.c.log_id == scope.customer_id, proposals.c.what == HOLD, proposals.c.state == ProposalState.ACTIVE
    )
    return frozenset((await scope.execute(query)).scalars())


async def _visits_of(scope: Scope, held: frozenset[str]) -> frozenset[str]:
    """Visits that are held, or in which somebody who is held was seen."""
    query = select(entries.c.session_id).where(
        entries.c.log_id == scope.customer_id, entries.c.subject.in_(held), entries.c.session_id.is_not(None)
    )
    return held | frozenset((await scope.execute(query.distinct())).scalars())


async def _empty(scope: Scope, column: Any, values: list[str]) -> None:
    table: Table = payloads
    for at in range(0, len(values), _PART):
        here = (table.c.log_id == scope.customer_id) & column.in_(values[at : at + _PART])
        await scope.execute(update(table).where(here).values(sealed=b""))


async def _unfind(scope: Scope, events: list[str]) -> None:
    """Of entries whose personal fields went, no keyed digest stays either: neither of a ticket, nor of the words for
    a person of whom nothing else is told."""
    here = entries.c.log_id == scope.customer_id
    for at in range(0, len(events), _PART):
        some = here & entries.c.event_id.in_(events[at : at + _PART])
        about = list((await scope.execute(select(entries.c.subject).where(some).distinct())).scalars())
        await scope.execute(update(entries).where(some, entries.c.ticket.is_not(None)).values(ticket=None))
        joined = (payloads.c.log_id == entries.c.log_id) & (payloads.c.event_id == entries.c.event_id)
        told = select(entries.c.subject).join(payloads, joined).where(here, entries.c.subject.in_(about))
        left = set((await scope.execute(told.where(payloads.c.sealed != b"").distinct())).scalars())
        gone = known_by.c.subject.in_([one for one in about if one is not None and one not in left])
        await scope.execute(delete(known_by).where(known_by.c.log_id == scope.customer_id, gone))


async def _keys_told_of(scope: Scope, kind: str) -> set[str]:
    """Keys that the log says went with what was deleted of a kind."""
    here = (entries.c.log_id == scope.customer_id) & (entries.c.kind == "retention.deleted")
    told = [
        parse_entry(entry)["data"] for entry in (await scope.execute(select(entries.c.entry).where(here))).scalars()
    ]
    return {str(key) for data in told if data["what"] == kind for key in data["keys"]}


async def _in_use(scope: Scope, key: str, visit: str) -> bool:
    """True when something is still sealed under the key, or a recording may be: of any visit but this one."""
    here = (payloads.c.log_id == scope.customer_id) & (payloads.c.key_id == key) & (payloads.c.sealed != b"")
    if (await scope.execute(select(func.count()).select_from(payloads).where(here))).scalar_one():
        return True
    if not key.startswith("session:") or key == f"session:{visit}":
        return False
    gone = select(ledger.c.id).where(
        ledger.c.customer_id == scope.customer_id, ledger.c.kind == RecordKind.RECORDINGS.value,
        ledger.c.target == key.removeprefix("session:"), ledger.c.waits == "",
    )  # fmt: skip
    return (await scope.execute(gone)).first() is None
