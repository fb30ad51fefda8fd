"""3CX as the conformance kit tries it, on the stand-in made from the vendor's OpenAPI file."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from connectors.conformance.bench import Hostile, Planted, Traits
from connectors.conformance.people import secret_of
from connectors.contract import Credential, Family, SecretKind, Target
from connectors.guard import Guard
from connectors.tcx.connector import TcxFamily
from connectors.tcx.requests import GUARD
from connectors.tcx.settings import TcxSettings
from tests.support.tcx.pbx import CLIENT, KEY, Pbx, Reply
from tests.support.tcx.server import Heard, Server, running

FIELDS = {SecretKind.VOICEMAIL: "VMPIN", SecretKind.SIP: "AuthPassword", SecretKind.PORTAL: "AccessPassword"}
_USER = "Id,Number,FirstName,LastName,EmailAddress"
_RULE = "Id,RuleName,Data,Condition,OfficeHoursDestination"
_WHOLE = f"{_RULE},OutOfOfficeHoursDestination,HolidaysDestination"
_TEXT = "'(?:[^']|'')*'"
_OFFICE = "OfficeHoursDestination/Number"
_PAGED = r"&\$orderby=Id&\$top=500&\$skip=\d+"
_LOOKS = {
    "status": r"SystemStatus\?\$select=Version",
    "users": rf"Users\?\$select={_USER}&\$orderby=Number&\$top=\d+&\$skip=\d+&\$count=true",
    "user": rf"Users\(\d+\)\?\$select={_USER}",
    "registered": r"Users\(\d+\)\?\$select=Id,IsRegistered",
    "search": rf"Users\?\$select={_USER}&\$filter=\(contains\(tolower\(FirstName\),.*\)&\$orderby=Number&\$top=\d+",
    "numbered": (
        rf"Users\?\$select={_USER}&\$filter=Number eq {_TEXT}(?: or Number eq {_TEXT})*&\$orderby=Number&\$top=16"
    ),
    "rules": rf"InboundRules\?\$select={_WHOLE}{_PAGED}",
    "rules-of": rf"InboundRules\?\$select={_RULE}&\$filter={_OFFICE} eq {_TEXT}(?: or {_OFFICE} eq {_TEXT})*{_PAGED}",
    "rules-between": rf"InboundRules\?\$select={_RULE}&\$filter={_OFFICE} ge {_TEXT} and {_OFFICE} le {_TEXT}{_PAGED}",
    "rules-naming": (
        rf"InboundRules\?\$select={_WHOLE}&\$filter={_OFFICE} eq {_TEXT} or OutOf{_OFFICE} eq {_TEXT} or "
        rf"HolidaysDestination/Number eq {_TEXT}{_PAGED}"
    ),
    "rules-holding": rf"InboundRules\?\$select={_RULE}&\$filter=contains\(Data,{_TEXT}\){_PAGED}",
    "trunk-numbers": rf"DidNumbers\?\$select=Number,TrunkId&\$filter=contains\(Number,{_TEXT}\)&\$top=50",
}
_WRITES = {
    "set-name": (r"PATCH Users\(\d+\)", {"FirstName", "LastName"}),
    "set-email": (r"PATCH Users\(\d+\)", {"EmailAddress"}),
    "remove-user": (r"DELETE Users\(\d+\)", set[str]()),
    "regenerate": (r"POST Users\(\d+\)/Pbx\.Regenerate", {"opts"}),
    "set-rule": (r"PATCH InboundRules\(\d+\)", {"Data"}),
    "remove-rule": (r"DELETE InboundRules\(\d+\)", set[str]()),
    "add-rule": (
        r"POST InboundRules",
        {
            "RuleName", "Condition", "CallType", "Data", "TrunkDN", "OfficeHoursDestination",
            "OutOfOfficeHoursDestination", "HolidaysDestination",
        },
    ),
}  # fmt: skip


def template(heard: Heard) -> str:
    """Which request of the list it was; its own words for one that is none."""
    if (heard.method, heard.target) == ("POST", "/connect/token"):
        return "token"
    what = unquote(heard.target.removeprefix("/xapi/v1/"))
    if heard.method == "GET":
        fits = [name for name, pattern in _LOOKS.items() if re.fullmatch(pattern, what, re.S)]
    else:
        keys = set(json.loads(heard.body)) if heard.body else set()
        asked = f"{heard.method} {what}"
        fits = [name for name, (pattern, own) in _WRITES.items() if re.fullmatch(pattern, asked) and keys == own]
    return fits[0] if len(fits) == 1 else f"{heard.method} {heard.target}"


class TcxSystem:
    """One stand-in."""

    def __init__(self, server: Server, people: Sequence[Planted]) -> None:
        self.people = people
        self.target = Target("kit", "127.0.0.1", server.port, server.pem, TcxSettings())
        self.other_pin = server.other_pem
        self.server, self.pbx = server, server.pbx
        self._told = {f"Secret{n}": s for n, s in enumerate(s for p in people for s in p.secrets.values())}

    async def unseal(self) -> Credential:
        """Our client."""
        return Credential(CLIENT, KEY)

    async def wrong(self) -> Credential:
        """Another key."""
        return Credential(CLIENT, "CANARY-not-this-one")

    def _rules(self, number: str) -> list[int]:
        return [r["Id"] for r in self.pbx.rules.values() if r["OfficeHoursDestination"]["Number"] == number]

    async def now(self, person_id: str) -> Planted | None:
        """As it is held."""
        user = self.pbx.users.get(int(person_id[1:]))
        if user is None:
            return None
        name = " ".join(part for part in (user["FirstName"], user["LastName"]) if part)
        ddis = tuple(f"+{self.pbx.rules[rule]['Data']}" for rule in self._rules(user["Number"]))
        return Planted(person_id, user["Number"], name, user["EmailAddress"] or None, ddis)

    async def count(self) -> int:
        """Users."""
        return len(self.pbx.users)

    async def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        """Compared with what is kept."""
        user = self.pbx.users.get(int(person_id[1:]))
        return user is not None and user[FIELDS[kind]] == secret

    async def put(self, person: Planted) -> None:
        """As on the phone system's own page."""
        user = self.pbx.users[int(person.id[1:])]
        first, _, last = person.name.partition(" ")
        user |= {"FirstName": first, "LastName": last, "EmailAddress": person.email or ""}
        for rule in self._rules(user["Number"]):
            del self.pbx.rules[rule]
        for number in person.ddis:
            self.pbx.rule(number[1:], user["Number"])
        self.pbx.changed()

    async def drop(self, person_id: str) -> None:
        """The user; their rules stay, as they do on a 3CX."""
        del self.pbx.users[int(person_id[1:])]
        self.pbx.changed()

    async def heard(self) -> Sequence[str]:
        """By the names of the guard's templates."""
        heard = [template(one) for one in self.server.heard]
        self.server.heard.clear()
        return heard

    @asynccontextmanager
    async def misbehave(self, how: Hostile, elsewhere: int) -> AsyncIterator[None]:
        """Each answer; another certificate for whoever comes from now on."""
        if how is Hostile.IDENTITY_SWAPPED:
            self.server.swap()
            yield
            return
        if how is Hostile.TELLING_WRITES:
            self.server.twist = lambda _: Reply(200, self._told, {"ETag": f'"{next(iter(self._told.values()))}"'})
        else:

            async def enemy(writer: asyncio.StreamWriter, answer: bytes) -> None:
                await _answered(writer, how, answer, elsewhere)

            self.server.enemy = enemy
        try:
            yield
        finally:
            self.server.twist = self.server.enemy = None


def _whole(body: bytes, kind: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (kind, len(body), body)


def _xml(entity: str) -> bytes:
    return f"<?xml version='1.0'?><!DOCTYPE x [{entity}]><x>&e;</x>".encode()


_BOMB = "<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {name} '&{before};&{before};'>" for before, name in zip("abcdfghij", "bcdfghije", strict=True)
)


async def _answered(writer: asyncio.StreamWriter, how: Hostile, answer: bytes, elsewhere: int) -> None:
    match how:
        case Hostile.TRUNCATED:
            writer.write(answer[: len(answer) // 2])
            await writer.drain()
            raise EOFError
        case Hostile.ENDLESS:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n")
            for _ in range(1 << 10):
                if writer.is_closing():
                    raise EOFError
                writer.write(b'{"value": [],' + b" " * ((1 << 20) - 13))
                await writer.drain()
                await asyncio.sleep(0)  # a wire that is gone says so only to who waits
        case Hostile.SLOW:
            for number in range(len(answer)):
                writer.write(answer[number : number + 1])
                await writer.drain()
                await asyncio.sleep(0.5)
        case Hostile.SILENT:
            await asyncio.Event().wait()
        case Hostile.MALFORMED:
            writer.write(bytes(range(256)) * 8 + b"\r\n\r\n")
        case Hostile.WRONG_ENCODING:
            writer.write(re.sub(rb'("FirstName": ")..', rb"\1\xff\xfe", answer))
        case Hostile.XML_BOMB:
            writer.write(_whole(_xml(_BOMB), b"application/xml"))
        case Hostile.XML_ENTITY:
            writer.write(_whole(_xml(f"<!ENTITY e SYSTEM 'http://127.0.0.1:{elsewhere}/'>"), b"text/xml"))
        case Hostile.DEEP_JSON:
            writer.write(_whole(b"[" * 100_000 + b"]" * 100_000))
        case Hostile.REDIRECT:
            where = f"Location: http://127.0.0.1:{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
            writer.write(b"HTTP/1.1 307 Temporary Redirect\r\n" + where.encode())
        case _:
            raise ValueError(how)
    await writer.drain()


class TcxBench:
    """The stand-in, with TLS."""

    family: Family = TcxFamily()
    guard: Guard = GUARD
    examples: Mapping[str, Mapping[str, object]] = {
        "token": {"client": CLIENT, "secret": "a b&c=d"}, "status": {}, "users": {"skip": 0, "top": 50},
        "user": {"id": 7}, "registered": {"id": 7},
        "search": {"words": (("O'Brien", ("20001",)), ("%", ())), "top": 20}, "numbered": {"numbers": ("20001",)},
        "rules": {"skip": 0}, "rules-of": {"numbers": ("20001", "20002"), "skip": 0},
        "rules-between": {"low": "20001", "high": "20050", "skip": 500},
        "rules-naming": {"extension": "20001", "skip": 0}, "rules-holding": {"digits": "2079460123", "skip": 0},
        "trunk-numbers": {"digits": "2079460123"}, "set-name": {"id": 7, "first": "Zoë", "last": "de Vries"},
        "set-email": {"id": 7, "email": "zoe@customer.example"}, "remove-user": {"id": 7, "etag": 'W/"x"'},
        "regenerate": {"id": 7, "kind": "voicemail"}, "set-rule": {"id": 9, "data": "+442079460123"},
        "remove-rule": {"id": 9}, "add-rule": {"data": "442079460123", "trunk": 17, "extension": "20001"},
    }  # fmt: skip
    traits = Traits(max_ddis=3, more_secrets=("DeskphonePassword", "AuthID"))

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    @asynccontextmanager
    async def running(self, people: Sequence[Planted]) -> AsyncIterator[TcxSystem]:
        """One of its own."""
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        names = {field: kind.value for kind, field in FIELDS.items()}
        pbx, planted = Pbx(make=lambda field: secret_of(names.get(field, field))), list[Planted]()
        pbx.numbers |= {"442079460999": 17, "442079460777": 17}
        for number, person in enumerate(people, 5_000):
            first, _, last = person.name.partition(" ")
            pbx.add(number, person.extension, first, last, person.email or "", [one[1:] for one in person.ddis])
            kept = {FIELDS[kind]: person.secrets.get(kind.value, "") for kind in SecretKind}
            pbx.users[number] |= kept | {name: person.secrets.get(name, "") for name in self.traits.more_secrets}
            planted.append(replace(person, id=f"u{number}"))
        async with running(pbx, folder) as server:
            yield TcxSystem(server, planted)

    def close(self) -> None:
        """Nothing outlives `running`."""
