"""What approvers read of their agreement, of the engineers on their list, and of the work that they asked for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from audit.told import job_words
from gateway.notify.outbox import approvers_of, queue, zone_of
from gateway.notify.words import plain, when
from gateway.store.engine import Scope
from gateway.store.tables import approvers, engineers

_OBJECT = "If nobody of yours did this, ring your telephone maintainer now.\n"


async def _name(scope: Scope, table: Any, person_id: str) -> str:
    return plain(str((await scope.execute(select(table.c.name).where(table.c.id == person_id))).scalar_one()))


async def agreement_signed(scope: Scope, approver_id: str, version: int, now: int, *, done: bool) -> None:
    """To every approver: one of them signed it; `done`: and with that it is confirmed."""
    who, zone = await _name(scope, approvers, approver_id), await zone_of(scope)
    state = "It is confirmed now." if done else "It is not confirmed yet: more of you have to sign it."
    body = f"{who} signed your agreement, version {version}, on {when(now, zone)}. {state}\n{_OBJECT}"
    await queue(scope, await approvers_of(scope), "agreement", "Your agreement was signed", body, now)


async def engineer_named(scope: Scope, engineer_id: str, now: int) -> None:
    """To every approver: one more engineer may ask to come in."""
    who, zone = await _name(scope, engineers, engineer_id), await zone_of(scope)
    body = (
        f"{who} was put on your list of engineers on {when(now, zone)}: they may ask to come in, and may use what your "
        f"agreement permits without asking. You can strike them off under Access.\n{_OBJECT}"
    )
    await queue(scope, await approvers_of(scope), "engineer named", f"A new engineer on your list: {who}", body, now)


async def job_asked(scope: Scope, number: int, text: str, missing: int, now: int) -> None:
    """To every approver: work was asked for, in just these words. `missing`: how many more have to sign."""
    state = f"{missing} more of you have to sign it." if missing else "An engineer can take it now."
    body = (
        f"Work was asked for on {when(now, await zone_of(scope))} (job {number}). {state}\n\n"
        f"These are the words that were signed:\n\n  {job_words(text)}\n\n{_OBJECT}"
    )
    await queue(scope, await approvers_of(scope), "job", f"Work was asked for: job {number}", body, now)


async def job_done(scope: Scope, number: int, what: str, engineer_id: str, words: str, now: int) -> None:
    """To every approver: the engineer says that it is done."""
    who, zone = await _name(scope, engineers, engineer_id), await zone_of(scope)
    more = f"They say: {plain(words)}\n" if words else ""
    body = f"{who} says on {when(now, zone)} that job {number} is done: {plain(what)}.\n{more}"
    await queue(scope, await approvers_of(scope), "job", f"Done: job {number}", body, now)
