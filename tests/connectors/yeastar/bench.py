"""Yeastar P-Series as the conformance kit tries it, on a stand-in made from the vendor's documentation."""

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
from connectors.guard import Guard
from connectors.yeastar.connector import YeastarFamily
from connectors.yeastar.requests import GUARD
from connectors.yeastar.settings import YeastarSettings
from tests.support.yeastar.pbx import CLIENT, SECRET, Extension, Pbx
from tests.support.yeastar.server import Server, response, running, server_tls

_NO_XML = "the phone system speaks JSON, and nothing here reads XML"
_NUMBERS_A_ROUTE = 100


def extension(person: Planted, number: int) -> Extension:
    """As the phone system holds a planted person."""
    first, _, last = person.name.partition(" ")
    secrets = person.secrets
    return Extension(
        number, person.extension, first, last, person.email or "", secrets.get("sip", "CANARY-reg-1a2B"),
        secrets.get("portal", "CANARY-user-1a2B"), secrets.get("vm_pin", "1000"),
    )  # fmt: skip


def routes(people: Sequence[Planted]) -> dict[int, dict[str, object]]:
    """One-to-one lists of everybody's numbers, and a route that concerns nobody."""
    pairs = [{"did": ddi.removeprefix("+"), "ext_num": one.extension} for one in people for ddi in one.ddis]
    made: list[dict[str, object]] = [
        {"did_option": "pattern_to_ext_list", "did_pattern_to_ext_list": pairs[at : at + _NUMBERS_A_ROUTE],
         "def_dest": "pattern_to_ext_list"}
        for at in range(0, len(pairs), _NUMBERS_A_ROUTE)
    ]  # fmt: skip
    made.append({"did_option": "patterns", "did_pattern_list": [{"did_pattern": "5503."}], "def_dest": "ivr"})
    return {n: {"id": n, "name": f"in_{n}", "trunk_list": [], **one} for n, one in enumerate(made, 1)}


class YeastarSystem:
    """One stand-in."""

    def __init__(self, server: Server, port: int, tls: SSLContext, folder: Path, people: Sequence[Planted]) -> None:
        self.people = people
        pem = (folder / "cert.pem").read_text()
        self.target = Target("kit", "127.0.0.1", port, pem, YeastarSettings())
        (folder / "other").mkdir()
        self.other_pin = server_tls(folder / "other")[1]
        self._server, self._pbx, self._tls, self._folder = server, server.pbx, tls, folder
        self._told = " ".join(secret for person in people for secret in person.secrets.values())

    async def unseal(self) -> Credential:
        """Our client."""
        return Credential(CLIENT, SECRET)

    async def wrong(self) -> Credential:
        """Another secret."""
        return Credential(CLIENT, "CANARY-not-this-one-either")

    def _one(self, person_id: str) -> Extension | None:
        return self._pbx.extensions.get(int(person_id.partition(".")[2]))

    async def now(self, person_id: str) -> Planted | None:
        """As the phone system holds it; numbers do not change here."""
        one = self._one(person_id)
        if one is None:
            return None
        ddis = next((person.ddis for person in self.people if person.id == person_id), ())
        return Planted(person_id, one.number, one.caller_id_name, one.email_addr or None, ddis)

    async def count(self) -> int:
        """Extensions."""
        return len(self._pbx.extensions)

    async def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        """As a REGISTER, or a sign-in to Linkus, would judge it."""
        one = self._one(person_id)
        return one is not None and secret == (one.reg_password if kind is SecretKind.SIP else one.user_password)

    async def put(self, person: Planted) -> None:
        """As somebody at the web page would."""
        one = self._one(person.id)
        assert one is not None
        one.first_name, one.last_name, one.email_addr = person.name, "", person.email or ""

    async def drop(self, person_id: str) -> None:
        """Somebody else removes them."""
        del self._pbx.extensions[int(person_id.partition(".")[2])]

    async def heard(self) -> Sequence[str]:
        """By the names of the guard's templates."""
        heard, self._pbx.heard = self._pbx.heard, []
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
            self._server.twist = lambda path, said: said | {"errmsg": self._told, "data": {"reg_password": self._told}}
        else:

            async def enemy(writer: asyncio.StreamWriter, answer: bytes) -> None:
                await _answered(writer, how, answer, elsewhere)

            self._server.enemy = enemy
        try:
            yield
        finally:
            self._server.enemy = self._server.twist = None


async def _answered(writer: asyncio.StreamWriter, how: Hostile, answer: bytes, elsewhere: int) -> None:
    _, _, body = answer.partition(b"\r\n\r\n")
    match how:
        case Hostile.TRUNCATED:
            writer.write(answer[: len(answer) - len(body) // 2 - 1])
        case Hostile.ENDLESS:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body[:-1])
            for _ in range(1 << 14):
                writer.write(b" " * (1 << 16))
                await writer.drain()
        case Hostile.SLOW:
            for number in range(len(answer)):
                writer.write(answer[number : number + 1])
                await writer.drain()
                await asyncio.sleep(0.5)
        case Hostile.SILENT:
            await asyncio.sleep(60)
        case Hostile.MALFORMED:
            writer.write(response("200 OK", b"{{" + body))
        case Hostile.WRONG_ENCODING:
            spoilt = re.sub(rb'("caller_id_name": ")', rb"\1\xff\xfe", body)
            writer.write(response("200 OK", spoilt[:-1] + b', "x": "\xff"}'))
        case Hostile.DEEP_JSON:
            writer.write(response("200 OK", b"[" * 100_000 + b"]" * 100_000))
        case Hostile.REDIRECT:
            place = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
            writer.write(place.encode())
        case _:
            raise ValueError(how)
    await writer.drain()


class YeastarBench:
    """The stand-in, with TLS."""

    family: Family = YeastarFamily()
    guard: Guard = GUARD
    examples: Mapping[str, Mapping[str, object]] = {
        "sign-in": {"client": CLIENT, "secret": SECRET}, "refresh": {"refresh": "SCduGecwbG9jIusiS8FxFUVn3kf0Q9R8"},
        "sign-out": {}, "system": {}, "people": {"page": 1, "size": 50}, "routes": {"page": 1, "size": 100},
        "search": {"number": "20001", "page": 1, "size": 100}, "route-numbers": {"ids": (1, 2, 3)},
        "change": {
            "id": 74, "values": {"first_name": "Zoë", "last_name": "de Vries", "email_addr": "zoe@customer.example"}
        },
        "set-sip": {"id": 74, "password": "Abcdefgh23456789"}, "set-portal": {"id": 74, "password": "Abcdefgh23456789"},
        "remove": {"id": 74},
    }  # fmt: skip
    traits = Traits(
        max_ddis=3, alters=frozenset({"name", "email"}), more_secrets=("vm_pin",),
        inapplicable=dict.fromkeys((Hostile.XML_BOMB, Hostile.XML_ENTITY), _NO_XML),
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    @asynccontextmanager
    async def running(self, people: Sequence[Planted]) -> AsyncIterator[YeastarSystem]:
        """One of its own."""
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        tls, _ = server_tls(folder)
        own = [replace(person, id=f"{person.extension}.{number}") for number, person in enumerate(people, 70)]
        pbx = Pbx({n: extension(person, n) for n, person in enumerate(own, 70)}, routes(own))
        pbx.most_tokens = 10_000  # a wire that is cut keeps its token for half an hour, and the kit cuts hundreds
        # The documentation has one request a connection, as our own tests have; web servers keep them, as here.
        server = Server(pbx, keeps=True)
        async with running(server, tls) as port:
            yield YeastarSystem(server, port, tls, folder, own)

    def close(self) -> None:
        """Nothing outlives `running`."""
