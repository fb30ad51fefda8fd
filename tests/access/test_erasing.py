"""Erasing a person, on both databases: who may, what goes, what stays, and that every proof holds afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, select

from audit.checkpoint import Signer
from audit.events import OPERATOR_LOG, Event, Personal
from audit.inspect import Report, verify_database
from audit.sealing import KeyDestroyed
from audit.sequencer import Sequencer
from audit.storage import LocalObjects
from audit.tables import entries, payloads
from connectors.contract import Operation
from gateway import notify
from gateway.access.asking import Asking
from gateway.access.channels import Channels
from gateway.access.erasing import KEY_BACKUPS_MS, Erasing
from gateway.access.kept import floor_ms
from gateway.access.proposals import HOLD, Proposals
from gateway.access.subjects import Subjects
from gateway.errors import AmbiguousError, ConflictError, NotFoundError, NotPermittedError, StateError
from gateway.lifecycle import ProposalState
from gateway.model import DAY, Grant, new_id
from gateway.notify import Carrier, Ways
from gateway.notify.outbox import put
from gateway.store.engine import Store
from gateway.store.sign_in_tables import code_links, oidc_accounts, reading_codes
from gateway.store.tables import approvers, contacts, directory, engineers
from gateway.store.telling_tables import absences, channels
from tests.support.furnished import Furnished, furnish
from tests.support.planted import row as planted_row

GRACE = {"id": "2001", "extension": "2001", "name": "Grace Bell", "email": "grace@customer.example", "ddis": ["+4420"]}
ROSE = {"id": "2002", "extension": "2002", "name": "Rose Bell", "email": "rose@customer.example", "ddis": []}


@dataclass
class World:
    """Brook, with users who were looked at and altered."""

    brook: Furnished
    erasing: Erasing
    subjects: Subjects
    two: Proposals
    sequencer: Sequencer
    objects: LocalObjects
    signer: Signer
    grant: Grant
    session: str

    def subject(self, person: dict[str, Any]) -> str:
        return self.brook.vault.subject(self.brook.customer, self.brook.system.id, person["id"])

    async def act(self, person: dict[str, Any], typed: str) -> None:
        """An operation as `performing` writes it: the words typed, then whom it turned out to be about."""
        b = self.brook
        operation = await b.operation(self.grant, self.session, Operation.ALTER)
        words, about = b.vault.subject(b.customer, b.system.id, typed), self.subject(person)
        ids = {"system": b.system.id, "session": self.session, "grant": self.grant.id, "operation": operation}
        async with b.store.scope(b.customer) as scope:
            for kind, subject, personal in (
                ("operation.intended", words, (Personal("person", typed, f"subject:{words}"),)),
                ("operation.done", about, (Personal("after", person, f"subject:{about}"),)),
            ):
                event = Event(
                    kind, b.customer, b.engineer, subject=subject, data={"name": "alter"}, personal=personal, **ids
                )
                await b.audit.append(scope.connection, event)

    async def known(self, person: dict[str, Any]) -> None:
        async with self.brook.store.scope(self.brook.customer) as scope:
            await scope.execute(
                insert(directory).values(
                    customer_id=self.brook.customer, id=new_id("dir"), system_id=self.brook.system.id,
                    subject=self.subject(person), email_digest="d", since_ms=1,
                )
            )  # fmt: skip

    async def verify(self) -> Report:
        b = self.brook
        async with b.store.look_at_everyone() as scope:
            waiting = await self.sequencer.unsequenced(scope.connection)
        for log in waiting:
            async with b.store.scope(log) as scope:
                note = await self.sequencer.integrate(scope.connection, log)
            assert note is not None
            async with b.store.look(log) as scope:
                await self.sequencer.publish(scope.connection, log, note)
        async with b.store.look_at_everyone() as scope:
            return await verify_database(
                scope.connection, b.audit, self.objects, self.signer.vkey, "d.example",
                open_ids=frozenset({self.session}),
            )  # fmt: skip

    async def readable(self) -> str:
        """Everything personal that the log still opens, of every log."""
        told = []
        for log in (self.brook.customer, OPERATOR_LOG):
            async with self.brook.store.look(log) as scope:
                for row in await self.brook.audit.read(scope.connection, log):
                    told.append(str(await self.brook.audit.personal(scope.connection, row)))
        return "\n".join(told)

    async def erase(self, given: str, customer: str | None, system: str | None = None) -> Any:
        subject = await self.subjects.find(given, customer, system)
        proposal = await self.erasing.propose("tom", subject, "objection")
        return await self.erasing.confirm("uma", proposal)


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> World:
    brook = await furnish(store, tmp_path)
    kate = await brook.approver("Kate Brook", "kate@customer.example")
    await brook.approver("Lee Brook", "lee@customer.example")
    await brook.agree()
    grant = await brook.say_yes(await brook.ask("a new name"), kate)
    assert grant is not None
    subjects, two = Subjects(store, brook.audit, brook.vault), Proposals(store, brook.audit)
    signer, objects = Signer("d.example", Ed25519PrivateKey.generate()), LocalObjects(tmp_path / "objects")
    made = World(
        brook, Erasing(store, brook.audit, subjects, two), subjects, two, Sequencer(signer, "d.example", objects),
        objects, signer, grant, await brook.session(grant),
    )  # fmt: skip
    await made.act(GRACE, "2001")
    await made.act(GRACE, "grace bell")
    await made.act(GRACE, "bell")
    await made.act(ROSE, "bell")
    await made.act(ROSE, "rose@customer.example")
    return made


async def test_11_erased_yet_provable(world: World) -> None:
    """Key, ciphertext and rows go; nobody else's do; every proof holds, and it says since when."""
    b = world.brook
    await world.known(GRACE)
    await world.known(ROSE)
    before = await world.verify()
    assert before.ok, before.faults
    assert "grace bell" in (await world.readable()).casefold()
    done = await world.erase("grace@customer.example", b.customer)
    assert done.state == ProposalState.DONE
    told = await world.readable()
    assert "grace" not in told.casefold()
    assert "(erased on 2026-" in told
    assert told.count("Rose Bell") == 2
    # "bell" was typed for both: it is not hers alone, and names her no more than Rose.
    assert "'person': 'bell'" in told
    assert [row.subject for row in await b.rows(directory)] == [world.subject(ROSE)]
    after = await world.verify()
    assert after.ok, after.faults
    async with b.store.look(b.customer) as scope:
        keys = await world.subjects.keys(scope, await world.subjects.find(world.subject(GRACE), b.customer))
        left = (await scope.execute(select(payloads.c.sealed).where(payloads.c.key_id.in_(keys)))).scalars().all()
    assert set(left) == {b""}
    for key in keys:
        with pytest.raises(KeyDestroyed):
            b.audit.keys.get(b.customer, key)


async def test_a_user_who_was_erased_may_be_seen_again(world: World) -> None:
    """The account is the customer's and stands: what happens later is a new record, and can be erased again."""
    await world.erase("2001", world.brook.customer, world.brook.system.id)
    await world.act(GRACE, "2001")
    assert (await world.readable()).count("Grace Bell") == 1
    await world.erase("2001", world.brook.customer, world.brook.system.id)
    assert "grace" not in (await world.readable()).casefold()
    assert (await world.verify()).ok


async def test_it_takes_two_people(world: World) -> None:
    subject = await world.subjects.find("2001", world.brook.customer)
    proposal = await world.erasing.propose("tom", subject, "objection")
    with pytest.raises(NotPermittedError, match="two people"):
        await world.erasing.confirm("tom", proposal)
    with pytest.raises(ConflictError, match="proposed already"):
        await world.erasing.propose("uma", subject, "objection")
    assert "Grace Bell" in await world.readable()
    await world.two.withdraw("tom", proposal)
    with pytest.raises(StateError):
        await world.erasing.confirm("uma", proposal)
    assert "Grace Bell" in await world.readable()
    kinds = await world.brook.kinds()
    assert kinds[-2:] == ["proposal.made", "proposal.withdrawn"]


async def held(world: World, target: str) -> str:
    """A legal hold in force; its id."""
    async with world.brook.store.scope(world.brook.customer) as scope:
        hold = await world.two.make(scope, "tom", HOLD, target, "claim", {})
        row = await world.two.second(scope, hold, "uma", HOLD)
        await world.two.move(scope, row, ProposalState.ACTIVE)
    return hold


async def test_a_legal_hold_wins_and_says_so(world: World) -> None:
    b = world.brook
    subject = await world.subjects.find("2001", b.customer)
    proposal = await world.erasing.propose("tom", subject, "objection")
    hold = await held(world, subject.id)
    with pytest.raises(StateError, match=f"a legal hold keeps it: {hold}"):
        await world.erasing.confirm("uma", proposal)
    assert "Grace Bell" in await world.readable()
    assert (await world.erasing.plan(subject)).holds == (hold,)
    async with b.store.scope(b.customer) as scope:
        await world.two.move(scope, (await world.two.find(hold)), ProposalState.DONE)
    assert (await world.erasing.confirm("uma", proposal)).state == ProposalState.DONE


async def test_it_is_pending_while_a_backup_of_the_keys_could_bring_them_back(world: World) -> None:
    b = world.brook
    async with b.store.operator_log() as scope:
        data = {"digest": "d", "bytes": 1, "parts": ["keyring", "keys"], "to": []}
        await b.audit.append(scope.connection, Event("backup.made", OPERATOR_LOG, "t", data=data))
    made_ms = b.clock.at_ms
    b.clock.at_ms += 3_600_000
    done = await world.erase("2001", b.customer)
    assert (done.state, done.due_ms) == (ProposalState.PENDING, made_ms + KEY_BACKUPS_MS)
    assert "grace" not in (await world.readable()).casefold()  # here it is gone at once
    assert await world.erasing.settle() == 0
    b.clock.at_ms = made_ms + KEY_BACKUPS_MS + 1
    assert await world.erasing.settle() == 1
    assert (await world.two.find(done.id)).state == ProposalState.DONE
    assert (await b.kinds()).count("erasure.done") == 1
    assert (await world.verify()).ok


async def test_a_crash_between_the_log_and_the_keys_is_gone_on_from(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = await world.subjects.find("2001", world.brook.customer)
    proposal = await world.erasing.propose("tom", subject, "objection")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(world.brook.audit.keys), "destroy", killed)
        with pytest.raises(KeyboardInterrupt):
            await world.erasing.confirm("uma", proposal)
    assert "grace" not in (await world.readable()).casefold()
    assert (await world.verify()).ok
    assert await world.erasing.settle() == 1
    with pytest.raises(KeyDestroyed):
        world.brook.audit.keys.get(world.brook.customer, f"subject:{subject.id}")
    assert (await world.brook.kinds()).count("erased") == 1


async def test_keys_that_come_back_with_a_backup_are_destroyed_again(world: World, tmp_path: Path) -> None:
    kept = {path: path.read_bytes() for path in (tmp_path / "keyring").rglob("*") if path.is_file()}
    await world.erase("2001", world.brook.customer)
    for path, data in kept.items():
        path.write_bytes(data)
    assert await world.erasing.destroy_again() > 0
    assert await world.erasing.destroy_again() == 0
    with pytest.raises(KeyDestroyed):
        world.brook.audit.keys.get(world.brook.customer, f"subject:{world.subject(GRACE)}")


async def test_an_approver_goes_from_lists_consents_and_mail(world: World) -> None:
    b = world.brook
    async with b.store.scope(b.customer) as scope:
        await notify.queue(scope, ["KATE@customer.example"], "x", "s", "Dear Kate", b.clock.now())
        key = b.audit.keys.alias(b.customer, "address", "kate@customer.example")
        sent = Event("notice.sent", b.customer, "postman", data={"what": "x"},
                     personal=(Personal("address", "kate@customer.example", key),))  # fmt: skip
        await b.audit.append(scope.connection, sent)
    with pytest.raises(NotFoundError):
        await world.subjects.find("Kate Brook", None)
    await world.erase("Kate Brook", b.customer)
    told = (await world.readable()).casefold()
    assert "kate" not in told.replace("'by': 'kate'", "")  # another Kate confirmed the agreement, by that name alone
    assert "lee brook" in told
    assert sorted(row.name for row in await b.rows(approvers)) == ["(erased)", "Lee Brook"]
    assert all("kate" not in row.address.casefold() for row in await b.waiting())
    assert (await world.verify()).ok


async def test_what_somebody_signed_in_to_read_with_goes_with_them(world: World) -> None:
    b = world.brook
    kate = next(row.id for row in await b.rows(approvers) if row.name == "Kate Brook")
    async with b.store.scope(b.customer) as scope:
        for table in (oidc_accounts, reading_codes, code_links):
            values = planted_row(table, b.customer) | {"id": kate, "approver_id": kate, "contact_id": None}
            await scope.execute(insert(table).values({k: v for k, v in values.items() if k in table.c}))
    await world.erase("Kate Brook", b.customer)
    assert await b.rows(oidc_accounts) == await b.rows(reading_codes) == await b.rows(code_links) == []
    assert (await world.verify()).ok


async def test_where_somebody_was_reached_and_when_they_were_away_goes_with_them(world: World) -> None:
    b = world.brook
    kate = next(row.id for row in await b.rows(approvers) if row.name == "Kate Brook")
    there = Channels(b.store, b.audit, b.vault, Carrier(Ways(("json",))))
    await there.add("t", b.customer, kate, "Kate's hook", "json://hook.example/x")
    await Asking(b.store, b.audit).away("t", b.customer, kate, "2027-01-01", "2027-01-02")
    async with b.store.scope(b.customer) as scope:
        channel = (await there.of(b.customer))[0].id
        await put(scope, "", "x", "s", "line", b.clock.now(), channel_id=channel)
    await world.erase("Kate Brook", b.customer)
    assert await b.rows(channels) == await b.rows(absences) == []
    assert all(row.channel_id is None for row in await b.waiting())
    assert "hook" not in (await world.readable()).casefold()
    assert (await world.verify()).ok


async def test_an_engineer_is_kept_for_as_long_as_the_law_wants_to_know_who_came_in(world: World) -> None:
    b = world.brook
    opened_ms = b.clock.now()
    b.clock.at_ms += 1000
    done = await world.erase("ana", None)
    assert (done.state, done.due_ms) == (ProposalState.PENDING, floor_ms(opened_ms))
    assert "Ana Silva" in await world.readable()
    b.clock.at_ms = floor_ms(opened_ms) - 1
    assert await world.erasing.settle() == 0
    b.clock.at_ms += 1
    assert await world.erasing.settle() == 1
    assert "Ana Silva" not in await world.readable()
    async with b.store.look(OPERATOR_LOG) as scope:
        row = (await scope.execute(select(engineers))).one()
        said = select(entries.c.kind).where(entries.c.subject == b.engineer)
        kinds = list((await scope.execute(said.order_by(entries.c.seq))).scalars())
    assert (row.name, row.email, bool(row.enabled)) == ("(erased)", "", False)
    assert kinds == ["erasure.scheduled", "erased", "erasure.done"]
    assert (await world.verify()).ok


async def test_an_engineer_who_came_in_again_is_kept_for_as_long_after_that(world: World) -> None:
    b = world.brook
    opened_ms = b.clock.now()
    await world.erase("ana", None)
    b.clock.at_ms = again_ms = opened_ms + 40 * DAY
    await b.session(world.grant)
    b.clock.at_ms = floor_ms(opened_ms) + 1
    assert await world.erasing.settle() == 0
    assert "Ana Silva" in await world.readable()
    b.clock.at_ms = floor_ms(again_ms) + 1
    assert await world.erasing.settle() == 1


async def test_somebody_known_in_two_ways_is_named_by_id(world: World) -> None:
    b = world.brook
    contact = await b.directory.add_contact(
        "t", b.customer, {"name": "Kate Brook", "email": "kate@customer.example", "phone": "", "position": "",
                          "notices": "each"},
    )  # fmt: skip
    with pytest.raises(AmbiguousError) as raised:
        await world.subjects.find("kate@customer.example", b.customer)
    assert len(raised.value.matches) == 2
    await world.erase(contact, b.customer)
    assert [row.name for row in await b.rows(contacts)] == ["(erased)"]
    assert "Kate Brook" in [row.name for row in await b.rows(approvers)]


async def test_nobody_of_a_neighbours_is_found(world: World) -> None:
    other = await world.brook.directory.add_customer("t", "Northern")
    for given in ("2001", "Kate Brook", world.subject(GRACE)):
        with pytest.raises(NotFoundError):
            await world.subjects.find(given, other)
