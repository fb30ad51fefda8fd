"""Asterisk's caller ids (`"Name" <1001>`): the name in them, and the same with another name. Nothing here does I/O."""

from __future__ import annotations

import re
from typing import Final

from connectors.errors import InvalidValue

_QUOTED: Final = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*(<[^<>]*>)?\s*')
_BARE: Final = re.compile(r"\s*([^<>\"]*?)\s*(<[^<>]*>)\s*")


def name_of(callerid: str | None, fullname: str | None) -> str:
    """The name in a caller id (`"Name" <1001>`, `Name <1001>`), else the mailbox's, else nothing."""
    raw = callerid or ""
    if quoted := _QUOTED.fullmatch(raw):
        name = re.sub(r"\\(.)", r"\1", quoted[1]) if "\\" in quoted[1] else quoted[1]
    elif bare := _BARE.fullmatch(raw):
        name = bare[1]
    else:
        name = "" if re.fullmatch(r"\s*[0-9+*#]*\s*", raw) else raw.strip()
    return name or fullname or ""


def renamed(callerid: str | None, name: str, extension: str, most: int) -> str:
    """The caller id with another name: its number and its way of quoting stay. InvalidValue past `most` characters."""
    raw = callerid or ""
    quoted, bare = _QUOTED.fullmatch(raw), _BARE.fullmatch(raw)
    number = (quoted and quoted[2]) or (bare and bare[2]) or f"<{extension}>"
    plain = bare is not None and bare[1] and re.fullmatch(r"[\w .'-]+", name)
    made = f"{name} {number}" if plain else f'"{name}" {number}'
    if len(made) > most:
        fits = most - (len(made) - len(name))
        raise InvalidValue(f"this phone system holds a name of at most {fits} characters for this person")
    return made


def number_of(callerid: str | None) -> str:
    """The number in a caller id, "" where it has none."""
    raw = callerid or ""
    found = re.search(r"<\s*([^<>]+?)\s*>\s*$", raw) or re.fullmatch(r"\s*([0-9+*#]+)\s*", raw)
    return found[1] if found else ""


def parts(*columns: str | None) -> list[str]:
    """The names in comma-separated columns (an endpoint's `auth`, `aors`), once each."""
    names = (name.strip() for column in columns for name in (column or "").split(","))
    return list(dict.fromkeys(name for name in names if name))
