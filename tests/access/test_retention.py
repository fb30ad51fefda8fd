"""Retention, on both databases: the contract and so many months, never under the floor, never while held."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from audit.events import Event, Personal
from audit.storage import Objects
from audit.tables import payloads
from connectors.contract import Operation
from gateway.access.notes import write
from gateway.access.outside import OutsideVisits, SignedInBy
from gateway.access.proposals import HOLD
from gateway.access.retention import RecordKind, Retention, add_months
from gateway.errors import InvalidError
from gateway.lifecycle import ProposalState, SessionState
from gateway.store.tables import approvers, notes, sessions
from tests.access.test_erasing import GRACE, World
from tests.access.test_erasing import world as world
from tests.support.s3 import serving

DAY = 86_400_000


def ms(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type]


def retention(world: World, objects: Objects | None = None) -> Retention:
    return Retention(world.brook.store, world.brook.audit, objects or world.objects, world.subjects)


async def over(world: World, kind: RecordKind, months: int = 13) -> Retention:
    """The visit is closed, the contract ended that day, and all periods are over."""
    b, engine = world.brook, retention(world)
    async with b.store.scope(b.customer) as scope:
        await scope.execute(sessions.update().values(state=SessionState.CLOSED, closed_ms=b.clock.now()))
    await engine.set("tom", b.customer, kind, months)
    await engine.set_contract("tom", b.customer, b.clock.now())
    b.clock.at_ms = add_months(b.clock.at_ms, months) + DAY
    return engine


def recorded(world: World) -> list[str]:
    folder = f"recordings/{world.brook.customer}/{world.session}"
    for number in range(3):
        world.objects.put_new(f"{folder}/{number}", b"sealed")
    return list(world.objects.list(folder))


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [((2026, 1, 31), 1, (2026, 2, 28)), ((2027, 12, 31), 2, (2028, 2, 29)), ((2026, 11, 25), 13, (2027, 12, 25)),
     ((2026, 3, 31), -13, (2025, 2, 28)), ((2026, 10, 31), 1, (2026, 11, 30))],
)  # fmt: skip
def test_months_are_those_of_the_calendar(start: tuple[int, ...], months: int, end: tuple[int, ...]) -> None:
    assert add_months(ms(*start), months) == ms(*end)


async def test_nothing_goes_while_the_contract_runs_or_before_its_time(world: World) -> None:
    b, engine = world.brook, retention(world)
    recorded(world)
    async with b.store.scope(b.customer) as scope:
        await scope.execute(sessions.update().values(state=SessionState.CLOSED))
    await engine.set("tom", b.customer, RecordKind.RECORDINGS, 6)
    b.clock.at_ms += 3000 * DAY
    assert await engine.due(b.customer) == []
    ends = b.clock.now()
    await engine.set_contract("tom", b.customer, ends)
    b.clock.at_ms = add_months(ends, 6) - 1
    assert await engine.run("tom") == []
    b.clock.at_ms += 1
    (due,) = await engine.due(b.customer)
    assert due.ids == [world.session]
    assert len(recorded(world)) == 3  # a look at what is due deletes nothing


async def test_the_statutory_floor_cannot_be_agreed_away(world: World) -> None:
    engine = retention(world)
    with pytest.raises(InvalidError, match="at least 13 months"):
        await engine.set("tom", world.brook.customer, RecordKind.ACCESS_LOG, 12)


async def test_recordings_go_and_the_log_says_so(world: World) -> None:
    b = world.brook
    recorded(world)
    engine = await over(world, RecordKind.RECORDINGS)
    await engine.run("tom")
    assert list(world.objects.list(f"recordings/{b.customer}")) == []
    (row,) = await engine.entered(b.customer)
    assert (row.kind, row.target, row.count, row.waits) == ("recordings", world.session, 3, "")
    assert "13 months" in row.why
    assert await engine.run("tom") == []  # nothing is deleted twice
    assert (await b.kinds()).count("retention.deleted") == 1
    assert (await world.verify()).ok


async def test_what_is_locked_is_scheduled_and_goes_later(world: World) -> None:
    b = world.brook
    with serving() as server:
        bucket, client = server.locking(), server.client()
        objects = server.objects(bucket)
        folder = f"recordings/{b.customer}/{world.session}"
        for number in range(3):
            objects.put_new(f"{folder}/{number}", b"sealed")
        lock: Any = {"Bucket": bucket, "Key": f"{folder}/1"}
        until = datetime.now(UTC) + timedelta(days=3)
        client.put_object_retention(**lock, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
        await over(world, RecordKind.RECORDINGS)
        engine = retention(world, objects)
        await engine.run("tom")
        (row,) = await engine.entered(b.customer)
        assert row.waits == f"scheduled: {folder}/1 is locked until {until.date().isoformat()}"
        assert row.count == 2
        assert list(objects.list(folder)) == [f"{folder}/1"]
        soon = datetime.now(UTC) + timedelta(seconds=2)
        client.put_object_retention(
            **lock, BypassGovernanceRetention=True, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": soon}
        )
        async with asyncio.timeout(30):
            while row.waits:
                await engine.run("tom")
                (row,) = await engine.entered(b.customer)
        assert row.count == 3
        assert "Versions" not in client.list_object_versions(Bucket=bucket), "no version of them can be had back"
        objects.close()
    assert (await b.kinds()).count("retention.deleted") == 1


async def test_a_store_that_is_away_ends_nothing_and_is_tried_again(world: World) -> None:
    recorded(world)
    engine = await over(world, RecordKind.RECORDINGS)
    folder = world.objects.folder / "recordings"
    folder.rename(folder.with_name("away"))
    folder.write_bytes(b"in the way")
    await engine.run("tom")
    (row,) = await engine.entered(world.brook.customer)
    assert row.waits.startswith("scheduled: could not list")
    folder.unlink()
    folder.with_name("away").rename(folder)
    await engine.run("tom")
    (row,) = await engine.entered(world.brook.customer)
    assert (row.waits, row.count) == ("", 3)


async def test_the_personal_part_of_the_access_log_goes_and_every_proof_holds(world: World) -> None:
    engine = await over(world, RecordKind.ACCESS_LOG)
    assert "Grace Bell" in await world.readable()
    await engine.run("tom")
    told = await world.readable()
    assert "Grace Bell" not in told
    assert "a new name" not in told  # the request's reason
    assert "Kate Brook" in told  # who approves is no access log
    report = await world.verify()
    assert report.ok, report.faults


async def sealed_of_the_visit(world: World) -> str:
    """Something personal of the visit, and its recording; the key that both are under."""
    b, key = world.brook, f"session:{world.session}"
    recorded(world)
    ids = {"system": b.system.id, "session": world.session, "grant": world.grant.id}
    came = (Personal("address", "192.0.2.7", key),)
    async with b.store.scope(b.customer) as scope:
        data = {"engineer": b.engineer, "factor": "totp"}
        await b.audit.append(
            scope.connection, Event("session.opened", b.customer, b.engineer, data=data, personal=came, **ids)
        )
    return key


@pytest.mark.parametrize(
    "order", [("recordings access-log",), ("access-log", "recordings"), ("recordings", "access-log")]
)
async def test_the_key_of_a_recording_goes_with_the_last_of_what_is_under_it(
    world: World, order: tuple[str, ...]
) -> None:
    """Or whoever kept the objects, in a backup of the records, could still open what is certified to be deleted."""
    b, key, engine = world.brook, await sealed_of_the_visit(world), retention(world)
    for words in order:
        assert b.audit.keys.has(b.customer, key)
        for kind in words.split():
            engine = await over(world, RecordKind(kind))
        await engine.run("tom")
    assert not b.audit.keys.has(b.customer, key)
    async with b.store.scope(b.customer) as scope:
        data = {"reason": "t"}
        ids = {"system": b.system.id, "session": world.session, "grant": world.grant.id}
        await b.audit.append(scope.connection, Event("session.failed", b.customer, "t", data=data, **ids))
    report = await world.verify()
    assert report.ok, report.faults


async def test_a_crash_before_the_keys_went_is_made_good_by_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await over(world, RecordKind.ACCESS_LOG)
    key = f"subject:{world.subject(GRACE)}"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(world.brook.audit.keys), "destroy", killed)
        with pytest.raises(KeyboardInterrupt):
            await engine.run("tom")
    (row,) = await engine.entered(world.brook.customer)
    assert row.waits != "", "nothing says that it is done"
    assert world.brook.audit.keys.has(world.brook.customer, key)
    await engine.run("tom")
    (row,) = await engine.entered(world.brook.customer)
    assert row.waits == ""
    assert not world.brook.audit.keys.has(world.brook.customer, key)


async def test_each_line_of_the_ledger_rests_on_the_entry_that_names_its_visit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = world.brook
    monkeypatch.setattr("gateway.access.retention._PART", 2)
    visits = {world.session, *[await b.session(world.grant) for _ in range(4)]}
    engine = await over(world, RecordKind.RECORDINGS)
    await engine.run("tom")
    async with b.store.look(b.customer) as scope:
        told = await b.audit.read(scope.connection, b.customer, kinds=["retention.deleted"])
    named = {row.body["id"]: row.body["data"]["sessions"] for row in told}
    assert len(named) == 3
    rows = await engine.entered(b.customer)
    assert {row.target for row in rows} == visits
    assert all(row.target in named[row.event_id] for row in rows)


async def test_what_is_younger_than_the_floor_stays(world: World) -> None:
    b = world.brook
    engine = await over(world, RecordKind.ACCESS_LOG)
    kate = next(row.id for row in await b.rows(approvers) if row.email == "kate@customer.example")
    grant = await b.say_yes(await b.ask("once more"), kate)
    assert grant is not None
    world.grant, world.session = grant, await b.session(grant)
    await world.act(GRACE, "2001")
    await engine.run("tom")
    assert (await world.readable()).count("Grace Bell") == 1
    assert (await world.verify()).ok
    assert b.audit.keys.has(b.customer, f"subject:{world.subject(GRACE)}")


@pytest.mark.parametrize("target", ["customer", "subject", "session"])
async def test_a_hold_keeps_it(world: World, target: str) -> None:
    b = world.brook
    recorded(world)
    held = {"customer": b.customer, "subject": world.subject(GRACE), "session": world.session}[target]
    async with b.store.scope(b.customer) as scope:
        hold = await world.two.make(scope, "tom", HOLD, held, "claim", {})
        await world.two.move(scope, await world.two.second(scope, hold, "uma", HOLD), ProposalState.ACTIVE)
    engine = await over(world, RecordKind.RECORDINGS)
    await engine.set("tom", b.customer, RecordKind.ACCESS_LOG, 13)
    assert {due.kind for due in await engine.due(b.customer) if due.held} == {
        RecordKind.RECORDINGS, RecordKind.ACCESS_LOG,
    }  # fmt: skip
    await engine.run("tom")
    assert len(list(world.objects.list(f"recordings/{b.customer}"))) == 3
    assert "Grace Bell" in await world.readable()
    async with b.store.scope(b.customer) as scope:
        await world.two.move(scope, await world.two.find(hold), ProposalState.DONE)
    await engine.run("tom")
    assert "Grace Bell" not in await world.readable()
    assert (await world.verify()).ok


async def test_people_who_left_and_notes_go(world: World) -> None:
    b = world.brook
    (lee,) = [row.id for row in await b.rows(approvers) if row.name == "Lee Brook"]
    await b.directory.remove_approver("t", b.customer, lee)
    await write(b.store, b.audit, b.system, None, b.engineer, "mind the dog")
    engine = await over(world, RecordKind.PEOPLE)
    await engine.set("tom", b.customer, RecordKind.NOTES, 0)
    await engine.run("tom")
    told = await world.readable()
    assert "Lee Brook" not in told
    assert "mind the dog" not in told
    assert "Kate Brook" in told
    assert await b.rows(notes) == []
    assert sorted(row.name for row in await b.rows(approvers)) == ["(erased)", "Kate Brook"]
    async with b.store.look(b.customer) as scope:
        sealed = (await scope.execute(select(payloads.c.sealed).where(payloads.c.key_id == f"subject:{lee}"))).scalars()
        assert set(sealed) == {b""}
    assert (await world.verify()).ok


async def test_what_was_told_of_a_visit_that_is_not_recorded_goes_with_the_access_log(world: World) -> None:
    b = world.brook
    wanted = frozenset({Operation.VISIT})
    await b.agree(operations=wanted)
    kate = await b.approver("Vera", "vera@customer.example")
    grant = await b.say_yes(await b.permission.submit(b.engineer, b.system, wanted, 60, "T-9", "Card"), kate)
    assert grant is not None
    visits = OutsideVisits(b.store, b.audit, b.permission)
    visit = await visits.start(SignedInBy(b.engineer, "totp", "SHA256:x", "192.0.2.9"), b.system, grant)
    await visits.done(visit, "Changed the card of Grace's telephone")

    async def words() -> str | None:
        async with b.store.look(b.customer) as scope:
            return await visits.words(scope, visit.id)

    assert await words() == "Changed the card of Grace's telephone"
    engine = await over(world, RecordKind.ACCESS_LOG)
    await engine.run("tom")
    told = await words()
    assert told is not None
    assert "Grace" not in told
    assert (await world.verify()).ok
