"""JSON lines to a helper that returns no secret (`selected`: the same key reaches a prompt)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import asyncssh
from pydantic import BaseModel, ConfigDict

from connectors.console import ASTERISK, Class, only
from connectors.contract import (
    OUTSIDE,
    UNSET,
    Capabilities,
    Change,
    CheckLine,
    Device,
    DiagCommand,
    Login,
    Logins,
    Operation,
    Page,
    Person,
    Proof,
    Removal,
    ResetDone,
    Secrecy,
    Secret,
    SecretKind,
    SecretRules,
    Target,
    Unseal,
)
from connectors.errors import (
    Conflict,
    InvalidValue,
    NotFound,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    Refused,
    Unreachable,
    looking_again,
)
from connectors.guard import Allowed, Check, Guard, Template, digest, fingerprint, number, optional, secret, text
from connectors.transport import ssh

_LOGIN = "frameroom"
_MAX_ANSWER = 1 << 20
_ID = text(64, pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NAME = text(80)
_EMAIL = optional(text(254, pattern=r"[^@\s]+@[^@\s]+\.[^@\s]+"))
_DDI = optional(text(16, pattern=r"\+[0-9]{6,15}"))
_SHOWN = ("extension", "name", "email")


def _change(inner: Check) -> Check:
    """None (stays as it is), or (fingerprint of what it must be now, new value)."""

    def check(name: str, value: object) -> None:
        if value is None:
            return
        if not isinstance(value, tuple) or len(value) != 2:
            raise InvalidValue(f"{name} must say what it was and what it becomes")
        digest(name, value[0])
        inner(name, value[1])

    return check


GUARD = Guard(
    Template("hello", False),
    Template("page", False, {"cursor": optional(_ID), "limit": number(1, 500)}),
    Template("find", False, {"words": text(200), "limit": number(1, 100)}),
    Template("view", False, {"id": _ID}),
    Template("devices", False, {"id": _ID}),
    Template("alter", True, {"id": _ID, "name": _change(_NAME), "email": _change(_EMAIL), "ddi": _change(_DDI)}),
    Template("remove", True, {"id": _ID, "extension": digest, "name": digest}),
    Template("reset", True, {"id": _ID, "kind": text(10, pattern="voicemail|sip|portal"), "secret": secret}),
    Template("look", False, {"line": only(ASTERISK, Class.LOOK)}),
    Template("act", True, {"line": only(ASTERISK, Class.ACT)}),
    Template("login", False),
    Template("logins", False, {"since": number(0, 1 << 53)}),
)


class LabSettings(BaseModel):
    """The lab needs no settings of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _wire(request: Allowed) -> dict[str, Any]:
    """The helper's request for an allowed template."""
    values = request.values
    match request.name:
        case "alter":
            changes = {key: values[key] for key in ("name", "email", "ddi") if values[key] is not None}
            if "ddi" in changes:
                was, number = changes.pop("ddi")
                changes["ddis"] = (was, [number] if number else [])
            return {
                "do": "alter",
                "id": values["id"],
                "expected": {key: was for key, (was, _) in changes.items()},
                "values": {key: becomes for key, (_, becomes) in changes.items()},
            }
        case "remove":
            return {"do": "remove", "id": values["id"], "expected": {k: values[k] for k in ("extension", "name")}}
        case name:
            return {"do": name, **values}


class _Helper:
    """The transport: one request at a time, answers bounded in size and time, write answers dropped.

    Every request carries a number that its answer repeats: an answer that comes late is never taken for another's.
    """

    def __init__(self, connection: asyncssh.SSHClientConnection, timeout_ms: int) -> None:
        self._connection = connection
        self._timeout_ms = timeout_ms
        self._lock = asyncio.Lock()
        self._process: asyncssh.SSHClientProcess[bytes] | None = None
        self._number = 0

    async def ask(self, request: Allowed) -> dict[str, Any]:
        """The answer; of a write only that it was taken. OutcomeUnknown when a write's answer is lost."""
        request = GUARD.require(request)
        async with self._lock:
            self._number += 1
            line = await self._exchange(request, json.dumps(_wire(request) | {"n": self._number}).encode() + b"\n")
            return self._parse(request, line)

    async def _exchange(self, request: Allowed, data: bytes) -> bytes:
        sent = False
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                if self._process is None:
                    self._process = await self._connection.create_process("lab-helper", encoding=None)
                self._process.stdin.write(data)
                sent = True
                return await self._process.stdout.readuntil(b"\n")
        except (OSError, EOFError, TimeoutError, asyncssh.Error):
            self._connection.abort()
        except asyncio.CancelledError:
            # The answer is still on its way: nothing else may be asked on this channel.
            if self._process is not None:
                self._process.channel.abort()
                self._process = None
            raise
        # Raised out here: the error that was caught holds half an answer, and goes no further.
        if sent and request.writes:
            raise OutcomeUnknown("the connection was lost before the phone system answered")
        raise Unreachable("the connection to the phone system was lost")

    def _parse(self, request: Allowed, line: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(line) if len(line) <= _MAX_ANSWER else None
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or answer.get("n") != self._number:
            self._connection.abort()
            if request.writes:
                raise OutcomeUnknown("the phone system's answer made no sense")
            raise ProtocolViolation("the phone system's answer made no sense")
        match answer.get("error"):
            case None:
                return {"ok": True} if request.writes else answer
            case "not-found":
                raise NotFound("there is no such person on the phone system")
            case "conflict":
                raise Conflict("it changed since it was shown; nothing was written")
            case "taken":
                raise Refused(
                    "that number already rings at another person's telephone; nothing was written",
                    next_step="Take the number away from that person first, if the customer wants that.",
                )
            case _:
                raise Refused("the phone system refused it")

    async def stream(self, request: Allowed) -> AsyncGenerator[bytes]:
        """The raw output of one command of the console."""
        request = GUARD.require(request)
        line = f"rx {request.values['line']}"
        async with aclosing(ssh.stream(self._connection, line, self._timeout_ms, writes=request.writes)) as output:
            async for data in output:
                yield data

    def abort(self) -> None:
        """Hang up."""
        self._connection.abort()


def _text(raw: Any) -> str:
    if not isinstance(raw, str) or len(raw) > 1024:
        raise ProtocolViolation("the phone system described a person in a way that makes no sense")
    return raw


def _person(raw: Any) -> Person:
    """A Person from an answer; unknown keys are dropped here."""
    if not isinstance(raw, dict) or not isinstance(raw.get("ddis"), list):
        raise ProtocolViolation("the phone system described a person in a way that makes no sense")
    email = None if raw.get("email") is None else _text(raw["email"])
    name, extension = _text(raw.get("name")), _text(raw.get("extension"))
    return Person(_text(raw.get("id")), extension, name, email, tuple(map(_text, raw["ddis"])))


def _people(answer: dict[str, Any], limit: int) -> tuple[Person, ...]:
    raw = answer.get("people")
    if not isinstance(raw, list) or len(raw) > limit:
        raise ProtocolViolation("the phone system sent other than was asked for")
    return tuple(map(_person, raw))


def _login(raw: Any) -> Login:
    if not isinstance(raw, dict) or type(raw.get("at")) is not int:
        raise ProtocolViolation("the phone system's record of logins makes no sense")
    return Login(_text(raw.get("id")), raw["at"], _text(raw.get("address")))


class LabConnector:
    """An open connection to a lab."""

    def __init__(self, helper: _Helper) -> None:
        self._helper = helper

    async def check(self) -> Sequence[CheckLine]:
        """Reach, identity, credential, and what it could read."""
        await self._helper.ask(GUARD.render("hello"))
        return (
            CheckLine("reach", True, "it answers"),
            CheckLine("identity", True, "its host key is the pinned one"),
            CheckLine("credential", True, "it takes our key"),
            CheckLine("secrets", True, "the helper that our key reaches returns no password, whatever it is asked"),
            CheckLine("console", True, "its prompt could print passwords: only what is on the fixed list is ever sent"),
        )

    async def find(self, words: str, limit: int) -> Page:
        """Server-side search."""
        answer = await self._helper.ask(GUARD.render("find", words=words, limit=limit))
        return Page(_people(answer, limit), None)

    async def people(self, cursor: str | None, limit: int) -> Page:
        """By id."""
        answer = await self._helper.ask(GUARD.render("page", cursor=cursor, limit=limit))
        people = _people(answer, limit)
        return Page(people, people[-1].id if len(people) == limit else None)

    async def view(self, person_id: str) -> Person:
        """One person."""
        return _person((await self._helper.ask(GUARD.render("view", id=person_id))).get("person"))

    async def alter(self, person_id: str, change: Change, expected: Person) -> Person:
        """All of it in one request, written only if every field still is as expected.

        A person with several numbers is refused: which of them is meant cannot be told from a `Change`.
        """
        if change.ddi is not UNSET and expected.ddis and len(expected.ddis) > 1:
            raise NotSupported(
                f"this person has {len(expected.ddis)} numbers; nothing was written",
                next_step="Which of them is meant cannot be said here: change them at the phone system.",
            )

        def field(becomes: object, was: str | tuple[str, ...] | None) -> tuple[str, object] | None:
            return None if becomes is UNSET else (fingerprint(was), becomes)

        request = GUARD.render(
            "alter",
            id=person_id,
            name=field(change.name, expected.name),
            email=field(change.email, expected.email),
            ddi=field(change.ddi, expected.ddis),
        )
        await self._helper.ask(request)
        with looking_again():
            return await self.view(person_id)

    async def plan_removal(self, person_id: str) -> Removal:
        """What goes and what stays."""
        person = await self.view(person_id)
        numbers = ", ".join(person.ddis or ()) or "none"
        return Removal(("the telephone's account", "the mailbox with its messages", f"the direct numbers ({numbers})"))

    async def remove(self, person_id: str, expected: Person) -> Removal:
        """Remove, if it still is the same person."""
        was = GUARD.render(
            "remove", id=person_id, extension=fingerprint(expected.extension), name=fingerprint(expected.name)
        )
        removal = await self.plan_removal(person_id)
        await self._helper.ask(was)
        return removal

    async def devices(self, person_id: str) -> Sequence[Device]:
        """Registered telephones by network address."""
        answer = await self._helper.ask(GUARD.render("devices", id=person_id))
        raw = answer.get("devices")
        if not isinstance(raw, dict) or not all(isinstance(t, int | float) for t in raw.values()):
            raise ProtocolViolation("the phone system described telephones in a way that makes no sense")
        return tuple(Device(_text(address), int(t * 1000)) for address, t in raw.items())

    async def secret_rules(self, person_id: str, kind: SecretKind) -> SecretRules:
        """PINs are digits and must be changed at first use; the others are long."""
        if kind is SecretKind.VOICEMAIL:
            return SecretRules("0123456789", 6, 10, True, "in clear, readable by the phone system alone")
        letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
        return SecretRules(letters, 20, 64, False, "in clear, readable by the phone system alone")

    async def reset(self, person_id: str, kind: SecretKind, secret: Secret) -> ResetDone:
        """Write it."""
        await self._helper.ask(GUARD.render("reset", id=person_id, kind=kind.value, secret=secret.reveal()))
        return ResetDone()

    async def diag(self, command: DiagCommand) -> AsyncGenerator[bytes]:
        """The lab's prompt."""
        request = GUARD.render("act" if command.acts else "look", line=command.render())
        # Closed with us: whoever stops listening ends the command, and does not wait for a collector to do it.
        async with aclosing(self._helper.stream(request)) as output:
            async for data in output:
                yield data

    async def own_login(self) -> str:
        """As the lab's record has it."""
        return _text((await self._helper.ask(GUARD.render("login"))).get("login"))

    async def logins(self, since_ms: int) -> Logins:
        """The lab's record of SSH logins."""
        answer = await self._helper.ask(GUARD.render("logins", since=since_ms))
        raw, now, until = answer.get("logins"), answer.get("now"), answer.get("until")
        if not isinstance(raw, list) or type(now) is not int or type(until) is not int:
            raise ProtocolViolation("the phone system's record of logins makes no sense")
        return Logins(tuple(map(_login, raw)), now, until)

    async def close(self) -> None:
        """Hang up."""
        self._helper.abort()


class LabFamily:
    """The lab, as the registry knows it."""

    name = "lab"
    settings_model: type[BaseModel] = LabSettings
    default_port = 22

    def capabilities(self) -> Capabilities:
        """Everything; `selected`, since our key also reaches a prompt that could print secrets."""
        return Capabilities(
            title="Frameroom's training phone system",
            operations=frozenset(Operation) - OUTSIDE,
            secrecy=dict.fromkeys(SecretKind, Secrecy.SELECTED),
            secrecy_why="people are reached through a forced helper that knows no request for a secret; the prompt, "
            "used for a fixed list of commands, could print passwords; that list, below the connector, stops it",
            proven=(Proof.LAB,),
            proven_how="the conformance kit and tests of its own, over real SSH and SIP",
            login_record="every SSH login with our key, from the lab's own record, also one that has ended",
        )

    async def connect(self, target: Target, unseal: Unseal) -> LabConnector:
        """Pinned host key first, key after."""
        connection = await ssh.connect(target, unseal, _LOGIN)
        return LabConnector(_Helper(connection, target.answer_timeout_ms))
