"""Tables on a terminal of any width: nothing of a value is cut. What is too wide is folded, or stands upright."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len, chop_cells, set_cell_size

from gateway.harmless import shown

_GAP: Final = 2
_WORD: Final = 32
"""Longer words may be broken where a terminal is narrow."""
_ID: Final = re.compile("[a-z]{3}_[0-9a-f]{24}")
_ID_SHOWN: Final = 12
"""Characters of an id by which everybody finds it."""


def _cell(value: Any) -> str:
    return shown(str("" if value is None else value))


def _least(column: Sequence[str]) -> int:
    """How narrow a column can be without breaking a word."""
    return max(min(cell_len(word), _WORD) for cell in column for word in (*cell.split(), ""))


def folded(text: str, width: int) -> list[str]:
    """The lines of a cell: broken between words, and inside one that is wider than all of it."""
    if cell_len(text) <= width:
        return [text]
    lines, line = [], ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if cell_len(joined) <= width:
            line = joined
            continue
        lines += [line] if line else []
        *whole, line = chop_cells(word, width) or [""]
        lines += whole
    return [*lines, line]


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
        widths = self._fitted()
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
        self._narrowest = [_least(column) for column in columns]
        self._upright = sum(self._narrowest) + gaps > self._width

    def _stood_up(self, names: Sequence[str], cells: Sequence[str]) -> str:
        label = max(map(cell_len, names))
        room = max(self._width - label - _GAP, _ID_SHOWN)
        named = [(name, cell) for name, cell in zip(names, cells, strict=True) if cell]
        return "".join(_line([name.upper(), cell], [label, room]) for name, cell in named)

    def _fitted(self) -> list[int]:
        """Widths that fit: the widest gives way, words last."""
        widths = list(self._wanted)
        over = sum(widths) + _GAP * (len(widths) - 1) - self._width
        for least in (self._narrowest, [6] * len(widths)):
            while over > 0:
                able = [i for i, width in enumerate(widths) if width > least[i]]
                if not able:
                    break
                widths[max(able, key=lambda i: widths[i])] -= 1
                over -= 1
        return widths


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
