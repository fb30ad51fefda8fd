"""What people read of signing in to read: by the customer's own provider, and by one-time codes."""

from __future__ import annotations

from gateway.notify.outbox import approvers_of, contacts_of, queue, zone_of
from gateway.notify.words import plain, when
from gateway.store.engine import Scope

WHAT, OWN = "sign-in", "own sign-in"
"""To the customer's people while they are theirs; and to one person, of what is their own, whatever else they wish."""
_READS = "Whoever signs in that way reads; saying yes, and every change, takes a passkey as before.\n"
_RING = "If you did not expect this, ring your telephone maintainer now.\n"


async def provider_set(scope: Scope, name: str, issuer: str, who: str, link: str, now: int) -> None:
    """To approvers and contacts: `who` of them can sign in with an account of this provider from now on."""
    body = (
        f"From {when(now, await zone_of(scope))} on {who} can sign in to read with {plain(name)} ({plain(issuer)}):\n\n"
        f"{link}\n\n{_READS}{_RING}"
    )
    people = [*await approvers_of(scope), *await contacts_of(scope)]
    await queue(scope, people, WHAT, f"You can sign in with {plain(name)}", body, now)


async def provider_removed(scope: Scope, name: str, now: int) -> None:
    """To the same: nobody signs in with it any more."""
    body = (
        f"Signing in with {plain(name)} was ended on {when(now, await zone_of(scope))}, and whoever was signed in that "
        f"way is signed out.\nYour passkeys work as before.\n{_RING}"
    )
    people = [*await approvers_of(scope), *await contacts_of(scope)]
    await queue(scope, people, WHAT, f"Signing in with {plain(name)} has ended", body, now)


async def account_bound(scope: Scope, email: str, name: str, now: int) -> None:
    """To the person: this account is theirs from now on, and no other one of the same address."""
    body = (
        f"An account of {plain(name)} signed in as you on {when(now, await zone_of(scope))}, for the first time.\n"
        f"From now on it alone is you there: no other account, even if it is given your address later.\n{_READS}{_RING}"
    )
    await queue(scope, [email], OWN, "Your account was signed in with", body, now)


async def account_forgotten(scope: Scope, email: str, now: int) -> None:
    """To the person: the next account of their address becomes theirs."""
    body = (
        f"The account that you signed in with was forgotten on {when(now, await zone_of(scope))}. The next account of "
        f"your organisation's that has your address becomes yours.\n{_RING}"
    )
    await queue(scope, [email], OWN, "Your account was forgotten", body, now)


async def codes_turned(scope: Scope, email: str, on: bool, now: int) -> None:
    """To the person: one-time codes are on, or off."""
    at = when(now, await zone_of(scope))
    words = "can sign in to read with a one-time code" if on else "cannot sign in with one-time codes any more"
    body = f"Since {at} you {words}.\n{_READS if on else ''}{_RING}"
    await queue(scope, [email], OWN, f"One-time codes: {'on' if on else 'off'}", body, now)


async def codes_guessed(scope: Scope, email: str, now: int) -> None:
    """To the person: somebody who has their mail tries codes."""
    body = (
        f"Several wrong one-time codes were given for you, the last on {when(now, await zone_of(scope))}. Only whoever "
        "reads the link that was mailed to you can try any.\nIf that was not you, somebody else reads your mail: "
        "sign in with your passkey and turn codes off under Sign-ins.\n"
    )
    await queue(scope, [email], OWN, "Wrong codes were given for you", body, now)


async def code_link(scope: Scope, email: str, customer: str, link: str, until_ms: int, now: int) -> None:
    """To the person: where to give the code."""
    body = (
        f"You asked to sign in to read for {plain(customer)}. Open this link and give the code that your authenticator "
        f"shows; it works once, until {when(until_ms, await zone_of(scope))}:\n\n{link}\n\n"
        "If you did not ask, do nothing: without your authenticator the link opens nothing.\n"
    )
    await queue(scope, [email], OWN, "Your link to sign in", body, now)
