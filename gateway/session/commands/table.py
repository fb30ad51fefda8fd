"""Tables on a terminal of any width: nothing of a value is cut. What is too wide is folded, or stands upright."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len, set_cell_size

from gateway.fitting import fitted, folded, least
from gateway.harmless import shown

_GAP: Final = 2
_ID: Final = re.compile("[a-z]{3}_[0-9a-f]{24}")
_ID_SHOWN: Final = 12
"""Characters of an id by which everybody finds it."""


def _cell(value: Any) -> str:
    return shown(str("" if value is None else value))


class Columns:
    """A table that may come in pieces: one header, and columns that keep their place as far as the width lets them."""

    def __init__(self, width: int, at_least: Mapping[str, int] | None = None) -> None:
        """As wide as `width` cells; `at_least` gives columns a width from the start, for rows that come one by one."""
        self._width, self._at_least = width, at_least or {}
        self._wanted: list[int] = []
        self._narrowest: list[int] = []
        self._upright = self._short = False

    def lines(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """The rows, under a header when they are the first; on a narrow terminal the widest columns are folded.

        What does not even fit so stands upright, a line a value; and so does a single row that would be folded.
        """
        names = list(rows[0])
        cells = [[_cell(row[name]) for name in names] for row in rows]
        first = not self._wanted
        if first:
            self._begin(names, cells)
        if self._short:
            cells = [[_ID.sub(lambda found: found[0][:_ID_SHOWN], cell) for cell in line] for line in cells]
        if self._upright:
            return ("" if first else "\n") + "\n".join(self._stood_up(names, line) for line in cells)
        self._wanted = [max(w, *(cell_len(line[i]) for line in cells)) for i, w in enumerate(self._wanted)]
        widths = fitted(self._wanted, self._narrowest, self._width - _GAP * (len(names) - 1))
        head = [[name.upper() for name in names]] if first else []
        return "".join(_line(line, widths) for line in [*head, *cells])

    def _begin(self, names: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        """Decide, by the first rows, how the table stands."""
        self._wanted = [max(cell_len(name), self._at_least.get(name, 0)) for name in names]
        whole = [max(w, *(cell_len(line[i]) for line in cells)) for i, w in enumerate(self._wanted)]
        gaps = _GAP * (len(names) - 1)
        if sum(whole) + gaps <= self._width:
            self._narrowest = [0] * len(names)
            return
        if len(cells) == 1 and not self._at_least:
            self._upright = True
            return
        self._short = True
        columns = [[name, *(_ID.sub("x" * _ID_SHOWN, line[i]) for line in cells)] for i, name in enumerate(names)]
        self._narrowest = [least(column) for column in columns]
        self._upright = sum(self._narrowest) + gaps > self._width

    def _stood_up(self, names: Sequence[str], cells: Sequence[str]) -> str:
        label = max(map(cell_len, names))
        room = max(self._width - label - _GAP, _ID_SHOWN)
        named = [(name, cell) for name, cell in zip(names, cells, strict=True) if cell]
        return "".join(_line([name.upper(), cell], [label, room]) for name, cell in named)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = [folded(cell, width) for cell, width in zip(cells, widths, strict=True)]
    return "".join(
        (" " * _GAP)
        .join(
            set_cell_size(part[n], width) if n < len(part) else " " * width
            for part, width in zip(parts, widths, strict=True)
        )
        .rstrip()
        + "\n"
        for n in range(max(map(len, parts)))
    )
