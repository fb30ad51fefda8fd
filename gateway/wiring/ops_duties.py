"""What `/metrics` tells of the duties that one process does for all: streams of the log, looks at login records.

By the database, so that every process of the deployment tells the same; but for `stream_up`, which is 1 in the one
process that streams.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import func, select

from config.settings import Settings
from gateway.store.engine import Scope
from gateway.store.login_tables import foreign_logins, login_looks
from gateway.store.tables import systems
from gateway.wiring.streams import Stream, behind


class DutyGauges:
    """Set at each look at `/metrics`."""

    def __init__(self, registry: CollectorRegistry, settings: Settings, streams: Sequence[Stream]) -> None:
        self._settings, self._streams = settings, streams
        of = ["receiver"]
        self._up = Gauge(
            "frameroom_stream_up", "1 while this process is connected to the receiver", of, registry=registry
        )
        self._unread = Gauge(
            "frameroom_stream_unconfirmed", "Entries that the receiver is not known to have read", of, registry=registry
        )
        self._lag = Gauge(
            "frameroom_stream_lag_seconds", "Age of the oldest entry that the receiver is not known to have read", of,
            registry=registry,
        )  # fmt: skip
        self._foreign = Gauge(
            "frameroom_foreign_logins", "Logins with our credentials that were none of ours", registry=registry
        )
        self._look_age = Gauge(
            "frameroom_login_look_age_seconds", "How long ago the login record was read that was read longest ago",
            registry=registry,
        )  # fmt: skip
        self._failing = Gauge(
            "frameroom_login_looks_failing", "Phone systems whose login record cannot be read now", registry=registry
        )

    def clear(self) -> None:
        """The database does not answer: what it would have told is not known."""
        for gauge in (self._foreign, self._look_age, self._failing):
            gauge.set(float("nan"))
        self._unread.clear()
        self._lag.clear()

    async def ask(self, scope: Scope, now: int) -> None:
        """`now`: Unix ms."""
        for stream in self._streams:
            self._up.labels(stream.name).set(float(stream.is_up))
        for told in await behind(scope, self._settings):
            self._unread.labels(told.receiver).set(told.entries)
            since = told.since_ms
            self._lag.labels(told.receiver).set(0 if since is None else max(0, now - since) / 1000)
        self._foreign.set((await scope.execute(select(func.count()).select_from(foreign_logins))).scalar_one())
        here = (systems.c.customer_id == login_looks.c.customer_id) & (systems.c.id == login_looks.c.id)
        in_service = here & systems.c.removed_ms.is_(None)
        oldest = (await scope.execute(select(func.min(login_looks.c.looked_ms)).where(in_service))).scalar()
        looks = bool(self._settings.reconcile.every_s)
        self._look_age.set(max(0, now - oldest) / 1000 if oldest and looks else 0)
        failing = select(func.count()).where(in_service, login_looks.c.failed != "")
        self._failing.set((await scope.execute(failing)).scalar_one())
