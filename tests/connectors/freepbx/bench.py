"""FreePBX as the conformance kit tries it: the helper itself, in a real PHP on a real MariaDB with FreePBX's tables.

`FreePbxApiBench` is the same where the settings name FreePBX's own API, which reads names.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

from connectors.conformance.bench import Hostile, Planted, Traits
from connectors.console import FREEPBX, Class, parse
from connectors.contract import Credential, Family, SecretKind, Target
from connectors.freepbx.connector import FreePbxFamily
from connectors.freepbx.requests import GUARD
from connectors.freepbx.settings import Api as ApiSettings
from connectors.freepbx.settings import FreePbxSettings
from connectors.guard import Guard, fingerprint
from connectors.transport.helper import LOGIN
from tests.support.freepbx.api import CLIENT, SECRET, Api, Enemy, answering
from tests.support.freepbx.mariadb import MariaDb
from tests.support.freepbx.pbx import FreePbx, One
from tests.support.freepbx.wire import Wire, listening
from tests.support.yeastar.server import response

_OPENED = 20_002
_JSON_LINES = "the helper speaks JSON lines on an SSH channel"


class FreePbxSystem:
    """A FreePBX, and what is behind it."""

    def __init__(
        self, pbx: FreePbx, wire: Wire, people: Sequence[Planted], api: Api | None = None,
        where: ApiSettings | None = None,
    ) -> None:  # fmt: skip
        assert wire.acceptor is not None
        self._api = api
        self._pbx, self._wire = pbx, wire
        self.people = people
        pin = wire.host.export_public_key().decode().strip()
        settings = FreePbxSettings(apply_seconds=3, api=where)
        self.target = Target("sys_1", "127.0.0.1", wire.acceptor.get_port(), pin, settings, 10_000, 10_000)
        self.other_pin = wire.other.export_public_key().decode().strip()

    async def unseal(self) -> Credential:
        """The key that is let in."""
        secret = None if self._api is None else SECRET
        return Credential(LOGIN, secret, self._wire.key.export_private_key().decode())

    async def wrong(self) -> Credential:
        """Somebody else's."""
        return Credential(LOGIN, SECRET, self._wire.other.export_private_key().decode())

    async def now(self, person_id: str) -> Planted | None:
        """From the tables and voicemail.conf."""
        await self._wire.idle()
        found = self._pbx.sql("SELECT name FROM users WHERE extension = ?", person_id)
        if not found:
            return None
        portal = self._pbx.sql("SELECT email FROM userman_users WHERE default_extension = ?", person_id)
        routes = self._pbx.sql("SELECT extension FROM incoming WHERE destination = ?", f"from-did-direct,{person_id},1")
        numbers = tuple(row["extension"] for row in routes)
        return Planted(
            person_id, person_id, found[0]["name"], (portal[0]["email"] or None) if portal else None, numbers
        )

    async def count(self) -> int:
        """Extensions."""
        await self._wire.idle()
        return int(self._pbx.sql("SELECT COUNT(*) AS n FROM users")[0]["n"])

    async def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        """By what was applied last."""
        await self._wire.idle()
        match kind:
            case SecretKind.VOICEMAIL:
                return self._pbx.pin(person_id) == secret
            case SecretKind.SIP:
                return self._pbx.sip_opens(person_id, secret)
            case SecretKind.PORTAL:
                return self._pbx.portal_opens(person_id, secret)

    async def put(self, person: Planted) -> None:
        """As somebody with FreePBX's own pages would."""
        self._pbx.sql("UPDATE users SET name = ? WHERE extension = ?", person.name, person.id)
        self._pbx.sql("UPDATE userman_users SET email = ? WHERE default_extension = ?", person.email, person.id)
        self._pbx.sql("DELETE FROM incoming WHERE destination = ?", f"from-did-direct,{person.id},1")
        rows = [(number, "", f"from-did-direct,{person.id},1") for number in person.ddis]
        self._pbx.insert("incoming", ("extension", "cidnum", "destination"), rows)

    async def drop(self, person_id: str) -> None:
        """The extension and the portal user."""
        self._pbx.sql("DELETE FROM users WHERE extension = ?", person_id)
        self._pbx.sql("DELETE FROM userman_users WHERE default_extension = ?", person_id)

    async def heard(self) -> Sequence[str]:
        """By the names of the helper's requests, which are the guard's."""
        await self._wire.idle()
        heard = [*self._wire.heard]
        self._wire.heard.clear()
        if self._api is not None:
            heard += self._api.heard
            self._api.heard.clear()
        return heard

    @asynccontextmanager
    async def misbehave(self, how: Hostile, elsewhere: int) -> AsyncIterator[None]:
        """Answers that an enemy made of the helper's, or another host key."""
        if how is Hostile.IDENTITY_SWAPPED:
            assert self._wire.acceptor is not None
            self._wire.acceptor.update(server_host_keys=[self._wire.other])
            yield
            return
        self._wire.how = None if how is Hostile.REDIRECT else how
        if self._api is not None:
            self._api.enemy = enemy_of(how, elsewhere)
        try:
            yield
        finally:
            self._wire.how = None
            if self._api is not None:
                self._api.enemy = None


def enemy_of(how: Hostile, elsewhere: int) -> Enemy | None:
    """What an enemy makes of the API's answers; None for what is no way to do it."""
    if how is Hostile.TELLING_WRITES:
        return None

    async def enemy(writer: asyncio.StreamWriter, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        match how:
            case Hostile.TRUNCATED:
                writer.write(answer[: len(answer) - len(body) // 2 - 1])
            case Hostile.ENDLESS:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body[:-1])
                for _ in range(1 << 14):
                    writer.write(b" " * (1 << 16))
                    await writer.drain()
                    await asyncio.sleep(0)
                    if writer.transport.is_closing():
                        return
            case Hostile.SLOW:
                for at in range(len(answer)):
                    writer.write(answer[at : at + 1])
                    await writer.drain()
                    await asyncio.sleep(0.5)
            case Hostile.SILENT:
                await asyncio.sleep(60)
            case Hostile.MALFORMED:
                writer.write(response("200 OK", b"{{" + body))
            case Hostile.WRONG_ENCODING:
                writer.write(response("200 OK", body.replace(b'"name": "', b'"name": "\xff\xfe') + b"\xff"))
            case Hostile.DEEP_JSON:
                writer.write(response("200 OK", b"[" * 100_000 + b"]" * 100_000))
            case Hostile.REDIRECT:
                place = f"Location: http://127.0.0.1:{elsewhere}/\r\nContent-Length: 0"
                writer.write(f"HTTP/1.1 302 Found\r\n{place}\r\n\r\n".encode())
            case _:
                raise ValueError(how, head)
        await writer.drain()

    return enemy


class FreePbxBench:
    """One MariaDB for all of them."""

    family: Family = FreePbxFamily()
    guard: Guard = GUARD
    examples: Mapping[str, Mapping[str, object]] = {
        "hello": {}, "check": {}, "page": {"cursor": "20001", "limit": 50},
        "find": {"words": "grace okonkwo", "limit": 20}, "view": {"id": "20001"}, "devices": {"id": "20001"},
        "plan": {"id": "20001"}, "rules": {"id": "20001", "kind": "portal"},
        "alter": {
            "id": "20001", "name": (fingerprint("a"), "Zoë"), "email": (fingerprint(None), "zoe@customer.example"),
            "ddi": (fingerprint(()), "+442079460123"),
        },
        "remove": {"id": "20001", "extension": fingerprint("20001"), "name": fingerprint("Zoë")},
        "reset": {"id": "20001", "kind": "sip", "secret": "Abcdefgh23456789"},
        "api-token": {"client": CLIENT, "secret": SECRET}, "api-wider": {"client": CLIENT, "secret": SECRET},
        "api-people": {"skip": 50, "first": 50}, "api-person": {"id": "20001"},
        "look": {"line": "core show version"}, "act": {"line": "fwconsole reload"},
    }  # fmt: skip
    traits = Traits(
        more_secrets=("md5_cred", "recording_pin", "imappassword"),
        diag=tuple(parse(entry.sample(), FREEPBX) for entry in FREEPBX if entry.kind is Class.LOOK),
        acts=tuple(parse(entry.sample(), FREEPBX) for entry in FREEPBX if entry.kind is Class.ACT),
        console="freepbx",
        long=parse("pjsip show endpoints", FREEPBX),
        inapplicable={
            Hostile.XML_BOMB: _JSON_LINES, Hostile.XML_ENTITY: _JSON_LINES, Hostile.REDIRECT: _JSON_LINES,
        },
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._server = MariaDb()

    @asynccontextmanager
    async def running(self, people: Sequence[Planted]) -> AsyncIterator[FreePbxSystem]:
        """A FreePBX of its own."""
        with self._made(people) as (pbx, planted, told):
            async with listening(pbx.command(), told) as wire:
                yield FreePbxSystem(pbx, wire, planted)

    @contextmanager
    def _made(self, people: Sequence[Planted]) -> Iterator[tuple[FreePbx, list[Planted], str]]:
        """One in which everybody is known by their extension, who they are then, and every secret."""
        self._count += 1
        planted = [replace(person, id=person.extension) for person in people]
        pbx = FreePbx(self._server, self._folder / str(self._count), f"kit{self._count}")
        pbx.make([_held(person) for person in planted], hashed=any(person.secrets for person in planted))
        pbx.configure(console="act")
        try:
            yield pbx, planted, " ".join(secret for person in planted for secret in person.secrets.values())
        finally:
            pbx.close()

    def close(self) -> None:
        """The database."""
        self._server.stop()


class FreePbxApiBench(FreePbxBench):
    """With FreePBX's own API in the settings, as version 16 has it: a client is held to its scopes."""

    traits = replace(
        FreePbxBench.traits,
        inapplicable={how: why for how, why in FreePbxBench.traits.inapplicable.items() if how is not Hostile.REDIRECT},
    )

    @asynccontextmanager
    async def running(self, people: Sequence[Planted]) -> AsyncIterator[FreePbxSystem]:
        """The same, and a web server before it."""
        with self._made(people) as (pbx, planted, told):
            api = Api(pbx)
            async with answering(api, pbx.folder / "web") as (port, _, pem), listening(pbx.command(), told) as wire:
                where = ApiSettings(host="127.0.0.1", port=port, pin=pem, client=CLIENT)
                yield FreePbxSystem(pbx, wire, planted, api, where)


def _held(person: Planted) -> One:
    told = person.secrets.get
    more = {name: told(name, "") for name in ("recording_pin", "imappassword") if told(name)}
    # Where there is a digest, the password beside it opens nothing: the first two are tried with theirs.
    digest = told("md5_cred", "") if int(person.extension) > _OPENED else ""
    return One(
        person.extension, person.name, person.email, person.ddis, told("voicemail", "0000"), told("sip", "none"),
        digest, told("portal", "no-hash"), more=more,
    )  # fmt: skip
