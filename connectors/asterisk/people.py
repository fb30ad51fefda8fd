"""Rows to persons, caller ids to names and back. Nothing here does I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from connectors.asterisk.settings import AsteriskRealtimeSettings
from connectors.contract import Device, Person
from connectors.errors import InvalidValue, ProtocolViolation

_QUOTED: Final = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*(<[^<>]*>)?\s*')
_BARE: Final = re.compile(r"\s*([^<>\"]*?)\s*(<[^<>]*>)\s*")
_URI: Final = re.compile(r"sips?:(.*)", re.S)
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,120}")
CALLERID_LENGTH: Final = 40


def name_of(callerid: str | None, fullname: str | None) -> str:
    """The name in a caller id (`"Name" <1001>`, `Name <1001>`), else the mailbox's, else nothing."""
    raw = callerid or ""
    if quoted := _QUOTED.fullmatch(raw):
        name = re.sub(r"\\(.)", r"\1", quoted[1])
    elif bare := _BARE.fullmatch(raw):
        name = bare[1]
    else:
        name = "" if re.fullmatch(r"\s*[0-9+*#]*\s*", raw) else raw.strip()
    return name or fullname or ""


def renamed(callerid: str | None, name: str, extension: str) -> str:
    """The caller id with another name: its number and its way of quoting stay."""
    raw = callerid or ""
    quoted, bare = _QUOTED.fullmatch(raw), _BARE.fullmatch(raw)
    number = (quoted and quoted[2]) or (bare and bare[2]) or f"<{extension}>"
    plain = bare is not None and bare[1] and re.fullmatch(r"[\w .'-]+", name)
    made = f"{name} {number}" if plain else f'"{name}" {number}'
    if len(made) > CALLERID_LENGTH:
        most = CALLERID_LENGTH - (len(made) - len(name))
        raise InvalidValue(f"this phone system holds a name of at most {most} characters for this person")
    return made


def person(row: Sequence[Any], settings: AsteriskRealtimeSettings) -> Person:
    """A Person from (id, callerid, extension, fullname, email, ddis)."""
    try:
        key, callerid, extension, fullname, email, ddis = row
        if not isinstance(key, str) or not all(
            isinstance(v, str | None) for v in (callerid, extension, fullname, email)
        ):
            raise TypeError
        shown = None if settings.ddi is None else tuple(settings.ddi.shown(str(d)) for d in ddis if d is not None)
    except (TypeError, ValueError):
        shown = ()
        key = None
    if key is None:
        raise ProtocolViolation("the phone system described a person in a way that makes no sense")
    return Person(key, extension or key, name_of(callerid, fullname), email or None, shown)


def device(endpoint: str, uri: str | None, seconds: int | None) -> Device:
    """A registered telephone by device and network address; what else its contact says is dropped."""
    found = _URI.match(uri or "")
    # What stands before the last @ may hold a password (RFC 3261 section 19.1.1), whatever comes after it.
    host = _HOST.match(found[1].rpartition("@")[2]) if found else None
    where = host[0] if host else "an address that cannot be shown"
    return Device(f"{endpoint} at {where}", None if seconds is None else seconds * 1000)


def parts(*columns: str | None) -> list[str]:
    """The names in comma-separated columns (an endpoint's `auth`, `aors`), once each."""
    names = (name.strip() for column in columns for name in (column or "").split(","))
    return list(dict.fromkeys(name for name in names if name))
