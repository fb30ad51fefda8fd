"""What approvers read of their own keys. No message carries a decision or a telephone's secret."""

from __future__ import annotations

from gateway.notify.outbox import approvers_of, queue, zone_of
from gateway.notify.words import plain, when
from gateway.store.engine import Scope

_RING = "If you did not expect this, ring your telephone maintainer now.\n"


async def invited(scope: Scope, name: str, email: str, link: str, until_ms: int, now: int) -> None:
    """To the person: the link with which they make their passkey, once."""
    body = (
        f"{plain(name)},\n\nyou are to decide who may come into your telephone system, for what and how long.\n"
        "Open this link on the telephone or computer that you will use for that; it works once:\n\n"
        f"{link}\n\nIt holds until {when(until_ms, await zone_of(scope))}. Give it to nobody.\n{_RING}"
    )
    await queue(scope, [email], "invitation", "You are asked to be an approver", body, now)


async def enrolled(scope: Scope, name: str, fingerprint: str, by_operator: bool, now: int) -> None:
    """To every approver: there is a new key whose yes counts."""
    by = "your telephone maintainer" if by_operator else "an approver of yours"
    body = (
        f"{plain(name)} made a passkey on {when(now, await zone_of(scope))}, invited by {by}. From now on it can say "
        f"yes for you.\n\nIts fingerprint is {fingerprint}\nWrite it on your copy of the agreement.\n\n{_RING}"
    )
    await queue(scope, await approvers_of(scope), "passkey", f"A new approver's key: {plain(name)}", body, now)


async def passkeys_removed(scope: Scope, name: str, now: int) -> None:
    """To every approver: a key counts no more."""
    body = f"The passkeys of {plain(name)} were removed on {when(now, await zone_of(scope))}.\n\n{_RING}"
    await queue(scope, await approvers_of(scope), "passkey", f"Key removed: {plain(name)}", body, now)
