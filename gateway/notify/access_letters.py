"""What approvers read when access to their phone systems was switched."""

from __future__ import annotations

from sqlalchemy import select

from gateway.notify.outbox import approvers_of, queue, zone_of
from gateway.notify.words import plain, when
from gateway.store.engine import Scope
from gateway.store.tables import customers


async def access_changed(scope: Scope, words: str, by: str, how: str, now: int) -> None:
    """To every approver at once. `words`: how it stands now."""
    query = select(customers.c.name).where(customers.c.id == scope.customer_id)
    customer = plain((await scope.execute(query)).scalar_one())
    body = (
        f"Access to the phone systems of {customer} was changed on {when(now, await zone_of(scope))}.\n\n"
        f"It is now: {plain(words)}\nAsked for by: {plain(by)} ({plain(how)})\n\n"
        "While it is off, no engineer can come in, whatever else was permitted.\n"
        "If nobody of yours asked for this, ring your telephone maintainer now.\n"
    )
    await queue(
        scope, await approvers_of(scope), "access changed", "Access to your phone systems was changed", body, now
    )
