"""`frameroom erase` and `erasure …`."""

from __future__ import annotations

from typing import Any

from gateway.access.erasing import Plan
from gateway.access.proposals import ERASE, LOOK
from gateway.access.subjects import Subject
from gateway.choices import BASES
from gateway.errors import StateError
from gateway.identity.staff import Names
from gateway.lifecycle import ProposalState
from gateway.store.tables import sessions
from gateway.wiring.admin.base import Base, Row, when
from gateway.wiring.duties import erasing_of, proposals_of, subjects_of


class ErasingCommands(Base):
    """Erasing a person takes two people, and so does a look at a recording that shows somebody who was erased."""

    async def _subject(self, given: str, customer: str | None, system: str | None = None) -> Subject:
        place = await self._system(system, customer) if system is not None else None
        whose = place.customer_id if place is not None else (await self._customer(customer) if customer else None)
        return await subjects_of(self._parts).find(given, whose, place.id if place is not None else None)

    async def do_erase(
        self, actor: str, subject: str, basis: str, customer: str | None = None, system: str | None = None,
        dry_run: bool = False,
    ) -> Row:  # fmt: skip
        """The plan, and, unless it is a dry run, the proposal that a second person has to confirm."""
        erasing = erasing_of(self._parts)
        who = await self._subject(subject, customer, system)
        plan = await erasing.plan(who)
        if dry_run:
            return {"state": "dry run: nothing was proposed"} | _planned(plan, basis)
        if plan.holds:
            raise StateError(
                f"a legal hold keeps it: {', '.join(plan.holds)}. Nothing was proposed.",
                next_step="`frameroom hold list` says why; two people can release it.",
            )
        proposal = await erasing.propose(actor, who, basis)
        told = {
            "proposal": proposal,
            "state": f"proposed: nothing is erased until somebody else runs `frameroom erasure confirm {proposal}`",
        }
        return told | _planned(plan, basis)

    async def do_erasure_list(self, actor: str, customer: str | None = None) -> list[Row]:
        """Newest first."""
        log = None if customer is None else await self._customer(customer)
        staff = await self._parts.staff.names()
        return [_told(row, staff) for row in await proposals_of(self._parts).those(ERASE, log=log)]

    async def do_erasure_confirm(self, actor: str, proposal: str) -> Row:
        """The second person's yes: it is carried out."""
        done = await erasing_of(self._parts).confirm(actor, proposal)
        return _told(done, await self._parts.staff.names())

    async def do_erasure_withdraw(self, actor: str, proposal: str) -> Row:
        """Take a proposal back."""
        row = await proposals_of(self._parts).withdraw(actor, proposal)
        return {"proposal": row.id, "state": ProposalState.WITHDRAWN.value}

    async def do_recording_propose(self, actor: str, session: str, purpose: str) -> Row:
        """The first half of a look at a restricted recording."""
        visit = await self._row(sessions, session, "visit", "session list")
        async with self._parts.store.scope(visit.customer_id) as scope:
            made = await proposals_of(self._parts).make(scope, actor, LOOK, visit.id, purpose, {})
        return {"proposal": made, "state": f"proposed: somebody else runs `frameroom recording permit {made}`"}

    async def do_recording_permit(self, actor: str, proposal: str) -> Row:
        """The second half: for a day, the one who proposed it may look."""
        two = proposals_of(self._parts)
        found = await two.find(proposal)
        until = self._parts.audit.clock.now() + 24 * 3_600_000
        async with self._parts.store.scope(found.log_id) as scope:
            row = await two.second(scope, found.id, actor, LOOK)
            await two.move(
                scope, row, ProposalState.ACTIVE, decided_by=actor, decided_ms=self._parts.audit.clock.now(),
                due_ms=until,
            )  # fmt: skip
            data = {
                "proposal": row.id, "basis": row.basis, "until_ms": until, "proposed_by": row.proposed_by,
                "approved_by": actor,
            }  # fmt: skip
            await two.log(scope, "look.permitted", actor, session=row.target, data=data)
        return {"proposal": row.id, "session": row.target, "until": when(until)}


def _planned(plan: Plan, basis: str) -> Row:
    return {
        "subject": plan.subject.id, "who": plan.subject.label, "kind": plan.subject.kind, "basis": BASES[basis],
        "goes": [
            f"{len(plan.keys)} keys, and with them the personal fields of {plan.events} entries",
            *(f"{count} × {name}" for name, count in plan.rows.items()),
        ],
        "stays": plan.stays, "legal holds": list(plan.holds), "not before": when(plan.due_ms),
        "complete": "at once" if plan.pending_ms is None
        else f"when backups of the keys are gone: {when(plan.pending_ms)}",
    }  # fmt: skip


def _told(row: Any, staff: Names) -> Row:
    state = str(row.state)
    if state == ProposalState.PENDING:
        until = f" until {when(row.due_ms)}" if row.due_ms is not None else ""
        why = "backups of the keys are gone" if '"keys"' in row.plan else "the law lets it, or a hold is released"
        blanked = "the keys here are destroyed; " if '"keys"' in row.plan else ""
        state = f"pending: {blanked}complete when {why}{until}"
    return {
        "id": row.id, "subject": row.target, "basis": row.basis, "state": state,
        "proposed by": staff[row.proposed_by], "proposed": when(row.proposed_ms),
        "confirmed by": staff[row.decided_by], "done": when(row.done_ms),
    }  # fmt: skip
