"""What approvers and the engineer read of an answer that was given in the portal. No message carries a decision."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from audit.told import request_words
from gateway.model import Request
from gateway.notify.outbox import approvers_of, queue, zone_of
from gateway.notify.words import plain, when
from gateway.store.engine import Scope
from gateway.store.tables import engineers

_NOT_YOU = "If this was not the person named, ring your telephone maintainer now"


async def _engineer(scope: Scope, request: Request) -> Any:
    return (await scope.execute(select(engineers).where(engineers.c.id == request.engineer_id))).one()


async def answered_yes(
    scope: Scope, request: Request, approver: str, link: str, now: int, *, missing: int, less: bool
) -> None:
    """To every approver: one of them said yes, to exactly these words. `missing`: how many more persons have to;
    `less`: to less than was asked, so that whoever said yes before is asked again."""
    zone, engineer = await zone_of(scope), await _engineer(scope, request)
    if missing:
        state = f"It is not permitted yet: {missing} more of you must say yes.\n"
    else:
        state = f"It is permitted now, until {when(request.until_ms, zone)}.\n"
    again = "It is for less than was asked; a yes that was said to more counts no more.\n" if less else ""
    page = f"The page: {link}\n" if link else ""
    body = (
        f"{plain(approver)} answered on {when(now, zone)}.\n{again}{state}\n"
        f"These are the words that were signed with {plain(approver)}'s own key:\n\n"
        f"  {request_words(request.canonical)}\n\n"
        f"Their digest is {request.digest}.\n{page}{_NOT_YOU} and have the permission ended.\n"
    )
    subject = f"A yes was signed for {plain(engineer.name)}"
    await queue(scope, await approvers_of(scope), "answered", subject, body, now)
    if not missing:
        mail = f"The customer said yes to your request {request.id}.\nUntil: {when(request.until_ms, zone)}\n"
        await queue(scope, [engineer.email], "answered engineer", "The customer said yes", mail, now)


async def answered_no(scope: Scope, request: Request, approver: str, reason: str, now: int) -> None:
    """To every approver and to the engineer: it was refused, by whom and why."""
    zone, engineer = await zone_of(scope), await _engineer(scope, request)
    body = f"{plain(approver)} said no to {plain(engineer.name)} on {when(now, zone)}.\nReason: {plain(reason)}\n"
    subject = f"A request of {plain(engineer.name)} was refused"
    await queue(scope, await approvers_of(scope), "answered", subject, f"{body}{_NOT_YOU}.\n", now)
    mail = f"The customer said no to your request {request.id}.\nReason: {plain(reason)}\n"
    await queue(scope, [engineer.email], "answered engineer", "The customer said no", mail, now)
