"""Asterisk over AMI as the conformance kit tries it, on the stand-in that answers as a live one did."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from ssl import SSLContext

from connectors.asterisk_ami.actions import GUARD, CallerId
from connectors.asterisk_ami.connector import AsteriskAmiFamily
from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.callerid import name_of
from connectors.conformance.bench import Hostile, Planted, Traits
from connectors.contract import Credential, Family, SecretKind, Target
from connectors.guard import Guard
from tests.support.ami.config import Line
from tests.support.ami.server import Account, Asterisk, Headers, running, server_tls
from tests.support.ami.site import LOGIN, RIGHTS, SECRET, account, files

_NOT_HTTP = "the manager interface is lines of text, not HTTP, XML or JSON"
_ACTIONS = {
    "Login": "login", "Ping": "ping", "Logoff": "logoff", "ListCommands": "commands", "ListCategories": "wizards",
    "VoicemailUsersList": "mailboxes", "VoicemailUserStatus": "mailbox", "PJSIPShowContacts": "contacts",
}  # fmt: skip


def _template(headers: Headers) -> str:
    """Which request of the list it was; its own words for one that is none."""
    action = headers.get("Action", "")
    match action, headers.get("Filename", headers.get("SrcFilename")), headers.get("Action-000000"):
        case "GetConfig", "pjsip.conf", _ if headers.get("Filter") == "type=endpoint":
            return "endpoint" if "Category" in headers else "endpoints"
        case "UpdateConfig", "voicemail.conf", "update" | "delete" as how:
            return "set-mailbox" if how == "update" else "remove-mailbox"
        case "UpdateConfig", "pjsip.conf", "delcat":
            return "remove-accounts"
        case "UpdateConfig", "pjsip.conf", _:
            if headers.get("Var-000000") == "callerid":
                return "set-callerids"
            return "set-secret" if headers.get("Action-000000") == "append" else "put-secret"
        case "ListCategories", file, _ if file != "pjsip_wizard.conf":
            return repr(headers)
    return _ACTIONS.get(action, repr(headers))


class AmiSystem:
    """One stand-in."""

    def __init__(self, asterisk: Asterisk, port: int, tls: SSLContext, folder: Path, people: Sequence[Planted]) -> None:
        self.people = people
        pem = (folder / "cert.pem").read_text()
        self.target = Target("kit", "127.0.0.1", port, pem, AsteriskAmiSettings(voicemail="rebuilt"))
        (folder / "other").mkdir()
        self.other_pin = server_tls(folder / "other")[1]
        self._asterisk, self._tls, self._folder = asterisk, tls, folder
        self._told = " ".join(secret for person in people for secret in person.secrets.values())

    async def unseal(self) -> Credential:
        """Our account."""
        return Credential(LOGIN, SECRET)

    async def wrong(self) -> Credential:
        """Another secret."""
        return Credential(LOGIN, "CANARY-not-this-one")

    async def now(self, person_id: str) -> Planted | None:
        """As the files have it."""
        section = self._asterisk.section(person_id, "endpoint")
        if section is None:
            return None
        extension = (section.last("mailboxes") or "").partition("@")[0]
        box = self._asterisk.box(extension)
        email = (box.email or None) if box else None
        return Planted(person_id, extension, name_of(section.last("callerid"), None), email, ())

    async def count(self) -> int:
        """Endpoints with a mailbox."""
        found = self._asterisk._written["pjsip.conf"]
        return sum(one.last("type") == "endpoint" and not one.template and bool(one.last("mailboxes")) for one in found)

    async def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        """As a REGISTER, or the voicemail menu, would judge it."""
        if kind is SecretKind.SIP:
            return self._asterisk.accepts(person_id, secret) == 200
        section = self._asterisk.section(person_id, "endpoint")
        mailbox = (section.last("mailboxes") or "").partition("@")[0] if section else ""
        return self._asterisk.pin(mailbox) == secret

    async def put(self, person: Planted) -> None:
        """As somebody with an editor would."""
        if re.search(r"[\r\n]", person.name):
            raise ValueError("a line of a file has no line in it")
        self._asterisk.set(person.id, "endpoint", "callerid", f'"{person.name}" <{person.extension}>')
        box = self._asterisk.box(person.extension)
        pin = box.pin if box else "0000"
        self._lines({person.extension: f"{pin},{person.name.replace(',', ' ')},{person.email or ''}"})

    async def drop(self, person_id: str) -> None:
        """All of the person's sections and the mailbox."""
        section = self._asterisk.section(person_id, "endpoint")
        if section is not None:
            self._lines({(section.last("mailboxes") or "").partition("@")[0]: None})
        found = self._asterisk._written["pjsip.conf"]
        self._asterisk._written["pjsip.conf"] = [one for one in found if one.name != person_id]
        self._asterisk._rendered.clear()
        self._asterisk.reload("yes")

    def _lines(self, lines: Mapping[str, str | None]) -> None:
        section = next(one for one in self._asterisk._written["voicemail.conf"] if one.name == "default")
        section.lines = [line for line in section.lines if line.name not in lines]
        section.lines += [Line(name, value) for name, value in lines.items() if value is not None]
        self._asterisk.reload("yes")

    async def heard(self) -> Sequence[str]:
        """By the names of the guard's templates."""
        heard = [_template(headers) for headers in self._asterisk.heard]
        self._asterisk.heard.clear()
        return heard

    @asynccontextmanager
    async def misbehave(self, how: Hostile, elsewhere: int) -> AsyncIterator[None]:
        """Each answer, once somebody is signed in; another certificate for whoever comes from now on."""
        if how is Hostile.IDENTITY_SWAPPED:
            other = self._folder / "other"
            self._tls.load_cert_chain(other / "cert.pem", other / "key.pem")
            yield
            return
        if how is Hostile.TELLING_WRITES:
            self._asterisk.twist = self._telling
        else:

            async def enemy(writer: asyncio.StreamWriter, answer: bytes) -> None:
                await _answered(writer, how, answer)

            self._asterisk.enemy = enemy
        try:
            yield
        finally:
            self._asterisk.enemy = self._asterisk.twist = None

    def _telling(self, headers: Headers, answer: bytes) -> bytes:
        if headers.get("Action") != "UpdateConfig":
            return answer
        event = f"Event: VoicemailPasswordChange\r\nNewPassword: {self._told}\r\n\r\n".encode()
        return event + answer[:-2] + f"Secret: {self._told}\r\n\r\n".encode() + event


async def _answered(writer: asyncio.StreamWriter, how: Hostile, answer: bytes) -> None:
    match how:
        case Hostile.TRUNCATED:
            writer.write(answer[: len(answer) // 2])
            writer.close()
            raise EOFError
        case Hostile.ENDLESS:
            writer.write(answer[:-2])
            for _ in range(1 << 10):
                writer.write(b"Line-000000-000000: x=" + b"y" * 500 + b"\r\n" * 1 + b"X: y\r\n" * 80_000)
                await writer.drain()
        case Hostile.SLOW:
            for number in range(len(answer)):
                writer.write(answer[number : number + 1])
                await asyncio.sleep(0.5)
        case Hostile.SILENT:
            pass
        case Hostile.MALFORMED:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(range(256)) * 8 + b"\r\n\r\n")
        case Hostile.WRONG_ENCODING:
            writer.write(re.sub(rb"(callerid=\"|Fullname: )", rb"\1\xff\xfe", answer))
        case _:
            raise ValueError(how)
    await writer.drain()


class AmiBench:
    """The stand-in, with TLS."""

    family: Family = AsteriskAmiFamily()
    guard: Guard = GUARD
    examples: Mapping[str, Mapping[str, object]] = {
        "login": {"login": LOGIN, "secret": "a b: c"}, "ping": {}, "logoff": {}, "commands": {}, "wizards": {},
        "endpoints": {}, "endpoint": {"id": "alice.wong"}, "mailboxes": {}, "contacts": {},
        "mailbox": {"context": "default", "mailbox": "20001"},
        "set-callerids": {"callerids": (CallerId("20001", "x", '"Zoë" <20001>', "one"),)},
        "set-secret": {"auths": ("20001",), "secret": "Abcdefgh23456789"},
        "put-secret": {"auth": "20001", "forms": ("md5_cred",), "secret": "Abcdefgh23456789"},
        "remove-accounts": {"endpoints": ("20001",), "auths": ("20001",), "aors": ("20001",)},
        "set-mailbox": {
            "context": "default", "mailbox": "20001", "pin": "739102", "name": "Zoë", "email": "zoe@customer.example",
            "pager": "", "options": ("attach=yes",),
        },
        "remove-mailbox": {"context": "default", "mailbox": "20001"},
    }  # fmt: skip
    traits = Traits(
        max_ddis=0, alters=frozenset({"name"}), more_secrets=("refresh_token", "oauth_secret"),
        inapplicable=dict.fromkeys(
            (Hostile.XML_BOMB, Hostile.XML_ENTITY, Hostile.DEEP_JSON, Hostile.REDIRECT), _NOT_HTTP
        ),
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    @asynccontextmanager
    async def running(self, people: Sequence[Planted]) -> AsyncIterator[AmiSystem]:
        """One of its own."""
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        tls, _ = server_tls(folder)
        asterisk = Asterisk(_files(people), {LOGIN: Account(SECRET, RIGHTS)})
        # An Asterisk sends what it holds; a stand-in's long answer is made before it is asked for.
        asterisk.answer({"Action": "GetConfig", "Filename": "pjsip.conf", "Filter": "type=endpoint"}, RIGHTS)
        async with running(asterisk, tls) as port:
            yield AmiSystem(asterisk, port, tls, folder, [replace(person, ddis=()) for person in people])

    def close(self) -> None:
        """Nothing outlives `running`."""


def _files(people: Sequence[Planted]) -> dict[str, str]:
    made = files()
    sections = []
    for one in people:
        lines = [f"password={one.secrets.get('sip', 'none')}"]
        lines += [f"{name}={one.secrets[name]}" for name in ("refresh_token", "oauth_secret") if name in one.secrets]
        sections.append(
            account(one.id, f'"{one.name}" <{one.extension}>', f"{one.extension}@default", "\n".join(lines))
        )
    made["pjsip.conf"] = made["pjsip.conf"].partition("; people")[0] + "".join(sections)
    boxes = [
        f"{one.extension} => {one.secrets.get('voicemail', '0000')},{one.name},{one.email or ''}\n" for one in people
    ]
    made["voicemail.conf"] = "[general]\nattach=yes\n\n[default]\n" + "".join(boxes)
    return made
