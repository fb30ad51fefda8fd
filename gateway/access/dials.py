"""Every use of a phone system's credential by us, written down before it is made (see reconciling.py for what for).

`connect` is the one way to a phone system from this process; a reset's child dials by itself, and its row is written
with `note` in the transaction that prepares the reset. What a visit dials for is intended and decided in transactions
of its own, and its dial goes along with those (`ahead`).
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import Final, Literal

from sqlalchemy import bindparam, insert, update

from audit.clock import LogClock
from connectors.contract import Connector, ReadsLogins, Target, Unseal
from connectors.registry import families
from gateway.model import PhoneSystem, new_id
from gateway.store.engine import Scope, Store
from gateway.store.login_tables import dials
from gateway.store.sqlite import UNASKED

Why = Literal["visit", "reset", "check", "watch", "addresses"]
_NOTED: Final = insert(dials)
_NAMED: Final = (
    update(dials)
    .where(dials.c.customer_id == bindparam("of_customer"), dials.c.id == bindparam("of_dial"))
    .prefix_with(UNASKED)
)
_FRESH_S: Final = 2.0
"""A dial is compared by its time, where the record has no marks: one that was written down earlier is not used."""


@dataclass(frozen=True, slots=True)
class Dial:
    """One use of a credential. `mark` is what its connection calls itself."""

    customer_id: str
    id: str
    mark: str


@dataclass(slots=True)
class Ahead:
    """A dial that is written down with an operation's intent. `login`: its id, once the phone system has told it, to
    be written with the outcome; until then the dial explains its login by mark or time (reconciling.py)."""

    dial: Dial
    noted_s: float
    login: str | None = None
    used: bool = False

    def use(self) -> bool:
        """Take it for the one connection that it is for; False when it has served, or was written down too long ago."""
        fresh = not self.used and asyncio.get_running_loop().time() - self.noted_s < _FRESH_S
        self.used = True
        return fresh


def new_dial(customer_id: str) -> Dial:
    """With a mark that nobody can know before it is used."""
    return Dial(customer_id, new_id("dia"), f"frameroom-{secrets.token_hex(12)}")


def place_of(connector: str, host: str, port: int) -> str:
    """Which phone system it is, also before it has an id and after it was removed."""
    return f"{connector} {host} {port}"


class Dials:
    """Writes them down."""

    def __init__(self, store: Store, clock: LogClock) -> None:
        self._store, self._clock = store, clock

    async def note(self, scope: Scope, system: PhoneSystem, dial: Dial, why: Why, session: str | None = None) -> None:
        """In the caller's transaction, which commits before the credential is presented. Nothing where nobody could
        read the phone system's record, so that nothing would ever be compared with it."""
        family = families().get(system.connector)
        if family is not None and family.capabilities().login_record:
            values = {
                "customer_id": system.customer_id, "id": dial.id, "system_id": system.id, "session_id": session,
                "why": why, "mark": dial.mark, "login": None, "begun_ms": self._clock.now(),
            }  # fmt: skip
            await scope.execute(_NOTED, values)

    async def trial(self, customer_id: str, place: str) -> Dial:
        """Written down for a phone system that has no id yet, and may never have one."""
        dial = new_dial(customer_id)
        values = {
            "customer_id": customer_id, "id": dial.id, "place": place, "why": "check", "mark": dial.mark,
            "begun_ms": self._clock.now(),
        }  # fmt: skip
        async with self._store.scope(customer_id) as scope:
            await scope.execute(insert(dials).values(values))
        return dial

    async def named(self, dial: Dial, login: str) -> None:
        """`name`, in a transaction of its own."""
        async with self._store.scope(dial.customer_id) as scope:
            await self.name(scope, dial, login)

    @staticmethod
    async def name(scope: Scope, dial: Dial, login: str) -> None:
        """Under which id the phone system's record has it, as its own connection was told."""
        await scope.execute(_NAMED, {"of_customer": dial.customer_id, "of_dial": dial.id, "login": login})

    async def ahead(self, scope: Scope, system: PhoneSystem, session: str) -> Ahead:
        """A visit's dial, written down in the transaction of what it will be made for."""
        dial = new_dial(system.customer_id)
        await self.note(scope, system, dial, "visit", session)
        return Ahead(dial, asyncio.get_running_loop().time())

    async def connect(
        self, system: PhoneSystem, target: Target, unseal: Unseal, why: Why, session: str | None = None,
        *, ahead: Ahead | None = None,
    ) -> Connector:  # fmt: skip
        """Write it down, dial, ask the phone system how it calls this login. The connector's errors.

        `ahead`: it is written down already, and whoever did so writes its login down too.
        """
        family = families()[system.connector]
        if not family.capabilities().login_record:
            return await family.connect(target, unseal)
        if ahead is not None and not ahead.use():
            ahead = None
        dial = new_dial(system.customer_id) if ahead is None else ahead.dial
        if ahead is None:
            async with self._store.scope(system.customer_id) as scope:
                await self.note(scope, system, dial, why, session)
        connector = await family.connect(replace(target, mark=dial.mark), unseal)
        try:
            if isinstance(connector, ReadsLogins):
                login = await connector.own_login()
                if ahead is not None:
                    ahead.login = login
                else:
                    await self.named(dial, login)
        except BaseException:
            await connector.close()
            raise
        return connector
