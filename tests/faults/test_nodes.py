"""Several nodes on one PostgreSQL: permission ends everywhere, nobody closes what another process still has open."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audit.steps import Step
from gateway.store.tables import operations, sessions
from tests.faults.running import Running
from tests.support.need import need_tool
from tests.support.postgres import Postgres


@pytest.fixture
async def nodes(postgres: Postgres, tmp_path: Path) -> AsyncIterator[tuple[Running, Running]]:
    """Two that serve one deployment; the first has the lab beside it."""
    need_tool("ssh", "openssh-client")
    here = Running(tmp_path / "a", postgres.create_database())
    there: Running | None = None
    try:
        await here.start()
        there = here.second(tmp_path / "b")
        await there.start()
        yield here, there
    finally:
        for node in (here, there):
            if node is not None:
                await node.kill()


async def visiting(permitting: Running, node: Running) -> str:
    """A visit on one node; its grant."""
    await node.sign_in()
    grant = await permitting.consent(await node.submit())
    shown = await node.shows()
    assert "Grace" in shown.out, shown.err
    return grant


async def until_closed(node: Running) -> list[str]:
    """The states of all sessions, once none is open."""
    while "open" in (found := [str(row.state) for row in await node.rows(sessions)]):  # noqa: ASYNC110 - the other process sets no event here
        await asyncio.sleep(0.05)
    return found


async def test_3_revoked_on_one_node_ends_the_visit_on_the_other(nodes: tuple[Running, Running]) -> None:
    here, there = nodes
    grant = await visiting(here, there)
    shell = await there.shell()
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(b"show 2001\n")
    await shell.stdout.readuntil(b"user2001@")
    await here.admin("grant revoke", grant=grant, reason="enough")
    said, _ = await shell.communicate()
    assert b"the permission was ended by staff" in said
    assert shell.returncode == 3
    assert await until_closed(here) == ["closed"]
    assert (await there.ssh("show 2001")).code == 3


async def test_3_revoked_between_decide_and_act_on_two_processes(nodes: tuple[Running, Running]) -> None:
    here, there = nodes
    grant = await visiting(here, there)
    await there.tell(f"hold {Step.INTENDED.value}")
    acting = asyncio.ensure_future(there.ssh("set 2001 name=Begun"))
    await there.hears(f"at {Step.INTENDED.value}")
    begun = next(row for row in await here.rows(operations) if row.state == "intended")
    await here.admin("grant revoke", grant=grant, reason="enough")
    rows = await here.admin("audit tail", customer="Brook & Sons", count=50, why="t")
    (revoked,) = [row for row in rows if row["kind"] == "grant.revoked"]
    assert begun.id in revoked["told"], "what had begun is listed in the revocation"
    await there.tell("go")
    await acting
    assert await until_closed(here) == ["closed"]
    assert {row.id: row.state for row in await here.rows(operations)}[begun.id] == "done"
    assert here.name_of("2001") == "Begun"
    assert (await there.ssh("set 2001 name=After")).code == 3
    assert here.name_of("2001") == "Begun"
    report = await here.verify([])
    assert report.ok, report.faults


async def test_a_restart_closes_its_own_leftovers_and_no_living_nodes_visits(nodes: tuple[Running, Running]) -> None:
    here, there = nodes
    await visiting(here, here)
    await here.consent(await there_submits(there))
    assert here.told["node"] != there.told["node"]
    await here.kill()
    # The lab died with its process, the visit on the other node did not.
    await here.start()
    assert sorted(row.state for row in await here.rows(sessions)) == ["failed", "open"]
    assert (await there.ssh("show 2002")).code == 0
    assert {row.node: row.state for row in await here.rows(sessions)}[there.told["node"]] == "open"
    report = await here.verify([])
    assert report.ok, report.faults


async def there_submits(there: Running) -> str:
    """A visit on the other node, and one more request from it."""
    await there.sign_in()
    shown = await there.shows()
    assert "Grace" in shown.out, shown.err
    return await there.submit()


def _all_of(postgres: Postgres) -> list[int]:
    """The server and its children."""
    assert postgres._process is not None
    main = postgres._process.pid
    children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    return [main, *map(int, children)]


async def test_3_a_node_that_cannot_reach_its_database_ends_its_visits(tmp_path: Path) -> None:
    need_tool("ssh", "openssh-client")
    server = Postgres()
    server.start()
    node = Running(tmp_path / "a", server.create_database())
    stopped: list[int] = []
    try:
        await node.start()
        await visiting(node, node)
        shell = await node.shell()
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(b"show 2001\n")
        await shell.stdout.readuntil(b"user2001@")
        stopped = _all_of(server)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        said, _ = await shell.communicate()  # it ends although nothing answers, not even with an error
        assert b"the permission could not be confirmed" in said
        assert shell.returncode == 3
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        stopped = []
        assert await until_closed(node) == ["failed"]
        assert (await node.ssh("show 2001")).code == 0
        report = await node.verify([])
        assert report.ok, report.faults
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        await node.kill()
        server.stop()
