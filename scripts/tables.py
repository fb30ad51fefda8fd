"""Writes the table of connectors, as the code has it, into the pages that show it. Run by `make tables`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from connectors.registry import markdown

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = {"README.md": "docs/connectors/", "docs/connectors/README.md": ""}
"""Each page, and where the connectors' own pages are from there."""
_BETWEEN: Final = re.compile(r"(?<=<!-- connectors: made by `make tables` -->\n).*?(?=<!-- connectors: end -->)", re.S)


def made(page: str) -> str:
    """The text of a page with the table in it."""
    text, count = _BETWEEN.subn(lambda _: markdown(PAGES[page]), (ROOT / page).read_text(encoding="utf-8"))
    if count != 1:
        raise SystemExit(f"{page} has no place for the table of connectors, or several")
    return text


if __name__ == "__main__":
    for name in PAGES:
        (ROOT / name).write_text(made(name), encoding="utf-8")
