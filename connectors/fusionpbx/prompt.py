"""FreeSWITCH's prompt by its event socket: a line of the catalogue as one `api`, on a connection of its own.

FreeSWITCH runs an `api` to its end and answers then; whoever stops listening ends the connection, and what was asked
comes to its end there. Nothing but the catalogue's lines can be sent (`requests`); what its user may ask besides is
FreeSWITCH's own business (`esl-allowed-api`), and `check` tells it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Final

from connectors.console import FREESWITCH
from connectors.contract import CheckLine
from connectors.errors import ConnectorError, OutcomeUnknown, ProtocolViolation, Refused, Unreachable
from connectors.fusionpbx.event_socket import Socket, enter, head, words
from connectors.fusionpbx.requests import GUARD
from connectors.fusionpbx.settings import EventSocket
from connectors.guard import Allowed
from connectors.transport.ssh import MAX_OUTPUT, MAX_SECONDS

_PIECE: Final = 64 << 10
_LONGEST: Final = 8192
"""Bytes of a line of output; none of FreeSWITCH's is longer."""
# `sofia status gateway` says of the provider's password whether there is one.
_WITHHELD: Final = re.compile(rb"(?im)^([ \t]*pass(?:word|wd)?[ \t]+)\S[^\r\n]*")
# It says "no reply" itself where a command has nothing to say. mod_sofia, and a configuration that cannot be read, have
# words of their own (seen on a live one).
_NOT_DONE: Final = re.compile(
    rb"-ERR(?! no reply)|Invalid |Failure |Profile \S+ must be up for |(?:\+OK|Reload XML) \[\[error"
)
_LOOK: Final = "Look at what it was to change. It is not repeated by itself."
_COMMANDS: Final = frozenset(entry.words[0] for entry in FREESWITCH if isinstance(entry.words[0], str))
"""What a user of the socket has to be allowed for all of the catalogue."""


class Prompt:
    """One FreeSWITCH's. The socket's password is kept for as long as this is: each line comes in anew."""

    def __init__(self, where: EventSocket, secret: str, connect_s: float, answer_s: float) -> None:
        self._where, self._secret = where, secret
        self._connect_s, self._answer_s = connect_s, answer_s

    def __repr__(self) -> str:
        return "Prompt(…)"

    async def check(self) -> CheckLine:
        """Whether it answers, and what its user may ask there."""
        try:
            socket = await enter(self._where, self._secret, self._connect_s)
        except ConnectorError as error:
            return CheckLine("prompt", False, f"FreeSWITCH's prompt: {error.message}")
        socket.writer.transport.abort()
        if not self._where.user:
            return CheckLine("prompt", True, "FreeSWITCH's prompt answers to the socket's own password")
        if socket.may is None:
            words = f"FreeSWITCH lets {self._where.user} ask for everything: give that user an esl-allowed-api"
            return CheckLine("prompt", False, words)
        lacks = ", ".join(sorted(_COMMANDS - socket.may))
        words = f"FreeSWITCH lets {self._where.user} ask for: {', '.join(sorted(socket.may))[:300]}"
        return CheckLine("prompt", True, f"{words} (of the catalogue not: {lacks})" if lacks else words)

    async def typed(self, request: Allowed) -> AsyncGenerator[bytes]:
        """The output of a look or an act, whole lines at a time. Unreachable, CredentialRefused, Refused,
        ProtocolViolation; OutcomeUnknown for one that acts and whose answer broke off."""
        request = GUARD.require(request)
        socket = await enter(self._where, self._secret, self._connect_s)
        sent = False
        loop = asyncio.get_running_loop()
        end = loop.time() + MAX_SECONDS
        try:
            async with asyncio.timeout(self._answer_s):
                socket.writer.write(words(request))
                sent = True
                await socket.writer.drain()
                headers, left = await head(socket.reader, MAX_OUTPUT)
            _answered(headers)
            held, first = b"", True
            while left:
                async with asyncio.timeout(self._answer_s):
                    data = await _some(socket, left)
                left -= len(data)
                said = held + data
                if first and (b"\n" in said or not left) and request.writes and _NOT_DONE.match(said):
                    raise Refused("FreeSWITCH did not do it", next_step="Look at what the name stands for.")
                cut = said.rfind(b"\n") + 1 if left else len(said)
                whole, held = said[:cut], said[cut:]
                first = first and not whole
                if len(held) > _LONGEST or loop.time() > end:
                    raise ValueError("a line is too long, or the whole takes too long")
                if whole:
                    paused = loop.time()
                    yield _WITHHELD.sub(rb"\1(withheld)", whole)
                    end += loop.time() - paused  # whoever reads it page by page is not FreeSWITCH's delay
            return
        except (OSError, EOFError, TimeoutError):
            failure = "FreeSWITCH's event socket stopped answering"
        except (ValueError, asyncio.LimitOverrunError):
            failure = "what FreeSWITCH's event socket answered is too long or makes no sense"
        finally:
            socket.writer.transport.abort()
        # Raised out here: the error that was caught may hold part of an answer.
        if request.writes and sent:
            raise OutcomeUnknown(f"{failure}; whether it was done cannot be told", next_step=_LOOK)
        raise ProtocolViolation(failure) if sent else Unreachable(failure)


def _answered(headers: dict[str, str]) -> None:
    """Refused for what FreeSWITCH does not let this user ask; ValueError for what is no answer."""
    kind = headers.get("content-type")
    if kind == "command/reply" and headers.get("reply-text", "").startswith("-ERR"):
        raise Refused(
            "FreeSWITCH does not let our user ask that; nothing was done",
            next_step="Its administrator names the command's first word in the user's esl-allowed-api.",
        )
    if kind != "api/response":
        raise ValueError("no answer")


async def _some(socket: Socket, most: int) -> bytes:
    data = await socket.reader.read(min(most, _PIECE))
    if not data:
        raise EOFError
    return data
