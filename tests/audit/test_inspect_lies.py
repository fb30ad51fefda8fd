"""What `audit verify` finds of somebody who has the signing key too, or leaves a log out of the database."""

from __future__ import annotations

from sqlalchemy import delete

from audit.publisher import object_name
from audit.tables import TABLES, entries, logs

from .conftest import CUSTOMER, NEIGHBOUR, House
from .reported import SESSION, Story
from .test_tamper_suite import sign_anew, swap_two_customers


async def found(house: House) -> str:
    return "\n".join(str(fault) for fault in (await house.verify()).faults)


async def told(house: House) -> Story:
    story = Story(house)
    await story.whole()
    return story


async def test_a_neighbours_entry_that_was_signed_into_a_log_is_found(house: House) -> None:
    await told(house)
    await Story(house, NEIGHBOUR).whole()
    await swap_two_customers(house)
    for log in (CUSTOMER, NEIGHBOUR):
        await sign_anew(house, log)
    said = await found(house)
    assert f"the entry belongs to log {NEIGHBOUR}" in said
    assert f"the entry belongs to log {CUSTOMER}" in said


async def test_a_recording_closed_with_other_segments_than_the_log_names_is_found(house: House) -> None:
    await told(house)
    async with house.engine.begin() as connection:
        one = (entries.c.log_id == CUSTOMER) & (entries.c.kind == "recording.segment")
        await connection.execute(delete(entries).where(one, entries.c.session_id == SESSION))
    await sign_anew(house)
    assert "the recording has 2 segments, the log names 0" in await found(house)


async def test_a_log_that_was_taken_out_of_the_database_whole_is_missed(house: House) -> None:
    await told(house)
    await Story(house, NEIGHBOUR).whole()
    async with house.engine.begin() as connection:
        for table in TABLES:
            await connection.execute(delete(table).where(table.c.log_id == NEIGHBOUR))
    assert await found(house) == f"log {NEIGHBOUR}: the object store has its checkpoint and the database no such log"
    assert (await house.verify(only=[CUSTOMER])).ok


async def test_a_published_checkpoint_that_does_not_hold_is_found(house: House) -> None:
    await told(house)
    note = (house.objects.get(object_name(CUSTOMER)) or b"").decode()
    size = note.split("\n")[1]
    house.objects.put(object_name(CUSTOMER), note.replace(f"\n{size}\n", f"\n{int(size) - 1}\n").encode())
    assert "a checkpoint outside the database does not hold" in await found(house)


async def test_a_tail_that_was_cut_with_the_log_s_size_is_found_by_the_checkpoints(house: House) -> None:
    await told(house)
    async with house.engine.begin() as connection:
        await connection.execute(delete(entries).where(entries.c.idx >= 10))
        await connection.execute(logs.update().values(size=10))
    assert "entries and 10 are left: the tail was cut" in await found(house)
