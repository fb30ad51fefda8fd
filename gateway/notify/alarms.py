"""What would let somebody in, or out of sight, if nobody looked: told at once to all who could object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select

from gateway.notify.outbox import approvers_of, contacts_of, queue, zone_of
from gateway.notify.words import plain, when
from gateway.store.engine import Scope
from gateway.store.tables import systems

_MOST_LINES: Final = 20
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


async def foreign_logins(scope: Scope, system: str, logins: Sequence[tuple[int, str]], now: int) -> None:
    """To every approver and contact: the credential that we keep for `system` was used, and not by us.

    `logins`: when (Unix ms, by the phone system's clock) and from where.
    """
    zone = await zone_of(scope)
    lines = [f"  {when(at_ms, zone)}, from {plain(address)}" for at_ms, address in logins[:_MOST_LINES]]
    if len(logins) > _MOST_LINES:
        lines.append(f"  and {len(logins) - _MOST_LINES} more; your maintainer's log has them all")
    listed = "\n".join(lines)
    body = (
        f"Somebody signed in to {plain(system)} with the login that we keep for it, and it was none of our visits. "
        f"Its own record shows, by its own clock:\n\n{listed}\n\n"
        f"We saw it on {when(now, zone)}. That login may be known to somebody who should not have it. Change its "
        "password or key at the phone system and give us the new one; until then, switch access for us off there.\n"
        "Ring your telephone maintainer now.\n"
    )
    addresses = [*await approvers_of(scope), *await contacts_of(scope)]
    await queue(scope, addresses, "foreign login", "Somebody else used our login to your phone system", body, now)
