"""Toy, as the conformance kit tries the connector: a stand-in that keeps people, and turns against us when told."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.base import NoSettings
from connectors.conformance.bench import Hostile, Planted, Traits
from connectors.conformance.relay import served
from connectors.contract import Credential, Family, SecretKind, Target
from connectors.guard import Guard, fingerprint
from frameroom_toy.connector import GUARD, ToyFamily

PASSWORD = "toy-password-7f"
LINES = "Toy speaks JSON lines"
FIELDS = {"login": {"password"}, "list": {"after", "limit"}, "find": {"words", "limit"}, "view": {"id"},
          "set": {"id", "was", "values"}, "remove": {"id", "was"}, "pin": {"id", "pin"}}  # fmt: skip


def identity(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server's TLS with a certificate of its own, and that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "toy.customer.example")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1)).sign(key, hashes.SHA256())
    pem = made.public_bytes(serialization.Encoding.PEM)
    file = folder / f"{made.serial_number}.pem"
    file.write_bytes(pem + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, pem.decode()


class ToySystem:
    """The stand-in: what is on the wire, and what is behind it."""

    def __init__(self, people: Sequence[Planted], folder: Path) -> None:
        self.people, self.port = people, 0
        self._held = {person.id: person for person in people}
        self._pins = {person.id: person.secrets.get("voicemail", "") for person in people}
        self._heard: list[str] = []
        self._how: Hostile | None = None
        self._context, self.pin = identity(folder)
        self._other, self.other_pin = identity(folder)

    @property
    def target(self) -> Target:
        return Target("sys_1", "127.0.0.1", self.port, self.pin, NoSettings(), 5_000, 5_000)

    async def unseal(self) -> Credential:
        return Credential("frameroom", PASSWORD)

    async def wrong(self) -> Credential:
        return Credential("frameroom", "another-password")

    async def now(self, person_id: str) -> Planted | None:
        return self._held.get(person_id)

    async def count(self) -> int:
        return len(self._held)

    async def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        return self._pins.get(person_id) == secret

    async def put(self, person: Planted) -> None:
        self._held[person.id] = person

    async def drop(self, person_id: str) -> None:
        del self._held[person_id]

    async def heard(self) -> Sequence[str]:
        heard, self._heard = self._heard, []
        return heard

    @asynccontextmanager
    async def misbehave(self, how: Hostile, elsewhere: int) -> AsyncIterator[None]:
        self._how = how
        try:
            yield
        finally:
            self._how = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection. TLS is begun here, so that another certificate can be shown at any time."""
        await writer.start_tls(self._other if self._how is Hostile.IDENTITY_SWAPPED else self._context)
        known = False
        while line := await reader.readline():
            request = json.loads(line)
            name, fields = request.pop("do"), request.pop("fields", [])
            self._heard.append(name if set(request) == FIELDS.get(name) else line.decode())
            known = known or (name == "login" and request["password"] == PASSWORD)
            answer = self._answer(name, request, fields) if known else dict[str, object](error="password")
            if not await self._say(writer, answer, request.get("id") if GUARD.writes(name) else None):
                break

    def _answer(self, name: str, request: dict[str, object], fields: list[str]) -> dict[str, object]:
        person = self._held.get(str(request.get("id")))
        if name in ("list", "find"):
            words, after = str(request.get("words") or "").casefold().split(), str(request.get("after") or "")
            found = [person for person_id, person in sorted(self._held.items()) if person_id > after]
            found = [p for p in found if all(w in f"{p.extension} {p.name} {p.email}".casefold() for w in words)]
            return {"people": [self._shown(p, fields) for p in found[: int(str(request["limit"]))]]}
        if name == "login":
            return {"ok": True}
        if person is None:
            return {"error": "unknown"}
        if name == "pin":
            self._pins[person.id] = str(request["pin"])
        elif name in ("set", "remove"):
            new = request.get("values") or {"name": ""}
            assert isinstance(new, dict)
            if request["was"] != fingerprint(tuple(str(getattr(person, field)) for field in new)):
                return {"error": "changed"}
            if name == "remove":
                del self._held[person.id]
            else:
                self._held[person.id] = replace(person, **new)
        elif name != "view":
            return {"error": "no such request"}
        return {"person": self._shown(person, fields)}

    def _shown(self, person: Planted, fields: list[str]) -> dict[str, object]:
        """Like the real one: whatever is asked for, the PIN too."""
        held = {"id": person.id, "extension": person.extension, "name": person.name, "email": person.email}
        return {field: (held | {"pin": self._pins[person.id]})[field] for field in fields}

    async def _say(self, writer: asyncio.StreamWriter, answer: dict[str, object], written: str | None) -> bool:
        data = json.dumps(answer).encode()
        match self._how:
            case Hostile.SILENT:
                await asyncio.sleep(60)
            case Hostile.TRUNCATED:
                writer.write(data[: len(data) // 2])
                await writer.drain()
                return False
            case Hostile.MALFORMED:
                data = b"{{" + data
            case Hostile.WRONG_ENCODING:
                data = data.replace(b'"name": "', b'"name": "\xff')[:-1] + b', "x": "\xff"}'
            case Hostile.DEEP_JSON:
                data = b"[" * 100_000 + b"]" * 100_000
            case Hostile.ENDLESS | Hostile.SLOW as how:
                for _ in range(1 << 14):
                    writer.write(b" " * (1 << 16 if how is Hostile.ENDLESS else 1))
                    await writer.drain()
                    await asyncio.sleep(0 if how is Hostile.ENDLESS else 0.3)
            case Hostile.TELLING_WRITES if written:
                data = json.dumps(answer | {"notice": self._pins}).encode()
        writer.write(data + b"\n")
        await writer.drain()
        return True


class ToyBench:
    family: Family = ToyFamily()
    guard: Guard = GUARD
    examples: Mapping[str, Mapping[str, object]] = {
        "login": {"password": PASSWORD}, "list": {"after": "20001", "limit": 50}, "view": {"id": "alice.wong"},
        "find": {"words": "grace", "limit": 20}, "remove": {"id": "20001", "was": fingerprint("x")},
        "set": {"id": "20001", "was": fingerprint("x"), "values": {"name": "Zoë", "email": "zoe@customer.example"}},
        "pin": {"id": "20001", "pin": "73910284"},
    }  # fmt: skip
    traits = Traits(
        max_ddis=0, alters=frozenset({"name", "email"}),
        inapplicable=dict.fromkeys((Hostile.XML_BOMB, Hostile.XML_ENTITY, Hostile.REDIRECT), LINES),
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def running(self, people: Sequence[Planted]) -> AsyncIterator[ToySystem]:
        system = ToySystem(people, self._folder)
        async with served(system.serve) as system.port:
            yield system

    def close(self) -> None:
        pass
