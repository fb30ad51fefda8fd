"""Access on and off: the customer's own switch, above every permission (policy.access_is_on says what it means)."""

from __future__ import annotations

import json
import re
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select, update

from audit.events import Event
from audit.log import AuditLog
from gateway import notify
from gateway.access.directory import agreement_of
from gateway.access.facts import SWITCH, switch_of
from gateway.access.said import BY_STAFF, said
from gateway.errors import InvalidError, NotPermittedError
from gateway.lifecycle import AgreementState
from gateway.model import DAY, Access, AccessMode, Hours, same_address
from gateway.store.engine import Scope, Store
from gateway.store.tables import access, approvers, customers

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN: Final = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?\s+(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", re.ASCII)
_EXAMPLE: Final = "It looks like 'mon-fri 08:00-18:00'; past midnight takes two: 'fri 22:00-24:00', 'sat 00:00-06:00'."
_LONGEST_MS: Final = 366 * DAY
_SPANS: Final = 21


async def access_of(scope: Scope) -> Access:
    """How the customer's switch stands."""
    row = (await scope.execute(select(*SWITCH).where(access.c.customer_id == scope.customer_id))).first()
    return Access() if row is None else switch_of(row)


def parse_hours(text: str) -> Hours:
    """'mon-fri 08:00-18:00' as a span of the week. InvalidError."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise InvalidError(f"{text[:60]!r} is no span of a week", next_step=_EXAMPLE)
    first, last, *clock = found.groups()
    last = last or first
    if first not in _DAYS or last not in _DAYS:
        raise InvalidError(f"{text[:60]!r} names a day that is none", next_step=f"They are {', '.join(_DAYS)}.")
    start_hour, start_minute, end_hour, end_minute = (int(part) for part in clock)
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if start_minute > 59 or end_minute > 59 or not start < end <= 24 * 60:
        raise InvalidError(f"{text[:60]!r} does not end after it begins, on one day", next_step=_EXAMPLE)
    begin = _DAYS.index(first)
    days = (_DAYS.index(last) - begin) % 7
    weekdays = frozenset((begin + step) % 7 + 1 for step in range(days + 1))
    return Hours(weekdays=weekdays, start_minute=start, end_minute=end)


def in_words(value: Access) -> str:
    """off; on until Wednesday …; on mon, tue 08:00-18:00 (Europe/London)."""
    if value.mode is AccessMode.UNTIL:
        return f"on until {notify.when(value.until_ms or 0, ZoneInfo(value.zone))}, then off"
    if value.mode is AccessMode.WEEKLY:
        return f"on {'; '.join(_span(hours) for hours in value.hours)} ({value.zone}), otherwise off"
    return value.mode.value


def _span(hours: Hours) -> str:
    days = ", ".join(_DAYS[day - 1] for day in sorted(hours.weekdays))
    clock = (divmod(hours.start_minute, 60), divmod(hours.end_minute, 60))
    return f"{days} {clock[0][0]:02d}:{clock[0][1]:02d}-{clock[1][0]:02d}:{clock[1][1]:02d}"


class Switch:
    """Writes each change with its event and its mail to every approver, in one transaction."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit

    @property
    def now(self) -> int:
        """Time as permission counts it, Unix ms."""
        return self._audit.clock.now()

    async def show(self, customer_id: str) -> Access:
        """How it stands."""
        async with self._store.look(customer_id) as scope:
            return await access_of(scope)

    async def set_by_staff(
        self, actor: str, customer_id: str, mode: AccessMode, until_ms: int | None, spans: list[str], by: str, how: str
    ) -> Access:
        """Turn it as somebody of the customer's (`by`) asked by telephone or letter; it is labelled so for good.

        Off is always taken. Anything else lets people in: NotPermittedError unless the agreement allows consent by
        telephone and `by` is an approver. InvalidError for a time or a span that makes no sense.
        """
        if not by.strip() or not how.strip():
            raise InvalidError("say who of the customer asked for it, and how", next_step="Add --by and --how.")
        async with self._store.scope(customer_id) as scope:
            if mode is not AccessMode.OFF:
                by = await self._who_may(scope, by)
            zone = await notify.zone_of(scope)
            value = self._checked(mode, until_ms, tuple(parse_hours(span) for span in spans), zone.key)
            await self._write(scope, actor, value, by, BY_STAFF, how)
        return value

    async def set_by_approver(
        self, customer_id: str, approver_id: str, name: str, mode: AccessMode, until_ms: int | None, spans: list[str]
    ) -> Access:
        """Turn it as an approver does in the portal. InvalidError for a time or a span that makes no sense."""
        async with self._store.scope(customer_id) as scope:
            zone = await notify.zone_of(scope)
            value = self._checked(mode, until_ms, tuple(parse_hours(span) for span in spans), zone.key)
            await self._write(scope, approver_id, value, name, "in the portal")
        return value

    def _checked(self, mode: AccessMode, until_ms: int | None, hours: tuple[Hours, ...], zone: str) -> Access:
        now = self._audit.clock.now()
        if (mode is AccessMode.UNTIL) != (until_ms is not None):
            raise InvalidError("until goes with a time, and a time with until", next_step="Add --until TIME.")
        if (mode is AccessMode.WEEKLY) != bool(hours):
            raise InvalidError("weekly goes with hours, and hours with weekly", next_step=_EXAMPLE)
        if until_ms is not None and not now < until_ms <= now + _LONGEST_MS:
            raise InvalidError("the end has to be in the future, and within a year")
        if len(hours) > _SPANS:
            raise InvalidError(f"a week has at most {_SPANS} spans")
        return Access(mode, until_ms, hours, zone)

    @staticmethod
    async def _who_may(scope: Scope, by: str) -> str:
        """The name of the approver meant. NotPermittedError."""
        agreement = await agreement_of(scope)
        if agreement is None or not agreement.terms.consent_by_phone or agreement.state is not AgreementState.CONFIRMED:
            raise NotPermittedError(
                "This customer's agreement does not let you switch access on for it; off you always may.",
                next_step="Ask an approver of the customer to do it.",
            )
        mine = (approvers.c.customer_id == scope.customer_id) & approvers.c.removed_ms.is_(None)
        for row in await scope.execute(select(approvers.c.name, approvers.c.email).where(mine)):
            if by == row.name or same_address(by, row.email):
                return str(row.name)
        raise NotPermittedError(
            f"{by} is no approver of this customer.", next_step="`frameroom approver list` shows them."
        )

    async def _write(self, scope: Scope, actor: str, value: Access, by: str, how: str, typed: str = "") -> None:
        here = customers.c.id == scope.customer_id
        await scope.execute(select(customers.c.id).where(here).with_for_update())
        hours = [
            {"weekdays": sorted(h.weekdays), "start_minute": h.start_minute, "end_minute": h.end_minute}
            for h in value.hours
        ]
        now = self._audit.clock.now()
        values = {
            "mode": value.mode, "until_ms": value.until_ms, "hours": json.dumps(hours), "zone": value.zone,
            "changed_ms": now,
        }  # fmt: skip
        changed = await scope.execute(update(access).where(access.c.customer_id == scope.customer_id).values(**values))
        if not changed.rowcount:
            await scope.execute(insert(access).values(customer_id=scope.customer_id, **values))
        data: dict[str, Any] = {"mode": value.mode.value, "zone": value.zone, "hours": hours, "how": how}
        if value.until_ms is not None:
            data["until_ms"] = value.until_ms
        told = f"{typed}, {how}" if typed else how
        personal = said(self._audit, scope, by, told if typed else "")
        await self._audit.append(
            scope.connection, Event("access.changed", scope.customer_id, actor, data=data, personal=personal)
        )
        await notify.access_changed(scope, in_words(value), by, told, now)
