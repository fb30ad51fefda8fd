"""The log: what is appended verifies, and each tampering is found where it was done."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, event, select, text, update

from audit import checkpoint
from audit.checkpoint import Checkpoint, NoteError, Signer
from audit.clock import LogClock
from audit.events import KINDS, Event, EventError, Personal
from audit.inspect import Report, verify_database
from audit.log import AuditLog
from audit.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash
from audit.sealing import FileKeyStore, FileMasterKey
from audit.sequencer import LogBehind, Sequencer
from audit.storage import LocalObjects
from audit.tables import checkpoints, entries, logs, payloads
from gateway.store.engine import Store

LOG, DEPLOYMENT = "cus_a", "test.example"


@dataclass
class Bench:
    store: Store
    audit: AuditLog
    objects: LocalObjects
    signer: Signer
    sequencer: Sequencer

    async def append(self, *events: Event) -> None:
        async with self.store.scope(LOG) as scope:
            await self.audit.append_many(scope.connection, events)

    async def sequence(self) -> None:
        async with self.store.scope(LOG) as scope:
            note = await self.sequencer.integrate(scope.connection, LOG)
        if note:
            async with self.store.look(LOG) as scope:
                await self.sequencer.publish(scope.connection, LOG, note)

    async def verify(self) -> Report:
        async with self.store.scope(LOG) as scope:
            return await verify_database(scope.connection, self.audit, self.objects, self.signer.vkey, DEPLOYMENT)

    async def execute(self, statement) -> None:
        async with self.store.scope(LOG) as scope:
            await scope.execute(statement)


def added(number: int) -> Event:
    key = f"subject:con_{number}"
    personal = tuple(Personal(f, f"{f}-{number}", key) for f in ("name", "email"))
    return Event("contact.added", LOG, "staff", data={"contact": f"con_{number}", "notices": "each"}, personal=personal)


@pytest.fixture
async def bench(store: Store, tmp_path: Path) -> Bench:
    keys = FileKeyStore(tmp_path / "keyring", FileMasterKey.create(tmp_path / "master.key"))
    audit, objects = AuditLog(keys, LogClock()), LocalObjects(tmp_path / "objects")
    signer = Signer(DEPLOYMENT, Ed25519PrivateKey.generate())
    made = Bench(store, audit, objects, signer, Sequencer(signer, DEPLOYMENT, objects))
    for start in (0, 7):
        await made.append(*(added(n) for n in range(start, start + 7)))
        await made.sequence()
    return made


async def test_what_was_appended_verifies(bench: Bench) -> None:
    report = await bench.verify()
    assert (report.ok, report.entries, report.checkpoints) == (True, 14, 2)


async def test_an_id_begins_with_its_time_and_no_two_are_alike(bench: Bench) -> None:
    async with bench.store.look(LOG) as scope:
        rows = await bench.audit.read(scope.connection, LOG)
    ids = [row.body["id"] for row in rows]
    assert len(set(ids)) == 14
    assert all(re.fullmatch("evt_[0-9a-f]{24}", one) for one in ids)
    assert [int(one[4:15], 16) for one in ids] == [row.body["time"] for row in rows]


async def test_an_entry_holds_no_personal_field(bench: Bench) -> None:
    async with bench.store.scope(LOG) as scope:
        raw = b"".join((await scope.execute(select(entries.c.entry))).scalars())
        sealed = b"".join((await scope.execute(select(payloads.c.sealed))).scalars())
    assert b"email-3" not in raw + sealed
    assert b"con_3" in raw


async def test_personal_fields_open_until_their_key_is_destroyed(bench: Bench) -> None:
    async with bench.store.scope(LOG) as scope:
        rows = await bench.audit.read(scope.connection, LOG)
        assert await bench.audit.personal(scope.connection, rows[3]) == {"name": "name-3", "email": "email-3"}
        bench.audit.keys.destroy(LOG, "subject:con_3", 1_764_072_000_000)
        gone = "(erased on 2025-11-25)"
        assert await bench.audit.personal(scope.connection, rows[3]) == {"name": gone, "email": gone}


async def test_what_is_sealed_of_many_entries_is_found_without_reading_all_there_is(bench: Bench) -> None:
    asked: list[tuple[str, Any]] = []

    def heard(_c: Any, _u: Any, sql: str, values: Any, *_: Any) -> None:
        asked.append((sql, values))

    async with bench.store.look(LOG) as scope:
        rows = await bench.audit.read(scope.connection, LOG)
        listened = bench.store.engine.sync_engine
        event.listen(listened, "before_cursor_execute", heard)
        try:
            clear = await bench.audit.personal_of_many(scope.connection, rows)
        finally:
            event.remove(listened, "before_cursor_execute", heard)
        assert [fields and fields["name"] for fields in clear] == [f"name-{n}" for n in range(14)]
        if bench.store.is_sqlite:  # PostgreSQL reads a table of this size whole, and is right to
            ((sql, values),) = asked
            plan = await scope.connection.exec_driver_sql(f"explain query plan {sql}", values)
            steps = [str(row.detail) for row in plan]
            assert any(step.startswith("SEARCH payloads") for step in steps), steps


TAMPERINGS = {
    "flip": (
        update(entries).where(entries.c.idx == 3).values(entry=b'{"data":{},"kind":"x","log":"cus_a","time":1}'),
        3,
    ),
    "delete": (delete(entries).where(entries.c.idx == 5), 5),
    "cut the tail": (delete(entries).where(entries.c.idx >= 10), None),
    "swap hash too": (update(entries).where(entries.c.idx == 3).values(leaf_hash=b"0" * 32), 3),
    "forge a checkpoint": (update(checkpoints).where(checkpoints.c.size == 7).values(note="x\n7\ny\n\n— a b\n"), 6),
    "another log's entry": (update(entries).where(entries.c.idx == 2).values(idx=99), 2),
}


@pytest.mark.parametrize("name", TAMPERINGS)
async def test_each_tampering_is_found_at_its_place(bench: Bench, name: str) -> None:
    statement, index = TAMPERINGS[name]
    await bench.execute(statement)
    report = await bench.verify()
    assert not report.ok
    assert report.faults[0].index == index


async def test_a_whole_history_rewritten_with_its_hashes_fails_at_the_signature(bench: Bench) -> None:
    forged = b'{"actor":"staff","data":{},"id":"e","kind":"x","log":"cus_a","time":1,"v":1}'
    await bench.execute(update(entries).where(entries.c.idx == 0).values(entry=forged, leaf_hash=leaf_hash(forged)))
    faults = [str(f) for f in (await bench.verify()).faults]
    assert any("signed checkpoint commits to" in fault for fault in faults)


async def test_a_payload_put_beside_another_entry_is_found(bench: Bench) -> None:
    async with bench.store.scope(LOG) as scope:
        rows = (await scope.execute(select(payloads).order_by(payloads.c.key_id).limit(2))).all()
        await scope.execute(
            update(payloads).where(payloads.c.event_id == rows[0].event_id).values(sealed=rows[1].sealed)
        )
    assert any("cannot be checked" in fault.what for fault in (await bench.verify()).faults)


async def test_a_database_rolled_back_may_not_go_on(bench: Bench) -> None:
    await bench.execute(delete(entries).where(entries.c.idx >= 7))
    await bench.execute(delete(checkpoints).where(checkpoints.c.size > 7))
    await bench.execute(update(logs).values(size=7))
    with pytest.raises(LogBehind, match="fork"):
        async with bench.store.scope(LOG) as scope:
            await bench.sequencer.check_not_behind(scope.connection)


async def test_a_broken_promise_is_named(bench: Bench) -> None:
    await bench.append(Event("session.opened", LOG, "eng_1", system="sys_1", session="ses_1", grant="gra_1"))
    await bench.sequence()
    report = await bench.verify()
    assert [f.what for f in report.faults] == ["session.opened of session ses_1 has 0 outcomes instead of one"]


async def test_an_append_that_is_rolled_back_leaves_nothing(bench: Bench) -> None:

    async def fails() -> None:
        async with bench.store.scope(LOG) as scope:
            await bench.audit.append(scope.connection, added(99))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    await bench.sequence()
    assert (await bench.verify()).entries == 14


def test_events_outside_the_closed_set_are_refused() -> None:
    with pytest.raises(EventError):
        Event("password.shown", LOG, "x")
    with pytest.raises(EventError):
        Event("session.opened", LOG, "x")
    with pytest.raises(EventError):
        Event("log.started", LOG, "x", data={"password": "hunter2"})
    assert all("password" not in kind.data | kind.personal for kind in KINDS.values())


def test_time_never_runs_back() -> None:
    wall = [1000]
    clock = LogClock(lambda: wall[0])
    assert clock.now() == 1000
    clock.observe(5000)
    wall[0] = 900
    assert (clock.now(), clock.behind_ms()) == (5000, 4100)


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_the_frontier_is_the_tree_of_rfc_6962(leaves: list[bytes]) -> None:
    def root(hashes: list[bytes]) -> bytes:
        if len(hashes) <= 1:
            return hashes[0] if hashes else EMPTY_ROOT
        split = 1 << ((len(hashes) - 1).bit_length() - 1)
        return node_hash(root(hashes[:split]), root(hashes[split:]))

    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf_hash(leaf))
        frontier = Frontier.from_bytes(frontier.size, frontier.to_bytes())
    assert frontier.root() == root([leaf_hash(leaf) for leaf in leaves])


@given(st.text(max_size=200))
def test_no_text_makes_the_note_parser_fail_otherwise_than_by_its_own_error(note: str) -> None:
    try:
        checkpoint.parse(note)
    except NoteError as error:
        assert str(error)


@pytest.mark.parametrize("size", ["01", "-1", "+1", " 1", "1e3", "٣", ""])
def test_numbers_that_are_not_canonical_are_refused(size: str) -> None:
    note = Signer("a", Ed25519PrivateKey.generate()).sign(Checkpoint("o", 1, bytes(32)))
    with pytest.raises(NoteError):
        checkpoint.parse(note.replace("\n1\n", f"\n{size}\n", 1))


def test_a_note_of_another_key_or_origin_is_refused() -> None:
    signer, other = (Signer("a", Ed25519PrivateKey.generate()) for _ in range(2))
    note = signer.sign(Checkpoint("o", 1, bytes(32)))
    assert checkpoint.verify(note, signer.vkey, "o").size == 1
    with pytest.raises(NoteError):
        checkpoint.verify(note, other.vkey, "o")
    with pytest.raises(NoteError):
        checkpoint.verify(note, signer.vkey, "p")
    with pytest.raises(NoteError):
        checkpoint.verify(note.replace("\n1\n", "\n2\n", 1), signer.vkey, "o")


async def test_the_log_cannot_be_read_for_a_neighbour(bench: Bench) -> None:
    if bench.store.is_sqlite:
        pytest.skip("row-level security is PostgreSQL's")
    async with bench.store.scope("cus_b") as scope:
        assert (await scope.execute(text("select count(*) from entries"))).scalar() == 0
        assert (await scope.execute(text("select count(*) from payloads"))).scalar() == 0
