"""The operations on a Communication Manager. What can be sent is in `messages`, the terminal in `link`."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from pydantic import BaseModel

from connectors.avaya_cm.answers import Answer, Station
from connectors.avaya_cm.link import Link, connect
from connectors.avaya_cm.messages import GUARD
from connectors.avaya_cm.settings import AvayaCmSettings
from connectors.base import ConnectorBase
from connectors.contract import (
    Capabilities,
    Change,
    CheckLine,
    DiagCommand,
    Operation,
    Page,
    Person,
    Proof,
    Removal,
    Target,
    Unseal,
)
from connectors.errors import (
    Conflict,
    InvalidValue,
    NotFound,
    ProtocolViolation,
    Refused,
    looking_again,
)
from connectors.transport.ssh import PROFILES
from connectors.transport.text import folded

_MOST_AT_ONCE: Final = 500
_MOST_PAGES: Final = 10_000
_AT_THE_PBX: Final = "Do it at the phone system's own terminal."
_NO_EMAIL: Final = "a Communication Manager keeps no addresses"
_NO_DDI: Final = "a direct number is not stored: it is the extension and a rule of the numbering plan"
_NO_RESET: Final = (
    "the field of a station that holds its security code is not public, and to find it would be to read it: resets are "
    "off"
)
_NO_DEVICES: Final = "which telephones are registered: the fields of that answer are not public"
_WHY: Final = (
    "no password is reset, and none asked for: the login could display a station whole, its security code among it; "
    "every request of ours for stations names its fields, its prompt is asked for lists and states from a fixed list, "
    "and nothing of another kind can be expressed"
)
_PLAN: Final = Removal(
    ("the station: extension, name, set, buttons and registration", "its message lamps, which would forbid it"),
    (
        "its mailbox, which is on another system", "rules of the numbering plan that lead to the extension",
        "its places in groups and on other stations' buttons, where the phone system does not refuse because of them",
        "call records",
    ),
)  # fmt: skip


def _nobody() -> NotFound:
    return NotFound("there is no such person on the phone system")


def _key(person_id: str) -> str:
    if not re.fullmatch(r"[0-9]{1,13}", person_id, re.ASCII):
        raise _nobody()
    return person_id


def _done(answer: Answer, what: str) -> None:
    """Refused, with the phone system's own code: its words could hold what they are about."""
    if answer.refused is not None:
        raise Refused(f"the phone system refused {what} (code {answer.refused})", next_step=_AT_THE_PBX)


class AvayaCmConnector(ConnectorBase):
    """An open terminal on one Communication Manager."""

    instead = _AT_THE_PBX

    def __init__(self, link: Link, settings: AvayaCmSettings) -> None:
        self._link = link
        self._settings = settings

    def capabilities(self) -> Capabilities:
        """The same for all of them."""
        return AvayaCmFamily().capabilities()

    async def check(self) -> Sequence[CheckLine]:
        """Reach, identity, credential, the algorithms, and what the login could read."""
        first = await self._list(None, 1)
        weakens = PROFILES[self._settings.ssh].weakens
        return (
            CheckLine("reach", True, "its terminal for programs (OSSI) answers"),
            CheckLine("identity", True, "its host key is the pinned one"),
            CheckLine("credential", True, "it takes our login"),
            # Whoever runs this chose it: a warning for as long as it lasts, and nothing that failed.
            CheckLine("algorithms", True, f"WEAKENED: {weakens}" if weakens else "those of today"),
            CheckLine(
                "stations", True, "they are listed" if first else "there are none, or the login may not list them"
            ),
            CheckLine("secrets", True, _WHY),
        )

    # --- looking ---

    async def _list(self, start: str | None, count: int) -> list[Station]:
        """So many stations from an extension on, or from the first."""
        if start is None:
            request = GUARD.render("stations", count=count)
        else:
            request = GUARD.render("stations-from", station=start, count=count)
        answer = await self._link.ask(request, count)
        if answer.none:
            return []
        _done(answer, "to list stations")
        return answer.stations

    async def people(self, cursor: str | None, limit: int) -> Page:
        """In the phone system's order of extensions; the cursor is the last that was shown."""
        if cursor is not None and not re.fullmatch(r"[0-9]{1,13}", cursor, re.ASCII):
            raise InvalidValue("that is no place in the list of people", next_step="Begin with the first page.")
        size = max(1, min(limit, _MOST_AT_ONCE))
        # One more than is shown, and, from the second page on, the last one that was shown: so the end is known.
        found = await self._list(cursor, size + 1 + (cursor is not None))
        if cursor is not None and found and found[0].extension == cursor:
            found = found[1:]
        if cursor is not None and any(one.extension == cursor for one in found):
            raise ProtocolViolation("the phone system's list of stations goes in circles")
        more = len(found) > size
        return Page(tuple(one.person() for one in found[:size]), found[size - 1].extension if more else None)

    async def find(self, words: str, limit: int) -> Page:
        """People whose name or extension holds every word: the whole list is looked through."""
        wanted, found, cursor = folded(words).split(), list[Person](), None
        for _ in range(_MOST_PAGES if wanted else 0):
            page = await self.people(cursor, _MOST_AT_ONCE)
            found += [p for p in page.people if all(word in folded(f"{p.name} {p.extension}") for word in wanted)]
            cursor = page.cursor
            if cursor is None or len(found) >= limit:
                break
        return Page(tuple(found[:limit]), None)

    async def view(self, person_id: str) -> Person:
        """One person."""
        return (await self._station(_key(person_id))).person()

    async def _station(self, extension: str) -> Station:
        found = await self._list(extension, 1)
        if not found or found[0].extension != extension:
            raise _nobody()
        return found[0]

    # --- writing ---

    async def alter(self, person_id: str, change: Change, expected: Person) -> Person:
        """The name, if it still is as it was shown; the phone system has no condition of its own."""
        self.alters_only(change, "name")
        extension = _key(person_id)
        request = GUARD.render("rename", station=extension, name=change.name)
        if (await self._station(extension)).name != expected.name:
            raise Conflict("the name changed since it was shown; nothing was written")
        _done(await self._link.ask(request), "the name; nothing was written")
        with looking_again():
            return await self.view(person_id)

    async def plan_removal(self, person_id: str) -> Removal:
        """What goes and what stays, without touching it."""
        await self._station(_key(person_id))
        return _PLAN

    async def remove(self, person_id: str, expected: Person) -> Removal:
        """The message lamps first, then the station, each sent once."""
        extension = _key(person_id)
        if (await self._station(extension)).name != expected.name:
            raise Conflict("the person changed since they were shown; nothing was removed")
        # Refused where there are none: that is no reason not to go on.
        await self._link.ask(GUARD.render("clear-messages", station=extension))
        _done(
            await self._link.ask(GUARD.render("remove", station=extension)), "to remove the station: it is still there"
        )
        return _PLAN

    async def diag(self, command: DiagCommand) -> AsyncGenerator[bytes]:
        """A line that looks. The rest of an answer that nobody waits for is read and dropped, and until then nothing
        else is asked."""
        request = GUARD.render("act" if command.acts else "look", line=command.render())
        async with aclosing(self._link.typed(request)) as output:
            async for data in output:
                yield data

    async def close(self) -> None:
        """Log off."""
        await self._link.close()


class AvayaCmFamily:
    """Avaya Communication Manager, as the registry knows it."""

    name = "avaya-cm"
    settings_model: type[BaseModel] = AvayaCmSettings
    default_port = 5022

    def capabilities(self) -> Capabilities:
        """Of any system of this family."""
        people = {Operation.FIND, Operation.LIST_ALL, Operation.VIEW, Operation.ALTER, Operation.REMOVE}
        can = people | {Operation.DIAG, Operation.CONSOLE_LOOK}
        return Capabilities(
            title="Avaya Communication Manager",
            operations=frozenset(can),
            secrecy={},
            secrecy_why=_WHY,
            proven=(Proof.TRANSCRIPTS,),
            credential={"password": True},
            proven_how="answers as public programs for it read and test them, never a phone system; the conformance "
            "kit on a stand-in made from those",
            cannot={
                "email": _NO_EMAIL,
                "ddi": _NO_DDI,
                "reset-voicemail": "mailboxes are on another system",
                "reset-sip": _NO_RESET,
                "reset-portal": "a Communication Manager has no portal of its own",
                "console-act": "what busyout, release and the like answer to a program is not public: nothing that "
                "acts is typed here",
                "logins": "the fields of its list of logins are not public; let its security log go where the "
                "maintainer cannot reach it",
                "devices": _NO_DEVICES,
                "names": "27 ASCII characters: names in its own coding (Eurofont) are shown as they come, and not "
                "written",
            },
        )

    def weakens(self, settings: BaseModel) -> str:
        """What older SSH costs."""
        return PROFILES[settings.ssh].weakens if isinstance(settings, AvayaCmSettings) else ""

    async def connect(self, target: Target, unseal: Unseal) -> AvayaCmConnector:
        """Pinned host key first, the password after."""
        settings = target.settings_as(AvayaCmSettings)
        return AvayaCmConnector(await connect(target, settings, unseal), settings)
