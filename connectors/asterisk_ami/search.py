"""A search through answers as they come: only what matches is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from itertools import islice
from typing import Final

from connectors.asterisk_ami.answers import Fields
from connectors.asterisk_ami.people import Endpoint, is_person, shown
from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.callerid import name_of
from connectors.errors import ProtocolViolation
from connectors.transport.text import folded

_MOST_FOUND: Final = 200_000


def _bounded(kept: Sized) -> None:
    if len(kept) >= _MOST_FOUND:
        raise ProtocolViolation("the phone system's answer is too large")


class Search:
    """Mailboxes first, endpoints after. `words` are casefolded, in NFC."""

    def __init__(self, words: Sequence[str], settings: AsteriskAmiSettings, contexts: frozenset[bytes]) -> None:
        self._words = words
        self._settings = settings
        self._contexts = contexts
        self._boxes: dict[tuple[str, str], str] = {}
        self._found: list[Endpoint] = []
        self._first: dict[int, bytes] = {}
        """By caller id and mailbox, of those who have one: the account that stands for the person."""

    def mailbox(self, fields: Fields) -> None:
        """One entry: kept when a word is in it."""
        text = folded(f"{shown(fields.get(b'Fullname', b''))} {shown(fields.get(b'Email', b''))}")
        if any(word in text for word in self._words):
            _bounded(self._boxes)
            self._boxes[(shown(fields.get(b"VMContext", b"")), shown(fields.get(b"VoiceMailbox", b"")))] = text

    def endpoint(self, name: bytes, lines: Mapping[bytes, list[bytes]]) -> None:
        """One section: kept when every word is in it or in its mailbox's entry."""
        if not is_person(lines, self._contexts):
            return
        one = Endpoint.of(name, lines)
        if one.mailboxes:
            mark = hash((one.callerid, one.mailboxes))
            self._first.setdefault(mark, name)
            _bounded(self._first)
        box = one.box(self._settings)
        text = folded(f"{one.section} {one.extension} {name_of(one.callerid, None)}")
        text += " " + (self._boxes.get(box, "") if box else "")
        if all(word in text for word in self._words):
            _bounded(self._found)
            self._found.append(one)

    def found(self, limit: int) -> list[Endpoint]:
        """The first of them, each person once."""

        def stands(one: Endpoint) -> bool:
            if not one.mailboxes:
                return True
            return shown(self._first[hash((one.callerid, one.mailboxes))]) == one.section

        return list(islice(filter(stands, self._found), limit))
