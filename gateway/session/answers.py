"""Tells whoever listens of the customers' answers to an engineer's requests: one query a tick, however many listen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, select

from gateway.access.asked import request_of
from gateway.errors import FrameroomError
from gateway.lifecycle import RequestState
from gateway.model import Request
from gateway.session.session import Visits
from gateway.store.tables import customers, requests, systems

_TICK_S: Final = 0.3
_STILL: Final = select(requests.c.id).where(
    requests.c.state == RequestState.WAITING, requests.c.engineer_id.in_(bindparam("listening", expanding=True))
)

_ANSWERED: Final = (
    select(requests, customers.c.name.label("customer"), systems.c.name.label("system"))
    .join(customers, customers.c.id == requests.c.customer_id)
    .join(systems, (systems.c.customer_id == requests.c.customer_id) & (systems.c.id == requests.c.system_id))
    .where(requests.c.id.in_(bindparam("gone", expanding=True)))
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A request that waits no longer, and the names of where it is for."""

    request: Request
    customer: str
    system: str


Told = Callable[[Answer], None]


class Answers:
    """Listens in the database only while somebody listens here."""

    def __init__(self, visits: Visits) -> None:
        self._visits = visits
        self._listeners: list[tuple[str, Told]] = []
        self._waiting: set[str] = set()
        self._running = False

    @contextmanager
    def listening(self, engineer_id: str, told: Told, request_id: str | None = None) -> Iterator[None]:
        """Call `told` for every request of the engineer that is answered meanwhile, within a second of the answer.

        `request_id` names one that may have been answered already.
        """
        listener = (engineer_id, told)
        self._listeners.append(listener)
        if request_id is not None:
            self._waiting.add(request_id)
        if not self._running:
            self._running = True
            self._visits.spawn(self._run())
        try:
            yield
        finally:
            self._listeners.remove(listener)

    async def _run(self) -> None:
        try:
            while self._listeners:
                # The database does not answer: asked again at the next tick, and nothing is lost by it.
                with suppress(FrameroomError):
                    await self._tick()
                await asyncio.sleep(_TICK_S)
        finally:
            self._running = False
            self._waiting.clear()

    async def _tick(self) -> None:
        before = set(self._waiting)
        listening = {engineer_id for engineer_id, _ in self._listeners}
        async with self._visits.store.look_at_everyone() as scope:
            now = set((await scope.execute(_STILL, {"listening": list(listening)})).scalars())
            gone = before - now
            rows = (await scope.execute(_ANSWERED, {"gone": list(gone)})).all() if gone else []
        # What was named for the first time while we asked stays for the next tick.
        self._waiting = (self._waiting - gone) | now
        for row in rows:
            answer = Answer(request_of(row), row.customer, row.system)
            if answer.request.state is RequestState.WAITING:
                continue
            for engineer_id, told in tuple(self._listeners):
                if engineer_id == answer.request.engineer_id:
                    told(answer)
