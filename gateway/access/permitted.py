"""What was asked for and what is permitted, looked up, and what policy says of it: nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Final

from sqlalchemy import bindparam, select

from audit.log import AuditLog
from connectors.contract import Operation
from gateway.access.asked import request_of
from gateway.access.console import switched_on
from gateway.access.facts import facts_of, grant_of
from gateway.access.places import ALL, Place, answering, place_of
from gateway.errors import NotFoundError
from gateway.lifecycle import GrantState
from gateway.model import Grant, PhoneSystem, Request
from gateway.policy import Decision, Facts, decide
from gateway.store.engine import Scope, Store
from gateway.store.tables import customers, grants, requests, roster, systems

_OPEN_GRANTS: Final = (  # built once: every command asks it
    select(grants)
    .where(grants.c.engineer_id == bindparam("of_engineer"), grants.c.state == GrantState.OPEN)
    .order_by(grants.c.until_ms.desc())
)


_PLACES: Final = (
    ALL.add_columns(*(column.label(f"granted_{column.name}") for column in grants.c))
    .join(
        grants,
        (grants.c.customer_id == systems.c.customer_id) & (grants.c.system_id == systems.c.id)
        & (grants.c.engineer_id == roster.c.engineer_id) & (grants.c.state == GrantState.OPEN),
        isouter=True,
    )
    .order_by(systems.c.id, grants.c.until_ms.desc())
)  # fmt: skip


async def places_and_grants(scope: Scope, engineer_id: str, words: str) -> tuple[list[Place], list[Grant]]:
    """The engineer's phone systems that answer to words (by customer and name), and the open grants at all of
    them, in one statement; of each phone system's grants the one that ends last first."""
    found: dict[str, Place] = {}
    granted: list[Grant] = []
    for row in await scope.execute(_PLACES, {"of_engineer": engineer_id}):
        if row.id not in found:
            found[row.id] = place_of(row)
        if row.granted_id is not None:
            share = row[-len(grants.c) :]
            granted.append(grant_of(SimpleNamespace(**dict(zip(grants.c.keys(), share, strict=True)))))
    return await answering(scope, found.values(), words), granted


async def grants_of(scope: Scope, engineer_id: str) -> list[Grant]:
    """The engineer's open grants, the one that ends last first."""
    return [grant_of(r) for r in await scope.execute(_OPEN_GRANTS, {"of_engineer": engineer_id})]


class Permitted:
    """Reads; `Permission` (permission.py) writes."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit
        self.pages: Callable[[], str] = str
        """What links to the portal begin with; whoever serves it says so."""

    @property
    def now(self) -> int:
        """Time as permission counts it."""
        return self._audit.clock.now()

    async def request(self, scope: Scope, request_id: str, *, lock: bool = False) -> Request:
        """NotFoundError when this customer has no such request. With `lock`, nobody answers it before the commit."""
        query = select(requests).where(requests.c.customer_id == scope.customer_id, requests.c.id == request_id)
        row = (await scope.execute(query.with_for_update() if lock else query)).first()
        if row is None:
            raise NotFoundError("there is no such request", next_step="`frameroom request list` shows them.")
        return request_of(row)

    async def grant(self, scope: Scope, grant_id: str, *, lock: bool = False) -> Grant:
        """NotFoundError when this customer has no such grant. With `lock`, nobody changes it before the commit."""
        query = select(grants).where(grants.c.customer_id == scope.customer_id, grants.c.id == grant_id)
        row = (await scope.execute(query.with_for_update() if lock else query)).first()
        if row is None:
            raise NotFoundError("there is no such permission", next_step="`frameroom grant list` shows them.")
        return grant_of(row)

    async def open_grants(self, engineer_id: str) -> list[Grant]:
        """The engineer's open grants, the one that ends last first."""
        async with self._store.look_at_everyone() as scope:
            return await grants_of(scope, engineer_id)

    async def requests_of(self, engineer_id: str) -> list[Request]:
        """The engineer's requests, newest first."""
        query = select(requests).where(requests.c.engineer_id == engineer_id)
        async with self._store.look_at_everyone() as scope:
            return [
                request_of(r) for r in await scope.execute(query.order_by(requests.c.submitted_ms.desc()).limit(50))
            ]

    async def facts(self, scope: Scope, engineer_id: str, system_id: str, grant_id: str | None, lock: bool) -> Facts:
        """Everything a decision rests on now, read in this transaction (facts.facts_of)."""
        return await facts_of(scope, engineer_id, system_id, grant_id, self.now, lock=lock)

    async def explain(
        self, engineer_id: str, system: PhoneSystem, operation: Operation, at_ms: int | None,
        extra: str | None = None,
    ) -> Decision:  # fmt: skip
        """What policy would say, and why. `extra`: of which command of the console (policy.decide)."""
        open_here = [g for g in await self.open_grants(engineer_id) if g.system_id == system.id]
        naming = [g for g in open_here if operation in g.operations] or open_here
        async with self._store.look(system.customer_id) as scope:
            facts = await self.facts(scope, engineer_id, system.id, naming[0].id if naming else None, False)
            if extra is not None:
                facts = replace(facts, switched_on=(await switched_on(scope, system.id)).entries)
        return decide(facts if at_ms is None else replace(facts, now_ms=at_ms), operation, extra)

    async def customer_name(self, customer_id: str) -> str:
        """For prompts."""
        async with self._store.look(customer_id) as scope:
            query = select(customers.c.name).where(customers.c.id == customer_id)
            return str((await scope.execute(query)).scalar_one())
