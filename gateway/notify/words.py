"""Plain words for mail: operations, times, numbers, and text from outside made harmless."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

WORDS: Final = {
    "find": "look up people by name, number or email",
    "list-all": "list everyone",
    "view": "see one person's name, email and direct number",
    "alter": "change a person's name, email or direct number",
    "remove": "remove a person",
    "reset-voicemail": "reset a voicemail PIN (without seeing it)",
    "reset-sip": "reset a telephone's password (without seeing it)",
    "reset-portal": "reset a portal password (without seeing it)",
    "diag": "run diagnostics from a fixed list (an addition to the five operations)",
    "console-look": "type commands at the phone system's prompt that only look, from a fixed list (an addition to the "
    "five operations)",
    "console-act": "type commands at the phone system's prompt that act, from a fixed list: have its configuration "
    "read again, have a telephone answer, drop a registration (an addition to the five operations)",
    "visit": "work on your premises or with the phone system's own programs. NOT RECORDED HERE: Frameroom is not in "
    "between and sees nothing of it; the engineer writes down afterwards what was done (an addition to the five "
    "operations)",
}
LOOKED: Final = {
    "find": "people were looked up by name, number or email",
    "list-all": "a page of the list of everyone was looked at",
    "view": "one person's details were looked at",
}
SECRETS: Final = {"voicemail": "voicemail PIN", "sip": "telephone password", "portal": "portal password"}

_LONGEST: Final = 300
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


def plain(text: str) -> str:
    """Text from outside on one line: nothing that breaks a header, the layout or the direction of writing, and no
    address that a mail program would turn into a link in our name."""
    one_line = " ".join(_UNSEEN.sub(" ", text).split())
    short = one_line if len(one_line) <= _LONGEST else one_line[: _LONGEST - 1] + "…"
    return re.sub(r"(?i)\bwww\.", "www .", short.replace("://", ": //"))


def masked(address: str) -> str:
    """k…@customer.example."""
    name, _, domain = address.partition("@")
    return f"{name[:1]}…@{domain}"


def when(at_ms: int, zone: ZoneInfo) -> str:
    """Wednesday 25 November 2026, 14:03 (Europe/London)."""
    local = datetime.fromtimestamp(at_ms / 1000, zone)
    return f"{local:%A} {local.day} {local:%B %Y, %H:%M} ({zone.key})"


def times(count: int) -> str:
    """Once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def people_seen(count: int, *, at_most: bool = False) -> str:
    """1 person was seen; 3 people were seen; at most 3 people were seen."""
    words = "1 person was seen" if count == 1 else f"{count} people were seen"
    return f"at most {words}" if at_most else words


def bullets(lines: list[str]) -> str:
    """Lines as a list, each made harmless."""
    return "".join(f"  - {plain(line)}\n" for line in lines)
