"""Who was asked about a request, by which way, and what became of each message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select, update

from gateway.lifecycle import RequestState
from gateway.notify.words import plain
from gateway.store.engine import Scope
from gateway.store.tables import approvers, requests
from gateway.store.telling_tables import deliveries

MAIL: Final = "mail"
_MOMENT: Final = 16
"""Characters of a message's id that say when it was written."""


class Delivery(StrEnum):
    """What became of a message: it waits, the server took it, it never will be taken, or the answer came first."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    NOT_NEEDED = "not needed"


class Occasion(StrEnum):
    """Why somebody was asked at that moment."""

    FIRST = "first"
    REMINDED = "reminded"
    NEXT = "next"
    DEPUTY = "deputy"


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message to one person about a request. `trouble`: the last try failed so; `at_ms`: since when it is so."""

    approver_id: str
    name: str
    occasion: Occasion
    way: str
    state: Delivery
    trouble: str
    at_ms: int

    def words(self, zone: ZoneInfo) -> str:
        """ "mail sent 09:12", "text message failed 09:14 (refused)"."""
        clock = datetime.fromtimestamp(self.at_ms / 1000, zone).strftime("%H:%M")
        again = "; it is tried again" if self.state is Delivery.WAITING else ""
        tail = f" ({self.trouble}{again})" if self.trouble else ""
        reminder = "reminder by " if self.occasion is Occasion.REMINDED else ""
        return f"{reminder}{self.way} {self.state.value} {clock}{tail}"


async def note(
    scope: Scope, message_id: str, request_id: str, approver_id: str, occasion: Occasion, way: str, now: int
) -> None:  # fmt: skip
    """A message of the outbox is about a request, in the caller's transaction."""
    await scope.execute(
        insert(deliveries).values(
            customer_id=scope.customer_id, id=message_id, request_id=request_id, approver_id=approver_id,
            occasion=occasion, way=way, state=Delivery.WAITING, code="", at_ms=now,
        )
    )  # fmt: skip


async def settle(scope: Scope, message_ids: Sequence[str], state: Delivery, code: str, now: int) -> None:
    """What became of messages; those that are about no request are passed over."""
    here = (deliveries.c.customer_id == scope.customer_id) & deliveries.c.id.in_(message_ids)
    await scope.execute(update(deliveries).where(here).values(state=state, code=code[:40], at_ms=now))


async def not_needed(scope: Scope, message_id: str) -> bool:
    """True when a message asks about a request that does not wait any more."""
    here = (requests.c.customer_id == deliveries.c.customer_id) & (requests.c.id == deliveries.c.request_id)
    query = select(requests.c.state).join(deliveries, here)
    mine = (deliveries.c.customer_id == scope.customer_id) & (deliveries.c.id == message_id)
    state: Any = (await scope.execute(query.where(mine))).scalar_one_or_none()
    return state is not None and state != RequestState.WAITING


async def deliveries_of(scope: Scope, request_id: str) -> list[Delivered]:
    """Every message that asked somebody about a request, in the order in which they were written."""
    here = (approvers.c.customer_id == deliveries.c.customer_id) & (approvers.c.id == deliveries.c.approver_id)
    query = (
        select(deliveries, approvers.c.name)
        .join(approvers, here)
        .where(deliveries.c.customer_id == scope.customer_id, deliveries.c.request_id == request_id)
        .order_by(deliveries.c.id)
    )
    rows = (await scope.execute(query)).all()
    # Ids grow with the millisecond; of what was written in one, mail comes first.
    rows = sorted(rows, key=lambda row: (row.id[:_MOMENT], row.way != MAIL))
    return [_delivered(row) for row in rows]


def _delivered(row: Any) -> Delivered:
    return Delivered(
        row.approver_id, plain(row.name), Occasion(row.occasion), row.way, Delivery(row.state), row.code, row.at_ms
    )  # fmt: skip


def by_person(found: Sequence[Delivered], zone: ZoneInfo) -> list[tuple[str, str]]:
    """(name, what was sent to them in words), in the order in which they were asked."""
    told: dict[str, list[Delivered]] = {}
    for one in found:
        told.setdefault(one.approver_id, []).append(one)
    return [(parts[0].name, "; ".join(part.words(zone) for part in parts)) for parts in told.values()]
