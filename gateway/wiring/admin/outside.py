"""`frameroom visit …`: visits that Frameroom is not in between at. Every look at one is logged before it is shown."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from gateway import notify
from gateway.access.outside import OutsideVisits
from gateway.store.outside_tables import outside_visits as outside
from gateway.store.tables import grants, requests
from gateway.wiring.admin.base import LIMIT, Base, Row, only_state, when, with_names

_RECORDED: Final = "not here"


class OutsideCommands(Base):
    """The list and one of them. `grant revoke` ends one."""

    async def do_visit_list(
        self, actor: str, customer: str | None = None, system: str | None = None, engineer: str | None = None,
        state: str | None = None, since_ms: int | None = None, limit: int = LIMIT,
    ) -> list[Row]:  # fmt: skip
        """Newest first."""
        query = await self._narrowed(
            with_names(outside).where(*only_state(outside, state)), outside, customer, system, engineer
        )
        if since_ms is not None:
            query = query.where(outside.c.started_ms >= since_ms)
        async with self._parts.store.look_at_everyone() as scope:
            rows = (await scope.execute(query.order_by(outside.c.started_ms.desc()).limit(limit))).all()
        return [
            {
                "id": r.id, "customer": r.customer, "engineer": r.engineer, "system": r.system,
                "started": when(r.started_ms), "ended": when(r.ended_ms), "told": when(r.told_ms), "state": r.state,
                "recorded": _RECORDED,
            }
            for r in rows
        ]  # fmt: skip

    async def do_visit_show(self, actor: str, visit: str, why: str) -> Row:
        """One: who, where, by whose permission, and what the engineer says was done."""
        found = await self._row(outside, visit, "visit", "visit list")
        async with self._parts.store.scope(found.customer_id) as scope:
            await self._look(scope, "looked.session", actor, why, session=found.id, data={"how": "show"})
        async with self._parts.store.look_at_everyone() as scope:
            row = (await scope.execute(with_names(outside).where(outside.c.id == found.id))).one()
            grant = (await scope.execute(select(grants).where(grants.c.id == found.grant_id))).one()
            asked = (await scope.execute(select(requests).where(requests.c.id == grant.request_id))).one()
        visits = OutsideVisits(self._parts.store, self._parts.audit, self._parts.permission)
        async with self._parts.store.look(found.customer_id) as scope:
            words = await visits.words(scope, found.id)
        return {
            "id": row.id, "customer": row.customer, "system": row.system, "engineer": row.engineer, "login": row.login,
            "recorded": notify.NOT_RECORDED, "started": when(row.started_ms), "ended": when(row.ended_ms),
            "ended because": row.reason, "state": row.state, "permission": grant.id, "how": grant.how,
            "ticket": asked.ticket, "reason": asked.reason, "told": when(row.told_ms),
            "in the engineer's own words": notify.NOT_TOLD if words is None else words,
        }  # fmt: skip
