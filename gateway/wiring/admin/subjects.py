"""`frameroom subject …` and `hold …`: what is held about a person, who may not be seen, what must not be deleted."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import select

from audit.events import OPERATOR_LOG
from gateway.access.proposals import HOLD, RELEASE
from gateway.access.restricting import Restricting
from gateway.access.subject_report import SubjectReports
from gateway.access.subjects import Subject
from gateway.errors import InvalidError, NotFoundError, StateError
from gateway.identity.staff import names as staff_names
from gateway.lifecycle import ProposalState
from gateway.store.engine import EVERYONE
from gateway.store.tables import customers
from gateway.wiring.admin.base import Row, when
from gateway.wiring.admin.erasing import ErasingCommands
from gateway.wiring.duties import proposals_of, subjects_of

_NAMES: Final = {"at_ms": "time"}


class SubjectCommands(ErasingCommands):
    """Persons before the law, and legal holds."""

    async def do_subject_report(
        self, actor: str, subject: str, why: str, customer: str | None = None, system: str | None = None
    ) -> Row:
        """Everything held about a person and who looked at it. The look is logged first."""
        if not why.strip():
            raise InvalidError("say why you look: it stands in the log", next_step='Add --why "…".')
        who = await self._subject(subject, customer, system)
        async with self._parts.store.scope(who.log) as scope:
            await self._look(scope, "looked.subject", actor, why, subject=who.id)
        told = await SubjectReports(self._parts.store, subjects_of(self._parts)).of(who)
        plain: Row = _in_iso(told)
        return {"made": when(self._parts.audit.clock.now())} | plain

    async def do_subject_restrict(
        self, actor: str, subject: str, why: str, system: str, customer: str | None = None
    ) -> Row:
        """From the next operation on no engineer sees this user of the phone system."""
        who, place = await self._user(subject, system, customer)
        await Restricting(self._parts.store, self._parts.audit).place(actor, who.log, place, who.id, why)
        known = "" if who.systems else " (Frameroom has not seen them yet: it counts from the first time)"
        return {"subject": who.id, "who": who.label, "state": f"restricted{known}"}

    async def do_subject_unrestrict(
        self, actor: str, subject: str, why: str, system: str, customer: str | None = None
    ) -> Row:
        """They can be seen again by whoever has a permission."""
        who, place = await self._user(subject, system, customer)
        await Restricting(self._parts.store, self._parts.audit).end(actor, who.log, place, who.id, why)
        return {"subject": who.id, "who": who.label, "state": "not restricted"}

    async def do_subject_restricted(self, actor: str, customer: str | None = None) -> list[Row]:
        """Everybody who is."""
        log = None if customer is None else await self._customer(customer)
        rows = await Restricting(self._parts.store, self._parts.audit).all(log)
        staff = await self._parts.staff.names()
        return [
            {"subject": r.subject, "system": r.system_id, "since": when(r.placed_ms), "by": staff[r.placed_by]}
            for r in rows
        ]

    async def _user(self, given: str, system: str, customer: str | None) -> tuple[Subject, str]:
        """A user of one phone system; one whom Frameroom never saw, by the phone system's own id of them."""
        place = await self._system(system, customer)
        try:
            found = await subjects_of(self._parts).find(given, place.customer_id, place.id)
        except NotFoundError:
            unseen = self._parts.vault.subject(place.customer_id, place.id, given)
            return Subject(unseen, place.customer_id, "user"), place.id
        if found.kind != "user":
            raise InvalidError(f"{given} is no user of that phone system but {found.kind} {found.label}")
        return found, place.id

    # --- legal holds ---

    async def do_hold_place(
        self, actor: str, basis: str, customer: str | None = None, subject: str | None = None,
        session: str | None = None,
    ) -> Row:  # fmt: skip
        """Propose that nothing of a customer, a person or a visit is deleted or erased."""
        log, target = await self._held(customer, subject, session)
        async with self._parts.store.scope(log) as scope:
            made = await proposals_of(self._parts).make(scope, actor, HOLD, target, basis, {})
        return {"proposal": made, "target": target, "state": _second(made)}

    async def _held(self, customer: str | None, subject: str | None, session: str | None) -> tuple[str, str]:
        if session is not None:
            visit = await self._any_visit(session)
            return visit.customer_id, visit.id
        if subject is not None:
            who = await self._subject(subject, customer)
            return who.log, who.id
        if customer is None:
            raise InvalidError("say what is held: --customer, and --subject or --session for a part of it")
        log = await self._customer(customer)
        return log, log

    async def do_hold_release(self, actor: str, hold: str) -> Row:
        """Propose that a hold ends."""
        two = proposals_of(self._parts)
        row = await two.find(hold)
        if (row.what, row.state) != (HOLD, ProposalState.ACTIVE):
            raise StateError("that is no hold in force", next_step="`frameroom hold list` shows them.")
        async with self._parts.store.scope(row.log_id) as scope:
            made = await two.make(scope, actor, RELEASE, row.id, row.basis, {})
        return {"proposal": made, "target": row.target, "state": _second(made)}

    async def do_hold_confirm(self, actor: str, proposal: str) -> Row:
        """The second person's yes, to a hold or to its end."""
        two, now = proposals_of(self._parts), self._parts.audit.clock.now()
        found = await two.find(proposal)
        async with self._parts.store.scope(found.log_id) as scope:
            row = await two.second(scope, found.id, actor, found.what if found.what == RELEASE else HOLD)
            data = {"proposal": row.id, "target": row.target, "proposed_by": row.proposed_by, "approved_by": actor}
            decided = {"decided_by": actor, "decided_ms": now}
            if row.what == HOLD:
                await two.move(scope, row, ProposalState.ACTIVE, **decided)
                await two.log(scope, "hold.placed", actor, data=data | {"basis": row.basis})
                return {"hold": row.id, "target": row.target, "state": "in force"}
            held = await two.find(row.target)
            await two.move(scope, held, ProposalState.DONE, done_ms=now)
            await two.move(scope, row, ProposalState.DONE, **decided, done_ms=now)
            await two.log(scope, "hold.released", actor, data=data)
        return {"hold": held.id, "target": held.target, "state": "released"}

    async def do_hold_list(self, actor: str, customer: str | None = None) -> list[Row]:
        """Holds and what is proposed of them, newest first."""
        log = None if customer is None else await self._customer(customer)
        async with self._parts.store.look(EVERYONE) as scope:
            names = {r.id: r.name for r in await scope.execute(select(customers.c.id, customers.c.name))}
            staff = await staff_names(scope)
        return [
            {
                "id": r.id, "what": r.what, "customer": "" if r.log_id == OPERATOR_LOG else names.get(r.log_id, ""),
                "target": names.get(r.target, r.target), "basis": r.basis, "state": r.state,
                "proposed by": staff[r.proposed_by], "confirmed by": staff[r.decided_by], "since": when(r.decided_ms),
            }
            for r in await proposals_of(self._parts).those(HOLD, RELEASE, log=log)
        ]  # fmt: skip


def _second(proposal: str) -> str:
    return f"proposed: it counts when somebody else runs `frameroom hold confirm {proposal}`"


def _in_iso(told: Any) -> Any:
    """Times as they travel: every `…_ms` becomes the same without it, as ISO 8601."""
    if isinstance(told, list):
        return [_in_iso(one) for one in told]
    if not isinstance(told, dict):
        return told
    plain = {key: _in_iso(value) for key, value in told.items() if not key.endswith("_ms")}
    times = {_NAMES.get(key, key.removesuffix("_ms")): when(told[key]) for key in told if key.endswith("_ms")}
    return times | plain
