"""The loop that looks into the phone systems' own records of logins (access/reconciling.py says what it compares)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import select

from connectors.contract import Connector, Credential, ReadsLogins, Target, Unseal
from connectors.errors import ConnectorError, NotSupported
from connectors.registry import families
from gateway.access.dials import Dials, Why
from gateway.access.places import system_of
from gateway.access.reconciling import Reconciler, Verdict
from gateway.errors import FrameroomError
from gateway.model import PhoneSystem
from gateway.store.tables import customers, systems
from gateway.wiring.alone import alone
from gateway.wiring.parts import Parts

log = structlog.get_logger()

_SLOWEST_S: Final = 900.0
_SHORTEST_S: Final = 1.0


@dataclass(slots=True)
class _Due:
    """When a phone system is looked at next, by the loop's clock, and how often in a row it could not be."""

    at: float
    failures: int = 0


def _has_record(connector: str) -> bool:
    family = families().get(connector)
    return family is not None and bool(family.capabilities().login_record)


class LoginWatch:
    """Looks at every phone system whose record can be read, one process for the whole deployment."""

    def __init__(self, opened: Parts) -> None:
        self._parts = opened
        self._every_s = float(opened.settings.reconcile.every_s)
        self._dials = Dials(opened.store, opened.audit.clock)
        self.reconciler = Reconciler(opened.store, opened.audit)
        self._several = asyncio.Semaphore(opened.settings.reconcile.at_once)
        self._due: dict[tuple[str, str], _Due] = {}

    async def run(self) -> None:
        """Until cancelled."""
        if self._every_s:
            await alone(self._parts.store, "logins", self)

    def begin(self) -> None:
        """Nothing is remembered but when each is due: what was found stands in the database."""

    async def step(self) -> float:
        """Look at each whose turn it is; in how many seconds the next one's is."""
        now = asyncio.get_running_loop().time()
        here = {(system.customer_id, system.id): system for system in await self._watched()}
        self._due = {place: self._due.get(place, _Due(now)) for place in here}
        await asyncio.gather(*(self._turn(here[place]) for place, due in self._due.items() if due.at <= now))
        following = min((due.at for due in self._due.values()), default=now + self._every_s)
        return max(_SHORTEST_S, min(self._every_s, following - asyncio.get_running_loop().time()))

    async def _watched(self) -> list[PhoneSystem]:
        """In service, with a credential, and of a connector that can read the record."""
        query = select(systems).join(customers, customers.c.id == systems.c.customer_id)
        async with self._parts.store.look_at_everyone() as scope:
            found = [system_of(row) for row in await scope.execute(query.where(systems.c.removed_ms.is_(None)))]
        return [system for system in found if system.sealed_credential and _has_record(system.connector)]

    async def _turn(self, system: PhoneSystem) -> None:
        due = self._due[system.customer_id, system.id]
        async with self._several:
            try:
                await self.look(system)
                due.failures = 0
            except ConnectorError as error:
                due.failures += 1
                await self.reconciler.could_not(system, error.code)
            except FrameroomError as error:
                log.warning("a record of logins could not be compared", system=system.id, why=error.message)
            except Exception as error:
                # One phone system's trouble (settings that its connector no longer takes) holds up no other's look.
                due.failures += 1
                log.error("a record of logins could not be read", system=system.id, exc_info=error)
                await self.reconciler.could_not(system, "unreadable")
        # A phone system that is away is asked less and less often, so that its timeouts hold up nobody.
        wait = min(self._every_s * 2**due.failures, max(_SLOWEST_S, self._every_s)) if due.failures else self._every_s
        due.at = asyncio.get_running_loop().time() + wait

    async def look(self, system: PhoneSystem) -> Verdict:
        """One look. ConnectorError when it cannot be had."""
        connector = await self.connect(system, "watch")
        try:
            return await self.compare(system, connector)
        finally:
            await connector.close()

    async def connect(self, system: PhoneSystem, why: Why, unseal: Unseal | None = None) -> Connector:
        """A connection of the gateway's own, without a visit; `unseal`: with another credential than is kept."""
        settings = families()[system.connector].settings_model.model_validate_json(system.settings_json)
        target = Target(system.id, system.host, system.port, system.pin, settings)
        return await self._dials.connect(system, target, unseal or self.kept(system), why)

    def kept(self, system: PhoneSystem) -> Unseal:
        """Opens the credential that is kept for a phone system."""

        async def unseal() -> Credential:
            return self._parts.vault.open_credential(system.customer_id, system.id, system.sealed_credential)

        return unseal

    async def compare(self, system: PhoneSystem, connector: Connector) -> Verdict:
        """Read the record over an open connection and judge it. NotSupported when it has none."""
        if not isinstance(connector, ReadsLogins):
            raise NotSupported("this connector cannot read the phone system's record of logins")
        looked = await connector.logins(await self.reconciler.since(system))
        verdict = await self.reconciler.compare(system, looked)
        if verdict.foreign:
            log.warning("logins that are none of ours", system=system.id, logins=len(verdict.foreign))
        return verdict
