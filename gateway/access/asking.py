"""In which turn a customer's approvers are asked, who stands in for whom, who is away, and who is told of what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import delete, insert, select, update

from audit.events import Event
from audit.log import AuditLog
from gateway import notify
from gateway.errors import InvalidError, NotFoundError, StateError
from gateway.model import DAY, NOTICES, new_id
from gateway.store.engine import Scope, Store
from gateway.store.tables import approvers
from gateway.store.telling_tables import absences, asking

_LONGEST_MS: Final = 366 * DAY
_AHEAD_MS: Final = 2 * 366 * DAY
_AT_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class Away:
    """One absence. `until_ms` is exclusive; `deputy_id` None: whoever stands in for them otherwise."""

    id: str
    approver_id: str
    deputy_id: str | None
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class How:
    """How one approver is asked and told: their `turn` (1 is first), deputy, wish, and absences not yet over."""

    turn: int
    deputy_id: str | None
    notices: str
    away: tuple[Away, ...]

    def is_away(self, now: int) -> bool:
        """True when they are away at `now`."""
        return any(one.from_ms <= now < one.until_ms for one in self.away)


class Asking:
    """Writes each change with its event, in one transaction."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit

    async def _log(self, scope: Scope, kind: str, actor: str, **data: Any) -> None:
        await self._audit.append(scope.connection, Event(kind, scope.customer_id, actor, data=data))

    @staticmethod
    async def _named(scope: Scope, *ids: str) -> None:
        here = (approvers.c.customer_id == scope.customer_id) & approvers.c.removed_ms.is_(None)
        known = set((await scope.execute(select(approvers.c.id).where(here))).scalars())
        if not set(ids) <= known:
            raise NotFoundError(
                "that is no approver of this customer", next_step="`frameroom approver list` shows them."
            )

    @staticmethod
    async def _set(scope: Scope, approver_id: str, **values: Any) -> None:
        here = (asking.c.customer_id == scope.customer_id) & (asking.c.id == approver_id)
        if not (await scope.execute(update(asking).where(here).values(**values))).rowcount:
            await scope.execute(insert(asking).values(customer_id=scope.customer_id, id=approver_id, **values))

    @staticmethod
    async def _person(scope: Scope, approver_id: str) -> notify.Approver:
        rota = await notify.rota_of(scope, 0)
        gone = notify.Approver(approver_id, "somebody who is no approver any more", "")
        return next((one for one in rota.approvers if one.id == approver_id), gone)

    async def _tell(self, scope: Scope, actor: str, approver_id: str, words: str, deputy_id: str | None) -> None:
        """To whoever stands in now; and to everybody, when it was not the approver's own doing: who could say who is
        asked could see to it that somebody is not."""
        rota = await notify.rota_of(scope, 0)
        own = actor == approver_id
        to = [one.email for one in rota.approvers if (one.id == deputy_id if own else True)]
        by = (await self._person(scope, actor)).name if own else ""
        await notify.asking_changed(scope, words, by, to, self._audit.clock.now())

    async def order(self, actor: str, customer_id: str, approver_ids: Sequence[str], together: bool = False) -> None:
        """Ask in this order, or all of these at once; whoever is not named comes after them."""
        if len(set(approver_ids)) != len(approver_ids):
            raise InvalidError("somebody is named twice")
        async with self._store.scope(customer_id) as scope:
            await self._named(scope, *approver_ids)
            await scope.execute(update(asking).where(asking.c.customer_id == customer_id).values(place=None))
            for place, approver_id in enumerate(approver_ids, 1):
                await self._set(scope, approver_id, place=1 if together else place)
            await self._log(scope, "asking.ordered", actor, order=list(approver_ids), together=together)
            names = [(await self._person(scope, one)).name for one in approver_ids]
            words = f"{', '.join(names) or 'as you were named'}{' (all at once)' if together else ''}."
            await self._tell(scope, actor, "", f"You are asked in this order: {words}", None)

    async def deputy(self, actor: str, customer_id: str, approver_id: str, deputy_id: str | None) -> None:
        """Who stands in for them, whenever they are away or do not answer; None: nobody."""
        if deputy_id == approver_id:
            raise InvalidError("nobody stands in for themselves")
        async with self._store.scope(customer_id) as scope:
            await self._named(scope, approver_id, *([deputy_id] if deputy_id else []))
            await self._set(scope, approver_id, deputy_id=deputy_id)
            await self._log(scope, "deputy.set", actor, approver=approver_id, deputy=deputy_id or "")
            whose = (await self._person(scope, approver_id)).name
            stands = (await self._person(scope, deputy_id)).name if deputy_id else "Nobody"
            await self._tell(scope, actor, approver_id, f"{stands} stands in for {whose}.", deputy_id)

    async def notices(self, actor: str, customer_id: str, approver_id: str, wish: str) -> None:
        """Of which visits they are told by mail. What they are asked, and alarms, reach them all the same."""
        if wish not in NOTICES:
            raise InvalidError(f"{wish} is no choice of notices", next_step=f"There are {', '.join(NOTICES)}.")
        async with self._store.scope(customer_id) as scope:
            await self._named(scope, approver_id)
            await self._set(scope, approver_id, notices=wish)
            await self._log(scope, "notices.set", actor, approver=approver_id, notices=wish)
            if actor != approver_id:
                email = (await self._person(scope, approver_id)).email
                await notify.wish_changed(scope, email, wish, self._audit.clock.now())

    async def away(
        self, actor: str, customer_id: str, approver_id: str, first: str, last: str, deputy_id: str | None = None
    ) -> Away:
        """Away from the day `first` to the day `last` (2026-12-24), both included, by the customer's clock."""
        if deputy_id == approver_id:
            raise InvalidError("nobody stands in for themselves")
        begins, ends = _day(first), _day(last)
        now = self._audit.clock.now()
        async with self._store.scope(customer_id) as scope:
            await self._named(scope, approver_id, *([deputy_id] if deputy_id else []))
            zone = await notify.zone_of(scope)
            from_ms = int(datetime.combine(begins, time(), zone).timestamp() * 1000)
            until_ms = int(datetime.combine(ends + timedelta(days=1), time(), zone).timestamp() * 1000)
            if ends < begins:
                raise InvalidError("the last day is before the first")
            if until_ms <= now or until_ms - from_ms > _LONGEST_MS or from_ms > now + _AHEAD_MS:
                raise InvalidError("that is over already, longer than a year, or more than two years ahead")
            mine = (absences.c.customer_id == customer_id) & (absences.c.approver_id == approver_id)
            await scope.execute(delete(absences).where(mine, absences.c.until_ms <= now - DAY))
            others = (await scope.execute(select(absences).where(mine))).all()
            if any(other.from_ms < until_ms and from_ms < other.until_ms for other in others):
                raise StateError("that is within an absence that is known already", next_step="End that one first.")
            if len(others) >= _AT_MOST:
                raise StateError(f"no more than {_AT_MOST} absences are kept", next_step="End one first.")
            one = Away(new_id("abs"), approver_id, deputy_id, from_ms, until_ms)
            await scope.execute(
                insert(absences).values(
                    customer_id=customer_id, id=one.id, approver_id=approver_id, deputy_id=deputy_id, from_ms=from_ms,
                    until_ms=until_ms,
                )
            )  # fmt: skip
            data = {"approver": approver_id, "absence": one.id, "from_ms": from_ms, "until_ms": until_ms}
            await self._log(scope, "absence.set", actor, **data, deputy=deputy_id or "")
            whose = await self._person(scope, approver_id)
            stands = deputy_id or whose.deputy_id
            who = (await self._person(scope, stands)).name if stands else "the next of you"
            first_day, last_day = (notify.when(at, zone).partition(",")[0] for at in (from_ms, until_ms - 1))
            words = f"{whose.name} is away from {first_day} to {last_day}; {who} is asked instead."
            await self._tell(scope, actor, approver_id, words, stands)
        return one

    async def back(self, actor: str, customer_id: str, approver_id: str, absence_id: str | None = None) -> int:
        """They are there: end one absence, or all of theirs; how many. NotFoundError when there is none."""
        mine = (absences.c.customer_id == customer_id) & (absences.c.approver_id == approver_id)
        if absence_id is not None:
            mine &= absences.c.id == absence_id
        async with self._store.scope(customer_id) as scope:
            gone = list((await scope.execute(select(absences.c.id).where(mine))).scalars())
            if not gone:
                raise NotFoundError("no such absence is known", next_step="`frameroom approver show` shows them.")
            await scope.execute(delete(absences).where(mine))
            for one in gone:
                await self._log(scope, "absence.ended", actor, approver=approver_id, absence=one)
        return len(gone)

    async def of(self, scope: Scope) -> dict[str, How]:
        """How each approver of the customer is asked and told, by id."""
        now = self._audit.clock.now()
        rota = await notify.rota_of(scope, now)
        rows = await scope.execute(select(asking).where(asking.c.customer_id == scope.customer_id))
        wishes = {row.id: row.notices for row in rows}
        query = select(absences).where(absences.c.customer_id == scope.customer_id, absences.c.until_ms > now)
        away: dict[str, list[Away]] = {}
        for row in await scope.execute(query.order_by(absences.c.from_ms)):
            one = Away(row.id, row.approver_id, row.deputy_id, row.from_ms, row.until_ms)
            away.setdefault(one.approver_id, []).append(one)
        turns = rota.numbers()
        return {
            one.id: How(turns[one.id], one.deputy_id, wishes.get(one.id) or "each", tuple(away.get(one.id, ())))
            for one in rota.approvers
        }

    async def words(self, scope: Scope) -> dict[str, list[str]]:
        """By approver: in which turn they are asked, who stands in, when they are away, as people read it."""
        hows, zone = await self.of(scope), await notify.zone_of(scope)
        rota = await notify.rota_of(scope, self._audit.clock.now())
        names = {one.id: notify.plain(one.name) for one in rota.approvers}
        return {approver_id: _words(how, names, zone) for approver_id, how in hows.items()}


def _words(how: How, names: Mapping[str, str], zone: ZoneInfo) -> list[str]:
    told = [f"Asked {('first', 'second', 'third')[how.turn - 1] if how.turn <= 3 else f'as number {how.turn}'}"]
    if deputy := names.get(how.deputy_id or ""):
        told.append(f"{deputy} stands in")
    for one in how.away:
        first, last = (notify.when(at, zone).partition(",")[0] for at in (one.from_ms, one.until_ms - 1))
        stands = names.get(one.deputy_id or "")
        told.append(f"Away {first} to {last}" + (f" ({stands} stands in)" if stands else ""))
    return told


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidError(f"{text} is no day", next_step="It looks like 2026-12-24.") from error
