"""What happens to a visit when its database is locked, full, or away, or its permission ends meanwhile; on both."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from audit.steps import Step
from gateway.access.permission import Permission
from gateway.cli.demo import Demo, permit
from gateway.cli.story import Master
from gateway.store.engine import Store
from gateway.wiring.admin import Admin
from tests.end_to_end.test_bad_days import EVERYTHING, Gate, states, whole


async def test_3_a_permission_that_ends_while_an_operation_runs(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = await permit(demo, EVERYTHING)
    with Gate(demo, monkeypatch, Step.INTENDED) as gate:
        running = asyncio.ensure_future(ssh.run("set 2001 name=Begun"))
        await gate.there.wait()
        (visit,) = demo.app.visits.all()
        await demo.admin("grant revoke", grant=grant, reason="enough")
        ran = await running  # told and ended at once, whatever still goes on behind
        assert ran.code == 3
        assert "the permission was ended by staff" in ran.err
    await visit.over.wait()
    # It had begun before the permission ended: it has its outcome, and the revocation names it.
    assert (await states(demo))[-1] == "done"
    assert demo.lab.store.get("2001")["name"] == "Begun"  # type: ignore[index]
    customer = visit.system.customer_id
    async with demo.app.parts.store.look(customer) as scope:
        rows = await demo.app.parts.audit.read(scope.connection, customer)
    kinds = [row.body["kind"] for row in rows]
    (revoked,) = [row.body for row in rows if row.body["kind"] == "grant.revoked"]
    assert len(revoked["data"]["in_flight"]) == 1
    assert kinds.index("grant.revoked") < kinds.index("operation.done") < kinds.index("session.closed")
    assert (await ssh.run("show 2001")).code == 3


@pytest.mark.parametrize("opened", [True, False], ids=["an operation", "a visit"])
async def test_3_a_revocation_elsewhere_waits_for_what_is_being_decided(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch, database_of_demo: tuple[str, str] | None, opened: bool
) -> None:
    """Policy is being asked, and nothing is written yet: whoever revokes on another node comes after it."""
    grant = await permit(demo, EVERYTHING)
    if opened:
        assert (await ssh.run("show 2001")).code == 0
    (customer,) = [row["id"] for row in await demo.admin("customer list")]
    asked, go, usual = asyncio.Event(), asyncio.Event(), demo.app.parts.permission.facts

    async def stalled(*given: Any) -> Any:
        facts = await usual(*given)
        if not asked.is_set():
            asked.set()
            await go.wait()
        return facts

    elsewhere = Store(database_of_demo[1] if database_of_demo else demo.app.parts.store.url)
    with Gate(demo, monkeypatch, Step.INTENDED):
        monkeypatch.setattr(demo.app.parts.permission, "facts", stalled)
        acting = asyncio.ensure_future(ssh.run("set 2001 name=Begun"))
        await asked.wait()
        there = Permission(elsewhere, demo.app.parts.audit)
        revoking = asyncio.ensure_future(there.revoke("t", customer, grant, "enough"))
        done, _ = await asyncio.wait({revoking}, timeout=0.3)
        go.set()
        assert not done, "it came between the question and what was decided"
        in_flight = await revoking
    await elsewhere.close()
    # An operation that was permitted is listed; of a visit that has just been opened none may have begun.
    assert in_flight == 1 or not opened
    assert (await acting).code == 3 or in_flight == 1
    for visit in demo.app.visits.all():
        await visit.over.wait()
    assert [state for state in await states(demo) if state == "intended"] == []
    grace = demo.lab.store.get("2001")
    assert grace is not None
    assert (grace["name"] == "Begun") is (in_flight == 1)
    assert (await ssh.run("set 2001 name=After")).code == 3
    await whole(demo)


@asynccontextmanager
async def locked(demo: Demo, urls: tuple[str, str] | None) -> AsyncIterator[None]:
    """Somebody else holds what every operation writes."""
    if urls is None:
        file = demo.settings.storage.data_dir / "frameroom.db"
        held = sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)
        # In a thread: whoever has the lock just now gives it back in this very loop.
        await asyncio.to_thread(held.execute, "begin immediate")
        try:
            yield
        finally:
            held.execute("rollback")
            held.close()
    else:
        with psycopg.connect(urls[0]) as connection:
            connection.execute("lock table operations in access exclusive mode")
            yield
            connection.rollback()


async def test_whoever_drains_needs_no_database(demo: Demo, database_of_demo: tuple[str, str] | None) -> None:
    """Also somebody who never typed a command here before, and of whom nothing can be written now."""
    admin = Admin(demo.app.parts, demo.app)
    async with locked(demo, database_of_demo):
        if database_of_demo is not None:
            with psycopg.connect(database_of_demo[0]) as connection:
                connection.execute("lock table staff in access exclusive mode")
                assert await admin.call("drain", "newcomer", {}) == {"left": [], "connections": 0}
        else:
            assert await admin.call("drain", "newcomer", {}) == {"left": [], "connections": 0}
    assert demo.app.drain.is_set()


async def test_a_locked_database_is_said_so_and_nothing_is_touched(
    demo: Demo, ssh: Master, database_of_demo: tuple[str, str] | None
) -> None:
    await permit(demo, EVERYTHING)
    assert (await ssh.run("show 2001")).code == 0
    async with locked(demo, database_of_demo):
        refused = await ssh.run("set 2001 name=Never")
    assert refused.code == 1
    assert "the database does not answer as it should" in refused.err
    assert demo.lab.store.get("2001")["name"] == "Grace Okonkwo"  # type: ignore[index]
    await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    await whole(demo)


def _no_larger(opened: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    """Connections under which the file may not grow, as on a disk that is full."""

    def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = opened(*args, **kwargs)
        connection.execute("pragma max_page_count = 1")  # SQLite takes the size that the file has
        return connection

    return connect


async def test_a_full_database_refuses_and_recovers(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch, database_of_demo: tuple[str, str] | None
) -> None:
    if database_of_demo is not None:
        pytest.skip("PostgreSQL says the same in the same class of error (53100), and cannot be filled here")
    await permit(demo, EVERYTHING)
    assert (await ssh.run("show 2001")).code == 0
    store = demo.app.parts.store
    with monkeypatch.context() as disk:
        disk.setattr(sqlite3, "connect", _no_larger(sqlite3.connect))
        await store.close()  # every connection is opened anew
        for _ in range(200):
            ran = await ssh.run("set 2001 name=Fill")
            if ran.code:
                break
        assert ran.code in {1, 5}, ran
        assert "full" in ran.err
    await store.close()  # every connection is opened anew
    for visit in [visit for visit in demo.app.visits.all() if visit.ended is not None]:
        await visit.over.wait()
    await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    await whole(demo)


async def test_an_outcome_that_cannot_be_written_is_never_called_done(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch, database_of_demo: tuple[str, str] | None
) -> None:
    """The database goes away after the phone system was written: unknown to the engineer, and in the log later."""
    await permit(demo, EVERYTHING)
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    with Gate(demo, monkeypatch, Step.TOUCHED) as gate:
        running = asyncio.ensure_future(ssh.run("set 2001 name=Written"))
        await gate.there.wait()
        async with locked(demo, database_of_demo):
            gate.open.set()
            ran = await running
    assert ran.code == 5, ran
    await visit.over.wait()
    assert demo.lab.store.get("2001")["name"] == "Written"  # type: ignore[index]
    assert (await states(demo))[-1] == "unknown"
    (session,) = await demo.admin("session list")
    assert session["state"] == "failed"
    await whole(demo)


async def test_3_a_process_that_stood_still_ends_no_visit_for_it(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine is moved, or busy: the confirming was begun before, and its answer is a second late with all else."""
    watch = demo.app.visits._watch
    usual, answered = watch._confirm, asyncio.Event()

    async def late() -> None:
        time.sleep(1.2)  # noqa: ASYNC251 - the whole process stands still, as when it gets no processor
        monkeypatch.undo()
        await usual()
        answered.set()

    await permit(demo, EVERYTHING)
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    monkeypatch.setattr(watch, "_confirm", late)
    await answered.wait()
    assert (await ssh.run("show 2001")).code == 0
    assert demo.app.visits.all() == [visit]
    assert visit.ended is None
