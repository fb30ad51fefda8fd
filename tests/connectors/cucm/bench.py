"""Cisco Unified Communications Manager as the conformance kit tries it: a stand-in in the shapes of Cisco's schemas."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from ssl import SSLContext

from connectors.conformance.bench import Hostile, Planted, Traits
from connectors.contract import Credential, Family, SecretKind, Target
from connectors.cucm.connector import CucmFamily
from connectors.cucm.requests import GUARD
from connectors.cucm.settings import CucmSettings, Unity
from connectors.guard import Guard
from tests.support.ami.server import server_tls
from tests.support.cucm.axl import ILLEGAL, Answer, Cucm, Mailbox, User
from tests.support.cucm.server import Serving, body_of, running, spoken
from tests.support.cucm.site import LOGIN, PASSWORD

_KINDS = {SecretKind.SIP.value: "digestCredentials", SecretKind.PORTAL.value: "password"}
_UUID = "{0F889E5C-B277-4FE8-9749-932BC27D2401}"
_WRITES = ("set-person", "set-password", "set-pin", "set-digest", "remove-user", "PUT")


def _user(person: Planted) -> User:
    first, _, last = person.name.rpartition(" ")
    made = User(
        person.id, first, last, person.email or "", person.extension, person.ddis[0] if person.ddis else "",
        display=person.name if int(person.extension) % 2 else "",
    )  # fmt: skip
    made.secrets = {_KINDS.get(name, name): value for name, value in person.secrets.items()}
    return made


class CucmSystem:
    """One stand-in."""

    def __init__(self, serving: Serving, port: int, tls: SSLContext, folder: Path, people: Sequence[Planted]) -> None:
        self.people = people
        pem = (folder / "cert.pem").read_text()
        settings = CucmSettings(voicemail="unity", unity=Unity())
        self.target = Target("kit", "127.0.0.1", port, pem, settings)
        (folder / "other").mkdir()
        self.other_pin = server_tls(folder / "other")[1]
        self._serving, self._cucm, self._tls, self._folder = serving, serving.cucm, tls, folder
        self._told = " ".join(secret for person in people for secret in person.secrets.values())

    async def unseal(self) -> Credential:
        """Our account."""
        return Credential(LOGIN, PASSWORD)

    async def wrong(self) -> Credential:
        """Another password."""
        return Credential(LOGIN, "CANARY-not-this-one")

    async def now(self, person_id: str) -> Planted | None:
        """As its database has it."""
        await self._serving.idle.wait()
        one = self._cucm.user(person_id)
        if one is None:
            return None
        numbers = (one.telephone,) if one.telephone else ()
        return Planted(one.userid, one.extension, one.name, one.mail or None, numbers)

    async def count(self) -> int:
        """End users."""
        return len(self._cucm.users)

    async def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        """As the mailbox, a telephone's digest or the portal would judge it."""
        if kind is SecretKind.VOICEMAIL:
            mailbox = self._cucm.mailbox(person_id)
            return mailbox is not None and mailbox.pin == secret
        one = self._cucm.user(person_id)
        return one is not None and one.secrets.get(_KINDS[kind.value]) == secret

    async def put(self, person: Planted) -> None:
        """As somebody in its administration would."""
        if ILLEGAL.search(person.name):
            raise ValueError("no XML holds such a character, and so neither does AXL")
        one, changed = self._cucm.user(person.id), _user(person)
        assert one is not None
        for field in ("first", "last", "mail", "telephone"):
            setattr(one, field, getattr(changed, field))

    async def drop(self, person_id: str) -> None:
        """The end user; the mailbox stays."""
        self._cucm.users[:] = [one for one in self._cucm.users if one.userid != person_id]

    async def heard(self) -> Sequence[str]:
        """By the names of the guard's templates."""
        await self._serving.idle.wait()
        heard, self._cucm.heard[:] = list(self._cucm.heard), []
        return heard

    @asynccontextmanager
    async def misbehave(self, how: Hostile, elsewhere: int) -> AsyncIterator[None]:
        """Each answer; another certificate for whoever comes from now on."""
        if how is Hostile.IDENTITY_SWAPPED:
            other = self._folder / "other"
            self._tls.load_cert_chain(other / "cert.pem", other / "key.pem")
            yield
            return
        if how is Hostile.TELLING_WRITES:
            self._serving.twist = self._telling
        else:

            async def enemy(writer: asyncio.StreamWriter, answer: bytes) -> None:
                await _answered(writer, how, answer, elsewhere)

            self._serving.enemy = enemy
        try:
            yield
        finally:
            self._serving.enemy = self._serving.twist = None

    def _telling(self, heard: str, answer: Answer) -> Answer:
        if heard not in _WRITES:
            return answer
        told = f"<password>{self._told}</password>".encode()
        body = answer.body.replace(b"<return>", b"<return>" + told) if answer.status == 200 else b""
        return replace(answer, body=body, more=(*answer.more, f"X-Secret: {self._told}"))


def _instead(body: bytes, kind: bytes = b"text/xml") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (kind, len(body), body)


def _bomb() -> bytes:
    entities = ['<!ENTITY a0 "ha">'] + [f'<!ENTITY a{n} "&a{n - 1};&a{n - 1};">' for n in range(1, 40)]
    return f'<?xml version="1.0"?><!DOCTYPE x [{"".join(entities)}]><x>&a39;</x>'.encode()


async def _answered(writer: asyncio.StreamWriter, how: Hostile, answer: bytes, elsewhere: int) -> None:
    match how:
        case Hostile.TRUNCATED:
            writer.write(answer[: len(answer) // 2])
            await writer.drain()
            raise EOFError
        case Hostile.ENDLESS:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 1073741824\r\n\r\n<x>")
            for _ in range(1 << 10):
                writer.write(b"<y>0</y>" * (1 << 17))
                await writer.drain()
        case Hostile.SLOW:
            for number in range(len(answer)):
                writer.write(answer[number : number + 1])
                await asyncio.sleep(0.5)
        case Hostile.SILENT:
            await asyncio.Event().wait()
        case Hostile.MALFORMED:
            writer.write(_instead(b"<Envelope><Body></Envelope>" + bytes(range(256))))
        case Hostile.WRONG_ENCODING:
            body = re.sub(rb"(<lastName>|<ObjectId>)", rb"\1\xff\xfe", body_of(answer))
            writer.write(_instead(body) if body != body_of(answer) else answer)
        case Hostile.XML_BOMB:
            writer.write(_instead(_bomb()))
        case Hostile.XML_ENTITY:
            url = f"http://127.0.0.1:{elsewhere}/"
            made = f'<!DOCTYPE x [<!ENTITY a SYSTEM "{url}"><!ENTITY b SYSTEM "file:///etc/passwd">]><x>&a;&b;</x>'
            writer.write(_instead(made.encode()))
        case Hostile.DEEP_JSON:
            writer.write(_instead(b"[" * 100_000, b"application/json"))
        case Hostile.REDIRECT:
            where = f"Location: http://127.0.0.1:{elsewhere}/axl/"
            writer.write(spoken(Answer(302, b"", more=(where,))))
        case _:
            raise ValueError(how)
    await writer.drain()


class CucmBench:
    """The stand-in, with TLS; its Unity Connection is on the same port."""

    family: Family = CucmFamily()
    guard: Guard = GUARD
    examples: Mapping[str, Mapping[str, object]] = {
        "version": {"axl": "14.0"}, "users": {"axl": "8.5", "skip": 0, "first": 50},
        "user": {"axl": "12.5", "userid": "zoë.o'brien@customer.example"},
        "user-devices": {"axl": "14.0", "userid": "20001"},
        "set-person": {
            "axl": "14.0", "uuid": _UUID, "first_name": "Zoë & Co", "display_name": None, "last_name": "O'Brien",
            "email": "zoe@customer.example", "telephone_number": "+442079460123",
        },
        "set-password": {"axl": "14.0", "uuid": _UUID, "secret": "Abcdefgh23456789"},
        "set-pin": {"axl": "14.0", "uuid": _UUID, "secret": "73910284"},
        "set-digest": {"axl": "14.0", "uuid": _UUID, "secret": "Abcdefgh23456789"},
        "remove-user": {"axl": "14.0", "uuid": _UUID}, "mailboxes": {}, "mailbox": {"alias": "alice.wong"},
        "set-mailbox-pin": {"mailbox": _UUID.strip("{}"), "secret": "73910284"},
    }  # fmt: skip
    traits = Traits(max_ddis=1, more_secrets=("pin", "mlppPassword", "attendeesAccessCode"))

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    @asynccontextmanager
    async def running(self, people: Sequence[Planted]) -> AsyncIterator[CucmSystem]:
        """One of its own."""
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        tls, _ = server_tls(folder)
        cucm = Cucm([_user(one) for one in people], accounts={LOGIN: PASSWORD})
        cucm.mailboxes = [Mailbox(one.id, one.secrets.get("voicemail", "0000")) for one in people]
        serving = Serving(cucm)
        async with running(serving, tls) as port:
            yield CucmSystem(serving, port, tls, folder, people)

    def close(self) -> None:
        """Nothing outlives `running`."""
