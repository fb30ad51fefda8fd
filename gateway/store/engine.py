"""The database, and the only two ways into it: a customer's scope, and the operator's (loops that serve everyone).

On PostgreSQL a scope names its customer to row-level security for its transaction; the role Frameroom works under
owns nothing. On SQLite the one process holds the file, and a scope's transaction is BEGIN IMMEDIATE.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from audit.events import OPERATOR_LOG
from gateway.errors import UnavailableError

EVERYONE = "*"


@dataclass(frozen=True, slots=True)
class Scope:
    """One transaction, for one customer (or EVERYONE)."""

    connection: AsyncConnection
    customer_id: str

    async def execute(self, statement: Any, values: Any = None) -> Any:
        """Run one statement."""
        return await self.connection.execute(statement, values)


def async_url(url: str) -> str:
    """The SQLAlchemy URL with the async driver that Frameroom uses."""
    for given, driver in (("sqlite:", "sqlite+aiosqlite:"), ("postgresql:", "postgresql+psycopg:")):
        if url.startswith(given):
            return driver + url[len(given) :]
    return url


class Store:
    """Opens scopes. UnavailableError when the database is locked, gone or full."""

    def __init__(self, url: str) -> None:
        self.url = async_url(url)
        self.engine: AsyncEngine = create_async_engine(self.url, pool_pre_ping=not self.is_sqlite)
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _sqlite_connect)
            event.listen(self.engine.sync_engine, "begin", _sqlite_begin)

    @property
    def is_sqlite(self) -> bool:
        """True for the embedded database."""
        return self.url.startswith("sqlite")

    @asynccontextmanager
    async def scope(self, customer_id: str) -> AsyncIterator[Scope]:
        """A transaction that sees one customer only; commits at its end, rolls back on any error."""
        try:
            async with self.engine.begin() as connection:
                if not self.is_sqlite:
                    await connection.execute(
                        text("select set_config('frameroom.customer', :customer, true)"),
                        {"customer": customer_id},
                    )
                yield Scope(connection, customer_id)
        except OperationalError as error:
            raise UnavailableError(
                f"the database does not answer as it should ({_reason(error)})",
                next_step="The operator should look at its disk and process; nothing was changed.",
            ) from error

    def everyone(self) -> Any:
        """A transaction over all customers: for the loops and the operator's own commands, nothing else."""
        return self.scope(EVERYONE)

    def operator_log(self) -> Any:
        """A transaction for the operator's own log."""
        return self.scope(OPERATOR_LOG)

    async def close(self) -> None:
        """Let go of every connection."""
        await self.engine.dispose()


def _reason(error: DBAPIError) -> str:
    words = str(error.orig).lower()
    for known in ("locked", "full", "readonly", "disk i/o", "unable to open", "connection"):
        if known in words:
            return known
    return type(error.orig).__name__


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
        "foreign_keys=ON",
        "busy_timeout=5000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
