"""What approvers read when access to their phone systems, or what may be typed at one's prompt, was switched."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from gateway.notify.outbox import approvers_of, queue, zone_of
from gateway.notify.words import bullets, plain, when
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


async def console_changed(scope: Scope, system: str, commands: Sequence[str], by: str, how: str, now: int) -> None:
    """To every approver at once: what more may be typed at a phone system's prompt is another list now."""
    listed = bullets(list(commands)) if commands else "  nothing more than the usual list\n"
    body = (
        f"What engineers may type at the prompt of {plain(system)}, besides the usual list, was changed on "
        f"{when(now, await zone_of(scope))}. It is now:\n\n{listed}\n"
        f"Asked for by: {plain(by)} ({plain(how)})\n\n"
        "It needs your permission for a visit besides, as everything does.\n"
        "If nobody of yours asked for this, ring your telephone maintainer now.\n"
    )
    title = "What may be typed at a phone system's prompt was changed"
    await queue(scope, await approvers_of(scope), "console changed", title, body, now)
