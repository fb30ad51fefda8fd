"""`frameroom customer month`: the page that a customer is mailed every month."""

from __future__ import annotations

import asyncio
from typing import Final

from audit.storage import StorageError
from gateway import notify
from gateway.access.month import Months, month_of
from gateway.wiring.admin.base import Base, Row, when

_WHY: Final = "the month's page"


class MonthCommands(Base):
    """A customer's month."""

    async def do_customer_month(self, actor: str, customer: str, month: str | None = None) -> Row:
        """The page as it is mailed, the present month's as it stands; the look is logged."""
        parts, customer_id = self._parts, await self._customer(customer)
        async with parts.store.look(customer_id) as scope:
            of = month or month_of(parts.audit.clock.now(), await notify.zone_of(scope))
            page = await Months(parts.audit).page(scope, of)
        async with parts.store.scope(customer_id) as scope:
            await self._look(scope, "looked.audit", actor, _WHY)
        try:
            note = await asyncio.to_thread(parts.published, customer_id)
        except StorageError:
            note = None
        return {
            "month": page.month, "customer": page.customer, "zone": page.zone, "from": when(page.from_ms),
            "until": when(page.until_ms), "over": not page.ongoing, "text": page.text(),
            "sections": [{"title": s.title, "lines": list(s.lines), "left out": s.more} for s in page.sections],
            "checkpoint": note.decode() if note else "",
        }  # fmt: skip
