"""Invariant 3: whichever came first counts, and it is said; between two connections to one real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from audit.clock import LogClock
from audit.log import AuditLog
from audit.sealing import FileKeyStore, FileMasterKey
from connectors.contract import Credential, Operation
from gateway import notify
from gateway.access.directory import Directory
from gateway.access.permission import Permission
from gateway.errors import StateError
from gateway.identity.engineers import Engineers
from gateway.lifecycle import RequestState
from gateway.model import PhoneSystem, Terms
from gateway.policy import decide
from gateway.store.engine import Store
from gateway.store.tables import operations, sessions, systems
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


async def _ask(node: Node, engineer: str, system: PhoneSystem) -> str:
    return (await node.permission.submit(engineer, system, frozenset({Operation.VIEW}), 60, "", "why")).id


async def test_nobody_is_asked_for_a_phone_system_that_is_being_taken_out_of_service(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    customer, engineer, system_id, _ = await furnish(here)
    # As the engineer found it, a moment before.
    ((_, system),) = await Directory(here.store, here.audit, here.vault, ()).systems_for(engineer)
    async with there.store.scope(customer) as scope:
        await scope.execute(update(systems).where(systems.c.id == system_id).values(removed_ms=1, credential=b""))
        asking = asyncio.ensure_future(_ask(here, engineer, system))
        done, _ = await asyncio.wait({asking}, timeout=0.1)
        assert not done, "the request must wait for whoever is taking the phone system out of service"
    with pytest.raises(StateError, match="out of service; nobody was asked"):
        await asking
    left = [request.state for request in await here.permission.requests_of(engineer)]
    assert left == [RequestState.GRANTED], "nothing but the first request, from before"


async def test_a_phone_system_goes_out_of_service_after_the_request_that_came_first(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = nodes
    customer, engineer, system_id, _ = await furnish(here)
    ((_, system),) = await Directory(here.store, here.audit, here.vault, ()).systems_for(engineer)
    asked, go, tell = asyncio.Event(), asyncio.Event(), notify.request_waiting

    async def stalled(*given: Any) -> None:
        asked.set()
        await go.wait()
        await tell(*given)

    monkeypatch.setattr(notify, "request_waiting", stalled)
    asking = asyncio.ensure_future(_ask(here, engineer, system))
    await asked.wait()
    removing = asyncio.ensure_future(
        Directory(there.store, there.audit, there.vault, ()).remove_system("t", customer, system_id)
    )
    done, _ = await asyncio.wait({removing}, timeout=0.1)
    assert not done, "the removal must wait for the request, so that it is there to be taken back"
    go.set()
    request = await asking
    assert await removing
    async with there.store.look(customer) as scope:
        assert (await there.permission.request(scope, request)).state is RequestState.WAITING
