"""The outbox: messages written in the transaction of the change they tell of, and to whom they go."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, func, insert, null, select, union_all

from gateway import numbers
from gateway.model import NOTICES, same_address
from gateway.store.engine import Scope
from gateway.store.tables import agreements, approvers, contacts, outbox
from gateway.store.telling_tables import asking, channels

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
        "answered",
        "agreement",
        "engineer named",
        "job",
        "request reminder",
        "contact changed",
        "asking changed",
        "approver added",
        "approver confirmed",
        "address confirmed",
        "log lost",
        "foreign login",
        "access changed",
        "file applied",
        "invitation",
        "passkey",
        "sign-in",
        "month",
    }
)
"""Messages that only the customer's contacts and approvers get: whoever is none any more gets them no more."""


_EITHER: Final = (asking.c.customer_id == approvers.c.customer_id) & (asking.c.id == approvers.c.id)
_WISH: Final = func.coalesce(asking.c.notices, "each")
"""An approver is told of each visit, unless they said otherwise."""
_WISHES: Final = union_all(
    select(contacts.c.email, contacts.c.notices, contacts.c.id).where(
        contacts.c.customer_id == bindparam("of_customer"), contacts.c.removed_ms.is_(None),
        contacts.c.standing == "current",
    ),
    select(approvers.c.email, _WISH, null()).outerjoin(asking, _EITHER).where(
        approvers.c.customer_id == bindparam("of_customer"), approvers.c.removed_ms.is_(None)
    ),
)  # fmt: skip
"""Built once: every visit's beginning and end ask it."""


_PUT: Final = insert(outbox)
_TERMS: Final = (
    select(agreements.c.terms)
    .where(agreements.c.customer_id == bindparam("of_customer"))
    .order_by(agreements.c.version.desc())
    .limit(1)
)


async def queue(
    scope: Scope, addresses: Sequence[str], what: str, subject: str, body: str, now: int, *, due_ms: int | None = None
) -> list[str]:
    """Put a message to each address into the outbox, in the caller's transaction, due now or at `due_ms`; their ids."""
    return [await put(scope, address, what, subject, body, now, due_ms=due_ms) for address in _persons(addresses)]


async def put(
    scope: Scope, address: str, what: str, subject: str, body: str, now: int, *, due_ms: int | None = None,
    batch: str = "", channel_id: str | None = None,
) -> str:  # fmt: skip
    """One message, by mail or by a channel; its id."""
    # Ids that grow, so that what happened first is told first, also within the mail of a day.
    message_id = f"msg_{now:012x}{secrets.token_hex(8)}"
    values = {
        "customer_id": scope.customer_id, "id": message_id, "address": address, "what": what, "subject": subject,
        "body": body, "batch": batch, "tries": 0, "due_ms": now if due_ms is None else due_ms, "channel_id": channel_id,
    }  # fmt: skip
    await scope.execute(_PUT, values)
    return message_id


def _persons(addresses: Sequence[str]) -> list[str]:
    return list({address.casefold(): address for address in addresses}.values())


async def wishes_of(scope: Scope) -> dict[str, tuple[str, str, str | None]]:
    """By address without case: (address, what they wish to be told of visits, the contact's id if it is one).

    Contacts who are `current`, and approvers. Whoever is both is told as the contact wishes.
    """
    found: dict[str, tuple[str, str, str | None]] = {}
    told = (await scope.execute(_WISHES, {"of_customer": scope.customer_id})).all()
    for address, wish, contact in sorted(told, key=lambda row: row.id is None):  # contacts first
        held = found.get(address.casefold())
        if held is None or (contact is not None and NOTICES.index(wish) < NOTICES.index(held[1])):
            found[address.casefold()] = (address, wish, contact)
    return found


async def tell_contacts(
    scope: Scope,
    wishes: tuple[str, ...],
    what: str,
    subject: str,
    body: str,
    now: int,
    *,
    daily: bool = False,
    also: Sequence[str] = (),
) -> None:
    """To each contact and approver as they wish: now to those with one of `wishes`, and with `daily` into the mail of
    the day. By a contact's other channels goes that there is something to read, and no more.

    `also`: addresses that get it now whatever they wish.
    """
    found = list((await wishes_of(scope)).values())
    at_once = _persons([*(address for address, wish, _ in found if wish in wishes), *also])
    await queue(scope, at_once, what, subject, body, now)
    beside = [contact for _, wish, contact in found if wish in wishes and contact is not None]
    ways = select(channels.c.id).where(channels.c.customer_id == scope.customer_id, channels.c.contact_id.in_(beside))
    for channel in (await scope.execute(ways)).scalars().all() if beside else ():
        await put(scope, "", what, subject, "There is news about your phone systems.", now, channel_id=channel)
    if daily:
        day, due_ms = day_of(now, await zone_of(scope))
        for address, wish, _ in found:
            if wish == "daily" and not any(same_address(address, other) for other in at_once):
                await put(scope, address, what, subject, body, now, due_ms=due_ms, batch=day)


async def anybody_wishes(scope: Scope, *wishes: str) -> bool:
    """True when somebody has one of these wishes: a letter that nobody gets need not be written."""
    return any(wish in wishes for _, wish, _ in (await wishes_of(scope)).values())


async def approvers_of(scope: Scope) -> list[str]:
    """Addresses of the customer's approvers."""
    query = select(approvers.c.email).where(
        approvers.c.customer_id == scope.customer_id, approvers.c.removed_ms.is_(None)
    )
    return list((await scope.execute(query)).scalars())


async def contacts_of(scope: Scope) -> list[str]:
    """Addresses of the customer's contacts who want to be told anything, and still are theirs."""
    query = select(contacts.c.email).where(
        contacts.c.customer_id == scope.customer_id, contacts.c.removed_ms.is_(None), contacts.c.notices != "none",
        contacts.c.standing == "current",
    )  # fmt: skip
    return list((await scope.execute(query)).scalars())


async def is_present(scope: Scope, address: str) -> bool:
    """True when the address belongs to a contact or an approver who was not removed."""
    present = [*await contacts_of(scope), *await approvers_of(scope)]
    return any(same_address(address, other) for other in present)


async def zone_of(scope: Scope) -> ZoneInfo:
    """The customer's zone, as the newest agreement names it."""
    terms: Any = (await scope.execute(_TERMS, {"of_customer": scope.customer_id})).scalar_one_or_none()
    return ZoneInfo(json.loads(terms)["zone"] if terms else "Europe/London")


async def country_of(scope: Scope) -> str:
    """The customer's country, whose numbers need no code there: that of the zone."""
    return numbers.country_of((await zone_of(scope)).key)


def day_of(now_ms: int, zone: ZoneInfo) -> tuple[str, int]:
    """The day whose mail something of `now_ms` goes into ("2026-11-25"), and when that mail is due (Unix ms)."""
    local = datetime.fromtimestamp(now_ms / 1000, zone)
    day: date = local.date() if local.time() < DAILY_AT else local.date() + timedelta(days=1)
    return day.isoformat(), int(datetime.combine(day, DAILY_AT, zone).timestamp() * 1000)
