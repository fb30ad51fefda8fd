"""Asks again while a request waits: a reminder, then the next person, then the deputies, then whoever is left.

A row of `chases` says for each waiting request which step follows. A step is one transaction: the request's row is
locked and must still wait, the messages are written, the log says who was asked, and the row moves on; so that it
happens once, whichever node does it, also after a crash, and never after an answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, delete, insert, select, update

from audit.events import Event
from audit.log import AuditLog
from gateway.errors import FrameroomError
from gateway.lifecycle import RequestState
from gateway.model import MINUTE, Request
from gateway.notify.asking_letters import Question, ask
from gateway.notify.deliveries import Occasion
from gateway.notify.turns import Rota, Turn, rota_of
from gateway.store.engine import Scope, Store
from gateway.store.tables import agreements, approvals, requests
from gateway.store.telling_tables import chases, deliveries

_POLL_S: Final = 1.0
_REMIND, _NEXT, _DEPUTIES, _REST = 1, 2, 3, 4
_DUE: Final = select(chases).where(chases.c.since_ms <= bindparam("before"))


@dataclass(frozen=True, slots=True)
class Waits:
    """Minutes that pass without an answer before each step."""

    remind: int = 15
    following: int = 15
    deputy: int = 15

    def before(self, step: int) -> int:
        """In milliseconds."""
        return {_REMIND: self.remind, _DEPUTIES: self.deputy}.get(step, self.following) * MINUTE


async def _needed(scope: Scope) -> int:
    newest = select(agreements.c.terms).where(agreements.c.customer_id == scope.customer_id)
    terms: Any = (await scope.execute(newest.order_by(agreements.c.version.desc()).limit(1))).scalar_one_or_none()
    return int(json.loads(terms).get("approvals_needed", 1)) if terms else 1


async def _ask(
    scope: Scope, audit: AuditLog, request: Question, turns: list[Turn], occasion: Occasion, actor: str, now: int
) -> None:  # fmt: skip
    await ask(scope, request, turns, occasion, now)
    data = {"occasion": occasion.value, "approvers": [turn.approver.id for turn in turns]}
    event = Event(
        "request.asked", scope.customer_id, actor, system=request.system_id, request=request.id, data=data
    )  # fmt: skip
    await audit.append(scope.connection, event)


async def request_waiting(scope: Scope, audit: AuditLog, request: Request, link: str, now: int) -> None:
    """Ask those whose turn it is first, and begin to wait for them, in the caller's transaction. `link` opens the page
    where they answer, and decides nothing; "" where there is none."""
    turns = (await rota_of(scope, now)).first(await _needed(scope))
    if turns:
        await _ask(scope, audit, Question.of(request, link), turns, Occasion.FIRST, request.engineer_id, now)
    await scope.execute(
        insert(chases).values(customer_id=scope.customer_id, id=request.id, step=_REMIND, since_ms=now)
    )  # fmt: skip


class Chaser:
    """Takes every step that is due; `run` belongs to the caller's TaskGroup. `link`: the page of a request, by its id,
    "" where there is none."""

    def __init__(
        self, store: Store, audit: AuditLog, waits: Waits, link: Callable[[str], str] = lambda request_id: ""
    ) -> None:  # fmt: skip
        self._store, self._audit, self._waits, self._link = store, audit, waits, link

    async def run(self) -> None:
        """For ever."""
        while True:
            # A database that is away for a moment puts a step off; its row stays.
            with suppress(FrameroomError):
                await self.step_due()
            await asyncio.sleep(_POLL_S)

    async def step_due(self) -> int:
        """Take once what is due; how many steps that were."""
        now, taken = self._audit.clock.now(), 0
        least = min(self._waits.before(step) for step in (_REMIND, _NEXT, _DEPUTIES))
        async with self._store.look_at_everyone() as scope:
            rows = (await scope.execute(_DUE, {"before": now - least})).all()
        for row in rows:
            if row.since_ms + self._waits.before(row.step) <= now:
                taken += await self._step(row, now)
        return taken

    async def _step(self, seen: Any, now: int) -> int:
        async with self._store.scope(seen.customer_id) as scope:
            asked = (requests.c.customer_id == scope.customer_id) & (requests.c.id == seen.id)
            # In this order everywhere: whoever answers locks the request first too.
            found = (await scope.execute(select(requests).where(asked).with_for_update())).first()
            here = (chases.c.customer_id == scope.customer_id) & (chases.c.id == seen.id)
            row = (await scope.execute(select(chases).where(here).with_for_update())).first()
            if row is None or (row.step, row.since_ms) != (seen.step, seen.since_ms):
                return 0  # somebody else took it
            if found is None or found.state != RequestState.WAITING or found.until_ms <= now:
                await scope.execute(delete(chases).where(here))
                return 0
            following = await self._take(scope, found, row.step, now)
            if following is None:
                await scope.execute(delete(chases).where(here))
            else:
                await scope.execute(update(chases).where(here).values(step=following, since_ms=now))
        return 1

    async def _take(self, scope: Scope, request: Any, step: int, now: int) -> int | None:
        """Take the step, or the first after it in which there is somebody to ask; which follows, None when all were."""
        rota = await rota_of(scope, now)
        asked, answered = await _asked(scope, request), await _answered(scope, request)
        for taken in range(step, _REST + 1):
            occasion, turns = _of_step(rota, taken, asked, answered)
            if turns:
                question = Question.of(request, self._link(request.id))
                await _ask(scope, self._audit, question, turns, occasion, "clock", now)
                asked |= {turn.approver.id for turn in turns}
                left = rota.following(asked) or rota.deputies(asked - answered)
                return min(taken + 1, _REST) if left else None
        return None


def _of_step(rota: Rota, step: int, asked: set[str], answered: set[str]) -> tuple[Occasion, list[Turn]]:
    if step == _REMIND:
        waits_for = asked - answered - rota.away.keys()
        return Occasion.REMINDED, [Turn(one) for one in rota.approvers if one.id in waits_for]
    if step == _DEPUTIES:
        return Occasion.DEPUTY, rota.deputies(asked - answered)
    return Occasion.NEXT, rota.following(asked)


async def _asked(scope: Scope, request: Any) -> set[str]:
    here = (deliveries.c.customer_id == scope.customer_id) & (deliveries.c.request_id == request.id)
    return set((await scope.execute(select(deliveries.c.approver_id).where(here))).scalars())


async def _answered(scope: Scope, request: Any) -> set[str]:
    here = (approvals.c.customer_id == scope.customer_id) & (approvals.c.request_id == request.id)
    query = select(approvals.c.approver_id).where(here, approvals.c.request_digest == request.digest)
    return set((await scope.execute(query)).scalars())
