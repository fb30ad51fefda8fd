"""kill -9 at each step of the spine, one after another on one folder: a restart settles what was open.

After each: nothing acknowledged is lost, every promise has exactly one outcome, what was open is failed, recordings
play to the last durable frame, and the log verifies against every checkpoint that anybody could hold: it never forks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from audit.checkpoint import parse
from audit.steps import Step
from audit.tables import logs
from gateway.store.tables import grants, operations, requests, sessions
from tests.faults.running import Running
from tests.support.need import need_tool
from tests.support.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Running]:
    """Serving, furnished, without permission."""
    need_tool("ssh", "openssh-client")
    database = None
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        database = server.create_database()
    running = Running(tmp_path / "f", database)
    try:
        await running.start()
        yield running
    finally:
        await running.kill()


def note_size(note: bytes) -> int:
    """How many entries a checkpoint speaks of."""
    return parse(note.decode()).size


async def states(gateway: Running) -> tuple[list[str], list[str]]:
    """(states of all sessions, of all operations), sorted."""
    return (
        sorted(row.state for row in await gateway.rows(sessions)),
        sorted(row.state for row in await gateway.rows(operations)),
    )


async def restarted(gateway: Running, step: str) -> None:
    """Start again on what the killed process left, and see that it is whole."""
    held = gateway.held()
    await gateway.start()
    report = await gateway.verify(held)
    assert report.ok, (step, [str(fault) for fault in report.faults])
    assert {row.state for row in await gateway.rows(sessions)} <= {"failed", "closed"}, step
    assert "intended" not in {row.state for row in await gateway.rows(operations)}, step


async def visit(gateway: Running) -> str:
    """Sign in with a permission: the grant's id."""
    await gateway.sign_in()
    open_ones = [row.id for row in await gateway.rows(grants) if row.state == "open"]
    return open_ones[0] if open_ones else await gateway.consent(await gateway.submit())


async def test_kill_9_before_there_is_a_visit(gateway: Running) -> None:
    # 1 accepted
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.told["port"])
    assert (await reader.readline()).startswith(b"SSH-2.0-")
    await gateway.kill()
    writer.close()
    await restarted(gateway, "accepted")
    # 2 signed in
    await gateway.sign_in()
    await gateway.kill()
    await restarted(gateway, "signed in")
    # 3 asked
    await gateway.sign_in()
    request = await gateway.submit()
    await gateway.kill()
    await restarted(gateway, "submitted")
    assert [(row.id, row.state) for row in await gateway.rows(requests)] == [(request, "waiting")]
    # and the customer's yes, acknowledged to whoever entered it
    grant = await gateway.consent(request)
    await gateway.kill()
    await restarted(gateway, "consented")
    assert [(row.id, row.state) for row in await gateway.rows(grants)] == [(grant, "open")]
    assert [row.state for row in await gateway.rows(requests)] == ["granted"]
    await gateway.sign_in()
    assert "Grace" in (await gateway.ssh("show 2001")).out
    assert await states(gateway) == (["open"], ["done"])


async def killed(gateway: Running, step: Step, command: str) -> None:
    """In a visit, `command` meets the armed step; the engineer is told nothing."""
    await visit(gateway)
    await gateway.arm(step)
    ran = await gateway.ssh(command)
    assert ran.code == 255, (step, ran)
    await gateway.died()
    await restarted(gateway, step)


async def test_kill_9_in_an_operation(gateway: Running) -> None:
    await killed(gateway, Step.OPENED, "show 2001")
    assert await states(gateway) == (["failed"], [])
    await killed(gateway, Step.INTENDED, "set 2001 name=First")
    assert gateway.name_of("2001") == "Grace Okonkwo"
    assert await states(gateway) == (["failed"] * 2, ["unknown"])
    await killed(gateway, Step.TOUCHED, "set 2001 name=Second")
    assert gateway.name_of("2001") == "Second"
    assert await states(gateway) == (["failed"] * 3, ["unknown"] * 2)
    await killed(gateway, Step.DECIDED, "set 2001 name=Third")
    assert gateway.name_of("2001") == "Third"
    assert await states(gateway) == (["failed"] * 4, ["done", "unknown", "unknown"])


async def test_kill_9_between_two_rows_of_a_file(gateway: Running) -> None:
    """A row is begun with the outcome of the one before it: that one is done, and of this one nobody can tell."""
    file = b"user,name\n2001,First\n2002,Second\n2003,Third\n"
    await visit(gateway)
    await gateway.tell(f"hold {Step.DECIDED.value}")
    applying = asyncio.ensure_future(gateway.ssh("apply - --yes", file))
    await gateway.hears(f"at {Step.DECIDED.value}")  # the plan's
    await gateway.arm(Step.DECIDED)
    await gateway.tell("go")
    assert (await applying).code == 255
    await gateway.died()
    await restarted(gateway, "between two rows")
    assert (gateway.name_of("2001"), gateway.name_of("2002")) == ("First", "Tomás Álvarez")
    assert await states(gateway) == (["failed"], ["done", "done", "unknown"])
    await visit(gateway)
    resumed = await gateway.ssh("apply - --yes --resume", file)
    assert resumed.code == 5, resumed
    assert "1 of 3 rows were done before" in resumed.err
    assert "line 3: its outcome is unknown" in resumed.err
    assert (gateway.name_of("2002"), gateway.name_of("2003")) == ("Tomás Álvarez", "Third")
    retried = await gateway.ssh("apply - --yes --resume --retry-unknown", file)
    assert retried.code == 0, retried
    assert gateway.name_of("2002") == "Second"


@pytest.mark.parametrize("step", [Step.SIGNED, Step.TILED, Step.PUBLISHED])
async def test_kill_9_between_signing_and_publishing(gateway: Running, step: Step) -> None:
    await visit(gateway)
    await gateway.arm(step)
    await gateway.ssh("show 2001")  # answered or not: the sequencer comes when it comes
    await gateway.died()
    signed = {row.log_id: row.size for row in await gateway.rows(logs)}
    published = gateway.published()
    behind = [log for log in signed if log not in published or note_size(published[log]) < signed[log]]
    assert behind or step is Step.PUBLISHED, "nothing was left unpublished"
    await restarted(gateway, step.value)
    published = gateway.published()
    assert [log for log in behind if note_size(published[log]) < signed[log]] == []


async def revoked(gateway: Running, grant: str) -> None:
    """End the permission, whether or not the process lives to say so."""
    await asyncio.gather(gateway.admin("grant revoke", grant=grant, reason="t"), return_exceptions=True)


@pytest.mark.parametrize("step", [Step.JOURNALLED, Step.STORED, Step.UNRECORDED])
async def test_kill_9_in_a_recording(gateway: Running, step: Step) -> None:
    grant = await visit(gateway)
    shown = await gateway.ssh("show 2001")
    assert "Grace" in shown.out
    meet: Callable[[], Awaitable[object]] = lambda: revoked(gateway, grant)  # noqa: E731 - one of two, by the step
    if step is Step.JOURNALLED:
        meet = lambda: gateway.ssh("show 2002")  # noqa: E731
    await gateway.arm(step)
    await meet()
    await gateway.died()
    await restarted(gateway, step)
    ((session, state),) = [(row.id, row.state) for row in await gateway.rows(sessions)]
    assert state == "failed"
    # What the engineer saw was durable before the command counted as done.
    assert shown.out.splitlines()[1] in await gateway.played(session)
    assert [row.state for row in await gateway.rows(grants)] == ["open" if step is Step.JOURNALLED else "revoked"]
