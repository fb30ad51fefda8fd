"""The whole database as rows that any database takes: what a backup holds.

One form for SQLite and PostgreSQL, read in one consistent view: it needs no tool beside Frameroom, copies no page
that a deleted secret may still stand in, and lets an embedded deployment be restored as a grown one. A page is a
table's name and lines of JSON, a list of values each, in the order of `shape`'s columns; bytes are base64.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import Engine, LargeBinary, MetaData, create_engine, func, insert, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import InvalidError, UnavailableError
from gateway.store import schema
from gateway.store.engine import EVERYONE, Scope
from gateway.store.tables import metadata

_PAGE: Final = 1 << 20
_FETCH: Final = 200

Shape = dict[str, dict[str, list[str]]]


def shape() -> Shape:
    """Every table with its columns, and which of them hold bytes; in an order that references can be filled in."""
    return {
        table.name: {
            "columns": [column.name for column in table.columns],
            "bytes": [column.name for column in table.columns if isinstance(column.type, LargeBinary)],
        }
        for table in metadata.sorted_tables
    }


async def dump(scope: Scope) -> AsyncIterator[tuple[str, bytes]]:
    """(table, page) of everything that `scope` sees, about 1 MiB at a time."""
    for table in metadata.sorted_tables:
        lines = bytearray()
        found = await scope.connection.stream(select(table).execution_options(yield_per=_FETCH))
        async for row in found:
            values = [base64.b64encode(v).decode() if isinstance(v, bytes) else v for v in row]
            lines += json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            if len(lines) > _PAGE:
                yield table.name, bytes(lines)
                lines.clear()
        if lines:
            yield table.name, bytes(lines)


class Loader:
    """Fills an empty database, all or nothing: leaving it by an error leaves the database empty.

    `url` is the owner's; `revision` the schema that the rows were dumped under. UnavailableError when the database
    is not there, InvalidError when it is not empty or the schema is not known here.
    """

    def __init__(self, url: str, revision: str, tables: Shape) -> None:
        self._url, self._revision, self._tables = url, revision, tables

    def __enter__(self) -> Self:
        self._engine: Engine = create_engine(schema.sync_url(self._url))
        try:
            if set(inspect(self._engine).get_table_names()) - {"alembic_version"}:
                raise InvalidError("the database is not empty", next_step="Give one with nothing in it.")
            schema.upgrade(self._url, self._revision)
            found = MetaData()
            found.reflect(self._engine)
            self._found = found
            self._connection = self._engine.connect()
            if self._engine.dialect.name == "postgresql":
                self._connection.execute(text("select set_config('frameroom.customer', :all, true)"), {"all": EVERYONE})
        except schema.UnknownSchema as error:
            self._engine.dispose()
            raise InvalidError(
                f"the backup was made under schema {self._revision:.20}, which this program does not know",
                next_step="Install the version that made it, restore, and upgrade from there.",
            ) from error
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise UnavailableError(f"the database to restore into cannot be used ({type(error).__name__})") from error
        except BaseException:
            self._engine.dispose()
            raise
        return self

    def take(self, table: str, page: bytes) -> int:
        """Put a page into its table; how many rows. InvalidError when they do not fit."""
        known = self._tables.get(table)
        if known is None or table not in self._found.tables:
            raise InvalidError(f"the backup has a table that its schema does not know: {table:.60}")
        try:
            rows = [self._row(known, line) for line in page.splitlines()]
            self._connection.execute(insert(self._found.tables[table]), rows)
        except (ValueError, TypeError, KeyError, SQLAlchemyError) as error:
            raise InvalidError(f"rows of {table} do not fit ({type(error).__name__})") from error
        return len(rows)

    @staticmethod
    def _row(known: Mapping[str, list[str]], line: bytes) -> dict[str, Any]:
        row = dict(zip(known["columns"], json.loads(line), strict=True))
        for name in known["bytes"]:
            if row[name] is not None:
                row[name] = base64.b64decode(row[name], validate=True)
        return row

    def finish(self) -> None:
        """Keep it, and bring it to the schema of this program."""
        if self._engine.dialect.name == "postgresql":
            entries = self._found.tables["entries"]
            top = select(func.max(entries.c.seq)).scalar_subquery()
            self._connection.execute(select(func.setval(func.pg_get_serial_sequence("entries", "seq"), top)))
        self._connection.commit()
        self._connection.close()
        schema.upgrade(self._url)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._engine.dispose()
        if kind is not None:
            schema.downgrade(self._url, "base")
