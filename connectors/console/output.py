"""The filter that a phone system's output passes before anybody sees it: secrets withheld, terminals left alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# One pass over a line: what an earlier removal leaves behind is never looked at again, so nothing can be assembled.
_TERMINAL: Final = re.compile(
    r"(?P<colour>\x1b\[[0-9;:]{0,32}m)"
    r"|(?:\x1b[\]P^_X]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;:]*m")
_SECRET_FIELD: Final = re.compile(
    r"((?:pass(?:word|wd|phrase|code)?|pwd|secret|md5_cred|_digest|token|auth_pass|authorization|authenticate"
    r"|private_?key|api_?key|(?:(?<![a-z])|vm|auth|user|room|admin|voicemail)pin)"
    r"(?:[a-z_]|\[\d+\])*[\"']?[ \t]*(?:=>?|:)[ \t]*)\S.*",
    re.IGNORECASE,
)
# Applications whose argument is a PIN, or can be one (what is read out, set, or handed on), as `core show channels`
# prints them meanwhile. Up to the end of the line: an argument can hold brackets, and the column may cut them off.
_SECRET_CALL: Final = re.compile(
    r"((?:Authenticate|DISA|SendDTMF|AgentLogin|MeetMe|SayDigits|SayAlpha|Macro|Gosub|Set)\()\S.*", re.IGNORECASE
)
_NAMED: Final = re.compile(r"(?P<start> (?P<name>\S.*?) : ).*\S.*", re.DOTALL)
_SUSPECTS: Final = (
    b"pass", b"pwd", b"secret", b"cred", b"digest", b"token", b"auth_pass", b"authorization", b"authenticate",
    b"key", b"pin", b"disa", b"senddtmf", b"agentlogin", b"meetme", b"saydigits", b"sayalpha", b"macro", b"gosub",
    b"set",
)  # fmt: skip
# What a first look keeps of plain output: its letters, small, and whatever is not plain. To take characters out can
# only bring letters together: it may make a suspect, never hide one.
_NOT_LETTERS: Final = bytes(c for c in b"\t\n" + bytes(range(32, 127)) if not chr(c).isalpha())
_SMALL: Final = bytes(range(256)).lower()
_LETTERS: Final = bytes(range(ord("a"), ord("z") + 1))
_LETTER_SUSPECTS: Final = tuple(suspect for suspect in _SUSPECTS if suspect.isalpha())
_LONGEST_LINE: Final = 8192
_WITHHELD: Final = "(withheld)"
_LEFT_OUT: Final = b"(a line that was too long was left out)"


def _has_long_line(data: bytes) -> bool:
    """True when a line is over the limit: looks from line end to the last one within reach of it."""
    start = 0
    while len(data) - start > _LONGEST_LINE:
        start = data.rfind(b"\n", start, start + _LONGEST_LINE + 1) + 1
        if not start:
            return True
    return False


class OutputFilter:
    """Redacts and sanitises a stream of output, whole lines at a time, so that no split can hide a secret.

    `redactions`: values that never pass, besides what stands in a field that looks secret; `fields`: names of fields
    whose value never passes either; `shown`: where given, the only names in lines " NAME : value" whose value does. A
    line longer than 8 KiB is left out from its first to its last byte, for part of
    it could be part of a secret.
    """

    def __init__(self, redactions: Iterable[str] = (), fields: Iterable[str] = (), shown: Iterable[str] = ()) -> None:
        names = [re.escape(name) for name in fields]
        self._fields = re.compile(rf"^(\s*(?:{'|'.join(names)})\s*[:=]\s*)\S.*", re.IGNORECASE) if names else None
        self._shown = frozenset(shown)
        self._redactions = tuple(sorted({value for value in redactions if value}, key=len, reverse=True))
        self._held = b""
        self._skipping = False

    def feed(self, data: bytes) -> bytes:
        """What of the output so far may be shown; an unfinished line waits."""
        if self._skipping:
            _, newline, data = data.partition(b"\n")
            if not newline:
                return b""
            self._skipping = False
        data = self._held + data
        cut = data.rfind(b"\n") + 1
        ready, self._held = self._clean(data[:cut]), data[cut:]
        if len(self._held) > _LONGEST_LINE:
            self._held, self._skipping = b"", True
            ready += _LEFT_OUT + b"\n"
        return ready

    def flush(self) -> bytes:
        """The last, unfinished line."""
        ready, self._held, self._skipping = self._clean(self._held), b"", False
        return ready

    def _clean(self, data: bytes) -> bytes:
        if not _has_long_line(data) and self._harmless(data):
            return data
        *lines, last = data.split(b"\n")
        return b"".join([self._line(line) + b"\n" for line in lines]) + self._line(last)

    def _harmless(self, data: bytes) -> bool:
        """Whether data holds nothing that a closer look could change: most output, at the speed of a search."""
        if self._redactions or self._shown or self._fields is not None:
            return False
        letters = data.translate(_SMALL, _NOT_LETTERS)
        if letters.translate(None, _LETTERS):
            return False
        if not any(suspect in letters for suspect in _LETTER_SUSPECTS):
            return True
        lower = data.lower()
        return not any(suspect in lower for suspect in _SUSPECTS)

    def _line(self, line: bytes) -> bytes:
        if len(line) > _LONGEST_LINE:
            return _LEFT_OUT
        if self._harmless(line):
            return line
        body = line.removesuffix(b"\r")
        text = body.decode("utf-8", "replace")
        text = _TERMINAL.sub(lambda match: match["colour"] or "", text)
        plain = _COLOUR.sub("", text)
        redacted = _SECRET_CALL.sub(rf"\1{_WITHHELD})", _SECRET_FIELD.sub(rf"\1{_WITHHELD}", plain))
        if self._fields is not None:
            redacted = self._fields.sub(rf"\1{_WITHHELD}", redacted)
        if self._shown and (named := _NAMED.match(redacted)) and named["name"].rstrip() not in self._shown:
            redacted = f"{named['start']}{_WITHHELD}"
        for value in self._redactions:
            redacted = redacted.replace(value, _WITHHELD)
        # Colour inside a secret would hide it: a line that had one is shown without colour.
        shown = text if redacted == plain else redacted
        return shown.encode("utf-8", "replace") + line[len(body) :]
