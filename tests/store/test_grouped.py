"""Transactions that share a COMMIT on SQLite: each is undone alone, and nobody goes on before theirs is durable."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from gateway.errors import UnavailableError
from gateway.store.engine import Store


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    """With an empty table, and `slow(n)`, which waits until it is let go."""
    opened = Store(f"sqlite:///{tmp_path}/x.db")
    async with opened.everyone() as scope:
        await scope.execute(text("create table t (n integer primary key)"))
    return opened


def kept(store: Store) -> list[int]:
    """What another connection sees: what was committed."""
    with sqlite3.connect(store.url.partition("///")[2]) as connection:
        return [n for (n,) in connection.execute("select n from t order by n")]


async def put(store: Store, *numbers: int, fail: bool = False) -> None:
    async with store.everyone() as scope:
        for number in numbers:
            await scope.execute(text("insert into t (n) values (:n)"), {"n": number})
        if fail:
            raise LookupError
    assert set(numbers) <= set(kept(store))


async def test_each_is_durable_when_it_ends_and_fewer_commits_were_made_than_there_were(store: Store) -> None:
    commits = 0

    def count(_connection: Any) -> None:
        nonlocal commits
        commits += 1

    event.listen(store.engine.sync_engine, "commit", count)
    await asyncio.gather(*(put(store, n) for n in range(40)))
    assert kept(store) == list(range(40))
    assert 1 <= commits < 20
    await store.close()


async def test_one_that_fails_takes_nobody_along(store: Store) -> None:
    await put(store, 7)
    tried = [put(store, 1), put(store, 2, 7), put(store, 3, fail=True), put(store, 4), put(store, 5, 5), put(store, 6)]
    done = await asyncio.gather(*tried, return_exceptions=True)
    assert [type(one) for one in done] == [
        type(None), IntegrityError, LookupError, type(None), IntegrityError, type(None),
    ]  # fmt: skip
    assert kept(store) == [1, 4, 6, 7]
    await store.close()


async def test_one_that_is_cancelled_in_its_statement_takes_nobody_along(tmp_path: Path) -> None:
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
        await scope.execute(text("create table t (n integer primary key)"))

    async def slowly() -> None:
        async with store.everyone() as scope:
            await scope.execute(text("insert into t (n) select slow(2)"))

    before, one = asyncio.ensure_future(put(store, 1)), asyncio.ensure_future(slowly())
    await asyncio.to_thread(begun.wait, 20)
    after = asyncio.ensure_future(put(store, 3))
    one.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await one
    await asyncio.gather(before, after)
    assert kept(store) == [1, 3]
    await put(store, 4)
    await store.close()


async def put_off(store: Store, *values: Any, alone: bool = True) -> None:
    """As an append to the log does it: the driver has the rows, and nobody waits for them before the end."""
    async with store.everyone() as scope:
        if not alone:
            await scope.execute(text("select 1"))
        opened = scope.connection.sync_connection
        assert opened is not None
        driver: Any = opened.connection.driver_connection
        driver.put_off("INSERT INTO t (n) VALUES (?)", [(value,) for value in values])


async def test_rows_of_many_transactions_go_in_together_and_one_that_cannot_takes_nobody_along(store: Store) -> None:
    await put(store, 7)
    many = tuple(range(1000, 1200))
    tried = [
        put_off(store, *many), put_off(store, 1, 2), put_off(store, 3, 7), put_off(store, 4), put_off(store, 2**70),
        put_off(store, 5, alone=False), put(store, 6), put_off(store, 8), put_off(store, 9, 9),
    ]  # fmt: skip
    done = await asyncio.gather(*tried, return_exceptions=True)
    wrong = [(number, type(one)) for number, one in enumerate(done) if one is not None]
    assert wrong == [(2, IntegrityError), (4, OverflowError), (8, IntegrityError)]
    assert kept(store) == [1, 2, 4, 5, 6, 7, 8, *many]
    await store.close()


async def test_rows_that_cannot_go_in_are_told_to_whoever_put_them_off_and_to_nobody_who_comes_next(
    store: Store,
) -> None:
    first, second = asyncio.ensure_future(put_off(store, 2**70)), asyncio.ensure_future(put(store, 1))
    done = await asyncio.gather(first, second, put_off(store, 2, alone=False), return_exceptions=True)
    assert [type(one) for one in done] == [OverflowError, type(None), type(None)]
    assert kept(store) == [1, 2]
    await store.close()


async def test_when_the_disk_is_full_all_are_told_and_the_next_goes_on(store: Store) -> None:
    async with store.everyone() as scope:
        await scope.execute(text("create table filler (x blob)"))
        pages = (await scope.execute(text("pragma page_count"))).scalar_one()
        await scope.execute(text(f"pragma max_page_count = {pages + 2}"))

    async def flood() -> None:
        async with store.everyone() as scope:
            await scope.execute(text("insert into filler (x) values (zeroblob(1000000))"))

    done = await asyncio.gather(put(store, 1), flood(), put(store, 2), return_exceptions=True)
    assert isinstance(done[1], UnavailableError)
    told = [number for number, one in ((1, done[0]), (2, done[2])) if one is None]
    assert kept(store) == told
    await put(store, 3)
    assert kept(store) == [*told, 3]
    await store.close()


async def test_a_lock_that_another_process_holds_is_told_to_all_who_waited(store: Store) -> None:
    other = sqlite3.connect(store.url.partition("///")[2], isolation_level=None)
    other.execute("begin immediate")
    async with store.look_at_everyone() as scope:
        await scope.execute(text("select 1"))
    done = await asyncio.gather(*(put(store, n) for n in range(3)), return_exceptions=True)
    assert [type(one) for one in done] == [UnavailableError] * 3
    other.execute("rollback")
    assert kept(store) == []
    await put(store, 9)
    assert kept(store) == [9]
    await store.close()


MANY = tuple(range(1000, 1300))
"""More than go to SQLite's thread ahead of what is still to come."""


@pytest.mark.parametrize("wrong", [[7], [2**70], [MANY[3]]], ids=["taken", "too large", "twice"])
@pytest.mark.parametrize("alone", [True, False])
async def test_many_rows_that_went_ahead_and_cannot_be_kept_are_told_and_take_nobody_along(
    store: Store, wrong: list[int], alone: bool
) -> None:
    await put(store, 7)
    tried = [
        put(store, 1),
        put_off(store, *(*MANY, *wrong), alone=alone),
        put(store, 2),
        put_off(store, *range(500, 600)),
    ]
    done = await asyncio.gather(*tried, return_exceptions=True)
    assert [done[0], done[2], done[3]] == [None, None, None]
    assert isinstance(done[1], IntegrityError | OverflowError)
    assert kept(store) == [1, 2, 7, *range(500, 600)]
    await store.close()


async def ahead(store: Store, *, then: str = "", wrong: int | None = None) -> None:
    """Rows that went ahead, and then a statement, an error, or the end."""
    async with store.everyone() as scope:
        opened = scope.connection.sync_connection
        assert opened is not None
        driver: Any = opened.connection.driver_connection
        driver.put_off("INSERT INTO t (n) VALUES (?)", [(value,) for value in MANY])
        driver.put_off("INSERT INTO t (n) VALUES (?)", [(1 if wrong is None else wrong,)])
        if then == "fail":
            raise LookupError
        if then:
            assert (await scope.execute(text(then))).scalar_one() == len(MANY) + 1


async def test_a_statement_sees_what_went_ahead_of_it(store: Store) -> None:
    await ahead(store, then="select count(*) from t")
    assert kept(store) == [1, *MANY]
    await store.close()


async def test_a_statement_after_rows_that_could_not_be_kept_says_so_and_nothing_is_kept(store: Store) -> None:
    with pytest.raises(IntegrityError):
        await ahead(store, then="select count(*) from t", wrong=MANY[0])
    assert kept(store) == []
    await put(store, 1)
    await store.close()


async def test_what_went_ahead_of_an_error_is_undone_and_the_lock_is_free(store: Store) -> None:
    done = await asyncio.gather(put(store, 3), ahead(store, then="fail"), put(store, 4), return_exceptions=True)
    assert [type(one) for one in done] == [type(None), LookupError, type(None)]
    with pytest.raises(LookupError):
        await ahead(store, then="fail")  # and with nobody beside it
    await put(store, 6)
    assert kept(store) == [3, 4, 6]
    with sqlite3.connect(store.url.partition("///")[2], timeout=0) as other:
        other.execute("insert into t (n) values (5)")
    await store.close()


async def test_a_connection_of_its_own_undoes_and_keeps_what_went_ahead(store: Store) -> None:
    """As in a transaction that shares its COMMIT with nobody."""

    async def rows(*values: int, fail: bool = False) -> None:
        async with store.engine.begin() as connection:
            opened = connection.sync_connection
            assert opened is not None
            driver: Any = opened.connection.driver_connection
            driver.put_off("INSERT INTO t (n) VALUES (?)", [(value,) for value in values])
            if fail:
                raise LookupError

    with pytest.raises(LookupError):
        await rows(*MANY, fail=True)
    with pytest.raises(IntegrityError):
        await rows(*MANY, MANY[0])
    assert kept(store) == []
    await rows(*MANY)
    assert kept(store) == list(MANY)
    await store.close()


async def test_letting_go_of_every_connection_waits_for_whoever_has_one_and_leaves_none(store: Store) -> None:
    opened = 0

    def count(_connection: Any, _record: Any) -> None:
        nonlocal opened
        opened += 1

    event.listen(store.engine.sync_engine, "connect", count)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def in_the_middle() -> None:
        async with store.everyone() as scope:
            await scope.execute(text("insert into t (n) values (1)"))
            begun.set()
            await go_on.wait()
            await scope.execute(text("select count(*) from t"))

    first = asyncio.ensure_future(in_the_middle())
    await begun.wait()
    closing = asyncio.ensure_future(store.close())
    later = asyncio.ensure_future(put(store, 2))
    await asyncio.sleep(0)  # both wait for the one in the middle
    go_on.set()
    await asyncio.gather(first, closing, later)
    assert kept(store) == [1, 2]
    assert opened == 1  # by whoever came after: on what was open before, nobody goes on
    await store.close()
