"""Erasing one person where others are beside them: an approver who got their password, a visit that a hold is on."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from sqlalchemy import select, update

from audit.events import Event, Personal
from connectors.contract import Operation, SecretKind
from gateway import notify
from gateway.access.kept import floor_ms
from gateway.access.proposals import RECOVER
from gateway.access.recovering import Recovered
from gateway.access.retention import RecordKind
from gateway.access.subject_report import SubjectReports
from gateway.access.switch import Switch
from gateway.errors import StateError
from gateway.lifecycle import ProposalState
from gateway.model import AccessMode, new_id
from gateway.session.links import Links, Reset
from gateway.session.recipients import Recipient
from gateway.store.columns import metadata
from gateway.store.tables import approvers, directory, outbox
from tests.access.test_erasing import GRACE, World, held
from tests.access.test_erasing import world as world
from tests.access.test_retention import over


async def a_password_to_kate(world: World) -> None:
    """Grace's voicemail was reset and Kate got the new one; Kate was written to, and is about to be again."""
    b = world.brook
    kate = next(row.id for row in await b.rows(approvers) if row.name == "Kate Brook")
    ids = (b.system.id, world.session, world.grant.id, b.engineer)
    operation = await b.operation(world.grant, world.session, Operation.RESET_VOICEMAIL)
    reset = Reset(b.customer, *ids, operation, world.subject(GRACE), SecretKind.VOICEMAIL, new_id("lnk"))
    to = Recipient("kate@customer.example", "approver Kate Brook", kate)
    async with b.store.scope(b.customer) as scope:
        await Links(b.store, b.audit).made_there(scope, reset, to, "Grace Bell (extension 2001)")
        key = b.audit.keys.alias(b.customer, "address", to.address)
        sent = Event("notice.sent", b.customer, "postman", data={"what": "visit closed"},
                     personal=(Personal("address", to.address, key),))  # fmt: skip
        await b.audit.append(scope.connection, sent)
        await notify.queue(scope, [to.address], "x", "s", "Dear Kate", b.clock.now())


async def test_the_approver_who_got_somebodys_password_is_not_taken_for_them(world: World) -> None:
    """Neither told of in their report, nor erased with them."""
    b = world.brook
    await a_password_to_kate(world)
    grace = await world.subjects.find("Grace Bell", b.customer)
    assert grace.addresses == {"grace@customer.example"}
    told = await SubjectReports(b.store, world.subjects).of(grace)
    assert "secret.issued" in [one["kind"] for one in told["events"]]
    assert "notice.sent" not in [one["kind"] for one in told["events"]]
    waiting = [row.address for row in await b.waiting()]
    await world.erase("Grace Bell", b.customer)
    left = await world.readable()
    assert "grace" not in left.casefold()
    assert left.count("kate@customer.example") == 3, "where she was added, the password's way, the mail to her"
    assert [row.address for row in await b.waiting()] == waiting
    assert (await world.verify()).ok


async def test_a_report_of_a_person_holds_nothing_that_is_anothers(world: World) -> None:
    """Not the approver's address in the user's, nor in the approver's whose password it was."""
    b = world.brook
    await a_password_to_kate(world)
    reports = SubjectReports(b.store, world.subjects)
    grace = await reports.of(await world.subjects.find("Grace Bell", b.customer))
    assert "kate" not in str(grace).casefold()
    (issued,) = [one["told"] for one in grace["events"] if one["kind"] == "secret.issued"]
    assert issued == {"address": "(another person's)", "person": "Grace Bell (extension 2001)"}
    kate = await reports.of(await world.subjects.find("Kate Brook", b.customer))
    assert "grace" not in str(kate).casefold()
    (issued,) = [one["told"] for one in kate["events"] if one["kind"] == "secret.issued"]
    assert issued == {"address": "kate@customer.example", "person": "(another person's)"}


async def test_a_password_that_went_to_the_user_names_their_own_address_in_their_report(world: World) -> None:
    b = world.brook
    operation = await b.operation(world.grant, world.session, Operation.RESET_VOICEMAIL)
    ids = (b.system.id, world.session, world.grant.id, b.engineer, operation)
    reset = Reset(b.customer, *ids, world.subject(GRACE), SecretKind.VOICEMAIL, new_id("lnk"))
    async with b.store.scope(b.customer) as scope:
        to = Recipient("grace@customer.example", "the user", "user")
        await Links(b.store, b.audit).made_there(scope, reset, to, "Grace Bell (extension 2001)")
    told = await SubjectReports(b.store, world.subjects).of(await world.subjects.find("Grace Bell", b.customer))
    (issued,) = [one["told"] for one in told["events"] if one["kind"] == "secret.issued"]
    assert issued["address"] == "grace@customer.example"


async def test_an_approver_who_got_a_password_goes_from_the_users_entries_too(world: World) -> None:
    await a_password_to_kate(world)
    await world.erase("Kate Brook", world.brook.customer)
    left = await world.readable()
    assert "kate@customer.example" not in left
    assert "'person': 'Grace Bell (extension 2001)'" in left
    assert (await world.verify()).ok


async def test_nothing_that_an_approver_did_names_them_once_they_are_erased(world: World) -> None:
    """In no entry and no table: what they vouched for, the switch, a call of theirs, a key that was recovered."""
    b = world.brook
    ids = {row.name: row.id for row in await b.rows(approvers)}
    kate, lee = ids["Kate Brook"], ids["Lee Brook"]
    await world.known(GRACE)
    email = b.vault.digest("email", "grace@customer.example")
    async with b.store.scope(b.customer) as scope:
        await scope.execute(update(directory).values(email_digest=email))
    await b.directory.confirm_approver("tom", b.customer, lee, kate, "Bo", "it is her")
    await b.directory.confirm_address("tom", b.system, "2001", "grace@customer.example", kate, "Bo", "it is right")
    switch = Switch(b.store, b.audit)
    await switch.set_by_approver(b.customer, kate, "Kate Brook", AccessMode.OFF, None, [])
    await switch.set_by_staff("tom", b.customer, AccessMode.ON, None, [], "kate@customer.example", "she called")
    lost = Recovered(kate, "Kate Brook", "kate@customer.example", "+44 1")
    async with b.store.scope(b.customer) as scope:
        begun = await world.two.make(scope, "tom", RECOVER, b.customer, "lost", asdict(lost))
    with pytest.raises(StateError, match=begun):
        await world.erase("Kate Brook", b.customer)
    await world.two.withdraw("tom", begun)
    await world.erase("Kate Brook", b.customer)
    assert "Kate Brook" not in await world.readable()
    async with b.store.look_at_everyone() as scope:
        for table in metadata.sorted_tables:
            stands = str((await scope.execute(select(table))).all())
            assert table is outbox or not any(word in stands for word in ("Kate Brook", "kate@customer")), table.name
    assert "Lee Brook" in await world.readable()
    assert (await world.verify()).ok


async def test_a_hold_on_a_visit_keeps_whoever_was_seen_in_it(world: World) -> None:
    """The user, by what the visit tells of her; the engineer, whose name stands in another log; who said yes to it."""
    b = world.brook
    hold = await held(world, world.session)
    for given, customer in (("2001", b.customer), ("ana", None), ("Kate Brook", b.customer)):
        assert (await world.erasing.plan(await world.subjects.find(given, customer))).holds == (hold,)
        with pytest.raises(StateError, match=f"a legal hold keeps it: {hold}"):
            await world.erase(given, customer)
    assert "Grace Bell" in await world.readable()
    lee = await world.erase("lee@customer.example", b.customer)
    assert lee.state == ProposalState.DONE, "nothing of the visit is about her"


async def test_a_hold_that_comes_while_an_engineers_period_runs_puts_the_end_off(world: World) -> None:
    b = world.brook
    opened_ms = b.clock.now()
    assert (await world.erase("ana", None)).state == ProposalState.PENDING
    hold = await held(world, b.customer)
    b.clock.at_ms = floor_ms(opened_ms) + 1
    assert await world.erasing.settle() == 0
    assert "Ana Silva" in await world.readable()
    async with b.store.scope(b.customer) as scope:
        await world.two.move(scope, await world.two.find(hold), ProposalState.DONE)
    assert await world.erasing.settle() == 1
    assert "Ana Silva" not in await world.readable()


async def test_a_hold_on_a_visit_keeps_an_approver_who_left_beyond_their_period(world: World) -> None:
    b = world.brook
    hold = await held(world, world.session)
    for row in await b.rows(approvers):
        await b.directory.remove_approver("t", b.customer, row.id)
    engine = await over(world, RecordKind.PEOPLE)
    await engine.run("tom")
    assert sorted(row.name for row in await b.rows(approvers)) == ["(erased)", "Kate Brook"]
    async with b.store.scope(b.customer) as scope:
        await world.two.move(scope, await world.two.find(hold), ProposalState.DONE)
    await engine.run("tom")
    assert "Kate" not in "".join(row.name for row in await b.rows(approvers))
