"""Rows to persons. Nothing here does I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from connectors.asterisk.settings import AsteriskRealtimeSettings
from connectors.callerid import name_of
from connectors.contract import Device, Person
from connectors.errors import ProtocolViolation

_URI: Final = re.compile(r"sips?:(.*)", re.S)
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,120}")
CALLERID_LENGTH: Final = 40
"""Characters that the column holds."""


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
