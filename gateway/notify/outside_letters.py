"""What people read of visits that Frameroom is not in between at. Each message says that they are not recorded here."""

from __future__ import annotations

import textwrap
from typing import Any, Final

from sqlalchemy import select

from gateway.model import Grant
from gateway.notify.letters import because, given_by, names_of
from gateway.notify.outbox import anybody_wishes, queue, tell_contacts, zone_of
from gateway.notify.words import plain, when
from gateway.store.engine import Scope
from gateway.store.tables import engineers, grants, requests

NOT_RECORDED: Final = (
    "Not recorded here: the engineer works on your premises or with the phone system's own programs, and Frameroom is "
    "not in between, so it cannot show or prove what was done."
)
"""What stands wherever such a visit is shown to its customer: the label, and why."""
NOT_TOLD: Final = "Not told yet: the engineer has not said what was done."
_WIDTH: Final = 96


def quoted(words: str) -> str:
    """What somebody wrote, line by line and marked as theirs; nothing in it can look like words of ours."""
    lines = [part for line in words.split("\n") for part in textwrap.wrap(plain_line(line), _WIDTH) or [""]]
    return "".join(f"  | {line}".rstrip() + "\n" for line in lines)


def plain_line(line: str) -> str:
    """One line of it, made harmless as `plain` does and however long."""
    pieces = [line[at : at + _PIECE] for at in range(0, len(line), _PIECE)]
    return " ".join(filter(None, (plain(piece) for piece in pieces)))


_PIECE: Final = 250


async def _about(scope: Scope, grant_id: str) -> tuple[Any, str]:
    """The permission, and why and by whom it was given, in lines."""
    here = (grants.c.customer_id == scope.customer_id) & (grants.c.id == grant_id)
    grant = (await scope.execute(select(grants).where(here))).one()
    asked = (requests.c.customer_id == scope.customer_id) & (requests.c.id == grant.request_id)
    row = (await scope.execute(select(requests.c.ticket, requests.c.reason).where(asked))).one()
    permission = f"Permission: {plain(grant.how)}{await given_by(scope, grant.approver_ids.split())}\n"
    return grant, because(row.ticket, row.reason) + permission


async def outside_began(scope: Scope, grant: Grant, visit_id: str, now: int) -> None:
    """Somebody began one."""
    if not await anybody_wishes(scope, "each"):
        return
    names, zone = await names_of(scope, grant.engineer_id, grant.system_id), await zone_of(scope)
    _, about = await _about(scope, grant.id)
    body = (
        f"{names.who} began a visit to {names.system} ({names.customer}) on {when(now, zone)}.\n\n"
        f"{NOT_RECORDED}\n\n{about}It ends on {when(grant.until_ms, zone)} at the latest. When it is over, the "
        f"engineer writes down what was done, and you are told.\nIn your log it stands under {visit_id}.\n"
    )
    subject = f"{names.engineer} visits {names.system} (not recorded here)"
    await tell_contacts(scope, ("each",), "visit opened", subject, body, now)


async def outside_told(scope: Scope, visit: Any, words: str, *, late: bool, now: int) -> None:
    """It is over, and the engineer says what was done; `late`: some time after its end."""
    if not await anybody_wishes(scope, "each", "changes", "daily"):
        return
    names, zone = await names_of(scope, visit.engineer_id, visit.system_id), await zone_of(scope)
    _, about = await _about(scope, visit.grant_id)
    after = f"It was told after the end, on {when(now, zone)}.\n" if late else ""
    body = (
        f"{names.who} says what was done on a visit to {names.system} ({names.customer}).\n\n{NOT_RECORDED}\n\n"
        f"Began: {when(visit.started_ms, zone)}\nEnded: {when(visit.ended_ms, zone)}, because {plain(visit.reason)}\n"
        f"{about}\nIn the engineer's own words:\n\n{quoted(words)}\n{after}In your log it stands under {visit.id}.\n"
    )
    subject = f"{names.engineer} visited {names.system} (not recorded here)"
    await tell_contacts(scope, ("each", "changes"), "visit closed", subject, body, now, daily=True)


async def outside_over(scope: Scope, visit: Any, now: int) -> None:
    """It was ended, and nobody has said what was done: to the customer as they wish, and to the engineer."""
    names, zone = await names_of(scope, visit.engineer_id, visit.system_id), await zone_of(scope)
    ended = f"on {when(now, zone)}, because {plain(visit.reason)}"
    body = (
        f"The visit of {names.who} to {names.system} ({names.customer}) ended {ended}.\n\n{NOT_RECORDED}\n\n"
        f"Began: {when(visit.started_ms, zone)}\n\n{NOT_TOLD} You are told when that is done.\n"
        "Frameroom cannot see whether the engineer has left: if they should not be there any more, tell them so.\n"
        f"In your log it stands under {visit.id}.\n"
    )
    subject = f"Ended: the visit of {names.engineer} to {names.system} (not recorded here, not told yet)"
    await tell_contacts(scope, ("each", "changes"), "visit closed", subject, body, now, daily=True)
    address = (await scope.execute(select(engineers.c.email).where(engineers.c.id == visit.engineer_id))).scalar_one()
    mine = (
        f"Your visit to {names.system} ({names.customer}) ended {ended}. You are permitted nothing there any more: "
        'stop what you are doing.\n\nThen say what was done: visit done "WHAT WAS DONE"\nUntil then the customer reads '
        "that it was not told yet.\n"
    )
    await queue(scope, [address], "own visit ended", f"Your visit to {names.system} has ended", mine, now)
