"""What the customer reads: each message in plain words, written with the change that it tells of.

No message carries a decision or a secret. (The one mail that carries a link goes out from the reset's own child process
and never touches the outbox.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, delete, func, select, update

from audit.tables import entries
from connectors.contract import Person
from gateway.model import MINUTE, Grant, Request
from gateway.notify.outbox import anybody_wishes, approvers_of, queue, tell_contacts, zone_of
from gateway.notify.words import LOOKED, SECRETS, WORDS, bullets, people_seen, plain, times, when
from gateway.store.engine import Scope
from gateway.store.tables import (
    approvers,
    customers,
    engineers,
    grants,
    operations,
    outbox,
    requests,
    sessions,
    systems,
)

LINES: Final = 200
"""Of a list that a person still reads."""
_RING: Final = "If you did not expect this, ring your telephone maintainer now.\n"


@dataclass(frozen=True, slots=True)
class Told:
    """What a visit came to. `lines`: what was changed, reset or run, one line each. `seen`: how many people, None when
    it cannot be told; `at_most` when only that is known. `ended`: why the visit ended."""

    lines: Sequence[str]
    seen: int | None
    changed: bool
    ended: str
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """Of an engineer and of where they are, made harmless."""

    engineer: str
    role: str
    system: str
    customer: str

    @property
    def who(self) -> str:
        """Ana Silva (engineer of your telephone maintainer)."""
        return f"{self.engineer} ({self.role})"


async def names_of(scope: Scope, engineer_id: str, system_id: str) -> Names:
    """Of an engineer and a phone system of the scope's customer."""
    engineer = (await scope.execute(select(engineers).where(engineers.c.id == engineer_id))).one()
    here = (systems.c.customer_id == scope.customer_id) & (systems.c.id == system_id)
    system = (await scope.execute(select(systems.c.name).where(here))).scalar_one()
    customer = (await scope.execute(select(customers.c.name).where(customers.c.id == scope.customer_id))).scalar_one()
    role = ", ".join(["engineer of your telephone maintainer", *sorted(engineer.roles.split())])
    return Names(plain(engineer.name), plain(role), plain(system), plain(customer))


async def _why(scope: Scope, request_id: str) -> str:
    here = (requests.c.customer_id == scope.customer_id) & (requests.c.id == request_id)
    row = (await scope.execute(select(requests.c.ticket, requests.c.reason).where(here))).one()
    return because(row.ticket, row.reason)


def at_most(lines: Sequence[str], unlisted: int = 0) -> list[str]:
    """A list that a person still reads: of a long one (a file of changes) its beginning, and how much more."""
    more = max(0, len(lines) - LINES) + unlisted
    return list(lines) if more <= 0 else [*lines[:LINES], f"and {more} more, each in the visit's log"]


def because(ticket: str, reason: str) -> str:
    """Why they come, as they gave it."""
    return f"Why: {plain(reason) or 'no reason was given'}\nTicket: {plain(ticket) or 'none'}\n"


async def consent_recorded(
    scope: Scope, request: Request, how: str, approver: str, at_ms: int, now: int, missing: int
) -> None:
    """To every approver at once: a yes was entered for you. `missing`: how many more persons have to say yes."""
    names, zone = await names_of(scope, request.engineer_id, request.system_id), await zone_of(scope)
    state = "It is permitted now." if not missing else f"It is not permitted yet: {missing} more must say yes."
    body = (
        f"A yes given by telephone was entered for you ({plain(how)}). {state}\n\n"
        f"Said yes: {plain(approver)}, {when(at_ms, zone)}\nWho may come in: {names.who}\n"
        f"Phone system: {names.system} ({names.customer})\nUntil: {when(request.until_ms, zone)}\n"
        f"{because(request.ticket, request.reason)}"
        f"What they may do:\n{bullets([WORDS[o] for o in sorted(request.operations)])}\n"
        "If nobody of yours said this yes, ring your telephone maintainer now and have it ended.\n"
    )
    subject = f"A yes by telephone was entered: {names.engineer}"
    await queue(scope, await approvers_of(scope), "consent by telephone", subject, body, now)


async def revoked(scope: Scope, grant: Grant, reason: str, now: int) -> None:
    """Permission was ended."""
    names, zone = await names_of(scope, grant.engineer_id, grant.system_id), await zone_of(scope)
    body = (
        f"The permission of {names.who} for {names.system} ({names.customer}) was ended on {when(now, zone)}.\n"
        f"Reason: {plain(reason) or 'none was given'}\n"
    )
    subject = f"Ended: the permission of {names.engineer}"
    await tell_contacts(scope, ("each", "changes"), "revoked", subject, body, now, daily=True)


async def visit_opened(scope: Scope, grant: Grant, now: int) -> None:
    """Somebody is in."""
    if not await anybody_wishes(scope, "each"):
        return
    names, zone = await names_of(scope, grant.engineer_id, grant.system_id), await zone_of(scope)
    body = (
        f"{names.who} came into {names.system} ({names.customer}) on {when(now, zone)}.\n\n"
        f"{await _why(scope, grant.request_id)}"
        f"Permission: {plain(grant.how)}; it ends on {when(grant.until_ms, zone)}.\n"
        f"What they may do:\n{bullets([WORDS[o] for o in sorted(grant.operations)])}"
    )
    await tell_contacts(scope, ("each",), "visit opened", f"{names.engineer} is in {names.system}", body, now)


async def visit_closed(scope: Scope, session_id: str, told: Told, now: int) -> None:
    """What was done, in plain words."""
    wishes = ("each", "changes") if told.changed else ("each",)
    if not await anybody_wishes(scope, *wishes, "daily"):
        return
    here = (sessions.c.customer_id == scope.customer_id) & (sessions.c.id == session_id)
    session = (await scope.execute(select(sessions).where(here))).one()
    its = (grants.c.customer_id == scope.customer_id) & (grants.c.id == session.grant_id)
    grant = (await scope.execute(select(grants).where(its))).one()
    names, zone = await names_of(scope, session.engineer_id, session.system_id), await zone_of(scope)
    body = (
        f"{names.who} left {names.system} ({names.customer}) on {when(now, zone)}.\n\n"
        f"Came in: {when(session.opened_ms, zone)}\n{await _why(scope, grant.request_id)}"
        f"Permission: {plain(grant.how)}{await given_by(scope, grant.approver_ids.split())}\n\n"
        f"What was looked at:\n{bullets(await looked(scope, session_id, told))}\n"
        f"What was done:\n{bullets(at_most(told.lines) or ['nothing was changed'])}\n"
        f"The visit ended because {plain(told.ended)}.\n"
        f"It left {await _entries_of(scope, session_id)} entries in your log, under {session_id}.\n"
    )
    subject = f"{names.engineer} left {names.system}"
    await tell_contacts(scope, wishes, "visit closed", subject, body, now, daily=True)


async def _entries_of(scope: Scope, session_id: str) -> int:
    query = select(func.count()).where(entries.c.log_id == scope.customer_id, entries.c.session_id == session_id)
    return int((await scope.execute(query)).scalar_one())


async def given_by(scope: Scope, approver_ids: list[str]) -> str:
    """What follows the words of a permission: who said yes; "" when that is nobody."""
    query = select(approvers.c.name).where(
        approvers.c.customer_id == scope.customer_id, approvers.c.id.in_(approver_ids)
    )
    said_yes = sorted(plain(name) for name in (await scope.execute(query)).scalars())
    return f"; {', '.join(said_yes)} said yes" if said_yes else ""


async def looked(scope: Scope, session_id: str, told: Told) -> list[str]:
    """What was looked at in a visit, a line for each kind of look."""
    query = (
        select(operations.c.name, func.count())
        .where(operations.c.customer_id == scope.customer_id, operations.c.session_id == session_id)
        .where(operations.c.state == "done", operations.c.name.in_(LOOKED))
        .group_by(operations.c.name)
        .order_by(operations.c.name)
    )
    lines = [f"{LOOKED[name]}, {times(count)}" for name, count in (await scope.execute(query)).all()]
    if told.seen:
        lines.append(people_seen(told.seen, at_most=told.at_most))
    return lines or ["nobody's details"]


async def person_changed(
    scope: Scope, before: Person, told: str, *, email_changed: bool, now: int, to_approvers: bool = True,
    zone: str | None = None,
) -> None:  # fmt: skip
    """An email or number that changes is told to the old address and to every approver at once (architecture 6).

    Not `to_approvers`: they are told of a whole file of changes, by file_applied. `zone`: the customer's, where it was
    just looked up.
    """
    addresses = await approvers_of(scope) if to_approvers else []
    if email_changed and before.email:
        addresses.append(before.email)
    at = when(now, ZoneInfo(zone) if zone else await zone_of(scope))
    body = (
        f"{plain(before.name)} (extension {plain(before.extension)}) was changed on {at}: "
        f"{plain(told)}.\nIf nobody of yours asked for this, ring your telephone maintainer now.\n"
    )
    await queue(scope, addresses, "address changed", "A telephone user was changed", body, now)


@dataclass(frozen=True, slots=True)
class FileApplied:
    """What a file of changes came to. `lines`: what was done, one line each, and `more` that are not listed;
    `counted`: rows by result. `addresses`: an email or number was among it, so that approvers are told too."""

    grant: Grant
    counted: Mapping[str, int]
    lines: Sequence[str]
    more: int
    addresses: bool

    @property
    def in_short(self) -> str:
        """One line, for the mail at the visit's end."""
        counted = ", ".join(f"{number} {result}" for result, number in sorted(self.counted.items()))
        return f"a file of changes was applied ({counted}); a mail of its own tells what it changed"


async def file_applied(scope: Scope, told: FileApplied, now: int) -> None:
    """One mail for a whole file: to contacts as they wish, and to every approver when addresses or numbers changed."""
    names, zone = await names_of(scope, told.grant.engineer_id, told.grant.system_id), await zone_of(scope)
    counted = bullets([f"{number} {_ROWS[result]}" for result, number in sorted(told.counted.items())])
    body = (
        f"{names.who} applied a file of changes to {names.system} ({names.customer}) on {when(now, zone)}.\n\n"
        f"{await _why(scope, told.grant.request_id)}\nRows of the file:\n{counted}\n"
        f"What was done:\n{bullets(at_most(told.lines, told.more))}\n{_RING}"
    )
    subject = f"{names.engineer} applied a file of changes to {names.system}"
    also = await approvers_of(scope) if told.addresses else []
    await tell_contacts(scope, ("each", "changes"), "file applied", subject, body, now, daily=True, also=also)


_ROWS: Final = {
    "done": "done", "same": "had nothing to change", "refused": "refused, nothing was changed",
    "unknown": "tried, and it cannot be told whether it happened",
}  # fmt: skip
HELD_MS: Final = 10 * MINUTE
"""How long approvers are not told of a file's changes of addresses and numbers, when it does not come to its end."""


@dataclass(slots=True)
class Held:
    """What approvers are told of a file that never came to its end: waiting in the outbox, `due_ms`, by message id."""

    names: Names
    due_ms: int
    lines: list[str] = field(default_factory=list)
    more: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """One change more."""
        if len(self.lines) < LINES:
            self.lines.append(bullets([line]))  # made harmless once, and not again with each that follows
        else:
            self.more += 1

    def body(self) -> str:
        """What is told as it stands."""
        names = self.names
        return (
            f"{names.who} is changing users of {names.system} ({names.customer}) from a file:\n"
            f"{''.join(self.lines)}{bullets(at_most((), self.more))}\nIf nobody asked for this, ring us now.\n"
        )


_HELD: Final = (outbox.c.customer_id == bindparam("of_customer")) & (outbox.c.due_ms == bindparam("of_due"))
_HELD_ONES: Final = _HELD & outbox.c.id.in_(bindparam("of_ids", expanding=True))
# Built once: a file of a thousand changes asks it a thousand times.
_REWRITTEN: Final = update(outbox).where(_HELD_ONES).values(body=bindparam("of_body"))
_TAKEN_BACK: Final = delete(outbox).where(_HELD_ONES)


async def hold_for_approvers(scope: Scope, held: Held | None, grant: Grant, line: str, now: int) -> Held:
    """One change more of a file that goes on. It waits for the file's end, or HELD_MS: then it goes out as it is."""
    if held is not None:
        held.add(line)
        done = await scope.execute(_REWRITTEN, _of(scope, held) | {"of_body": held.body()})
        if held.ids and done.rowcount == len(held.ids):
            return held
    # The first one, or some of it is on its way already (its time was put off): what follows is a mail of its own.
    names = held.names if held is not None else await names_of(scope, grant.engineer_id, grant.system_id)
    held = Held(names, now + HELD_MS)
    held.add(line)
    addresses = await approvers_of(scope)
    held.ids = await queue(
        scope, addresses, "file applied", "Telephone users are being changed", held.body(), now, due_ms=held.due_ms
    )
    return held


def _of(scope: Scope, held: Held) -> dict[str, Any]:
    return {"of_customer": scope.customer_id, "of_due": held.due_ms, "of_ids": held.ids}


async def let_go(scope: Scope, held: Held | None) -> None:
    """The file came to its end, and file_applied tells of it: what was held for that is not sent."""
    if held is not None:
        await scope.execute(_TAKEN_BACK, _of(scope, held))


async def reset_told(scope: Scope, addresses: Sequence[str], kind: str, went_to: str, now: int) -> None:
    """To the user, at the address they have and had, when the new secret went to somebody else."""
    body = (
        f"Your {SECRETS[kind]} was reset on {when(now, await zone_of(scope))}. Nobody has seen the new one: it went to "
        f"{plain(went_to)}, who will give it to you.\n{_RING}"
    )
    await queue(scope, addresses, "user told", f"Your {SECRETS[kind]} was reset", body, now)


async def key_changed(scope: Scope, handover: str, vkey: str, now: int) -> None:
    """To every approver: the log is signed with a new key, which the old one signed over."""
    body = (
        "Every visit to your phone systems is written into a log, which is signed, so that nobody can change it "
        f"unseen. Since {when(now, await zone_of(scope))} it is signed with a new key:\n\n  {vkey}\n\n"
        "Please write this key beside the old one on your copy of the agreement. Nothing else is needed: what you were "
        "sent before still holds, and this note, signed with both keys, joins them. Keep it with the agreement:\n\n"
        f"{handover}\n{_RING}"
    )
    await queue(scope, await approvers_of(scope), "key changed", "The key of your log was changed", body, now)


async def reset_undelivered(
    scope: Scope, engineer_id: str, system_id: str, kind: str, person: str, to: str, *, certain: bool, now: int
) -> None:
    """To the engineer and every approver: the new secret reached nobody (or, not `certain`, perhaps nobody).

    `person` and `to` are words: "Grace (extension 2001)", "k…@customer.example"; a name goes to approvers alone.
    """
    names, zone = await names_of(scope, engineer_id, system_id), await zone_of(scope)
    went = (
        f"could not be delivered to {to}, and its link opens no more"
        if certain
        else f"may not have reached {to}: Frameroom was stopped while it was being sent"
    )
    following = "" if certain else "If no mail has come within half an hour, the same holds:\n"
    what = f"The new {SECRETS[kind]} of {plain(person)} on {names.system} ({names.customer}) {went}.\n\n{following}"
    now_known = "The phone system has the new one already, and nobody knows it. "
    to_approvers = f"{what}{now_known}Ask {names.engineer} to reset it once more.\nTold on {when(now, zone)}.\n"
    to_engineer = f"{what}{now_known}Reset it once more; see first that mail to {to} arrives.\n"
    subject = "A new telephone password was not delivered" if certain else "A new telephone password may be lost"
    await queue(scope, await approvers_of(scope), "undelivered", subject, to_approvers, now)
    mail: Any = (await scope.execute(select(engineers.c.email).where(engineers.c.id == engineer_id))).scalar_one()
    await queue(scope, [mail], "undelivered", subject, to_engineer, now)
