"""The operations on a Cisco Unified Communications Manager. What can be sent is in `requests`, the way in `link`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
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
from connectors.cucm import rules
from connectors.cucm.answers import Row, devices, done, mailboxes, user, users
from connectors.cucm.capabilities import capabilities
from connectors.cucm.link import Link, TooMany, connect
from connectors.cucm.people import Own, Search, labels, parts
from connectors.cucm.proof import check_lines
from connectors.cucm.requests import DISPLAY_NAME, EMAIL, GUARD, MOST_A_PAGE, NUMBER, operation
from connectors.cucm.settings import CucmSettings
from connectors.errors import (
    Conflict,
    ConnectorError,
    InvalidValue,
    NotFound,
    NotSupported,
    ProtocolViolation,
    Refused,
    looking_again,
)
from connectors.transport.text import same

_SCAN: Final = 500
"""People of one look of a search."""
_ROUNDS: Final = 3
_MOST_MAILBOXES: Final = 20
_MOST_PEOPLE: Final = 200_000
"""Of one search: whoever goes on and on is no phone system."""


class CucmConnector(ConnectorBase):
    """An open connection to one Unified Communications Manager."""

    def __init__(self, link: Link, settings: CucmSettings) -> None:
        self._link = link
        self._settings = settings
        self._fits = MOST_A_PAGE
        """How many people the phone system puts into one answer, as far as it said."""

    def capabilities(self) -> Capabilities:
        """What this very phone system's settings permit."""
        return capabilities(self._settings)

    async def check(self) -> Sequence[CheckLine]:
        """Reach, identity, credential, what the account could do, version, directory, mailboxes."""
        return await check_lines(self._link, self._settings)

    # --- looking ---

    async def people(self, cursor: str | None, limit: int) -> Page:
        """In the phone system's order. It counts instead of remembering, so that each page begins with the last one
        of the page before: whoever is not there any more is told as a Conflict."""
        skip, last = _position(cursor)
        found, more = await self._page(skip, last, max(1, min(limit, MOST_A_PAGE)))
        people = tuple(own.person(self._settings.region) for own in found)
        return Page(people, f"{skip + len(found)}:{found[-1].userid}" if more else None)

    async def _page(self, skip: int, last: str | None, size: int) -> tuple[list[Own], bool]:
        """At most `size` after `skip`, and whether there are more."""
        before = 0 if last is None else 1
        while True:
            size = min(size, self._fits)
            first = size + before + 1
            found = list[Own]()
            request = GUARD.render("users", axl=self._link.version, skip=skip - before, first=first)
            try:
                await self._link.ask(request, users(lambda row, kept=found: kept.append(Own.of(row)), first))  # type: ignore[misc]
            except TooMany as error:
                if size == 1:
                    raise
                # Less than it said: the limit is one of bytes, and other rows may be longer.
                self._fits = max(1, min(size // 2, error.fits * 7 // 10 - 2))
                continue
            if before and (not found or found[0].userid != last):
                raise Conflict("people were added or removed meanwhile", next_step="Begin the list again.")
            return found[before : before + size], len(found) > size + before

    async def _everyone(self) -> AsyncIterator[Person]:
        skip, last, more = 0, None, True
        while more:
            found, more = await self._page(skip, last, _SCAN)
            skip, last = skip + len(found), found[-1].userid if found else None
            if skip > _MOST_PEOPLE:
                raise ProtocolViolation("the phone system has more people than can be looked through")
            for own in found:
                yield own.person(self._settings.region)

    async def _matching(self, search: Search, limit: int) -> list[Person]:
        """AXL searches neither addresses nor extensions nor numbers: all are looked through as they come."""
        for left in reversed(range(_ROUNDS)):
            found = list[Person]()
            try:
                async for person in self._everyone():
                    if search.takes(person):
                        found.append(person)
                        if len(found) >= limit:
                            break
                return found
            except Conflict:
                if not left:
                    raise
        return []

    async def find(self, words: str, limit: int) -> Page:
        """People who match every word, whatever its case, in name, address, user id, extension or number."""
        search = Search(words, self._settings.region)
        return Page(tuple(await self._matching(search, limit)) if search and limit > 0 else (), None)

    async def view(self, person_id: str) -> Person:
        """One person. NotFound when there is none of exactly that user id."""
        return (await self._own(person_id)).person(self._settings.region)

    async def _own(self, person_id: str) -> Own:
        rows = list[Row]()
        await self._link.ask(GUARD.render("user", axl=self._link.version, userid=person_id), user(rows.append))
        own = Own.of(rows[0]) if rows else None
        if own is None or own.userid != person_id:
            raise NotFound("there is no such person on the phone system")
        return own

    async def _devices(self, person_id: str) -> tuple[str, ...]:
        rows = list[Row]()
        request = GUARD.render("user-devices", axl=self._link.version, userid=person_id)
        await self._link.ask(request, devices(rows.append))
        return labels(rows[0].get("devices", [])) if rows else ()

    # --- altering ---

    async def alter(self, person_id: str, change: Change, expected: Person) -> Person:
        """Name, address and the number in the directory, in one request."""
        _whole(change)
        own = await self._own(person_id)
        now = own.person(self._settings.region)
        for field, was, shown in (
            ("name", now.name, expected.name), ("email", now.email, expected.email), ("ddi", now.ddis, expected.ddis),
        ):  # fmt: skip
            if field in change.fields() and was != shown:
                raise Conflict(f"the {field} changed since it was shown; nothing was written")
        rules.may_change(own)
        values: dict[str, str | None] = dict.fromkeys(
            ("first_name", "display_name", "last_name", "email", "telephone_number")
        )
        if change.name is not UNSET:
            values["first_name"], values["last_name"] = parts(change.name, own)
            # Where there is none, telephones and clients show first and last name.
            values["display_name"] = change.name if own.display_name else None
        if change.email is not UNSET:
            values["email"] = change.email or ""
        if change.ddi is not UNSET:
            await self._free(change.ddi, now)
            values["telephone_number"] = change.ddi or ""
        await self._write("set-person", own, **values)
        with looking_again():
            return await self.view(person_id)

    async def _free(self, number: str | None, person: Person) -> None:
        """Refused where another person has that number."""
        if number is None or number in (person.ddis or ()):
            return
        for other in await self._matching(Search(number, self._settings.region), MOST_A_PAGE):
            if other.id != person.id and number in (other.ddis or ()):
                raise Refused("another person has that number; nothing was written", next_step="Take it away first.")

    async def _write(self, name: str, own: Own, **values: object) -> None:
        """A write to exactly the user that was looked at, whatever bears its name meanwhile."""
        if not own.uuid:
            raise ProtocolViolation("the phone system does not say which user that is")
        request = GUARD.render(name, axl=self._link.version, uuid=own.uuid, **values)
        await self._link.ask(request, done(operation(name)))

    # --- removing ---

    async def plan_removal(self, person_id: str) -> Removal:
        """What goes and what stays, without touching it. Refused where `remove` would be."""
        own = await self._own(person_id)
        rules.may_remove(own)
        return await self._removal(own)

    async def _removal(self, own: Own) -> Removal:
        mailbox: bool | None = None
        if self._settings.unity is not None:
            with suppress(ConnectorError):
                mailbox = await self._mailbox(own.userid) is not None
        return rules.removal(own, await self._devices(own.userid), mailbox)

    async def remove(self, person_id: str, expected: Person) -> Removal:
        """The end user, if it still is the person who was shown."""
        own = await self._own(person_id)
        now = own.person(self._settings.region)
        if (now.extension, now.name) != (expected.extension, expected.name):
            raise Conflict("the person changed since they were shown; nothing was removed")
        rules.may_remove(own)
        removal = await self._removal(own)
        await self._write("remove-user", own)
        return removal

    async def devices(self, person_id: str) -> Sequence[Device]:
        """Devices that the person controls; AXL does not say which are registered."""
        await self._own(person_id)
        return tuple(
            Device(f"{name} (whether it is registered is not shown here)", None)
            for name in await self._devices(person_id)
        )

    # --- passwords ---

    async def secret_rules(self, person_id: str, kind: SecretKind) -> SecretRules:
        """Digits for PINs, letters and digits for the others."""
        rules.may_reset(await self._own(person_id), kind, self._settings)
        return rules.RULES[kind]

    async def reset(self, person_id: str, kind: SecretKind, secret: Secret) -> ResetDone:
        """One request, which also unlocks where the version can."""
        own = await self._own(person_id)
        rules.may_reset(own, kind, self._settings)
        match kind:
            case SecretKind.PORTAL:
                await self._write("set-password", own, secret=secret.reveal())
            case SecretKind.SIP:
                await self._write("set-digest", own, secret=secret.reveal())
            case SecretKind.VOICEMAIL if self._settings.voicemail == "unity":
                mailbox = await self._mailbox(own.userid)
                if mailbox is None:
                    raise NotSupported("this person has no mailbox in Unity Connection under that user id")
                await self._link.ask_unity(GUARD.render("set-mailbox-pin", mailbox=mailbox, secret=secret.reveal()))
            case _:
                await self._write("set-pin", own, secret=secret.reveal())
        return ResetDone(rules.notes(kind, self._settings))

    async def _mailbox(self, alias: str) -> str | None:
        """The mailbox of exactly that alias, by Unity Connection's own key."""
        rows = list[Row]()
        try:
            await self._link.ask_unity(GUARD.render("mailbox", alias=alias), mailboxes(rows.append, _MOST_MAILBOXES))
        except NotFound:
            return None
        found = [row for row in rows if same(row.get("alias", [""])[0], alias)]
        if len(found) > 1:
            raise ProtocolViolation("Unity Connection has several mailboxes of that alias")
        return found[0].get("object", [""])[0] if found else None

    async def close(self) -> None:
        """Hang up."""
        await self._link.close()


def _position(cursor: str | None) -> tuple[int, str | None]:
    """How many to pass over, and who is the last of them."""
    if cursor is None:
        return 0, None
    count, _, last = cursor.partition(":")
    if not (count.isascii() and count.isdigit() and 0 < len(count) < 8 and int(count) > 0 and last):
        raise InvalidValue("that is no place in the list", next_step="Begin the list again.")
    return int(count), last


def _whole(change: Change) -> None:
    """InvalidValue for what is never written, before anything is asked."""
    if change.name is not UNSET:
        DISPLAY_NAME("the name", change.name)
        if not change.name:
            raise InvalidValue("a name has at least one letter")
    if change.email is not UNSET:
        EMAIL("the address", change.email or "")
    if change.ddi is not UNSET:
        NUMBER("the number", change.ddi or "")


class CucmFamily:
    """Cisco Unified Communications Manager, as the registry knows it."""

    name = "cisco-cucm"
    settings_model: type[BaseModel] = CucmSettings
    default_port = 8443

    def capabilities(self) -> Capabilities:
        """Of any system of this family."""
        return capabilities()

    async def connect(self, target: Target, unseal: Unseal) -> CucmConnector:
        """Pinned certificate first, the account's password after."""
        settings = target.settings_as(CucmSettings)
        return CucmConnector(await connect(target, settings, unseal), settings)
