"""SQLite's one writer, shared: transactions that wait for it share one COMMIT, and so one way to the disk.

SQLite lets one transaction write at a time, and what a short one costs is its COMMIT. Here each is a savepoint on one
connection: it sees what those before it wrote, undoes itself alone, and nobody who wrote goes on before the COMMIT
that makes it durable has ended. Whoever comes while that is under way makes the next group; one who comes alone is
committed at once. When the COMMIT fails it fails for all of them, and nothing of theirs was kept.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, cast

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.store.settled import settled
from gateway.store.sqlite import Connection

WAIT_S: Final = 5.0
"""How long one waits for its turn, as for a lock that another process holds."""


class Writer:
    """Gives turns. The errors of a turn are SQLAlchemy's; OperationalError when it is not one's turn in time."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._lock = asyncio.Lock()
        self._connection: AsyncConnection | None = None
        self._driver: Connection | None = None
        self._group: asyncio.Future[BaseException | None] | None = None
        self._committing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed when this ends, undone when it ends by an error."""
        await self._take()
        try:
            connection, driver, group = await self._begun()
            unit = driver.open_unit()
            try:
                yield connection
            except BaseException:
                driver.close_unit(keep=False)
                raise
            driver.close_unit(keep=True)
        finally:
            self._lock.release()
        failure = await settled(group)
        if failure is not None:
            raise _as_sqlalchemy(failure) from failure
        if unit.error is not None:
            raise _as_sqlalchemy(unit.error) from unit.error

    async def _take(self) -> None:
        if not self._lock.locked():
            await self._lock.acquire()
            return
        try:
            async with asyncio.timeout(WAIT_S):
                await self._lock.acquire()
        except TimeoutError as error:
            raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked")) from error

    async def _begun(self) -> tuple[AsyncConnection, Connection, asyncio.Future[BaseException | None]]:
        """The connection in its transaction, and the end of the group that has it. The lock is held."""
        if self._connection is None or self._driver is None:
            self._connection = await self._engine.connect()
            raw = await self._connection.get_raw_connection()
            self._driver = cast(Connection, raw.driver_connection)
        if self._group is None or self._group.done():
            await self._connection.begin()
            loop = asyncio.get_running_loop()
            self._group = loop.create_future()
            # The writer owns it: everybody of the group waits for what it tells, and `close` for its end. No one of
            # the group does, since whoever is cancelled would take the others' COMMIT along.
            task = loop.create_task(self._commit(self._group), name="commit")
            self._committing.add(task)
            task.add_done_callback(self._committing.discard)
        return self._connection, self._driver, self._group

    async def _commit(self, group: asyncio.Future[BaseException | None]) -> None:
        """Commit when nobody who came before has the connection."""
        try:
            async with self._lock:
                await self._tell(group)
        finally:
            if not group.done():
                group.set_result(asyncio.CancelledError())

    async def _tell(self, group: asyncio.Future[BaseException | None]) -> None:
        """End the group, unless that was done, and tell everybody of it how it went. The lock is held."""
        if group.done():
            return
        failure: BaseException | None = asyncio.CancelledError()
        self._group = None
        try:
            failure = await self._end()
        finally:
            group.set_result(failure)

    async def _end(self) -> BaseException | None:
        if self._connection is None or self._driver is None:
            return None  # nobody began anything
        try:
            await self._connection.commit()
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and not self._driver.begun():
                return None  # the task was cancelled, and COMMIT had its way all the same
            failure: BaseException = error
        else:
            return None
        # The next turn opens another, whatever state this one was left in.
        connection, self._connection, self._driver = self._connection, None, None
        with suppress(SQLAlchemyError):
            await connection.rollback()
            await connection.close()
        return failure

    async def close(self) -> None:
        """Let go of every connection that is free, after the last COMMIT: whoever comes next opens one anew."""
        async with self._lock:  # nobody is in the middle of a turn, and nobody begins one meanwhile
            if self._group is not None:
                await self._tell(self._group)
            connection, self._connection, self._driver = self._connection, None, None
            if connection is not None:
                await connection.close()
            await self._engine.dispose()
        if self._committing:
            await asyncio.wait(tuple(self._committing))


def _as_sqlalchemy(error: BaseException) -> BaseException:
    """What the statement would have raised had anybody waited for it."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig  # one object for each who waited: a traceback grows on it
    if isinstance(error, sqlite3.Error):
        return DBAPIError.instance("COMMIT", None, error, sqlite3.Error, hide_parameters=True)
    return error
