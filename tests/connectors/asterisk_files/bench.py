"""Asterisk with flat files as the conformance kit tries it: the helper itself, on files as captured ones are."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from connectors.asterisk_files.connector import AsteriskFilesFamily
from connectors.asterisk_files.requests import GUARD
from connectors.asterisk_files.settings import AsteriskFilesSettings
from connectors.conformance.bench import Hostile, Planted, Traits
from connectors.console import ASTERISK, Class, find, parse
from connectors.contract import Credential, Family, SecretKind, Target
from connectors.guard import Guard, fingerprint
from connectors.transport.helper import LOGIN
from tests.support.flat_pbx import FlatPbx
from tests.support.freepbx.wire import Wire, listening

_JSON_LINES = "the helper speaks JSON lines on an SSH channel"
_LINES = {
    kind: [entry.sample().replace("alice.wong", "20001") for entry in ASTERISK if entry.kind is kind] for kind in Class
}
_MANY = 5_000
_TEMPLATES = """[transport-udp]
type=transport
protocol=udp

[endpoint-internal](!)
type=endpoint
context=internal

[auth-userpass](!)
type=auth
auth_type=userpass

[aor-single](!)
type=aor
max_contacts=2
"""
_MORE = ("refresh_token", "oauth_secret")


def _account(person: Planted) -> str:
    told = person.secrets.get
    more = "".join(f"{key}={told(key)}\n" for key in _MORE if told(key))
    return (
        f"\n; {person.extension}\n[{person.id}](endpoint-internal)\nauth={person.id}\naors={person.id}\n"
        f'callerid="{person.name}" <{person.extension}>\nmailboxes={person.extension}@default\n'
        f"\n[{person.id}](auth-userpass)\nusername={person.id}\npassword={told('sip', 'none')}\n{more}"
        f"\n[{person.id}](aor-single)\n"
    )


def _box(person: Planted) -> str:
    return f"{person.extension} => {person.secrets.get('voicemail', '0000')},{person.name},{person.email or ''}\n"


def _routes(person: Planted) -> str:
    return "".join(
        f"exten => {number},1,NoOp()\n same => n,Goto(internal,{person.extension},1)\n" for number in person.ddis
    )


class FilesSystem:
    """One folder of files, and what is behind it."""

    def __init__(self, pbx: FlatPbx, wire: Wire, people: Sequence[Planted]) -> None:
        assert wire.acceptor is not None
        self._pbx, self._wire, self.people = pbx, wire, people
        pin = wire.host.export_public_key().decode().strip()
        patience = 10_000 if len(people) < _MANY else 120_000
        port = wire.acceptor.get_port()
        self.target = Target("sys_1", "127.0.0.1", port, pin, AsteriskFilesSettings(), 10_000, patience)
        self.other_pin = wire.other.export_public_key().decode().strip()

    async def unseal(self) -> Credential:
        """The key that is let in."""
        return Credential(LOGIN, private_key=self._wire.key.export_private_key().decode())

    async def wrong(self) -> Credential:
        """Somebody else's."""
        return Credential(LOGIN, private_key=self._wire.other.export_private_key().decode())

    def _section(self, person_id: str, template: str) -> dict[str, str]:
        found = re.search(
            rf"^\[{re.escape(person_id)}\]\({template}\)\n((?:[^\[\n].*\n|\n)*)", self._text("pjsip"), re.M
        )
        return {} if found is None else dict(re.findall(r"^(\w+)\s*=\s*(.*)$", found[1], re.M))

    def _text(self, name: str) -> str:
        return self._pbx.text(f"{name}.conf")

    def _write(self, name: str, text: str) -> None:
        """As an editor does: what is read is the old file or the new one."""
        file = self._pbx.etc / f"{name}.conf"
        beside = file.with_suffix(".editor")
        beside.write_text(text, encoding="utf-8")
        beside.chmod(0o640)
        os.replace(beside, file)

    async def now(self, person_id: str) -> Planted | None:
        """From the files, without the helper."""
        await self._wire.idle()
        held = self._section(person_id, "endpoint-internal")
        if not held:
            return None
        caller = re.fullmatch(r'"?(.*?)"? <(\w+)>', held["callerid"])
        assert caller is not None, held
        name, extension = caller.groups()
        box = re.search(rf"^{extension} => (.*)$", self._text("voicemail"), re.M)
        email = box[1].split(",")[2] if box else ""
        numbers, number = list[str](), ""
        inbound = self._text("extensions").partition("[internal]")[0]
        for line in inbound.splitlines():
            number = line.partition("=>")[2].split(",")[0].strip() if line.startswith("exten") else number
            if re.search(rf"(Goto\(internal,{extension},1\)|PJSIP/{re.escape(person_id)}\b)", line):
                numbers.append(number)
        return Planted(person_id, extension, name, email or None, tuple(sorted(numbers)))

    async def count(self) -> int:
        """Endpoints."""
        await self._wire.idle()
        return self._text("pjsip").count("](endpoint-internal)")

    async def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        """As Asterisk would judge it."""
        await self._wire.idle()
        person = next(one for one in self.people if one.id == person_id)
        if kind is SecretKind.VOICEMAIL:
            return f"\n{person.extension} => {secret}," in self._text("voicemail")
        held = self._section(person_id, "auth-userpass")
        digest = hashlib.md5(f"{person_id}:asterisk:{secret}".encode(), usedforsecurity=False).hexdigest()
        return held.get("md5_cred") == digest if "md5_cred" in held else held.get("password") == secret

    async def put(self, person: Planted) -> None:
        """As somebody with an editor would."""
        if re.search(r'[\r\n"]', person.name):
            raise ValueError("a name is on one line, between quotes")
        head = rf"(\[{re.escape(person.id)}\]\(endpoint-internal\)\n(?:[^\[\n].*\n)*?)callerid=.*\n"
        caller = f'callerid="{person.name}" <{person.extension}>\n'
        self._write("pjsip", re.sub(head, lambda found: found[1] + caller, self._text("pjsip"), count=1))
        old = re.search(rf"^{person.extension} => ([^,]*),.*\n", self._text("voicemail"), re.M)
        assert old is not None
        box = _box(replace(person, secrets={"voicemail": old[1]}))
        self._write("voicemail", self._text("voicemail").replace(old[0], box))
        routes = rf"^exten => [^,]*,1,NoOp\(\)\n same => n,Goto\(internal,{person.extension},1\)\n"
        others = re.sub(routes, "", self._text("extensions"), flags=re.M)
        self._write("extensions", others.replace("[from-trunk]\n", "[from-trunk]\n" + _routes(person)))

    async def drop(self, person_id: str) -> None:
        """Their sections."""
        own = rf"^\[{re.escape(person_id)}\]\([\w-]+\)\n(?:[^\[\n].*\n|\n)*"
        self._write("pjsip", re.sub(own, "", self._text("pjsip"), flags=re.M))

    async def heard(self) -> Sequence[str]:
        """By the names of the guard's templates."""
        await self._wire.idle()
        heard = [*self._wire.heard]
        self._wire.heard.clear()
        return heard

    @asynccontextmanager
    async def misbehave(self, how: Hostile, elsewhere: int) -> AsyncIterator[None]:
        """Answers that an enemy made of the helper's, or another host key."""
        if how is Hostile.IDENTITY_SWAPPED:
            assert self._wire.acceptor is not None
            self._wire.acceptor.update(server_host_keys=[self._wire.other])
            yield
            return
        self._wire.how = how
        try:
            yield
        finally:
            self._wire.how = None


def _named(asked: dict[str, object]) -> str:
    """A line for the prompt by what the catalogue says that it does."""
    if asked.get("do") != "console":
        return str(asked.get("do"))
    found = find(str(asked.get("line")), ASTERISK)
    return f"console: {asked}" if found is None else "act" if found[0].kind is Class.ACT else "look"


class AsteriskFilesBench:
    """A folder for each."""

    family: Family = AsteriskFilesFamily()
    guard: Guard = GUARD
    examples: Mapping[str, Mapping[str, object]] = {
        "hello": {}, "check": {}, "page": {"cursor": "20001", "limit": 50},
        "find": {"words": "grace okonkwo", "limit": 20}, "view": {"id": "alice.wong"}, "devices": {"id": "20001"},
        "plan": {"id": "20001"}, "rules": {"id": "20001", "kind": "sip"},
        "alter": {
            "id": "desk-7", "name": (fingerprint("a"), "Zoë"), "email": (fingerprint(None), "zoe@customer.example"),
            "ddi": (fingerprint(()), "+442079460123"),
        },
        "remove": {"id": "20001", "extension": fingerprint("20001"), "name": fingerprint("Zoë")},
        "reset": {"id": "20001", "kind": "sip", "secret": "Abcdefgh23456789"}, "look": {"line": "core show version"},
        "act": {"line": "dialplan reload"},
    }  # fmt: skip
    traits = Traits(
        more_secrets=_MORE,
        diag=tuple(parse(line, ASTERISK) for line in _LINES[Class.LOOK]),
        acts=tuple(parse(line, ASTERISK) for line in _LINES[Class.ACT]),
        console="asterisk-files",
        long=parse("pjsip show endpoints", ASTERISK),
        inapplicable={
            Hostile.XML_BOMB: _JSON_LINES, Hostile.XML_ENTITY: _JSON_LINES, Hostile.REDIRECT: _JSON_LINES,
        },
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    @asynccontextmanager
    async def running(self, people: Sequence[Planted]) -> AsyncIterator[FilesSystem]:
        """Files of its own."""
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir(parents=True)
        pbx = FlatPbx(folder, {"console": "act"}).make()
        for name in ("pjsip_users", "pjsip_wizard"):
            (pbx.etc / f"{name}.conf").unlink()
        pbx.write("pjsip.conf", _TEMPLATES + "".join(map(_account, people)))
        pbx.write("voicemail.conf", "[general]\nformat=wav\n\n[default]\n" + "".join(map(_box, people)))
        inside = "".join(f"exten => {one.extension},1,Dial(PJSIP/{one.id},20)\n" for one in people)
        inbound = "".join(map(_routes, people))
        pbx.write("extensions.conf", f"[from-trunk]\n{inbound}\n[internal]\n{inside}")
        # Of some commands there is no capture; the kit wants to hear something of each.
        console = folder / "asterisk"
        console.write_text(f'{console.read_text()}case "$2" in "module reload "*) ;; *) echo "-- the end" ;; esac\n')
        (folder / "channels").write_text("0 active channels\n")
        if len(people) >= _MANY:
            said = (f" Endpoint:  {one.id}/{one.extension}    Not in use    0 of inf\n" for one in people)
            (folder / "many").write_text("".join(said))
        told = " ".join(secret for person in people for secret in person.secrets.values())
        # As sudo says it: whoever came in by SSH is not the account that the files are of.
        came = ["env", "SUDO_UID=65534", "SUDO_GID=65534", "SUDO_USER=nobody"]
        async with listening([*came, *pbx.command()], told) as wire:
            wire.named = _named
            yield FilesSystem(pbx, wire, [replace(person) for person in people])

    def close(self) -> None:
        """Nothing outlives `running`."""
