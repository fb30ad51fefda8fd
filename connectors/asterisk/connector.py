"""The operations on an Asterisk in PostgreSQL realtime. The SQL is in `statements`, the wire in `link`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel

from connectors.asterisk.altering import Agree, altered
from connectors.asterisk.cache import CACHED, Cache
from connectors.asterisk.capabilities import capabilities
from connectors.asterisk.own import Own
from connectors.asterisk.people import device, person
from connectors.asterisk.rights import documented
from connectors.asterisk.settings import AsteriskRealtimeSettings
from connectors.asterisk.statements import GUARD, MAX_PAGE, statements
from connectors.base import ConnectorBase
from connectors.callerid import name_of, parts
from connectors.contract import (
    UNSET,
    Capabilities,
    Change,
    CheckLine,
    Credential,
    Device,
    Logins,
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
    NotFound,
    NotSupported,
    ProtocolViolation,
    Refused,
    looking_again,
)
from connectors.guard import secret as fit_to_send
from connectors.transport.postgres import Database, Link, Row, Transaction, connect
from connectors.transport.postgres_logins import logins, own_login
from connectors.transport.postgres_role import Findings, check_lines, prove, top_lines

_LETTERS: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_PAGE: Final = "docs/connectors/asterisk-realtime.md"
_STAYS: Final = (
    "recorded messages and greetings on the phone system's disk",
    "dialplan, queue and group entries that name this extension",
    "calls in progress",
)


class AsteriskConnector(ConnectorBase):
    """An open connection to one Asterisk's database."""

    def __init__(self, link: Link, settings: AsteriskRealtimeSettings, findings: Findings, cache: Cache) -> None:
        self._link, self._cache = link, cache
        self._settings = settings
        self._findings = findings
        self._scope: dict[str, Any] = {
            "contexts": list(settings.user_contexts),
            "vmcontext": settings.voicemail_context,
        }

    def capabilities(self) -> Capabilities:
        """What this very connection can do: `selected` where the role turned out able to read secrets."""
        return capabilities(self._settings, self._findings)

    async def check(self) -> Sequence[CheckLine]:
        """Reach, identity, credential, what the role could read, which rights it lacks, what the log would hold."""
        return (
            *top_lines(pinned=self._settings.sslmode == "pinned"),
            *await check_lines(self._link, documented(self._settings), "a new voicemail PIN"),
            *await self._cache.check(),
        )

    async def find(self, words: str, limit: int) -> Page:
        """People who match every word, whatever its case; % and _ are letters like others."""
        table = self._settings.ddi
        split = [table.word(word) if table else word for word in words.split()]
        if not split:
            return Page((), None)
        rows = await self._link.read("find", words=split, limit=min(limit, MAX_PAGE), **self._scope)
        return Page(tuple(person(row, self._settings) for row in rows), None)

    async def people(self, cursor: str | None, limit: int) -> Page:
        """By id, in byte order; the cursor is the last id."""
        size = min(limit, MAX_PAGE)
        # One more than asked for tells whether this is the last page without an empty one after it.
        rows = await self._link.read("people", cursor=cursor or "", limit=min(size + 1, MAX_PAGE), **self._scope)
        people = tuple(person(row, self._settings) for row in rows[:size])
        more = len(rows) > size or (size == MAX_PAGE and len(rows) == MAX_PAGE)
        return Page(people, people[-1].id if more else None)

    async def view(self, person_id: str) -> Person:
        """One person."""
        return self._one(await self._link.read("view", id=person_id, **self._scope))

    def _one(self, rows: list[Row]) -> Person:
        if not rows:
            raise NotFound("there is no such person on the phone system")
        return person(rows[0], self._settings)

    async def named(self, names: Sequence[str]) -> Sequence[Person]:
        """Those with one of these ids, extensions or direct numbers."""
        table = self._settings.ddi
        numbers = [table.word(name) for name in names] if table else []
        rows = await self._link.read("named", names=list(names), numbers=numbers, **self._scope)
        return tuple(person(row, self._settings) for row in rows)

    async def alter(self, person_id: str, change: Change, expected: Person) -> Person:
        """Caller id on all of the person's devices, mailbox name and email, direct number: all or nothing."""
        return (await self._altered(person_id, change, lambda _: (change, expected)))[1]

    async def alter_seen(
        self, person_id: str, change: Change, agree: Callable[[Person], Change]
    ) -> tuple[Person, Person]:  # fmt: skip
        """The same, of the person as they are once nobody else can write."""
        return await self._altered(person_id, change, lambda before: (agree(before), before))

    async def _altered(self, person_id: str, change: Change, agree: Agree) -> tuple[Person, Person]:
        before, after = await altered(self._link, self._settings, self._scope, person_id, change, agree)
        if after is None:
            return before, before
        if change.name is not UNSET and self._cache.is_emptied:
            await self._cache.emptied()
        with looking_again():
            return before, self._one(after())

    async def _sharers(self, work: Transaction, own: Own) -> list[str]:
        if not own.mailbox:
            return []
        rows = await work.read("box-others", ids=own.ids, vmcontext=self._settings.voicemail_context, **own.box)
        return [str(row[0]) for row in rows]

    async def plan_removal(self, person_id: str) -> Removal:
        """What goes and what stays, without touching it."""
        own = Own.of(await self._link.read("own", id=person_id, **self._scope), person_id)
        return (await self._plan(self._link, own))[0]

    async def _plan(self, source: Link | Transaction, own: Own) -> tuple[Removal, dict[str, list[str]], bool, bool]:
        """The removal in words; which auths and aors are the person's alone; whether mailbox and numbers are."""
        shared = await source.read("parts-others", ids=own.ids)
        kept = set(parts(*(row[1] for row in shared))), set(parts(*(row[2] for row in shared)))
        mine = {"auths": [a for a in own.auths if a not in kept[0]], "aors": [a for a in own.aors if a not in kept[1]]}
        gone = [f"the telephone accounts {', '.join(own.ids)} and their registrations"]
        stays = list(_STAYS)
        if len(mine["auths"]) < len(own.auths):
            stays.append("a SIP password that other accounts share")
        boxes = await source.read("box", **own.box) if own.mailbox else []
        vmcontext = self._settings.voicemail_context
        sharers = await source.read("box-others", ids=own.ids, vmcontext=vmcontext, **own.box) if boxes else []
        if boxes and not sharers:
            gone.append(f"the mailbox {own.mailbox}@{own.context}")
        elif sharers:
            stays.append(f"the mailbox, which {', '.join(str(row[0]) for row in sharers)} also uses")
        numbers = list[str]()
        if self._settings.ddi is None:
            stays.append("direct numbers: this phone system's settings name no table of them")
        else:
            shown = self._settings.ddi.shown
            numbers = [shown(str(row[0])) for row in await source.read("ddis", extension=own.extension)]
            others = await source.read("extension-others", ids=own.ids, extension=own.extension) if numbers else []
            if numbers:
                words = f"the direct numbers {', '.join(numbers)}"
                (stays if others else gone).append(words + (", which others also have" if others else ""))
                numbers = [] if others else numbers
        if self._settings.sorcery_cache == "operator-expires":
            stays.append(_of_account(CACHED))
        return Removal(tuple(gone), tuple(stays)), mine, bool(boxes and not sharers), bool(numbers)

    async def remove(self, person_id: str, expected: Person) -> Removal:
        """Accounts, registrations, mailbox, numbers: one transaction, if it still is the person who was shown."""
        async with self._link.transaction() as work:
            own = Own.of(await work.read("lock-own", id=person_id, **self._scope), person_id)
            boxes = await work.read("lock-box", **own.box) if own.mailbox else []
            now = (own.extension, name_of(own.callerids[0], boxes[0][1] if boxes else None))
            if now != (expected.extension, expected.name):
                raise Conflict("the person changed since they were shown; nothing was removed")
            removal, mine, box, numbers = await self._plan(work, own)
            await work.write("delete-contacts", ids=own.ids)
            if await work.write("delete-endpoints", ids=own.ids) != len(own.ids):
                raise Conflict("the person's accounts changed meanwhile; nothing was removed")
            await work.write("delete-auths", ids=mine["auths"])
            await work.write("delete-aors", ids=mine["aors"])
            if box:
                await work.write("delete-box", **own.box)
            if numbers:
                await work.write("delete-ddis", extension=own.extension)
        left = await self._cache.emptied() if self._cache.is_emptied else ()
        return replace(removal, remains=(*removal.remains, *map(_of_account, left)))

    async def devices(self, person_id: str) -> Sequence[Device]:
        """Registrations of all of the person's devices."""
        own = Own.of(await self._link.read("own", id=person_id, **self._scope), person_id)
        return tuple(device(*row) for row in await self._link.read("devices", ids=own.ids))

    async def secret_rules(self, person_id: str, kind: SecretKind) -> SecretRules:
        """PINs are digits in a plain column; SIP passwords reach the database as a hash alone."""
        own = Own.of(await self._link.read("own", id=person_id, **self._scope), person_id)
        match kind:
            case SecretKind.VOICEMAIL:
                if not own.mailbox or not await self._link.read("box", **own.box):
                    raise NotSupported("this person has no mailbox")
                stored = "in clear in the phone system's database, where our role cannot read it"
                return SecretRules("0123456789", 6, 10, False, stored)
            case SecretKind.SIP:
                if not own.auths:
                    raise NotSupported("this person's telephones have no SIP password of their own")
                name = "MD5" if self._settings.digest == "md5" else "SHA-256"
                return SecretRules(_LETTERS, 20, 64, False, f"as a {name} digest of name, realm and password")
            case _:
                raise NotSupported("Asterisk has no portal password")

    async def reset(self, person_id: str, kind: SecretKind, secret: Secret) -> ResetDone:
        """One transaction. A SIP reset always writes all three credential columns: a digest left behind would win."""
        if kind is SecretKind.PORTAL:
            raise NotSupported("Asterisk has no portal password")
        async with self._link.transaction() as work:
            own = Own.of(await work.read("lock-own", id=person_id, **self._scope), person_id)
            if kind is SecretKind.VOICEMAIL:
                return await self._reset_pin(work, own, secret)
            done = await self._reset_sip(work, own, secret)
        return ResetDone(done.notes + await self._cache.emptied())

    async def _reset_pin(self, work: Transaction, own: Own, secret: Secret) -> ResetDone:
        if not own.mailbox or not await work.read("lock-box", **own.box):
            raise NotSupported("this person has no mailbox")
        if sharers := await self._sharers(work, own):
            raise Refused(
                f"the mailbox also belongs to {', '.join(sharers)}", next_step="Change it at the phone system."
            )
        await work.write("set-pin", secret=secret.reveal(), **own.box)
        return ResetDone()

    async def _reset_sip(self, work: Transaction, own: Own, secret: Secret) -> ResetDone:
        if not own.auths:
            raise NotSupported("this person's telephones have no SIP password of their own")
        fit_to_send("the new password", secret.reveal())  # only its digest is sent, which every text has one of
        shared = await work.read("parts-others", ids=own.ids)
        if set(own.auths) & set(parts(*(row[1] for row in shared))):
            raise Refused("the SIP password is shared with other people", next_step="Change it at the phone system.")
        rows = await work.read("lock-auths", ids=own.auths)
        if len(rows) != len(own.auths):
            raise Refused("a telephone account names a password entry that does not exist")
        for auth, auth_type, username, realm in rows:
            if auth_type == "google_oauth" or not username:
                raise NotSupported("a telephone account signs in by other means than a password")
            await self._write_digest(work, auth, username, realm or self._settings.realm, secret)
        notes = () if len(rows) == 1 else (f"all {len(rows)} devices of this person take the new password",)
        return ResetDone(notes)

    async def _write_digest(self, work: Transaction, auth: str, username: str, realm: str, secret: Secret) -> None:
        # RFC 7616 section 3.4.2, A1. MD5 is what telephones' own protocol asks for; it protects nothing of ours.
        plain = f"{username}:{realm}:{secret.reveal()}".encode()
        if self._settings.digest == "md5":
            hashed = hashlib.md5(plain, usedforsecurity=False).hexdigest()
            done = await work.write("set-md5", id=auth, hash=hashed)
        else:
            done = await work.write("set-sha256", id=auth, hash=f"SHA-256:{hashlib.sha256(plain).hexdigest()}")
        if done != 1:
            raise ProtocolViolation("the database wrote another number of rows than it showed; nothing was written")

    async def own_login(self) -> str:
        """Process id and moment of this connection's backend."""
        return await own_login(self._link)

    async def logins(self, since_ms: int) -> Logins:
        """Our role's open connections; `since_ms` changes nothing, for those are all that is kept."""
        return await logins(self._link)

    async def close(self) -> None:
        """Hang up."""
        self._cache.close()
        await self._link.close()


def _of_account(words: str) -> str:
    return words.replace("the old password goes", "the removed account goes")


class AsteriskRealtimeFamily:
    """Asterisk in PostgreSQL realtime, as the registry knows it."""

    name = "asterisk-realtime"
    settings_model: type[BaseModel] = AsteriskRealtimeSettings
    default_port = 5432

    def capabilities(self) -> Capabilities:
        """Of any system of this family whose role is as documented."""
        return capabilities()

    async def connect(self, target: Target, unseal: Unseal) -> AsteriskConnector:
        """Identity, credential, then proof that the role can read no secret. SecretReadable when it can."""
        settings = target.settings_as(AsteriskRealtimeSettings)
        database = Database(settings.database, GUARD, _PAGE, pinned=settings.sslmode == "pinned")
        key: str | None = None

        async def both() -> Credential:
            nonlocal key
            credential = await unseal()
            key = credential.private_key if settings.expiry is not None else None
            return credential

        link = await connect(target, database, both)
        try:
            link.use(statements(settings))
            found = await link.read("collations")
            link.use(statements(settings, str(found[0][0]) if found else None))
            findings = await prove(link, documented(settings), put_up_with=settings.allow_selected)
            return AsteriskConnector(link, settings, findings, Cache(target, settings, key))
        except BaseException:
            await link.close()
            raise
