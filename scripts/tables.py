"""Writes the tables of connectors and of the console's commands, as the code has them, into the pages that show them.
Run by `make tables`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from connectors.console.catalogues import markdown as commands
from connectors.registry import markdown

ROOT: Final = Path(__file__).parents[1]
PAGES: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "README.md": ("connectors", lambda: markdown("docs/connectors/")),
    "docs/connectors/README.md": ("connectors", lambda: markdown("")),
    "docs/console.md": ("console", commands),
}
"""Each page, what its place for a table is called, and the table."""


def made(page: str) -> str:
    """The text of a page with the table in it."""
    name, table = PAGES[page]
    between = re.compile(rf"(?<=<!-- {name}: made by `make tables` -->\n).*?(?=<!-- {name}: end -->)", re.S)
    text, count = between.subn(lambda _: table(), (ROOT / page).read_text(encoding="utf-8"))
    if count != 1:
        raise SystemExit(f"{page} has no place for the table of {name}, or several")
    return text


if __name__ == "__main__":
    for name in PAGES:
        (ROOT / name).write_text(made(name), encoding="utf-8")
