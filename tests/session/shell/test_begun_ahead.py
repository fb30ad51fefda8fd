"""A row of a file is begun with the outcome of the one before it: what that changes for nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import select, text

from audit.tables import entries
from gateway.cli.demo import Demo, permit
from gateway.model import PhoneSystem
from gateway.session import writers
from gateway.session.performing import Performing
from gateway.session.visit import Did
from gateway.session.writers import Writers
from gateway.store.tables import grants
from tests.session.shell.conftest import BOTH, Send

FILE = b"user,name\n" + b"".join(b"%d,New %d\n" % (2001 + n, n) for n in range(8))


async def acts(demo: Demo) -> list[tuple[str, str, dict[str, Any]]]:
    """(operation, kind, data) of every alteration in the log that was more than a plan, in order."""
    query = select(entries.c.operation_id, entries.c.kind, entries.c.entry).where(entries.c.kind.like("operation.%"))
    async with demo.app.visits.store.look_at_everyone() as scope:
        found = (await scope.execute(query.order_by(entries.c.seq))).all()
    read = [(str(row.operation_id), str(row.kind), json.loads(row.entry)["data"]) for row in found]
    plans = {operation for operation, _, data in read if data.get("fields") == ["plan"]}
    return [one for one in read if one[2]["name"] == "alter" and one[0] not in plans]


class Stall:
    """The work of an alteration, held until it is let go: the first, or the one that is said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.reached, self.go = 1, asyncio.Event(), asyncio.Event()
        self.waiting = asyncio.Event()
        worked, take, count = Performing._work, Writers._take, 0

        async def stalled(performing: Performing, *rest: Any) -> Did:
            nonlocal count
            count += 1
            if count == self.at + 1:  # the plan is the first of all
                self.reached.set()
                await self.go.wait()
            return await worked(performing, *rest)

        async def noted(one: Writers, held: AsyncExitStack, lock: asyncio.Lock, system: PhoneSystem) -> None:
            if lock.locked():
                self.waiting.set()
            await take(one, held, lock, system)

        monkeypatch.setattr(Performing, "_work", stalled)
        monkeypatch.setattr(Writers, "_take", noted)


@pytest.fixture
def stall(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stall]:
    """See there."""
    made = Stall(monkeypatch)
    yield made
    made.go.set()


@BOTH
async def test_each_row_has_its_intent_before_and_its_outcome_before_the_next(demo: Demo, send: Send) -> None:
    await permit(demo, "find,view,alter")
    file = FILE + b"2001x,Nobody\n2020,Last\n"
    assert (await send("apply - --yes --go-on", file)).code == 0
    found = await acts(demo)
    assert [kind for _, kind, _ in found] == ["operation.intended", "operation.done"] * 9
    assert [one[0] for one in found[::2]] == [one[0] for one in found[1::2]]
    report = await demo.admin("audit verify")
    assert report["ok"], report["faults"]


@BOTH
async def test_the_two_are_made_durable_together(demo: Demo, send: Send, stall: Stall) -> None:
    """While the second row is at work the log has its intent; the first one's outcome was no way to the disk alone."""
    stall.at = 2
    await permit(demo, "find,view,alter")
    commits: list[int] = []
    finish = Performing._finish

    async def counted(performing: Performing, *rest: Any, **more: Any) -> None:
        await finish(performing, *rest, **more)
        commits.append(len(await acts(demo)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Performing, "_finish", counted)
        applying = asyncio.ensure_future(send("apply - --yes", FILE))
        await stall.reached.wait()
        stall.go.set()
        assert (await applying).code == 0
    # After the plan, and after each row: its two entries, and the next one's intent.
    assert commits == [0, *(2 * row + 1 for row in range(1, 8)), 16]


@BOTH
async def test_a_row_that_was_begun_when_the_engineer_left_is_refused_and_done_by_a_resume(
    demo: Demo, send: Send, stall: Stall
) -> None:
    stall.at = 2
    await permit(demo, "find,view,alter")
    process = await asyncio.create_subprocess_exec(
        *demo.ssh("-S", str(demo.folder / "master")), "apply - --yes", stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    asking = asyncio.ensure_future(process.communicate(FILE))
    await stall.reached.wait()
    (visit,) = demo.app.visits.all()
    (channel,) = visit.channels
    process.terminate()
    await asking
    async with asyncio.timeout(20):
        await channel.closed.wait()
    stall.go.set()
    # Whoever comes next is not kept waiting for a row that nobody will do.
    after = await send("set 2030 name=After --yes", b"")
    assert after.code == 0, after.err
    assert [demo.lab.store.get(n)["name"] for n in ("2002", "2003")] == ["New 1", "Priya Raghunathan"]  # type: ignore[index]
    found = await acts(demo)
    assert [kind for _, kind, _ in found[:6]] == [
        "operation.intended", "operation.done", "operation.intended", "operation.done", "operation.intended",
        "operation.refused",
    ]  # fmt: skip
    assert found[5][2] == {"name": "alter", "code": "abandoned"}
    resumed = await send("apply - --yes --resume --json", FILE)
    assert resumed.code == 0, resumed.err
    assert [row["row"] for row in json.loads(resumed.out)] == list(range(4, 10))
    report = await demo.admin("audit verify")
    assert report["ok"], report["faults"]


@BOTH
async def test_whoever_waits_has_their_turn_between_two_rows(demo: Demo, send: Send, stall: Stall) -> None:
    await permit(demo, "find,view,alter")
    applying = asyncio.ensure_future(send("apply - --yes", FILE))
    await stall.reached.wait()
    between = asyncio.ensure_future(send("set 2030 email=z@customer.example --yes", b""))
    await stall.waiting.wait()
    stall.go.set()
    assert (await between).code == 0
    assert (await applying).code == 0
    fields = [data["fields"] for _, kind, data in await acts(demo) if kind == "operation.intended"]
    assert fields == [["name"], ["email"], *[["name"]] * 7]


@pytest.mark.parametrize("database_of_demo", ["postgresql"], indirect=True)
async def test_an_outcome_waits_for_nobody_who_decides_on_the_permission(
    demo: Demo, send: Send, stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = await permit(demo, "find,view,alter")
    applying = asyncio.ensure_future(send("apply - --yes", FILE))
    await stall.reached.wait()
    finish, finished = Performing._finish, asyncio.Event()

    async def noted(performing: Performing, *rest: Any, **more: Any) -> None:
        await finish(performing, *rest, **more)
        finished.set()

    monkeypatch.setattr(Performing, "_finish", noted)
    async with demo.app.visits.store.everyone() as scope:
        await scope.execute(select(grants).where(grants.c.id == grant).with_for_update())
        stall.go.set()
        async with asyncio.timeout(4):  # less than a lock is waited for
            await finished.wait()
        assert [kind for _, kind, _ in await acts(demo)] == ["operation.intended", "operation.done"]
    assert (await applying).code == 0


@pytest.mark.parametrize("database_of_demo", ["postgresql"], indirect=True)
async def test_a_writer_of_another_node_has_its_turn_too(
    demo: Demo, send: Send, stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.session.performing._TURN_S", 0)
    await permit(demo, "find,view,alter")
    applying = asyncio.ensure_future(send("apply - --yes", FILE))
    await stall.reached.wait()
    (visit,) = demo.app.visits.all()
    store = demo.app.visits.store
    waits = text("select count(*) from pg_locks where locktype = 'advisory' and not granted")

    async def other() -> int:
        async with store.exclusive(writers._SPACE, writers._key(visit.system), 20):
            return len(await acts(demo))

    waiting = asyncio.ensure_future(other())
    async with asyncio.timeout(20), store.look_at_everyone() as scope:
        while not (await scope.execute(waits)).scalar():
            pass
    stall.go.set()
    assert await waiting == 2, "the first row, and nothing of the second"
    assert (await applying).code == 0
