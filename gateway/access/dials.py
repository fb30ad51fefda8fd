"""Every use of a phone system's credential by us, written down before it is made (see reconciling.py for what for).

`connect` is the one way to a phone system from this process; a reset's child dials by itself, and its row is written
with `note` in the transaction that prepares the reset.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Final, Literal

from sqlalchemy import insert, update

from audit.clock import LogClock
from connectors.contract import Connector, ReadsLogins, Target, Unseal
from connectors.registry import families
from gateway.model import PhoneSystem, new_id
from gateway.store.engine import Scope, Store
from gateway.store.login_tables import dials

Why = Literal["visit", "reset", "check", "watch", "addresses"]
_NOTED: Final = insert(dials)


@dataclass(frozen=True, slots=True)
class Dial:
    """One use of a credential. `mark` is what its connection calls itself."""

    customer_id: str
    id: str
    mark: str


def new_dial(customer_id: str) -> Dial:
    """With a mark that nobody can know before it is used."""
    return Dial(customer_id, new_id("dia"), f"frameroom-{secrets.token_hex(12)}")


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

    @staticmethod
    async def name(scope: Scope, dial: Dial, login: str) -> None:
        """Under which id the phone system's record has it, as its own connection was told."""
        here = (dials.c.customer_id == dial.customer_id) & (dials.c.id == dial.id)
        await scope.execute(update(dials).where(here).values(login=login))

    async def connect(
        self, system: PhoneSystem, target: Target, unseal: Unseal, why: Why, session: str | None = None
    ) -> Connector:
        """Write it down, dial, ask the phone system how it calls this login. The connector's errors."""
        family, dial = families()[system.connector], new_dial(system.customer_id)
        if not family.capabilities().login_record:
            return await family.connect(target, unseal)
        async with self._store.scope(system.customer_id) as scope:
            await self.note(scope, system, dial, why, session)
        connector = await family.connect(replace(target, mark=dial.mark), unseal)
        try:
            if isinstance(connector, ReadsLogins):
                login = await connector.own_login()
                async with self._store.scope(system.customer_id) as scope:
                    await self.name(scope, dial, login)
        except BaseException:
            await connector.close()
            raise
        return connector
