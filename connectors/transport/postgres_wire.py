"""Statements on their way to PostgreSQL and back: as many together as depend on nothing of each other's answers.

A phone system may be far away, and what a short statement costs is the way there. Those of one trip run in order, each
with its own view of the data; when one fails, none of those after it runs. Answers are taken row by row, so that one
without end is noticed and not collected. A statement that a connection sends again is prepared: the server plans it
once. Source: PostgreSQL, "Pipeline Mode" and "Retrieving Query Results Row-by-Row" of libpq.

Not among what psycopg documents (3.3, pinned): `generators.send` and `generators.fetch`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import psycopg
from psycopg import abc, errors, generators, pq, sql
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq.abc import PGresult

Row = tuple[Any, ...]

_VALUE: Final = re.compile(rb"%(?:\((\w+)\)s|%)")
_ROWS: Final = (pq.ExecStatus.SINGLE_TUPLE, pq.ExecStatus.TUPLES_OK)


class TooLarge(Exception):
    """An answer went on and on. The connection is in the middle of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave: its rows, and how many it touched."""

    rows: list[Row]
    count: int


@dataclass(slots=True)
class Statement:
    """A statement as libpq takes it, with its values by place; and under which names it was prepared, by the types of
    its values, once it was sent for a second time."""

    text: bytes
    values: tuple[str, ...]
    prepared: dict[tuple[int, ...], bytes | None] = field(default_factory=dict)

    @classmethod
    def of(cls, composed: sql.Composed, connection: psycopg.AsyncConnection[Any]) -> Statement:
        """From a template with values by name (`%(id)s`)."""
        values: dict[str, int] = {}

        def place(found: re.Match[bytes]) -> bytes:
            if found[1] is None:
                return b"%"
            return b"$%d" % values.setdefault(found[1].decode(), len(values) + 1)

        return cls(_VALUE.sub(place, composed.as_bytes(connection)), tuple(values))


class Trip:
    """What is asked together, and how far its answers came. `most`: rows, and characters, of any one of them."""

    _names = count(1)

    def __init__(self, connection: psycopg.AsyncConnection[Any], most: tuple[int, int]) -> None:
        self._connection, self._pgconn, self._most = connection, connection.pgconn, most
        self.answers: list[Answer] = []
        """Of the statements that were done, in order."""
        self.error: psycopg.Error | None = None
        """What the server said of the one after those; it did none of the rest."""
        self.sent = False
        """Whether any of it may have arrived."""

    def _bound(self, statement: Statement, values: Mapping[str, Any]) -> tuple[Statement, Any, abc.Transformer]:
        given = [values[name] for name in statement.values]
        transformer = Transformer(self._connection)
        return statement, transformer.dump_sequence(given, [PyFormat.TEXT] * len(given)), transformer

    def run(self, asked: Sequence[tuple[Statement, Mapping[str, Any]]]) -> abc.PQGen[None]:
        """There and back. psycopg.Error when the connection is lost; TooLarge."""
        bound = [self._bound(statement, values) for statement, values in asked]
        for _ in ("its last words", "its end"):  # of a server that has hung up: noticed before anything is sent
            self._pgconn.consume_input()
        self._pgconn.enter_pipeline_mode()
        self.sent = True
        preparing = [self._send(*one) for one in bound]
        self._pgconn.pipeline_sync()
        yield from generators.send(self._pgconn)
        for (_, _, transformer), prepares in zip(bound, preparing, strict=True):
            if prepares:
                yield from self._prepared()
            if self.error is None:
                yield from self._answer(transformer)
            if self.error is not None:
                break
        yield from self._to_the_end()
        self._pgconn.exit_pipeline_mode()
        for (statement, _, transformer), prepares in zip(bound, preparing, strict=True):
            if prepares and self.error is not None:
                statement.prepared[transformer.types or ()] = None  # it may not have come to that
            statement.prepared.setdefault(transformer.types or (), None)

    def _send(self, statement: Statement, values: Any, transformer: abc.Transformer) -> bool:
        """Whether it is prepared on the way."""
        types, formats = transformer.types or (), transformer.formats
        if types not in statement.prepared:
            self._pgconn.send_query_params(statement.text, values, param_types=types, param_formats=formats)
            return False
        name = statement.prepared[types]
        if prepares := name is None:
            name = statement.prepared[types] = b"s%d" % next(self._names)
            self._pgconn.send_prepare(name, statement.text, param_types=types)
        self._pgconn.send_query_prepared(name, values, param_formats=formats)
        return prepares

    def _prepared(self) -> abc.PQGen[None]:
        while (result := (yield from generators.fetch(self._pgconn))) is not None:
            if result.status != pq.ExecStatus.COMMAND_OK:
                self._failed(result)

    def _answer(self, transformer: abc.Transformer) -> abc.PQGen[None]:
        rows, size, touched = list[Row](), 0, 0
        self._pgconn.set_single_row_mode()
        while (result := (yield from generators.fetch(self._pgconn))) is not None:
            if result.status in _ROWS:
                transformer.set_pgresult(result, set_loaders=not rows)
                some = transformer.load_rows(0, result.ntuples, tuple)
                rows += some
                size += sum(len(str(value)) for row in some for value in row)
                if len(rows) > self._most[0] or size > self._most[1]:
                    raise TooLarge
            elif result.status != pq.ExecStatus.COMMAND_OK:
                self._failed(result)
            touched = result.command_tuples or 0
        if self.error is None:
            self.answers.append(Answer(rows, touched))

    def _failed(self, result: PGresult) -> None:
        self.error = self.error or errors.error_from_result(result, "utf-8")

    def _to_the_end(self) -> abc.PQGen[None]:
        """Past what the server leaves out after an error. A connection that it ended has no end to come to."""
        while self._pgconn.status == pq.ConnStatus.OK:
            result = yield from generators.fetch(self._pgconn)
            if result is not None and result.status == pq.ExecStatus.PIPELINE_SYNC:
                return
