"""What was left for the next trip to SQLite's thread, and doing it there: each transaction's part, and alone.

Every statement lets Python's lock go and waits to have it back, for as long as a busy event loop keeps it. So rows are
inserted many to a statement, and the rows of transactions that do nothing but append to the log as if they were one's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from itertools import chain, groupby
from typing import Any, Final

_SAVE, _KEEP, _UNDO = "SAVEPOINT unit", "RELEASE unit", "ROLLBACK TO unit"
_VALUES: Final = " VALUES "
_SIZES: Final = (64, 16, 4, 1)
"""Rows a statement: few sizes, so that SQLite has each compiled already."""


class How(Enum):
    """How a statement that was left is run."""

    ONE = 1
    MANY = 2
    ROWS = 3
    """An INSERT of rows as the driver takes them, that may stand beside others' (`Connection.put_off`)."""


Left = tuple[How, str, Any]


@dataclass(slots=True)
class Unit:
    """One of several transactions that share a COMMIT (grouped.py): a savepoint, which ends alone.

    `left` is what is to be done for it at the next trip to SQLite's thread; `ahead` says that some of it went there
    already, and `error` why nothing of it was kept.
    """

    left: list[Left] = field(default_factory=list)
    saved: bool = False
    ahead: bool = False
    keep: bool = True
    error: BaseException | None = None

    def begin(self, cursor: sqlite3.Cursor) -> None:
        """Its savepoint, if it has none yet. What went wrong with it before is raised again: it ends without effect."""
        if self.error is not None:
            raise self.error
        if not self.saved:
            cursor.execute(_SAVE)
            self.saved = True


@dataclass(frozen=True, slots=True)
class Trip:
    """What goes to SQLite's thread together: a BEGIN ("" for none), units that ended, and what the open one has left
    (or the transaction itself, where none shares it)."""

    begin: str
    ended: list[Unit]
    unit: Unit | None
    later: list[Left]


def do(cursor: sqlite3.Cursor, left: Iterable[Left]) -> None:
    """What was left, in order."""
    for how, sql, values in left:
        if how is How.ONE:
            cursor.execute(sql, values)
        elif how is How.MANY:
            cursor.executemany(sql, values)
        else:
            _insert(cursor, sql, values)


def finish(connection: sqlite3.Connection, cursor: sqlite3.Cursor, ended: Sequence[Unit]) -> None:
    """The rest of units that have ended, or all of them. An error is the unit's own, unless SQLite gave everything up
    (a full disk): that is everybody's, and raised."""
    for only_rows, units in groupby(ended, _is_only_rows):
        some = list(units)
        if not (only_rows and len(some) > 1 and _together(connection, cursor, some)):
            for unit in some:
                _finish(connection, cursor, unit)


def _is_only_rows(unit: Unit) -> bool:
    return unit.keep and not unit.saved and unit.error is None and all(how is How.ROWS for how, _, _ in unit.left)


def _together(connection: sqlite3.Connection, cursor: sqlite3.Cursor, units: Sequence[Unit]) -> bool:
    """The rows of all of them, table by table. False when that cannot be: nothing was done then."""
    rows: dict[str, list[Any]] = {}
    for _, sql, values in chain.from_iterable(unit.left for unit in units):
        rows.setdefault(sql, []).extend(values)
    cursor.execute(_SAVE)
    done = True
    try:
        for sql, values in rows.items():
            _insert(cursor, sql, values)
    except Exception:
        if not connection.in_transaction:
            raise
        done = False  # one of them has what does not go in: which one shows when each is done by itself
        cursor.execute(_UNDO)
    cursor.execute(_KEEP)
    return done


def _finish(connection: sqlite3.Connection, cursor: sqlite3.Cursor, unit: Unit) -> None:
    keep = unit.keep
    try:
        unit.begin(cursor)
        do(cursor, unit.left)
    except Exception as error:
        if not connection.in_transaction:
            raise
        unit.error, keep = error, False
    if unit.saved:
        if not keep:
            cursor.execute(_UNDO)
        cursor.execute(_KEEP)


def _insert(cursor: sqlite3.Cursor, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    at = 0
    for size in _sizes(len(rows)):
        values = rows[0] if len(rows) == 1 else list(chain.from_iterable(rows[at : at + size]))
        cursor.execute(_of_rows(sql, size), values)
        at += size


def _sizes(rows: int) -> Iterator[int]:
    for size in _SIZES:
        while rows >= size:
            yield size
            rows -= size


@cache
def _of_rows(sql: str, size: int) -> str:
    """`INSERT … VALUES (?, ?) …` of so many rows."""
    head, _, rest = sql.partition(_VALUES)
    marks, closing, then = rest.partition(")")
    return head + _VALUES + ", ".join([marks + closing] * size) + then
