"""Visits in a line: what was done by count, when and how long, in words for a list."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from gateway.model import HOUR, MINUTE
from gateway.notify.words import times

_LOOKS: Final = {
    "find": "looked people up",
    "list-all": "looked at the list of everyone",
    "view": "looked at one person's details",
    "prepare": "looked at what a change would do",
}
_CHANGES: Final = {
    "alter": ("changed a person's details", "changes to people's details"),
    "remove": ("removed a person", "people removed"),
    "reset-voicemail": ("reset a voicemail PIN", "voicemail PINs reset"),
    "reset-sip": ("reset a telephone password", "telephone passwords reset"),
    "reset-portal": ("reset a portal password", "portal passwords reset"),
    "diag": ("ran a diagnostic", "diagnostics run"),
    "console-look": ("looked with a command at the prompt", "commands at the prompt that look"),
    "console-act": ("acted with a command at the prompt", "commands at the prompt that act"),
}


def did(counts: Mapping[str, int], uncertain: int = 0) -> str:
    """Like: looked people up, twice; changed a person's details. `counts`: by operation, and "prepare"; "" of nothing.

    `uncertain`: operations of which it cannot be told whether they happened.
    """
    words = [f"{_LOOKS[name]}, {times(counts[name])}" for name in _LOOKS if counts.get(name)]
    for name, (one, many) in _CHANGES.items():
        if count := counts.get(name, 0):
            words.append(one if count == 1 else f"{count} {many}")
    if uncertain:
        words.append(f"{uncertain} of which it cannot be told whether it happened")
    return "; ".join(words)


def short(at_ms: int, zone: ZoneInfo) -> str:
    """Wed 25 Nov 2026, 14:03; the zone is said beside the list."""
    local = datetime.fromtimestamp(at_ms / 1000, zone)
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M}"


def length(span_ms: int) -> str:
    """How long: "under a minute", "1 minute", "3 hours 5 minutes"."""
    hours, minutes = divmod(max(span_ms, 0) // MINUTE, HOUR // MINUTE)
    parts = [f"{n} {word}{'s' if n > 1 else ''}" for n, word in ((hours, "hour"), (minutes, "minute")) if n]
    return " ".join(parts) or "under a minute"
