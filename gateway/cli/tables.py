"""Tables that fit the terminal, and plain lines when piped."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.times import local
from gateway.fitting import fitted, least
from gateway.harmless import shown

TIMES: Final = frozenset({"at", "time", "from", "until", "opened", "closed", "added", "submitted", "removed", "as of"})
"""Columns that are times: they travel in UTC and are shown in this machine's zone."""
_IDS: Final = frozenset({"id", "session"})
_ID: Final = re.compile("(?:req|gra|ses|sys|con|apr)_[0-9a-f]{24}")
_ID_SHOWN: Final = 12
_GAP: Final = 2
_PIPED: Final = 1 << 16
"""Wide enough that no line of a pipe is ever folded."""


def print_result(result: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Rows, or one thing with all that belongs to it."""
    if isinstance(result, Mapping):
        _record(result)
    else:
        _print(_table(result))


def _print(*things: Table | Text) -> None:
    if sys.stdout.isatty():
        Console().print(*things, sep="\n")
        return
    # To a pipe: no colour, no width but the text's own, and no blanks at the ends of lines.
    console = Console(width=_PIPED, color_system=None)
    with console.capture() as caught:
        console.print(*things, sep="\n")
    click.echo("\n".join(line.rstrip() for line in caught.get().split("\n")), nl=False)


def _record(result: Mapping[str, Any]) -> None:
    """One thing: a line for each value, a table for each list of rows."""
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    parts: list[tuple[str, Sequence[Mapping[str, Any]]]] = []
    for name, value in result.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            parts.append((name, value))
        elif isinstance(value, Mapping):
            for inner, one in value.items():
                grid.add_row(Text(shown(str(inner))), Text(_cell(str(inner), one) or "-"))
        elif value not in ("", None, []):
            grid.add_row(Text(name), Text(_cell(name, value)))
    _print(grid)
    for name, rows in parts:
        click.echo()
        _print(Text(name, style="bold"), _table(rows))


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row a line, or, where the terminal is too narrow for that, a line a value and a blank line after each row."""
    terminal = sys.stdout.isatty()
    names = list(rows[0])
    cells = [[_short(_cell(n, row.get(n), ", ")) if terminal else _cell(n, row.get(n)) for n in names] for row in rows]
    whole = [not terminal or name in TIMES | _IDS for name in names]
    columns = [[line[place] for line in (names, *cells)] for place in range(len(names))]
    needed = [_needs(column, one_line) for column, one_line in zip(columns, whole, strict=True)]
    room = (Console().width if terminal else _PIPED) - _GAP * (len(names) - 1)
    if sum(needed) > room:
        return _stacked(names, cells)
    widths = fitted([max(map(cell_len, column)) for column in columns], needed, room)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width, one_line in zip(names, widths, whole, strict=True):
        # Said and not left to rich, which may make a table wider than the terminal and cut what is over.
        table.add_column(Text(shown(name)), overflow="fold", no_wrap=one_line, width=width)
    for line in cells:
        table.add_row(*map(Text, line))
    return table


def _needs(column: Sequence[str], whole: bool) -> int:
    """How narrow a column may get before it is hard to read."""
    return max(map(cell_len, column)) if whole else least(column)


def _stacked(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for number, row in enumerate(rows):
        if number:
            grid.add_row("", "")
        for name, cell in zip(names, row, strict=True):
            if cell:
                grid.add_row(Text(shown(name)), Text(cell))
    return grid


def _short(text: str) -> str:
    """An id by its beginning, which every command takes for it."""
    return text[:_ID_SHOWN] if _ID.fullmatch(text) else text


def _cell(name: str, value: Any, between: str = "\n") -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        items = [shown(str(item)) for item in value]
        if not sys.stdout.isatty():
            between = "; " if any("," in item for item in items) else ", "
        return between.join(items)
    if isinstance(value, Mapping):
        return shown(json.dumps(value, ensure_ascii=False)) if value else ""
    text = "" if value is None else str(value)
    return shown(local(text, seconds=name == "time") if text and name in TIMES else text)
