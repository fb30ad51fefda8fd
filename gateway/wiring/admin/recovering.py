"""`frameroom recovery …`: a key for a customer who has none left, by two people and after 72 h."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from gateway.access.proposals import RECOVER
from gateway.access.recovering import Recovered
from gateway.errors import InvalidError
from gateway.identity.staff import Names
from gateway.lifecycle import ProposalState
from gateway.store.tables import approvers
from gateway.wiring.admin.base import Row, when
from gateway.wiring.admin.customers import CustomerCommands
from gateway.wiring.duties import proposals_of, recovering_of


class RecoveryCommands(CustomerCommands):
    """Recoveries of approvers' keys."""

    async def do_recovery_propose(
        self, actor: str, customer: str, basis: str, approver: str | None = None, name: str | None = None,
        email: str | None = None, phone: str = "",
    ) -> Row:  # fmt: skip
        """The first of the two."""
        customer_id = await self._customer(customer)
        if (approver is None) == (email is None):
            raise InvalidError(
                "say who is to get a key: an approver of theirs, or a new person",
                next_step="Give --approver NAME, or --name, --email and --phone.",
            )
        if approver is not None:
            approver_id = await self._person(customer_id, approvers, "approver", approver)
            async with self._parts.store.look(customer_id) as scope:
                row = (await scope.execute(select(approvers).where(approvers.c.id == approver_id))).one()
            who = Recovered(approver_id, row.name, row.email, row.phone)
        else:
            who = Recovered("", name or "", email or "", phone)
        made = await recovering_of(self._parts).propose(actor, customer_id, who, basis)
        return {
            "proposal": made, "for": f"{who.name} ({who.email})",
            "state": f"proposed: nothing happens until somebody else runs `frameroom recovery confirm {made}`",
        }  # fmt: skip

    async def do_recovery_list(self, actor: str, customer: str | None = None) -> list[Row]:
        """Newest first."""
        log = None if customer is None else await self._customer(customer)
        staff = await self._parts.staff.names()
        return [_told(row, staff) for row in await proposals_of(self._parts).those(RECOVER, log=log)]

    async def do_recovery_confirm(self, actor: str, proposal: str) -> Row:
        """The second person's yes: everybody is told, and 72 h later the invitation goes out."""
        begun = await recovering_of(self._parts).confirm(actor, proposal)
        return _told(begun, await self._parts.staff.names())

    async def do_recovery_stop(self, actor: str, proposal: str) -> Row:
        """End one that is on its way, or was only proposed."""
        await recovering_of(self._parts).stop(actor, proposal)
        return {"proposal": proposal, "state": ProposalState.WITHDRAWN.value}


def _told(row: Any, staff: Names) -> Row:
    who, state = json.loads(row.plan), str(row.state)
    if state == ProposalState.PENDING:
        state = f"pending: the invitation goes out on {when(row.due_ms)}"
    return {
        "id": row.id, "for": f"{who['name']} ({who['email']})", "basis": row.basis, "state": state,
        "proposed by": staff[row.proposed_by], "proposed": when(row.proposed_ms),
        "confirmed by": staff[row.decided_by],
    }  # fmt: skip
