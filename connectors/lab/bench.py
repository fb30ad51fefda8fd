"""The lab as the conformance kit tries it: `pytest --connector=lab`. It shows how a bench is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import asyncssh

from connectors.base import NoSettings
from connectors.conformance.bench import Hostile, Planted, Traits
from connectors.console import ASTERISK, Class, parse
from connectors.contract import Credential, Family, SecretKind, Target
from connectors.guard import Guard, fingerprint
from connectors.lab.connector import GUARD, LabFamily
from connectors.lab.server import LOGIN, Lab, start
from connectors.lab.sip import register

_FIELDS: Final = {"voicemail": "pin", "sip": "sip", "portal": "portal"}
_FAULTS: Final = {
    Hostile.TRUNCATED: "close-mid-answer", Hostile.ENDLESS: "endless", Hostile.SLOW: "slow", Hostile.SILENT: "silent",
    Hostile.MALFORMED: "malformed", Hostile.WRONG_ENCODING: "wrong-encoding", Hostile.DEEP_JSON: "deep-json",
    Hostile.TELLING_WRITES: "telling-writes",
}  # fmt: skip
_LINES: Final = {
    kind: [entry.sample().replace("alice.wong", "20001") for entry in ASTERISK if entry.kind is kind] for kind in Class
}  # fmt: skip
_JSON_LINES: Final = "the helper speaks JSON lines on an SSH channel"


def _held(person: Planted) -> dict[str, Any]:
    """As the lab keeps a person."""
    shown = {"id": person.id, "extension": person.extension, "name": person.name, "email": person.email}
    secrets = {own: person.secrets.get(field, "") for field, own in _FIELDS.items()}
    return shown | {"ddis": list(person.ddis), "must_change": False} | secrets


class LabSystem:
    """A running lab, and what is behind it."""

    def __init__(self, lab: Lab, people: Sequence[Planted]) -> None:
        self._lab = lab
        self.people = people
        self.target = Target("sys_1", "127.0.0.1", lab.ssh_port, lab.host_key, NoSettings(), 5_000, 5_000)
        self._other = asyncssh.generate_private_key("ssh-ed25519")
        self.other_pin = self._other.export_public_key().decode().strip()

    async def unseal(self) -> Credential:
        """The lab's own key."""
        return Credential(LOGIN, private_key=self._lab.client_key)

    async def wrong(self) -> Credential:
        """Somebody else's."""
        return Credential(LOGIN, private_key=self._other.export_private_key().decode())

    async def now(self, person_id: str) -> Planted | None:
        """From the lab's memory."""
        held = self._lab.store.whole(person_id)
        if held is None:
            return None
        secrets = {field: str(held[own]) for field, own in _FIELDS.items()}
        return Planted(held["id"], held["extension"], held["name"], held["email"], tuple(held["ddis"]), secrets)

    async def count(self) -> int:
        """From the lab's memory."""
        return len(self._lab.store.everyone())

    async def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        """A SIP password by registering with it; the others by comparing, for nothing here asks for them."""
        if kind is SecretKind.SIP:
            status = await asyncio.to_thread(register, "127.0.0.1", self._lab.sip_port, person_id, secret)
            return status == 200
        held = self._lab.store.whole(person_id)
        return held is not None and held[_FIELDS[kind.value]] == secret

    async def put(self, person: Planted) -> None:
        """Somebody else's change."""
        self._lab.store.alter(person.id, {"name": person.name, "email": person.email, "ddis": list(person.ddis)})

    async def drop(self, person_id: str) -> None:
        """Somebody else's removal."""
        self._lab.store.remove(person_id)

    async def heard(self) -> Sequence[str]:
        """By the names of the helper's requests, which are the guard's."""
        heard = [*self._lab.heard]
        self._lab.heard.clear()
        return heard

    @asynccontextmanager
    async def misbehave(self, how: Hostile, elsewhere: int) -> AsyncIterator[None]:
        """The lab's own faults, and another host key."""
        if how is Hostile.IDENTITY_SWAPPED:
            self._lab.acceptor.update(server_host_keys=[self._other])
            yield
            return
        self._lab.faults.add(_FAULTS[how])
        try:
            yield
        finally:
            self._lab.faults.discard(_FAULTS[how])


class LabBench:
    """The lab, which ships with Frameroom."""

    family: Family = LabFamily()
    guard: Guard = GUARD
    examples: Mapping[str, Mapping[str, object]] = {
        "hello": {}, "login": {}, "logins": {"since": 0}, "page": {"cursor": "20001", "limit": 50},
        "find": {"words": "grace okonkwo", "limit": 20}, "view": {"id": "alice.wong"},
        "named": {"names": ["20001", "+442079460123"]}, "devices": {"id": "20001"},
        "alter": {
            "id": "20001", "name": (fingerprint("a"), "Zoë"), "email": (fingerprint(None), "zoe@customer.example"),
            "ddi": (fingerprint(()), "+442079460123"),
        },
        "remove": {"id": "20001", "extension": fingerprint("20001"), "name": fingerprint("Zoë")},
        "reset": {"id": "20001", "kind": "sip", "secret": "Abcdefgh23456789"}, "look": {"line": "core show version"},
        "act": {"line": "dialplan reload"},
    }  # fmt: skip
    traits = Traits(
        diag=tuple(parse(line, ASTERISK) for line in _LINES[Class.LOOK]),
        acts=tuple(parse(line, ASTERISK) for line in _LINES[Class.ACT]),
        console="lab",
        long=parse("pjsip show endpoints", ASTERISK),
        inapplicable={
            Hostile.XML_BOMB: _JSON_LINES, Hostile.XML_ENTITY: _JSON_LINES, Hostile.REDIRECT: _JSON_LINES,
        },
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    @asynccontextmanager
    async def running(self, people: Sequence[Planted]) -> AsyncIterator[LabSystem]:
        """A lab of its own."""
        self._count += 1
        async with start(self._folder / str(self._count), people=map(_held, people)) as lab:
            yield LabSystem(lab, [replace(person) for person in people])

    def close(self) -> None:
        """Nothing outlives `running`."""
