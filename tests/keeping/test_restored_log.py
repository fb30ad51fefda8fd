"""An operator who wants an act forgotten restores yesterday's backup: it stays visible that something was lost."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from audit import checkpoint
from audit.events import OPERATOR_LOG, Event
from audit.inspect import Report, verify_database
from audit.restored import abandoned_name, accept
from audit.sequencer import LogBehind, object_name
from gateway.errors import StateError
from gateway.store.tables import approvers, customers, outbox
from gateway.wiring import backup
from gateway.wiring.keeping import accept_loss
from gateway.wiring.parts import parts
from gateway.wiring.restore import Restored, Wanted, restore
from tests.keeping.deployment import Deployment
from tests.support.postgres import Postgres

CUSTOMER = "cus_" + "1" * 24


async def act(opened: Any, times: int, log: str = CUSTOMER) -> None:
    for _ in range(times):
        async with opened.store.scope(log) as scope:
            await opened.audit.append(scope.connection, Event("heartbeat", log, "t", data={"sessions": 0}))
    await opened.sequence()


async def verified(opened: Any, *held: str) -> Report:
    async with opened.store.look_at_everyone() as scope:
        return await verify_database(
            scope.connection, opened.audit, opened.objects, opened.signer.vkey,
            opened.settings.deployment.name, held=held,
        )  # fmt: skip


class Yesterday:
    """3 entries, their backup, and 4 more after it, of which a customer holds the checkpoint."""

    def __init__(self, deployment: Deployment, owner: str | None) -> None:
        self.deployment, self.owner = deployment, owner
        self.file = deployment.folder.parent / "yesterday.age"
        self.mailed = ""

    async def make(self) -> None:
        async with parts(self.deployment.settings()) as opened:
            await act(opened, 3)
            await backup.write(
                opened, self.file, (self.deployment.recipient,), backup.PARTS, self.deployment.config.read_text()
            )
            await act(opened, 4)
            self.mailed = (opened.objects.get(object_name(CUSTOMER)) or b"").decode()

    def restored(self, name: str = "restored") -> Deployment:
        """Yesterday's backup; the object store is the one that lived on."""
        new = self.deployment.folder.parent / name
        restore(Wanted((self.file,), self.deployment.identity_file(), new, self.owner), Restored())
        shutil.rmtree(new / "data" / "objects")
        shutil.copytree(self.deployment.data / "objects", new / "data" / "objects")
        return Deployment(new, self.deployment.database)


@pytest.fixture
async def yesterday(deployment: Deployment, request: pytest.FixtureRequest) -> Yesterday:
    owner = None
    if deployment.database[0].startswith("postgresql"):
        server: Postgres = request.getfixturevalue("postgres")
        owner = server.create_database()[0]
    made = Yesterday(deployment, owner)
    await made.make()
    return made


async def test_it_does_not_go_on_and_says_what_is_lost(yesterday: Yesterday) -> None:
    restored = yesterday.restored()
    with pytest.raises(LogBehind) as caught:
        async with parts(restored.settings()):
            raise AssertionError("it was opened")
    assert f"log {CUSTOMER}: entries 3 to 6 (4 of 7 entries, written after 20" in str(caught.value)
    # As an operator meets it, from any command.
    done = await asyncio.to_thread(restored.run, "customer", "list")
    assert done.returncode == 1
    assert "entries 3 to 6" in done.stderr
    assert "accept-loss" in done.stderr
    # Asking what would be lost changes nothing, and it still does not go on.
    asked = await asyncio.to_thread(restored.run, "log", "accept-loss")
    assert asked.returncode == 1
    assert "Nothing was changed" in asked.stderr
    with pytest.raises(LogBehind):
        async with parts(restored.settings()):
            raise AssertionError("it was opened")


async def test_an_accepted_loss_is_in_the_log_for_good(yesterday: Yesterday) -> None:
    restored = yesterday.restored()
    async with parts(restored.settings(), behind=True) as opened, opened.store.scope(CUSTOMER) as scope:
        name = {"id": CUSTOMER, "name": "Brook", "region": "uk", "added_ms": 1}
        await scope.execute(insert(customers), name)
        kate = {"name": "Kate", "email": "kate@customer.example", "phone": "", "added_ms": 1}
        await scope.execute(insert(approvers), {"customer_id": CUSTOMER, "id": "apr_1", **kate})
    (told,) = await accept_loss(restored.settings(), "mallory", True)
    async with parts(restored.settings()) as opened, opened.store.look(CUSTOMER) as scope:
        (mail,) = (await scope.execute(select(outbox))).all()
    assert (mail.what, mail.address) == ("log lost", "kate@customer.example")
    assert "4 entries, those after the first" in mail.body
    assert (told["log"], told["entries"], told["lost"]) == (CUSTOMER, "3 to 6", 4)
    async with parts(restored.settings()) as opened:
        report = await verified(opened)
        assert report.ok, [str(f) for f in report.faults]
        (words,) = report.restored
        assert "4 entries lost, 3 to 6 of those that a signed checkpoint of 7 commits to" in words
        async with opened.store.look(CUSTOMER) as scope:
            (entry,) = await opened.audit.read(scope.connection, CUSTOMER, kinds=("log.restored",))
        held = checkpoint.parse(yesterday.mailed)
        assert (await opened.staff.names())[entry.body["actor"]] == "mallory"
        assert entry.body["data"] == {"size": 3, "lost": 4, "checkpoint_size": 7, "root": held.root.hex()}
        # The customer holds the mailed checkpoint: the log does not extend it, however long it grows.
        assert "tail was cut" in str((await verified(opened, yesterday.mailed)).faults[0])
        await act(opened, 9)
        assert "not those that the signed checkpoint commits to" in str(
            (await verified(opened, yesterday.mailed)).faults[0]
        )
        assert (await verified(opened)).ok
        # It is published over, and the old one is kept.
        assert checkpoint.parse((opened.objects.get(object_name(CUSTOMER)) or b"").decode()).size == 13
        assert (opened.objects.get(abandoned_name(CUSTOMER, held)) or b"").decode() == yesterday.mailed
    with pytest.raises(StateError, match="nothing is lost"):
        await accept_loss(restored.settings(), "mallory", True)


@pytest.mark.parametrize("how", ["the note is deleted", "the note is planted", "the log is not told", "all are gone"])
async def test_hiding_the_loss_is_found(yesterday: Yesterday, how: str) -> None:
    restored = yesterday.restored()
    objects = restored.data / "objects"
    kept = objects / abandoned_name(CUSTOMER, checkpoint.parse(yesterday.mailed))
    if how == "the log is not told":
        # The note is moved to where an accepted loss would leave it, so that it may be published over.
        kept.parent.mkdir(parents=True)
        shutil.copy(objects / object_name(CUSTOMER), kept)
        with pytest.raises(LogBehind):
            async with parts(restored.settings()):
                raise AssertionError("it was opened")
        return
    if how == "all are gone":
        # What nothing on this machine can show: the customer's own checkpoint does.
        (objects / object_name(CUSTOMER)).unlink()
        async with parts(restored.settings()) as opened:
            await act(opened, 9)
            assert (await verified(opened)).ok
            assert not (await verified(opened, yesterday.mailed)).ok
        return
    await accept_loss(restored.settings(), "mallory", True)
    if how == "the note is deleted":
        kept.unlink()
    else:
        other = objects / f"log/{CUSTOMER}/abandoned/9-{'0' * 16}"
        async with parts(restored.settings()) as opened:
            await act(opened, 5)
            other.write_bytes(opened.objects.get(object_name(CUSTOMER)) or b"")
    async with parts(restored.settings()) as opened:
        faults = [str(fault) for fault in (await verified(opened)).faults]
    assert any("that is gone" in f or "does not tell of it" in f for f in faults), faults


async def test_a_second_loss_tells_of_the_first_again(yesterday: Yesterday, request: pytest.FixtureRequest) -> None:
    first = yesterday.restored()
    await accept_loss(first.settings(), "mallory", True)
    async with parts(first.settings()) as opened:
        await act(opened, 9)
    if yesterday.owner is not None:
        yesterday.owner = request.getfixturevalue("postgres").create_database()[0]
    second = yesterday.restored("second")
    shutil.rmtree(second.data / "objects")
    shutil.copytree(first.data / "objects", second.data / "objects")
    await accept_loss(second.settings(), "mallory", True)
    async with parts(second.settings()) as opened:
        report = await verified(opened)
        assert report.ok, [str(f) for f in report.faults]
        theirs = [words for words in report.restored if CUSTOMER in words]
        assert sorted("checkpoint of 13" in words for words in theirs) == [False, True]


async def test_cut_short_at_any_step_it_is_done_again(yesterday: Yesterday) -> None:
    restored = yesterday.restored()
    async with parts(restored.settings(), behind=True) as opened:
        (loss,) = await opened.catch_up()
        # Killed after the note was kept, before the log told: the transaction is gone with it.
        async with opened.store.engine.connect() as connection:
            transaction = await connection.begin()
            if not opened.store.is_sqlite:
                await connection.execute(text("select set_config('frameroom.customer', '*', true)"))
            await accept(connection, opened.audit, opened.objects, loss, "mallory")
            await transaction.rollback()
    with pytest.raises(LogBehind):
        async with parts(restored.settings()):
            raise AssertionError("it was opened")
    async with parts(restored.settings(), behind=True) as opened:
        (loss,) = await opened.catch_up()
        # Killed before the new checkpoint was published.
        async with opened.store.scope(CUSTOMER) as scope:
            await accept(scope.connection, opened.audit, opened.objects, loss, "mallory")
    async with parts(restored.settings()) as opened:
        await opened.sequence()
        report = await verified(opened)
        assert report.ok, [str(f) for f in report.faults]
        assert len(report.restored) == 1


async def test_a_log_that_the_database_does_not_know_is_not_passed_over(deployment: Deployment, tmp_path: Path) -> None:
    """A customer who came after the backup: their whole log is lost, and that is said."""
    async with parts(deployment.settings()) as opened:
        await act(opened, 2, OPERATOR_LOG)
        file = tmp_path / "b.age"
        await backup.write(opened, file, (deployment.recipient,), backup.PARTS, deployment.config.read_text())
        await act(opened, 2)
    new = tmp_path / "new"
    restore(Wanted((file,), deployment.identity_file(), new, "sqlite"), Restored())
    shutil.rmtree(new / "data" / "objects")
    shutil.copytree(deployment.data / "objects", new / "data" / "objects")
    restored = Deployment(new, deployment.database)
    with pytest.raises(LogBehind, match=r"entries 0 to 1 \(2 of 2 entries\)"):
        async with parts(restored.settings()):
            raise AssertionError("it was opened")
    await accept_loss(restored.settings(), "t", True)
    async with parts(restored.settings()) as opened:
        report = await verified(opened)
        assert report.ok, [str(f) for f in report.faults]
        assert len(report.restored) == 1


async def test_entries_that_only_waited_for_their_place_are_no_loss(deployment: Deployment, tmp_path: Path) -> None:
    """The view of a backup may end between an entry and its index: the same entries get the same places again."""
    async with parts(deployment.settings()) as opened:
        await act(opened, 2)
        for _ in range(3):
            async with opened.store.scope(CUSTOMER) as scope:
                await opened.audit.append(scope.connection, Event("heartbeat", CUSTOMER, "t", data={"sessions": 0}))
        file = tmp_path / "b.age"
        await backup.write(opened, file, (deployment.recipient,), backup.PARTS, deployment.config.read_text())
        await opened.sequence()
        note = opened.objects.get(object_name(CUSTOMER)) or b""
    new = tmp_path / "new"
    restore(Wanted((file,), deployment.identity_file(), new, "sqlite"), Restored())
    (new / "data" / "objects" / object_name(CUSTOMER)).write_bytes(note)
    async with parts(Deployment(new, deployment.database).settings()) as opened:
        report = await verified(opened, note.decode())
        assert (report.ok, report.restored) == (True, []), [str(f) for f in report.faults]


async def test_another_log_is_a_contradiction_that_no_loss_explains(yesterday: Yesterday) -> None:
    restored = yesterday.restored()
    (restored.data / "objects" / object_name(CUSTOMER)).unlink()
    async with parts(restored.settings()) as opened:
        await act(opened, 9)
    (restored.data / "objects" / object_name(CUSTOMER)).write_text(yesterday.mailed)
    with pytest.raises(LogBehind, match="it is another log, not an older one"):
        await accept_loss(restored.settings(), "mallory", True)
