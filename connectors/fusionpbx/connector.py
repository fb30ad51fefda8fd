"""The operations on one domain of a FusionPBX. The SQL is in `statements`, the wire in `transport.postgres`."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

from pydantic import BaseModel

from connectors.contract import (
    UNSET,
    Capabilities,
    Change,
    CheckLine,
    Credential,
    Device,
    DiagCommand,
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
    ConnectorError,
    NotFound,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    Refused,
    looking_again,
)
from connectors.fusionpbx import event_socket, removal, resets
from connectors.fusionpbx.capabilities import FULL_CONTROL, LOOKS, NO_DEVICES, NO_PROMPT, OTHERS, capabilities
from connectors.fusionpbx.direct import DirectNumbers
from connectors.fusionpbx.event_socket import STAYS, Flusher
from connectors.fusionpbx.numbers import word
from connectors.fusionpbx.people import AT_THE_PBX, Mailbox, Own, User, person
from connectors.fusionpbx.prompt import Prompt
from connectors.fusionpbx.requests import GUARD, MAX_PAGE
from connectors.fusionpbx.rights import documented
from connectors.fusionpbx.settings import FusionPbxSettings
from connectors.fusionpbx.statements import statements
from connectors.transport.postgres import Database, Link, Transaction, connect
from connectors.transport.postgres_logins import logins, own_login
from connectors.transport.postgres_role import Findings, check_lines, prove, top_lines

_PAGE: Final = "docs/connectors/fusionpbx.md"
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FIRST: Final = "00000000-0000-0000-0000-000000000000"


class FusionPbxConnector:
    """An open connection to one FusionPBX's database, and to its event socket where the settings name it."""

    def __init__(
        self, link: Link, domain: tuple[str, str], settings: FusionPbxSettings, findings: Findings,
        flusher: Flusher | ConnectorError | None, prompt: Prompt | None = None,
    ) -> None:  # fmt: skip
        self._link, self._domain, self._settings = link, domain, settings
        self._findings, self._flusher, self._prompt = findings, flusher, prompt
        self._scope = {"domain": domain[0]}

    def capabilities(self) -> Capabilities:
        """What this very connection can do."""
        return capabilities(self._settings, self._findings)

    # --- looking ---

    async def check(self) -> Sequence[CheckLine]:
        """Reach, identity, credential, domain, what the role could read, which rights it lacks, the cache."""
        ((seen, hidden),) = await self._link.read("other-domains", **self._scope)
        return (
            *top_lines(pinned=self._settings.sslmode == "pinned"),
            CheckLine("domain", True, f"{self._domain[1]} is there"),
            CheckLine(
                "other domains", True, "the database shows our role this domain alone" if not seen else
                f"the database would show our role {seen} more, which no request of ours asks for: the page's policies "
                "close them",
            ),
            *await check_lines(
                self._link, documented(self._settings.namespace), "a new SIP password or voicemail PIN"
            ),
            self._cache_line(),
            await self._prompt_line(alone=not seen and not hidden),
        )  # fmt: skip

    def _cache_line(self) -> CheckLine:
        if not self._settings.flushes:
            return CheckLine("cache", True, f"no event socket is named for it: {STAYS}")
        if not isinstance(self._flusher, Flusher):
            why = self._flusher.message if self._flusher else "it is not there"
            return CheckLine("cache", False, f"{why}; nothing is written meanwhile")
        return CheckLine("cache", True, f"FreeSWITCH's event socket takes our password. {FULL_CONTROL}")

    async def _prompt_line(self, *, alone: bool) -> CheckLine:
        if self._prompt is None:
            return CheckLine("prompt", True, NO_PROMPT)
        return await self._prompt.check() if alone else CheckLine("prompt", False, OTHERS)

    async def find(self, words: str, limit: int) -> Page:
        """People who match every word, whatever its case; % and _ are letters like others."""
        split = [word(one, self._settings.numbers) for one in words.split()]
        if not split:
            return Page((), None)
        rows = await self._link.read("find", words=split, limit=min(limit, MAX_PAGE), **self._scope)
        return Page(tuple(map(person, rows)), None)

    async def people(self, cursor: str | None, limit: int) -> Page:
        """By extension, in byte order; the cursor is the last one's id and extension."""
        size = min(limit, MAX_PAGE)
        key, _, after = (cursor or "").partition(" ")
        # One more than asked for tells whether this is the last page without an empty one after it.
        rows = await self._link.read(
            "people", after=after, id=key or _FIRST, limit=min(size + 1, MAX_PAGE), **self._scope
        )
        people = tuple(map(person, rows[:size]))
        more = len(rows) > size or (size == MAX_PAGE and len(rows) == MAX_PAGE)
        # In hexadecimal: an extension may be anything, and one that is odd must not hide whoever comes after it.
        return Page(people, f"{people[-1].id} {str(rows[size - 1][1]).encode().hex()}" if more else None)

    async def view(self, person_id: str) -> Person:
        """One person."""
        rows = await self._link.read("view", id=_known(person_id), **self._scope)
        if not rows:
            raise NotFound("there is no such person on the phone system")
        return person(rows[0])

    async def devices(self, person_id: str) -> Sequence[Device]:
        """One line that says that it cannot be told."""
        await self._own(self._link, person_id)
        return (Device(f"not to be told, {NO_DEVICES}", None),)

    async def _own(self, source: Link | Transaction, person_id: str) -> Own:
        lock = "lock-own" if isinstance(source, Transaction) else "own"
        return Own.of(await source.read(lock, id=_known(person_id), **self._scope))

    async def _box(self, source: Link | Transaction, own: Own) -> Mailbox | None:
        lock = "lock-boxes" if isinstance(source, Transaction) else "boxes"
        rows = await source.read(lock, extensions=[own.box] if own.box else [], **self._scope)
        return Mailbox.of(rows[0]) if rows else None

    async def _user(self, source: Link | Transaction, own: Own) -> User | None:
        """The one portal user who is assigned to the extension."""
        lock = "lock-users" if isinstance(source, Transaction) else "users"
        users = [User.of(row) for row in await source.read(lock, id=own.id, **self._scope)]
        return users[0] if len(users) == 1 else None

    async def _refuse_shared(self, source: Link | Transaction, own: Own) -> None:
        rows = await source.read("sharers", id=own.id, extensions=[own.box], **self._scope)
        if rows:
            others = ", ".join(str(row[0]) for row in rows)
            raise Refused(f"the mailbox is also that of {others}", next_step=AT_THE_PBX)

    # --- the cache ---

    async def _ready(self, own: Own) -> None:
        """Before anything is written: the cache can be emptied, or nobody said that it should be."""
        if not self._settings.flushes:
            return
        if not isinstance(self._flusher, Flusher):
            raise self._flusher or Refused("FreeSWITCH's cache cannot be emptied; nothing was written")
        await self._flusher.flush(own.keys())

    async def _flush(self, keys: Sequence[str]) -> str | None:
        """After it was written; in words what is left to do, None when the change counts already."""
        if not isinstance(self._flusher, Flusher):
            return f"it is written; {STAYS}"
        try:
            await self._flusher.flush(keys)
        except ConnectorError as error:
            return f"it is written, but the cache could not be emptied ({error.message}): {STAYS}"
        return None

    @asynccontextmanager
    async def _transaction(self, keys: list[str]) -> AsyncIterator[Transaction]:
        """As the link's. What may have been written although its answer was lost is flushed too."""
        try:
            async with self._link.transaction() as work:
                yield work
        except OutcomeUnknown:
            await self._flush(keys)
            raise

    # --- altering ---

    async def alter(self, person_id: str, change: Change, expected: Person) -> Person:
        """Caller id and directory name, address of mailbox and portal, direct number with its route: all or nothing."""
        keys = list[str]()
        async with self._transaction(keys) as work:
            own = await self._own(work, person_id)
            await self._ready(own)
            keys += own.keys()
            if change.name is not UNSET:
                await self._rename(work, own, change.name, expected)
            if change.email is not UNSET:
                await self._mail(work, own, change.email, expected)
            if change.ddi is not UNSET:
                keys += await DirectNumbers(self._domain, self._settings).change(work, own, change.ddi, expected)
        left = await self._flush(keys)
        if left and self._settings.flushes:
            raise OutcomeUnknown(left, next_step="`show` the person: it is written. Have the cache emptied.")
        with looking_again():
            return await self.view(person_id)

    async def _rename(self, work: Transaction, own: Own, name: str, expected: Person) -> None:
        if own.name != expected.name:
            raise Conflict("the name changed since it was shown; nothing was written")
        await work.write("set-name", id=own.id, name=name, **self._scope)
        if (own.first or "").strip() or (own.last or "").strip():
            first, _, last = name.partition(" ")
            await work.write("set-directory", id=own.id, first=first, last=last.strip() or None, **self._scope)

    async def _mail(self, work: Transaction, own: Own, email: str | None, expected: Person) -> None:
        box, user = await self._box(work, own), await self._user(work, own)
        now = (box.mail or None) if box else user.email if user else None
        if now != expected.email:
            raise Conflict("the email changed since it was shown; nothing was written")
        theirs = user is not None and user.kept(self._settings) is None
        if box:
            await self._refuse_shared(work, own)
            await work.write("set-mail", box=box.id, email=email, **self._scope)
            # The same address at the portal is where a forgotten password is sent: it goes along.
            if user and theirs and now and (user.email or "").lower() == now.lower():
                await self._portal_mail(work, user, email)
        elif user and theirs:
            await self._portal_mail(work, user, email)
        elif user:
            raise Refused(f"the address is that of {user.name}, {user.kept(self._settings)}", next_step=AT_THE_PBX)
        else:
            raise Refused("this person has neither a mailbox nor a portal user, and an address is kept there",
                          next_step="Have one made first.")  # fmt: skip

    async def _portal_mail(self, work: Transaction, user: User, email: str | None) -> None:
        # People sign in with it: two of one address, and one of them would be let in as the other.
        if email and await work.read("address-owner", user=user.id, email=email, **self._scope):
            raise Conflict("that address is another portal user's; nothing was written")
        await work.write("set-user-email", user=user.id, email=email, **self._scope)

    # --- removing ---

    async def plan_removal(self, person_id: str) -> Removal:
        """What goes and what stays, without touching it."""
        own = await self._own(self._link, person_id)
        found = (await removal.plan(self._link, own, self._domain, self._settings)).words
        if not self._settings.flushes:
            return Removal(found.removed, (*found.remains, f"the telephone's account: {STAYS}"))
        return found

    async def remove(self, person_id: str, expected: Person) -> Removal:
        """Everything of theirs in one transaction, if it still is the person who was shown."""
        keys = list[str]()
        async with self._transaction(keys) as work:
            own = await self._own(work, person_id)
            if (own.extension, own.name) != (expected.extension, expected.name):
                raise Conflict("the person changed since they were shown; nothing was removed")
            await self._ready(own)
            found = await removal.plan(work, own, self._domain, self._settings)
            keys += own.keys()
            if found.numbers:
                keys += await DirectNumbers(self._domain, self._settings).delete(work, list(found.numbers))
            await removal.carry_out(work, own, found, self._domain[0])
        left = await self._flush(keys)
        stays = found.words.remains
        return Removal(found.words.removed, (*stays, f"the telephone's account: {STAYS}") if left else stays)

    # --- passwords ---

    async def secret_rules(self, person_id: str, kind: SecretKind) -> SecretRules:
        """PINs and SIP passwords in columns that our role cannot read; portal passwords as a hash."""
        own = await self._own(self._link, person_id)
        if kind is SecretKind.VOICEMAIL:
            resets.need(await self._box(self._link, own), "a mailbox")
        elif kind is SecretKind.PORTAL:
            resets.need(await self._user(self._link, own), "a portal user of their own")
        return resets.rules(kind)

    async def reset(self, person_id: str, kind: SecretKind, secret: Secret) -> ResetDone:
        """One transaction. Of a portal password the database sees the hash alone."""
        keys, notes = list[str](), list[str]()
        async with self._transaction(keys) as work:
            own = await self._own(work, person_id)
            match kind:
                case SecretKind.VOICEMAIL:
                    box = resets.need(await self._box(work, own), "a mailbox")
                    await self._refuse_shared(work, own)
                    await work.write("set-pin", box=box.id, secret=secret.reveal(), **self._scope)
                case SecretKind.SIP:
                    await self._ready(own)
                    keys += own.keys()
                    notes += await resets.sip(work, own, self._domain, secret)
                case _:
                    user = resets.need(await self._user(work, own), "a portal user of their own")
                    notes += await resets.portal(work, user, self._domain, secret, self._settings)
        if kind is SecretKind.SIP and (left := await self._flush(keys)):
            notes.append(f"the old password goes on working: {left}")
        return ResetDone(tuple(notes))

    async def diag(self, command: DiagCommand) -> AsyncGenerator[bytes]:
        """FreeSWITCH's prompt, where the settings open it, and where this FreeSWITCH is this customer's alone: it shows
        every domain of it."""
        request = GUARD.render("act" if command.acts else "look", line=command.render())
        socket = self._settings.event_socket
        if self._prompt is None or socket is None:
            raise NotSupported(NO_PROMPT, next_step="The operator sets `event_socket` and its `console`.")
        if command.acts and socket.console != "act":
            raise NotSupported(LOOKS, next_step="The operator sets `console` to act, if the customer wants that.")
        ((others, hidden),) = await self._link.read("other-domains", **self._scope)
        if others or hidden:
            raise NotSupported(OTHERS, next_step="It is for a FusionPBX of one customer's own.")
        async with aclosing(self._prompt.typed(request)) as output:
            async for data in output:
                yield data

    async def own_login(self) -> str:
        """Process id and moment of this connection's backend."""
        return await own_login(self._link)

    async def logins(self, since_ms: int) -> Logins:
        """Our role's open connections; `since_ms` changes nothing, for those are all that is kept."""
        return await logins(self._link)

    async def close(self) -> None:
        """Hang up."""
        if isinstance(self._flusher, Flusher):
            self._flusher.close()
        await self._link.close()


class FusionPbxFamily:
    """FusionPBX, as the registry knows it."""

    name = "fusionpbx"
    settings_model: type[BaseModel] = FusionPbxSettings
    default_port = 5432

    def capabilities(self) -> Capabilities:
        """Of any system of this family whose role is as documented."""
        return capabilities()

    async def connect(self, target: Target, unseal: Unseal) -> FusionPbxConnector:
        """Identity, credential, proof that the role can read no secret, the domain. SecretReadable, Refused."""
        settings = target.settings_as(FusionPbxSettings)
        second = list[str]()
        socket = settings.event_socket

        async def first_line() -> Credential:
            credential = await unseal()
            password, _, rest = (credential.password or "").partition("\n")
            if socket is not None:
                second.append(rest.strip())
            return Credential(credential.login, password.strip("\r"))

        database = Database(settings.database, GUARD, _PAGE, pinned=settings.sslmode == "pinned")
        link = await connect(target, database, first_line)
        flusher: Flusher | ConnectorError | None = None
        prompt: Prompt | None = None
        try:
            link.use(statements(settings))
            found = await link.read("collations")
            link.use(statements(settings, str(found[0][0]) if found else None))
            findings = await prove(link, documented(settings.namespace), put_up_with=settings.allow_selected)
            domain = await _domain(link, settings)
            if socket is not None:
                secret, connect_s = second.pop(), target.connect_timeout_ms / 1000
                flusher = await _flusher(settings, secret, connect_s) if settings.flushes else None
                if socket.console != "off":
                    prompt = Prompt(socket, secret, connect_s, target.answer_timeout_ms / 1000)
            return FusionPbxConnector(link, domain, settings, findings, flusher, prompt)
        except BaseException:
            await link.close()
            raise


def _known(person_id: str) -> str:
    """NotFound for what no extension's id can be."""
    if not _ID.fullmatch(person_id):
        raise NotFound("there is no such person on the phone system")
    return person_id


async def _flusher(settings: FusionPbxSettings, secret: str, seconds: float) -> Flusher | ConnectorError | None:
    """An open event socket, or why there is none: people can be looked at without it."""
    if settings.event_socket is None:
        return None
    try:
        return await event_socket.connect(settings.event_socket, secret, seconds)
    except ConnectorError as error:
        return error.with_traceback(None)


async def _domain(link: Link, settings: FusionPbxSettings) -> tuple[str, str]:
    rows = await link.read("domain", name=settings.domain)
    if len(rows) != 1 or len(rows[0]) != 2:
        raise Refused(
            f"this FusionPBX shows our role no domain {settings.domain}" if not rows else "two domains bear that name",
            next_step="The operator corrects `domain` in the phone system's settings.",
        )
    key, name = rows[0]
    if not isinstance(key, str) or not _ID.fullmatch(key) or not isinstance(name, str):
        raise ProtocolViolation("the phone system described its domain in a way that makes no sense")
    return key, name
