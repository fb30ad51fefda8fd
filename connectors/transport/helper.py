"""A helper on the phone system, bound to our key by an SSH forced command: identity, credential, proof that it is so.

What two families need of it: `connect`, `prove_bound` (our key reaches the helper alone), and `failure` (its codes as
our errors, without a word of its own). `answers` reads what it says.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

import asyncssh

from connectors.contract import Credential, Target, Unseal
from connectors.errors import (
    Conflict,
    ConnectorError,
    CredentialRefused,
    Fault,
    InvalidValue,
    NotFound,
    NotSupported,
    OutcomeUnknown,
    Refused,
    SecretReadable,
    Unreachable,
)
from connectors.guard import Allowed, Check, Guard, digest
from connectors.transport import ssh
from connectors.transport.lines import Exchange, Speech
from connectors.transport.prompt import stream

COMMAND: Final = "frameroom-helper"
"""What is asked for over SSH; whatever else is asked for, the helper does not do."""
LOGIN: Final = "frameroom"
"""The account that the installer makes for it."""
_SILENT: Final = "the helper on the phone system does not answer"
# What only a shell would answer with its sum: were one to be had, our key could read every file that it may.
_PROBE: Final = "echo frameroom-probe-$((40+2))"
_PROBED: Final = b"frameroom-probe-42"

Reasons = Mapping[str, tuple[str, str | None]]
"""By the helper's reason: what is said, and what to do next where the error's own advice is not it."""


def failure(reasons: Reasons) -> Callable[[Mapping[str, Any]], ConnectorError]:
    """The helper's errors as ours: no word of the answer is repeated but a file's name and a line's number."""

    def made(answer: Mapping[str, Any]) -> ConnectorError:
        code, reason = str(answer.get("error")), str(answer.get("reason"))
        words, following = reasons.get(reason, ("the helper refused it", None))
        file, line = answer.get("file"), answer.get("line")
        if isinstance(file, str) and re.fullmatch(r"[A-Za-z0-9._/-]{1,100}", file):
            words += f" ({file} line {line})" if type(line) is int and line > 0 else f" ({file})"
        match code:
            case "not-found":
                return NotFound("there is no such person on the phone system")
            case "conflict":
                return Conflict("it changed since it was shown; nothing was written")
            case "taken":
                return Refused(
                    "that number already rings at another telephone; nothing was written",
                    next_step="Take the number away from there first, if the customer wants that.",
                )
            case "invalid":
                known = words if reason in reasons else "the phone system does not take that value"
                return InvalidValue(known, next_step=following)
            case "unsupported":
                return NotSupported(words, next_step=following)
            case "unknown":
                return OutcomeUnknown(words, next_step=following)
            case _:
                return Refused(words, next_step=following)

    return made


def wire(request: Allowed) -> dict[str, Any]:
    """An allowed request as a helper takes it; which there are, and with what in them, each family's guard says."""
    values = request.values
    match request.name:
        case "alter":
            changes = {key: list(values[key]) for key in ("name", "email", "ddi") if values[key] is not None}
            if "ddi" in changes:
                was, becomes = changes.pop("ddi")
                changes["ddis"] = [was, [becomes] if becomes else []]
            return {"do": "alter", "id": values["id"], "changes": changes}
        case "remove":
            return {"do": "remove", "id": values["id"], "expected": {k: values[k] for k in ("extension", "name")}}
        case name:
            return {"do": name, **values}


def speech(guard: Guard, reasons: Reasons, patience_ms: int = 0) -> Speech:
    """How a bound helper is spoken to."""
    said = failure(reasons)

    def before_it_was_asked(answer: Mapping[str, Any]) -> ConnectorError | None:
        return said(answer) if str(answer.get("reason")).startswith("conf-") else None

    return Speech(
        COMMAND, guard, wire, said, before_it_was_asked, silent=_SILENT,
        senseless="what our key reaches on the phone system is not the helper", patience_ms=patience_ms,
    )  # fmt: skip


class Link(Exchange):
    """An open helper."""

    async def stream(self, request: Allowed) -> AsyncGenerator[bytes]:
        """The output of a line of the prompt (`prompt.stream`), beside whatever else is asked."""
        spoken = self._speech
        request = spoken.guard.require(request)
        within = self._timeout_ms + (spoken.patience_ms if request.writes else 0)
        line = stream(self._connection, spoken.command, request, within / 1000, spoken.failure)
        async with aclosing(line) as output:
            async for data in output:
                yield data

    async def prove_bound(self) -> None:
        """SecretReadable when our key reaches more than the helper: a shell, or a way on into the network."""
        shell, forwards = await asyncio.gather(self._reaches_shell(), self._forwards())
        if shell or forwards:
            what = "runs commands" if shell else "may open connections from the phone system"
            raise SecretReadable(
                f"our key {what} there, beyond the helper: it could read passwords",
                next_step='Bind the key with command="…",restrict as `frameroom system install-helper --print` shows.',
            )

    async def _reaches_shell(self) -> bool:
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                process = await self._connection.create_process(_PROBE, encoding=None, stderr=asyncssh.STDOUT)
                told = b""
                while len(told) < 65536 and (part := await process.stdout.read(4096)):
                    told += part
                process.channel.abort()
        except (OSError, TimeoutError, asyncssh.Error) as error:
            self._connection.abort()
            raise Unreachable(_SILENT) from error
        return _PROBED in told

    async def _forwards(self) -> bool:
        """Whether sshd would connect us onwards. Port 1 is nobody's: refused by rule, or tried in vain."""
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                _, writer = await self._connection.open_connection("127.0.0.1", 1)
                writer.close()
        except asyncssh.ChannelOpenError as error:
            return error.code != asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
        except (OSError, TimeoutError, asyncssh.Error) as error:
            self._connection.abort()
            raise Unreachable(_SILENT) from error
        return True


async def connect(target: Target, login: str, unseal: Unseal, spoken: Speech) -> Link:
    """Identity, then the credential. Unreachable, IdentityMismatch, CredentialRefused."""

    async def opened() -> Credential:
        credential = await unseal()
        if credential.login != login:
            wrong = CredentialRefused(
                "the stored login is not the one of the settings",
                next_step="Give both the same: --login, and `login` in the settings file.",
            )
            wrong.fault = Fault.OPERATOR
            raise wrong
        return credential

    return Link(await ssh.connect(target, opened, login), target.answer_timeout_ms, spoken)


async def greeted(link: Link, hello: Allowed, needed: int) -> dict[str, Any]:
    """The helper's hello, once it was proven that our key reaches it alone; otherwise the link is let go of.
    SecretReadable; NotSupported, as `version_of`."""
    try:
        await link.prove_bound()
        told = await link.ask(hello)
        version_of(told, needed)
    except BaseException:
        link.abort()
        raise
    return told


def version_of(hello: Mapping[str, Any], needed: int) -> int:
    """The helper's version. NotSupported when it is older than this connector needs."""
    version = hello.get("version")
    if type(version) is not int or version < needed:
        raise NotSupported(
            "the helper on the phone system is older than this Frameroom needs",
            next_step="The operator has it installed again: `frameroom system install-helper`.",
        )
    return version


def becoming(inner: Check) -> Check:
    """None (stays as it is), or (fingerprint of what it must be now, new value)."""

    def check(name: str, value: object) -> None:
        if value is None:
            return
        if not isinstance(value, tuple) or len(value) != 2:
            raise InvalidValue(f"{name} must say what it was and what it becomes")
        digest(name, value[0])
        inner(name, value[1])

    return check
