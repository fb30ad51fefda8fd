"""Visits that Frameroom is not in between at: on the customer's premises, or with the phone system's own programs.

They have a request, a yes, a beginning, an end and what the engineer says was done, and nothing in between: nothing
of what was done is recorded here, and whoever shows one says so. They hang on no connection: one row each, which
outlives a disconnection and a restart. What the engineer says stands in the log alone, sealed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, and_, bindparam, insert, select, update

from audit.events import Event, Personal
from audit.log import AuditLog, Erased
from audit.sealing import SealingError
from connectors.contract import Operation
from gateway import notify
from gateway.access.facts import SWITCH, switch_of
from gateway.access.permission import Permission
from gateway.errors import ConflictError, InvalidError, NotPermittedError, StateError
from gateway.harmless import CONTROL
from gateway.lifecycle import OutsideState, advance
from gateway.model import Grant, PhoneSystem, new_id
from gateway.policy import decide, why_over
from gateway.store.engine import Scope, Store
from gateway.store.outside_tables import outside_visits as outside
from gateway.store.tables import access, customers, grants, roster, systems

LONGEST: Final = 4_000
"""Characters in which an engineer says what was done."""
NOT_RECORDED: Final = notify.NOT_RECORDED
DONE: Final = "the engineer is done"
_UNOPENED: Final = "what the log sealed of it does not hold: have the log verified"
_HELD: Final = (
    select(
        outside, grants.c.state.label("permission"), grants.c.until_ms, grants.c.ended_how, roster.c.vetoed, *SWITCH
    )
    .join(grants, and_(grants.c.customer_id == outside.c.customer_id, grants.c.id == outside.c.grant_id))
    .join(
        roster,
        and_(roster.c.customer_id == outside.c.customer_id, roster.c.engineer_id == outside.c.engineer_id),
        isouter=True,
    )
    .join(access, access.c.customer_id == outside.c.customer_id, isouter=True)
    .where(outside.c.state == OutsideState.OPEN)
)  # fmt: skip
_NAMED: Final = (
    select(outside, customers.c.name.label("customer"), systems.c.name.label("system"))
    .join(customers, customers.c.id == outside.c.customer_id)
    .join(systems, and_(systems.c.customer_id == outside.c.customer_id, systems.c.id == outside.c.system_id))
)
_NOT_TOLD: Final = _NAMED.where(
    outside.c.engineer_id == bindparam("of_engineer"), outside.c.state != OutsideState.TOLD
).order_by(outside.c.started_ms, outside.c.id)


@dataclass(frozen=True, slots=True)
class SignedInBy:
    """Who begins a visit, and how they had signed in."""

    engineer_id: str
    factor: str
    fingerprint: str
    address: str


@dataclass(frozen=True, slots=True)
class ToldOf:
    """A visit that was just told of. `late`: it had ended before."""

    row: Any
    late: bool


def words_of(text: str) -> str:
    """What an engineer says was done, as it is kept: lines of text. InvalidError for none, too much, or what steers a
    terminal."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\t", " ").split("\n")]
    words = "\n".join(lines).strip()
    if not words:
        raise InvalidError("Say what was done.", next_step='For example: visit done "Changed the faulty line card."')
    if len(words) > LONGEST:
        raise InvalidError(
            f"That has {len(words):,} characters: what was done is told in at most {LONGEST:,}.",
            next_step="Nothing was kept; say it shorter.",
        )
    if CONTROL.search(words.replace("\n", " ")):
        raise InvalidError("Control characters are not taken.", next_step="Nothing was kept; write it as plain text.")
    return words


class OutsideVisits:
    """Begins, ends and tells of them, each with its event and its mail in one transaction."""

    def __init__(self, store: Store, audit: AuditLog, permission: Permission) -> None:
        self._store, self._audit, self._permission = store, audit, permission

    @property
    def now(self) -> int:
        """Time as permission counts it, Unix ms."""
        return self._audit.clock.now()

    # --- what there is ---

    async def not_told(self, engineer_id: str) -> list[Any]:
        """Rows, with the names of customer and system, of the engineer's visits that are open or not told of yet."""
        async with self._store.look_at_everyone() as scope:
            return list((await scope.execute(_NOT_TOLD, {"of_engineer": engineer_id})).all())

    async def words(self, scope: Scope, visit_id: str) -> str | None:
        """What the engineer says was done; why it is not there any more, where it was erased; None before it is told.

        Whoever shows it logs `looked.session` first.
        """
        found = await self._audit.read(scope.connection, scope.customer_id, session=visit_id, kinds=("visit.told",))
        if not found:
            return None
        try:
            told = (await self._audit.personal(scope.connection, found[0])).get("words", "")
        except SealingError:
            return _UNOPENED
        return f"({told})" if isinstance(told, Erased) else str(told)

    # --- beginning ---

    async def start(self, who: SignedInBy, system: PhoneSystem, grant: Grant) -> Any:
        """The new visit's row. NotPermittedError, which stands in the log; ConflictError while one goes on there."""
        async with self._store.scope(system.customer_id) as scope:
            facts = await self._permission.facts(scope, who.engineer_id, system.id, grant.id, True)
            decision = decide(facts, Operation.VISIT)
            if decision.allowed:
                return await self._start(scope, who, system, grant, facts.now_ms)
            data = {"engineer": who.engineer_id, "reason": decision.code}
            await self._log(scope, "session.refused", who.engineer_id, system=system.id, data=data)
        raise NotPermittedError(decision.words)

    async def _start(self, scope: Scope, who: SignedInBy, system: PhoneSystem, grant: Grant, now: int) -> Any:
        here = and_(
            outside.c.customer_id == scope.customer_id, outside.c.engineer_id == who.engineer_id,
            outside.c.system_id == system.id, outside.c.state == OutsideState.OPEN,
        )  # fmt: skip
        if (await scope.execute(select(outside.c.id).where(here))).first() is not None:
            raise ConflictError(
                f"You are visiting {system.name} already.", next_step='When it is over: visit done "WHAT WAS DONE"'
            )
        visit = new_id("vis")
        await scope.execute(
            insert(outside).values(
                customer_id=scope.customer_id, id=visit, grant_id=grant.id, system_id=system.id,
                engineer_id=who.engineer_id, state=OutsideState.OPEN, started_ms=now, reason="",
            )
        )  # fmt: skip
        await self._log(
            scope, "visit.started", who.engineer_id, system=system.id, session=visit, grant=grant.id,
            data={"engineer": who.engineer_id, "factor": who.factor, "fingerprint": who.fingerprint},
            personal=(Personal("address", who.address, _key(visit)),),
        )  # fmt: skip
        await notify.outside_began(scope, grant, visit, now)
        return await _row(scope, visit)

    # --- the end, and what was done ---

    async def done(self, row: Any, words: str) -> ToldOf:
        """What was done, in the engineer's words (`words_of`); an open visit ends with it. StateError when it was told
        already."""
        async with self._store.scope(row.customer_id) as scope:
            visit = await _row(scope, row.id, lock=True)
            late = visit.state != OutsideState.OPEN
            if visit.state == OutsideState.TOLD:
                raise StateError(
                    "That visit was told of already; what was said stays.", next_step="`note` leaves word besides."
                )
            if not late:
                await self._end(scope, visit, DONE, visit.engineer_id)
            now = self.now
            state = advance(OutsideState.ENDED, OutsideState.TOLD)
            await scope.execute(update(outside).where(_this(scope, visit.id)).values(state=state, told_ms=now))
            await self._log(
                scope, "visit.told", visit.engineer_id, data={"engineer": visit.engineer_id, "late": late},
                personal=(Personal("words", words, _key(visit.id)),), **_ids(visit),
            )  # fmt: skip
            visit = await _row(scope, visit.id)
            await notify.outside_told(scope, visit, words, late=late, now=now)
        return ToldOf(visit, late)

    async def settle(self, customer_id: str | None = None) -> int:
        """End those whose permission is over, whoever ended it; how many. Called every second; `customer_id`: of one
        customer alone, now."""
        query = _HELD if customer_id is None else _HELD.where(outside.c.customer_id == customer_id)
        async with self._store.look_at_everyone() as scope:
            rows = (await scope.execute(query)).all()
        ended = 0
        for row in rows:
            if self._why_over(row) is None:
                continue
            async with self._store.scope(row.customer_id) as scope:
                # Looked at again under its lock: another process may have ended it, or a yes come in between.
                fresh = (await scope.execute(_HELD.where(_this(scope, row.id)).with_for_update(of=outside))).first()
                why = None if fresh is None else self._why_over(fresh)
                if why is not None:
                    await self._end(scope, fresh, why, "clock")
                    await notify.outside_over(scope, await _row(scope, row.id), self.now)
                    ended += 1
        return ended

    def _why_over(self, row: Any) -> str | None:
        return why_over(
            row.permission, row.until_ms, row.ended_how, on_roster=row.vetoed is False, access=switch_of(row),
            at_ms=self.now,
        )  # fmt: skip

    async def _end(self, scope: Scope, visit: Any, reason: str, actor: str) -> None:
        values = {
            "state": advance(OutsideState(visit.state), OutsideState.ENDED), "ended_ms": self.now, "reason": reason,
        }  # fmt: skip
        await scope.execute(update(outside).where(_this(scope, visit.id)).values(**values))
        data = {"engineer": visit.engineer_id, "reason": reason}
        await self._log(scope, "visit.ended", actor, data=data, **_ids(visit))

    async def _log(self, scope: Scope, kind: str, actor: str, **rest: Any) -> None:
        await self._audit.append(scope.connection, Event(kind, scope.customer_id, actor, **rest))


def _key(visit: str) -> str:
    return f"visit:{visit}"


def _ids(visit: Any) -> dict[str, str]:
    return {"system": visit.system_id, "session": visit.id, "grant": visit.grant_id}


def _this(scope: Scope, visit_id: str) -> Any:
    return and_(outside.c.customer_id == scope.customer_id, outside.c.id == visit_id)


async def _row(scope: Scope, visit_id: str, *, lock: bool = False) -> Any:
    query: Select[Any] = select(outside).where(_this(scope, visit_id))
    return (await scope.execute(query.with_for_update() if lock else query)).one()
