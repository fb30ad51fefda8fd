"""A line of a phone system's own prompt, by way of the helper there, on a channel of its own; output as JSON lines.

Closing the channel ends the command: the helper sees its standard input end, and ends what it started. What every
helper with a prompt says of it, and refuses, is here in words.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

import asyncssh

from connectors.contract import CheckLine
from connectors.errors import ConnectorError, NotSupported, OutcomeUnknown, ProtocolViolation, Unreachable
from connectors.guard import Allowed
from connectors.transport.ssh import MAX_OUTPUT, MAX_SECONDS

_LONGEST: Final = 64 << 10
"""Bytes of one line of the helper's: 32 KiB of output as base64, and a little."""
_NUMBER: Final = 1
_LOOK: Final = "Look at what it was to change. It is not repeated by itself."
_NONE: Final = "the helper lets nobody use Asterisk's prompt"
_ALLOWS: Final[Mapping[Any, str]] = {
    "look": "the helper lets Asterisk's prompt be used to look, from its list",
    "act": "the helper lets Asterisk's prompt be used to look and to act, from its list",
}
REASONS: Final[Mapping[str, tuple[str, str | None]]] = {
    "console-off": (
        "the phone system's administrator has not switched its prompt on",
        "They set `console` in the helper's configuration to look or act; the operator has the command for it.",
    ),
    "console-looks": (
        "the phone system's administrator lets its prompt be used to look only",
        "They set `console` in the helper's configuration to act, if they want that.",
    ),
    "console-line": (
        "the helper on the phone system does not know that command",
        "It may be older than this Frameroom: the operator brings it up to date (`frameroom system install-helper`).",
    ),
}
"""A helper's reasons for which it lets a line not be typed (`helper.Reasons`)."""


def check_line(hello: Mapping[str, Any]) -> CheckLine:
    """What the administrator lets the prompt be used for, by the helper's greeting."""
    return CheckLine("prompt", True, _ALLOWS.get(hello.get("console"), _NONE))


def need(hello: Mapping[str, Any]) -> None:
    """NotSupported where the helper is older than its prompt."""
    if "console" not in hello:
        raise NotSupported(
            "the helper on the phone system is older than its prompt",
            next_step="The operator has it installed again: `frameroom system install-helper`.",
        )


async def stream(
    connection: asyncssh.SSHClientConnection, command: str, request: Allowed, timeout_s: float,
    failure: Callable[[Mapping[str, Any]], ConnectorError],
) -> AsyncGenerator[bytes]:  # fmt: skip
    """The output of the request's line. `failure` makes the helper's error ours; of one that acts and whose answer
    broke off it is OutcomeUnknown."""
    process: asyncssh.SSHClientProcess[bytes] | None = None
    sent, size, loop = False, 0, asyncio.get_running_loop()
    end = loop.time() + MAX_SECONDS
    try:
        async with asyncio.timeout(timeout_s):
            process = await connection.create_process(
                command, encoding=None, stderr=asyncssh.DEVNULL, window=4 * _LONGEST
            )
            asked = {"do": "console", "line": request.values["line"], "n": _NUMBER}
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            sent = True
        while True:
            async with asyncio.timeout(timeout_s):
                answer = _answer(await process.stdout.readline())
            if answer.get("error") is not None:
                raise failure(answer)
            if "out" not in answer:
                return
            data = _decoded(answer["out"])
            size += len(data)
            if size > MAX_OUTPUT or loop.time() > end:
                raise ProtocolViolation("the phone system's answer was too long; the rest was left out")
            held = loop.time()
            yield data
            end += loop.time() - held  # whoever reads it page by page is not the phone system's delay
    except (OSError, TimeoutError, asyncssh.Error) as error:
        if not sent:
            raise Unreachable("the helper on the phone system does not answer") from error
        raise _broken(request, "the phone system stopped answering") from None
    except ProtocolViolation as error:
        raise _broken(request, error.message) from None
    finally:
        if process is not None:
            process.channel.abort()


def _broken(request: Allowed, words: str) -> ConnectorError:
    if request.writes:
        return OutcomeUnknown(f"{words}; whether it was done cannot be told", next_step=_LOOK)
    return ProtocolViolation(words)


def _answer(line: bytes) -> dict[str, Any]:
    """One line of the helper's, which is about our request."""
    answer: Any = None
    if line.endswith(b"\n") and len(line) <= _LONGEST:
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
    if not isinstance(answer, dict) or answer.get("n") != _NUMBER:
        raise ProtocolViolation("the phone system's answer broke off" if not line else "its answer made no sense")
    return answer


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ProtocolViolation("its answer made no sense") from None
