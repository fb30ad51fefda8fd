"""How the command line shows what it got: tables (tables.py), or JSON with --json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import click

# JSON escapes ASCII's control characters itself; these too can move or turn a terminal.
_MOVING: Final = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def to_json(value: Any) -> str:
    """JSON on one line, fit for a terminal too."""
    return _MOVING.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))


def show(result: Any, as_json: bool) -> None:
    """Print rows, or one thing with all that belongs to it."""
    if as_json:
        click.echo(to_json(result))
    elif not result and not isinstance(result, Mapping):
        click.echo("nothing", err=True)
    else:
        from gateway.cli.tables import print_result

        print_result(result)
