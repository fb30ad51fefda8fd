"""`frameroom audit search`: by indexes alone, however long the log has become. Every log shown of says so first.

Of the conditions given one leads: the one that the fewest entries fit. Its entries come from its index in order of
writing, some hundreds at a time, and the other conditions are asked of those rows only, until the answer is full. So
what a search costs grows with what its rarest condition fits, not with the log.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ARRAY, and_, any_, func, literal, or_, select, text, true

from audit.events import KINDS, OPERATOR_LOG
from audit.log import Row as Entry
from audit.log import parse_entry
from audit.tables import COMMON, UNCOMMON, entries, payloads
from gateway.access.subjects import Subject
from gateway.choices import OUTCOMES
from gateway.errors import InvalidError
from gateway.identity.staff import names as staff_names
from gateway.store.engine import Scope
from gateway.store.tables import customers
from gateway.wiring.admin.base import Base, Row, looked, told
from gateway.wiring.duties import subjects_of

_COUNTED: Final = 1_000
"""How far the entries of a condition are counted to see which is the rarest."""
_FIRST: Final = 300
_MOST: Final = 5_000
"""Entries of the leading condition that are looked at in one go: few at first, since most answers are full soon."""
_LATE_MS: Final = 60_000
"""By how much times may run back between entries: nodes' clocks differ, and `audit verify` calls 5 s a fault."""
_SEQ: Final = entries.c.seq
_EACH_ITS_PLAN: Final = text(
    "select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)"
)
# The middle has a column of its own: where rows are kept apart, PostgreSQL takes no index for a condition in which
# something is computed that may fail, as a division can, and read the whole log for each step (seen with 15.20).
_OLDER: Final = "coalesce((select time_ms < :time_ms from entries where seq > middle order by seq limit 1), false)"
_LOW: Final = f"case when {_OLDER} then middle + 1 else low end"
_HIGH: Final = f"case when {_OLDER} then high else middle end"
_HALVING: Final = text(f"""
    with recursive halving(low, high, middle) as (
        select cast(0 as bigint), last, last / 2 from (select coalesce(max(seq), 0) as last from entries) as found
        union all
        select {_LOW}, {_HIGH}, ({_LOW} + {_HIGH}) / 2 from halving where low < high
    )
    select min(low) from halving where low = high
""")  # noqa: S608 - nothing in it comes from outside
# Every operation, or list of them, that any entry names: some dozens, each one step in the index.
_SAID: Final = text("""
    with recursive said(name) as (
        select min(operation_name) from entries where operation_name is not null
        union all
        select (select min(operation_name) from entries where operation_name > said.name) from said
        where said.name is not null
    )
    select name from said where name is not null
""")


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: what its entries' rows say, perhaps in several ways, each with an index of its own."""

    ways: tuple[Any, ...]
    common: bool = False
    """Of most of every log, so that no index has it and nothing is gained by counting."""

    @property
    def fits(self) -> Any:
        """Any of the ways."""
        return or_(*self.ways)


@dataclass(slots=True)
class Wanted:
    """What a search looks for: every condition has to hold, between two cursors."""

    conditions: list[Condition] = field(default_factory=list)
    after: int = 0
    until: int | None = None
    limit: int = 100
    rest: list[Any] = field(default_factory=list)
    """Conditions that no index has, asked of the rows that the others leave."""


async def find(scope: Scope, wanted: Wanted) -> list[Entry]:
    """The first `limit` entries that fit, in order of writing."""
    leading = await _rarest(scope, wanted)
    others = [one.fits for one in wanted.conditions if one is not leading] + wanted.rest
    ways = leading.ways if leading is not None else (true(),)
    found: list[Entry] = []
    # Where nothing else is asked, what the leading condition fits is the answer.
    after, many = wanted.after, max(_FIRST, wanted.limit) if others else wanted.limit
    while len(found) < wanted.limit:
        seqs, more = await _next(scope, ways, after, wanted.until, many)
        if seqs:
            query = select(entries).where(one_of(scope, _SEQ, seqs), *others).order_by(_SEQ)
            rows = (await scope.execute(query.limit(wanted.limit - len(found)))).all()
            found += map(entry_of, rows)
            after = seqs[-1]
        if not more:
            break
        many = min(many * 4, _MOST)
    return found


async def _rarest(scope: Scope, wanted: Wanted) -> Condition | None:
    """The condition that the fewest entries after the cursor fit, counted no further than it takes to tell."""
    could = [one for one in wanted.conditions if not one.common] or wanted.conditions
    if len(could) < 2:
        return could[0] if could else None
    best, least = could[0], _COUNTED * len(could[0].ways) + 1
    for one in could:
        many = sum([await _count(scope, way, wanted) for way in one.ways])
        if many < least:
            best, least = one, many
    return best


async def _count(scope: Scope, way: Any, wanted: Wanted) -> int:
    query = _places(way, wanted.after, wanted.until, _COUNTED).subquery()
    return int((await scope.execute(select(func.count()).select_from(query))).scalar_one())


def _places(way: Any, after: int, until: int | None, many: int) -> Any:
    query = select(_SEQ).where(way, after < _SEQ).order_by(_SEQ).limit(many)
    return query if until is None else query.where(until >= _SEQ)


async def _next(scope: Scope, ways: Sequence[Any], after: int, until: int | None, many: int) -> tuple[list[int], bool]:
    """The next `many` places of each way, as far as all of them were looked at; whether there may be more."""
    found: set[int] = set()
    bound: int | None = None
    for way in ways:
        some = list((await scope.execute(_places(way, after, until, many))).scalars())
        found.update(some)
        if len(some) == many:
            bound = some[-1] if bound is None else min(bound, some[-1])
    return sorted(seq for seq in found if bound is None or seq <= bound), bound is not None


def one_of(scope: Scope, column: Any, values: Sequence[Any]) -> Any:
    """A column that has one of many values: one statement however many there are, and one parameter for all."""
    if scope.connection.dialect.name == "postgresql":
        return column == any_(literal(list(values), ARRAY(column.type)))
    return column.in_(select(func.json_each(json.dumps(list(values))).table_valued("value").c.value))


def entry_of(r: Any) -> Entry:
    """A row as an entry."""
    return Entry(r.log_id, r.seq, r.idx, r.entry, parse_entry(r.entry), r.leaf_hash)


def of_kind(kind: str, log: str | None) -> Any:
    """Entries of a kind; of one that is not most of every log, by its index."""
    # Word for word as the index has it: that is how a database sees that it may use it.
    here = [entries.c.kind == kind] + ([UNCOMMON] if kind not in COMMON else [])
    return and_(*here) if log is None else and_(entries.c.log_id == log, *here)


def _of_kinds(kinds: Sequence[str], log: str | None) -> Condition:
    return Condition(tuple(of_kind(kind, log) for kind in kinds), common=any(kind in COMMON for kind in kinds))


async def place_at(scope: Scope, time_ms: int) -> int:
    """The place after which no entry is older than `time_ms`: appending goes with time, so that a time is a place in
    the order of writing, found by halving."""
    return int((await scope.execute(_HALVING, {"time_ms": time_ms})).scalar_one())


async def of_ticket(scope: Scope, logs: Sequence[str], keyed: Sequence[str]) -> Condition:
    """What belongs to a ticket's requests: they, their grants and the visits under those, all told by the log."""
    asked = select(entries.c.entry).where(entries.c.log_id.in_(logs), one_of(scope, entries.c.ticket, keyed))
    asked = asked.where(entries.c.ticket.is_not(None))
    permissions = await _ids(scope, asked, "request")
    granted = select(entries.c.entry).where(
        one_of(scope, entries.c.permission_id, permissions), entries.c.kind == "request.granted"
    )
    grants = await _ids(scope, granted, "grant")
    opened = select(entries.c.entry).where(
        one_of(scope, entries.c.permission_id, grants), entries.c.kind.in_(("session.opened", "visit.started"))
    )
    visits = await _ids(scope, opened, "session")
    return Condition((
        one_of(scope, entries.c.permission_id, [*permissions, *grants]),
        and_(entries.c.log_id.in_(logs), one_of(scope, entries.c.session_id, visits)),
    ))  # fmt: skip


async def _ids(scope: Scope, query: Any, name: str) -> list[str]:
    bodies = [parse_entry(entry) for entry in (await scope.execute(query)).scalars()]
    return sorted({str(body[name]) for body in bodies if name in body})


class Searching(Base):
    """Looking for entries."""

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
        wanted = Wanted(after=after, limit=limit)
        conditions = wanted.conditions
        if place is not None:
            conditions.append(Condition((entries.c.system_id == place.id,)))
        if engineer is not None:
            same = entries.c.engineer_id == (await self._engineer(engineer)).id
            conditions.append(Condition((same if log is None else and_(entries.c.log_id == log, same),)))
        if session is not None:
            visit = await self._any_visit(session)
            here = and_(entries.c.log_id == visit.customer_id, entries.c.session_id == visit.id)
            conditions.append(Condition((here,)))
        if kinds:
            conditions.append(_of_kinds(sorted(set(kinds)), log))
        if outcome is not None:
            ended = [kind for kind in sorted(KINDS) if kind.partition(".")[2] == outcome]
            if not ended:
                raise InvalidError(f"{outcome} is no outcome", next_step=f"One of {', '.join(OUTCOMES)}.")
            conditions.append(_of_kinds(ended, log))
        who = None
        if subject is not None:
            who = await subjects_of(self._parts).find(subject, log, place.id if place is not None else None)
            conditions.append(await self._of_subject(who))
        found = await self._found(wanted, log, operation, ticket, since_ms, until_ms)
        shown = sorted({row.log for row in found} | {log or OPERATOR_LOG})
        async with self._parts.store.everyone() as scope:
            # Whom somebody looked for stands there by their id: their own report names who did.
            ids = {who.log: {"subject": who.id}} if who is not None else {}
            looks = [looked(one, "looked.audit", actor, why, **ids.get(one, {})) for one in shown]
            await self._parts.audit.append_many(scope.connection, looks)
        async with self._parts.store.look_at_everyone() as scope:
            of = select(customers.c.id, customers.c.name).where(one_of(scope, customers.c.id, shown))
            names = {r.id: r.name for r in await scope.execute(of)}
            clear = await self._parts.audit.personal_of_many(scope.connection, found)
            staff = await staff_names(scope)
        return [
            {"cursor": row.seq, "customer": names.get(row.log, "")} | told(row, personal, staff)
            for row, personal in zip(found, clear, strict=True)
        ]

    async def _found(
        self, wanted: Wanted, log: str | None, operation: str | None, ticket: str | None, since_ms: int | None,
        until_ms: int | None,
    ) -> list[Entry]:  # fmt: skip
        async with self._parts.store.look_at_everyone() as scope:
            if scope.connection.dialect.name == "postgresql":
                # A plan that is made for any value reads the whole log for one that hardly any entry has; and nothing
                # that is read by an index is worth compiling first.
                await scope.execute(_EACH_ITS_PLAN)
            if operation is not None:
                wanted.conditions.append(await _of_operation(scope, operation, log))
            if ticket is not None:
                known = [log] if log is not None else list((await scope.execute(select(customers.c.id))).scalars())
                keyed = [self._parts.keys.keyed(one, "ticket", ticket) for one in known]
                wanted.conditions.append(await of_ticket(scope, known, keyed))
            if since_ms is not None:
                wanted.rest.append(entries.c.time_ms >= since_ms)
                wanted.after = max(wanted.after, await place_at(scope, since_ms - _LATE_MS))
            if until_ms is not None:
                wanted.rest.append(entries.c.time_ms < until_ms)
                wanted.until = await place_at(scope, until_ms + _LATE_MS)
            if log is not None and not wanted.conditions:
                wanted.conditions.append(Condition((entries.c.log_id == log,)))
            elif log is not None:
                # Every way names the log already where that is no phone system's or ticket's own.
                wanted.rest.append(entries.c.log_id == log)
            return await find(scope, wanted)

    async def _of_subject(self, who: Subject) -> Condition:
        """Entries about one person, found by the keyed id and keys, since no name stands in the log."""
        async with self._parts.store.look(who.log) as scope:
            keys = await subjects_of(self._parts).keys(scope, who)
        sealed = select(payloads.c.event_id).where(payloads.c.log_id == who.log, payloads.c.key_id.in_(keys))
        mine = entries.c.log_id == who.log
        return Condition((and_(mine, entries.c.subject == who.id), and_(mine, entries.c.event_id.in_(sealed))))


async def _of_operation(scope: Scope, operation: str, log: str | None) -> Condition:
    """By its id, or by its name: entries that are of that one, and those that list it among several."""
    if operation.startswith("op_"):
        return Condition((entries.c.operation_id == operation,))
    said = [said for said in (await scope.execute(_SAID)).scalars() if said is not None]
    with_it = [one for one in said if operation in one.split()] or [operation]
    ways = [entries.c.operation_name == one for one in with_it]
    return Condition(tuple(ways if log is None else [and_(entries.c.log_id == log, way) for way in ways]))
