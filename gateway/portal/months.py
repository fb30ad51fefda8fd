"""A month on one page, as it is mailed on the first of the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from sqlalchemy import select
from starlette.responses import Response

from audit.log import AuditLog
from audit.storage import StorageError
from gateway import notify
from gateway.access.looking import looked
from gateway.access.month import Months, month_of, next_month, title_of
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Store
from gateway.store.tables import customers

_AT_MOST: Final = 120


class MonthPages:
    """The list of months, and one. `published` gives a log's newest checkpoint; it blocks."""

    def __init__(self, store: Store, audit: AuditLog, published: Callable[[str], bytes | None], ring: str) -> None:
        self._store, self._audit, self._published, self._ring = store, audit, published, ring
        self._months = Months(audit)

    def pages(self) -> list[Page]:
        """All of them."""
        return [
            Page("GET", "/months", Who.SIGNED_IN, self.months),
            Page("GET", "/month", Who.SIGNED_IN, self.month),
        ]

    async def months(self, asked: Asked) -> Response:
        """Every month since the customer is one, newest first."""
        async with self._store.look(asked.customer_id) as scope:
            zone = await notify.zone_of(scope)
            added = select(customers.c.added_ms).where(customers.c.id == asked.customer_id)
            month = month_of((await scope.execute(added)).scalar_one(), zone)
        this, found = month_of(self._audit.clock.now(), zone), list[tuple[str, str]]()
        while month <= this:
            found.append((month, title_of(month)))
            month = next_month(month)
        return asked.show("months.html", months=found[::-1][:_AT_MOST], this=this)

    async def month(self, asked: Asked) -> Response:
        """One (`?of=2026-10`; the present one otherwise); the look is logged. InvalidError as `Months.page` says."""
        given = asked.request.query_params.get("of", "")
        async with self._store.look(asked.customer_id) as scope:
            of = given or month_of(self._audit.clock.now(), await notify.zone_of(scope))
            page = await self._months.page(scope, of)
        async with self._store.scope(asked.customer_id) as scope:
            await looked(self._audit, scope, "looked.audit", asked.who.approver_id)
        try:
            note = await asyncio.to_thread(self._published, asked.customer_id)
        except StorageError:
            note = None
        return asked.show("month.html", page=page, note=note.decode() if note else "", ring=self._ring)
