"""The page a month, mailed on the first of the next, once: to everybody of the customer's who is told anything."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from audit.log import AuditLog
from gateway import notify
from gateway.access.month import Months, month_of, next_month
from gateway.model import DAY, HOUR
from gateway.notify.outbox import approvers_of, contacts_of
from gateway.store.engine import Store
from gateway.store.month_tables import month_letters
from gateway.store.tables import customers

WHAT: Final = "month"
_AT: Final = time(7)
"""On the first, by the customer's clock: the mail is there when their day begins."""
_AT_MOST: Final = 12
"""Months that are made up for after a long time of not running."""
_FURTHEST_MS: Final = 15 * HOUR
"""No zone is further from UTC."""


def due(added_ms: int, last: str | None, now_ms: int, zone: ZoneInfo) -> list[str]:
    """The months whose page is to be sent: over by now, after the `last` that was, none before the customer's first."""
    local = datetime.fromtimestamp(now_ms / 1000, zone)
    before_it_is_sent = local.day == 1 and local.time() < _AT
    this = month_of(now_ms - DAY, zone) if before_it_is_sent else month_of(now_ms, zone)
    month, months = next_month(last) if last else month_of(added_ms, zone), []
    while month < this:
        months.append(month)
        month = next_month(month)
    return months[-_AT_MOST:]


class MonthLetters:
    """Sends what is due; `send_due` is called again and again, on every node."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit, self._months = store, audit, Months(audit)

    async def send_due(self) -> int:
        """Write each page that is due into the outbox; how many that were. UnavailableError."""
        now = self._audit.clock.now()
        query = (
            select(customers.c.id, customers.c.added_ms, func.max(month_letters.c.id).label("last"))
            .join(month_letters, month_letters.c.customer_id == customers.c.id, isouter=True)
            .group_by(customers.c.id, customers.c.added_ms)
        )
        async with self._store.look_at_everyone() as scope:
            rows = (await scope.execute(query)).all()
        utc, sent = ZoneInfo("UTC"), 0
        for row in rows:
            # Wherever the customer is: a look that takes no query of its own, since this is asked every minute.
            if not due(row.added_ms - _FURTHEST_MS, row.last, now + _FURTHEST_MS + HOUR * _AT.hour, utc):
                continue
            async with self._store.look(row.id) as scope:
                months = due(row.added_ms, row.last, now, await notify.zone_of(scope))
            for month in months:
                sent += await self._send(row.id, month, now)
        return sent

    async def _send(self, customer_id: str, month: str, now: int) -> int:
        async with self._store.look(customer_id) as scope:
            page = await self._months.page(scope, month)
        subject = f"Your phone systems in {page.title}"
        with suppress(IntegrityError):  # another node was first
            async with self._store.scope(customer_id) as scope:
                await scope.execute(insert(month_letters).values(customer_id=customer_id, id=month, sent_ms=now))
                to = [*await approvers_of(scope), *await contacts_of(scope)]
                await notify.queue(scope, to, WHAT, subject, page.text(), now)
            return 1
        return 0
