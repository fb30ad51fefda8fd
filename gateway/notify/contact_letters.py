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
