"""Invariant 3: whichever came first counts, and it is said; between two connections to one real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from audit.clock import LogClock
from audit.log import AuditLog
from audit.sealing import FileKeyStore, FileMasterKey
from connectors.contract import Credential, Operation
from gateway.access.directory import Directory
from gateway.access.permission import Permission
from gateway.identity.engineers import Engineers
from gateway.model import Terms
from gateway.policy import decide
from gateway.store.engine import Store
from gateway.store.tables import operations, sessions
from gateway.vault import Vault


class Node:
    """One process's worth of Frameroom: its own engine on the shared database."""

    def __init__(self, store: Store, folder: Path) -> None:
        key = folder / "master.key"
        master = FileMasterKey.load(key) if key.exists() else FileMasterKey.create(key)
        self.store = store
        self.audit = AuditLog(FileKeyStore(folder / "keyring", master), LogClock())
        self.vault = Vault(self.audit.keys)
        self.permission = Permission(store, self.audit)


@pytest.fixture
async def nodes(store: Store, tmp_path: Path) -> AsyncIterator[tuple[Node, Node]]:
    second = Store(store.url)
    yield Node(store, tmp_path), Node(second, tmp_path)
    await second.close()


async def furnish(node: Node) -> tuple[str, str, str, str]:
    directory = Directory(node.store, node.audit, node.vault, ())
    engineer = await Engineers(node.store, node.audit, node.vault).add("t", "ana", "Ana", "a@co.example", frozenset())
    customer = await directory.add_customer("t", "Brook")
    await directory.name_engineer("t", customer, engineer.id)
    approver = await directory.add_approver("t", customer, "Kate", "k@customer.example", "")
    terms = Terms(operations=frozenset({Operation.VIEW}), consent_by_phone=True, ticket_required=False)
    await directory.set_agreement("t", customer, terms)
    await directory.confirm_agreement("t", customer, "Kate", "letter")
    values = {
        "name": "PBX",
        "connector": "lab",
        "host": "h",
        "port": 1,
        "pin": "p",
        "settings": "{}",
        "site": "",
        "asset": "",
    }
    await directory.add_system("t", customer, values, Credential("x"), [])
    _, system = (await directory.systems_for(engineer.id))[0]
    request = await node.permission.submit(engineer.id, system, frozenset({Operation.VIEW}), 60, "", "why")
    now = node.permission.now
    grant = await node.permission.record_consent("t", "Bo", customer, request.id, approver, now, "yes")
    return customer, engineer.id, system.id, grant.id


async def test_3_an_act_whose_intent_came_first_is_listed_in_the_revocation(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    customer, engineer, system, grant = await furnish(here)
    revoking = None
    async with here.store.scope(customer) as scope:
        facts = await here.permission.facts(scope, engineer, system, grant, True)
        assert decide(facts, Operation.VIEW).allowed
        revoking = asyncio.ensure_future(there.permission.revoke("t", customer, grant, "enough"))
        done, _ = await asyncio.wait({revoking}, timeout=0.1)
        assert not done, "the revocation must wait for the lock on the grant"
        await scope.execute(
            insert(sessions).values(
                customer_id=customer, id="ses_1", grant_id=grant, system_id=system, engineer_id=engineer, node="n",
                state="open", opened_ms=1, segments=0,
            )
        )  # fmt: skip
        await scope.execute(
            insert(operations).values(
                customer_id=customer, id="op_1", session_id="ses_1", grant_id=grant, name="view", state="intended",
                intended_ms=1,
            )
        )  # fmt: skip
    assert await revoking == 1


async def test_3_none_starts_after_a_revocation(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    customer, engineer, system, grant = await furnish(here)
    assert await there.permission.revoke("t", customer, grant, "enough") == 0
    async with here.store.scope(customer) as scope:
        facts = await here.permission.facts(scope, engineer, system, grant, True)
    assert decide(facts, Operation.VIEW).code == "grant-over"
