"""A 3CX user as a person. Nothing here does I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from connectors.contract import Person
from connectors.errors import NotFound
from connectors.tcx.answers import User

_ID: Final = re.compile(r"u(0|[1-9][0-9]{0,9})", re.ASCII)
_LARGEST: Final = 2_147_483_647


def key_of(person_id: str) -> int:
    """3CX's own number of a person's id. NotFound for what is none.

    An id begins with a letter, so that digits that somebody types are an extension and never the key of another person.
    """
    found = _ID.fullmatch(person_id)
    if found is None or int(found[1]) > _LARGEST:
        raise NotFound("there is no such person on the phone system")
    return int(found[1])


def name_of(user: User) -> str:
    """First and last name."""
    return " ".join(part for part in (user.FirstName, user.LastName) if part)


def person(user: User, numbers: Iterable[str]) -> Person:
    """What may be seen."""
    return Person(f"u{user.Id}", user.Number, name_of(user), user.EmailAddress or None, tuple(numbers))


def split(name: str, user: User) -> tuple[str, str]:
    """A new name in the two fields that 3CX has: what stays of the old one stays where it was, and where neither part
    does, the first word is the first name."""
    first, last = user.FirstName or "", user.LastName or ""
    if last and name.endswith(f" {last}"):
        return name[: -len(last) - 1], last
    if first and name.startswith(f"{first} "):
        return first, name[len(first) + 1 :]
    head, _, tail = name.partition(" ")
    return head, tail
