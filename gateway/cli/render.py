"""How the command line shows what it got: tables that fit the terminal, plain lines when piped, JSON with --json."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.times import local
from gateway.session.commands import shown

TIMES: Final = frozenset({"at", "time", "from", "until", "opened", "closed", "added", "submitted", "removed", "as of"})
"""Columns that are times: they travel in UTC and are shown in this machine's zone."""
_PIPED: Final = 1 << 16
"""Wide enough that no line of a pipe is ever folded."""


# JSON escapes ASCII's control characters itself; these too can move or turn a terminal.
_MOVING: Final = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def to_json(value: Any) -> str:
    """JSON on one line, fit for a terminal too."""
    return _MOVING.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))


def show(result: Any, as_json: bool) -> None:
    """Print rows, or one thing with all that belongs to it."""
    if as_json:
        click.echo(to_json(result))
    elif isinstance(result, Mapping):
        _record(result)
    elif not result:
        click.echo("nothing", err=True)
    else:
        _console().print(_table(result))


def _console() -> Console:
    # To a pipe: no colour, no width but the text's own.
    return Console() if sys.stdout.isatty() else Console(width=_PIPED, color_system=None, soft_wrap=False)


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
                grid.add_row(Text(shown(str(inner))), Text(_cell(str(inner), one)))
        elif value not in ("", None, []):
            grid.add_row(Text(name), Text(_cell(name, value)))
    console = _console()
    console.print(grid)
    for name, rows in parts:
        console.print()
        console.print(Text(name, style="bold"))
        console.print(_table(rows))


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(Text(shown(name)), overflow="fold", no_wrap=not sys.stdout.isatty())
    for row in rows:
        table.add_row(*(Text(_cell(name, value)) for name, value in row.items()))
    return table


def _cell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        between = "\n" if sys.stdout.isatty() else ", "
        return between.join(shown(str(item)) for item in value)
    if isinstance(value, Mapping):
        return shown(json.dumps(value, ensure_ascii=False))
    text = "" if value is None else str(value)
    return shown(local(text) if text and name in TIMES else text)
