"""Terminal output made harmless for whoever views it: characters, colours, cursor and erasing; nothing else.

A state machine, fed piece by piece, so that a sequence cut in two by a frame's end is still seen as one. What is
dropped never joins what stood on either side of it into a new sequence: after it the machine is where it was before.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

_KEPT: Final = frozenset("mABCDEFGHJKdfPX@LM")
"""CSI finals that only colour, move, erase and shift. Reports (n, c), modes (h, l), windows (t) are not among them."""
_STRINGS: Final = frozenset("]P^_X\x90\x98\x9d\x9e\x9f")
_LONGEST: Final = 64
_REORDERING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_HARMLESS: Final = re.compile("[^\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
"""A run of what `_text` lets through, so that plain output is not looked at character by character."""


class _State(Enum):
    TEXT = auto()
    ESCAPE = auto()
    CSI = auto()
    STRING = auto()
    STRING_ESCAPE = auto()


class Sanitiser:
    """`feed` returns what may be shown of each piece. With `plain`, no escape sequence at all comes out."""

    def __init__(self, *, plain: bool = False) -> None:
        self._state = _State.TEXT
        self._held = ""
        self._plain = plain

    def feed(self, text: str) -> str:
        """The harmless part of `text`, given everything fed before."""
        if self._state is _State.TEXT and text.isprintable():
            return text
        shown, place = [], 0
        while place < len(text):
            run = _HARMLESS.match(text, place) if self._state is _State.TEXT else None
            if run is not None:
                shown.append(run.group())
                place = run.end()
            else:
                shown.append(self._one(text[place]))
                place += 1
        return "".join(shown)

    def _one(self, c: str) -> str:
        if self._state is _State.TEXT:
            return self._text(c)
        if c in "\x18\x1a":  # CAN and SUB end whatever was begun (ECMA-48 8.3.13, 8.3.148)
            self._state = _State.TEXT
            return ""
        if self._state is _State.CSI:
            return self._csi(c)
        if self._state is _State.ESCAPE or (self._state is _State.STRING_ESCAPE and c != "\\"):
            self._escape(c)
        elif self._state is _State.STRING_ESCAPE or c in "\x07\x9c":
            self._state = _State.TEXT
        elif c == "\x1b":
            self._state = _State.STRING_ESCAPE
        return ""

    def _text(self, c: str) -> str:
        if c == "\x1b":
            self._state = _State.ESCAPE
        elif c == "\x9b":
            self._state, self._held = _State.CSI, ""
        elif c in _STRINGS and c >= "\x80":
            self._state = _State.STRING
        elif (c >= " " and not "\x7f" <= c <= "\x9f" and c not in _REORDERING) or c in "\n\r\t\b":
            return c
        return ""

    def _escape(self, c: str) -> None:
        if c == "[":
            self._state, self._held = _State.CSI, ""
        elif c in _STRINGS:
            self._state = _State.STRING
        elif c == "\x1b" or " " <= c <= "/":
            self._state = _State.ESCAPE
        else:
            self._state = _State.TEXT

    def _csi(self, c: str) -> str:
        if c == "\x1b":
            self._state = _State.ESCAPE
        elif "@" <= c <= "~":
            self._state = _State.TEXT
            harmless = all(h in "0123456789;:" for h in self._held) and len(self._held) <= _LONGEST
            if c in _KEPT and harmless and not self._plain:
                return f"\x1b[{self._held}{c}"
        elif " " <= c <= "?":
            if len(self._held) <= _LONGEST:
                self._held += c
        elif c >= "\x7f":
            self._state = _State.TEXT
        return ""


def sanitise(text: str) -> str:
    """`text` with everything gone that could do more to a terminal than show characters, colours and lines."""
    return Sanitiser().feed(text)


def plain(text: str) -> str:
    """`text` without any escape sequence, for search and for a log of what was seen."""
    return Sanitiser(plain=True).feed(text).replace("\r", "")
