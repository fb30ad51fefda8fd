"""Visits, in progress and past: who, where, what was done in plain words; and ending one now."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Select, and_, or_, select
from starlette.responses import Response

from audit.log import AuditLog
from audit.recording.session import SessionRecording
from connectors.registry import weakens
from gateway import notify
from gateway.access.looking import erased_in, looked
from gateway.access.permission import Permission
from gateway.access.told import Counting, told_by_log
from gateway.errors import NotFoundError, StateError
from gateway.lifecycle import GrantState, OperationState, OutsideState, SessionState
from gateway.notify import letters, summaries
from gateway.portal.outside import listed, rows_of
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Scope, Store
from gateway.store.outside_tables import outside_visits as outside
from gateway.store.tables import engineers, grants, operations, requests, sessions, systems

_A_PAGE: Final = 50
_OUTSIDE: Final = 20
"""Of the visits that are not recorded here, so many stand on the first page."""
_ENDS_WITHIN_S: Final = 1.5
"""A visit ends within a second; the page that asked waits for that, and no longer."""
_AFTER: Final = re.compile(r"(\d{1,15})-(ses_[0-9a-z]{1,36})")
VENDOR: Final = Path(__file__).parent / "static" / "vendor"


class Live(Protocol):
    """A visit that is served here and now."""

    recording: SessionRecording
    over: asyncio.Event
    ended: str | None
    lines: list[str]


@dataclass(frozen=True, slots=True)
class LiveVisits:
    """The visits of this process. `find` gives one by its session's id; `look_now` has each permission confirmed."""

    find: Callable[[str], Live | None]
    look_now: Callable[[], None]


def has_player() -> bool:
    """True when what plays terminals in a browser was installed (`make frontend`)."""
    return (VENDOR / "asciinema-player.min.js").is_file()


async def visit_of(scope: Scope, session_id: str) -> Any:
    """A visit of the scope's customer, with its permission. NotFoundError."""
    row = (await scope.execute(_visits(scope.customer_id).where(sessions.c.id == session_id))).first()
    if row is None:
        raise NotFoundError("There is no such visit.", next_step="The list of visits shows them.")
    return row


def _visits(customer_id: str) -> Select[Any]:
    return (
        select(
            sessions, engineers.c.name.label("engineer"), systems.c.name.label("system"), systems.c.connector,
            systems.c.settings, grants.c.how, grants.c.approver_ids, grants.c.until_ms,
            grants.c.state.label("permission"), requests.c.reason, requests.c.ticket,
        )
        .join(engineers, engineers.c.id == sessions.c.engineer_id)
        .join(systems, and_(systems.c.customer_id == sessions.c.customer_id, systems.c.id == sessions.c.system_id))
        .join(grants, and_(grants.c.customer_id == sessions.c.customer_id, grants.c.id == sessions.c.grant_id))
        .join(requests, and_(requests.c.customer_id == grants.c.customer_id, requests.c.id == grants.c.request_id))
        .where(sessions.c.customer_id == customer_id)
    )  # fmt: skip


class VisitPages:
    """The list, one visit, and its end."""

    def __init__(self, store: Store, audit: AuditLog, permission: Permission, live: LiveVisits, ring: str) -> None:
        self._store, self._audit, self._permission = store, audit, permission
        self._live, self._ring, self._counting = live, ring, Counting(audit)

    def pages(self) -> list[Page]:
        """All of them."""
        return [
            Page("GET", "/visits", Who.SIGNED_IN, self.visits),
            Page("GET", "/visits/{session}", Who.SIGNED_IN, self.visit),
            Page("POST", "/visits/{session}/end", Who.APPROVER, self.end),
        ]

    async def visits(self, asked: Asked) -> Response:
        """Who is in now, and who was, newest first, fifty at a time."""
        query = _visits(asked.customer_id).order_by(sessions.c.opened_ms.desc(), sessions.c.id.desc())
        past = query.where(sessions.c.state != SessionState.OPEN)
        after = _AFTER.fullmatch(asked.request.query_params.get("after", ""))
        if after is not None:
            at_ms, session = int(after[1]), after[2]
            same = and_(sessions.c.opened_ms == at_ms, sessions.c.id < session)
            past = past.where(or_(sessions.c.opened_ms < at_ms, same))
        async with self._store.look(asked.customer_id) as scope:
            zone = await notify.zone_of(scope)
            inside = (await scope.execute(query.where(sessions.c.state == SessionState.OPEN))).all()
            found = (await scope.execute(past.limit(_A_PAGE + 1))).all()
            over = found[:_A_PAGE]
            others = rows_of(asked.customer_id)
            going = (await scope.execute(others.where(outside.c.state == OutsideState.OPEN))).all()
            # On the first page alone: the older ones have a list of their own.
            gone = others.where(outside.c.state != OutsideState.OPEN).limit(_OUTSIDE if after is None else 0)
            ended = (await scope.execute(gone)).all()
            done = await self._counting.told(scope, [row.id for row in (*inside, *over)])
        last = over[-1] if len(found) > _A_PAGE else None
        return asked.show(
            "visits.html", inside=[_listed(row, done, zone) for row in inside], zone=zone.key, ring=self._ring,
            over=[_listed(row, done, zone) for row in over], begins_later=after is not None,
            older=f"/visits?after={last.opened_ms}-{last.id}" if last is not None else "", label=notify.NOT_RECORDED,
            outside_now=[listed(row, zone) for row in going], outside_before=[listed(row, zone) for row in ended],
        )  # fmt: skip

    async def visit(self, asked: Asked) -> Response:
        """One, in plain words; the look is logged."""
        async with self._store.scope(asked.customer_id) as scope:
            row = await visit_of(scope, asked.path("session"))
            await looked(
                self._audit, scope, "looked.session", asked.who.approver_id, session=row.id, data={"how": "page"}
            )
        async with self._store.look(asked.customer_id) as scope:
            row = await visit_of(scope, row.id)
            words = await self._words(scope, row)
        is_open = row.state == SessionState.OPEN
        return asked.show(
            "visit.html", **words, is_open=is_open, player=has_player(), ring=self._ring,
            permitted=row.permission == GrantState.OPEN, here=is_open and self._live.find(row.id) is not None,
        )  # fmt: skip

    async def _words(self, scope: Scope, row: Any) -> dict[str, Any]:
        zone = await notify.zone_of(scope)
        names = await letters.names_of(scope, row.engineer_id, row.system_id)
        told = await told_by_log(self._audit, scope, row.id)
        mine = (operations.c.customer_id == scope.customer_id) & (operations.c.session_id == row.id)
        going = select(operations.c.name).where(mine, operations.c.state == OperationState.INTENDED)
        last = await self._audit.read(
            scope.connection, scope.customer_id, session=row.id, kinds=("session.closed", "session.failed")
        )
        end_ms = self._audit.clock.now() if row.closed_ms is None else row.closed_ms
        return {
            "id": row.id, "who": names.who, "system": names.system, "began": notify.when(row.opened_ms, zone),
            "ended": "" if row.closed_ms is None else notify.when(row.closed_ms, zone),
            "because": notify.plain(str(last[0].body["data"]["reason"])) if last else "",
            "weakened": weakens(row.connector, row.settings),
            "failed": row.state == SessionState.FAILED, "length": summaries.length(end_ms - row.opened_ms),
            "reason": notify.plain(row.reason), "ticket": notify.plain(row.ticket),
            "permission": notify.plain(row.how) + await letters.given_by(scope, row.approver_ids.split()),
            "until": notify.when(row.until_ms, zone), "looked": await letters.looked(scope, row.id, told),
            "changes": [notify.plain(line) for line in letters.at_most(told.lines)], "has_recording": row.segments > 0,
            "going_on": [notify.WORDS[name] for name in (await scope.execute(going)).scalars()],
            "erased": (await scope.execute(erased_in(scope.customer_id, row.id).limit(1))).first() is not None,
        }  # fmt: skip

    async def end(self, asked: Asked) -> Response:
        """End the visit now, and the permission that it stands on. What was over already is simply shown."""
        me = asked.who
        async with self._store.look(asked.customer_id) as scope:
            row = await visit_of(scope, asked.path("session"))
        if row.state == SessionState.OPEN and row.permission == GrantState.OPEN:
            # Somebody else may have ended it in between: then it is over, which is what was asked for.
            with contextlib.suppress(StateError):
                reason = f"ended by {me.name} in the portal"
                await self._permission.revoke(me.approver_id, asked.customer_id, row.grant_id, reason)
            self._live.look_now()
        live = self._live.find(row.id)
        if live is not None:
            with contextlib.suppress(TimeoutError):  # an act that had begun is finished first; the page says so
                async with asyncio.timeout(_ENDS_WITHIN_S):
                    await live.over.wait()
        return asked.go(f"/visits/{row.id}")


def _listed(row: Any, done: dict[str, str], zone: ZoneInfo) -> dict[str, Any]:
    return {
        "id": row.id, "engineer": notify.plain(row.engineer), "system": notify.plain(row.system),
        "began": summaries.short(row.opened_ms, zone), "reason": notify.plain(row.reason),
        "length": "" if row.closed_ms is None else summaries.length(row.closed_ms - row.opened_ms),
        "failed": row.state == SessionState.FAILED, "did": done[row.id],
    }  # fmt: skip
