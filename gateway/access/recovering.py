"""A customer who has no key left: two of the maintainer's staff begin a recovery, everybody is told, and it takes 72 h.

Where another approver holds a key there is none: that one invites whoever lost theirs. Meanwhile no yes counts, so that
whoever got in by recovering a key finds nothing waiting to be approved, and any key holder who is still there can stop
it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from sqlalchemy import select

from gateway import notify
from gateway.access.directory import Directory
from gateway.access.proposals import RECOVER, Proposals, pending
from gateway.choices import RECOVERY_BASES
from gateway.errors import NotFoundError, NotPermittedError, StateError
from gateway.lifecycle import ProposalState
from gateway.model import HOUR
from gateway.store.engine import Scope, Store
from gateway.store.portal_tables import BY_RECOVERY, passkeys
from gateway.store.tables import approvers

WAIT_HOURS: Final = 72


@dataclass(frozen=True, slots=True)
class Recovered:
    """Who is to get a key: an approver there is, or, with an empty id, a person who becomes one."""

    approver_id: str
    name: str
    email: str
    phone: str = ""


class Enrolling(Protocol):
    """Ends keys and invites (gateway/identity/passkeys.py)."""

    async def remove(self, actor: str, customer_id: str, approver_id: str) -> int:
        """The approver's keys count no more."""

    async def invite(self, actor: str, customer_id: str, approver_id: str, by: str) -> str:
        """Mail the link to make one; the address."""


class Recovering:
    """Writes each step with its event and its mails."""

    def __init__(self, store: Store, directory: Directory, proposals: Proposals, keys: Enrolling) -> None:
        self._store, self._directory, self._proposals, self._keys = store, directory, proposals, keys

    async def propose(self, actor: str, customer_id: str, who: Recovered, basis: str) -> str:
        """The proposal's id. NotPermittedError where a key holder of theirs can do it; StateError where none is needed,
        or one is on its way; InvalidError for a person who cannot be an approver."""
        if not who.approver_id:
            self._directory.check_approver(who.name, who.email)
        async with self._store.scope(customer_id) as scope:
            await self._check(scope, who.approver_id)
            return await self._proposals.make(scope, actor, RECOVER, customer_id, basis, asdict(who))

    async def _check(self, scope: Scope, approver_id: str) -> None:
        every = select(passkeys.c.approver_id, passkeys.c.removed_ms, approvers.c.removed_ms.label("gone")).join(
            approvers,
            (approvers.c.customer_id == passkeys.c.customer_id) & (approvers.c.id == passkeys.c.approver_id),
        )
        rows = (await scope.execute(every.where(passkeys.c.customer_id == scope.customer_id))).all()
        if not rows:
            raise StateError(
                "this customer never had a passkey, so none has to be recovered",
                next_step="`frameroom approver invite` invites the first.",
            )
        holders = {row.approver_id for row in rows if row.removed_ms is None and row.gone is None}
        if holders - {approver_id}:
            raise NotPermittedError(
                "Another approver of theirs holds a passkey, and invites whoever lost theirs.",
                next_step="Ask them to open the portal, under People.",
            )
        if await pending(scope, RECOVER) is not None:
            raise StateError("a recovery is on its way already", next_step="`frameroom recovery list` shows it.")

    async def confirm(self, actor: str, proposal: str) -> Any:
        """The second person's yes: everybody is told now, and in 72 h the person is invited. The proposal."""
        found, now = await self._proposals.find(proposal), self._proposals.now
        async with self._store.scope(found.log_id) as scope:
            row = await self._proposals.second(scope, found.id, actor, RECOVER)
            who, due_ms = Recovered(**json.loads(row.plan)), now + WAIT_HOURS * HOUR
            await self._check(scope, who.approver_id)
            await self._proposals.move(
                scope, row, ProposalState.PENDING, decided_by=actor, decided_ms=now, due_ms=due_ms
            )
            data = {
                "proposal": row.id, "basis": row.basis, "due_ms": due_ms, "proposed_by": row.proposed_by,
                "approved_by": actor,
            }  # fmt: skip
            await self._proposals.log(scope, "recovery.begun", actor, data=data)
            await notify.recovery_begun(scope, who.name, who.email, RECOVERY_BASES[row.basis], due_ms, now)
        return await self._proposals.find(found.id)

    async def stop(self, actor: str, proposal: str, customer_id: str | None = None) -> None:
        """Nothing comes of it. `customer_id`: whose it has to be, when one of their approvers stops it.
        NotFoundError; StateError when it is over."""
        found = await self._proposals.find(proposal)
        if found.what != RECOVER or customer_id not in {None, found.log_id}:
            raise NotFoundError("there is no such recovery", next_step="`frameroom recovery list` shows them.")
        async with self._store.scope(found.log_id) as scope:
            row = await self._proposals.locked(scope, found.id)
            await self._proposals.move(
                scope, row, ProposalState.WITHDRAWN, decided_by=actor, done_ms=self._proposals.now
            )
            await self._proposals.log(scope, "recovery.stopped", actor, data={"proposal": row.id})
            await notify.recovery_stopped(scope, Recovered(**json.loads(row.plan)).name, self._proposals.now)

    async def settle(self) -> None:
        """Carry out every recovery whose time has come."""
        for row in await self._proposals.those(RECOVER, states=(ProposalState.PENDING,)):
            if row.due_ms <= self._proposals.now:
                await self._carry_out(row)

    async def _carry_out(self, found: Any) -> None:
        customer_id = found.log_id
        async with self._store.scope(customer_id) as scope:
            row = await self._proposals.locked(scope, found.id)
            if row.state != ProposalState.PENDING:
                return
            await self._proposals.move(scope, row, ProposalState.DONE, done_ms=self._proposals.now)
            await self._proposals.log(scope, "recovery.done", row.decided_by, data={"proposal": row.id})
        who = Recovered(**json.loads(found.plan))
        approver_id = who.approver_id
        if approver_id:
            await self._keys.remove(found.decided_by, customer_id, approver_id)
        else:
            approver_id = await self._directory.add_approver(
                found.decided_by, customer_id, who.name, who.email, who.phone, by=BY_RECOVERY
            )
        await self._keys.invite(found.decided_by, customer_id, approver_id, BY_RECOVERY)
