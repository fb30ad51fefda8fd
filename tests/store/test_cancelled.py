"""A task that is cancelled in the middle of a transaction leaves no lock behind (Ctrl-C, a hang-up, a stop)."""

from __future__ import annotations

import asyncio
import inspect
import threading
from pathlib import Path

import aiosqlite
import pytest
from sqlalchemy import event, text

from gateway.store.engine import Store


@pytest.mark.parametrize("statement", ["insert into t select slow(n) from t", "update t set n = slow(n) returning n"])
async def test_a_cancelled_statement_lets_go_of_the_write_lock(tmp_path: Path, statement: str) -> None:
    store = Store(f"sqlite:///{tmp_path}/x.db")
    begun, go_on = threading.Event(), threading.Event()

    def slow(value: int) -> int:
        begun.set()
        assert go_on.wait(20)
        return value

    @event.listens_for(store.engine.sync_engine, "connect")
    def add(connection: object, _record: object) -> None:
        connection.create_function("slow", 1, slow)  # type: ignore[attr-defined]

    async with store.everyone() as scope:
        await scope.execute(text("create table t (n integer)"))
        await scope.execute(text("insert into t values (1), (2), (3)"))

    async def written() -> None:
        async with store.everyone() as scope:
            await scope.execute(text(statement))

    task = asyncio.ensure_future(written())
    await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError) as held:
        await task
    # The traceback holds the statement's cursor, as a logger or a task group would.
    assert held.tb is not None
    async with store.everyone() as scope:
        await scope.execute(text("insert into t values (4)"))
        left = [row.n for row in await scope.execute(text("select n from t order by n"))]
    assert left == [1, 2, 3, 4]
    await store.close()


async def test_cancelled_while_it_waits_for_the_lock(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/x.db")
    async with store.everyone() as scope:
        await scope.execute(text("create table t (n integer)"))
        waiting = asyncio.ensure_future(_insert(store))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await _insert(store)
    await store.close()


async def _insert(store: Store) -> None:
    async with store.everyone() as scope:
        await scope.execute(text("insert into t values (1)"))


def test_the_private_names_relied_on_are_there() -> None:
    source = inspect.getsource(aiosqlite.core)
    for name in ("self._tx.put_nowait((future, ", "self._running", "self._connector", "self._thread"):
        assert name in source
    assert list(inspect.signature(aiosqlite.Connection._execute).parameters) == ["self", "fn", "args", "kwargs"]
