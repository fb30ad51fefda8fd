"""What approvers read when somebody waits for them: by mail in full, by another channel who waits and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from sqlalchemy import select

from gateway.notify.deliveries import MAIL, Occasion, note
from gateway.notify.letters import Names, because, names_of
from gateway.notify.outbox import put, zone_of
from gateway.notify.turns import Turn
from gateway.notify.words import WORDS, bullets, plain, when
from gateway.store.engine import Scope
from gateway.store.telling_tables import channels

WAITING: Final = "request waiting"
REMINDER: Final = "request reminder"
_NAME: Final = 60
"""Characters of a name in a message that may be charged by its length."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, of a request or of its row. `link`: the page where it is answered, "" when there is none."""

    id: str
    system_id: str
    engineer_id: str
    operations: tuple[str, ...]
    from_ms: int
    until_ms: int
    ticket: str
    reason: str
    link: str

    @classmethod
    def of(cls, given: Any, link: str) -> Self:
        """Of a model.Request, or of a row of `requests`, whose operations are words in one text."""
        words = given.operations.split() if isinstance(given.operations, str) else given.operations
        return cls(
            given.id, given.system_id, given.engineer_id, tuple(sorted(str(word) for word in words)), given.from_ms,
            given.until_ms, given.ticket, given.reason, link,
        )  # fmt: skip


def _short(name: str) -> str:
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"


def _why_you(turn: Turn, occasion: Occasion) -> str:
    """Why it is this person who is asked, where that is not plain."""
    if occasion is Occasion.REMINDED:
        return "This is a reminder: nobody has answered yet.\n\n"
    if occasion is Occasion.DEPUTY:
        return f"You stand in for {plain(turn.instead_of)}, who was asked and has not answered.\n\n"
    if turn.instead_of:
        return f"You stand in for {plain(turn.instead_of)}, who is away.\n\n"
    return "You are asked because those before you have not answered.\n\n" if occasion is Occasion.NEXT else ""


def _letter(names: Names, request: Question, intro: str, begins: str, ends: str) -> str:
    where = f"Say yes or no here, with your passkey:\n{request.link}\n\n" if request.link else ""
    return (
        f"{intro}{names.who} asks to come into {names.system} ({names.customer}) and waits for your answer.\n\n{where}"
        f"{because(request.ticket, request.reason)}From: {begins}\nUntil: {ends}\n"
        f"What they would do:\n{bullets([WORDS[o] for o in request.operations])}\n"
        f"Nothing is permitted before you say so. This is request {request.id}.\n"
    )


async def ask(scope: Scope, request: Question, turns: Sequence[Turn], occasion: Occasion, now: int) -> None:
    """Ask each of these by mail and by every channel of theirs, in the caller's transaction."""
    names, zone = await names_of(scope, request.engineer_id, request.system_id), await zone_of(scope)
    begins, ends = when(request.from_ms, zone), when(request.until_ms, zone)
    again = occasion is Occasion.REMINDED
    what = REMINDER if again else WAITING
    subject = f"{'Still waiting' if again else 'Waiting'} for your answer: {names.engineer}"
    line = f"{_short(names.engineer)} {'still waits' if again else 'waits'} for an answer about {_short(names.system)}."
    ways = select(channels).where(
        channels.c.customer_id == scope.customer_id,
        channels.c.approver_id.in_([turn.approver.id for turn in turns]),
    )
    beside = (await scope.execute(ways.order_by(channels.c.added_ms))).all()
    for turn in turns:
        one = turn.approver
        body = _letter(names, request, _why_you(turn, occasion), begins, ends)
        message = await put(scope, one.email, what, subject, body, now)
        await note(scope, message, request.id, one.id, occasion, MAIL, now)
        for channel in beside:
            if channel.approver_id == one.id:
                message = await put(scope, "", what, subject, line, now, channel_id=channel.id)
                await note(scope, message, request.id, one.id, occasion, channel.service, now)
