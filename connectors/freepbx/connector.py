"""The operations on a FreePBX. What may be sent is in `requests`, the wire in `transport.helper`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from connectors.contract import (
    UNSET,
    Capabilities,
    Change,
    CheckLine,
    Credential,
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
from connectors.errors import CredentialRefused, Fault, NotFound, ProtocolViolation, looking_again
from connectors.freepbx.api import ApiLink
from connectors.freepbx.capabilities import OURS, WEAKENS, check_line, removal
from connectors.freepbx.link import connect
from connectors.freepbx.reading import Reading
from connectors.freepbx.requests import GUARD, MAX_PAGE
from connectors.freepbx.settings import FreePbxSettings
from connectors.guard import fingerprint
from connectors.transport import prompt
from connectors.transport.answers import devices_of, people_of, person_of
from connectors.transport.helper import Link, greeted

HELPER: Final = Path(__file__).with_name("frameroom_helper.php")
SPEAKS: Final = 1
"""The helper's version that this connector needs at least."""
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_STORED: Final = {"pin": SecretKind.VOICEMAIL, "plain": SecretKind.SIP, "hash": SecretKind.PORTAL}


@cache
def _shipped() -> str:
    return hashlib.sha256(HELPER.read_bytes()).hexdigest()


def _key(person_id: str) -> str:
    """People are extensions, which are digits. NotFound for anything else, and it is never sent."""
    if not re.fullmatch("[0-9]{1,20}", person_id):
        raise NotFound("there is no such person on the phone system")
    return person_id


class FreePbxConnector:
    """An open connection to one FreePBX's helper."""

    def __init__(self, link: Link, hello: dict[str, Any], reading: Reading) -> None:
        self._link, self._hello, self._reading = link, hello, reading

    async def check(self) -> Sequence[CheckLine]:
        """Reach, identity, credential, what the key reaches, the helper's version, and what the helper finds."""
        raw = (await self._link.ask(GUARD.render("check"))).get("lines")
        if not isinstance(raw, list) or len(raw) > 100:
            raise ProtocolViolation("the phone system's answer makes no sense")
        same = self._hello.get("digest") == _shipped()
        version = f"version {self._hello['version']}"
        return (
            CheckLine("reach", True, "it answers"),
            CheckLine("identity", True, "its host key is the pinned one"),
            CheckLine("credential", True, "it takes our key"),
            CheckLine("secrets", True, "our key reaches the helper alone: no shell, no forwarding (tried just now)"),
            CheckLine("helper", same, f"{version}, the file that ships with this Frameroom" if same
                      else f"{version} is not the file that ships with this Frameroom: install it again"),
            prompt.check_line(self._hello),
            *map(check_line, raw), *await self._reading.check(),
        )  # fmt: skip

    async def find(self, words: str, limit: int) -> Page:
        """Every word in name, email, extension or number, whatever its case: by the helper, which knows them all."""
        limit = min(limit, MAX_PAGE)
        return Page(people_of(await self._link.ask(GUARD.render("find", words=words, limit=limit)), limit), None)

    async def people(self, cursor: str | None, limit: int) -> Page:
        """By extension."""
        return await self._reading.people(cursor, limit)

    async def view(self, person_id: str) -> Person:
        """One person."""
        return await self._reading.view(_key(person_id))

    async def _now(self, person_id: str) -> Person:
        """As the helper, which wrote, tells it."""
        return person_of((await self._link.ask(GUARD.render("view", id=_key(person_id)))).get("person"), person_id)

    async def alter(self, person_id: str, change: Change, expected: Person) -> Person:
        """In every place that has the old value, and only if every field still is as expected; then applied."""

        def field(becomes: object, was: str | tuple[str, ...] | None) -> tuple[str, object] | None:
            return None if becomes is UNSET else (fingerprint(was), becomes)

        request = GUARD.render(
            "alter",
            id=_key(person_id),
            name=field(change.name, expected.name),
            email=field(change.email, expected.email),
            ddi=field(change.ddi, expected.ddis),
        )
        await self._link.ask(request)
        with looking_again():
            return await self._now(person_id)

    async def plan_removal(self, person_id: str) -> Removal:
        """What goes and what stays, without touching it."""
        return removal(await self._link.ask(GUARD.render("plan", id=_key(person_id))))

    async def remove(self, person_id: str, expected: Person) -> Removal:
        """Extension, telephones, mailbox, portal user and inbound routes, if it still is the person who was shown."""
        was = GUARD.render(
            "remove", id=_key(person_id), extension=fingerprint(expected.extension), name=fingerprint(expected.name)
        )
        planned = await self.plan_removal(person_id)
        await self._link.ask(was)
        return planned

    async def devices(self, person_id: str) -> Sequence[Device]:
        """Registered PJSIP telephones by account and network address; when they expire the console does not say."""
        return devices_of(await self._link.ask(GUARD.render("devices", id=_key(person_id))), MAX_PAGE)

    async def _rules(self, person_id: str, kind: SecretKind) -> int:
        """How many accounts a reset reaches. NotSupported when there is no such secret."""
        answer = await self._link.ask(GUARD.render("rules", id=_key(person_id), kind=kind.value))
        stored, accounts = answer.get("stored"), answer.get("accounts")
        if not isinstance(stored, str) or _STORED.get(stored) is not kind or type(accounts) is not int:
            raise ProtocolViolation("the phone system's answer makes no sense")
        return accounts

    async def secret_rules(self, person_id: str, kind: SecretKind) -> SecretRules:
        """PINs are digits in voicemail.conf; SIP passwords stand in FreePBX's database; the portal keeps hashes."""
        await self._rules(person_id, kind)
        if kind is SecretKind.VOICEMAIL:
            kept = "in clear, in a file of the phone system that our account cannot read"
            return SecretRules("0123456789", 6, 10, False, kept)
        if kind is SecretKind.PORTAL:
            return SecretRules(_LETTERS, 20, 64, False, "as a one-way hash (phpass)")
        kept = "in clear, in FreePBX's database and a file made from it, which our account cannot read"
        return SecretRules(_LETTERS, 20, 64, False, kept)

    async def reset(self, person_id: str, kind: SecretKind, secret: Secret) -> ResetDone:
        """All of the person's telephones; a digest goes with it, for one left beside the new password would win."""
        accounts = await self._rules(person_id, kind)
        await self._link.ask(GUARD.render("reset", id=_key(person_id), kind=kind.value, secret=secret.reveal()))
        if kind is SecretKind.PORTAL:
            return ResetDone(("whoever is signed in to the portal stays signed in",))
        return ResetDone((f"all {accounts} telephones of this person take the new password",) if accounts > 1 else ())

    async def diag(self, command: DiagCommand) -> AsyncGenerator[bytes]:
        """Asterisk's prompt and fwconsole, as far as the helper's own list and configuration go.

        `fwconsole reload` comes to its end whoever goes on listening: half of the files would be worse than all.
        """
        request = GUARD.render("act" if command.acts else "look", line=command.render())
        prompt.need(self._hello)
        async with aclosing(self._link.stream(request)) as output:
            async for data in output:
                yield data

    async def close(self) -> None:
        """Hang up."""
        await self._reading.close()


class FreePbxFamily:
    """FreePBX, as the registry knows it."""

    name = "freepbx"
    settings_model: type[BaseModel] = FreePbxSettings
    default_port = 22

    def capabilities(self) -> Capabilities:
        """Of any system of this family: a key that reaches more than the helper is refused at each connect."""
        return OURS

    def weakens(self, settings: BaseModel) -> str:
        """What FreePBX's API costs."""
        return WEAKENS if isinstance(settings, FreePbxSettings) and settings.api is not None else ""

    async def connect(self, target: Target, unseal: Unseal) -> FreePbxConnector:
        """Identity, credential, then proof that the key reaches the helper alone. SecretReadable when it does not."""
        settings, apis = target.settings_as(FreePbxSettings), list[ApiLink]()

        async def opened() -> Credential:
            credential = await unseal()
            if settings.api is not None:
                apis.append(ApiLink(target, settings.api, _secret(credential)))
            return Credential(credential.login, private_key=credential.private_key)

        link = await connect(target, settings, opened)
        hello = await greeted(link, GUARD.render("hello"), SPEAKS)
        return FreePbxConnector(link, hello, Reading(link, apis[0] if apis else None))


def _secret(credential: Credential) -> str:
    """The API client's. CredentialRefused where there is none that FreePBX could have made."""
    if credential.password and re.fullmatch("[!-~]{8,128}", credential.password):
        return credential.password
    missing = CredentialRefused(
        "the settings name FreePBX's API, and the credential holds no secret of its client",
        next_step="The operator stores both again: `frameroom system credential`, --key-file and --password-file.",
    )
    missing.fault = Fault.OPERATOR
    raise missing
