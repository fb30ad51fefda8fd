"""The operations on a Yeastar P-Series. What can be sent is in `requests`, the way there in `link`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pydantic import BaseModel

from connectors.base import ConnectorBase
from connectors.contract import (
    UNSET,
    Capabilities,
    Change,
    CheckLine,
    Device,
    Page,
    Person,
    Removal,
    ResetDone,
    Secret,
    SecretKind,
    SecretRules,
    Target,
    Unseal,
)
from connectors.errors import (
    Conflict,
    ConnectorError,
    NotFound,
    OutcomeUnknown,
    ProtocolViolation,
    looking_again,
)
from connectors.yeastar import answers
from connectors.yeastar.answers import Row
from connectors.yeastar.capabilities import capabilities
from connectors.yeastar.link import Link, connect
from connectors.yeastar.numbers import DirectNumbers
from connectors.yeastar.people import Key, Place, Words, in_order, parts, person, the_one
from connectors.yeastar.proof import check_lines
from connectors.yeastar.requests import GUARD, MOST_ROUTES
from connectors.yeastar.settings import YeastarSettings

_LOWER: Final = "abcdefghijkmnpqrstuvwxyz"
_UPPER: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_DIGITS: Final = "23456789"
_MOST_AT_ONCE: Final = 500
"""People asked for at once, at most; others have seen phone systems give a thousand."""
_AT_ONCE: Final = 100
_MOST_PAGES: Final = 20_000
_AT_THE_PBX: Final = "Do it at the phone system's own web page."
_PLAN: Final = Removal(
    (
        "the extension with its registration, its mailbox and the messages in it, its sign-in to Linkus and, where it "
        "had a role, to the web page",
    ),
    (
        "inbound routes that name it, and its direct numbers in them", "its places in ring groups, queues, menus and "
        "conferences", "a telephone that was provisioned for it, until that is provisioned anew", "call records and "
        "recordings",
    ),
)  # fmt: skip


class YeastarConnector(ConnectorBase):
    """An open way to one phone system."""

    instead = _AT_THE_PBX

    def __init__(self, link: Link, settings: YeastarSettings, pin: str) -> None:
        self._link = link
        self._settings = settings
        self._pin = pin
        self._paged: tuple[str, DirectNumbers | None] | None = None
        """Direct numbers, for whoever goes on after the cursor that was handed out last."""
        self._most = _MOST_AT_ONCE

    def capabilities(self) -> Capabilities:
        """What this very phone system's settings permit."""
        return capabilities(self._settings)

    async def check(self) -> Sequence[CheckLine]:
        """Reach, identity, credential, what the client could read, and what is not shown."""
        return await check_lines(self._link, self._settings, self._pin, await self._numbers())

    # --- looking ---

    async def people(self, cursor: str | None, limit: int) -> Page:
        """In the order of the phone system's own ids: who is added comes last, and pages do not shift."""
        place, last = Place.of(cursor), self._paged
        self._paged = None
        numbers = last[1] if last is not None and last[0] == cursor else await self._numbers()
        rows, on = await self._after(place, max(1, limit))
        found = tuple(person(row, numbers) for row in rows)
        if on is None:
            return Page(found, None)
        self._paged = (str(on), numbers)
        return Page(found, str(on))

    async def _after(self, place: Place, size: int) -> tuple[list[Row], Place | None]:
        """The next people after a place, and where that leads; None at the end."""
        size = min(size, self._most)
        page = place.page(size)
        for _ in range(_MOST_PAGES):
            answer = await self._link.ask(GUARD.render("people", page=page, size=size), answers.PEOPLE)
            rows, total = answers.people(answer), answers.total_of(answer)
            earlier = place.page(size, total)
            if earlier < page and place.total:
                place, page = Place(min(place.came, total), place.last, 0), earlier
                continue
            in_order(rows)
            came = (page - 1) * size + len(rows)
            if len(rows) < size and came < total:
                if page > 1 or not rows:
                    raise ProtocolViolation("the phone system leaves people out of its pages")
                # It gives no more than so many at once, whatever it is asked for: then that is what it is asked for.
                self._most = size = len(rows)
            fresh = [row for row in rows if row.id > place.last]
            if came >= total or not rows:
                return fresh, None
            if fresh:
                return fresh, Place(came, rows[-1].id, total)
            page += 1
        raise ProtocolViolation("the list of people has no end")

    async def find(self, words: str, limit: int) -> Page:
        """People who match every word, whatever its case. The whole list is looked through: what the phone system's
        own search compares is not documented."""
        wanted = Words(words, self._settings)
        if not wanted:
            return Page((), None)
        numbers, found = await self._numbers(), list[Person]()
        place: Place | None = Place()
        while place is not None and len(found) < limit:
            rows, place = await self._after(place, self._most)
            found += [one for one in (person(row, numbers) for row in rows) if wanted.match(one)]
        return Page(tuple(found[:limit]), None)

    async def view(self, person_id: str) -> Person:
        """One person, by number and id."""
        row = await self._row(Key.of(person_id))
        return person(row, await self._numbers())

    async def _row(self, key: Key, kept: frozenset[str] = answers.PEOPLE) -> Row:
        """That very extension; NotFound where the number is another's by now."""
        came = 0
        for page in range(1, _MOST_PAGES):
            request = GUARD.render("search", number=key.number, page=page, size=_AT_ONCE)
            answer = await self._link.ask(request, kept)
            rows, total = answers.people(answer), answers.total_of(answer)
            if (one := the_one(rows, key)) is not None:
                return one
            came += len(rows)
            if not rows or came >= total:
                break
        raise NotFound("there is no such person on the phone system")

    async def _numbers(self) -> DirectNumbers | None:
        if self._settings.direct_numbers == "none":
            return None
        found, came = DirectNumbers(self._settings.country_code), 0
        for page in range(1, _MOST_PAGES):
            answer = await self._link.ask(GUARD.render("routes", page=page, size=_MOST_AT_ONCE), answers.ROUTES)
            ids, total = answers.route_ids(answer), answers.total_of(answer)
            for at in range(0, len(ids), MOST_ROUTES):
                wanted = ids[at : at + MOST_ROUTES]
                told = await self._link.ask(GUARD.render("route-numbers", ids=wanted), answers.ROUTE_NUMBERS)
                found.routes_of(wanted, answers.routes(told))
            came += len(ids)
            if not ids or came >= total:
                break
        return found

    # --- writing ---

    async def alter(self, person_id: str, change: Change, expected: Person) -> Person:
        """Name and address in one request, if they still are as they were shown."""
        self.alters_only(change, "name", "email")
        key, values = Key.of(person_id), dict[str, str]()
        if change.name is not UNSET:
            values |= parts(change.name, self._settings)
        if change.email is not UNSET:
            values["email_addr"] = change.email or ""
        request = GUARD.render("change", id=key.id, values=values)
        row = await self._row(key)
        if change.name is not UNSET and row.name != expected.name:
            raise Conflict("the name changed since it was shown; nothing was written")
        if change.email is not UNSET and row.email != expected.email:
            raise Conflict("the email changed since it was shown; nothing was written")
        unknown: OutcomeUnknown | None = None
        try:
            await self._link.write(request)
        except OutcomeUnknown as error:
            unknown = error
        if unknown is None:
            with looking_again():
                return await self._as_now(key, expected)
        now = await self._again(key, expected)
        wanted = {"name": change.name, "email": change.email}
        if now is None or any(v is not UNSET and getattr(now, f) != v for f, v in wanted.items()):
            raise unknown
        return now

    async def _as_now(self, key: Key, expected: Person) -> Person:
        """After a change, which touches no direct number: those are as they were shown."""
        return replace(person(await self._row(key), None), ddis=expected.ddis)

    async def _again(self, key: Key, expected: Person) -> Person | None:
        """How it is after a write whose answer was lost; None where that cannot be told either."""
        try:
            return await self._as_now(key, expected)
        except ConnectorError:
            return None

    async def plan_removal(self, person_id: str) -> Removal:
        """What goes and what stays, without touching it."""
        await self._row(Key.of(person_id))
        return _PLAN

    async def remove(self, person_id: str, expected: Person) -> Removal:
        """Sent once, if it still is the person who was shown."""
        key = Key.of(person_id)
        row = await self._row(key)
        if (row.number, row.name) != (expected.extension, expected.name):
            raise Conflict("the person changed since they were shown; nothing was removed")
        unknown: OutcomeUnknown | None = None
        try:
            await self._link.write(GUARD.render("remove", id=key.id))
        except OutcomeUnknown as error:
            unknown = error
        if unknown is not None and not await self._gone(key):
            raise unknown
        return _PLAN

    async def _gone(self, key: Key) -> bool:
        try:
            await self._row(key)
        except NotFound:
            return True
        except ConnectorError:
            return False
        return False

    async def devices(self, person_id: str) -> Sequence[Device]:
        """Telephones and apps that are connected now; the phone system does not say until when."""
        row = await self._row(Key.of(person_id), answers.ONLINE)
        return tuple(Device(words, None) for words in row.online)

    # --- passwords ---

    async def secret_rules(self, person_id: str, kind: SecretKind) -> SecretRules:
        """The registration password, and the one password for Linkus and the web page."""
        if kind is SecretKind.VOICEMAIL:
            return await super().secret_rules(person_id, kind)
        await self._row(Key.of(person_id))
        if kind is SecretKind.SIP:
            return SecretRules(_LOWER + _UPPER + _DIGITS, 20, 63, False, "readable by whoever administers it")
        stored = "in a way that the vendor does not say; no request for it is documented"
        return SecretRules(_LOWER + _UPPER + _DIGITS, 16, 63, False, stored, classes=(_LOWER, _UPPER, _DIGITS))

    async def reset(self, person_id: str, kind: SecretKind, secret: Secret) -> ResetDone:
        """Sent once; nothing of it comes back."""
        if kind is SecretKind.VOICEMAIL:
            return await super().reset(person_id, kind, secret)
        key = Key.of(person_id)
        await self._row(key)
        template = "set-sip" if kind is SecretKind.SIP else "set-portal"
        await self._link.write(GUARD.render(template, id=key.id, password=secret.reveal()))
        if kind is SecretKind.SIP:
            return ResetDone(("telephones that the phone system provisions have to be provisioned anew",))
        return ResetDone(("it is the password of the Linkus apps, too",))

    async def close(self) -> None:
        """Give the token back and let go."""
        self._paged = None
        await self._link.close()


class YeastarFamily:
    """Yeastar P-Series, as the registry knows it."""

    name = "yeastar"
    settings_model: type[BaseModel] = YeastarSettings
    default_port = 8088

    def capabilities(self) -> Capabilities:
        """Of any system of this family."""
        return capabilities()

    async def connect(self, target: Target, unseal: Unseal) -> YeastarConnector:
        """The certificate first, the Client Secret after."""
        settings = target.settings_as(YeastarSettings)
        return YeastarConnector(await connect(target, settings, unseal), settings, target.pin)
