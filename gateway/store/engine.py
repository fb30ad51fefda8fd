"""The database, and the only two ways into it: a customer's scope, and the operator's (loops that serve everyone).

On PostgreSQL a scope names its customer to row-level security for its transaction; the role Frameroom works under
owns nothing. On SQLite the one process holds the file, and a scope's transaction is BEGIN IMMEDIATE,
so that it never has to give up halfway, and those that come at once share a COMMIT (grouped.py); what only reads
(`look`) takes no lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import event, text
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from audit.events import OPERATOR_LOG
from audit.sealing import MasterKeyAway
from gateway.errors import UnavailableError
from gateway.store import sqlite
from gateway.store.grouped import Writer

EVERYONE = "*"
_LOCK_NOT_AVAILABLE: Final = "55P03"
_ONE_VIEW = text("set transaction isolation level repeatable read, read only")


@dataclass(frozen=True, slots=True)
class Scope:
    """One transaction, for one customer (or EVERYONE)."""

    connection: AsyncConnection
    customer_id: str

    async def execute(self, statement: Any, values: Any = None) -> Any:
        """Run one statement."""
        return await self.connection.execute(statement, values)


def async_url(url: str) -> str:
    """The SQLAlchemy URL with the async driver that Frameroom uses (for SQLite its own: store/sqlite.py)."""
    for given, driver in (("sqlite:", "sqlite+frameroom:"), ("postgresql:", "postgresql+psycopg:")):
        if url.startswith(given):
            return driver + url[len(given) :]
    return url


class Store:
    """Opens scopes. UnavailableError when the database is locked, gone or full."""

    def __init__(self, url: str) -> None:
        self.url = async_url(url)
        self.errors = 0
        """How often the database did not answer as it should, for the operator's metrics."""
        rest = {"async_creator_fn": sqlite.connect if self.is_sqlite else _postgres()}
        self.engine: AsyncEngine = create_async_engine(
            self.url, pool_pre_ping=not self.is_sqlite, connect_args=rest, hide_parameters=True
        )
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _sqlite_connect)
            event.listen(self.engine.sync_engine, "handle_error", _sqlite_error)
        self._writer = Writer(self.engine) if self.is_sqlite else None
        # Connections of their own, so that whoever holds a lock for long takes none that others wait for.
        self._holding = (
            self.engine if self.is_sqlite else create_async_engine(self.url, poolclass=NullPool, connect_args=rest)
        )

    @property
    def is_sqlite(self) -> bool:
        """True for the embedded database."""
        return self.url.startswith("sqlite")

    def scope(self, customer_id: str) -> AbstractAsyncContextManager[Scope]:
        """A transaction that sees one customer only; commits at its end, rolls back on any error."""
        return self._transaction(customer_id, reads=False)

    def look(self, customer_id: str) -> AbstractAsyncContextManager[Scope]:
        """The same for reading alone: one consistent view, which no writer waits for however long it lasts."""
        return self._transaction(customer_id, reads=True)

    @asynccontextmanager
    async def _transaction(self, customer_id: str, *, reads: bool) -> AsyncIterator[Scope]:
        try:
            writer = None if reads else self._writer
            async with self.engine.begin() if writer is None else writer.turn() as connection:
                if self.is_sqlite:
                    if reads:
                        _sqlite_reads(connection)
                else:
                    if reads:
                        # A statement, not an option of the engine: SQLAlchemy sets those before anybody owns
                        # the connection, and a task cancelled right then would lose it.
                        await connection.execute(_ONE_VIEW)
                    await connection.execute(
                        text("select set_config('frameroom.customer', :customer, true)"),
                        {"customer": customer_id},
                    )
                yield Scope(connection, customer_id)
        except MasterKeyAway as error:
            raise UnavailableError(
                f"{error}, and without it nothing can be sealed",
                next_step="The operator should look at the token or file; nothing was changed.",
            ) from error
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            self.errors += 1
            raise unavailable(error) from error
        except DatabaseError as error:
            # The class itself is what SQLite says of a damaged file; its kinds (a broken constraint) are the caller's.
            if type(error) is DatabaseError:
                self.errors += 1
                raise unavailable(error) from error
            raise

    @asynccontextmanager
    async def exclusive(self, space: int, key: int, wait_s: float) -> AsyncIterator[None]:
        """Hold a lock that every process of the deployment knows, by two signed 32-bit numbers.

        It ends with the block, or with its holder's connection. SQLite has one process, which needs none.
        TimeoutError when it is not free within `wait_s` seconds; UnavailableError.
        """
        if self.is_sqlite:
            yield
            return
        async with AsyncExitStack() as held:
            try:
                connection = await held.enter_async_context(self._holding.connect())
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await connection.execute(
                    text("select set_config('lock_timeout', :wait, false)"), {"wait": f"{int(wait_s * 1000)}ms"}
                )
                await connection.execute(text("select pg_advisory_lock(:space, :key)"), {"space": space, "key": key})
            except (OperationalError, InterfaceError) as error:
                if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                    raise TimeoutError from error
                self.errors += 1
                raise unavailable(error) from error
            yield

    def everyone(self) -> AbstractAsyncContextManager[Scope]:
        """A transaction over all customers: for the loops and the operator's own commands, nothing else."""
        return self.scope(EVERYONE)

    def look_at_everyone(self) -> AbstractAsyncContextManager[Scope]:
        """`look` over all customers: for the loops and the operator's own commands, nothing else."""
        return self.look(EVERYONE)

    def operator_log(self) -> AbstractAsyncContextManager[Scope]:
        """A transaction for the operator's own log."""
        return self.scope(OPERATOR_LOG)

    async def connect_alone(self) -> AsyncConnection:
        """A connection that nobody else gets, each statement a transaction: the caller closes it. Not for SQLite."""
        connection = await self._holding.connect()
        return await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def close(self) -> None:
        """Let go of every connection."""
        if self._writer is not None:
            await self._writer.close()
            return
        await self.engine.dispose()
        await self._holding.dispose()


def unavailable(error: SQLAlchemyError) -> UnavailableError:
    """A database's error as a person is told of it."""
    return UnavailableError(
        f"the database does not answer as it should ({_reason(error)})",
        next_step="The operator should look at its disk and process; nothing was changed.",
    )


def _reason(error: SQLAlchemyError) -> str:
    if not isinstance(error, DBAPIError):
        return "no connection was free in time"
    words = str(error.orig).lower()
    for known in ("locked", "full", "readonly", "disk i/o", "unable to open", "malformed", "connection"):
        if known in words:
            return known
    return type(error.orig).__name__


def _postgres() -> Any:
    # Its driver takes as long to import as a tenth of all the rest, and most deployments have none.
    from gateway.store import postgres

    return postgres.connect


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
        "foreign_keys=ON",
        "busy_timeout=5000",
        # Room for the pages that a busy log's indexes grow at: with SQLite's 2 MB each append reads some again.
        "cache_size=-16384",
        # Pages that many commits in turn change are then written to the database once.
        "wal_autocheckpoint=4000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_error(context: Any) -> None:
    # SQLAlchemy gives a connection up after a cancellation, since it may stand in the middle of an answer. This one
    # never does (sqlite.py), and others may have written on it.
    if isinstance(context.original_exception, asyncio.CancelledError):
        context.is_disconnect = False


def _sqlite_reads(connection: AsyncConnection) -> None:
    """Before its first statement: this transaction only reads, and takes no lock."""
    held: Any = connection.sync_connection
    held.connection.driver_connection.begin(reads=True)
