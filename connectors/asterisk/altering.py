"""Altering one person in Asterisk's tables: one way there for what is locked and shown, one for what is written, the
commit and what it left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from connectors.asterisk.own import Own
from connectors.asterisk.people import CALLERID_LENGTH, person
from connectors.asterisk.settings import AsteriskRealtimeSettings
from connectors.callerid import name_of, renamed
from connectors.contract import UNSET, Change, Person
from connectors.errors import Conflict, InvalidValue, NotSupported, Refused
from connectors.transport.postgres import Link, Row, Transaction

_TOLD: Final = 20
"""How many are named of those who share a mailbox."""

Agree = Callable[[Person], tuple[Change, Person]]
"""Is shown the person; gives what is to be written, and the person to whom."""


@dataclass(frozen=True, slots=True)
class _Locked:
    """What nobody else writes until the end: a person's rows and mailbox. Direct numbers, and who has that mailbox too,
    are as they were a moment ago."""

    own: Own
    boxes: list[Row]
    users: list[str]
    ddis: list[str]

    def shown(self, person_id: str, settings: AsteriskRealtimeSettings) -> Person:
        """As `view` shows them."""
        callerid = self.own.callerids[self.own.ids.index(person_id)]
        fullname, email = self.boxes[0][1:3] if self.boxes else (None, None)
        return person((person_id, callerid, self.own.extension, fullname, email, self.ddis), settings)

    def sharers(self) -> list[str]:
        """Who else has the mailbox."""
        return [user for user in self.users if user not in self.own.ids][:_TOLD] if self.boxes else []


async def altered(
    link: Link, settings: AsteriskRealtimeSettings, scope: dict[str, Any], person_id: str, change: Change, agree: Agree
) -> tuple[Person, Callable[[], list[Row]] | None]:
    """The person before, and what `view` says of them after the commit (None where nothing was to be written). `agree`
    is asked once nobody else can write: it may leave something of `change` out, or raise."""
    async with link.transaction() as work:
        locked = await _locked(work, settings, scope, person_id, change)
        before = locked.shown(person_id, settings)
        change, expected = agree(before)
        if not change.fields():
            return before, None
        if change.name is not UNSET:
            _rename(work, locked, change.name, expected)
        if change.email is not UNSET:
            _mail(work, locked, change.email, expected)
        if change.ddi is not UNSET:
            await _number(work, settings, locked.own, change.ddi, expected)
        return before, work.afterwards("view", id=person_id, **scope).rows


async def _locked(
    work: Transaction, settings: AsteriskRealtimeSettings, scope: dict[str, Any], person_id: str, change: Change
) -> _Locked:
    of = {"id": person_id, "vmcontext": settings.voicemail_context}
    asked: list[tuple[str, dict[str, Any]]] = [("lock-own", {"id": person_id, **scope}), ("lock-box-of", of)]
    if change.name is not UNSET or change.email is not UNSET:
        asked.append(("box-users", of))
    if settings.ddi is not None:
        asked.append(("ddis-of", {"id": person_id}))
    found = {name: rows for (name, _), rows in zip(asked, await work.reads(*asked), strict=True)}
    own = Own.of(found["lock-own"], person_id)
    users, ddis = ([str(row[0]) for row in found.get(name, ())] for name in ("box-users", "ddis-of"))
    return _Locked(own, found["lock-box-of"] if own.mailbox else [], users, ddis)


def _rename(work: Transaction, locked: _Locked, name: str, expected: Person) -> None:
    own, fullname = locked.own, locked.boxes[0][1] if locked.boxes else None
    if name_of(own.callerids[0], fullname) != expected.name:
        raise Conflict("the name changed since it was shown; nothing was written")
    for endpoint, callerid in zip(own.ids, own.callerids, strict=True):
        work.later("set-callerid", id=endpoint, callerid=renamed(callerid, name, own.extension, CALLERID_LENGTH))
    if locked.boxes and not locked.sharers():
        work.later("set-fullname", name=name, **own.box)


def _mail(work: Transaction, locked: _Locked, email: str | None, expected: Person) -> None:
    if not locked.boxes:
        raise Refused("this person has no mailbox, and an address is kept there", next_step="Have one made first.")
    if (locked.boxes[0][2] or None) != expected.email:
        raise Conflict("the email changed since it was shown; nothing was written")
    if sharers := locked.sharers():
        raise Refused(f"the mailbox also belongs to {', '.join(sharers)}", next_step="Change it at the phone system.")
    work.later("set-email", email=email, **locked.own.box)


async def _number(
    work: Transaction, settings: AsteriskRealtimeSettings, own: Own, ddi: str | None, expected: Person
) -> None:
    table = settings.ddi
    if table is None:
        raise NotSupported("this phone system's settings name no table of direct numbers")
    rows = [str(row[0]) for row in await work.read("lock-ddis", extension=own.extension)]
    if tuple(map(table.shown, rows)) != (expected.ddis or ()):
        raise Conflict("the direct numbers changed since they were shown; nothing was written")
    if len(rows) > 1:
        raise Refused("this person has several numbers", next_step="Change them at the phone system.")
    if ddi is None:
        work.later("delete-ddis", extension=own.extension)
        return
    number: str | None = None
    try:
        number = table.stored(ddi)
    except ValueError:
        number = None
    if number is None:
        raise InvalidValue("the phone system's table holds numbers of its own country only")
    owners = await work.read("ddi-owner", number=number)
    if any(row[0] != own.extension for row in owners):
        raise Conflict("that number is somebody else's; nothing was written")
    if rows and rows[0] != number:
        work.later("move-ddi", old=rows[0], new=number, extension=own.extension)
    elif not rows:
        work.later("insert-ddi", number=number, extension=own.extension)
