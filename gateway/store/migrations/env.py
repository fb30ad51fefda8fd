"""Alembic's entry point: one transaction a run, on the owner's connection."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, event

from gateway.store.tables import metadata

engine = create_engine(context.config.attributes["url"])
if engine.dialect.name == "sqlite":
    # Python's own driver begins no transaction for statements that make or drop a table: one that was cut short would
    # leave half a schema behind, and each would wait for the disk by itself.

    @event.listens_for(engine, "connect")
    def _leave_it_to_us(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
