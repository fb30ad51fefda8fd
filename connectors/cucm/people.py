"""Rows to persons, names to their parts, numbers as the directory has them. Nothing here does I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import phonenumbers

from connectors.contract import Person
from connectors.cucm.answers import Row
from connectors.errors import InvalidValue, ProtocolViolation
from connectors.transport.text import folded

_E164: Final = re.compile(r"\+[1-9][0-9]{5,14}", re.ASCII)
_DIALLED: Final = re.compile(r"\(?\+?[0-9][0-9 ().\-/]{4,24}", re.ASCII)
_PART: Final = 64
"""Characters that a first and a last name may have."""


@dataclass(frozen=True, slots=True)
class Own:
    """One end user, as far as we look at it."""

    uuid: str
    userid: str
    first_name: str
    last_name: str
    display_name: str
    email: str
    extension: str
    telephone_number: str
    from_directory: bool

    @classmethod
    def of(cls, row: Row) -> Own:
        """From an answer's row. ProtocolViolation without a user id."""

        def one(field: str) -> str:
            return row.get(field, [""])[0]

        if not one("userid"):
            raise ProtocolViolation("the phone system described a person in a way that makes no sense")
        return cls(
            one("uuid"), one("userid"), one("firstName"), one("lastName"), one("displayName"), one("mailid"),
            one("extension"), one("telephoneNumber"), bool(one("directory").strip()),
        )  # fmt: skip

    @property
    def name(self) -> str:
        """First and last name, as every list of the phone system shows them."""
        return " ".join(part for part in (self.first_name, self.last_name) if part)

    def person(self, region: str) -> Person:
        """As it is shown; whoever has no primary extension is called by the user id. A directory number in E.164 is
        written `\\+44…` there."""
        number, extension = e164(self.telephone_number, region), self.extension.removeprefix("\\")
        return Person(self.userid, extension or self.userid, self.name, self.email or None, (number,) if number else ())


def e164(written: str, region: str) -> str:
    """A number of the directory as E.164 where it is one, else as it is written; "" where there is none."""
    plain = written.strip()
    if _E164.fullmatch(plain) or not _DIALLED.fullmatch(plain):
        return plain
    try:
        number = phonenumbers.parse(plain, region)
    except phonenumbers.NumberParseException:
        return plain
    if not phonenumbers.is_valid_number(number):
        return plain  # an extension, as many directories have it there
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def parts(name: str, now: Own) -> tuple[str, str]:
    """First and last name of a new name: the part that stays is kept whole ("de Vries"), else it is cut at the last
    space. InvalidValue where a part is longer than the phone system holds."""
    last_stays = now.last_name and name.endswith(f" {now.last_name}")
    first_stays = now.first_name and name.startswith(f"{now.first_name} ")
    if last_stays:
        first, last = name[: -len(now.last_name) - 1], now.last_name
    elif first_stays:
        first, last = now.first_name, name[len(now.first_name) + 1 :]
    else:
        first, _, last = name.rpartition(" ")
    if len(first) > _PART or len(last) > _PART:
        raise InvalidValue(f"the phone system holds {_PART} characters each of first and last name")
    if first != first.strip() or last != last.strip() or not last:
        raise InvalidValue("the name has spaces where no name has any")
    return first, last


class Search:
    """Which persons match every word, whatever its case, in name, address, extension or number however typed."""

    def __init__(self, words: str, region: str) -> None:
        self._words = [folded(word) for word in words.split()]
        whole = e164(words, region)
        self._number = whole if _E164.fullmatch(whole) else None
        self._numbers = {word: e164(word, region) for word in self._words}

    def __bool__(self) -> bool:
        return bool(self._words)

    def takes(self, person: Person) -> bool:
        """Whether it is one of them."""
        numbers = person.ddis or ()
        if self._number is not None and self._number in numbers:
            return True
        text = folded(" ".join((person.id, person.extension, person.name, person.email or "", *numbers)))
        return all(word in text or self._numbers[word] in numbers for word in self._words)


def labels(names: Iterable[str]) -> tuple[str, ...]:
    """Names of devices that are fit to be shown; others are counted by their place."""
    return tuple(name if re.fullmatch(r"[A-Za-z0-9._-]{1,50}", name) else "a device" for name in names)
