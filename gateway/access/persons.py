"""How many persons some approvers count as, where an agreement wants several of them to say yes.

An approver may name another alone, and whoever reads that person's mail has a second yes: so for a week, in which the
others are told and can take the newcomer away, the two count as one person. audit/approvals.py counts the same way.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import select

from gateway.model import DAY
from gateway.store.engine import Scope
from gateway.store.tables import approvers

COUNTS_AS_ONE_MS: Final = 7 * DAY


async def persons(scope: Scope, approver_ids: Collection[str], now: int) -> int:
    """How many persons these approvers of the scope's customer count as at `now` (Unix ms)."""
    if len(approver_ids) < 2:
        return len(approver_ids)
    recent = select(approvers.c.id, approvers.c.named_by).where(
        approvers.c.customer_id == scope.customer_id, approvers.c.added_ms > now - COUNTS_AS_ONE_MS,
        approvers.c.named_by.is_not(None),
    )  # fmt: skip
    named = {row.id: row.named_by for row in await scope.execute(recent)}

    def origin(approver: str) -> str:
        while approver in named:
            approver = named[approver]
        return approver

    return len({origin(approver) for approver in approver_ids})
