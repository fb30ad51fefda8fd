"""What takes two people: one proposes, another confirms. Neither can be the other, and both stand in the log."""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import insert, select, update

from audit.events import Event
from audit.log import AuditLog
from gateway.errors import NotFoundError, NotPermittedError
from gateway.lifecycle import ProposalState, advance
from gateway.model import new_id
from gateway.store.duties import proposals
from gateway.store.engine import Scope, Store

ERASE: Final = "erase"
HOLD: Final = "hold"
RELEASE: Final = "release"
LOOK: Final = "look"
RECOVER: Final = "recover"
ROW = Any


class Proposals:
    """Writes each with its event, in the caller's transaction."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit

    @property
    def now(self) -> int:
        """Time as the log counts it, Unix ms."""
        return self._audit.clock.now()

    async def log(self, scope: Scope, kind: str, actor: str, **rest: Any) -> str:
        """Append an event of the scope's log; its id."""
        event = Event(kind, scope.customer_id, actor, **rest)
        return (await self._audit.append(scope.connection, event)).event_id

    async def make(self, scope: Scope, actor: str, what: str, target: str, basis: str, plan: Any) -> str:
        """Propose it; the proposal's id."""
        made = new_id("pro")
        await scope.execute(
            insert(proposals).values(
                log_id=scope.customer_id, id=made, what=what, target=target, basis=basis, plan=json.dumps(plan),
                state=ProposalState.PROPOSED, proposed_by=actor, proposed_ms=self._audit.clock.now(), decided_by="",
            )
        )  # fmt: skip
        data = {"proposal": made, "what": what, "basis": basis, "target": target}
        await self.log(scope, "proposal.made", actor, data=data)
        return made

    async def find(self, given: str) -> ROW:
        """The one proposal whose id is, or begins with, what is given. NotFoundError."""
        begins = proposals.c.id.startswith(given, autoescape=True) if len(given) >= 8 else proposals.c.id == given
        async with self._store.look_at_everyone() as scope:
            rows = (await scope.execute(select(proposals).where(begins).limit(2))).all()
        if len(rows) != 1:
            raise NotFoundError("there is no such proposal", next_step="`frameroom erasure list` and `hold list`.")
        return rows[0]

    async def second(self, scope: Scope, proposal: str, actor: str, what: str) -> ROW:
        """The proposal, its row locked, about to be confirmed by a second person.

        NotFoundError when it is another kind of thing, NotPermittedError for the one who proposed it.
        """
        row = await self.locked(scope, proposal)
        if row.what != what:
            raise NotFoundError(f"{proposal} is no proposal to {what}")
        if row.proposed_by == actor:
            raise NotPermittedError("It takes two people: you proposed it, somebody else has to confirm it.")
        return row

    async def locked(self, scope: Scope, proposal: str) -> ROW:
        """It, and nobody else changes it before the commit."""
        here = (proposals.c.log_id == scope.customer_id) & (proposals.c.id == proposal)
        return (await scope.execute(select(proposals).where(here).with_for_update())).one()

    async def move(self, scope: Scope, row: ROW, to: ProposalState, **values: Any) -> None:
        """Its next state. StateError when it cannot become that."""
        state = advance(ProposalState(row.state), to)
        here = (proposals.c.log_id == scope.customer_id) & (proposals.c.id == row.id)
        await scope.execute(update(proposals).where(here).values(state=state, **values))

    async def withdraw(self, actor: str, proposal: str) -> ROW:
        """Take one back before it was confirmed. StateError afterwards."""
        found = await self.find(proposal)
        async with self._store.scope(found.log_id) as scope:
            row = await self.locked(scope, found.id)
            await self.move(scope, row, ProposalState.WITHDRAWN, decided_by=actor, decided_ms=self._audit.clock.now())
            data = {"proposal": row.id, "what": row.what, "target": row.target}
            await self.log(scope, "proposal.withdrawn", actor, data=data)
        return row

    async def those(self, *what: str, log: str | None = None, states: tuple[ProposalState, ...] = ()) -> list[ROW]:
        """Every proposal of these kinds, newest first."""
        query = select(proposals).where(proposals.c.what.in_(what))
        if log is not None:
            query = query.where(proposals.c.log_id == log)
        if states:
            query = query.where(proposals.c.state.in_(states))
        async with self._store.look_at_everyone() as scope:
            return list((await scope.execute(query.order_by(proposals.c.proposed_ms.desc(), proposals.c.id))).all())


async def pending(scope: Scope, what: str) -> ROW | None:
    """The one of the scope's customer that is confirmed and not done yet."""
    query = select(proposals).where(
        proposals.c.log_id == scope.customer_id, proposals.c.what == what, proposals.c.state == ProposalState.PENDING
    )
    return (await scope.execute(query.limit(1))).first()


async def holds_on(scope: Scope, target: str) -> list[str]:
    """Ids of the legal holds in force on a subject, or on everything of the scope's customer."""
    query = select(proposals.c.id).where(
        proposals.c.log_id == scope.customer_id, proposals.c.what == HOLD, proposals.c.state == ProposalState.ACTIVE,
        proposals.c.target.in_({target, scope.customer_id}),
    )  # fmt: skip
    return sorted((await scope.execute(query)).scalars())
