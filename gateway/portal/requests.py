"""What waits for an answer, one request and the answer to it, and the permissions that are open, each with its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from starlette.responses import JSONResponse, Response

from connectors.contract import Operation, Secrecy
from connectors.registry import families, weakens
from gateway import notify
from gateway.access.approving import Approving
from gateway.access.directory import agreement_of
from gateway.access.permission import BY_PHONE, Permission
from gateway.access.persons import persons
from gateway.errors import InvalidError
from gateway.identity.passkeys import Passkeys
from gateway.model import MINUTE, Request
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Scope, Store
from gateway.store.outside_tables import outside_visits as outside
from gateway.store.tables import (
    approvals,
    approvers,
    engineers,
    grants,
    operations,
    requests,
    sessions,
    systems,
)

_LATELY: Final = 10
_SHORTER_MIN: Final = (15, 30, 60, 120, 240, 480)
_ENSURED: Final[Mapping[Secrecy, str]] = {
    Secrecy.ENFORCED: "your phone system itself refuses to show them to us",
    Secrecy.SELECTED: "we only send your phone system requests from a fixed list, and none of them asks for one",
    Secrecy.DISCARDED: "your phone system sends them along with other details, and we throw them away unread",
}


class Requests:
    """The pages of a yes and a no."""

    def __init__(
        self, store: Store, permission: Permission, approving: Approving, passkeys: Passkeys, ring: str
    ) -> None:
        self._store, self._permission, self._approving = store, permission, approving
        self._passkeys, self._ring = passkeys, ring

    def pages(self) -> list[Page]:
        """All of them."""
        one = "/requests/{request}"
        return [
            Page("GET", "/", Who.SIGNED_IN, self.home),
            Page("GET", one, Who.SIGNED_IN, self.show),
            Page("POST", one + "/options", Who.APPROVER, self.options),
            Page("POST", one + "/yes", Who.APPROVER, self.yes),
            Page("POST", one + "/no", Who.APPROVER, self.no),
            Page("POST", "/permissions/{grant}/end", Who.APPROVER, self.end),
        ]

    async def home(self, asked: Asked) -> Response:
        """What waits, what is open, what was answered lately."""
        async with self._store.look(asked.customer_id) as scope:
            zone = await notify.zone_of(scope)
            waiting = (await scope.execute(_with_names(requests, scope).where(requests.c.state == "waiting"))).all()
            still = _with_names(grants, scope).where(grants.c.state == "open").order_by(grants.c.until_ms)
            permitted = (await scope.execute(still)).all()
            over = _with_names(requests, scope).where(requests.c.state != "waiting")
            lately = (await scope.execute(over.order_by(requests.c.submitted_ms.desc()).limit(_LATELY))).all()
        return asked.show(
            "home.html", waiting=[_brief(row, zone) for row in sorted(waiting, key=lambda row: row.submitted_ms)],
            permitted=[_brief(row, zone) | {"how": notify.plain(row.how)} for row in permitted],
            lately=[_brief(row, zone) | {"state": row.state} for row in lately], ring=self._ring,
        )  # fmt: skip

    async def show(self, asked: Asked) -> Response:
        """One request: who, where, what for, how long, what they cannot do, and the answer."""
        async with self._store.look(asked.customer_id) as scope:
            request = await self._permission.request(scope, asked.path("request"))
            zone, agreement = await notify.zone_of(scope), await agreement_of(scope)
            row = (await scope.execute(_with_names(requests, scope).where(requests.c.id == request.id))).one()
            yeses = await self._permission.yeses(scope, request)
            given = await persons(scope, [yes.approver_id for yes in yeses.values()], self._permission.now)
            answers = await _answers(scope, request, zone)
            last = await _last_visit(scope, request.system_id, zone)
        needed = agreement.terms.approvals_needed if agreement is not None else 1
        return asked.show(
            "request.html", request=_brief(row, zone) | {
                "ticket": notify.plain(request.ticket), "role": _role(row.roles), "digest": request.digest,
                "state": request.state.value, "answer": notify.plain(row.answer or ""),
            },
            wanted=[(name, notify.WORDS[name]) for name in sorted(request.operations)],
            ends=_ends(request, self._permission.now), answers=answers, needed=needed, given=given,
            together=len(yeses) > given,
            mine=asked.who.email.casefold() in yeses, ensured=_ensured(row.connector), last=last, ring=self._ring,
            weakened=weakens(row.connector, row.settings), label=notify.NOT_RECORDED,
            outside=Operation.VISIT in request.operations, inside=bool(request.operations - {Operation.VISIT}),
        )  # fmt: skip

    async def options(self, asked: Asked) -> Response:
        """What the passkey is to sign for exactly what is ticked."""
        me, (names, until_ms) = asked.who, _wanted(asked)
        request = await self._approving.offered(
            me.customer_id, me.approver_id, asked.path("request"), names, until_ms
        )  # fmt: skip
        async with self._store.look(me.customer_id) as scope:
            return JSONResponse(await self._passkeys.signing_options(scope, me.approver_id, request.digest))

    async def yes(self, asked: Asked) -> Response:
        """The signed yes."""
        me, (names, until_ms) = asked.who, _wanted(asked)
        request_id = asked.path("request")
        await self._approving.yes(
            me.customer_id, me.approver_id, request_id, names, until_ms, asked.sent.get("answer")
        )  # fmt: skip
        return JSONResponse({"go": f"/requests/{request_id}"})

    async def no(self, asked: Asked) -> Response:
        """A no, with its reason."""
        me, request_id = asked.who, asked.path("request")
        reason = asked.sent.get("reason")
        await self._approving.no(
            me.customer_id, me.approver_id, request_id, reason if isinstance(reason, str) else ""
        )  # fmt: skip
        return asked.go(f"/requests/{request_id}")

    async def end(self, asked: Asked) -> Response:
        """End a permission now; whoever is in is out within a second."""
        me = asked.who
        await self._permission.revoke(me.approver_id, me.customer_id, asked.path("grant"), f"{me.name} ended it")
        return asked.go("/")


def _with_names(table: Any, scope: Scope) -> Any:
    """Its rows of this customer with the engineer's and the phone system's names."""
    return (
        select(table, engineers.c.name.label("engineer"), engineers.c.roles, systems.c.name.label("system"),
               systems.c.connector, systems.c.settings)
        .join(engineers, engineers.c.id == table.c.engineer_id)
        .join(systems, (systems.c.customer_id == table.c.customer_id) & (systems.c.id == table.c.system_id))
        .where(table.c.customer_id == scope.customer_id)
    )  # fmt: skip


def _brief(row: Any, zone: ZoneInfo) -> dict[str, Any]:
    """What every list shows of a request or a permission."""
    return {
        "id": row.id, "engineer": notify.plain(row.engineer), "system": notify.plain(row.system),
        "reason": notify.plain(getattr(row, "reason", "")), "until": notify.when(row.until_ms, zone),
        "operations": [notify.WORDS[name] for name in sorted(row.operations.split())],
    }  # fmt: skip


def _role(roles: str) -> str:
    return notify.plain(", ".join(["engineer of your telephone maintainer", *sorted(roles.split())]))


def _length(ms: int) -> str:
    hours, minutes = divmod(ms // MINUTE, 60)
    parts = [f"{hours} hour{'s' if hours > 1 else ''}"] * bool(hours) + [f"{minutes} minutes"] * bool(minutes)
    return " ".join(parts) or "less than a minute"


def _ends(request: Request, now: int) -> list[tuple[int, str]]:
    """Ends that may be chosen, as asked first: (Unix ms, words). Whole minutes, so that the page can be read slowly."""
    begin = max(now, request.from_ms) // MINUTE * MINUTE
    shorter = [
        (begin + minutes * MINUTE, f"{_length(minutes * MINUTE)} from now")
        for minutes in _SHORTER_MIN
        if begin + minutes * MINUTE < request.until_ms
    ]
    return [(request.until_ms, f"{_length(request.until_ms - request.from_ms)}, as asked"), *reversed(shorter)]


def _wanted(asked: Asked) -> tuple[list[str], int]:
    names, until_ms = asked.sent.get("operations"), asked.sent.get("until")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or type(until_ms) is not int:
        raise InvalidError("that is no answer to a request", next_step="Load the page again.")
    return names, until_ms


def _ensured(connector: str) -> list[str]:
    """What keeps passwords from everybody here, said of each way in which this phone system's are kept."""
    family = families().get(connector)
    if family is None:
        return []
    can = family.capabilities()
    return [*(_ENSURED[secrecy] for secrecy in sorted(set(can.secrecy.values()))), can.secrecy_why]


async def _answers(scope: Scope, request: Request, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Who answered, when and how; `counts`: to the request as it stands now."""
    here = (approvers.c.customer_id == approvals.c.customer_id) & (approvers.c.id == approvals.c.approver_id)
    query = (
        select(approvals, approvers.c.name)
        .join(approvers, here)
        .where(approvals.c.customer_id == scope.customer_id, approvals.c.request_id == request.id)
        .order_by(approvals.c.at_ms)
    )
    return [
        {
            "name": notify.plain(row.name), "at": notify.when(row.at_ms, zone),
            "how": f"{BY_PHONE}, recorded by {notify.plain(row.recorded_by)}"
            if row.how == BY_PHONE else "signed with their own key",
            "counts": row.request_digest == request.digest,
        }
        for row in await scope.execute(query)
    ]  # fmt: skip


async def _last_visit(scope: Scope, system_id: str, zone: ZoneInfo) -> str:
    """Who was in last, when, and what was done, in one sentence."""
    query = (
        select(sessions, engineers.c.name)
        .join(engineers, engineers.c.id == sessions.c.engineer_id)
        .where(sessions.c.customer_id == scope.customer_id, sessions.c.system_id == system_id)
        .order_by(sessions.c.opened_ms.desc())
        .limit(1)
    )
    row = (await scope.execute(query)).first()
    beside = select(outside, engineers.c.name).join(engineers, engineers.c.id == outside.c.engineer_id)
    beside = beside.where(outside.c.customer_id == scope.customer_id, outside.c.system_id == system_id)
    other = (await scope.execute(beside.order_by(outside.c.started_ms.desc()).limit(1))).first()
    if other is not None and (row is None or other.started_ms > row.opened_ms):
        at = notify.when(other.started_ms, zone)
        return f"{notify.plain(other.name)} visited it on {at}: not recorded here, see under Visits."
    if row is None:
        return "Nobody has been in here before."
    done = (
        select(operations.c.name, func.count())
        .where(operations.c.customer_id == scope.customer_id, operations.c.session_id == row.id)
        .where(operations.c.state == "done")
        .group_by(operations.c.name)
        .order_by(operations.c.name)
    )
    what = [f"{notify.WORDS[name]} ({notify.times(count)})" for name, count in (await scope.execute(done)).all()]
    return f"{notify.plain(row.name)} was in on {notify.when(row.opened_ms, zone)}: {', '.join(what) or 'did nothing'}."
