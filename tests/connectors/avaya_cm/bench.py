"""Avaya Communication Manager as the conformance kit tries it, on a stand-in made from public programs for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncssh

from connectors.avaya_cm.connector import AvayaCmFamily
from connectors.avaya_cm.messages import GUARD, NAMES
from connectors.avaya_cm.settings import AvayaCmSettings
from connectors.conformance.bench import Hostile, Planted, Traits
from connectors.console import AVAYA, parse
from connectors.contract import Credential, Family, SecretKind, Target
from connectors.guard import Guard
from tests.support.avaya.cm import LOGIN, PASSWORD, Cm, Station, running

_LINES = "the terminal speaks lines of text on an SSH channel"


class AvayaSystem:
    """One stand-in."""

    def __init__(self, cm: Cm, server: asyncssh.SSHAcceptor, key: asyncssh.SSHKey, people: Sequence[Planted]) -> None:
        self.people = people
        pin = key.export_public_key().decode().strip()
        self.target = Target("kit", "127.0.0.1", server.get_port(), pin, AvayaCmSettings(), 5_000, 5_000)
        self._other = asyncssh.generate_private_key("ssh-ed25519")
        self.other_pin = self._other.export_public_key().decode().strip()
        self._cm, self._server = cm, server
        self._told = " ".join(secret for person in people for secret in person.secrets.values())

    async def unseal(self) -> Credential:
        """Our login."""
        return Credential(LOGIN, PASSWORD)

    async def wrong(self) -> Credential:
        """Another password."""
        return Credential(LOGIN, "CANARY-not-this-one")

    async def now(self, person_id: str) -> Planted | None:
        """As the phone system holds it."""
        one = self._cm.stations.get(person_id)
        return Planted(one.extension, one.extension, one.name, None, ()) if one else None

    async def count(self) -> int:
        """Stations."""
        return len(self._cm.stations)

    async def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        """No password is reset."""
        return False

    async def put(self, person: Planted) -> None:
        """As somebody at a terminal would."""
        if re.search(r"[\r\n\t]", person.name) or len(person.name) > 27:
            raise ValueError("a name is 27 characters of one line")
        self._cm.stations[person.id].name = person.name

    async def drop(self, person_id: str) -> None:
        """Somebody else removes them."""
        del self._cm.stations[person_id]

    async def heard(self) -> Sequence[str]:
        """By the names of the guard's templates."""
        heard, self._cm.heard = self._cm.heard, []
        return heard

    @asynccontextmanager
    async def misbehave(self, how: Hostile, elsewhere: int) -> AsyncIterator[None]:
        """Each answer, once somebody is signed in; another host key for whoever comes from now on."""
        if how is Hostile.IDENTITY_SWAPPED:
            self._server.update(server_host_keys=[self._other])
            yield
            return
        if how is Hostile.TELLING_WRITES:
            told = f"f0000aa00\r\nd{self._told[:8000]}\r\n".encode()
            self._cm.twist = lambda kind, said: said[:-3] + told + b"t\r\n" if kind == "write" else said
        else:

            async def enemy(process: asyncssh.SSHServerProcess[bytes], said: bytes) -> None:
                await _answered(process, how, said)

            self._cm.enemy = enemy
        try:
            yield
        finally:
            self._cm.enemy = self._cm.twist = None


async def _answered(process: asyncssh.SSHServerProcess[bytes], how: Hostile, said: bytes) -> None:
    match how:
        case Hostile.TRUNCATED:
            process.stdout.write(said[: len(said) // 2])
            await process.stdout.drain()
            process.exit(0)
        case Hostile.ENDLESS:
            process.stdout.write(said[:-3])
            for _ in range(1 << 14):
                process.stdout.write(b"n\r\nd20001\tEve\r\n" * 4096)
                await process.stdout.drain()
        case Hostile.SLOW:
            for number in range(len(said)):
                process.stdout.write(said[number : number + 1])
                await process.stdout.drain()
                await asyncio.sleep(0.5)
        case Hostile.SILENT:
            await asyncio.sleep(60)
        case Hostile.MALFORMED:
            process.stdout.write(b"\x1b[2J{{}}\r\n" + said)
        case Hostile.WRONG_ENCODING:
            process.stdout.write(said.replace(b"\r\nd", b"\r\nd\xff\xfe"))
        case _:
            raise ValueError(how)


class AvayaBench:
    """The stand-in, over a real SSH server."""

    family: Family = AvayaCmFamily()
    guard: Guard = GUARD
    examples: Mapping[str, Mapping[str, object]] = {
        "stations": {"count": 51}, "stations-from": {"station": "20001", "count": 51},
        "rename": {"station": "20001", "name": "Doyle, Mary-Kate"}, "clear-messages": {"station": "20001"},
        "remove": {"station": "20001"}, "look": {"line": "display time"},
    }  # fmt: skip
    traits = Traits(
        max_ddis=0, alters=frozenset({"name"}), more_secrets=("security_code",), emails=False, names=NAMES,
        diag=tuple(parse(entry.sample().replace("station 2001", "station 20001"), AVAYA) for entry in AVAYA),
        console="avaya-cm", long=parse("list station", AVAYA),
        inapplicable=dict.fromkeys(
            (Hostile.XML_BOMB, Hostile.XML_ENTITY, Hostile.DEEP_JSON, Hostile.REDIRECT), _LINES
        ),
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self._key = asyncssh.generate_private_key("ssh-ed25519")

    @asynccontextmanager
    async def running(self, people: Sequence[Planted]) -> AsyncIterator[AvayaSystem]:
        """One of its own: a station's id is its extension."""
        own = [replace(person, id=person.extension) for person in people]
        stations = [
            Station(one.extension, one.name, security_code=one.secrets.get("security_code", "1"), lamps=True)
            for one in own
        ]
        cm = Cm({one.extension: one for one in stations})
        async with running(cm, self._key) as server:
            yield AvayaSystem(cm, server, self._key, own)

    def close(self) -> None:
        """Nothing outlives `running`."""
