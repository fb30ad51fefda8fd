"""What is kept of the phone system's answers: the fields that were asked for, and nothing else. No I/O here.

An answer is lines: `c` the command, `f` ids of fields, `d` their values, `n` the next object, `e` an error, and `t`
its end. There may be several `f` lines, and as many `d` lines for each object: values belong to the line of ids that
stands at their own place, for the phone system leaves empty ones at the end of a line away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from connectors.avaya_cm.messages import EXTENSION, NAME, SHOWN, TYPE
from connectors.contract import Person
from connectors.errors import ProtocolViolation

MAX_LINE: Final = 8192
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


class Answer:
    """One answer as it comes, line by line. `refused`: the code of an error, or None; `most`: objects that may come."""

    def __init__(self, most: int = 0) -> None:
        self.stations: list[Station] = []
        self.refused: str | None = None
        self.ended = False
        self._most = most
        self._ids: list[list[bytes]] = []
        self._values: list[list[bytes]] = []

    def line(self, line: bytes) -> None:
        """One line without its end. ProtocolViolation for what makes no sense, or is too much."""
        kind, rest = line[:1], line[1:]
        if self.ended or len(line) > MAX_LINE:
            raise ProtocolViolation(NONSENSE)
        match kind:
            case b"f":
                if self._values or self.stations or len(self._ids) >= 8:
                    raise ProtocolViolation(NONSENSE)
                self._ids.append(rest.split(b"\t"))
            case b"d":
                self._values.append(rest.split(b"\t"))
            case b"n":
                self._object()
            case b"e":
                self.refused = self.refused or code_of(line)
            case b"t" if not rest:
                self._object()
                self.ended = True
            case b"c" | b"":
                pass
            case _:
                raise ProtocolViolation(NONSENSE)

    def _object(self) -> None:
        values, self._values = self._values, []
        if not values:
            return
        if len(values) > len(self._ids) or len(self.stations) >= self._most:
            # An answer to a write has no objects: what it tells is dropped, and it is no answer to a look.
            if not self._most:
                return
            raise ProtocolViolation(NONSENSE)
        found = dict[str, str]()
        for ids, row in zip(self._ids, values, strict=False):
            if len(row) > len(ids):
                raise ProtocolViolation(NONSENSE)
            for one, value in zip(ids, row, strict=False):
                key = one.decode("ascii", "replace")
                if key in SHOWN:
                    found[key] = value.decode("utf-8", "replace").strip(" ")
        extension = found.get(EXTENSION, "")
        if not re.fullmatch(r"[0-9]{1,13}", extension, re.ASCII):
            raise ProtocolViolation("the phone system described a station in a way that makes no sense")
        self.stations.append(Station(extension, found.get(NAME, ""), found.get(TYPE, "")))

    @property
    def none(self) -> bool:
        """Whether it said that there is nothing of the kind."""
        return self.refused == NO_RECORDS
