"""SQLite under an event loop: what a cancelled task may not leave behind.

A statement that has been handed to SQLite's thread runs to its end whatever becomes of the task that waits for it.
If the wait ended first, `BEGIN IMMEDIATE` would take the write lock for nobody, and nothing could be written until
the garbage collector found the connection. So a wait ends with its statement, and the cancellation comes then.

Private names of aiosqlite 0.22 (pinned; tests/store/test_cancelled.py fails when they change): `_execute`, `_connect`,
`_tx`, `_running`, `_connection`, `_connector`, `_thread`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import aiosqlite


async def settled(future: asyncio.Future[Any]) -> Any:
    """The future's result; a cancellation waits until there is one, and is raised then."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            if future.cancelled():
                raise
            cancelled = error
        except Exception:
            break
    if cancelled is not None:
        future.exception()
        raise cancelled
    return future.result()


class Connection(aiosqlite.Connection):
    """aiosqlite's, never left while its thread is at work."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, 64)
        self._thread.daemon = True

    def stop(self) -> asyncio.Future[Any] | None:
        """Once: after the thread has ended nobody would answer a second call."""
        if not self._running:
            return None
        if self._connection is not None:
            self._tx.put_nowait((None, self._connection.rollback))
        return super().stop()

    async def close(self) -> None:
        """Roll back, then close.

        Closing alone is not enough: SQLite keeps a closed connection, and its lock, for as long as a cursor lives
        that was not read to its end, and a cancelled task's traceback holds one.
        """
        if self._connection is not None and self._running:
            await self._execute(self._connection.rollback)
        await super().close()

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self._running or not self._connection:
            raise ValueError("Connection closed")
        future = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((future, partial(fn, *args, **kwargs)))
        return await settled(future)

    async def _connect(self) -> Connection:
        future = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((future, self._connector))
        try:
            self._connection = await settled(future)
        except BaseException:
            self.stop()
            raise
        return self


def connect(database: str, **options: Any) -> Connection:
    """What SQLAlchemy is given as `async_creator_fn`."""
    return Connection(partial(sqlite3.connect, database, **options))
