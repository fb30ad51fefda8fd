"""SQLite under an event loop: what a cancelled task may not leave behind, and one trip to its thread a statement.

A statement that has been handed to SQLite's thread runs to its end whatever becomes of the task that waits for it.
If the wait ended first, `BEGIN IMMEDIATE` would take the write lock for nobody, and nothing could be written until
the garbage collector found the connection. So a wait ends with its statement, and the cancellation comes then.

Most of what a short statement costs is its trips to SQLite's thread and back. aiosqlite makes four (a cursor, the
statement, its rows, the cursor's end): here the statement takes all of it along, and the first one of a transaction
its BEGIN. Nobody waits for the end of one that only read, and nobody for a plain INSERT or an UPDATE that is marked
UNASKED: it goes along with the next statement, or with the COMMIT, which raises what was wrong with it. Many rows that
are put off go ahead by themselves, so that SQLite is at work while the rest is still being made.

Private names of aiosqlite 0.22 (pinned; tests/store/test_cancelled.py fails when they change): `_execute`, `_connect`,
`_tx`, `_running`, `_connection`, `_conn`, `_connector`, `_thread`.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import aiosqlite
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite

from gateway.store.settled import settled
from gateway.store.units import How, Left, Trip, Unit, do, finish

UNASKED: Final = "/* unasked */"
"""Stands before the table of an UPDATE (`prefix_with`) of which nobody asks how many rows it changed."""
_LATER: Final = re.compile(
    r"INSERT INTO \w+ \([^()]*\) VALUES \([?, ]*\)(?: ON CONFLICT (?!.* RETURNING ).*)?$|"
    r"UPDATE /\* unasked \*/ (?!.* RETURNING )",
    re.DOTALL,
)
"""Rows of values, or a change, with nothing to give back."""
_AHEAD: Final = 64
"""Rows put off that are worth a trip of their own: as many as a statement takes (units.py)."""
_AT_ONCE: Final = 1_000
"""Rows that come back with the statement itself; only a longer answer keeps its cursor open."""


class Cursor(aiosqlite.Cursor):
    """aiosqlite's, with a statement's first rows fetched in the same trip. Closed already when those are all."""

    def __init__(self, connection: Connection) -> None:
        self._conn: Connection = connection
        self._open: sqlite3.Cursor | None = None
        self._first: list[Any] = []
        self._about: tuple[Any, int, int | None] = (None, -1, None)
        self._size = 1

    def _run(self, trip: Trip, many: bool, sql: str, values: Any) -> None:
        # In SQLite's thread.
        cursor = self._conn._conn.cursor()
        try:
            self._conn.catch_up(cursor, trip)
            if many:
                cursor.executemany(sql, values)
            else:
                cursor.execute(sql, values)
            self._first = [] if cursor.description is None else cursor.fetchmany(_AT_ONCE)
        except BaseException:
            cursor.close()
            raise
        self._about = (cursor.description, cursor.rowcount, cursor.lastrowid)
        if len(self._first) == _AT_ONCE:
            self._open = cursor
        else:
            cursor.close()

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Cursor:
        """Run one statement."""
        await self.close()
        values = () if parameters is None else parameters
        if _LATER.match(sql):
            self._conn.later.append((How.ONE, sql, values))
            self._about = (None, 1 if sql.startswith("INSERT") else -1, None)
        else:
            await self._conn._execute(self._run, self._conn.take(), False, sql, values)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> Cursor:
        """Run it once for each."""
        await self.close()
        if _LATER.match(sql):
            rows = list(parameters)
            self._conn.later.append((How.MANY, sql, rows))
            self._about = (None, len(rows) if sql.startswith("INSERT") else -1, None)
        else:
            await self._conn._execute(self._run, self._conn.take(), True, sql, parameters)
        return self

    async def fetchall(self) -> list[Any]:
        """What is left."""
        found, self._first = self._first, []
        if self._open is not None:
            found += await self._conn._execute(self._open.fetchall)
        return found

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next few."""
        wanted = self._size if size is None else size
        found, self._first = self._first[:wanted], self._first[wanted:]
        if not found and self._open is not None:
            found = await self._conn._execute(self._open.fetchmany, wanted)
        return found

    async def fetchone(self) -> Any:
        """The next one, or None."""
        return next(iter(await self.fetchmany(1)), None)

    async def close(self) -> None:
        """Let go of what a long answer still holds."""
        self._first = []
        if self._open is not None:
            cursor, self._open = self._open, None
            await self._conn._execute(cursor.close)

    @property
    def description(self) -> Any:
        """The columns, or None for a statement that gives none."""
        return self._about[0]

    @property
    def rowcount(self) -> int:
        """How many rows were changed; -1 where it cannot be told."""
        return self._about[1]

    @property
    def lastrowid(self) -> int | None:
        """The key that SQLite gave the last row."""
        return self._about[2]

    @property
    def arraysize(self) -> int:
        """How many rows `fetchmany` gives."""
        return self._size

    @arraysize.setter
    def arraysize(self, value: int) -> None:
        self._size = value


class Connection(aiosqlite.Connection):
    """aiosqlite's, never left while its thread is at work."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, 64)
        self._thread.daemon = True
        self.to_begin = ""
        self.later: list[Left] = []
        self._reads = self._ending = False
        self._unit: Unit | None = None
        self._ended: list[Unit] = []
        self._put_off = 0
        self._ahead = False
        self._began = False
        self._lost: Exception | None = None

    def take(self) -> Trip:
        """What was left for the next trip to SQLite's thread, which takes it along as it is now."""
        trip = Trip(self.to_begin, self._ended, self._unit, self.later)
        self.to_begin, self._ended, self.later, self._put_off = "", [], [], 0
        return trip

    def catch_up(self, cursor: sqlite3.Cursor, trip: Trip) -> None:
        """In SQLite's thread: do it."""
        if self._lost is not None:
            raise self._lost
        try:
            if trip.begin:
                cursor.execute(trip.begin)
                self._began = True
            finish(self._conn, cursor, trip.ended)
        except Exception as error:
            # What units that ended before had left is gone with it: no COMMIT may say that it was kept.
            self._lost = error
            raise
        if trip.unit is not None:
            trip.unit.begin(cursor)
        do(cursor, trip.later)

    def _catch_up_ahead(self, trip: Trip) -> None:
        """Nobody waits for this: what was wrong is kept for whoever comes next in the same transaction."""
        cursor = self._conn.cursor()
        try:
            self.catch_up(cursor, trip)
        except Exception as error:
            if trip.unit is not None and self._lost is None and self._conn.in_transaction:
                trip.unit.error = error
            else:
                self._lost = error
        finally:
            cursor.close()

    def _catch_up_and_commit(self, trip: Trip) -> None:
        cursor = self._conn.cursor()
        try:
            self.catch_up(cursor, trip)
            self._conn.commit()
            self._began = False
        finally:
            cursor.close()

    def _undo_all(self) -> None:
        self._conn.rollback()
        self._began, self._lost = False, None

    def begun(self) -> bool:
        """True while a transaction is open."""
        return self._connection is not None and self._connection.in_transaction

    def put_off(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        """Insert rows in the transaction that is open, at the next trip, or at once in its thread when there are many:
        what is wrong with them is said at the next statement, or when the transaction ends."""
        self.later.append((How.ROWS, sql, rows))
        self._put_off += len(rows)
        if self._put_off >= _AHEAD:
            if self._unit is not None:
                self._unit.ahead = True
            self._ahead = True
            self._tx.put_nowait((None, partial(self._catch_up_ahead, self.take())))

    def open_unit(self) -> Unit:
        """Begin one of the transactions that share this one's COMMIT."""
        self._unit = unit = Unit()
        return unit

    def close_unit(self, *, keep: bool) -> None:
        """End it: what is left of it is done, or it is undone, at the next trip to SQLite's thread."""
        unit, self._unit = self._unit, None
        later, self.later = self.later, []
        if unit is not None and (unit.saved or unit.ahead or (keep and later)):
            unit.left, unit.keep = later if keep else [], keep
            self._ended.append(unit)

    def cursor(self, *_: Any, **__: Any) -> Any:
        """A Cursor, without a trip."""
        return Cursor(self)

    def begin(self, *, reads: bool) -> None:
        """Begin a transaction with the next statement: one that only reads, or one that takes the write lock."""
        self.to_begin, self._reads, self._ending = "BEGIN" if reads else "BEGIN IMMEDIATE", reads, False

    async def commit(self) -> None:
        """Commit. The end of what only read has nothing that could fail: the next statement comes after it anyway."""
        if self._lost is not None:
            raise self._lost
        if self._began and not self.begun():
            # A full disk, say: SQLite undid all of it, and a COMMIT would say that it was kept.
            raise sqlite3.OperationalError("the transaction was given up")
        if self.later or self._ended or self._ahead:
            await self._execute(self._catch_up_and_commit, self.take())
            self._ahead = False
            return
        self.to_begin = ""
        if self._connection is None or not self._connection.in_transaction:
            return
        if self._reads:
            self._ending = True
            self._tx.put_nowait((None, self._connection.commit))
        else:
            await super().commit()
        self._began = False

    async def rollback(self) -> None:
        """Roll back, where there is something to roll back: SQLAlchemy asks after every commit too."""
        self.take()
        if self._ahead:  # whatever its thread still has to do of this comes first
            self._ahead = False
            await self._execute(self._undo_all)
            return
        self._began, self._lost = False, None
        if self._connection is not None and self._connection.in_transaction and not self._ending:
            await super().rollback()

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


class Dialect(SQLiteDialect_aiosqlite):
    """SQLAlchemy's for aiosqlite, whose transactions begin as writers; `Store.look` says otherwise of its own.

    In the dialect because a listener for the engine's "begin" would cost at every statement: as soon as there is any
    listener, SQLAlchemy asks for all kinds of them each time.
    """

    driver = "frameroom"
    supports_statement_cache = True

    def do_begin(self, dbapi_connection: Any) -> None:
        """Take the write lock with the first statement."""
        dbapi_connection.driver_connection.begin(reads=False)


registry.register("sqlite.frameroom", __name__, Dialect.__name__)


def connect(database: str, **options: Any) -> Connection:
    """What SQLAlchemy is given as `async_creator_fn`."""
    return Connection(partial(sqlite3.connect, database, **options))
