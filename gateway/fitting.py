"""How text fits a width, in a terminal's cells: for the engineer's tables and for the operator's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len, chop_cells

_WORD: Final = 64
"""A word is broken only where it is longer: not an address, nor a key's fingerprint."""
_NARROWEST: Final = 6


def least(column: Sequence[str]) -> int:
    """How narrow a column can be without breaking a word."""
    return max(min(cell_len(word), _WORD) for cell in column for word in (*cell.split(), ""))


def fitted(wanted: Sequence[int], at_least: Sequence[int], room: int) -> list[int]:
    """Widths of columns that have so much room in all: the widest gives way first, and words are broken last."""
    widths = list(wanted)
    over = sum(widths) - room
    for least_of in (at_least, [_NARROWEST] * len(widths)):
        while over > 0 and (able := [i for i, width in enumerate(widths) if width > least_of[i]]):
            widths[max(able, key=lambda i: widths[i])] -= 1
            over -= 1
    return widths


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
