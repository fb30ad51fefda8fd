"""How the command line shows what it got: a table, or JSON with --json."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.session.commands import shown


def show(result: Any, as_json: bool) -> None:
    """Print rows or one row."""
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
        return
    rows = result if isinstance(result, list) else [result]
    if not rows:
        click.echo("nothing", err=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    Console().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "\n".join(shown(str(item)) for item in value)
    return shown(str("" if value is None else value))
