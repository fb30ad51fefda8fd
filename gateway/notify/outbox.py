"""The outbox: messages written in the transaction of the change they tell of, and to whom they go."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, insert, select

from gateway.model import same_address
from gateway.store.engine import Scope
from gateway.store.tables import agreements, approvers, contacts, outbox

DAILY_AT: Final = time(18)
"""When the mail of the day goes out, in the customer's zone."""
TO_STAFF_OF_CUSTOMER: Final = frozenset(
    {
        "visit opened",
        "visit closed",
        "revoked",
        "daily",
        "consent by telephone",
        "request waiting",
        "approver added",
        "approver confirmed",
        "address confirmed",
        "log lost",
        "foreign login",
        "access changed",
        "invitation",
        "passkey",
    }
)
"""Messages that only the customer's contacts and approvers get: whoever is none any more gets them no more."""


_ANYBODY: Final = (
    select(contacts.c.id)
    .where(
        contacts.c.customer_id == bindparam("of_customer"), contacts.c.removed_ms.is_(None),
        contacts.c.notices.in_(bindparam("wishes", expanding=True)),
    )
    .limit(1)
)  # fmt: skip


async def queue(scope: Scope, addresses: Sequence[str], what: str, subject: str, body: str, now: int) -> None:
    """Put a message to each address into the outbox, in the caller's transaction."""
    for address in _persons(addresses):
        await _put(scope, address, what, subject, body, now)


async def _put(
    scope: Scope, address: str, what: str, subject: str, body: str, now: int, *, due_ms: int | None = None,
    batch: str = "",
) -> None:  # fmt: skip
    # Ids that grow, so that what happened first is told first, also within the mail of a day.
    message_id = f"msg_{now:012x}{secrets.token_hex(8)}"
    await scope.execute(
        insert(outbox).values(
            customer_id=scope.customer_id, id=message_id, address=address, what=what, subject=subject, body=body,
            batch=batch, tries=0, due_ms=now if due_ms is None else due_ms,
        )
    )  # fmt: skip


def _persons(addresses: Sequence[str]) -> list[str]:
    return list({address.casefold(): address for address in addresses}.values())


async def tell_contacts(
    scope: Scope, wishes: tuple[str, ...], what: str, subject: str, body: str, now: int, *, daily: bool = False
) -> None:
    """To each contact as they wish: now to those with one of `wishes`, and with `daily` into the mail of the day."""
    query = select(contacts.c.email, contacts.c.notices).where(
        contacts.c.customer_id == scope.customer_id, contacts.c.removed_ms.is_(None)
    )
    rows = (await scope.execute(query)).all()
    at_once = _persons([row.email for row in rows if row.notices in wishes])
    await queue(scope, at_once, what, subject, body, now)
    if daily:
        day, due_ms = day_of(now, await zone_of(scope))
        for address in _persons([row.email for row in rows if row.notices == "daily"]):
            if not any(same_address(address, other) for other in at_once):
                await _put(scope, address, what, subject, body, now, due_ms=due_ms, batch=day)


async def anybody_wishes(scope: Scope, *wishes: str) -> bool:
    """True when a contact has one of these wishes: a letter that nobody gets need not be written."""
    values = {"of_customer": scope.customer_id, "wishes": list(wishes)}
    return (await scope.execute(_ANYBODY, values)).first() is not None


async def approvers_of(scope: Scope) -> list[str]:
    """Addresses of the customer's approvers."""
    query = select(approvers.c.email).where(
        approvers.c.customer_id == scope.customer_id, approvers.c.removed_ms.is_(None)
    )
    return list((await scope.execute(query)).scalars())


async def contacts_of(scope: Scope) -> list[str]:
    """Addresses of the customer's contacts who want to be told anything."""
    query = select(contacts.c.email).where(
        contacts.c.customer_id == scope.customer_id, contacts.c.removed_ms.is_(None), contacts.c.notices != "none"
    )
    return list((await scope.execute(query)).scalars())


async def is_present(scope: Scope, address: str) -> bool:
    """True when the address belongs to a contact or an approver who was not removed."""
    present = [*await contacts_of(scope), *await approvers_of(scope)]
    return any(same_address(address, other) for other in present)


async def zone_of(scope: Scope) -> ZoneInfo:
    """The customer's zone, as the newest agreement names it."""
    query = (
        select(agreements.c.terms)
        .where(agreements.c.customer_id == scope.customer_id)
        .order_by(agreements.c.version.desc())
        .limit(1)
    )
    terms: Any = (await scope.execute(query)).scalar_one_or_none()
    return ZoneInfo(json.loads(terms)["zone"] if terms else "Europe/London")


def day_of(now_ms: int, zone: ZoneInfo) -> tuple[str, int]:
    """The day whose mail something of `now_ms` goes into ("2026-11-25"), and when that mail is due (Unix ms)."""
    local = datetime.fromtimestamp(now_ms / 1000, zone)
    day: date = local.date() if local.time() < DAILY_AT else local.date() + timedelta(days=1)
    return day.isoformat(), int(datetime.combine(day, DAILY_AT, zone).timestamp() * 1000)
