"""`frameroom audit …`: the last entries, looking for some, and checking all. Looking is logged before it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select

from audit import checkpoint
from audit.events import KINDS, OPERATOR_LOG
from audit.inspect import Fault, Report, published_notes, verify_database
from audit.log import Row as Entry
from audit.log import parse_entry
from audit.sealing import SealingError
from audit.sequencer import origin
from audit.tables import entries, logs, payloads
from gateway.access.baseline import Baseline
from gateway.errors import InvalidError
from gateway.model import PhoneSystem
from gateway.store.engine import Scope
from gateway.store.tables import customers, grants, operations, requests, sessions
from gateway.wiring.admin.base import Base, Row, Stream, when
from gateway.wiring.duties import subjects_of

_PAGE: Final = 1000


def notes_in(text: str) -> list[str]:
    """The checkpoints in a file that somebody kept: alone, or in the text of the mail that brought them.

    InvalidError when there is none.
    """
    found = checkpoint.notes_in(text)
    if not found:
        raise InvalidError(
            "there is no checkpoint in the file that was kept",
            next_step="It has the log's name, a size, a root, an empty line and a line that begins with a dash.",
        )
    return found


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a search looks for; every condition given has to hold."""

    engineer: str | None
    system: str | None
    operation: str | None
    session: str | None
    outcome: str | None
    ids: frozenset[str] | None
    """Requests, grants and sessions of a ticket."""

    def fits(self, body: Mapping[str, Any]) -> bool:
        """True when the entry is one of those looked for."""
        data = body.get("data", {})
        asked = (
            (self.engineer, (body.get("actor"), data.get("engineer"))),
            (self.system, (body.get("system"),)),
            (self.operation, (body.get("operation"), data.get("name"), *_named(data))),
            (self.session, (body.get("session"),)),
            (self.outcome, (str(body.get("kind", "")).partition(".")[2],)),
        )
        if any(value is not None and value not in among for value, among in asked):
            return False
        mine = {body.get("request"), body.get("grant"), body.get("session")}
        return self.ids is None or bool(self.ids & mine)


def _named(data: Mapping[str, Any]) -> Sequence[Any]:
    told = data.get("operations")
    return told if isinstance(told, list) else ()


class LogCommands(Base):
    """The audit log."""

    async def _told(self, scope: Scope, row: Entry) -> Row:
        try:
            personal: Row = await self._parts.audit.personal(scope.connection, row)
        except (SealingError, KeyError, TypeError, ValueError, AttributeError):
            personal = {"sealed": "(does not hold: `frameroom audit verify` says where)"}
        body = row.body
        ids = {name: body[name] for name in ("system", "session", "request", "grant", "operation") if name in body}
        data = body.get("data")
        told = (data if isinstance(data, dict) else {}) | personal
        at = body.get("time")
        return {
            "index": row.index, "time": when(at if isinstance(at, int) else None), "kind": body.get("kind", "?"),
            "actor": body.get("actor", "?"), "told": "; ".join(f"{k}={v}" for k, v in (told | ids).items()),
        }  # fmt: skip

    async def do_audit_search(
        self, actor: str, why: str, customer: str | None = None, system: str | None = None,
        engineer: str | None = None, operation: str | None = None, session: str | None = None,
        ticket: str | None = None, kinds: Sequence[str] = (), outcome: str | None = None,
        since_ms: int | None = None, until_ms: int | None = None, after: int = 0, limit: int = 100,
        subject: str | None = None,
    ) -> list[Row]:  # fmt: skip
        """Entries in order of writing, from a cursor on. Every log that something is shown of says so first."""
        if unknown := sorted(set(kinds) - KINDS.keys()):
            raise InvalidError(f"{unknown[0]} is no kind of event", next_step="`frameroom audit search --help`.")
        place = await self._system(system, customer) if system is not None else None
        log = place.customer_id if place is not None else (await self._customer(customer) if customer else None)
        wanted = _Wanted(
            (await self._engineer(engineer)).id if engineer is not None else None, place.id if place else None,
            operation, (await self._row(sessions, session, "visit", "session list")).id if session else None, outcome,
            await self._of_ticket(ticket) if ticket is not None else None,
        )  # fmt: skip
        conditions = [entries.c.log_id == log] if log is not None else []
        conditions += [entries.c.kind.in_(kinds)] if kinds else []
        conditions += [entries.c.session_id == wanted.session] if wanted.session else []
        conditions += [entries.c.time_ms >= since_ms] if since_ms is not None else []
        conditions += [entries.c.time_ms < until_ms] if until_ms is not None else []
        conditions += [await self._of_subject(subject, log, place)] if subject is not None else []
        found = await self._find(conditions, wanted, after, limit)
        for one in sorted({row.log for row in found} | {log or OPERATOR_LOG}):
            async with self._parts.store.scope(one) as scope:
                await self._look(scope, "looked.audit", actor, why)
        async with self._parts.store.look_at_everyone() as scope:
            names = {r.id: r.name for r in await scope.execute(select(customers.c.id, customers.c.name))}
            return [
                {"cursor": row.seq, "customer": names.get(row.log, "")} | await self._told(scope, row) for row in found
            ]

    async def _find(self, conditions: list[Any], wanted: _Wanted, after: int, limit: int) -> list[Entry]:
        found: list[Entry] = []
        async with self._parts.store.look_at_everyone() as scope:
            while len(found) < limit:
                query = select(entries).where(entries.c.seq > after, *conditions).order_by(entries.c.seq).limit(_PAGE)
                rows = [entry_of(r) for r in (await scope.execute(query)).all()]
                found += [row for row in rows if wanted.fits(row.body)]
                if len(rows) < _PAGE:
                    break
                after = rows[-1].seq
        return found[:limit]

    async def _of_subject(self, subject: str, log: str | None, place: PhoneSystem | None) -> Any:
        """The condition: entries about one person, found by the keyed id and keys, since no name stands in the log."""
        subjects = subjects_of(self._parts)
        who = await subjects.find(subject, log, place.id if place is not None else None)
        async with self._parts.store.look(who.log) as scope:
            keys = await subjects.keys(scope, who)
        sealed = select(payloads.c.event_id).where(payloads.c.log_id == who.log, payloads.c.key_id.in_(keys))
        return (entries.c.log_id == who.log) & ((entries.c.subject == who.id) | entries.c.event_id.in_(sealed))

    async def _of_ticket(self, ticket: str) -> frozenset[str]:
        """Requests of a ticket, their permissions and visits: the log itself holds only a commitment to it."""
        async with self._parts.store.look_at_everyone() as scope:
            asked = set((await scope.execute(select(requests.c.id).where(requests.c.ticket == ticket))).scalars())
            given = set((await scope.execute(select(grants.c.id).where(grants.c.request_id.in_(asked)))).scalars())
            visits = set((await scope.execute(select(sessions.c.id).where(sessions.c.grant_id.in_(given)))).scalars())
        return frozenset(asked | given | visits)

    async def do_audit_verify(
        self, actor: str, customer: str | None = None, held: Sequence[str] = (), *, stream: Stream
    ) -> Row:
        """Recompute everything of all logs, or one customer's; `held`: texts with checkpoints that somebody kept."""
        only = None if customer is None else await self._customer(customer)
        notes = [note for text in held for note in notes_in(text)]
        await self._parts.sequence()
        # Before the view of the database begins: a checkpoint published meanwhile would look like a cut tail.
        published = await asyncio.to_thread(published_notes, self._parts.objects)
        report = Report()
        async with self._parts.store.look_at_everyone() as scope:
            open_ids = await _open_ids(scope)
            sizes = {r.log_id: r.size for r in await scope.execute(select(logs.c.log_id, logs.c.size))}
            known = sorted(sizes.keys() | {name.split("/")[1] for name in published})
            for log in [log for log in known if only in (None, log)]:
                one = await verify_database(
                    scope.connection, self._parts.audit, self._parts.objects, self._parts.signing.trusted,
                    self._parts.settings.deployment.name, open_ids=open_ids, only=(log,), held=notes,
                    published=published,
                )  # fmt: skip
                _add(report, one)
                if log != OPERATOR_LOG:
                    theirs = await Baseline(self._parts.audit).faults(Scope(scope.connection, log))
                    report.faults += [Fault(log, None, words) for words in theirs]
                told = {"logs": report.logs, "of": len(known), "entries": report.entries, "faults": len(report.faults)}
                await stream.progress(told)
        report.faults += self._strangers(notes, known)
        return {
            "ok": report.ok, "logs": report.logs, "entries": report.entries, "checkpoints": report.checkpoints,
            "segments": report.segments, "held": len(notes), "vkey": self._parts.signer.vkey,
            "restored": list(report.restored), "faults": [str(f) for f in report.faults[:20]],
        }  # fmt: skip

    def _strangers(self, notes: Sequence[str], known: Sequence[str]) -> Iterator[Fault]:
        """Kept checkpoints of logs that are not here: of another deployment, or of a log that was made to vanish."""
        origins = {origin(self._parts.settings.deployment.name, log) for log in known}
        for note in notes:
            try:
                found = checkpoint.parse(note)
            except checkpoint.NoteError as error:
                yield Fault("?", None, f"a checkpoint that was kept does not hold: {error}")
            else:
                if found.origin not in origins:
                    yield Fault(
                        found.origin, None, f"a kept checkpoint commits to {found.size} entries; it is not here"
                    )


def entry_of(r: Any) -> Entry:
    return Entry(r.log_id, r.seq, r.idx, r.entry, parse_entry(r.entry), r.leaf_hash)


async def _open_ids(scope: Scope) -> frozenset[str]:
    """Sessions, requests and operations that are rightly without an outcome now."""
    found: set[str] = set()
    for table, state in ((sessions, "open"), (requests, "waiting"), (operations, "intended")):
        found |= set((await scope.execute(select(table.c.id).where(table.c.state == state))).scalars())
    return frozenset(found)


def _add(report: Report, one: Report) -> None:
    report.logs += one.logs
    report.entries += one.entries
    report.checkpoints += one.checkpoints
    report.segments += one.segments
    report.faults += one.faults
    report.restored += one.restored
