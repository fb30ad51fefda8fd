"""JSON lines to a helper that returns no secret (`selected`: the same key reaches a prompt)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import asyncssh
from pydantic import BaseModel

from connectors.base import NoSettings
from connectors.console import ASTERISK, Class, only
from connectors.contract import (
    CONSOLE,
    MOST_NAMES,
    PEOPLE,
    UNSET,
    Capabilities,
    Change,
    CheckLine,
    Device,
    DiagCommand,
    Login,
    Logins,
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
    ConnectorError,
    NotFound,
    NotSupported,
    ProtocolViolation,
    Refused,
    looking_again,
)
from connectors.guard import Allowed, Guard, Template, digest, fingerprint, listed, number, optional, secret, text
from connectors.transport import ssh
from connectors.transport.answers import people_of, person_of, text_of
from connectors.transport.helper import becoming
from connectors.transport.lines import Exchange, Speech

_LOGIN = "frameroom"
_MOST_NAMED: Final = 500
"""People who answer to the names of one request: one name may be several people's."""
_ID = text(64, pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NAME = text(80)
_EMAIL = optional(text(254, pattern=r"[^@\s]+@[^@\s]+\.[^@\s]+"))
_DDI = optional(text(16, pattern=r"\+[0-9]{6,15}"))


GUARD = Guard(
    Template("hello", False),
    Template("page", False, {"cursor": optional(_ID), "limit": number(1, 500)}),
    Template("find", False, {"words": text(200), "limit": number(1, 100)}),
    Template("named", False, {"names": listed(text(64), MOST_NAMES)}),
    Template("view", False, {"id": _ID}),
    Template("devices", False, {"id": _ID}),
    Template("alter", True, {"id": _ID, "name": becoming(_NAME), "email": becoming(_EMAIL), "ddi": becoming(_DDI)}),
    Template("remove", True, {"id": _ID, "extension": digest, "name": digest}),
    Template("reset", True, {"id": _ID, "kind": text(10, pattern="voicemail|sip|portal"), "secret": secret}),
    Template("look", False, {"line": only(ASTERISK, Class.LOOK)}),
    Template("act", True, {"line": only(ASTERISK, Class.ACT)}),
    Template("login", False),
    Template("logins", False, {"since": number(0, 1 << 53)}),
)


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


def _failure(answer: Mapping[str, Any]) -> ConnectorError:
    match answer.get("error"):
        case "not-found":
            return NotFound("there is no such person on the phone system")
        case "conflict":
            return Conflict("it changed since it was shown; nothing was written")
        case "taken":
            return Refused(
                "that number already rings at another person's telephone; nothing was written",
                next_step="Take the number away from that person first, if the customer wants that.",
            )
        case _:
            return Refused("the phone system refused it")


_SPEECH: Final = Speech("lab-helper", GUARD, _wire, _failure)


class _Helper(Exchange):
    """JSON lines for people, and a command for each line of diagnostics."""

    def __init__(self, connection: asyncssh.SSHClientConnection, timeout_ms: int) -> None:
        super().__init__(connection, timeout_ms, _SPEECH)

    async def stream(self, request: Allowed) -> AsyncGenerator[bytes]:
        """The raw output of one command of the console."""
        request = GUARD.require(request)
        line = f"rx {request.values['line']}"
        async with aclosing(ssh.stream(self._connection, line, self._timeout_ms, writes=request.writes)) as output:
            async for data in output:
                yield data


def _login(raw: Any) -> Login:
    if not isinstance(raw, dict) or type(raw.get("at")) is not int:
        raise ProtocolViolation("the phone system's record of logins makes no sense")
    return Login(text_of(raw.get("id")), raw["at"], text_of(raw.get("address")))


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
        return Page(people_of(answer, limit), None)

    async def named(self, names: Sequence[str]) -> Sequence[Person]:
        """Those with one of these ids, extensions or direct numbers."""
        return people_of(await self._helper.ask(GUARD.render("named", names=list(names))), _MOST_NAMED)

    async def people(self, cursor: str | None, limit: int) -> Page:
        """By id."""
        answer = await self._helper.ask(GUARD.render("page", cursor=cursor, limit=limit))
        people = people_of(answer, limit)
        return Page(people, people[-1].id if len(people) == limit else None)

    async def view(self, person_id: str) -> Person:
        """One person."""
        return person_of((await self._helper.ask(GUARD.render("view", id=person_id))).get("person"), person_id)

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
        return tuple(Device(text_of(address), int(t * 1000)) for address, t in raw.items())

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
        return text_of((await self._helper.ask(GUARD.render("login"))).get("login"))

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
    settings_model: type[BaseModel] = NoSettings
    default_port = 22

    def capabilities(self) -> Capabilities:
        """Everything; `selected`, since our key also reaches a prompt that could print secrets."""
        return Capabilities(
            title="Frameroom's training phone system",
            operations=PEOPLE | CONSOLE,
            secrecy=dict.fromkeys(SecretKind, Secrecy.SELECTED),
            secrecy_why="people are reached through a forced helper that knows no request for a secret; the prompt, "
            "used for a fixed list of commands, could print passwords; that list, below the connector, stops it",
            proven=(Proof.LAB,),
            credential={"key": True},
            proven_how="the conformance kit and tests of its own, over real SSH and SIP",
            login_record="every SSH login with our key, from the lab's own record, also one that has ended",
        )

    async def connect(self, target: Target, unseal: Unseal) -> LabConnector:
        """Pinned host key first, key after."""
        connection = await ssh.connect(target, unseal, _LOGIN)
        return LabConnector(_Helper(connection, target.answer_timeout_ms))
