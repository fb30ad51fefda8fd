"""Everything that a connector is: an allow-list, a transport that sends nothing else, the operations, a family."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Sequence

from pydantic import BaseModel, ConfigDict

import connectors.contract as c
import connectors.errors as e
from connectors.contract import Operation, SecretKind
from connectors.guard import Allowed, Guard, Template, digest, fingerprint, number, optional, secret, text

ID = text(40, pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*")
EMAIL = text(120, pattern=r"[^@\s]+@[^@\s]+\.[^@\s]+")


def values(name: str, value: object) -> None:
    """What `set` writes: a name, an address, or both."""
    if not isinstance(value, dict) or not value or not set(value) <= {"name", "email"}:
        raise e.InvalidValue(f"{name} must be a name or an address")
    for key, inner in value.items():
        (text(60) if key == "name" else optional(EMAIL))(key, inner)


GUARD = Guard(  # what is not here cannot be sent, whatever the rest of this file does
    Template("login", False, {"password": secret}),
    Template("list", False, {"after": optional(ID), "limit": number(1, 501)}),
    Template("find", False, {"words": text(200), "limit": number(1, 100)}),
    Template("view", False, {"id": ID}),
    Template("set", True, {"id": ID, "was": digest, "values": values}),
    Template("remove", True, {"id": ID, "was": digest}),
    Template("pin", True, {"id": ID, "pin": text(8, pattern=r"[0-9]{6,8}")}),
)
SHOWN = ["id", "extension", "name", "email"]  # named in every request: a PIN is never asked for
ERRORS: dict[str, e.ConnectorError] = {
    "unknown": e.NotFound("there is no such person on the phone system"),
    "changed": e.Conflict("it changed since it was shown; nothing was written"),
    "password": e.CredentialRefused("the phone system refused our password"),
}


class ToySettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Line:
    """The transport: TLS to the pinned certificate, one request at a time, bounded answers."""

    def __init__(self, target: c.Target) -> None:
        self._target, self._lock = target, asyncio.Lock()

    async def open(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # the pin is the identity, not the address
        try:
            context.load_verify_locations(cadata=self._target.pin)
            async with asyncio.timeout(self._target.connect_timeout_ms / 1000):
                where = (self._target.host, self._target.port)
                self._reader, self._writer = await asyncio.open_connection(*where, ssl=context, limit=1 << 20)
        except (ssl.SSLError, ValueError):
            raise e.IdentityMismatch("the certificate is not the pinned one; nothing was sent") from None
        except (OSError, TimeoutError):
            raise e.Unreachable("the phone system cannot be reached") from None

    async def ask(self, name: str, **values: object) -> dict[str, object]:
        request = GUARD.render(name, **values)
        async with self._lock:
            return await self._exchange(GUARD.require(request))

    async def _exchange(self, request: Allowed) -> dict[str, object]:
        if self._writer.is_closing():
            raise e.Unreachable("the connection to the phone system is closed")
        answer, whole = None, False
        try:
            async with asyncio.timeout(self._target.answer_timeout_ms / 1000):
                self._writer.write(json.dumps({"do": request.name, "fields": SHOWN, **request.values}).encode() + b"\n")
                answer = json.loads(await self._reader.readuntil(b"\n"))
                whole = isinstance(answer, dict)
        except (OSError, EOFError, TimeoutError, ValueError, RecursionError, asyncio.LimitOverrunError):
            whole = False
        finally:
            if not whole:  # also when it was cancelled: a late answer must never be taken for the next one's
                self._writer.transport.abort()
        if not whole or not isinstance(answer, dict):
            if request.writes:
                raise e.OutcomeUnknown("the connection was lost before the phone system answered")
            raise e.Unreachable("the phone system did not answer in a way that makes sense")
        if "error" in answer:
            raise ERRORS.get(str(answer["error"]), e.Refused("the phone system refused it"))
        return {} if request.writes else answer  # what the answer to a write says is dropped

    def close(self) -> None:
        self._writer.transport.abort()


def person(raw: object) -> c.Person:
    """Only what may be seen is taken out; every other key is dropped here."""
    if not isinstance(raw, dict) or not isinstance(raw.get("email"), str | None):
        raise e.ProtocolViolation("the phone system described a person in a way that makes no sense")
    texts = [raw.get(key) for key in ("id", "extension", "name")]
    if not all(isinstance(one, str) and len(one) < 1000 for one in texts):
        raise e.ProtocolViolation("the phone system described a person in a way that makes no sense")
    return c.Person(*map(str, texts), raw.get("email"), None)


def people(answer: dict[str, object]) -> tuple[c.Person, ...]:
    raw = answer.get("people")
    if not isinstance(raw, list):
        raise e.ProtocolViolation("the phone system sent other than was asked for")
    return tuple(map(person, raw))


def was(shown: c.Person, *fields: str) -> str:
    return fingerprint(tuple(str(getattr(shown, field)) for field in fields))


class ToyConnector:
    def __init__(self, line: Line) -> None:
        self._line = line

    async def check(self) -> Sequence[c.CheckLine]:
        await self._line.ask("list", after=None, limit=1)
        words = {"reach": "it answers", "identity": "its certificate is the pinned one",
                 "credential": "it takes our password", "secrets": "no request of ours returns one"}  # fmt: skip
        return tuple(c.CheckLine(what, True, said) for what, said in words.items())

    async def find(self, words: str, limit: int) -> c.Page:
        return c.Page(people(await self._line.ask("find", words=words, limit=limit)), None)

    async def people(self, cursor: str | None, limit: int) -> c.Page:
        found = people(await self._line.ask("list", after=cursor, limit=limit + 1))
        return c.Page(found[:limit], found[limit - 1].id if len(found) > limit else None)

    async def view(self, person_id: str) -> c.Person:
        return person((await self._line.ask("view", id=person_id)).get("person"))

    async def alter(self, person_id: str, change: c.Change, expected: c.Person) -> c.Person:
        if change.ddi is not c.UNSET:
            raise e.NotSupported("Toy keeps no direct numbers")
        new = {field: getattr(change, field) for field in change.fields()}
        await self._line.ask("set", id=person_id, was=was(expected, *new), values=new)
        with e.looking_again():
            return await self.view(person_id)

    async def plan_removal(self, person_id: str) -> c.Removal:
        await self.view(person_id)
        return c.Removal(("the telephone's account and its mailbox",), ("call groups that name the extension",))

    async def remove(self, person_id: str, expected: c.Person) -> c.Removal:
        plan = await self.plan_removal(person_id)
        await self._line.ask("remove", id=person_id, was=was(expected, "name"))
        return plan

    async def devices(self, person_id: str) -> Sequence[c.Device]:
        await self.view(person_id)
        return ()

    async def secret_rules(self, person_id: str, kind: SecretKind) -> c.SecretRules:
        if kind is not SecretKind.VOICEMAIL:
            raise e.NotSupported("Toy has no such password that could be reset")
        return c.SecretRules("0123456789", 6, 8, False, "in clear, readable by the phone system alone")

    async def reset(self, person_id: str, kind: SecretKind, secret: c.Secret) -> c.ResetDone:
        await self.secret_rules(person_id, kind)
        await self._line.ask("pin", id=person_id, pin=secret.reveal())
        return c.ResetDone()

    async def diag(self, command: c.DiagCommand) -> AsyncIterator[bytes]:
        raise e.NotSupported("Toy has no console")
        yield b""

    async def close(self) -> None:
        self._line.close()


class ToyFamily:
    name = "toy"
    settings_model: type[BaseModel] = ToySettings
    default_port = 7777

    def capabilities(self) -> c.Capabilities:
        can = {Operation.FIND, Operation.LIST_ALL, Operation.VIEW, Operation.ALTER, Operation.REMOVE}
        return c.Capabilities(
            "Toy", frozenset(can | {Operation.RESET_VOICEMAIL}), {SecretKind.VOICEMAIL: c.Secrecy.SELECTED},
            "Toy could tell a PIN; no request of ours asks for one", (c.Proof.TRANSCRIPTS,), "the stand-in beside it",
            {"reset-sip": "Toy's telephones have no password", "reset-portal": "Toy has no portal",
             "diag": "Toy has no console", "logins": "Toy keeps no record of them", "ddi": "Toy keeps none"},
        )  # fmt: skip

    async def connect(self, target: c.Target, unseal: c.Unseal) -> ToyConnector:
        line = Line(target)
        await line.open()  # the identity is proven here, and only then is the credential opened
        try:
            await line.ask("login", password=(await unseal()).password)
        except e.InvalidValue:
            line.close()
            raise e.CredentialRefused("the stored password cannot be sent to this phone system") from None
        except BaseException:
            line.close()
            raise
        return ToyConnector(line)
