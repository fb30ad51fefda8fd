"""What SQLite's connection leaves for its next trip is done by then, or not at all."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Executable, Integer, MetaData, String, Table, bindparam, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from gateway.errors import UnavailableError
from gateway.store.engine import Store
from gateway.store.sqlite import UNASKED

people = Table("people", MetaData(), Column("n", Integer, primary_key=True), Column("name", String, unique=True))


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    """With an empty table."""
    opened = Store(f"sqlite:///{tmp_path}/x.db")
    async with opened.everyone() as scope:
        await scope.execute(text("create table people (n integer primary key, name text unique)"))
    return opened


async def _add(store: Store, *rows: dict[str, Any], and_then: Executable | None = None) -> None:
    """A row a statement in one transaction, and then perhaps another statement."""
    async with store.everyone() as scope:
        for row in rows:
            await scope.execute(insert(people), row)
        if and_then is not None:
            await scope.execute(and_then)


async def _names(store: Store) -> list[str]:
    async with store.look_at_everyone() as scope:
        return list((await scope.execute(select(people.c.name).order_by(people.c.n))).scalars())


async def test_what_was_inserted_is_seen_by_the_next_statement_and_kept(store: Store) -> None:
    async with store.everyone() as scope:
        await scope.execute(insert(people), {"n": 1, "name": "Ann"})
        await scope.execute(insert(people), [{"n": 2, "name": "Bea"}, {"n": 3, "name": "Cy"}])
        assert list((await scope.execute(select(people.c.n).order_by(people.c.n))).scalars()) == [1, 2, 3]
        await scope.execute(insert(people).values(n=4, name="Di"))
    assert await _names(store) == ["Ann", "Bea", "Cy", "Di"]
    await store.close()


@pytest.mark.parametrize("and_then", [None, select(people)], ids=["commit", "read"])
async def test_a_row_that_breaks_a_rule_is_an_error_before_it_is_kept(
    store: Store, and_then: Executable | None
) -> None:
    with pytest.raises(IntegrityError):
        await _add(store, {"n": 1, "name": "Ann"}, {"n": 2, "name": "Ann"}, and_then=and_then)
    assert await _names(store) == []
    await _add(store, {"n": 3, "name": "Ann"})
    assert await _names(store) == ["Ann"]
    await store.close()


async def test_nothing_of_an_abandoned_transaction_comes_with_the_next(store: Store) -> None:
    with pytest.raises(UnavailableError):
        await _add(store, {"n": 1, "name": "Ann"}, and_then=text("select * from nowhere"))
    await _add(store, {"n": 2, "name": "Bea"})
    assert await _names(store) == ["Bea"]
    await store.close()


CHANGED = update(people).prefix_with(UNASKED)
RENAMED = CHANGED.where(people.c.n == bindparam("of")).values(name=bindparam("to"))


async def test_a_change_whose_count_nobody_asks_for_is_seen_by_the_next_statement_and_kept(store: Store) -> None:
    await _add(store, {"n": 1, "name": "Ann"}, {"n": 2, "name": "Bea"})
    async with store.everyone() as scope:
        await scope.execute(RENAMED, {"of": 1, "to": "Di"})
        await scope.execute(insert(people), {"n": 3, "name": "Ann"})
        assert list((await scope.execute(select(people.c.name).order_by(people.c.n))).scalars()) == ["Di", "Bea", "Ann"]
        await scope.execute(RENAMED, {"of": 2, "to": "Ed"})
    assert await _names(store) == ["Di", "Ed", "Ann"]
    await store.close()


async def test_such_a_change_that_breaks_a_rule_takes_its_whole_transaction_back(store: Store) -> None:
    await _add(store, {"n": 1, "name": "Ann"}, {"n": 2, "name": "Bea"})
    with pytest.raises(IntegrityError):
        await _add(store, {"n": 3, "name": "Cy"}, and_then=CHANGED.where(people.c.n == 1).values(name="Bea"))
    assert await _names(store) == ["Ann", "Bea"]
    await store.close()


async def test_a_change_that_gives_rows_back_gives_them(store: Store) -> None:
    await _add(store, {"n": 1, "name": "Ann"})
    async with store.everyone() as scope:
        changed = await scope.execute(RENAMED.returning(people.c.n, people.c.name), {"of": 1, "to": "Di"})
        assert [tuple(row) for row in changed] == [(1, "Di")]
    await store.close()


async def test_a_look_takes_no_lock_and_a_scope_the_only_one(store: Store) -> None:
    await _add(store, {"n": 1, "name": "Ann"})
    async with store.look_at_everyone() as looking:
        assert list((await looking.execute(select(people.c.name))).scalars()) == ["Ann"]
        await _add(store, {"n": 2, "name": "Bea"})
        assert list((await looking.execute(select(people.c.name))).scalars()) == ["Ann"], "one view to its end"
    async with store.everyone() as writing:
        await writing.execute(select(people))
        assert sqlite3.connect(store.engine.url.database or "").execute("select count(*) from people").fetchone() == (
            2,
        )
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            sqlite3.connect(store.engine.url.database or "", timeout=0).execute("begin immediate")
    await store.close()


async def _look_and_fail(store: Store) -> None:
    async with store.look_at_everyone() as scope:
        await scope.execute(select(people))
        raise LookupError


async def test_looks_one_after_another_each_see_what_was_written_before_them(store: Store) -> None:
    for number in range(1, 40):
        await _add(store, {"n": number, "name": str(number)})
        assert len(await _names(store)) == number
        with pytest.raises(LookupError):
            await _look_and_fail(store)
    await store.close()
