"""What the next shift must know: open visits, waiting requests, unknown outcomes, passwords on their way, notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select

from audit.tables import entries
from gateway.lifecycle import LinkState, OperationState, RequestState, SessionState
from gateway.model import DAY
from gateway.session.commands.book import Command
from gateway.session.commands.caller import Caller
from gateway.session.commands.desk import Desk
from gateway.session.commands.text import clock
from gateway.store.engine import Scope
from gateway.store.tables import approvers, engineers, links, notes, operations, requests, sessions

_LOOK_BACK_MS: Final = 7 * DAY
_EACH: Final = 50


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to know."""

    what: str
    customer_id: str
    system_id: str
    who: str
    at_ms: int
    words: str


class Handover:
    """handover."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def commands(self) -> list[Command]:
        """For help."""
        return [
            Command(
                "handover", self.handover, "handover",
                "what the next shift must know, of every customer whose list names you", "handover",
                f"Unknown outcomes, undelivered passwords and notes go back {_LOOK_BACK_MS // DAY} days.",
            )
        ]  # fmt: skip

    async def handover(self, caller: Caller) -> None:
        """List it, what needs somebody first."""
        places = await self._desk.places.places_for(caller.identity.engineer_id)
        names = {(p.system.customer_id, p.system.id): (p.customer, p.system.name) for p in places}
        mine = {customer_id for customer_id, _ in names}
        since = self._desk.permission.now - _LOOK_BACK_MS
        async with self._desk.store.look_at_everyone() as scope:
            found = [
                *await _unknown(scope, mine, since), *await _undelivered(scope, mine, since),
                *await _to_hand_over(scope, mine, since), *await _open(scope, mine),
                *await _waiting(scope, mine), *await _notes(scope, mine, since),
            ]  # fmt: skip
        found = [item for item in found if (item.customer_id, item.system_id) in names]
        zones = await self._desk.zones({item.customer_id for item in found})
        rows = []
        for item in found:
            customer, system = names[item.customer_id, item.system_id]
            rows.append({
                "what": item.what, "customer": customer, "system": system, "who": item.who,
                "when": clock(item.at_ms, zones[item.customer_id]), "about": item.words,
            })  # fmt: skip
        caller.out(rows, "Nothing to hand over.")


_BY_WHOM: Final = (
    select(operations, sessions.c.system_id, engineers.c.name.label("who"))
    .join(sessions, (sessions.c.customer_id == operations.c.customer_id) & (sessions.c.id == operations.c.session_id))
    .join(engineers, engineers.c.id == sessions.c.engineer_id)
)
"""Operations, with where and by whom."""


async def _unknown(scope: Scope, mine: set[str], since: int) -> list[Item]:
    mine_of_late = operations.c.customer_id.in_(mine) & (operations.c.intended_ms >= since)
    unknown = _BY_WHOM.where(mine_of_late, operations.c.state == OperationState.UNKNOWN)
    query = unknown.order_by(operations.c.intended_ms.desc()).limit(_EACH)
    return [
        Item("unknown outcome", r.customer_id, r.system_id, r.who, r.intended_ms, f"{r.name}: look before repeating it")
        for r in await scope.execute(query)
    ]


async def _undelivered(scope: Scope, mine: set[str], since: int) -> list[Item]:
    """The event names the operation; the operation names the rest."""
    query = (
        select(entries.c.log_id, entries.c.operation_id, entries.c.time_ms)
        .where(entries.c.log_id.in_(mine), entries.c.kind == "secret.undelivered", entries.c.time_ms >= since)
        .order_by(entries.c.time_ms.desc())
        .limit(_EACH)
    )
    told = {(r.log_id, r.operation_id): r.time_ms for r in await scope.execute(query)}
    if not told:
        return []
    query = _BY_WHOM.where(operations.c.customer_id.in_(mine), operations.c.id.in_(o for _, o in told))
    return [
        Item(
            "password undelivered", r.customer_id, r.system_id, r.who, told[r.customer_id, r.id],
            f"{r.name}: nobody got the new password; reset it again",
        )
        for r in await scope.execute(query)
        if (r.customer_id, r.id) in told
    ]  # fmt: skip


_HOW_FAR: Final = {
    LinkState.READY: "{} has not opened it yet",
    LinkState.OPENED: "{} has opened it, and not said yet that it was given on",
    LinkState.EXPIRED: "{} did not open it in time; nobody knows the new password: reset it again",
}


async def _to_hand_over(scope: Scope, mine: set[str], since: int) -> list[Item]:
    """What an approver has still to pass on, or let run out."""
    query = (
        _BY_WHOM.add_columns(links.c.state.label("how_far"), links.c.made_ms, approvers.c.name.label("approver"))
        .join(links, (links.c.customer_id == operations.c.customer_id) & (links.c.operation_id == operations.c.id))
        .join(approvers, (approvers.c.customer_id == links.c.customer_id) & (approvers.c.id == links.c.approver_id))
        .where(links.c.customer_id.in_(mine), links.c.state.in_(_HOW_FAR), links.c.made_ms >= since)
        .order_by(links.c.made_ms.desc())
        .limit(_EACH)
    )
    return [
        Item(
            "password to hand over", r.customer_id, r.system_id, r.who, r.made_ms,
            f"{r.name}: {_HOW_FAR[LinkState(r.how_far)].format(r.approver)}",
        )
        for r in await scope.execute(query)
    ]  # fmt: skip


async def _open(scope: Scope, mine: set[str]) -> list[Item]:
    query = (
        select(sessions, engineers.c.name.label("who"))
        .join(engineers, engineers.c.id == sessions.c.engineer_id)
        .where(sessions.c.customer_id.in_(mine), sessions.c.state == SessionState.OPEN)
        .order_by(sessions.c.opened_ms.desc())
        .limit(_EACH)
    )
    return [
        Item("open visit", r.customer_id, r.system_id, r.who, r.opened_ms, "is in now")
        for r in await scope.execute(query)
    ]


async def _waiting(scope: Scope, mine: set[str]) -> list[Item]:
    query = (
        select(requests, engineers.c.name.label("who"))
        .join(engineers, engineers.c.id == requests.c.engineer_id)
        .where(requests.c.customer_id.in_(mine), requests.c.state == RequestState.WAITING)
        .order_by(requests.c.submitted_ms.desc())
        .limit(_EACH)
    )
    return [
        Item("waiting request", r.customer_id, r.system_id, r.who, r.submitted_ms, _asked(r))
        for r in await scope.execute(query)
    ]


def _asked(row: Any) -> str:
    return f"{row.operations} ({row.ticket or 'no ticket'}): {row.reason}"


async def _notes(scope: Scope, mine: set[str], since: int) -> list[Item]:
    query = (
        select(notes, engineers.c.name.label("who"))
        .join(engineers, engineers.c.id == notes.c.author, isouter=True)
        .where(notes.c.customer_id.in_(mine), notes.c.at_ms >= since)
        .order_by(notes.c.at_ms.desc())
        .limit(_EACH)
    )
    return [
        Item("note", r.customer_id, r.system_id, r.who or r.author, r.at_ms, r.text) for r in await scope.execute(query)
    ]
