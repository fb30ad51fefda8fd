"""What approvers read when somebody who is told of visits comes, changes or goes."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.notify.outbox import approvers_of, queue, zone_of
from gateway.notify.words import bullets, plain, when
from gateway.store.engine import Scope

_MAINTAINER = "your telephone maintainer"
_RING = "If that is wrong, ring your telephone maintainer now.\n"


async def contact_changed(
    scope: Scope, name: str, what: str, lines: Sequence[str], by: str, now: int, also: Sequence[str] = ()
) -> None:  # fmt: skip
    """To every approver, and to `also` (the address until now): contacts are who hears of visits.

    `what`: "added", "changed" or "removed"; `by`: an approver's name, "" when the operator did it.
    """
    who = plain(by) or _MAINTAINER
    body = (
        f"{who[0].upper()}{who[1:]} {what} {plain(name)} as a contact of yours on {when(now, await zone_of(scope))}.\n"
        f"{bullets(list(lines))}"
        f"Contacts are told of visits to your phone systems, and nothing else: they permit nothing.\n{_RING}"
    )
    addresses = [*await approvers_of(scope), *also]
    await queue(scope, addresses, "contact changed", f"A contact was {what}: {plain(name)}", body, now)


async def wish_changed(scope: Scope, email: str, wish: str, now: int) -> None:
    """To an approver for whom somebody else chose what they are told of visits."""
    told = {"each": "each of them", "changes": "only those in which something was changed",
            "daily": "all of them, in one mail a day", "none": "none of them"}[wish]  # fmt: skip
    body = (
        f"Your telephone maintainer changed of which visits to your phone systems you are told, on "
        f"{when(now, await zone_of(scope))}: {told}.\nYou choose it yourself in the portal, under My notices.\n{_RING}"
    )
    await queue(scope, [email], "asking changed", "What you are told of visits was changed", body, now)
