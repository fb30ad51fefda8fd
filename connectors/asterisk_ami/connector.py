"""The operations on an Asterisk over AMI. What can be sent is in `actions`, the wire in `link`."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel

from connectors.asterisk_ami.actions import AUTHS_AT_ONCE, EMAIL, FORMS, GUARD, NAME
from connectors.asterisk_ami.answers import Answer, Events, Fields, Keep, Listing, Sections
from connectors.asterisk_ami.capabilities import NO_DEVICES, capabilities
from connectors.asterisk_ami.link import Link, connect
from connectors.asterisk_ami.mailbox import FOUND, SHOWN, Mailbox
from connectors.asterisk_ami.people import Endpoint, Own, Paging, device, is_person, shares
from connectors.asterisk_ami.proof import check_lines
from connectors.asterisk_ami.register import proven
from connectors.asterisk_ami.rules import AT_THE_PBX, NO_LINE, done, may_reset, removal, renamings
from connectors.asterisk_ami.search import Search
from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.base import ConnectorBase
from connectors.callerid import name_of
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
    InvalidValue,
    NotFound,
    OutcomeUnknown,
    ProtocolViolation,
    Refused,
    SecretReadable,
    Unreachable,
)
from connectors.guard import Allowed

_LETTERS: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_MOST_A_PAGE: Final = 500
_MOST_SHARERS: Final = 1_000
_MOST_ACCOUNTS: Final = 200_000
_CONTACT: Final = frozenset({b"Endpoint", b"Uri", b"ExpirationTime"})
_NOT_SEEN: Final = "written; the connection was lost before it was seen that the phone system loaded it"


class AmiConnector(ConnectorBase):
    """An open connection to one Asterisk's manager interface."""

    instead = AT_THE_PBX

    def __init__(self, link: Link, settings: AsteriskAmiSettings, host: str) -> None:
        self._link = link
        self._settings = settings
        self._host = host
        self._contexts = frozenset(context.encode() for context in settings.user_contexts)
        self._paged: tuple[str, Paging, Listing] | None = None
        """What is being paged through, after the cursor that was handed out last."""

    def capabilities(self) -> Capabilities:
        """What this very phone system's settings permit."""
        return capabilities(self._settings)

    async def check(self) -> Sequence[CheckLine]:
        """Reach, identity, credential, what the account could do, and who is not seen."""
        return await check_lines(self._link, self._settings)

    # --- looking ---

    async def people(self, cursor: str | None, limit: int) -> Page:
        """In the order of pjsip.conf; the cursor is the last account. Asterisk has no pages: all is asked for once,
        and what a page does not show yet is kept packed until the next, or until something is written."""
        size = max(1, min(limit, _MOST_A_PAGE))
        last, self._paged = self._paged, None
        if last is not None and cursor is not None and last[0] == cursor:
            _, paging, listing = last
            paging.size = size
        else:
            paging = Paging(self._contexts, cursor, size)
            listing = await self._link.ask(
                GUARD.render("endpoints"), lambda number: Listing(number, paging.keep, paging.enough)
            )
            done(listing)
        try:
            listing.more()
        except (ProtocolViolation, SecretReadable):
            self._link.abort()
            raise
        found, more = paging.page()
        people = await self._with_mailboxes(found)
        if more:
            self._paged = (found[-1].section, paging, listing)
        return Page(people, found[-1].section if more else None)

    async def find(self, words: str, limit: int) -> Page:
        """People who match every word, whatever its case, in name, address, account or extension."""
        split = [unicodedata.normalize("NFC", word).casefold() for word in words.split()]
        if not split:
            return Page((), None)
        search = Search(split, self._settings, self._contexts)
        await self._link.ask(
            GUARD.render("mailboxes"),
            lambda number: Events(number, b"VoicemailUserEntry", FOUND, search.mailbox),
        )
        await self._sections("endpoints", search.endpoint)
        return Page(await self._with_mailboxes(search.found(min(limit, _MOST_A_PAGE))), None)

    async def view(self, person_id: str) -> Person:
        """One person. NotFound for a trunk, too."""
        keep, ends = self._only(person_id)
        boxes = dict[tuple[str, str], Mailbox]()
        questions: list[tuple[Allowed, Callable[[str], Answer]]] = [
            (GUARD.render("endpoint", id=person_id), partial(_sections, keep))
        ]
        # Most mailboxes bear the account's name: asked for along with it, a person is one round trip and not two.
        questions += self._mailbox_questions([(self._settings.voicemail_context, person_id)], FOUND, boxes)
        section, *mailboxes = await self._link.ask_all(questions)
        done(section)
        _may_look(mailboxes)
        return (await self._with_mailboxes([ends()], boxes))[0]

    async def _sections(self, template: str, keep: Keep, **values: object) -> Sections:
        answer = await self._link.ask(GUARD.render(template, **values), partial(_sections, keep))
        done(answer)
        return answer

    def _only(self, person_id: str) -> tuple[Keep, Callable[[], Endpoint]]:
        """What keeps a person's section as it comes, and what says it then (NotFound when it did not come)."""
        found = list[Endpoint]()

        def keep(name: bytes, lines: Mapping[bytes, list[bytes]]) -> None:
            one = Endpoint.of(name, lines)
            if one.section == person_id and is_person(lines, self._contexts):
                found[:] = [one]

        def ends() -> Endpoint:
            if not found:
                raise NotFound("there is no such person on the phone system")
            return found[0]

        return keep, ends

    async def _with_mailboxes(
        self, endpoints: Sequence[Endpoint], known: Mapping[tuple[str, str], Mailbox] = MappingProxyType({})
    ) -> tuple[Person, ...]:
        wanted = [box for one in endpoints if (box := one.box(self._settings)) is not None and box not in known]
        boxes = {**known, **(await self._mailboxes(wanted) if wanted else {})}
        return tuple(one.person(boxes.get(box) if (box := one.box(self._settings)) else None) for one in endpoints)

    async def _mailboxes(
        self, wanted: Iterable[tuple[str, str]], fields: frozenset[bytes] = FOUND
    ) -> dict[tuple[str, str], Mailbox]:
        """Those that there are, by (context, mailbox)."""
        found = dict[tuple[str, str], Mailbox]()
        _may_look(await self._link.ask_all(self._mailbox_questions(wanted, fields, found)))
        return found

    @staticmethod
    def _mailbox_questions(
        wanted: Iterable[tuple[str, str]], fields: frozenset[bytes], found: dict[tuple[str, str], Mailbox]
    ) -> list[tuple[Allowed, Callable[[str], Answer]]]:
        """One whose name cannot be sent is passed over."""

        def keep(kept: Fields) -> None:
            box = Mailbox.of(kept)
            found[(box.context, box.mailbox)] = box

        made, questions = partial(_detail, fields, keep), list[tuple[Allowed, Callable[[str], Answer]]]()
        for context, mailbox in dict.fromkeys(wanted):
            with suppress(InvalidValue):
                questions.append((GUARD.render("mailbox", context=context, mailbox=mailbox), made))
        return questions

    async def _own(self, person_id: str) -> tuple[Own, Mailbox | None]:
        """All devices of the person, whoever shares something with them, and the mailbox."""
        only, ends = self._only(person_id)
        await self._sections("endpoint", only, id=person_id)
        first, everybody, names, twins = ends(), list[Endpoint](), set[bytes](), set[bytes]()

        def keep(name: bytes, lines: Mapping[bytes, list[bytes]]) -> None:
            one, plain = Endpoint.of(name, lines), name.lower()
            (twins if plain in names else names).add(plain)
            if len(names) > _MOST_ACCOUNTS:
                raise ProtocolViolation("the phone system's answer is too large")
            if first.is_same_person(one) or shares(one, first, self._settings):
                if len(everybody) >= _MOST_SHARERS:
                    raise ProtocolViolation("more accounts share something with this one than can be looked at")
                everybody.append(one)

        await self._sections("endpoints", keep)
        devices = [one for one in everybody if first.is_same_person(one)]
        if first not in devices:
            raise Conflict("the person changed while it was looked at; nothing was written")
        if any(one.section.encode().lower() in twins for one in devices):
            # Asterisk finds sections whatever their case, and would write to all of them.
            raise Refused("two accounts bear this name but for its case; nothing was written", next_step=AT_THE_PBX)
        others = [one for one in everybody if one not in devices]
        own = Own((first, *(one for one in devices if one != first)), tuple(others), self._settings)
        boxes = await self._mailboxes([own.box] if own.box else [], SHOWN)
        return own, boxes.get(own.box) if own.box else None

    # --- altering ---

    async def alter(self, person_id: str, change: Change, expected: Person) -> Person:
        """Caller id on all of the person's devices; address only where the PINs are in the spool."""
        in_spool = self._settings.voicemail == "spooldir"
        self.alters_only(change, "name", *(["email"] if in_spool else []))
        own, mailbox = await self._own(person_id)
        name = None if change.name is UNSET else change.name
        email = None if change.email is UNSET else (change.email or "")
        requests = list[Allowed]()
        # Everything is checked and made before anything is sent: two files are two requests.
        if name is not None:
            NAME("the name", name)
            if name_of(own.first.callerid, mailbox.fullname if mailbox else None) != expected.name:
                raise Conflict("the name changed since it was shown; nothing was written")
            requests.append(GUARD.render("set-callerids", callerids=tuple(renamings(own, name, self._settings))))
        if email is not None:
            EMAIL("the address", email)
            if mailbox is None:
                raise Refused("this person has no mailbox, and an address is kept there", next_step=AT_THE_PBX)
            if (mailbox.email or None) != expected.email:
                raise Conflict("the email changed since it was shown; nothing was written")
            if sharers := own.sharers():
                raise Refused(f"the mailbox also belongs to {', '.join(sharers)}", next_step=AT_THE_PBX)
        if self._settings.voicemail == "spooldir" and mailbox is not None and not own.sharers():
            requests.append(GUARD.render("set-mailbox", **mailbox.line("-", name=name, email=email)))
        await self._write(*([request] for request in requests))
        with suppress(Unreachable, ProtocolViolation, SecretReadable):
            return await self.view(person_id)
        raise OutcomeUnknown("it was written, and the connection was lost before it could be shown")

    async def _write(self, *requests: Sequence[Allowed]) -> bool:
        """One after the other; what was written before one failed is said. Whether it was seen that all of it counts.
        Of several that stand together the first is done whose lines Asterisk finds.

        Asterisk answers a write before it loads the file again, and the next question of a connection waits for that.
        """
        self._paged = None
        for number, alternatives in enumerate(requests):
            failure: ConnectorError | None = None
            for request in alternatives:
                failure = None
                try:
                    done(await self._link.ask(request, Answer))
                except ConnectorError as error:
                    failure = error
                if not isinstance(failure, Conflict):
                    break
            if failure is not None and number:
                raise OutcomeUnknown("part of it was written, and the rest was refused or lost")
            if failure is not None:
                raise failure
        try:
            await self._link.ask(GUARD.render("ping"), Answer)
        except (Unreachable, ProtocolViolation):
            return False
        return True

    # --- removing ---

    async def plan_removal(self, person_id: str) -> Removal:
        """What goes and what stays, without touching it."""
        own, mailbox = await self._own(person_id)
        return removal(own, mailbox)

    async def remove(self, person_id: str, expected: Person) -> Removal:
        """Accounts and mailbox, in two requests, if it still is the person who was shown."""
        own, mailbox = await self._own(person_id)
        now = (own.first.extension, name_of(own.first.callerid, mailbox.fullname if mailbox else None))
        if now != (expected.extension, expected.name):
            raise Conflict("the person changed since they were shown; nothing was removed")
        requests = [
            GUARD.render(
                "remove-accounts", endpoints=own.ids, auths=own.alone(own.auths, "auth"),
                aors=own.alone(own.aors, "aors"),
            )
        ]  # fmt: skip
        if mailbox is not None and not own.sharers():
            requests.append(GUARD.render("remove-mailbox", context=mailbox.context, mailbox=mailbox.mailbox))
        await self._write(*([request] for request in requests))
        return removal(own, mailbox)

    async def devices(self, person_id: str) -> Sequence[Device]:
        """Registrations of all of the person's devices; a line that says so where the account may not ask."""
        own, _ = await self._own(person_id)
        ids, found = {one.encode() for one in own.ids}, list[Device]()

        def keep(fields: Fields) -> None:
            if fields.get(b"Endpoint") in ids and len(found) < 100:
                found.append(device(fields[b"Endpoint"], fields.get(b"Uri", b""), fields.get(b"ExpirationTime", b"")))

        answer = await self._link.ask(
            GUARD.render("contacts"), lambda number: Events(number, b"ContactList", _CONTACT, keep)
        )
        if answer.refused == "denied":
            return (Device(f"not known: {NO_DEVICES}", None),)
        done(answer)
        return tuple(found)

    # --- passwords ---

    async def secret_rules(self, person_id: str, kind: SecretKind) -> SecretRules:
        """PINs are digits, SIP passwords long; Asterisk keeps both in clear in its files."""
        own, mailbox = await self._own(person_id)
        may_reset(self._settings, kind, own, mailbox)
        if kind is SecretKind.VOICEMAIL:
            return SecretRules("0123456789", 6, 10, False, "in clear in voicemail.conf")
        return SecretRules(_LETTERS, 20, 64, False, "in clear in pjsip.conf")

    async def reset(self, person_id: str, kind: SecretKind, secret: Secret) -> ResetDone:
        """Every form of the old password goes in the request that writes the new one."""
        own, mailbox = await self._own(person_id)
        may_reset(self._settings, kind, own, mailbox)
        if kind is SecretKind.VOICEMAIL and mailbox is not None:
            return await self._reset_pin(mailbox, secret)
        auths = own.auths
        try:
            seen = await self._write(*self._secret_requests(auths, secret.reveal()))
        except Conflict:
            raise Refused(f"{NO_LINE}; nothing was written", next_step=AT_THE_PBX) from None
        notes = [] if seen else [_NOT_SEEN]
        notes += [f"all {len(auths)} devices of this person take the new password"] if len(auths) > 1 else []
        if self._settings.sip_port is not None:
            notes.append(await proven(self._host, self._settings.sip_port, own.ids[0], secret.reveal()))
        return ResetDone(tuple(notes))

    def _secret_requests(self, auths: Sequence[str], secret: str) -> Iterable[Sequence[Allowed]]:
        """How each password section gets a new password, and keeps no other form of the old one."""
        if self._settings.one_file:
            pairs = [tuple(auths[at : at + AUTHS_AT_ONCE]) for at in range(0, len(auths), AUTHS_AT_ONCE)]
            return [[GUARD.render("set-secret", auths=pair, secret=secret)] for pair in pairs]
        return [[GUARD.render("put-secret", auth=auth, forms=f, secret=secret) for f in FORMS] for auth in auths]

    async def _reset_pin(self, mailbox: Mailbox, secret: Secret) -> ResetDone:
        key = (mailbox.context, mailbox.mailbox)
        try:
            seen = await self._write([GUARD.render("set-mailbox", **mailbox.line(secret.reveal()))])
            now = (await self._mailboxes([key], SHOWN)).get(key) if seen else None
        except (Unreachable, ProtocolViolation):
            return ResetDone((_NOT_SEEN,))
        if not seen:
            return ResetDone((_NOT_SEEN,))
        if now != mailbox:
            return ResetDone(("ATTENTION: the mailbox is shown otherwise than before: compare its options",))
        return ResetDone(("the mailbox is shown as before; options that Asterisk does not show are gone",))

    async def close(self) -> None:
        """Hang up."""
        self._paged = None
        await self._link.close()


def _sections(keep: Keep, number: str) -> Sections:
    return Sections(number, keep)


def _may_look(answers: Iterable[Answer]) -> None:
    """Refused where the account may not ask for mailboxes; an Asterisk without voicemail knows no such question."""
    for answer in answers:
        if answer.refused == "denied":
            done(answer)


def _detail(fields: frozenset[bytes], keep: Callable[[Fields], None], number: str) -> Events:
    return Events(number, b"VoicemailUserDetail", fields, keep)


class AsteriskAmiFamily:
    """Asterisk over AMI, as the registry knows it."""

    name = "asterisk-ami"
    settings_model: type[BaseModel] = AsteriskAmiSettings
    default_port = 5039

    def capabilities(self) -> Capabilities:
        """Of any system of this family."""
        return capabilities()

    async def connect(self, target: Target, unseal: Unseal) -> AmiConnector:
        """Pinned certificate and Asterisk's greeting first, the account's secret after."""
        settings = target.settings_as(AsteriskAmiSettings)
        return AmiConnector(await connect(target, settings, unseal), settings, target.host)
