"""Requests as lines of JSON over one SSH channel: one at a time, each with a number that its answer repeats.

Only what a family's guard made is sent. Answers are bounded in size and time, those of writes are dropped but for
their outcome, and half an answer goes no further than where it was read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncssh

from connectors.errors import ConnectorError, OutcomeUnknown, ProtocolViolation, Unreachable
from connectors.guard import Allowed, Guard

MAX_ANSWER: Final = 1 << 20
"""Bytes of one answer; past it the connection is ended."""


@dataclass(frozen=True, slots=True)
class Speech:
    """How one family's helper is spoken to.

    `command`: what starts it over there. `wire`: an allowed request as the helper takes it, without the number.
    `failure`: the error of an answer that has one; no word of the answer may be repeated in it.
    `unnumbered`: the error of an answer without our number, for a helper that ends before it is asked anything; None
    where it means nothing.
    """

    command: str
    guard: Guard
    wire: Callable[[Allowed], Mapping[str, Any]]
    failure: Callable[[Mapping[str, Any]], ConnectorError]
    unnumbered: Callable[[Mapping[str, Any]], ConnectorError | None] = lambda _: None
    silent: str = "the connection to the phone system was lost"
    senseless: str = "the phone system's answer made no sense"
    patience_ms: int = 0
    """How much longer the answer of a write may take than any other."""


class Exchange:
    """One helper on a channel of its own, which is opened with the first request."""

    def __init__(self, connection: asyncssh.SSHClientConnection, timeout_ms: int, speech: Speech) -> None:
        self._connection, self._timeout_ms, self._speech = connection, timeout_ms, speech
        self._lock = asyncio.Lock()
        self._process: asyncssh.SSHClientProcess[bytes] | None = None
        self._number = 0

    async def ask(self, request: Allowed) -> dict[str, Any]:
        """The answer; of a write only that it was taken. OutcomeUnknown when a write's answer is lost.

        Unreachable when a question's is; ProtocolViolation when it is not one; else what `Speech.failure` makes of it.
        """
        request = self._speech.guard.require(request)
        async with self._lock:
            self._number += 1
            asked = {**self._speech.wire(request), "n": self._number}
            line = await self._exchange(request, json.dumps(asked).encode() + b"\n")
            return self._parse(request, line)

    async def _exchange(self, request: Allowed, data: bytes) -> bytes:
        sent = False
        within = self._timeout_ms + (self._speech.patience_ms if request.writes else 0)
        # Whoever takes too long is hung up on, which ends the wait: `asyncio.timeout` takes as long as the answer does.
        timer = asyncio.get_running_loop().call_later(within / 1000, self._connection.abort)
        try:
            if self._process is None:
                self._process = await self._connection.create_process(
                    self._speech.command, encoding=None, stderr=asyncssh.DEVNULL, window=MAX_ANSWER
                )
            self._process.stdin.write(data)
            sent = True
            return await _line(self._process)
        except (OSError, EOFError, asyncssh.Error):
            self._connection.abort()
        except asyncio.CancelledError:
            # The answer is still on its way: nothing else may be asked on this channel.
            if self._process is not None:
                self._process.channel.abort()
                self._process = None
            raise
        finally:
            timer.cancel()
        # Raised out here: the error that was caught holds half an answer, and goes no further.
        if sent and request.writes:
            raise OutcomeUnknown("the connection was lost before the phone system answered")
        raise Unreachable(self._speech.silent)

    def _parse(self, request: Allowed, line: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(line) if len(line) <= MAX_ANSWER else None
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or answer.get("n") != self._number:
            self._connection.abort()
            early = self._speech.unnumbered(answer) if isinstance(answer, dict) else None
            if early is not None:
                raise early
            if request.writes:
                raise OutcomeUnknown("the phone system's answer made no sense")
            raise ProtocolViolation(self._speech.senseless)
        if answer.get("error") is not None:
            raise self._speech.failure(answer)
        return {"ok": True} if request.writes else answer

    def abort(self) -> None:
        """Hang up."""
        self._connection.abort()


async def _line(process: asyncssh.SSHClientProcess[bytes]) -> bytes:
    """Up to the line's end or the cap, whichever comes first: an endless answer takes no more memory than that."""
    parts, size = list[bytes](), 0
    while size <= MAX_ANSWER:
        part: bytes = await process.stdout.read(65536)
        if not part:
            raise EOFError
        parts.append(part)
        size += len(part)
        if part.endswith(b"\n"):
            break
    return b"".join(parts)
