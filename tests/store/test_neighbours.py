"""Invariant 8: customers never meet. A neighbour has a row in every table; none of it shows, or can be pointed at."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import ForeignKeyConstraint, Table, create_engine, insert, select
from sqlalchemy.exc import IntegrityError

from gateway.store import schema
from gateway.store.engine import Store
from gateway.store.tables import CUSTOMER_TABLES, LOG_TABLES, customers, metadata
from tests.support.planted import PLANTED, plant, planted_id, row

A, B = "cus_aaaa", "cus_bbbb"
_OWNED = (customers, *CUSTOMER_TABLES, *LOG_TABLES)


@pytest.fixture
async def both(store: Store) -> Store:
    """Two customers, each with a row in every table."""
    async with store.everyone() as scope:
        await plant(scope, A)
        await plant(scope, B)
    return store


async def test_8_a_query_that_forgot_its_customer_sees_one(both: Store) -> None:
    if both.is_sqlite:
        pytest.skip("row-level security is PostgreSQL's; on SQLite the repositories alone keep customers apart")
    for table in _OWNED:
        for way in (both.scope, both.look):
            async with way(A) as scope:
                seen = [str(dict(found._mapping)) for found in await scope.execute(select(table))]
            assert len(seen) == 1, table.name
            assert B not in seen[0], table.name
        async with both.scope(A) as scope:
            assert (await scope.execute(table.delete().where(row_of(table, B)))).rowcount == 0, table.name


def row_of(table: Table, customer: str):  # type: ignore[no-untyped-def]
    """Where a table's row is the customer's."""
    column = table.c.id if table is customers else table.c.get("customer_id", table.c.get("log_id"))
    return column == customer


_REFERENCES = [
    (table, constraint)
    for table in CUSTOMER_TABLES
    for constraint in table.constraints
    if isinstance(constraint, ForeignKeyConstraint) and len(constraint.columns) == 2
]


async def test_8_a_reference_to_a_neighbours_row_is_refused_by_the_database(both: Store) -> None:
    assert len(_REFERENCES) > 15
    for table, constraint in _REFERENCES:
        (column,) = (c.name for c in constraint.columns if c.name != "customer_id")
        (target,) = {element.column.table.name for element in constraint.elements}
        stray = row(table, A) | {column: planted_id(target, B)}
        # Another row of A's, so that only the reference is wrong.
        own = {c.name for c in table.primary_key.columns} | {
            "name",
            "version",
            "subject",
            "credential",
            "challenge",
            "number",
        }
        for name in {n for n in own.intersection(stray) if not isinstance(stray[n], bytes)} - {"customer_id", column}:
            stray[name] = 2 if isinstance(stray[name], int) else "another"
        with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
            await _insert(both, table, stray)


async def _insert(store: Store, table: Table, values: dict[str, object]) -> None:
    async with store.scope(A) as scope:
        await scope.execute(insert(table).values(**values))


def test_8_every_table_that_points_at_a_customers_row_points_with_the_customer() -> None:
    for table in CUSTOMER_TABLES:
        for key in table.foreign_keys:
            target = key.column.table
            if target in CUSTOMER_TABLES:
                assert key.constraint is not None
                assert "customer_id" in key.constraint.columns, f"{table.name} → {target.name}"


def test_migrations_make_what_the_tables_say(database: tuple[str, str]) -> None:
    owner, _ = database
    schema.upgrade(owner)
    engine = create_engine(schema.sync_url(owner))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


async def test_migrations_go_up_and_down_with_data_in_every_table(database: tuple[str, str]) -> None:
    owner, app = database
    schema.upgrade(owner)
    store = Store(app)
    async with store.everyone() as scope:
        await plant(scope, A)
        counts = [len((await scope.execute(select(table))).all()) for table in PLANTED]
    await store.close()
    assert set(counts) == {1}
    await asyncio.to_thread(schema.downgrade, owner, "base")
    await asyncio.to_thread(schema.upgrade, owner)
    store = Store(app)
    async with store.everyone() as scope:
        await plant(scope, A)  # and everything fits again
    await store.close()
