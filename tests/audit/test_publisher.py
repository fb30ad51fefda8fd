"""Tiles before checkpoints, whatever is cut short: killed at any operation of the store, it resumes without a fork."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from audit import checkpoint
from audit.checkpoint import Checkpoint
from audit.events import Event
from audit.inspect import published_notes
from audit.merkle import leaf_hash
from audit.proofs import check_consistency, check_inclusion, consistency, inclusion
from audit.publisher import LogForked, fetcher, note_names, object_name, tile_of
from audit.sequencer import Sequencer
from audit.steps import Step, Steps
from audit.storage import LocalObjects, StorageError
from audit.tables import entries
from audit.tiles import TileReader, edge_names, tile_name

from .conftest import CUSTOMER, DEPLOYMENT, House

SYSTEM = "sys_" + "4" * 24


class Killed(Exception):
    """The process ends here."""


class Dying(LocalObjects):
    """The same folder, of a process that is killed at its n-th change: before it is done, or right after."""

    def __init__(self, folder: Path, at: int, *, after: bool) -> None:
        super().__init__(folder)
        self.left, self._after = at, after

    def _count(self, change: Callable[[], object]) -> object:
        self.left -= 1
        if self.left < 0 and not self._after:
            raise Killed
        result = change()
        if self.left < 0:
            raise Killed
        return result

    def put_new(self, name: str, data: bytes) -> bool:
        return bool(self._count(lambda: super(Dying, self).put_new(name, data)))

    def update(self, name: str, decide: Callable[[bytes | None], bytes | None]) -> bool:
        return bool(self._count(lambda: super(Dying, self).update(name, decide)))

    def remove(self, name: str) -> None:
        self._count(lambda: super(Dying, self).remove(name))


async def append(house: House, count: int) -> None:
    async with house.engine.begin() as connection:
        event = Event("system.removed", CUSTOMER, "t", system=SYSTEM)
        await house.audit.append_many(connection, [event] * count)


async def grow(house: House, count: int, sequencer: Sequencer | None = None) -> None:
    """Append, number, sign, publish."""
    await append(house, count)
    async with house.engine.begin() as connection:
        note = await house.sequencer.integrate(connection, CUSTOMER)
    assert note is not None
    async with house.engine.connect() as connection:
        await (sequencer or house.sequencer).publish(connection, CUSTOMER, note)


def published(house: House) -> Checkpoint:
    note = house.objects.get(object_name(CUSTOMER)) or b""
    return checkpoint.verify(note.decode(), house.signer.vkey, f"{DEPLOYMENT}/{CUSTOMER}")


def proven(house: House, held: Checkpoint) -> None:
    """What is published has its tiles, proves its entries, and extends what was held before."""
    now = published(house)
    reader = TileReader(now.size, fetcher(house.objects, CUSTOMER))
    for index in {0, now.size // 2, now.size - 1}:
        path = inclusion(reader.node, index, now.size)
        check_inclusion(leaf_hash(reader.entry(index)), index, now.size, path, now.root)
    check_consistency(held.size, held.root, now.size, now.root, consistency(reader.node, held.size, now.size))


async def restarted(house: House) -> None:
    async with house.engine.begin() as connection:
        await Sequencer(house.signer, DEPLOYMENT, house.objects).check_not_behind(connection)
    report = await house.verify()
    assert report.ok, [str(fault) for fault in report.faults]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_every_operation_of_the_store_it_goes_on_without_a_fork(house: House, after: bool) -> None:
    await grow(house, 250)
    for number in itertools.count():
        held = published(house)
        dying = Dying(house.objects.folder, number, after=after)
        try:
            await grow(house, 7, Sequencer(house.signer, DEPLOYMENT, dying))
        except Killed:
            proven(house, held)  # before anybody has restarted: a checkpoint never comes before its tiles
            await restarted(house)
            proven(house, held)
        else:
            break
    assert number >= 4, "tile, bundle, checkpoint and tidying were each cut short"
    assert published(house).size == 250 + 7 * (number + 1)


@pytest.mark.parametrize("step", [Step.TILED, Step.PUBLISHED])
async def test_killed_at_each_step_it_goes_on_without_a_fork(house: House, step: Step) -> None:
    class Killing(Steps):
        async def reached(self, here: Step) -> None:
            if here is step:
                raise Killed

    await grow(house, 300)
    held = published(house)
    with pytest.raises(Killed):
        await grow(house, 300, Sequencer(house.signer, DEPLOYMENT, house.objects, Killing()))
    proven(house, held)
    assert published(house).size == (300 if step is Step.TILED else 600)
    await restarted(house)
    proven(house, held)
    assert published(house).size == 600


async def test_whoever_holds_an_older_checkpoint_still_gets_its_partial_tiles(house: House) -> None:
    await grow(house, 5)
    held = published(house)
    old = {name: house.objects.get(f"log/{CUSTOMER}/{name}") for name in edge_names(5)}
    await grow(house, 300)
    assert house.objects.get(f"log/{CUSTOMER}/{tile_name(0, 0, 5)}") is None, "nothing is kept twice"
    assert tile_of(house.objects, CUSTOMER, 0, 0, 5) == old[tile_name(0, 0, 5)]
    assert tile_of(house.objects, CUSTOMER, None, 0, 5) == old[tile_name(None, 0, 5)]
    assert tile_of(house.objects, CUSTOMER, 0, 9, 5) is None
    proven(house, held)


async def test_two_nodes_publish_one_log(house: House) -> None:
    other = Sequencer(house.signer, DEPLOYMENT, LocalObjects(house.objects.folder))
    await append(house, 300)
    async with house.engine.begin() as connection:
        first = await house.sequencer.integrate(connection, CUSTOMER)
    await append(house, 300)
    async with house.engine.begin() as connection:
        second = await other.integrate(connection, CUSTOMER)
    assert first is not None
    assert second is not None
    async with house.engine.connect() as connection:
        await other.publish(connection, CUSTOMER, second)
        await house.sequencer.publish(connection, CUSTOMER, first)
    assert published(house).size == 600
    assert (await house.verify()).ok


async def test_two_nodes_that_take_turns_publish_one_log(house: House) -> None:
    other = Sequencer(house.signer, DEPLOYMENT, house.objects)
    for turn, sequencer in enumerate((house.sequencer, other, other, house.sequencer, house.sequencer, other)):
        await append(house, 100 + turn)
        async with house.engine.begin() as connection:
            note = await sequencer.integrate(connection, CUSTOMER)
        assert note is not None
        async with house.engine.connect() as connection:
            await sequencer.publish(connection, CUSTOMER, note)
    assert published(house).size == 615
    assert (await house.verify()).ok


async def test_after_a_store_that_failed_the_next_checkpoint_goes_on_from_what_is_there(house: House) -> None:
    await grow(house, 300)
    await append(house, 10)
    async with house.engine.begin() as connection:
        note = await house.sequencer.integrate(connection, CUSTOMER)
    assert note is not None
    folder = house.objects.folder / "log" / CUSTOMER
    folder.rename(folder.with_name("away"))
    folder.write_bytes(b"in the way")
    async with house.engine.connect() as connection:
        with pytest.raises(StorageError):
            await house.sequencer.publish(connection, CUSTOMER, note)
    folder.unlink()
    folder.with_name("away").rename(folder)
    await grow(house, 10)
    assert published(house).size == 320
    assert (await house.verify()).ok


async def test_a_tile_that_was_altered_or_taken_is_found_and_the_edge_is_made_again(house: House) -> None:
    await grow(house, 300)
    full, edge = (house.objects.folder / "log" / CUSTOMER / name for name in (tile_name(0, 0), tile_name(0, 1, 44)))
    kept = full.read_bytes()
    full.write_bytes(kept[:-1] + b"x")
    edge.unlink()
    faults = [str(fault) for fault in (await house.verify()).faults]
    assert any("tile/0/000 in the object store is not of this log" in fault for fault in faults)
    assert any("tile/0/001.p/44 in the object store is missing" in fault for fault in faults)
    async with house.engine.begin() as connection:
        with pytest.raises(LogForked, match="tile/0/000, which is published"):
            await house.sequencer.check_not_behind(connection)
    full.unlink()
    await restarted(house)
    assert full.read_bytes() == kept


async def test_an_entry_altered_after_it_was_signed_is_never_published(house: House) -> None:
    await grow(house, 10)
    held = published(house)
    await append(house, 10)
    async with house.engine.begin() as connection:
        note = await house.sequencer.integrate(connection, CUSTOMER)
        entry = (await connection.execute(select(entries.c.entry).where(entries.c.idx == 15))).scalar_one()
        await connection.execute(
            update(entries).where(entries.c.idx == 15).values(entry=entry.replace(b"sys_4", b"sys_5"))
        )
    assert note is not None
    async with house.engine.connect() as connection:
        with pytest.raises(LogForked, match="fork"):
            await house.sequencer.publish(connection, CUSTOMER, note)
    assert published(house) == held


async def test_a_store_that_says_no_is_asked_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await grow(house, 10)

    def full(name: str, data: bytes) -> bool:
        raise StorageError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(house.objects, "put_new", full)
        with pytest.raises(StorageError):
            await grow(house, 10)
    assert published(house).size == 10
    await grow(house, 1)
    assert published(house).size == 21
    assert (await house.verify()).ok


async def test_notes_are_found_without_walking_the_tiles(house: House) -> None:
    await grow(house, 600)
    listed: list[str] = []

    class Listening(LocalObjects):
        def list(self, prefix: str = "") -> Iterator[str]:
            listed.append(prefix)
            return super().list(prefix)

    assert list(note_names(Listening(house.objects.folder))) == [object_name(CUSTOMER)]
    assert set(published_notes(house.objects)) == {object_name(CUSTOMER)}
    assert listed == [f"log/{CUSTOMER}/abandoned"]
