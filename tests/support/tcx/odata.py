"""The part of OData's `$filter` that a 3CX is asked with, compiled; anything else is refused as bad.

Source: OData 4.01 part 2, section 5.1.1; ASP.NET Core OData counts the parts of a filter (`MaxNodeCount`, 100).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<word>[A-Za-z_][A-Za-z0-9_/.]*)|(?P<mark>[(),]))", re.S)
MOST_NODES = 100
Row = Mapping[str, Any]
Value = Callable[[Row], Any]


class BadQuery(Exception):
    """What is answered with 400."""


@dataclass
class Filter:
    """`takes(row)`; `equal` the values of which one path has to be one, `between` bounds of it, where that is all."""

    takes: Callable[[Row], bool]
    equal: tuple[str, tuple[str, ...]] | None = None
    between: tuple[str, str, str] | None = None
    paths: frozenset[str] = frozenset()


class _Parser:
    def __init__(self, text: str, known: frozenset[str]) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = TOKEN.match(text, at)
            if found is None:
                raise BadQuery("syntax")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            at = found.end()
        self._at, self._known, self.nodes = 0, known, 0
        self.paths: set[str] = set()
        self.equals: list[tuple[str, str]] = []
        self.bounds: list[tuple[str, str, str]] = []
        self.simple = True
        self.joins: set[str] = set()

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise BadQuery("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _want(self, mark: str) -> None:
        if self._next() != ("mark", mark):
            raise BadQuery(f"{mark} was expected")

    def whole(self) -> Callable[[Row], bool]:
        made = self._either()
        if self._at != len(self._tokens):
            raise BadQuery("something follows")
        if self.nodes > MOST_NODES:
            raise BadQuery("the node count limit is exceeded")
        return made

    def _either(self) -> Callable[[Row], bool]:
        parts = [self._both()]
        while self._peek() == "or":
            self._joined("or")
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _both(self) -> Callable[[Row], bool]:
        parts = [self._one()]
        while self._peek() == "and":
            self._joined("and")
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _joined(self, how: str) -> None:
        self._next()
        self.nodes += 1
        self.joins.add(how)

    def _one(self) -> Callable[[Row], bool]:
        if self._peek() == "(":
            self._want("(")
            self.simple = False
            inner = self._either()
            self._want(")")
            return inner
        if self._peek() == "contains":
            self._next()
            self.nodes += 1
            self.simple = False
            self._want("(")
            where, _ = self._value()
            self._want(",")
            what, _ = self._value()
            self._want(")")
            return lambda row: (what(row) or "") in (where(row) or "")
        left, path = self._value()
        kind, word = self._next()
        if kind != "word" or word not in ("eq", "ge", "le"):
            raise BadQuery("an operator was expected")
        self.nodes += 1
        right, literal = self._value()
        if path and literal is None and word == "eq":
            self.equals.append((path, right({})))
        elif path:
            self.bounds.append((path, word, right({})))
        if word == "eq":
            return lambda row: bool(left(row) == right(row))
        if word == "ge":
            return lambda row: left(row) is not None and left(row) >= right(row)
        return lambda row: left(row) is not None and left(row) <= right(row)

    def _value(self) -> tuple[Value, str | None]:
        kind, word = self._next()
        self.nodes += 1
        if kind == "text":
            text = word[1:-1].replace("''", "'")
            return (lambda _: text), None
        if word == "tolower":
            self._want("(")
            inner, _ = self._value()
            self._want(")")
            return (lambda row: (inner(row) or "").lower()), None
        if kind != "word" or word not in self._known:
            raise BadQuery("no such property")
        self.paths.add(word)
        head, _, tail = word.partition("/")
        if not tail:
            return (lambda row: row.get(head)), word
        self.nodes += 1
        return (lambda row: (row.get(head) or {}).get(tail)), word


def compiled(text: str, known: frozenset[str]) -> Filter:
    """BadQuery for what is not taken."""
    parser = _Parser(text, known)
    takes = parser.whole()
    made = Filter(takes, paths=frozenset(parser.paths))
    paths = {path for path, _ in parser.equals}
    if parser.simple and not parser.bounds and parser.joins <= {"or"} and len(paths) == 1:
        made.equal = (paths.pop(), tuple(value for _, value in parser.equals))
    elif parser.simple and not parser.equals and parser.joins == {"and"} and len(parser.bounds) == 2:
        (path, _, low), (_, _, high) = sorted(parser.bounds, key=lambda bound: bound[1])
        made.between = (path, low, high)
    return made
