"""The operations on a 3CX. What can be sent is in `requests`, the wire in `link`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from connectors.contract import (
    UNSET,
    Capabilities,
    Change,
    CheckLine,
    Device,
    DiagCommand,
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
    InvalidValue,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    Refused,
)
from connectors.guard import Allowed, fingerprint, text
from connectors.tcx.answers import Registered, Rule, User, Users
from connectors.tcx.capabilities import MADE_THERE, NO_DIAG, capabilities
from connectors.tcx.giving import numbering
from connectors.tcx.link import Link, connect
from connectors.tcx.numbers import national_part
from connectors.tcx.people import key_of, person, split
from connectors.tcx.proof import check_lines
from connectors.tcx.requests import GUARD, MOST_A_PAGE, MOST_NUMBERS, MOST_WORDS
from connectors.tcx.rules import InboundRules, leads_to
from connectors.tcx.settings import TcxSettings
from connectors.transport.text import same

_NAME: Final = text(150, pattern=r"\S+(?: \S+)*")
_CURSOR: Final = re.compile(r"([1-9][0-9]{0,7}):([0-9a-f]{64})", re.ASCII)
_SAFE: Final = re.compile(r"[0-9*#+]{1,40}", re.ASCII)
_FOUND_BY_NUMBER: Final = 10
_STAYS: Final = (
    "telephones and apps that are set up for this extension, until somebody takes them away",
    "recordings, voicemail and chat, as 3CX's own retention has it",
    "queues, ring groups, departments and digital receptionists that name this extension",
)
_STORED: Final = "as 3CX keeps it; made and mailed by 3CX itself, and never known here"


@dataclass(frozen=True, slots=True)
class _Own:
    """A person with what is known besides."""

    user: User
    rules: tuple[Rule, ...]
    shown: Person
    etag: str | None


class TcxConnector:
    """A client of one 3CX."""

    def __init__(self, link: Link, settings: TcxSettings, pin: str) -> None:
        self._link, self._settings, self._pin = link, settings, pin
        self._rules = InboundRules(link, settings.region)

    async def check(self) -> Sequence[CheckLine]:
        """Reach, identity, credential, version, what is seen, and what the client could read."""
        return await check_lines(self._link, self._pin, self._settings.server_name)

    # --- looking ---

    async def people(self, cursor: str | None, limit: int) -> Page:
        """By extension. The last one of a page is asked for again with the next, so that nobody is passed over when
        somebody before them was removed meanwhile: a Conflict then."""
        size = max(1, min(limit, MOST_A_PAGE))
        skip, last = _where(cursor)
        before = 1 if last is not None else 0
        page = await self._link.look(Users, "users", skip=skip - before, top=size + before)
        if len(page.value) > size + before:
            raise ProtocolViolation("the phone system's answer is larger than was asked for")
        rows = page.value
        if last is not None:
            if not rows or fingerprint(rows[0].Number) != last:
                raise Conflict(
                    "people were added or removed while they were listed",
                    next_step="List them again from the beginning.",
                )
            rows = rows[1:]
        skip += len(rows)
        full = len(rows) == size
        more = full and (page.count is None or skip < page.count)
        return Page(await self._persons(rows), f"{skip}:{fingerprint(rows[-1].Number)}" if more else None)

    async def find(self, words: str, limit: int) -> Page:
        """People who match every word in name, address, extension or direct number, as 3CX itself compares."""
        split_ = [unicodedata.normalize("NFC", word) for word in words.split()]
        if not split_:
            return Page((), None)
        if len(split_) > MOST_WORDS:
            raise InvalidValue(f"at most {MOST_WORDS} words can be looked for at once", next_step="Give fewer words.")
        top = max(1, min(limit, MOST_A_PAGE))
        wanted, first = list[tuple[str, tuple[str, ...]]](), list[User]()
        for word in split_:
            digits = _digits(word, self._settings.region)
            holders = await self._holders(digits) if digits else ()
            wanted.append((word, holders))
        if len(wanted) == 1 and re.fullmatch(r"[0-9*#]{1,20}", words.strip(), re.ASCII):
            # Digits that are an extension are that one's first, however many numbers hold them.
            first = (await self._link.look(Users, "numbered", numbers=(words.strip(),))).value
        request = {"words": tuple(wanted), "top": top}
        found = (await self._link.look(Users, "search", **request)).value
        users = {user.Id: user for user in (*first, *found)}
        return Page(await self._persons(list(users.values())[:top]), None)

    async def _holders(self, digits: str) -> tuple[str, ...]:
        """Whose direct number holds these digits: their extensions, the first few."""
        rules = await self._rules.holding(digits, enough=_FOUND_BY_NUMBER)
        whose = (leads_to(rule) for rule in rules)
        return tuple(dict.fromkeys(one for one in whose if one is not None))[:MOST_NUMBERS]

    async def view(self, person_id: str) -> Person:
        """One person. NotFound when there is none."""
        return (await self._own(person_id)).shown

    async def _own(self, person_id: str) -> _Own:
        user, etag = await self._user(person_id)
        rules = tuple((await self._rules.of((user.Number,))).get(user.Number, ()))
        return _Own(user, rules, person(user, map(self._rules.number, rules)), etag)

    async def _user(self, person_id: str) -> tuple[User, str | None]:
        """The user alone, with its ETag."""
        key = key_of(person_id)
        user, etag = await self._link.look_with_tag(User, "user", id=key)
        _is_about(user, key)
        return user, etag

    async def _persons(self, users: Sequence[User]) -> tuple[Person, ...]:
        if not users:
            return ()
        rules = await self._rules.of([user.Number for user in users])
        return tuple(person(user, map(self._rules.number, rules.get(user.Number, ()))) for user in users)

    # --- altering ---

    async def alter(self, person_id: str, change: Change, expected: Person) -> Person:
        """Name, address and number are a request each; what was written before one failed makes the outcome unknown."""
        key_of(person_id)
        if change.name is not UNSET:
            _NAME("the name", change.name)
        if change.email is not UNSET:
            GUARD.render("set-email", id=0, email=change.email or "")
        own = await self._own(person_id)
        _as_shown(own.shown, expected, change.fields())
        requests = list[Allowed]()
        if change.name is not UNSET:
            first, last = split(change.name, own.user)
            requests.append(GUARD.render("set-name", id=own.user.Id, first=first, last=last))
        if change.email is not UNSET:
            requests.append(GUARD.render("set-email", id=own.user.Id, email=change.email or ""))
        if change.ddi is not UNSET:
            requests += await numbering(self._link, self._rules, own.user, own.rules, change.ddi, self._settings.region)
        await self._write(requests)
        with suppress(ConnectorError):
            return await self.view(person_id)
        # Whatever kept it from being shown: it was written, and must not read as if it had not been.
        raise OutcomeUnknown("it was written, and could not be shown again")

    async def _write(self, requests: Sequence[Allowed]) -> None:
        for count, request in enumerate(requests):
            failure: ConnectorError | None = None
            try:
                await self._link.write(request)
            except ConnectorError as error:
                failure = error
            if failure is not None and count:
                raise OutcomeUnknown("part of it was written, and the rest was refused or lost")
            if failure is not None:
                raise failure

    # --- removing ---

    async def plan_removal(self, person_id: str) -> Removal:
        """What goes and what stays, without touching it."""
        own = await self._own(person_id)
        return await self._removal(own)

    async def _removal(self, own: _Own) -> Removal:
        stays = [_rule_stays(rule, self._rules) for rule in await self._rules.naming(own.user.Number)]
        gone = (f"extension {own.shown.extension}, with its voicemail box, its passwords and its sign-in to 3CX",)
        return Removal(gone, (*stays, *_STAYS))

    async def remove(self, person_id: str, expected: Person) -> Removal:
        """The user alone: an inbound rule is a step of its own, and told as what remains."""
        own = await self._own(person_id)
        if (own.shown.extension, own.shown.name) != (expected.extension, expected.name):
            raise Conflict("the person changed since they were shown; nothing was removed")
        removal = await self._removal(own)
        await self._link.write(GUARD.render("remove-user", id=own.user.Id, etag=own.etag))
        return removal

    async def devices(self, person_id: str) -> Sequence[Device]:
        """Whether anything is registered: which telephones, 3CX tells only along with their passwords."""
        key = key_of(person_id)
        found = await self._link.look(Registered, "registered", id=key)
        _is_about(found, key)
        return (Device("at least one telephone or app (3CX tells no more without passwords)", None),) * bool(
            found.IsRegistered
        )

    # --- passwords ---

    async def secret_rules(self, person_id: str, kind: SecretKind) -> SecretRules:
        """3CX's own to make. NotFound."""
        await self._user(person_id)
        return SecretRules("", 0, 0, False, _STORED, made_there=True)

    async def reset(self, person_id: str, kind: SecretKind, secret: Secret) -> ResetDone:
        """Never: nothing of ours is a password here. See `renew`."""
        key_of(person_id)
        raise NotSupported(f"no password can be set here: {MADE_THERE}")

    async def renew(self, person_id: str, kind: SecretKind, email: str) -> ResetDone:
        """3CX makes a new password of that kind alone, and mails it to the address that it has for the person."""
        own = (await self._user(person_id))[0]
        if not own.EmailAddress:
            raise Refused(
                "3CX has no address for this person, and nobody would ever know the new password; nothing was written",
                next_step="Give the person an address first: `set USER email=ADDRESS`.",
            )
        if not same(own.EmailAddress, email):
            raise Conflict("the address changed since it was shown; nothing was written")
        await self._link.write(GUARD.render("regenerate", id=own.Id, kind=kind.value))
        notes = ["3CX made the new password and mails it to the user with its welcome message; nobody here knows it"]
        if kind is SecretKind.SIP:
            notes.append("telephones and apps of this extension have to be set up again, from that message or by 3CX")
        return ResetDone(tuple(notes))

    async def diag(self, command: DiagCommand) -> AsyncIterator[bytes]:
        """Not on a 3CX."""
        raise NotSupported(f"diagnostics are not possible here: {NO_DIAG}")
        yield b""

    async def close(self) -> None:
        """Forget the token and the key."""
        await self._link.close()


def _is_about(found: User | Registered, key: int) -> None:
    if found.Id != key:
        raise ProtocolViolation("the phone system answered about somebody else")


def _where(cursor: str | None) -> tuple[int, str | None]:
    """How many were listed, and the fingerprint of the last one's extension."""
    if cursor is None:
        return 0, None
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise InvalidValue("that is no place in this list", next_step="List from the beginning.")
    return int(found[1]), found[2]


def _digits(word: str, region: str) -> str:
    """The digits of a word that may be (part of) a direct number, without what is written in front of it."""
    plain = re.sub(r"[()./-]", "", word)
    if not re.fullmatch(r"\+?[0-9]{3,20}", plain, re.ASCII):
        return ""
    return national_part(plain, region)


def _as_shown(now: Person, expected: Person, fields: Sequence[str]) -> None:
    for field in fields:
        kept = "ddis" if field == "ddi" else field
        if getattr(now, kept) != getattr(expected, kept):
            raise Conflict(f"the {field} changed since it was shown; nothing was written")


def _rule_stays(rule: Rule, rules: InboundRules) -> str:
    number = rules.number(rule)
    whose = f"for {number}" if _SAFE.fullmatch(number) else "without a plain number"
    return f"the inbound rule {whose}, which leads to this extension: taken away by `set USER ddi=` before"


class TcxFamily:
    """3CX, as the registry knows it."""

    name = "3cx"
    settings_model: type[BaseModel] = TcxSettings
    default_port = 443

    def capabilities(self) -> Capabilities:
        """Of any system of this family."""
        return capabilities()

    async def connect(self, target: Target, unseal: Unseal) -> TcxConnector:
        """The certificate first, the client's key after."""
        settings = target.settings_as(TcxSettings)
        return TcxConnector(await connect(target, settings, unseal), settings, target.pin)
