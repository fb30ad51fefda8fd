"""Alembic's entry point: one transaction a run, on the owner's connection."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine

from gateway.store.tables import metadata

engine = create_engine(context.config.attributes["url"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
