"""What of an answer is shown at the prompt: the values as they come, a line for each object. No I/O here.

What the fields are called the phone system does not say, and their ids are not public but for three: a list of few
fields is a row of values, anything longer a line for each field that has one, with its id.
"""

from __future__ import annotations

from typing import Final

from connectors.avaya_cm.answers import MAX_LINE, NO_RECORDS, NONSENSE, code_of
from connectors.avaya_cm.messages import EXTENSION, NAME, TYPE
from connectors.errors import ProtocolViolation

_KNOWN: Final = {EXTENSION.encode(): b"extension", NAME.encode(): b"name", TYPE.encode(): b"type"}
_A_ROW: Final = 8
"""Fields that still fit a row."""
_MOST_FIELDS: Final = 200
"""Lines of them, each as long as a line may be."""


class Shown:
    """One answer as it comes, line by line. `refused`: the code of an error, or None."""

    def __init__(self) -> None:
        self.refused: str | None = None
        self.ended = False
        self._ids: list[list[bytes]] = []
        self._values: list[list[bytes]] = []
        self._begun = False
        self._told: list[bytes] = []

    def line(self, line: bytes) -> None:
        """One line without its end. ProtocolViolation for what makes no sense, or is too much."""
        kind, rest = line[:1], line[1:]
        if self.ended or len(line) > MAX_LINE:
            raise ProtocolViolation(NONSENSE)
        match kind:
            case b"f":
                if self._values or self._begun or len(self._ids) >= _MOST_FIELDS:
                    raise ProtocolViolation(NONSENSE)
                self._ids.append(rest.split(b"\t"))
            case b"d":
                if len(self._values) >= len(self._ids) or len(rest.split(b"\t")) > len(self._ids[len(self._values)]):
                    raise ProtocolViolation(NONSENSE)
                self._values.append(rest.split(b"\t"))
            case b"n":
                self._object()
            case b"e":
                self.refused = self.refused or code_of(line)
            case b"t" if not rest:
                self._object()
                if self.refused == NO_RECORDS:
                    self._told.append(b"There is nothing of the kind.\n")
                    self.refused = None
                self.ended = True
            case b"c" | b"":
                pass
            case _:
                raise ProtocolViolation(NONSENSE)

    def take(self) -> bytes:
        """What can be shown since this was last asked for."""
        told, self._told = b"".join(self._told), []
        return told

    def _object(self) -> None:
        values, self._values = self._values, []
        if not values:
            return
        ids = [_KNOWN.get(one, one) for row in self._ids for one in row]
        held = [
            value.strip(b" ")
            for at, row in enumerate(self._ids)
            for value in [*(values[at] if at < len(values) else []), *[b""] * len(row)][: len(row)]
        ]
        if len(ids) <= _A_ROW:
            if not self._begun:
                self._told.append(b" | ".join(ids) + b"\n")
            self._told.append(b" | ".join(held) + b"\n")
        else:
            if self._begun:
                self._told.append(b"\n")
            self._told += [b"%-10s %s\n" % pair for pair in zip(ids, held, strict=True) if pair[1]]
        self._begun = True
