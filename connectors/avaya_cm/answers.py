"""What is kept of the phone system's answers: the fields that were asked for, and nothing else. No I/O here.

An answer is lines: `c` the command, `f` ids of fields, `d` their values, `n` the next object, `e` an error, and `t`
its end. There may be several `f` lines, and as many `d` lines for each object: values belong to the line of ids that
stands at their own place, for the phone system leaves empty ones at the end of a line away.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import ClassVar, Final

from connectors.avaya_cm.messages import SHOWN
from connectors.contract import Person
from connectors.errors import ProtocolViolation

MAX_LINE: Final = 8192
_KEPT: Final = tuple(one.encode() for one in SHOWN)
NO_RECORDS: Final = "29cf"
"""The code of "No records match the specified query options"."""
_CODE: Final = re.compile(rb"e([0-9A-Za-z]{1,8}) ([0-9a-f]{8}) ([0-9a-f]{1,8})(?: .*)?", re.S)
NONSENSE: Final = "the phone system's answer is none that its protocol knows"


def code_of(line: bytes) -> str:
    """The code of an error's line; its words go no further."""
    found = _CODE.fullmatch(line)
    return found[3].decode() if found else "unknown"


@dataclass(frozen=True, slots=True)
class Station:
    """One of them."""

    extension: str
    name: str
    kind: str

    def person(self) -> Person:
        """As far as anybody may see: it has no addresses, and direct numbers are its numbering plan's."""
        return Person(self.extension, self.extension, self.name, None, None)


class Lines(ABC):
    """One answer as it comes, line by line. `refused`: the code of an error, or None."""

    most_ids: ClassVar[int]
    """Lines of ids that may come."""

    def __init__(self, *, takes: bool = True) -> None:
        self.refused: str | None = None
        self.ended = False
        self._ids: list[list[bytes]] = []
        self._values: list[list[bytes]] = []
        self._begun = False
        self._takes = takes

    def line(self, line: bytes) -> None:
        """One line without its end. ProtocolViolation for what makes no sense, or is too much."""
        kind, rest = line[:1], line[1:]
        if self.ended or len(line) > MAX_LINE:
            raise ProtocolViolation(NONSENSE)
        match kind:
            case b"f":
                if self._values or self._begun or len(self._ids) >= self.most_ids:
                    raise ProtocolViolation(NONSENSE)
                self._ids.append(rest.split(b"\t"))
            case b"d":
                self._value(rest.split(b"\t"))
            case b"n":
                self._next()
            case b"e":
                self.refused = self.refused or code_of(line)
            case b"t" if not rest:
                self._next()
                self.ended = True
            case b"c" | b"":
                pass
            case _:
                raise ProtocolViolation(NONSENSE)

    def _next(self) -> None:
        values, self._values = self._values, []
        if values:
            self._object(values)

    def _value(self, row: list[bytes]) -> None:
        if not self._takes:
            return  # an answer to a write has no objects: what it tells is dropped
        if len(self._values) >= len(self._ids) or len(row) > len(self._ids[len(self._values)]):
            raise ProtocolViolation(NONSENSE)
        self._values.append(row)

    def _fields(self, values: list[list[bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """Each id and its value, empty where none was sent."""
        for ids, row in zip_longest(self._ids, values, fillvalue=()):
            yield from ((one, value.strip(b" ")) for one, value in zip_longest(ids, row, fillvalue=b""))

    @abstractmethod
    def _object(self, values: list[list[bytes]]) -> None:
        """What has come of one object, at its end."""


class Answer(Lines):
    """What was asked for, kept. `most`: objects that may come."""

    most_ids = 8

    def __init__(self, most: int = 0) -> None:
        super().__init__(takes=most > 0)
        self.stations: list[Station] = []
        self._most = most

    def _object(self, values: list[list[bytes]]) -> None:
        if len(self.stations) >= self._most:
            raise ProtocolViolation(NONSENSE)
        found = {key: value.decode("utf-8", "replace") for key, value in self._fields(values) if key in _KEPT}
        extension = found.get(_KEPT[0], "")
        if not re.fullmatch(r"[0-9]{1,13}", extension, re.ASCII):
            raise ProtocolViolation("the phone system described a station in a way that makes no sense")
        self.stations.append(Station(extension, *(found.get(key, "") for key in _KEPT[1:])))
        self._begun = True

    @property
    def none(self) -> bool:
        """Whether it said that there is nothing of the kind."""
        return self.refused == NO_RECORDS
