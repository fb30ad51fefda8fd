"""Each way of tampering, and which command finds it.

`audit verify` is the operator's: it finds what somebody did who has the database, or the object store, and not the
signing key. Somebody who has that too writes a new history and signs it; then every command of the operator's is
content, and `python -m audit.verify REPORT --since MAIL` on the customer's own machine is what finds it.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, insert, select, update

from audit.checkpoint import Signer
from audit.clock import LogClock
from audit.finding import COLUMNS, columns_of
from audit.log import parse_entry
from audit.merkle import leaf_hash
from audit.publisher import prefix
from audit.report import Reporter
from audit.sequencer import LogBehind, Sequencer
from audit.tables import checkpoints, entries, logs, payloads
from audit.verify import main as verify

from .conftest import CUSTOMER, DEPLOYMENT, NEIGHBOUR, House
from .reported import SESSION, Story

AUDIT_VERIFY: Final = "frameroom audit verify"
START: Final = "frameroom serve"
CUSTOMERS_CHECK: Final = "python -m audit.verify"

Tamper = Callable[[House], Awaitable[None]]


@pytest.fixture
async def story(house: House) -> Story:
    made = Story(house)
    await made.whole()
    await Story(house, NEIGHBOUR).whole()
    return made


# --- with the database ---


async def _alter(house: House, index: int, change: Callable[[bytes], bytes]) -> None:
    async with house.engine.begin() as connection:
        here = (entries.c.log_id == CUSTOMER) & (entries.c.idx == index)
        entry = change((await connection.execute(select(entries.c.entry).where(here))).scalar_one())
        # And what a search finds it by, so that nothing in the database contradicts it.
        body = parse_entry(entry)
        found_by = dict(zip(("kind", "time_ms", *COLUMNS), columns_of(body), strict=True)) if body else {}
        new = update(entries).where(here).values(entry=entry, leaf_hash=leaf_hash(entry), **found_by)
        await connection.execute(new)


async def flip(house: House) -> None:
    await _alter(house, 8, lambda entry: entry.replace(b'"alter"', b'"view_"'))


async def remove(house: House) -> None:
    async with house.engine.begin() as connection:
        await connection.execute(delete(entries).where(entries.c.log_id == CUSTOMER, entries.c.idx == 3))
        later = (entries.c.log_id == CUSTOMER) & (entries.c.idx > 3)
        rows = (
            await connection.execute(select(entries.c.seq, entries.c.idx).where(later).order_by(entries.c.idx))
        ).all()
        for row in rows:
            await connection.execute(update(entries).where(entries.c.seq == row.seq).values(idx=row.idx - 1))


async def put_in(house: House) -> None:
    async with house.engine.begin() as connection:
        heartbeat = (entries.c.log_id == CUSTOMER) & (entries.c.kind == "heartbeat")
        row: dict[str, Any] = (await connection.execute(select(entries).where(heartbeat).limit(1))).one()._asdict()
        top = (await connection.execute(select(logs.c.size).where(logs.c.log_id == CUSTOMER))).scalar_one()
        entry = row["entry"].replace(b'"id":"evt_', b'"id":"evt_f')
        await connection.execute(
            insert(entries),
            row | {"seq": None, "idx": top, "event_id": "evt_f", "entry": entry, "leaf_hash": leaf_hash(entry)},
        )
        await connection.execute(update(logs).where(logs.c.log_id == CUSTOMER).values(size=top + 1))


async def reorder(house: House) -> None:
    async with house.engine.begin() as connection:
        for old, new in ((3, 900), (9, 3), (900, 9)):
            here = (entries.c.log_id == CUSTOMER) & (entries.c.idx == old)
            await connection.execute(update(entries).where(here).values(idx=new))


async def cut_the_tail(house: House) -> None:
    async with house.engine.begin() as connection:
        await connection.execute(delete(entries).where(entries.c.log_id == CUSTOMER, entries.c.idx >= 15))


async def swap_two_customers(house: House) -> None:
    async with house.engine.begin() as connection:
        rows = {}
        for log in (CUSTOMER, NEIGHBOUR):
            here = (entries.c.log_id == log) & (entries.c.idx == 8)
            rows[log] = (await connection.execute(select(entries).where(here))).one()
        for log, other in ((CUSTOMER, NEIGHBOUR), (NEIGHBOUR, CUSTOMER)):
            values = {"entry": rows[other].entry, "leaf_hash": rows[other].leaf_hash}
            await connection.execute(update(entries).where(entries.c.seq == rows[log].seq).values(**values))


ALTERED: Final = (flip, remove, put_in, reorder, cut_the_tail, swap_two_customers)


@pytest.mark.parametrize("tamper", ALTERED, ids=lambda tamper: tamper.__name__)
async def test_with_the_database_alone_it_is_found_by_audit_verify(story: Story, tamper: Tamper) -> None:
    assert (await story.house.verify()).ok
    await tamper(story.house)
    found = await story.house.verify()
    assert not found.ok, f"{AUDIT_VERIFY} should have found it"
    assert CUSTOMER in {fault.log for fault in found.faults}


# --- with the database, the object store and the signing key ---


async def sign_anew(house: House, log: str = CUSTOMER) -> None:
    """Make a history of what the database holds now that is whole in itself: tiles, checkpoints, signatures."""
    shutil.rmtree(house.objects.folder / prefix(log))
    async with house.engine.begin() as connection:
        mine = entries.c.log_id == log
        rows = (await connection.execute(select(entries).where(mine).order_by(entries.c.idx))).all()
        await connection.execute(delete(entries).where(mine))
        for table in (checkpoints, logs):
            await connection.execute(delete(table).where(table.c.log_id == log))
        fresh = [row._asdict() | {"seq": None, "idx": None} for row in rows]
        await connection.execute(insert(entries), fresh)
    await house.sequence()


def customers_check(story: Story, report: str, mail: str, folder: Path) -> int:
    (folder / "report.txt").write_text(report, encoding="utf-8")
    (folder / "mail.txt").write_text(mail, encoding="utf-8")
    asked = [str(folder / "report.txt"), "--vkey", story.house.signer.vkey, "--since", str(folder / "mail.txt")]
    return verify(asked)


@pytest.mark.parametrize("tamper", [flip, remove, put_in, reorder, cut_the_tail], ids=lambda tamper: tamper.__name__)
async def test_signed_anew_it_is_found_by_the_customer_who_kept_a_checkpoint(
    story: Story, tamper: Tamper, tmp_path: Path
) -> None:
    mailed = story.note
    assert customers_check(story, (await story.report(mailed)).text(), mailed, tmp_path) == 0
    await tamper(story.house)
    await sign_anew(story.house)
    if tamper is put_in:
        # It stands at the end and alters nothing that was sent: what is sent next has it, and it is in the log now.
        assert customers_check(story, (await story.report(mailed)).text(), mailed, tmp_path) == 0
        return
    await story.add(*(story.event("heartbeat", {"sessions": 0}) for _ in range(5)))
    await story.house.sequence()
    report = await story.report(mailed)
    assert customers_check(story, report.text(), mailed, tmp_path) == 3, f"{CUSTOMERS_CHECK} --since should find it"


async def test_two_customers_entries_swapped_and_signed_anew_are_found_by_both_in_their_reports(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await swap_two_customers(story.house)
    for log in (CUSTOMER, NEIGHBOUR):
        await sign_anew(story.house, log)
        theirs = Story(story.house, log)
        assert customers_check(story, (await theirs.report()).text(), theirs.note, tmp_path) == 1, CUSTOMERS_CHECK
        assert "belongs to another log" in capsys.readouterr().err


async def test_a_database_set_back_is_found_at_the_start_and_with_its_object_store_by_the_customer(
    story: Story, tmp_path: Path
) -> None:
    house = story.house
    yesterday = tmp_path / "yesterday"
    shutil.copytree(house.objects.folder, yesterday)
    async with house.engine.begin() as connection:
        size = (await connection.execute(select(logs).where(logs.c.log_id == CUSTOMER))).one()
    await story.visited("ses_" + "a" * 24, "op_" + "a" * 24)
    await house.sequence()
    mailed = story.note
    async with house.engine.begin() as connection:  # yesterday's database
        await connection.execute(delete(entries).where(entries.c.log_id == CUSTOMER, entries.c.idx >= size.size))
        newer = (checkpoints.c.log_id == CUSTOMER) & (checkpoints.c.size > size.size)
        await connection.execute(delete(checkpoints).where(newer))
        back = update(logs).where(logs.c.log_id == CUSTOMER)
        await connection.execute(back.values(size=size.size, frontier=size.frontier))
    async with house.engine.begin() as connection:
        with pytest.raises(LogBehind):
            await Sequencer(house.signer, DEPLOYMENT, house.objects).check_not_behind(connection)
    shutil.rmtree(house.objects.folder)
    shutil.copytree(yesterday, house.objects.folder)  # and yesterday's object store: now nothing here can tell
    async with house.engine.begin() as connection:
        await Sequencer(house.signer, DEPLOYMENT, house.objects).check_not_behind(connection)
    assert customers_check(story, (await story.report(mailed)).text(), mailed, tmp_path) == 3


async def test_an_operation_beyond_its_signed_permission_is_found_by_the_customer(story: Story, tmp_path: Path) -> None:
    """Everything is hashed and signed as it should be: the gateway was told, in its database, of a wider permission."""
    await _alter(story.house, 8, lambda entry: entry.replace(b'"alter"', b'"reset-sip"'))
    await sign_anew(story.house)
    mailed = story.note
    assert customers_check(story, (await story.report(mailed)).text(), mailed, tmp_path) == 1
    report = await story.house.verify()
    assert [fault.what for fault in report.faults] == ["reset-sip was begun, and the permission does not name it"]


async def test_two_people_who_are_shown_two_histories_find_it_when_they_compare(story: Story, tmp_path: Path) -> None:
    """Both hold checkpoints of the same size; each history is whole in itself."""
    one = story.note
    await _alter(story.house, 11, lambda entry: entry.replace(b'"alter"', b'"view_"'))
    await sign_anew(story.house)
    other = story.note
    assert one.split("\n")[1] == other.split("\n")[1]
    report = (await story.report()).text()
    assert customers_check(story, report, other, tmp_path) == 0
    assert customers_check(story, report, one, tmp_path) == 3


# --- time ---


async def test_a_clock_set_back_moves_no_entry_back_and_a_log_whose_clock_was_cheated_is_found(
    story: Story, tmp_path: Path
) -> None:
    house = story.house
    house.wall[0] -= 3_600_000
    await story.visited("ses_" + "a" * 24, "op_" + "a" * 24)
    await house.sequence()
    assert (await house.verify()).ok, "time stood still"
    house.audit.clock = LogClock(lambda: house.wall[0])  # a program that forgets what time it was
    await story.visited("ses_" + "b" * 24, "op_" + "b" * 24)
    await house.sequence()
    assert "its time is before" in str((await house.verify()).faults[0]), AUDIT_VERIFY
    async with house.engine.connect() as connection:
        since = await Reporter(connection, house.audit, house.objects, story.note).since(0)
    assert customers_check(story, since.text(), story.note, tmp_path) == 1, CUSTOMERS_CHECK


# --- recordings ---


@pytest.mark.parametrize("how", ["replaced", "dropped", "swapped", "taken from another visit"])
async def test_a_recording_that_was_touched_is_found_by_both(story: Story, how: str, tmp_path: Path) -> None:
    house = story.house
    folder = house.objects.folder / "recordings" / CUSTOMER / SESSION
    first, second = folder / "0", folder / "1"
    if how == "replaced":
        first.write_bytes(first.read_bytes()[:-1] + b"x")
    elif how == "dropped":
        second.unlink()
    elif how == "swapped":
        first.rename(folder / "2")
        second.rename(first)
        (folder / "2").rename(second)
    else:
        shutil.copy(house.objects.folder / "recordings" / NEIGHBOUR / SESSION / "0", first)
    assert "segment" in str((await house.verify()).faults[0]), AUDIT_VERIFY
    assert customers_check(story, (await story.report()).text(), story.note, tmp_path) == 1, CUSTOMERS_CHECK


# --- keys ---


async def test_a_log_signed_by_a_key_of_the_attackers_own_is_found_by_both(story: Story, tmp_path: Path) -> None:
    house, real = story.house, story.house.signer
    house.signer = Signer(DEPLOYMENT, Ed25519PrivateKey.generate())
    house.sequencer = Sequencer(house.signer, DEPLOYMENT, house.objects)
    await sign_anew(house)
    report, mailed = (await story.report()).text(), story.note
    house.signer = real
    assert not (await house.verify()).ok, AUDIT_VERIFY
    with pytest.raises(LogBehind, match="does not hold"):
        async with house.engine.begin() as connection:
            await Sequencer(real, DEPLOYMENT, house.objects).check_not_behind(connection)
    assert customers_check(story, report, mailed, tmp_path) == 1


async def test_a_personal_field_sealed_anew_with_other_words_is_found(story: Story, tmp_path: Path) -> None:
    """The attacker has the keys of sealing too: the commitment in the entry is what binds."""
    house = story.house
    async with house.engine.begin() as connection:
        rows = (await connection.execute(select(payloads).where(payloads.c.log_id == CUSTOMER))).all()
        asked = [row for row in rows if row.key_id.startswith("request:")]
        victim, donor = asked[0], asked[-1]
        moved = update(payloads).where(payloads.c.event_id == victim.event_id, payloads.c.key_id == victim.key_id)
        await connection.execute(moved.values(sealed=donor.sealed))
    assert not (await house.verify()).ok, AUDIT_VERIFY
