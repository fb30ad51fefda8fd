"""A customer with everything a visit needs, in a real database, without a process that serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from audit.clock import LogClock
from audit.log import AuditLog
from audit.sealing import FileKeyStore, FileMasterKey
from connectors.contract import Credential, Operation
from gateway.access.directory import Directory
from gateway.access.permission import Permission
from gateway.identity.engineers import Engineers
from gateway.lifecycle import SessionState
from gateway.model import Grant, PhoneSystem, Request, Terms, new_id
from gateway.store.engine import Store
from gateway.store.portal_tables import BY_OPERATOR
from gateway.store.tables import approvers, contacts, links, operations, outbox, sessions
from gateway.vault import Vault

OPERATIONS = frozenset(
    {Operation.FIND, Operation.VIEW, Operation.ALTER, Operation.RESET_VOICEMAIL, Operation.RESET_SIP}
)


class Clock(LogClock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at_ms = 1_790_000_000_000
        super().__init__(lambda: self.at_ms)


@dataclass(slots=True)
class Furnished:
    """The parts, and the ids of what stands in the database."""

    store: Store
    audit: AuditLog
    clock: Clock
    vault: Vault
    directory: Directory
    permission: Permission
    customer: str
    engineer: str
    system: PhoneSystem

    async def approver(self, name: str, email: str, by: str = BY_OPERATOR) -> str:
        """One more approver, who was named long ago."""
        approver = await self.directory.add_approver("t", self.customer, name, email, "", by)
        async with self.store.scope(self.customer) as scope:
            here = (approvers.c.customer_id == self.customer) & (approvers.c.id == approver)
            await scope.execute(update(approvers).where(here).values(added_ms=0))
        return approver

    async def namesake(self, name: str, email: str) -> str:
        """A second account of somebody who is an approver already, as older deployments may have them."""
        approver = await self.approver(name, f"second-{email}")
        async with self.store.scope(self.customer) as scope:
            here = (approvers.c.customer_id == self.customer) & (approvers.c.id == approver)
            await scope.execute(update(approvers).where(here).values(email=email))
        return approver

    async def agree(self, **terms: Any) -> None:
        """A confirmed agreement."""
        given: dict[str, Any] = {
            "operations": OPERATIONS, "mail_domains": ("customer.example",), "consent_by_phone": True,
            "ticket_required": False,
        }  # fmt: skip
        await self.directory.set_agreement("t", self.customer, Terms(**(given | terms)))
        await self.directory.confirm_agreement("t", self.customer, "Kate", "letter")

    async def ask(self, reason: str = "Grace married", ticket: str = "T-7") -> Request:
        """The engineer's request."""
        return await self.permission.submit(self.engineer, self.system, OPERATIONS, 60, ticket, reason)

    async def say_yes(self, request: Request, approver: str, recorded_by: str = "Bo") -> Grant | None:
        """A yes by telephone."""
        return await self.permission.record_consent(
            "t", recorded_by, self.customer, request.id, approver, self.permission.now, "yes"
        )

    async def session(self, grant: Grant) -> str:
        """An open session under a grant."""
        session = new_id("ses")
        async with self.store.scope(self.customer) as scope:
            await scope.execute(
                insert(sessions).values(
                    customer_id=self.customer, id=session, grant_id=grant.id, system_id=self.system.id,
                    engineer_id=self.engineer, node="n", state=SessionState.OPEN, opened_ms=self.clock.now(),
                    segments=0,
                )
            )  # fmt: skip
        return session

    async def operation(self, grant: Grant, session: str, name: Operation, state: str = "done") -> str:
        """An operation of a session."""
        operation = new_id("op")
        async with self.store.scope(self.customer) as scope:
            await scope.execute(
                insert(operations).values(
                    customer_id=self.customer, id=operation, session_id=session, grant_id=grant.id, name=name.value,
                    state=state, intended_ms=self.clock.now(),
                )
            )  # fmt: skip
        return operation

    async def contact(self, email: str, notices: str, removed_ms: int | None = None) -> None:
        """A contact, as they wish to be told."""
        async with self.store.scope(self.customer) as scope:
            await scope.execute(
                insert(contacts).values(
                    customer_id=self.customer, id=new_id("con"), name=email, position="", email=email, phone="",
                    notices=notices, removed_ms=removed_ms,
                )
            )  # fmt: skip

    async def rows(self, table: Any) -> list[Any]:
        """Everything in a table of the customer's."""
        async with self.store.look(self.customer) as scope:
            return list((await scope.execute(table.select().order_by(table.c.id))).all())

    async def waiting(self) -> list[Any]:
        """The outbox."""
        return await self.rows(outbox)

    async def links(self) -> dict[str, Any]:
        """One-time links by id."""
        return {row.id: row for row in await self.rows(links)}

    async def kinds(self) -> list[str]:
        """The kinds of the customer's events, in order."""
        async with self.store.look(self.customer) as scope:
            rows = await self.audit.read(scope.connection, self.customer)
        return [row.body["kind"] for row in rows]


async def furnish(store: Store, folder: Path) -> Furnished:
    """A customer (Brook), an engineer (Ana), a phone system; no approver and no agreement yet."""
    master, clock = FileMasterKey.create(folder / "master.key"), Clock()
    audit = AuditLog(FileKeyStore(folder / "keyring", master), clock)
    vault = Vault(audit.keys)
    directory = Directory(store, audit, vault, ("company.example",))
    engineer = await Engineers(store, audit, vault).add("t", "ana", "Ana Silva", "ana@company.example", frozenset())
    customer = await directory.add_customer("t", "Brook")
    await directory.name_engineer("t", customer, engineer.id)
    values = {
        "name": "Head office", "connector": "lab", "host": "h", "port": 1, "pin": "p", "settings": "{}", "site": "",
        "asset": "", "ddi_range": "",
    }  # fmt: skip
    await directory.add_system("t", customer, values, Credential("x", "y"), [])
    _, system = (await directory.systems_for(engineer.id))[0]
    return Furnished(store, audit, clock, vault, directory, Permission(store, audit), customer, engineer.id, system)
