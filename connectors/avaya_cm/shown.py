"""What of an answer is shown at the prompt: the values as they come, a line for each object. No I/O here.

What the fields are called the phone system does not say, and their ids are not public but for three: a list of few
fields is a row of values, anything longer a line for each field that has one, with its id.
"""

from __future__ import annotations

from typing import Final

from connectors.avaya_cm.answers import NO_RECORDS, Lines
from connectors.avaya_cm.messages import EXTENSION, NAME, TYPE

_KNOWN: Final = {EXTENSION.encode(): b"extension", NAME.encode(): b"name", TYPE.encode(): b"type"}
_A_ROW: Final = 8
"""Fields that still fit a row."""


class Shown(Lines):
    """What can be shown, as it comes."""

    most_ids = 200

    def __init__(self) -> None:
        super().__init__()
        self._told: list[bytes] = []

    def line(self, line: bytes) -> None:
        """As of any answer; that there is nothing of the kind is no error here, and said."""
        super().line(line)
        if self.ended and self.refused == NO_RECORDS:
            self._told.append(b"There is nothing of the kind.\n")
            self.refused = None

    def take(self) -> bytes:
        """What can be shown since this was last asked for."""
        told, self._told = b"".join(self._told), []
        return told

    def _object(self, values: list[list[bytes]]) -> None:
        fields = [(_KNOWN.get(one, one), value) for one, value in self._fields(values)]
        if len(fields) <= _A_ROW:
            if not self._begun:
                self._told.append(b" | ".join(one for one, _ in fields) + b"\n")
            self._told.append(b" | ".join(value for _, value in fields) + b"\n")
        else:
            if self._begun:
                self._told.append(b"\n")
            self._told += [b"%-10s %s\n" % field for field in fields if field[1]]
        self._begun = True
