"""The maintainer's own people: by an id in every log, whose it is until they are erased, and nowhere afterwards."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from audit.events import OPERATOR_LOG
from audit.tables import entries
from gateway.access.kept import floor_ms
from gateway.access.subject_report import SubjectReports
from gateway.errors import NotFoundError, StateError
from gateway.identity.staff import Staff
from gateway.lifecycle import ProposalState
from gateway.model import DAY
from gateway.store.engine import Store
from gateway.store.tables import staff
from tests.access.test_erasing import World, held
from tests.access.test_erasing import world as world

PAT = {"name": "Pat", "email": "pat@customer.example", "phone": "", "position": "", "notices": "each"}


def registry(world: World) -> Staff:
    return Staff(world.brook.store, world.brook.audit)


async def erased(world: World, login: str) -> ProposalState:
    """Erased, and as much later as the law wants it kept."""
    b = world.brook
    subject = await world.subjects.find(login, None)
    proposal = await world.erasing.propose(await registry(world).known("tom"), subject, "objection")
    await world.erasing.confirm(await registry(world).known("uma"), proposal)
    b.clock.at_ms = floor_ms(b.clock.now()) + 1
    await world.erasing.settle()
    return ProposalState((await world.two.find(proposal)).state)


async def test_two_first_commands_at_once_are_one_persons(world: World) -> None:
    both = registry(world), registry(world)
    ids = await asyncio.gather(*(one.known("mallory") for one in both for _ in range(4)))
    assert len(set(ids)) == 1
    assert await registry(world).known("mallory") == ids[0]
    assert await registry(world).known("niaj") != ids[0]
    async with world.brook.store.look(OPERATOR_LOG) as scope:
        rows = await world.brook.audit.read(scope.connection, OPERATOR_LOG, kinds=("staff.added",))
    assert sorted(row.body["actor"] for row in rows) == sorted({ids[0], await registry(world).known("niaj")})


async def test_no_entry_of_any_log_has_a_login(world: World, store: Store) -> None:
    b = world.brook
    who = await registry(world).known("mallory")
    await b.directory.add_contact(who, b.customer, PAT)
    async with store.look_at_everyone() as scope:
        every = [bytes(entry) for entry in (await scope.execute(select(entries.c.entry))).scalars()]
    assert any(who.encode() in entry for entry in every)
    assert not any(b"mallory" in entry for entry in every)


async def test_who_is_erased_is_an_id_that_is_nobodys(world: World) -> None:
    b = world.brook
    who = await registry(world).known("mallory")
    assert "mallory" in await world.readable()
    assert (await registry(world).names())[who] == "mallory"
    assert await erased(world, "mallory") == ProposalState.DONE
    assert "mallory" not in await world.readable()
    assert (await registry(world).names())[who] == who
    async with b.store.look(OPERATOR_LOG) as scope:
        assert "mallory" not in str((await scope.execute(select(staff))).all())
    with pytest.raises(NotFoundError):
        await world.subjects.find("mallory", None)
    assert (await world.verify()).ok
    assert await registry(world).known("mallory") != who, "whoever comes back is somebody else"


async def test_a_name_is_kept_for_as_long_as_the_law_wants_to_know_who_had_access(world: World) -> None:
    """Thirteen months from the day they were last seen, also when that day came after the yes."""
    b, mallory = world.brook, await registry(world).known("mallory")
    seen = b.clock.now()
    subject = await world.subjects.find("mallory", None)
    assert (await world.erasing.plan(subject)).due_ms == floor_ms(seen)
    proposal = await world.erasing.propose("tom", subject, "objection")
    done = await world.erasing.confirm("uma", proposal)
    assert (done.state, done.due_ms) == (ProposalState.PENDING, floor_ms(seen))
    b.clock.at_ms = again = floor_ms(seen) - DAY
    assert await registry(world).known("mallory") == mallory
    b.clock.at_ms = floor_ms(seen) + 1
    assert await world.erasing.settle() == 0
    assert (await world.two.find(proposal)).due_ms == floor_ms(again)
    assert "mallory" in await world.readable()
    b.clock.at_ms = floor_ms(again) + 1
    assert await world.erasing.settle() == 1


async def test_nobody_is_erased_in_the_middle_of_what_takes_two(world: World) -> None:
    """Else they would come back as somebody else, and say the second yes to what they began."""
    b, mallory = world.brook, await registry(world).known("mallory")
    subject = await world.subjects.find("mallory", None)
    proposal = await world.erasing.propose("tom", subject, "objection")
    async with b.store.scope(b.customer) as scope:
        begun = await world.two.make(scope, mallory, "hold", b.customer, "claim", {})
    with pytest.raises(StateError, match=begun):
        await world.erasing.confirm("uma", proposal)
    with pytest.raises(StateError, match=begun):
        await world.erasing.propose("tom", subject, "objection")
    await world.two.withdraw(mallory, begun)
    assert (await world.erasing.confirm("uma", proposal)).state == ProposalState.PENDING
    async with b.store.scope(b.customer) as scope:
        begun = await world.two.make(scope, mallory, "hold", b.customer, "claim", {})
    b.clock.at_ms = floor_ms(b.clock.now()) + 1
    assert await world.erasing.settle() == 0, "begun after the yes"
    await world.two.withdraw(mallory, begun)
    assert await world.erasing.settle() == 1


async def test_a_hold_on_what_they_had_a_hand_in_keeps_their_name(world: World) -> None:
    b, mallory, olivia = world.brook, await registry(world).known("mallory"), await registry(world).known("olivia")
    await b.directory.add_contact(mallory, b.customer, PAT)
    hold = await held(world, b.customer)
    assert (await world.erasing.plan(await world.subjects.find("mallory", None))).holds == (hold,)
    assert (await world.erasing.plan(await world.subjects.find(olivia, None))).holds == ()
    async with b.store.scope(b.customer) as scope:
        await world.two.move(scope, await world.two.find(hold), ProposalState.DONE)
    visit = await held(world, world.session)
    assert (await world.erasing.plan(await world.subjects.find("mallory", None))).holds == (), "no hand in the visit"
    assert visit


async def test_their_report_says_what_is_held(world: World) -> None:
    await registry(world).known("mallory")
    told = await SubjectReports(world.brook.store, world.subjects).of(await world.subjects.find("mallory", None))
    assert told["held"][0]["login"] == "mallory"
    assert [(one["kind"], one["by"], one["told"]) for one in told["events"]] == [
        ("staff.added", "mallory", {"name": "mallory"})
    ]
