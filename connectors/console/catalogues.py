"""Which family has which catalogue, and the table of all for docs/console.md."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from connectors.console.asterisk import ASTERISK, FREEPBX
from connectors.console.grammar import Catalogue, Class, Entry
from connectors.console.others import AVAYA, FREESWITCH

_CATALOGUES: Final[Mapping[str, Catalogue]] = MappingProxyType(
    {
        "lab": ASTERISK, "asterisk-files": ASTERISK, "freepbx": FREEPBX, "fusionpbx": FREESWITCH, "avaya-cm": AVAYA,
    }
)  # fmt: skip
"""Whether a family's connector offers them is what its capabilities say."""
_TITLES: Final = (("Asterisk", ASTERISK), ("FreePBX, besides Asterisk's", FREEPBX[len(ASTERISK) :]),
                  ("FreeSWITCH", FREESWITCH), ("Avaya Communication Manager", AVAYA))  # fmt: skip


def catalogue(family: str, kind: Class | None = None) -> Catalogue:
    """What may be asked of a family's phone systems; empty where there is no console. `kind`: only that class."""
    found = _CATALOGUES.get(family, ())
    return found if kind is None else tuple(entry for entry in found if entry.kind is kind)


def diagnostics(family: str) -> Catalogue:
    """What `diag` offers: whatever looks, and needs no switching on."""
    return tuple(entry for entry in catalogue(family, Class.LOOK) if not entry.extra)


def extras(family: str) -> Mapping[str, Entry]:
    """By name: what a customer may switch on."""
    return {entry.name: entry for entry in catalogue(family) if entry.extra}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def markdown() -> str:
    """Every catalogue as Markdown."""
    told = []
    for title, entries in _TITLES:
        told += [
            f"### {title}\n", "| class | command | what it does | why its output is fit to be seen | known from |",
            "|---|---|---|---|---|",
        ]  # fmt: skip
        for entry in entries:
            kind = f"{entry.kind.value}, off until switched on" if entry.extra else entry.kind.value
            hidden = f"; withheld: {', '.join(f'`{name}`' for name in entry.withheld)}" if entry.withheld else ""
            told.append(
                f"| {kind} | `{_cell(entry.usage())}` | {_cell(entry.shows)} | {_cell(entry.safe)}{hidden} "
                f"| {_cell(entry.source)} |"
            )
        told.append("")
    return "\n".join(told)
