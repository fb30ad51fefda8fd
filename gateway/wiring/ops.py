"""Health and metrics, on a listener of their own: figures about the whole, never about a person.

`/healthz`: the process answers. `/readyz`: it can take a visit. `/metrics`: Prometheus text; what has to be asked of
the database is left out, and `frameroom_database_up` is 0, while that does not answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from audit.recording.recorder import Recorder
from audit.tables import checkpoints, entries
from gateway.errors import FrameroomError
from gateway.session.session import Visits
from gateway.session.ssh_server import Door
from gateway.store.tables import outbox
from gateway.wiring.masters import ready
from gateway.wiring.ops_duties import DutyGauges
from gateway.wiring.parts import Parts
from gateway.wiring.streams import Stream

log = structlog.get_logger()

_OUTCOMES: Final = {f"operation.{outcome}": outcome for outcome in ("done", "refused", "failed", "unknown")}
_REFUSALS: Final = ("auth.refused", "auth.failed", "door.refused", "session.refused")
_DISK_EVERY_S: Final = 30


@dataclass(slots=True)
class Watched:
    """What is looked at."""

    parts: Parts
    visits: Visits
    door: Door
    recorder: Recorder
    leftovers: int
    streams: Sequence[Stream] = ()


class Ops:
    """The application of the ops listener; `run`, in the caller's TaskGroup, tells of a disk that fills up."""

    def __init__(self, on: Watched) -> None:
        self._on = on
        self._registry = CollectorRegistry()
        self._seen: int | None = None
        self._disk_low = False
        self._operations = Counter(
            "frameroom_operations", "Operations by outcome, since this process began to be watched",
            ["outcome"], registry=self._registry,
        )  # fmt: skip
        self._refusals = Counter(
            "frameroom_refusals", "Refusals in the log, by kind of event", ["kind"], registry=self._registry
        )
        for outcome in _OUTCOMES.values():
            self._operations.labels(outcome)
        for kind in _REFUSALS:
            self._refusals.labels(kind)
        self._by_database = self._database_gauges()
        self._duties = DutyGauges(self._registry, on.parts.settings, on.streams)
        self._local_gauges()

    def _gauge(self, name: str, words: str, value: Callable[[], float] | None = None) -> Gauge:
        made = Gauge(f"frameroom_{name}", words, registry=self._registry)
        if value is not None:
            made.set_function(value)
        return made

    def _local_gauges(self) -> None:
        on = self._on
        self._gauge("sessions", "Visits that are open", lambda: len(on.visits.all()))
        self._gauge("connections", "Signed-in SSH connections", lambda: len(on.door.connections))
        self._gauge("draining", "1 while no new visit is taken", lambda: float(on.door.draining))
        self._gauge("leftovers", "Visits closed at start after a crash", lambda: on.leftovers)
        self._gauge("recorder_up", "0 when nothing can be recorded", lambda: float(on.recorder.broken is None))
        self._gauge("recorder_lag_seconds", "Age of the oldest byte not yet on the disk", self._lag)
        self._gauge("disk_free_ratio", "Free part of the disk that recordings are kept on", self._free)
        self._gauge("disk_low", "1 below recording.warn_free_percent", lambda: float(on.recorder.nearly_full()))
        self._gauge(
            "clock_behind_seconds", "Wall clock behind the log's last entry",
            lambda: on.parts.audit.clock.behind_ms() / 1000,
        )  # fmt: skip
        self._gauge(
            "log_unpublished_seconds", "For how long some checkpoint could not be published", lambda: on.parts.stuck_s
        )
        self._gauge("database_errors", "Times that the database did not answer", lambda: on.parts.store.errors)

    def _database_gauges(self) -> dict[str, Gauge]:
        return {
            "up": self._gauge("database_up", "1 when the database answers"),
            "waiting": self._gauge("log_unsequenced", "Entries that have no place in their log yet"),
            "waiting_age": self._gauge("log_unsequenced_seconds", "Age of the oldest of those"),
            "checkpoint_age": self._gauge("checkpoint_age_seconds", "Age of the newest checkpoint of any log"),
            "outbox": self._gauge("outbox", "Mails that wait to be sent"),
            "outbox_age": self._gauge("outbox_overdue_seconds", "How long the oldest of those has been due"),
        }

    def _lag(self) -> float:
        return max((visit.recording.lag_ms() for visit in self._on.visits.all()), default=0) / 1000

    def _free(self) -> float:
        space = self._on.recorder.space(self._on.recorder.folder)
        return space.free / space.total if space.total else 0.0

    async def run(self) -> None:
        """Say so, once each time, when the disk gets low and when it has room again."""
        while True:
            low = self._on.recorder.nearly_full()
            if low != self._disk_low:
                self._disk_low = low
                tell = log.warning if low else log.info
                percent = self._on.recorder.limits.warn_free_percent
                tell("the disk that recordings are kept on is filling up" if low else "the disk has room again",
                     warn_free_percent=percent)  # fmt: skip
            await asyncio.sleep(_DISK_EVERY_S)

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[Route("/healthz", self.health), Route("/readyz", self.ready), Route("/metrics", self.metrics)]
        )

    async def health(self, _: Request) -> Response:
        """The loop runs."""
        return PlainTextResponse("ok\n")

    async def ready(self, _: Request) -> Response:
        """503, and why, when no visit could be opened here."""
        why = await self._not_ready()
        return PlainTextResponse(why + "\n", 503) if why else PlainTextResponse("ok\n")

    async def _not_ready(self) -> str:
        if self._on.door.draining:
            return "draining: no new visits here"
        if self._on.recorder.broken is not None:
            return f"recorder: {self._on.recorder.broken}"
        try:
            async with self._on.parts.store.look_at_everyone() as scope:
                await scope.execute(select(1))
        except FrameroomError as error:
            return error.message
        return await ready(self._on.parts.masters, self._on.parts.keys)

    async def metrics(self, _: Request) -> Response:
        """Prometheus text."""
        try:
            await self._ask_database()
        except FrameroomError:
            for gauge in self._by_database.values():
                gauge.set(float("nan"))
            self._duties.clear()
            self._by_database["up"].set(0)
        return Response(generate_latest(self._registry), media_type="text/plain; version=0.0.4")

    async def _ask_database(self) -> None:
        now = time.time_ns() // 1_000_000
        unplaced = entries.c.idx.is_(None)
        async with self._on.parts.store.look_at_everyone() as scope:
            waiting, oldest = (
                await scope.execute(select(func.count(), func.min(entries.c.time_ms)).where(unplaced))
            ).one()
            newest = (await scope.execute(select(func.max(checkpoints.c.time_ms)))).scalar()
            mails, due = (await scope.execute(select(func.count(outbox.c.id), func.min(outbox.c.due_ms)))).one()
            await self._count_events(scope)
            await self._duties.ask(scope, now)
        told = self._by_database
        told["up"].set(1)
        told["waiting"].set(waiting)
        told["waiting_age"].set(max(0, now - oldest) / 1000 if oldest else 0)
        told["checkpoint_age"].set(max(0, now - newest) / 1000 if newest else 0)
        told["outbox"].set(mails)
        told["outbox_age"].set(max(0, now - due) / 1000 if due else 0)

    async def begin(self) -> None:
        """Count what is logged from now on."""
        async with self._on.parts.store.look_at_everyone() as scope:
            self._seen = (await scope.execute(select(func.max(entries.c.seq)))).scalar() or 0

    async def _count_events(self, scope: Any) -> None:
        if self._seen is None:
            return
        top = (await scope.execute(select(func.max(entries.c.seq)))).scalar() or 0
        kinds: Sequence[str] = (*_OUTCOMES, *_REFUSALS)
        new = (entries.c.seq > self._seen) & (entries.c.seq <= top) & entries.c.kind.in_(kinds)
        counted = select(entries.c.kind, func.count().label("n")).where(new).group_by(entries.c.kind)
        for row in await scope.execute(counted):
            if row.kind in _OUTCOMES:
                self._operations.labels(_OUTCOMES[row.kind]).inc(row.n)
            else:
                self._refusals.labels(row.kind).inc(row.n)
        self._seen = max(self._seen, top)
