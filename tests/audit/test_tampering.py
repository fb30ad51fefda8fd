"""The log: appended with what it tells of, numbered, signed; and every kind of tampering is found and named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update

from audit import checkpoint
from audit.events import KINDS, Event, EventError, Personal
from audit.log import Appended
from audit.merkle import Frontier, leaf_hash
from audit.publisher import LogForked
from audit.sealing import SealingError
from audit.sequencer import LogBehind, object_name
from audit.tables import checkpoints, entries, logs, payloads

from .conftest import CUSTOMER, NEIGHBOUR, House

SESSION, SYSTEM, GRANT = "ses_" + "3" * 24, "sys_" + "4" * 24, "grt_" + "5" * 24
ACTOR = "eng_" + "6" * 24


def an_event(kind: str, log: str = CUSTOMER, **more: object) -> Event:
    """An event of `kind` with the ids that every kind could need."""
    ids = {"system": SYSTEM, "session": SESSION, "grant": GRANT, "operation": "op_" + "7" * 24}
    ids |= {"request": "req_" + "8" * 24, "subject": "sub_" + "9" * 24}
    return Event(kind, log, ACTOR, **{**ids, **more})  # type: ignore[arg-type]


def a_visit(log: str = CUSTOMER, number: int = 3) -> list[Event]:
    """What a short visit leaves."""
    ids: dict[str, object] = {"session": f"ses_{number:024x}", "operation": f"op_{number:024x}"}
    seen = Personal("after", {"name": "Grace Bell", "email": "grace@customer.example"}, "subject:sub_" + "9" * 24)
    asked = {"request": f"req_{number:024x}"}
    asked_for = {"engineer": ACTOR, "operations": ["alter"], "until_ms": 4_000_000_000_000}
    return [
        an_event("request.submitted", log, **ids, **asked, data=asked_for),
        an_event("request.granted", log, **ids, **asked, data=permission()),
        an_event("session.opened", log, **ids, data={"factor": "totp"}),
        an_event("operation.intended", log, **ids, data={"name": "alter"}),
        an_event("operation.done", log, **ids, data={"name": "alter"}, personal=(seen,)),
        an_event("session.closed", log, **ids, data={"reason": "exit"}),
    ]


async def append(house: House, events: list[Event]) -> list[Appended]:
    async with house.engine.begin() as connection:
        return await house.audit.append_many(connection, events)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_wants_its_ids_and_refuses_what_it_does_not_carry(kind: str) -> None:
    an_event(kind, data=dict.fromkeys(KINDS[kind].data, 1))
    with pytest.raises(EventError, match="does not carry"):
        an_event(kind, data={"password": "x"})
    with pytest.raises(EventError, match="does not carry"):
        an_event(kind, personal=(Personal("password", "x", "session:ses_1"),))
    for needed in KINDS[kind].ids:
        with pytest.raises(EventError, match="needs"):
            an_event(kind, **{needed: None})


def test_a_kind_outside_the_closed_set_is_refused() -> None:
    with pytest.raises(EventError):
        an_event("session.forgotten")


async def test_no_act_without_its_event(house: House) -> None:
    """Invariant 2: what is rolled back leaves no event, and what is committed leaves exactly one."""
    async with house.engine.connect() as connection, connection.begin() as transaction:
        await house.audit.append(connection, an_event("session.opened"))
        await transaction.rollback()
    await append(house, [an_event("session.opened")])
    async with house.engine.connect() as connection:
        assert len(await house.audit.read(connection, CUSTOMER)) == 1


async def test_a_visit_is_numbered_signed_and_holds(house: House) -> None:
    await append(house, a_visit())
    await append(house, a_visit(NEIGHBOUR))
    await house.sequence()
    report = await house.verify()
    assert report.ok, report.faults
    assert (report.logs, report.entries) == (2, 12)
    held = (house.objects.get(object_name(CUSTOMER)) or b"").decode()
    assert checkpoint.verify(held, house.signer.vkey, f"frameroom.example/{CUSTOMER}").size == 6


async def test_personal_fields_are_nowhere_in_clear(house: House) -> None:
    await append(house, a_visit())
    await house.sequence()
    await house.engine.dispose()
    for path in house.folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"Grace" not in data, path
            assert "Grace".encode("utf-16-le") not in data, path


async def test_erased_yet_provable(house: House) -> None:
    """Invariant 11: after the key is gone nobody reads the person, and the log still verifies."""
    await append(house, a_visit())
    await house.sequence()
    async with house.engine.connect() as connection:
        row = (await house.audit.read(connection, CUSTOMER, kinds=["operation.done"]))[0]
        assert (await house.audit.personal(connection, row))["after"]["name"] == "Grace Bell"
        house.keys.destroy(CUSTOMER, "subject:sub_" + "9" * 24, 1_764_072_000_000)
        assert await house.audit.personal(connection, row) == {"after": "(erased on 2025-11-25)"}
    # A key that is gone without a word was taken; one that the log says was destroyed is an erasure.
    taken = await house.verify()
    assert [fault.index for fault in taken.faults] == [row.index]
    assert "no entry says that its key was destroyed" in str(taken.faults[0])
    said = Event("erased", CUSTOMER, "t", subject="sub_" + "9" * 24, data={"keys": ["subject:sub_" + "9" * 24]})
    await append(house, [said])
    await house.sequence()
    assert (await house.verify()).ok


async def test_a_payload_moved_to_another_event_does_not_open(house: House) -> None:
    await append(house, a_visit() + a_visit())
    async with house.engine.begin() as connection:
        first, second = (await connection.execute(select(payloads))).all()
        await connection.execute(
            update(payloads).where(payloads.c.event_id == first.event_id).values(sealed=second.sealed)
        )
    async with house.engine.connect() as connection:
        row = (await house.audit.read(connection, CUSTOMER, kinds=["operation.done"]))[0]
        with pytest.raises(SealingError):
            await house.audit.personal(connection, row)


async def test_time_never_runs_back_though_the_clock_does(house: House) -> None:
    first = (await append(house, a_visit()))[0].time_ms
    house.wall[0] -= 3_600_000
    later = (await append(house, a_visit(number=5)))[0].time_ms
    await house.sequence()
    assert later >= first
    assert (await house.verify()).ok


async def test_reading_pages_by_cursor_and_never_crosses_logs(house: House) -> None:
    for _ in range(5):
        await append(house, a_visit())
        await append(house, a_visit(NEIGHBOUR))
    seen, cursor = [], 0
    async with house.engine.connect() as connection:
        while rows := await house.audit.read(connection, CUSTOMER, after_seq=cursor, limit=3):
            seen += rows
            cursor = rows[-1].seq
    assert len(seen) == 30
    assert {row.body["log"] for row in seen} == {CUSTOMER}


async def test_an_entry_too_large_for_a_tile_is_refused_before_anything_is_written(house: House) -> None:
    with pytest.raises(EventError, match="65535"):
        await append(house, [an_event("request.submitted", data={"operations": ["x" * 1000] * 80})])
    async with house.engine.connect() as connection:
        assert await house.audit.read(connection, CUSTOMER) == []


# -- tampering: each is what somebody with the whole database in their hands would try --


async def _flip_a_byte(house: House) -> None:
    async with house.engine.begin() as connection:
        row = (await connection.execute(select(entries).where(entries.c.idx == 4))).one()
        changed = bytearray(row.entry)
        changed[40] ^= 1
        await connection.execute(update(entries).where(entries.c.seq == row.seq).values(entry=bytes(changed)))


async def _garbage(house: House) -> None:
    async with house.engine.begin() as connection:
        await connection.execute(update(entries).where(entries.c.idx == 4).values(entry=b"\xff not json"))


async def _rewrite_with_its_hash(house: House) -> None:
    async with house.engine.begin() as connection:
        row = (await connection.execute(select(entries).where(entries.c.idx == 4))).one()
        false = row.entry.replace(b"alter", b"views")
        await connection.execute(
            # And what a search finds it by, so that nothing here contradicts it.
            update(entries)
            .where(entries.c.seq == row.seq)
            .values(entry=false, leaf_hash=leaf_hash(false), operation_name="views")
        )


async def _rewrite_and_drop_the_checkpoints(house: House) -> None:
    await _rewrite_with_its_hash(house)
    async with house.engine.begin() as connection:
        await connection.execute(delete(checkpoints))


async def _delete_one(house: House) -> None:
    async with house.engine.begin() as connection:
        await connection.execute(delete(entries).where(entries.c.idx == 4))


async def _swap_two(house: House) -> None:
    async with house.engine.begin() as connection:
        for old, new in ((3, 91), (4, 3), (91, 4)):
            await connection.execute(update(entries).where(entries.c.idx == old).values(idx=new))


async def _insert_one(house: House) -> None:
    async with house.engine.begin() as connection:
        row = (await connection.execute(select(entries).where(entries.c.idx == 4))).one()._asdict()
        row |= {"seq": None, "idx": 6, "event_id": "evt_false"}
        await connection.execute(insert(entries), row)


async def _cut_the_tail(house: House, size: int = 4) -> None:
    async with house.engine.begin() as connection:
        await connection.execute(delete(entries).where(entries.c.idx >= size))
        left = select(entries.c.leaf_hash).where(entries.c.log_id == CUSTOMER).order_by(entries.c.idx)
        frontier = Frontier()
        for leaf in (await connection.execute(left)).scalars():
            frontier.append(leaf)
        await connection.execute(update(logs).values(size=size, frontier=frontier.to_bytes()))


async def _cut_the_tail_and_its_checkpoints(house: House) -> None:
    await _cut_the_tail(house)
    async with house.engine.begin() as connection:
        await connection.execute(delete(checkpoints))


async def _take_the_payload_away(house: House) -> None:
    async with house.engine.begin() as connection:
        await connection.execute(delete(payloads))


async def _alter_the_payload(house: House) -> None:
    async with house.engine.begin() as connection:
        await connection.execute(text("update payloads set sealed = zeroblob(80)"))


async def _false_checkpoint(house: House) -> None:
    async with house.engine.begin() as connection:
        note = (await connection.execute(select(checkpoints.c.note))).scalars().first()
        assert note is not None
        await connection.execute(update(checkpoints).values(note=note.replace("\n6\n", "\n7\n")))


async def _take_the_published_one_away(house: House) -> None:
    (house.objects.folder / object_name(CUSTOMER)).unlink()


@pytest.mark.parametrize(
    ("tamper", "place"),
    [
        (_flip_a_byte, 4),
        (_garbage, 4),
        (_rewrite_with_its_hash, 5),
        (_rewrite_and_drop_the_checkpoints, None),
        (_delete_one, 4),
        (_swap_two, 5),
        (_insert_one, None),
        (_cut_the_tail, None),
        (_cut_the_tail_and_its_checkpoints, None),
        (_take_the_payload_away, 4),
        (_alter_the_payload, 4),
        (_false_checkpoint, 5),
        (_take_the_published_one_away, None),
    ],
)
async def test_tampering_is_found_and_named(
    house: House, tamper: Callable[[House], Awaitable[None]], place: int | None
) -> None:
    await append(house, a_visit())
    await house.sequence()
    assert (await house.verify()).ok
    await tamper(house)
    report = await house.verify()
    assert not report.ok
    assert report.faults[0].log == CUSTOMER
    assert report.faults[0].index == place, report.faults


@pytest.mark.parametrize(
    "missing", ["session.closed", "operation.done"], ids=["a session never ended", "an operation without outcome"]
)
async def test_broken_promises_are_found(house: House, missing: str) -> None:
    await append(house, [event for event in a_visit() if event.kind != missing])
    await house.sequence()
    assert "0 outcomes" in str((await house.verify()).faults[0])


async def test_two_outcomes_are_found(house: House) -> None:
    await append(house, [*a_visit(), an_event("session.failed", session=f"ses_{3:024x}", data={"reason": "x"})])
    await house.sequence()
    assert "2 outcomes" in str((await house.verify()).faults[0])


def permission(**more: object) -> dict[str, object]:
    return {"how": "by telephone", "until_ms": 4_000_000_000_000, "operations": ["alter"]} | more


@pytest.mark.parametrize(
    ("kind", "changed", "words"),
    [
        ("request.granted", None, "a permission that the log does not hold"),
        ("request.submitted", None, "nobody had asked for"),
        ("request.granted", {"data": permission(operations=["alter", "reset-sip"])}, "was not asked for"),
        ("request.granted", {"data": permission(operations=["view"])}, "view, which was not asked for"),
        ("request.granted", {"data": permission(until_ms=4_000_000_000_001)}, "longer than was asked for"),
        ("request.granted", {"data": permission(until_ms=1)}, "after the permission had ended"),
        ("request.granted", {"grant": "grt_" + "0" * 24}, "a permission that the log does not hold"),
        ("operation.intended", {"data": {"name": "reset-sip"}}, "the permission does not name it"),
        ("operation.intended", {"system": "sys_" + "0" * 24}, "another phone system"),
        ("operation.intended", {"actor": "eng_" + "0" * 24}, "to whom the permission was not given"),
    ],
)
async def test_an_operation_that_no_permission_in_the_log_covers_is_found(
    house: House, kind: str, changed: dict[str, Any] | None, words: str
) -> None:
    """As when somebody widened a permission, or made one up, in the database that the gateway asks."""
    events = [event if event.kind != kind else changed and replace(event, **changed) for event in a_visit()]
    await append(house, [event for event in events if event])
    await house.sequence()
    assert words in str((await house.verify()).faults[0])


@pytest.mark.parametrize("end", ["grant.revoked", "grant.expired"])
async def test_an_operation_after_its_permission_was_ended_is_found(house: House, end: str) -> None:
    visit = a_visit()
    await append(house, [*visit[:3], an_event(end), *visit[3:]])
    await house.sequence()
    assert "after the permission had ended" in str((await house.verify()).faults[0])


async def test_a_checkpoint_that_a_customer_kept_is_extended_or_the_fork_is_found(house: House) -> None:
    await append(house, a_visit())
    await house.sequence()
    kept = (house.objects.get(object_name(CUSTOMER)) or b"").decode()
    await append(house, a_visit(number=5))
    await house.sequence()
    assert (await house.verify(held=[kept])).ok
    forked = house.signer.sign(checkpoint.Checkpoint(f"frameroom.example/{CUSTOMER}", 6, bytes(32)))
    assert "not those" in str((await house.verify(held=[forked])).faults[0])


# -- the sequencer --


@pytest.mark.parametrize("cut", [_cut_the_tail, _cut_the_tail_and_its_checkpoints])
async def test_a_database_behind_its_published_checkpoint_may_not_go_on(
    house: House, cut: Callable[[House], Awaitable[None]]
) -> None:
    await append(house, a_visit())
    await house.sequence()
    await cut(house)
    async with house.engine.connect() as connection:
        with pytest.raises(LogBehind, match="6 entries"):
            await house.sequencer.check_not_behind(connection)


async def test_a_size_that_was_set_without_its_hashes_stops_the_log_in_words(house: House) -> None:
    await append(house, a_visit())
    await house.sequence()
    async with house.engine.begin() as connection:
        await connection.execute(update(logs).values(size=7))
        await connection.execute(delete(checkpoints))
    await append(house, a_visit(number=5))
    with pytest.raises(LogForked, match="7 entries"):
        await house.sequence()
    async with house.engine.connect() as connection:
        with pytest.raises(LogBehind, match="Put back the database"):
            await house.sequencer.check_not_behind(connection)


async def test_a_false_published_checkpoint_stops_the_start_and_says_what_to_do(house: House) -> None:
    await append(house, a_visit())
    await house.sequence()
    house.objects.put(object_name(CUSTOMER), b"\xffnonsense")
    async with house.engine.connect() as connection:
        with pytest.raises(LogBehind, match="Put back"):
            await house.sequencer.check_not_behind(connection)


async def test_a_crash_between_commit_and_publishing_is_made_good_at_the_next_start(house: House) -> None:
    await append(house, a_visit())
    async with house.engine.begin() as connection:
        assert await house.sequencer.integrate(connection, CUSTOMER) is not None
    assert house.objects.get(object_name(CUSTOMER)) is None
    async with house.engine.connect() as connection:
        await house.sequencer.check_not_behind(connection)
    assert house.objects.get(object_name(CUSTOMER)) is not None


async def test_a_published_checkpoint_never_goes_back(house: House) -> None:
    notes = []
    for _ in range(2):
        await append(house, a_visit())
        async with house.engine.begin() as connection:
            notes.append(await house.sequencer.integrate(connection, CUSTOMER) or "")
    async with house.engine.connect() as connection:
        await house.sequencer.publish(connection, CUSTOMER, notes[1])
        await house.sequencer.publish(connection, CUSTOMER, notes[0])
    assert (house.objects.get(object_name(CUSTOMER)) or b"").decode() == notes[1]
