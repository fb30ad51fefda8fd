"""The operations on an Asterisk with flat files. What may be sent is in `requests`, the wire in `link`."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from connectors.asterisk_files.link import connect
from connectors.asterisk_files.requests import GUARD, MAX_PAGE
from connectors.asterisk_files.settings import AsteriskFilesSettings
from connectors.contract import (
    CONSOLE,
    PEOPLE,
    UNSET,
    Capabilities,
    Change,
    CheckLine,
    Device,
    DiagCommand,
    Operation,
    Page,
    Person,
    Proof,
    Removal,
    ResetDone,
    Secrecy,
    Secret,
    SecretKind,
    SecretRules,
    Target,
    Unseal,
)
from connectors.errors import NotSupported, ProtocolViolation, looking_again
from connectors.guard import fingerprint
from connectors.transport import prompt
from connectors.transport.answers import devices_of, people_of, person_of, text_of, texts_of
from connectors.transport.helper import Link, greeted

HELPER: Final = Path(__file__).with_name("frameroom_helper.py")
SPEAKS: Final = 1
"""The helper's version that this connector needs at least."""
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_NO_PORTAL: Final = "Asterisk has no portal password"
_STAYS: Final = (
    "recorded messages and greetings on the phone system's disk",
    "dialplan, queue and group entries that name this extension",
    "registrations until they expire, and calls in progress",
)
_CHECKS: Final = {
    "console": ("Asterisk answers on its console", "Asterisk does not answer on its console: no change can be made"),
    "people": ("people are found in its files", "nobody is found in its files: see `contexts` in the helper's file"),
    "files": ("are read, and can be written with their owner and rights kept", ""),
    "readable": ("", "can be read by our account without the helper: chmod o-r, and keep the account out of its group"),
    "writable": ("", "cannot be written by the helper with its owner kept: see `run_as` in the helper's file"),
    "inbound": ("direct numbers are in the inbound context", "there is no inbound context of the configured name"),
    "kept": (
        "whoever is told is kept there between two visits, so that nobody waits",
        "everybody is read anew at each visit, which takes seconds: install the helper again (`cache`)",
    ),
    "odd": ("", "accounts have names that are not handled here, or have the name of another"),
    "exec": ("", "its files run programs (#exec): what those make is not seen here"),
    "outside": ("", "its files include others from outside their folder: those are not seen here"),
}


@cache
def _shipped() -> str:
    return hashlib.sha256(HELPER.read_bytes()).hexdigest()


def _check_line(raw: Any) -> CheckLine:
    if not isinstance(raw, dict) or raw.get("what") not in _CHECKS or type(raw.get("ok")) is not bool:
        raise ProtocolViolation("the phone system's answer makes no sense")
    words = _CHECKS[raw["what"]][0 if raw["ok"] else 1]
    file, count = text_of(raw.get("file")), raw.get("count")
    lead = file or (str(count) if type(count) is int and count else "")
    return CheckLine(raw["what"], raw["ok"], f"{lead} {words}".strip() if lead != "" else words)


class AsteriskFilesConnector:
    """An open connection to one Asterisk's helper."""

    def __init__(self, link: Link, hello: dict[str, Any]) -> None:
        self._link, self._hello = link, hello

    async def check(self) -> Sequence[CheckLine]:
        """Reach, identity, credential, what the key reaches, the helper's version, and what the helper finds."""
        answer = await self._link.ask(GUARD.render("check"))
        raw = answer.get("lines")
        if not isinstance(raw, list) or len(raw) > 2000:
            raise ProtocolViolation("the phone system's answer makes no sense")
        return (
            CheckLine("reach", True, "it answers"),
            CheckLine("identity", True, "its host key is the pinned one"),
            CheckLine("credential", True, "it takes our key"),
            CheckLine("secrets", True, "our key reaches the helper alone: no shell, no forwarding (tried just now)"),
            self._version(),
            prompt.check_line(self._hello),
            *map(_check_line, raw),
        )

    def _version(self) -> CheckLine:
        same = self._hello.get("digest") == _shipped()
        words = f"version {self._hello['version']}, the file that ships with this Frameroom"
        if not same:
            words = f"version {self._hello['version']} is not the file that ships with this Frameroom: install it again"
        return CheckLine("helper", same, words)

    async def find(self, words: str, limit: int) -> Page:
        """Every word in name, email, extension or number, whatever its case."""
        limit = min(limit, MAX_PAGE)
        return Page(people_of(await self._link.ask(GUARD.render("find", words=words, limit=limit)), limit), None)

    async def people(self, cursor: str | None, limit: int) -> Page:
        """By id; the cursor is the last id."""
        limit = min(limit, MAX_PAGE)
        answer = await self._link.ask(GUARD.render("page", cursor=cursor, limit=limit))
        people = people_of(answer, limit)
        return Page(people, people[-1].id if people and answer.get("more") is True else None)

    async def view(self, person_id: str) -> Person:
        """One person."""
        return person_of((await self._link.ask(GUARD.render("view", id=person_id))).get("person"), person_id)

    async def alter(self, person_id: str, change: Change, expected: Person) -> Person:
        """All files or none, and only if every field still is as expected."""
        if change.ddi is not UNSET and expected.ddis is None:
            raise NotSupported("the helper's configuration names no inbound context, so numbers are not available")

        def field(becomes: object, was: str | tuple[str, ...] | None) -> tuple[str, object] | None:
            return None if becomes is UNSET else (fingerprint(was), becomes)

        request = GUARD.render(
            "alter",
            id=person_id,
            name=field(change.name, expected.name),
            email=field(change.email, expected.email),
            ddi=field(change.ddi, expected.ddis),
        )
        await self._link.ask(request)
        with looking_again():
            return await self.view(person_id)

    async def plan_removal(self, person_id: str) -> Removal:
        """What goes and what stays, without touching it."""
        return _removal(await self._link.ask(GUARD.render("plan", id=person_id)))

    async def remove(self, person_id: str, expected: Person) -> Removal:
        """Remove, if it still is the person who was shown."""
        was = GUARD.render(
            "remove", id=person_id, extension=fingerprint(expected.extension), name=fingerprint(expected.name)
        )
        removal = await self.plan_removal(person_id)
        await self._link.ask(was)
        return removal

    async def devices(self, person_id: str) -> Sequence[Device]:
        """Registered telephones by account and network address; when they expire Asterisk's console does not say."""
        return devices_of(await self._link.ask(GUARD.render("devices", id=person_id)), MAX_PAGE)

    async def _rules(self, person_id: str, kind: SecretKind) -> tuple[str, int]:
        if kind is SecretKind.PORTAL:
            raise NotSupported(_NO_PORTAL)
        answer = await self._link.ask(GUARD.render("rules", id=person_id, kind=kind.value))
        stored, accounts = answer.get("stored"), answer.get("accounts")
        if stored not in ("pin", "md5", "plain") or type(accounts) is not int:
            raise ProtocolViolation("the phone system's answer makes no sense")
        return stored, accounts

    async def secret_rules(self, person_id: str, kind: SecretKind) -> SecretRules:
        """PINs are digits in voicemail.conf; a SIP password is written as a hash unless the site wants it in clear."""
        stored, _ = await self._rules(person_id, kind)
        kept = "in a file of the phone system that our account cannot read"
        if kind is SecretKind.VOICEMAIL:
            return SecretRules("0123456789", 6, 10, False, f"in clear, {kept}")
        form = "in clear" if stored == "plain" else "as an MD5 digest of name, realm and password"
        return SecretRules(_LETTERS, 20, 64, False, f"{form}, {kept}")

    async def reset(self, person_id: str, kind: SecretKind, secret: Secret) -> ResetDone:
        """All of the person's devices; old passwords of every form go with it: one left beside the new would win."""
        _, accounts = await self._rules(person_id, kind)
        await self._link.ask(GUARD.render("reset", id=person_id, kind=kind.value, secret=secret.reveal()))
        return ResetDone((f"all {accounts} devices of this person take the new password",) if accounts > 1 else ())

    async def diag(self, command: DiagCommand) -> AsyncGenerator[bytes]:
        """Asterisk's prompt, as far as the helper's own list and configuration go."""
        request = GUARD.render("act" if command.acts else "look", line=command.render())
        prompt.need(self._hello)
        async with aclosing(self._link.stream(request)) as output:
            async for data in output:
                yield data

    async def close(self) -> None:
        """Hang up."""
        self._link.abort()


def _removal(plan: dict[str, Any]) -> Removal:
    accounts, numbers, kept = (texts_of(plan.get(key)) for key in ("accounts", "numbers", "kept_numbers"))
    gone = [f"the telephone accounts {', '.join(accounts)}"]
    stays = list(_STAYS)
    if plan.get("mailbox") is not None:
        gone.append(f"the mailbox {text_of(plan['mailbox'])}")
    if numbers:
        gone.append(f"the direct numbers {', '.join(numbers)}")
    if kept:
        stays.append(f"the direct numbers {', '.join(kept)}, which do more than ring this person")
    if plan.get("shared_mailbox") is True:
        stays.append("the mailbox, which other people also use")
    if plan.get("shared_sip") is True:
        stays.append("a SIP password that other accounts share")
    if plan.get("numbers_told") is not True:
        stays.append("direct numbers: the helper's configuration names no inbound context")
    return Removal(tuple(gone), tuple(stays))


class AsteriskFilesFamily:
    """Asterisk with flat files, as the registry knows it."""

    name = "asterisk-files"
    settings_model: type[BaseModel] = AsteriskFilesSettings
    default_port = 22

    def capabilities(self) -> Capabilities:
        """Of any system of this family: a key that reaches more than the helper is refused at each connect."""
        return Capabilities(
            title="Asterisk with flat files",
            operations=(PEOPLE | CONSOLE) - {Operation.RESET_PORTAL},
            secrecy={SecretKind.VOICEMAIL: Secrecy.ENFORCED, SecretKind.SIP: Secrecy.ENFORCED},
            secrecy_why="the phone system's own sshd binds our key to a helper that tells no password, and asks "
            "Asterisk's prompt only what is on its own list; that it reaches nothing else is tried at each connect",
            proven=(Proof.LIVE, Proof.TRANSCRIPTS),
            credential={"key": True},
            proven_how="a live Asterisk 22.10.1, resets by REGISTER (`make test-vendor`, where one is named); files "
            "captured from Asterisk 22.10.1 behind a real OpenSSH server (always)",
            cannot={
                "reset-portal": _NO_PORTAL,
                "must-change": "Asterisk cannot make a user change a new PIN",
                "messages": "recorded messages and greetings of a removed person stay on the phone system's disk",
                "logins": "the phone system's SSH log is the administrator's, and our key cannot read it; the helper's "
                "account being used by anybody else is not seen",
                "ddi": "not available unless the helper's configuration names the inbound context",
            },
        )

    async def connect(self, target: Target, unseal: Unseal) -> AsteriskFilesConnector:
        """Identity, credential, then proof that the key reaches the helper alone. SecretReadable when it does not."""
        settings = target.settings_as(AsteriskFilesSettings)
        link = await connect(target, settings, unseal)
        return AsteriskFilesConnector(link, await greeted(link, GUARD.render("hello"), SPEAKS))
