"""Visits that Frameroom is not in between at: who, where, what the engineer says was done; and ending one now.

Every page of one says that it is not recorded here, and why.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Select, and_, or_, select
from starlette.responses import Response

from audit.log import AuditLog
from gateway import notify
from gateway.access.looking import looked
from gateway.access.outside import DONE, OutsideVisits
from gateway.access.permission import Permission
from gateway.errors import NotFoundError, StateError
from gateway.lifecycle import GrantState, OutsideState
from gateway.notify import letters, summaries
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Scope, Store
from gateway.store.outside_tables import outside_visits as outside
from gateway.store.tables import engineers, grants, requests, systems

_A_PAGE: Final = 50
_AFTER: Final = re.compile(r"(\d{1,15})-(vis_[0-9a-z]{1,36})")


def rows_of(customer_id: str) -> Select[Any]:
    """A customer's, with their permissions and what people call things; the newest first."""
    return (
        select(
            outside, engineers.c.name.label("engineer"), systems.c.name.label("system"), grants.c.how,
            grants.c.approver_ids, grants.c.until_ms, grants.c.state.label("permission"),
            requests.c.reason.label("why"), requests.c.ticket,
        )
        .join(engineers, engineers.c.id == outside.c.engineer_id)
        .join(systems, and_(systems.c.customer_id == outside.c.customer_id, systems.c.id == outside.c.system_id))
        .join(grants, and_(grants.c.customer_id == outside.c.customer_id, grants.c.id == outside.c.grant_id))
        .join(requests, and_(requests.c.customer_id == grants.c.customer_id, requests.c.id == grants.c.request_id))
        .where(outside.c.customer_id == customer_id)
        .order_by(outside.c.started_ms.desc(), outside.c.id.desc())
    )  # fmt: skip


def listed(row: Any, zone: ZoneInfo) -> dict[str, Any]:
    """One of them for a list."""
    return {
        "id": row.id, "engineer": notify.plain(row.engineer), "system": notify.plain(row.system),
        "began": summaries.short(row.started_ms, zone), "reason": notify.plain(row.why),
        "length": "" if row.ended_ms is None else summaries.length(row.ended_ms - row.started_ms),
        "told": row.state == OutsideState.TOLD,
    }  # fmt: skip


class OutsidePages:
    """The list, one of them, and its end. `ring` says whom to ring."""

    def __init__(self, store: Store, audit: AuditLog, permission: Permission, visits: OutsideVisits, ring: str) -> None:
        self._store, self._audit, self._permission = store, audit, permission
        self._visits, self._ring = visits, ring

    def pages(self) -> list[Page]:
        """All of them."""
        one = "/outside/{visit}"
        return [
            Page("GET", "/outside", Who.SIGNED_IN, self.all),
            Page("GET", one, Who.SIGNED_IN, self.show),
            Page("POST", one + "/end", Who.APPROVER, self.end),
        ]

    async def all(self, asked: Asked) -> Response:
        """Newest first, fifty at a time."""
        query = rows_of(asked.customer_id)
        after = _AFTER.fullmatch(asked.request.query_params.get("after", ""))
        if after is not None:
            at_ms, visit = int(after[1]), after[2]
            same = and_(outside.c.started_ms == at_ms, outside.c.id < visit)
            query = query.where(or_(outside.c.started_ms < at_ms, same))
        async with self._store.look(asked.customer_id) as scope:
            zone = await notify.zone_of(scope)
            found = (await scope.execute(query.limit(_A_PAGE + 1))).all()
        shown = found[:_A_PAGE]
        older = f"/outside?after={shown[-1].started_ms}-{shown[-1].id}" if len(found) > _A_PAGE else ""
        return asked.show(
            "outside.html", rows=[listed(row, zone) for row in shown], zone=zone.key, ring=self._ring, older=older,
            label=notify.NOT_RECORDED,
        )  # fmt: skip

    async def show(self, asked: Asked) -> Response:
        """One; the look is logged."""
        async with self._store.scope(asked.customer_id) as scope:
            row = await _one(scope, asked.path("visit"))
            await looked(
                self._audit, scope, "looked.session", asked.who.approver_id, session=row.id, data={"how": "page"}
            )
        async with self._store.look(asked.customer_id) as scope:
            row = await _one(scope, row.id)
            zone = await notify.zone_of(scope)
            names = await letters.names_of(scope, row.engineer_id, row.system_id)
            words = await self._visits.words(scope, row.id)
            given = await letters.given_by(scope, row.approver_ids.split())
        end_ms = self._audit.clock.now() if row.ended_ms is None else row.ended_ms
        return asked.show(
            "outside_visit.html", id=row.id, who=names.who, system=names.system, label=notify.NOT_RECORDED,
            not_told=notify.NOT_TOLD, began=notify.when(row.started_ms, zone),
            ended="" if row.ended_ms is None else notify.when(row.ended_ms, zone), because=notify.plain(row.reason),
            length=summaries.length(end_ms - row.started_ms), reason=notify.plain(row.why),
            ticket=notify.plain(row.ticket), permission=notify.plain(row.how) + given,
            until=notify.when(row.until_ms, zone), is_open=row.state == OutsideState.OPEN,
            permitted=row.permission == GrantState.OPEN, ring=self._ring,
            told="" if row.told_ms is None else notify.when(row.told_ms, zone),
            late=row.reason != DONE,
            words=[notify.plain_line(line) for line in (words or "").split("\n")] if words is not None else [],
        )  # fmt: skip

    async def end(self, asked: Asked) -> Response:
        """End it now, and the permission that it stands on. What was over already is simply shown."""
        me = asked.who
        async with self._store.look(asked.customer_id) as scope:
            row = await _one(scope, asked.path("visit"))
        if row.state == OutsideState.OPEN:
            # Somebody else may have ended it in between: then it is over, which is what was asked for.
            with contextlib.suppress(StateError):
                reason = f"ended by {me.name} in the portal"
                await self._permission.revoke(me.approver_id, asked.customer_id, row.grant_id, reason)
            await self._visits.settle(asked.customer_id)
        return asked.go(f"/outside/{row.id}")


async def _one(scope: Scope, visit_id: str) -> Any:
    row = (await scope.execute(rows_of(scope.customer_id).where(outside.c.id == visit_id))).first()
    if row is None:
        raise NotFoundError("There is no such visit.", next_step="The list of visits shows them.")
    return row
