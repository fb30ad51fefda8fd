"""Rows to persons, names to parts, and where a listing has got to. Nothing here does I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

from connectors.contract import Person
from connectors.errors import InvalidValue, NotFound, ProtocolViolation
from connectors.transport.text import folded
from connectors.yeastar.answers import Row
from connectors.yeastar.numbers import DirectNumbers, word
from connectors.yeastar.settings import YeastarSettings

_KEY: Final = re.compile(r"([0-9]{1,8})\.([1-9][0-9]{0,9})", re.ASCII)
_CURSOR: Final = re.compile(r"([0-9]{1,7})\.([0-9]{1,10})\.([0-9]{1,7})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """Who is meant: number and the phone system's own id, so that nobody is taken for who has their number next."""

    number: str
    id: int

    @classmethod
    def of(cls, person_id: str) -> Self:
        """From `Person.id`. NotFound for what cannot be anybody's."""
        found = _KEY.fullmatch(person_id)
        if found is None or int(found[2]) >= 1 << 31:
            raise NotFound("there is no such person on the phone system")
        return cls(found[1], int(found[2]))


def person(row: Row, numbers: DirectNumbers | None) -> Person:
    """As far as anybody may see."""
    ddis = None if numbers is None else numbers.of(row.id, row.number)
    return Person(f"{row.number}.{row.id}", row.number, row.name, row.email, ddis)


def parts(name: str, settings: YeastarSettings) -> dict[str, str]:
    """First and last name, of which the phone system makes the same name again. InvalidValue where none can be made."""
    if not re.fullmatch(r"\S+(?: \S+)*", name):
        raise InvalidValue("a name begins and ends with a letter, and has single spaces")
    one, _, rest = name.partition(" ")
    match settings.names:
        case "whole":
            return {"first_name": name, "last_name": ""}
        case "last first" if rest:
            return {"first_name": rest, "last_name": one}
    return {"first_name": one, "last_name": rest}


class Words:
    """What is looked for: every word has to be in name, address, extension or a direct number."""

    def __init__(self, words: str, settings: YeastarSettings) -> None:
        self._words = [{folded(one), folded(word(one, settings.country_code))} for one in words.split()]

    def __bool__(self) -> bool:
        return bool(self._words)

    def match(self, one: Person) -> bool:
        """Whether that is somebody."""
        text = folded(" ".join((one.name, one.email or "", one.extension, *(one.ddis or ()))))
        return all(any(form in text for form in forms) for forms in self._words)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a listing by id has got to: how many came, the last one's id, and how many there were in all."""

    came: int = 0
    last: int = 0
    total: int = 0

    @classmethod
    def of(cls, cursor: str | None) -> Self:
        """From a cursor. InvalidValue for what is none."""
        if cursor is None:
            return cls()
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise InvalidValue("that is no place in the list of people", next_step="Begin with the first page.")
        return cls(*map(int, found.groups()))

    def __str__(self) -> str:
        return f"{self.came}.{self.last}.{self.total}"

    def page(self, size: int, total: int | None = None) -> int:
        """The page that the next people are on. Where there are fewer than there were, they may be on an earlier one:
        nobody is passed over because somebody before them was removed."""
        gone = 0 if total is None else max(0, self.total - total)
        return max(0, self.came - gone) // size + 1


def in_order(rows: Sequence[Row]) -> None:
    """ProtocolViolation where a page is not sorted as it was asked for: paging would lose people."""
    if not all(a.id < b.id for a, b in pairwise(rows)):
        raise ProtocolViolation("the phone system does not sort people as it was asked to, and some would be left out")


def the_one(rows: Iterable[Row], key: Key) -> Row | None:
    """That very person among what a search for the number found."""
    return next((row for row in rows if (row.number, row.id) == (key.number, key.id)), None)
