"""What SQLite's connection leaves for its next trip is done by then, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Executable, Integer, MetaData, String, Table, insert, select, text
from sqlalchemy.exc import IntegrityError

from gateway.errors import UnavailableError
from gateway.store.engine import Store

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
