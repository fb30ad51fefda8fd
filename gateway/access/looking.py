"""Who looks at a visit: every look stands in the customer's log before anything is shown."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Select, select

from audit.events import Event, Personal
from audit.log import AuditLog
from audit.tables import entries
from gateway.access.proposals import ERASE
from gateway.lifecycle import ProposalState
from gateway.store.duties import proposals
from gateway.store.engine import Scope

OWN: Final = "customer's own look"
"""Why a customer looks: at what is theirs, nobody has to give a reason."""


def erased_in(customer_id: str, session_id: str) -> Select[Any]:
    """Erasures of persons whom a visit concerned: a row for each, and none where its recording may be shown."""
    shown = select(entries.c.subject).where(
        entries.c.log_id == customer_id, entries.c.session_id == session_id, entries.c.subject.is_not(None)
    )
    return select(proposals.c.id).where(
        proposals.c.log_id == customer_id, proposals.c.what == ERASE, proposals.c.target.in_(shown),
        proposals.c.state.in_((ProposalState.PENDING, ProposalState.DONE)),
    )  # fmt: skip


async def looked(audit: AuditLog, scope: Scope, kind: str, who: str, why: str = OWN, **rest: Any) -> None:
    """Log a look of `who` (an approver's id) in the caller's transaction. `kind`: one of the events `looked.…`."""
    data = {"who": who} | rest.pop("data", {})
    personal = (Personal("why", why, f"customer:{scope.customer_id}"),)
    await audit.append(scope.connection, Event(kind, scope.customer_id, who, data=data, personal=personal, **rest))
