"""One writer at a time per phone system: in one process, and between two on one database."""

from __future__ import annotations

import asyncio

import pytest

from connectors.contract import OUTSIDE, Operation
from gateway.errors import ConflictError
from gateway.model import PhoneSystem
from gateway.session.writers import WRITES, Writers
from gateway.store.engine import Store


def pbx(system: str) -> PhoneSystem:
    """A phone system of one customer."""
    return PhoneSystem("cus_1", system, "PBX", "lab", "h", 22, "pin", "{}", b"", None, "", "", False)


class Holder:
    """Writes until it is told to stop."""

    def __init__(self, writers: Writers, system: str, order: list[str], name: str) -> None:
        self.begun, self.end = asyncio.Event(), asyncio.Event()
        self._writers, self._system, self._order, self._name = writers, system, order, name

    async def run(self) -> None:
        """Hold it."""
        async with self._writers.alone(pbx(self._system), Operation.ALTER):
            self._order.append(f"{self._name} in")
            self.begun.set()
            await self.end.wait()
            self._order.append(f"{self._name} out")


async def test_the_second_waits_for_the_first_and_another_system_for_neither(store: Store) -> None:
    writers, order = Writers(store), list[str]()
    first, second = (Holder(writers, "sys_1", order, name) for name in ("first", "second"))
    async with asyncio.TaskGroup() as group:
        group.create_task(first.run())
        await first.begun.wait()
        group.create_task(second.run())
        async with writers.alone(pbx("sys_2"), Operation.REMOVE):
            order.append("another system")
        async with writers.alone(pbx("sys_1"), Operation.VIEW):
            order.append("a look")
        first.end.set()
        await second.begun.wait()
        second.end.set()
    assert order == ["first in", "another system", "a look", "first out", "second in", "second out"]
    assert writers._here == {}


async def test_who_waits_too_long_is_told_and_nothing_is_done(store: Store) -> None:
    writers, order = Writers(store, wait_s=0.05), list[str]()
    first = Holder(writers, "sys_1", order, "first")
    async with asyncio.TaskGroup() as group:
        group.create_task(first.run())
        await first.begun.wait()
        with pytest.raises(ConflictError, match="nothing was done"):
            await Holder(writers, "sys_1", order, "second").run()
        first.end.set()
    assert order == ["first in", "first out"]


async def test_two_processes_never_write_on_one_phone_system_at_once(store: Store) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite has one process")
    other = Store(store.url)
    here, there, order = Writers(store), Writers(other, wait_s=0.05), list[str]()
    first = Holder(here, "sys_1", order, "here")
    async with asyncio.TaskGroup() as group:
        group.create_task(first.run())
        await first.begun.wait()
        with pytest.raises(ConflictError):
            await Holder(there, "sys_1", order, "there").run()
        first.end.set()
    second = Holder(there, "sys_1", order, "there")
    second.end.set()
    await second.run()
    assert order == ["here in", "here out", "there in", "there out"]
    await other.close()


async def test_an_error_or_a_timeout_of_the_work_itself_passes_through_and_lets_go(store: Store) -> None:
    writers = Writers(store, wait_s=1)
    for error in (TimeoutError("the phone system's"), ValueError("ours")):
        with pytest.raises(type(error), match=str(error)):
            async with writers.alone(pbx("sys_1"), Operation.ALTER):
                raise error
    async with writers.alone(pbx("sys_1"), Operation.ALTER):
        assert list(writers._here) == [("cus_1", "sys_1")]


def test_every_operation_is_known_to_look_or_to_write() -> None:
    looks = {Operation.FIND, Operation.LIST_ALL, Operation.VIEW, Operation.DIAG, Operation.CONSOLE_LOOK}
    assert looks | WRITES == set(Operation) - OUTSIDE
    assert not looks & WRITES
