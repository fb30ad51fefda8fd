"""The phone system's own record of logins, compared with what we did: whatever is none of ours is told to the customer.

A login is ours when one of our dials (dials.py) has its id, as its own connection was told; or, of a dial whose
connection broke before it was told (a crash, a phone system that was found unfit), when it bears that dial's mark, or,
where the record has no marks, began within its time. Such a dial explains one login and no second one.

A dial is written down before the credential is presented, and read here after the phone system's record was: so a
login of ours is never without its dial, however close to a visit's beginning or end the look comes. Only a login
without a mark may have to wait for the next look, until it is known what became of the dials of its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, update

from audit.events import Event, Personal
from audit.log import AuditLog
from connectors.contract import Login, Logins
from gateway import notify
from gateway.access.dials import place_of
from gateway.model import DAY, MINUTE, PhoneSystem, new_id
from gateway.store.engine import Scope, Store
from gateway.store.login_tables import dials, foreign_logins, login_looks
from gateway.store.tables import systems

KEPT_MS: Final = 3 * DAY
"""How long a dial is kept: longer than a visit lasts. Older logins are not looked for."""
_EARLY_MS: Final = 5_000
"""A login's time, reckoned by two clocks, may seem this much before its dial was written down."""
_LATE_MS: Final = 20_000
"""From a dial's writing down to its login; connecting has ten seconds."""
_SETTLED_MS: Final = 60_000
"""After so long it is known of every dial what became of it."""
_LONGEST_ID: Final = 80
_UNREAD_MS: Final = 15 * MINUTE


@dataclass(frozen=True, slots=True)
class Dialled:
    """A dial as it is compared: `login` is None while nobody was told its id."""

    id: str
    mark: str
    login: str | None
    begun_ms: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look found. `bound`: logins and the unnamed dials that they turned out to be."""

    foreign: tuple[Login, ...]
    waits: tuple[Login, ...]
    bound: tuple[tuple[Login, str], ...]


def judge(looked: Logins, ours: Sequence[Dialled], now_ms: int) -> Verdict:
    """Which of the logins are none of ours. Pure; `now_ms` is our clock at the look."""
    named = {dial.login for dial in ours if dial.login is not None}
    unnamed = {dial.id: dial for dial in ours if dial.login is None}
    foreign, waits, bound = [], [], []
    for login in sorted(looked.logins, key=lambda one: one.at_ms):
        if login.id in named:
            continue
        at = now_ms - (looked.now_ms - login.at_ms)
        mine = [dial for dial in unnamed.values() if _could_be(dial, login, at)]
        if not mine:
            foreign.append(login)
        elif login.mark is None and any(now_ms - dial.begun_ms < _SETTLED_MS for dial in mine):
            waits.append(login)
        else:
            first = min(mine, key=lambda dial: abs(at - dial.begun_ms))
            del unnamed[first.id]
            bound.append((login, first.id))
    return Verdict(tuple(foreign), tuple(waits), tuple(bound))


def _could_be(dial: Dialled, login: Login, at_ms: int) -> bool:
    if login.mark is not None:
        return login.mark == dial.mark
    return dial.begun_ms - _EARLY_MS <= at_ms <= dial.begun_ms + _LATE_MS


class Reconciler:
    """Compares and tells, all of one look in one transaction."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit

    async def since(self, system: PhoneSystem) -> int:
        """Where the next look into the phone system's record begins, by its own clock."""
        async with self._store.look(system.customer_id) as scope:
            found = (await scope.execute(select(login_looks.c.until_ms).where(_look_of(system)))).scalar()
        return int(found or 0)

    async def compare(self, system: PhoneSystem, looked: Logins) -> Verdict:
        """Judge a look, and tell of each foreign login exactly once, whoever looks, and however often."""
        async with self._store.scope(system.customer_id) as scope:
            # Two who look at once (`system check` and the loop) come one after the other.
            here = (systems.c.customer_id == system.customer_id) & (systems.c.id == system.id)
            await scope.execute(select(systems.c.id).where(here).with_for_update(key_share=True))
            now = self._audit.clock.now()
            oldest = looked.now_ms - KEPT_MS
            verdict = judge(looked, await self._ours(scope, system, now), now)
            for login, dial in verdict.bound:
                mine = (dials.c.customer_id == system.customer_id) & (dials.c.id == dial)
                await scope.execute(update(dials).where(mine).values(login=login.id[:_LONGEST_ID]))
            fresh = await self._fresh(scope, system, [one for one in verdict.foreign if one.at_ms > oldest])
            await self._tell(scope, system, fresh, now)
            until = min([looked.until_ms, *(login.at_ms for login in verdict.waits)])
            await self._write(
                scope, system, {"until_ms": until, "looked_ms": now, "failed": "", "failed_ms": None, "told_ms": None}
            )
        return verdict

    async def could_not(self, system: PhoneSystem, code: str) -> None:
        """It could not be looked: since when is kept, and after a while it stands in the customer's log, once each
        time. Whoever keeps us out (by taking up all of a role's connections, say) is not noticed meanwhile."""
        now = self._audit.clock.now()
        async with self._store.scope(system.customer_id) as scope:
            found = (await scope.execute(select(login_looks).where(_look_of(system)))).first()
            if found is None or not found.failed:
                await self._write(scope, system, {"failed": code[:40], "failed_ms": now, "told_ms": None})
            elif found.told_ms is None and now - found.failed_ms >= _UNREAD_MS:
                await self._write(scope, system, {"told_ms": now})
                data = {"code": code[:40], "since_ms": found.looked_ms or found.failed_ms}
                event = Event("login.unread", system.customer_id, "frameroom", system=system.id, data=data)
                await self._audit.append(scope.connection, event)

    async def forget(self) -> None:
        """Dials that no record shows any more."""
        async with self._store.everyone() as scope:
            await scope.execute(delete(dials).where(dials.c.begun_ms < self._audit.clock.now() - KEPT_MS))

    async def _ours(self, scope: Scope, system: PhoneSystem, now: int) -> list[Dialled]:
        # What was removed and added again has a new id, and its record still shows what we did under the old one.
        same = select(systems.c.id).where(
            systems.c.customer_id == system.customer_id, systems.c.connector == system.connector,
            systems.c.host == system.host, systems.c.port == system.port,
        )  # fmt: skip
        # A trial before it was saved, also one that was refused after it had signed in, is under no id at all.
        tried = dials.c.system_id.is_(None) & (dials.c.place == place_of(system.connector, system.host, system.port))
        here = (dials.c.customer_id == system.customer_id) & (dials.c.system_id.in_(same) | tried)
        query = select(dials.c.id, dials.c.mark, dials.c.login, dials.c.begun_ms)
        found = await scope.execute(query.where(here, dials.c.begun_ms >= now - KEPT_MS))
        return [Dialled(row.id, row.mark, row.login, row.begun_ms) for row in found]

    @staticmethod
    async def _fresh(scope: Scope, system: PhoneSystem, foreign: list[Login]) -> list[Login]:
        """Those that were never told of."""
        here = (foreign_logins.c.customer_id == system.customer_id) & (foreign_logins.c.system_id == system.id)
        told = set((await scope.execute(select(foreign_logins.c.login).where(here))).scalars())
        return list({login.id[:_LONGEST_ID]: login for login in foreign if login.id[:_LONGEST_ID] not in told}.values())

    async def _tell(self, scope: Scope, system: PhoneSystem, fresh: list[Login], now: int) -> None:
        for login in fresh:
            values = {
                "customer_id": system.customer_id, "id": new_id("fgn"), "system_id": system.id,
                "login": login.id[:_LONGEST_ID], "at_ms": login.at_ms, "seen_ms": now,
            }  # fmt: skip
            await scope.execute(insert(foreign_logins).values(values))
            event = Event(
                "login.foreign", system.customer_id, "frameroom", system=system.id,
                data={"login": login.id[:_LONGEST_ID], "at_ms": login.at_ms},
                personal=(Personal("address", login.address, f"customer:{system.customer_id}"),),
            )  # fmt: skip
            await self._audit.append(scope.connection, event)
        if fresh:
            places = [(login.at_ms, login.address) for login in fresh]
            await notify.foreign_logins(scope, system.name, places, now)

    @staticmethod
    async def _write(scope: Scope, system: PhoneSystem, values: dict[str, Any]) -> None:
        changed = await scope.execute(update(login_looks).where(_look_of(system)).values(values))
        if not changed.rowcount:
            rest = {"customer_id": system.customer_id, "id": system.id, "until_ms": 0, "failed": ""}
            await scope.execute(insert(login_looks).values(rest | values))


def _look_of(system: PhoneSystem) -> Any:
    return (login_looks.c.customer_id == system.customer_id) & (login_looks.c.id == system.id)


@dataclass(frozen=True, slots=True)
class Watching:
    """How the looks at one phone system stand. Times are ours, Unix ms."""

    looked_ms: int | None
    failed: str
    failed_ms: int | None
    foreign: int
    last_foreign_ms: int | None


async def watching(scope: Scope, system: PhoneSystem) -> Watching:
    """For `system show`."""
    row = (await scope.execute(select(login_looks).where(_look_of(system)))).first()
    here = (foreign_logins.c.customer_id == system.customer_id) & (foreign_logins.c.system_id == system.id)
    counted = select(func.count(), func.max(foreign_logins.c.seen_ms)).where(here)
    foreign, last = (await scope.execute(counted)).one()
    if row is None:
        return Watching(None, "", None, foreign, last)
    return Watching(row.looked_ms, row.failed, row.failed_ms, foreign, last)
