"""Everything that a connector is: an allow-list, a transport that sends nothing else, the operations, a family."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

import connectors.contract as c
import connectors.errors as e
from connectors.base import ConnectorBase, NoSettings
from connectors.contract import Operation, SecretKind
from connectors.guard import Allowed, Guard, Template, digest, fingerprint, number, optional, secret, some, text
from connectors.transport import streams
from connectors.transport.answers import people_of, person_of

ID = text(40, pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*")
EMAIL = text(120, pattern=r"[^@\s]+@[^@\s]+\.[^@\s]+")
GUARD = Guard(  # what is not here cannot be sent, whatever the rest of this file does
    Template("login", False, {"password": secret}),
    Template("list", False, {"after": optional(ID), "limit": number(1, 501)}),
    Template("find", False, {"words": text(200), "limit": number(1, 100)}),
    Template("view", False, {"id": ID}),
    Template("set", True, {"id": ID, "was": digest, "values": some({"name": text(60), "email": optional(EMAIL)})}),
    Template("remove", True, {"id": ID, "was": digest}),
    Template("pin", True, {"id": ID, "pin": text(8, pattern=r"[0-9]{6,8}")}),
)
SHOWN = ["id", "extension", "name", "email"]  # named in every request: a PIN is never asked for


def render(request: Allowed) -> bytes:
    return json.dumps({"do": request.name, "fields": SHOWN, **request.values}).encode() + b"\n"


async def read(reader: asyncio.StreamReader) -> dict[str, Any]:
    answer = json.loads(await reader.readuntil(b"\n"))
    if not isinstance(answer, dict):
        raise ValueError("no answer of Toy's")
    return answer


ERRORS: dict[str, tuple[type[e.ConnectorError], str]] = {
    "unknown": (e.NotFound, "there is no such person on the phone system"),
    "changed": (e.Conflict, "it changed since it was shown; nothing was written"),
    "password": (e.CredentialRefused, "the phone system refused our password"),
}
PEOPLE = {Operation.FIND, Operation.LIST_ALL, Operation.VIEW, Operation.ALTER, Operation.REMOVE}
CAN = c.Capabilities(
    title="Toy", operations=frozenset(PEOPLE | {Operation.RESET_VOICEMAIL}),
    secrecy={SecretKind.VOICEMAIL: c.Secrecy.SELECTED},
    secrecy_why="Toy could tell a PIN; no request of ours asks for one",
    proven=(c.Proof.TRANSCRIPTS,), proven_how="the stand-in beside it",
    cannot={"reset-sip": "Toy's telephones have no password", "reset-portal": "Toy has no portal",
            "ddi": "Toy keeps none", "diag": "Toy has no console", "logins": "Toy keeps no record of them",
            "devices": "Toy does not tell which are registered"},
)  # fmt: skip


def was(shown: c.Person, *fields: str) -> str:
    return fingerprint(tuple(str(getattr(shown, field)) for field in fields))


class ToyConnector(ConnectorBase):
    def __init__(self, stream: streams.Stream[dict[str, Any]]) -> None:
        self._stream = stream

    def capabilities(self) -> c.Capabilities:
        return CAN

    async def ask(self, name: str, **values: object) -> dict[str, Any]:
        request = GUARD.render(name, **values)
        answer = await self._stream.ask(request)
        if "error" in answer:
            kind, words = ERRORS.get(str(answer["error"]), (e.Refused, "the phone system refused it"))
            raise kind(words)  # fixed words: nothing of the answer
        return {} if request.writes else answer  # what the answer to a write says is dropped

    async def check(self) -> Sequence[c.CheckLine]:
        await self.ask("list", after=None, limit=1)
        words = {"reach": "it answers", "identity": "its certificate is the pinned one",
                 "credential": "it takes our password", "secrets": "no request of ours returns one"}  # fmt: skip
        return tuple(c.CheckLine(what, True, said) for what, said in words.items())

    async def find(self, words: str, limit: int) -> c.Page:
        return c.Page(people_of(await self.ask("find", words=words, limit=limit), limit), None)

    async def people(self, cursor: str | None, limit: int) -> c.Page:
        found = people_of(await self.ask("list", after=cursor, limit=limit + 1), limit + 1)
        return c.Page(found[:limit], found[limit - 1].id if len(found) > limit else None)

    async def view(self, person_id: str) -> c.Person:
        return person_of((await self.ask("view", id=person_id)).get("person"), person_id)

    async def alter(self, person_id: str, change: c.Change, expected: c.Person) -> c.Person:
        self.alters_only(change, "name", "email")
        new = {field: getattr(change, field) for field in change.fields()}
        await self.ask("set", id=person_id, was=was(expected, *new), values=new)
        with e.looking_again():
            return await self.view(person_id)

    async def plan_removal(self, person_id: str) -> c.Removal:
        await self.view(person_id)
        return c.Removal(("the telephone's account and its mailbox",), ("call groups that name the extension",))

    async def remove(self, person_id: str, expected: c.Person) -> c.Removal:
        plan = await self.plan_removal(person_id)
        await self.ask("remove", id=person_id, was=was(expected, "name"))
        return plan

    async def secret_rules(self, person_id: str, kind: SecretKind) -> c.SecretRules:
        if kind is not SecretKind.VOICEMAIL:
            return await super().secret_rules(person_id, kind)
        return c.SecretRules("0123456789", 6, 8, False, "in clear, readable by the phone system alone")

    async def reset(self, person_id: str, kind: SecretKind, secret: c.Secret) -> c.ResetDone:
        await self.secret_rules(person_id, kind)
        await self.ask("pin", id=person_id, pin=secret.reveal())
        return c.ResetDone()

    async def close(self) -> None:
        self._stream.abort()


class ToyFamily:
    name = "toy"
    settings_model: type[BaseModel] = NoSettings
    default_port = 7777

    def capabilities(self) -> c.Capabilities:
        return CAN

    async def connect(self, target: c.Target, unseal: c.Unseal) -> ToyConnector:
        stream = await streams.connect(target, GUARD, render, read)  # the identity is proven here
        connector = ToyConnector(stream)
        async with stream.signing_in():  # and only then is the credential opened
            await connector.ask("login", password=(await unseal()).password)
        return connector
