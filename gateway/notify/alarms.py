"""What would let somebody in, or out of sight, if nobody looked: told at once to all who could object."""

from __future__ import annotations

from sqlalchemy import select

from gateway.notify.outbox import approvers_of, contacts_of, queue, zone_of
from gateway.notify.words import plain, when
from gateway.store.engine import Scope
from gateway.store.tables import approvers, systems

_OBJECT = "If nobody of yours asked for this, ring your telephone maintainer now.\n"


async def approver_added(scope: Scope, name: str, email: str, now: int) -> None:
    """To every other approver: from now on one more person's yes counts."""
    others = [address for address in await approvers_of(scope) if address.casefold() != email.casefold()]
    body = (
        f"{plain(name)} ({plain(email)}) was named as an approver of yours on {when(now, await zone_of(scope))}: from "
        f"now on their yes counts. No new password is sent to them for 30 days, unless one of you confirms them.\n"
        f"{_OBJECT}"
    )
    await queue(scope, others, "approver added", "A new approver was named", body, now)


async def approver_confirmed(scope: Scope, name: str, email: str, how: str, by: str, now: int) -> None:
    """To every approver: somebody was vouched for, so that new passwords may be sent to them."""
    body = (
        f"{plain(by)} confirmed {plain(name)} ({plain(email)}) as an approver ({plain(how)}), so it was entered on "
        f"{when(now, await zone_of(scope))}. New passwords may be sent to them from now on.\n{_OBJECT}"
    )
    await queue(scope, await approvers_of(scope), "approver confirmed", "An approver was confirmed", body, now)


async def address_confirmed(
    scope: Scope, system_id: str, extension: str, email: str, how: str, by: str, now: int
) -> None:
    """To every approver: a user's address was vouched for, so that new passwords may be sent there."""
    here = (systems.c.customer_id == scope.customer_id) & (systems.c.id == system_id)
    system = (await scope.execute(select(systems.c.name).where(here))).scalar_one()
    body = (
        f"{plain(by)} confirmed {plain(email)} as the address of extension {plain(extension)} on {plain(system)} "
        f"({plain(how)}), so it was entered on {when(now, await zone_of(scope))}. New passwords of that extension may "
        f"be sent there from now on.\n{_OBJECT}"
    )
    await queue(scope, await approvers_of(scope), "address confirmed", "An address was confirmed", body, now)


async def log_lost(scope: Scope, lost: int, size: int, now: int) -> None:
    """To every approver and contact: entries of their log are gone, and the maintainer went on without them."""
    zone = await zone_of(scope)
    body = (
        f"Your maintainer's database was set back. {lost} entries of the log of your phone systems, after the first "
        f"{size}, are lost; on {when(now, zone)} the maintainer went on without them. The log says so for good.\n"
        "Every permission and one-time link was ended. Who holds a checkpoint of the log can prove that there was "
        f"more.\nAsk your telephone maintainer what happened in that time.\n"
    )
    addresses = [*await approvers_of(scope), *await contacts_of(scope)]
    await queue(scope, addresses, "log lost", "Part of your log was lost", body, now)


async def approver_removed(scope: Scope, name: str, email: str, now: int) -> None:
    """To every approver, and to the one who is none any more."""
    body = f"{plain(name)} is no approver of yours any more, since {when(now, await zone_of(scope))}.\n{_OBJECT}"
    addresses = [*await approvers_of(scope), email]
    await queue(scope, addresses, "approver removed", "An approver was removed", body, now)


async def _ever(scope: Scope) -> list[str]:
    """Everybody who can object: contacts, and whoever is or was an approver."""
    once = select(approvers.c.email).where(approvers.c.customer_id == scope.customer_id)
    return [*(await scope.execute(once)).scalars(), *await contacts_of(scope)]


async def recovery_begun(scope: Scope, name: str, email: str, why: str, due_ms: int, now: int) -> None:
    """To everybody, former approvers too: in 72 h somebody will be able to say yes who cannot now."""
    zone = await zone_of(scope)
    body = (
        f"Your telephone maintainer will invite {plain(name)} ({plain(email)}) to make a new key on "
        f"{when(due_ms, zone)}, because {why}. With it they can say who may come into your telephone system.\n"
        "Until then nobody's yes counts, and nobody new comes in.\n\n"
        'If this is not what you want, stop it: whoever still has a passkey signs in and presses "Stop it" under '
        f"People; otherwise ring your telephone maintainer now.\nTold on {when(now, zone)}.\n"
    )
    await queue(scope, await _ever(scope), "recovery", "A new key for your telephone system is coming", body, now)


async def recovery_stopped(scope: Scope, name: str, now: int) -> None:
    """To the same people: nothing comes of it."""
    body = f"The recovery of a key for {plain(name)} was stopped on {when(now, await zone_of(scope))}.\n"
    await queue(scope, await _ever(scope), "recovery", "A recovery was stopped", body, now)
