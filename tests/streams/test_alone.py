"""One process of a deployment does a duty, another takes over when it is gone, and no stumbling ends anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import UnavailableError
from gateway.store import schema
from gateway.store.engine import Store
from gateway.wiring.alone import alone
from tests.support.postgres import Postgres


class Work:
    """Counts what it was asked for."""

    def __init__(self, raises: tuple[Exception, ...] = ()) -> None:
        self.begun = self.steps = 0
        self._raises = list(raises)
        self._more = asyncio.Event()

    def begin(self) -> None:
        self.begun += 1

    async def step(self) -> float:
        self.steps += 1
        self._more.set()
        if self._raises:
            raise self._raises.pop(0)
        return 0.01

    async def until(self, fine: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not fine():
                self._more.clear()
                await self._more.wait()


async def ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_works_and_the_other_takes_over(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.wiring.alone._AGAIN_S", 0.05)
    owner, app = postgres.create_database()
    await asyncio.to_thread(schema.upgrade, owner)
    stores = Store(app), Store(app)
    first, second, other = Work(), Work(), Work()
    async with asyncio.TaskGroup() as group:
        one = group.create_task(alone(stores[0], "d", first))
        await first.until(lambda: first.steps > 3)
        two = group.create_task(alone(stores[1], "d", second))
        # Another duty is another lock.
        third = group.create_task(alone(stores[1], "e", other))
        await other.until(lambda: other.steps > 3)
        await first.until(lambda: first.steps > 20)
        assert second.steps == 0
        await ended(one)
        await second.until(lambda: second.steps > 3)
        assert second.begun == 1
        await ended(two, third)
    for store in stores:
        await store.close()


async def test_it_begins_anew_after_whatever_it_stumbled_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.wiring.alone._AGAIN_S", 0.01)
    work = Work((ValueError("nonsense"), UnavailableError("away"), TimeoutError()))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(alone(store, "d", work))
        await work.until(lambda: work.steps > 6)
        assert work.begun == 4
        await ended(task)


async def test_the_lock_is_taken_again_term_by_term(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.wiring.alone._TERM_S", 0.02)
    work = Work()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(alone(store, "d", work))
        await work.until(lambda: work.steps > 12)
        assert work.begun == 1, "nobody else worked in between"
        await ended(task)
