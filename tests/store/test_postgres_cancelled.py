"""A task that is cancelled in the middle of a statement on PostgreSQL ends, and leaves no connection in an answer."""

from __future__ import annotations

import asyncio
import gc
import warnings
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from gateway.errors import FrameroomError
from gateway.store.engine import Store
from tests.support.postgres import Postgres


@pytest.fixture
def urls(postgres: Postgres) -> tuple[str, str]:
    """(owner's, application's) of an empty database."""
    return postgres.create_database()


async def _for_ever(store: Store, begun: asyncio.Event) -> None:
    while True:
        with suppress(FrameroomError):  # as the loops of a serving process do
            async with store.look_at_everyone() as scope:
                begun.set()
                await scope.execute(text("select 1"))


async def test_wherever_it_was_the_loop_ends_and_every_connection_goes_back(urls: tuple[str, str]) -> None:
    store = Store(urls[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for steps in range(80):
            begun = asyncio.Event()
            task = asyncio.ensure_future(_for_ever(store, begun))
            await begun.wait()
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task}, timeout=20)
            assert task.cancelled(), f"it went on after {steps} steps"
    async with store.everyone() as scope:
        idle = text("select count(*) from pg_stat_activity where datname = current_database() and state <> 'active'")
        assert (await scope.execute(idle)).scalar() <= 5
    await store.close()


async def test_many_rows_at_once_cancelled_anywhere_end_as_cancelled(urls: tuple[str, str]) -> None:
    owner, app = urls
    with psycopg.connect(owner, autocommit=True) as maker:
        maker.execute("create table many (n integer)")
        maker.execute("grant all on many to public")
    store = Store(app)

    async def write() -> None:
        while True:
            async with store.everyone() as scope:
                await scope.execute(text("update many set n = :n where n = :n"), [{"n": n} for n in range(20)])

    for steps in range(120):
        task = asyncio.ensure_future(write())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=20)
        assert task.cancelled(), f"after {steps} steps: {task.exception()!r}"
        # Whoever gets its connection next finds it as any other: not one that still waits for many rows.
        async with store.everyone() as scope:
            raw: Any = (await scope.connection.get_raw_connection()).driver_connection
            assert raw.pgconn.pipeline_status == psycopg.pq.PipelineStatus.OFF, f"after {steps} steps"
    await store.close()


async def test_many_rows_at_once_that_take_too_long_end_as_too_late(urls: tuple[str, str]) -> None:
    store = Store(urls[1])
    connection = await store.connect_alone()
    raw: Any = (await connection.get_raw_connection()).driver_connection

    async def write() -> None:
        async with asyncio.timeout(None) as late:
            late.reschedule(asyncio.get_running_loop().time())
            await raw.cursor().executemany("select %s", [(1,), (2,)])

    with pytest.raises(TimeoutError):
        await write()
    await connection.execute(text("select 1"))
    await connection.close()
    await store.close()


async def test_a_cancelled_wait_for_a_lock_leaves_nothing_behind(urls: tuple[str, str]) -> None:
    owner, app = urls
    with psycopg.connect(owner, autocommit=True) as holder:
        holder.execute("create table t (n integer)")
        holder.execute("grant all on t to public")
        store = Store(app)
        holder.execute("begin")
        holder.execute("lock table t")

        async def write() -> None:
            async with store.everyone() as scope:
                await scope.execute(text("insert into t values (1)"))

        task = asyncio.ensure_future(write())
        waiting = "select count(*) from pg_locks where not granted"
        while holder.execute(waiting).fetchone() == (0,):  # noqa: ASYNC110 - another process's lock sets no event
            await asyncio.sleep(0.01)
        task.cancel()
        holder.execute("commit")
        with pytest.raises(asyncio.CancelledError):
            await task
        await write()
        assert holder.execute("select count(*) from t").fetchone() == (1,)
        await store.close()


async def test_cancelled_while_it_is_made_no_connection_stays_until_somebody_looks_for_garbage(
    urls: tuple[str, str],
) -> None:
    owner, app = urls
    store = Store(app)
    gc.disable()
    try:
        for steps in range(60):
            task = asyncio.ensure_future(store.connect_alone())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task}, timeout=20)
            if not task.cancelled():
                await task.result().close()
    finally:
        gc.enable()
    await store.close()
    gone = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    with psycopg.connect(owner, autocommit=True) as watcher:
        async with asyncio.timeout(20):
            while watcher.execute(gone).fetchone() != (0,):  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(0.05)
