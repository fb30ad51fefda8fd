"""Bringing a database to the current schema (Alembic), and what PostgreSQL adds: row-level security and the role.

Alembic is imported by whoever changes a schema: to serve, and for most commands, it is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine

if TYPE_CHECKING:
    from alembic.config import Config

APP_ROLE = "frameroom_app"


class UnknownSchema(Exception):
    """A revision that this program has no migration for."""


def sync_url(url: str) -> str:
    """The URL for the owner's (synchronous) connection."""
    return url.replace("postgresql:", "postgresql+psycopg:", 1) if url.startswith("postgresql:") else url


def alembic_config(url: str) -> Config:
    """Alembic's configuration for one database."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = sync_url(url)
    return config


def upgrade(url: str, to: str = "head") -> None:
    """Migrate up. `url` is the owner's. UnknownSchema."""
    from alembic import command
    from alembic.util import CommandError

    try:
        command.upgrade(alembic_config(url), to)
    except CommandError as error:
        raise UnknownSchema(to) from error


def downgrade(url: str, to: str) -> None:
    """Migrate down; `to` is a revision or "base"."""
    from alembic import command

    command.downgrade(alembic_config(url), to)


def status(url: str) -> tuple[str | None, str | None]:
    """(revision of the database, newest revision known)."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = alembic_config(url)
    engine = create_engine(sync_url(url))
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    return current, ScriptDirectory.from_config(config).get_current_head()


def row_security_statements(columns: Mapping[str, str]) -> list[str]:
    """What makes PostgreSQL keep customers apart even from a query that forgot its customer.

    `columns`: for each table that a migration made, the column that holds the customer's (or the log's) id; empty
    for a table that belongs to no customer, which gets its grants alone.
    """
    statements = [
        f"do $$ begin if not exists (select from pg_roles where rolname = '{APP_ROLE}') then "
        f"create role {APP_ROLE} nologin nosuperuser nobypassrls; end if; end $$",
        f"grant usage on schema public to {APP_ROLE}",
        f"grant usage on all sequences in schema public to {APP_ROLE}",
        f"grant select on alembic_version to {APP_ROLE}",
    ]
    mine = "current_setting('frameroom.customer', true)"
    # texteq is what = calls. Written as =, PostgreSQL takes it for true of one row in 200, and then sorts every row
    # that a condition fits instead of walking an index for the first hundred.
    everyone = f"texteq({mine}, '*')"
    for table, column in columns.items():
        statements.append(f"grant select, insert, update, delete on {table} to {APP_ROLE}")
        if column:
            rule = f"({column} = {mine} or {everyone})"
            statements += [
                f"alter table {table} enable row level security",
                f"alter table {table} force row level security",
                f"create policy one_customer on {table} using {rule} with check {rule}",
            ]
    return statements
