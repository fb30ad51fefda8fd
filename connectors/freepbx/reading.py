"""Looking at people: everything from the helper, and names, where the settings name FreePBX's API, from that too.

GraphQL tells who there is and what they are called. It cannot tell the rest of what is shown: not the address (User
Manager's, which has no GraphQL; that of a mailbox comes with the right to its PIN alone), and not whose an inbound
route is (only in words made to be read). So the helper tells those, and a name is shown when both tell the same one:
an API that is another phone system's is found out before anything is changed on this one.

Where the API cannot be had the helper alone is believed, for the rest of the visit; `system check` says why.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

from connectors.contract import CheckLine, Page, Person
from connectors.errors import ConnectorError, Fault, IdentityMismatch, InvalidValue, NotFound, Refused
from connectors.freepbx.api import ApiLink, Names
from connectors.freepbx.requests import GUARD, MAX_PAGE, SCOPE
from connectors.transport.answers import people_of, person_of
from connectors.transport.helper import Link

T = TypeVar("T")
_CURSOR: Final = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,6}))?", re.ASCII)
_BOUND: Final = f"FreePBX gives its client no more than {SCOPE}, with which SIP passwords could be asked for"
_UNBOUND: Final = (
    "FREEPBX GIVES ITS CLIENT EVERY RIGHT, whatever scopes it was made with: who has its secret could read passwords "
    "and change everything"
)
_GUARDED: Final = "; what is asked is fixed, and names no password"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a list has got to: the last extension, and how many the API told until there, if that is known."""

    last: str | None = None
    skip: int | None = 0

    @classmethod
    def of(cls, cursor: str | None) -> Self:
        if cursor is None:
            return cls()
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise InvalidValue("that is no place in the list of people", next_step="Begin with the first page.")
        return cls(found[1], None if found[2] is None else int(found[2]))

    def __str__(self) -> str:
        return f"{self.last}" if self.skip is None else f"{self.last}.{self.skip}"


class Reading:
    """The helper, and the API or None."""

    def __init__(self, link: Link, api: ApiLink | None) -> None:
        self._link, self._api = link, api
        self._trouble: ConnectorError | None = None

    async def view(self, person_id: str) -> Person:
        """One person, of whose name both say the same."""
        person, name = await self._one(person_id)
        if name not in (None, person.name):
            # Somebody may have changed it in between.
            person, name = await self._one(person_id)
        if name not in (None, person.name):
            raise _other_names()
        return person

    async def _one(self, person_id: str) -> tuple[Person, str | None]:
        answer, name = await self._beside(
            self._link.ask(GUARD.render("view", id=person_id)), lambda api: api.name(person_id)
        )
        return person_of(answer.get("person"), person_id), name

    async def people(self, cursor: str | None, limit: int) -> Page:
        """By extension; both lists are in the database's own order."""
        limit, place = min(limit, MAX_PAGE), _Place.of(cursor)

        async def named(api: ApiLink) -> Names | None:
            return None if place.skip is None else await api.people(place.skip, limit)

        request = GUARD.render("page", cursor=place.last, limit=limit)
        answer, told = await self._beside(self._link.ask(request), named)
        people = people_of(answer, limit)
        names = dict(told.rows) if told is not None else {}
        doubted = [one for one in people if names.get(one.id, one.name) != one.name]
        for one in doubted:
            with suppress(NotFound):  # gone meanwhile: as the page has it
                now = await self.view(one.id)
                people = tuple(now if other is one else other for other in people)
        if not people or answer.get("more") is not True:
            return Page(people, None)
        return Page(people, str(_Place(people[-1].id, _passed(place, told, people[-1].id))))

    async def _beside(
        self, asked: Coroutine[Any, Any, dict[str, Any]], of: Callable[[ApiLink], Awaitable[T | None]]
    ) -> tuple[dict[str, Any], T | None]:
        """The helper's answer, and the API's if there is one to be had. IdentityMismatch is never passed over."""
        api = None if self._trouble is not None else self._api
        if api is None:
            return await asked, None
        witness = asyncio.ensure_future(_told(of, api))
        try:
            answer = await asked
            told = await witness
        finally:
            witness.cancel()
            await asyncio.gather(witness, return_exceptions=True)
        if isinstance(told, IdentityMismatch):
            raise told
        if isinstance(told, ConnectorError):
            self._trouble = told
            return answer, None
        return answer, told

    async def check(self) -> tuple[CheckLine, ...]:
        """Whether the API answers, what its client could do, and whether it is this phone system's."""
        if self._api is None:
            return ()
        failure: ConnectorError | None = None
        try:
            told, wider = await self._api.people(0, 1), await self._api.wider()
        except ConnectorError as error:
            failure = error
        if failure is not None:
            words = f"{failure.message}: names are the helper's alone. {failure.next_step}"
            return (CheckLine("api", False, words),)
        self._trouble = None
        lines = [CheckLine("api", True, "it takes our client; names are read by GraphQL, all else by the helper")]
        try:
            await self.people(None, 20)
        except Refused as error:
            lines.append(CheckLine("api names", False, f"{error.message}. {error.next_step}"))
        else:
            same = "the first names are the helper's" if told.rows else "there is nobody to compare"
            lines.append(CheckLine("api names", True, same))
        lines.append(CheckLine("api rights", True, f"{_UNBOUND if wider else _BOUND}{_GUARDED}"))
        return tuple(lines)

    async def close(self) -> None:
        """Hang up, both."""
        if self._api is not None:
            await self._api.close()
        self._link.abort()


async def _told(of: Callable[[ApiLink], Awaitable[T]], api: ApiLink) -> T | ConnectorError:
    """What came, or why nothing did: an error of the API's is judged where the helper's answer is known."""
    try:
        return await of(api)
    except ConnectorError as error:
        return error.with_traceback(None)


def _passed(place: _Place, told: Names | None, last: str) -> int | None:
    """How many the API told up to that one; None where it is not on its page, for people came or went meanwhile."""
    if told is None or place.skip is None:
        return None
    known = [extension for extension, _ in told.rows]
    return place.skip + known.index(last) + 1 if last in known else None


def _other_names() -> Refused:
    wrong = Refused(
        "FreePBX's API tells other names than the helper: it may be another phone system's",
        next_step="Compare `api` in the phone system's settings with its address; take it out to go on without it.",
    )
    wrong.fault = Fault.OPERATOR
    return wrong
