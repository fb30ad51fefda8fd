"""The schema goes up and down with data in it, and customers never meet."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, text

from gateway.errors import UnavailableError
from gateway.store import schema
from gateway.store.engine import Store
from gateway.store.tables import CUSTOMER_TABLES, LOG_TABLES, contacts, customers

CONTACT = {"name": "Kate", "position": "", "email": "k@customer.example", "phone": "", "notices": "each"}


async def plant(store: Store, customer: str) -> None:
    async with store.scope(customer) as scope:
        await scope.execute(insert(customers).values(id=customer, name=customer, region="uk", added_ms=1))
        await scope.execute(insert(contacts).values(customer_id=customer, id="con_1", **CONTACT))


async def test_migrations_go_up_and_down_with_data(database: tuple[str, str]) -> None:
    owner, app = database
    schema.upgrade(owner)
    current, newest = schema.status(owner)
    assert current == newest is not None
    store = Store(app)
    await plant(store, "cus_a")
    await store.close()
    schema.downgrade(owner, "base")
    engine = create_engine(schema.sync_url(owner))
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    engine.dispose()
    schema.upgrade(owner)
    assert schema.status(owner) == (newest, newest)


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_migration_that_is_cut_short_leaves_everything_as_it_was(database: tuple[str, str], way: str) -> None:
    owner, _ = database
    if way == "down":
        schema.upgrade(owner)
    before = _tables(owner)
    statements = 0

    def cut(_: Connection, __: object, statement: str, *rest: object) -> None:
        nonlocal statements
        statements += statement.lstrip().upper().startswith(("CREATE TABLE", "DROP TABLE"))
        if statements == 20:
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", cut)
    try:
        with pytest.raises(KeyboardInterrupt):
            schema.upgrade(owner) if way == "up" else schema.downgrade(owner, "base")
    finally:
        event.remove(Engine, "before_cursor_execute", cut)
    assert statements == 20
    assert _tables(owner) - {"alembic_version"} == before - {"alembic_version"}
    schema.upgrade(owner) if way == "up" else schema.downgrade(owner, "base")


def _tables(owner: str) -> set[str]:
    engine = create_engine(schema.sync_url(owner))
    found = set(inspect(engine).get_table_names())
    engine.dispose()
    return found


async def test_8_customers_never_meet(store: Store) -> None:
    await plant(store, "cus_a")
    await plant(store, "cus_b")
    if store.is_sqlite:
        pytest.skip("row-level security is PostgreSQL's")
    async with store.scope("cus_a") as scope:
        # A query that forgot its customer altogether.
        for table in (contacts, customers):
            rows = (await scope.execute(select(table))).all()
            assert len(rows) == 1, table.name
        changed = await scope.execute(contacts.update().values(name="x"))
        assert changed.rowcount == 1
        assert (await scope.execute(contacts.delete().where(contacts.c.customer_id == "cus_b"))).rowcount == 0
    async with store.everyone() as scope:
        assert {r.name for r in await scope.execute(select(contacts))} == {"x", "Kate"}


async def test_8_a_row_cannot_be_written_for_a_neighbour(store: Store) -> None:
    await plant(store, "cus_a")
    await plant(store, "cus_b")
    if store.is_sqlite:
        pytest.skip("row-level security is PostgreSQL's")
    with pytest.raises(Exception, match="row-level security"):
        async with store.scope("cus_a") as scope:
            await scope.execute(insert(contacts).values(customer_id="cus_b", id="con_2", **CONTACT))


async def test_8_every_table_of_customers_is_under_forced_row_security(store: Store) -> None:
    if store.is_sqlite:
        pytest.skip("row-level security is PostgreSQL's")
    query = text("select relname from pg_class where relrowsecurity and relforcerowsecurity")
    async with store.everyone() as scope:
        under = set((await scope.execute(query)).scalars())
        role = (
            await scope.execute(text("select rolsuper, rolbypassrls from pg_roles where rolname = current_user"))
        ).one()
        owned = (await scope.execute(text("select count(*) from pg_tables where tableowner = current_user"))).scalar()
    assert {t.name for t in (customers, *CUSTOMER_TABLES, *LOG_TABLES)} <= under
    assert tuple(role) == (False, False)
    assert owned == 0


async def test_a_database_that_is_gone_says_what_to_do(tmp_path) -> None:
    store = Store(f"sqlite:///{tmp_path}/no/such/folder/x.db")
    with pytest.raises(UnavailableError) as caught:
        async with store.everyone():
            pass
    assert "disk" in caught.value.next_step
    await store.close()
