"""What would let somebody in, or out of sight, if nobody looked: told at once to all who could object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select

from gateway.notify.outbox import approvers_of, contacts_of, queue, zone_of
from gateway.notify.words import plain, when
from gateway.store.engine import Scope
from gateway.store.tables import approvers, systems

_MOST_LINES: Final = 20
_OBJECT = "If nobody of yours asked for this, ring your telephone maintainer now.\n"


async def approver_added(scope: Scope, name: str, email: str, now: int) -> None:
    """To every other approver: from now on one more person's yes counts."""
    others = [address for address in await approvers_of(scope) if address.casefold() != email.casefold()]
    body = (
        f"{plain(name)} ({plain(email)}) was named as an approver of yours on {when(now, await zone_of(scope))}. "
        "Approvers decide who may come into your phone systems: from now on their yes counts.\n"
        "No new password is sent to them for 30 days, unless one of you confirms them.\n"
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


async def addresses_confirmed(scope: Scope, system_id: str, approver_id: str, right: int, wrong: int, now: int) -> None:
    """To every approver: one of them signed what the addresses of a phone system's people are."""
    here = (systems.c.customer_id == scope.customer_id) & (systems.c.id == system_id)
    system = (await scope.execute(select(systems.c.name).where(here))).scalar_one()
    mine = (approvers.c.customer_id == scope.customer_id) & (approvers.c.id == approver_id)
    by = (await scope.execute(select(approvers.c.name).where(mine))).scalar_one()
    at = when(now, await zone_of(scope))
    body = (
        f"{plain(by)} signed the mail addresses of the people on {plain(system)} on {at}: {right} as right, {wrong} as "
        "wrong. New passwords may be sent to those that are right from now on; an address that differs counts as "
        f"changed.\n{_OBJECT}"
    )
    await queue(scope, await approvers_of(scope), "addresses confirmed", "Mail addresses were confirmed", body, now)


async def asking_changed(scope: Scope, words: str, by: str, addresses: Sequence[str], now: int) -> None:
    """To `addresses`: who is asked when somebody waits is another one now. `by`: an approver's name, "" for staff."""
    who = plain(by) or "Your telephone maintainer"
    body = (
        f"{who} changed who of you is asked when an engineer waits for an answer, on {when(now, await zone_of(scope))}:"
        f"\n\n{plain(words)}\n\nEvery approver may still answer at any time, asked or not.\n{_OBJECT}"
    )
    await queue(scope, addresses, "asking changed", "Who is asked was changed", body, now)


async def log_lost(scope: Scope, lost: int, size: int, now: int) -> None:
    """To every approver and contact: entries of their log are gone, and the maintainer went on without them."""
    zone = await zone_of(scope)
    body = (
        "Part of the log of your phone systems is lost: your telephone maintainer's records were set back to an older "
        f"copy. {lost} entries, those after the first {size}, are gone; on {when(now, zone)} the maintainer went on "
        "without them, and the log says so for good.\n\n"
        "Nobody is permitted in any more: every permission and every link to a new password was ended.\n"
        "What to do: ask your telephone maintainer what was done in that time, and keep the mails that you got of "
        "visits. Each ends with a checkpoint, which proves that there was more.\n"
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
