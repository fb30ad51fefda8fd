"""FreeSWITCH's event socket: how it is come into, and how what changed is taken out of FreeSWITCH's cache (`prompt` is
what else it is used for).

Source: FreeSWITCH, mod_event_socket (`auth`, `userauth`, `api`); FusionPBX, resources/classes/cache.php and
app/switch/resources/scripts/app/servers/resources/clear_cache.lua. The socket has no TLS and its own password can do
everything: it is spoken to only where the settings name an address of its own, and hears the guard's requests alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connectors.errors import ConnectorError, CredentialRefused, ProtocolViolation, Refused, Unreachable
from connectors.fusionpbx.requests import GUARD, KEY
from connectors.fusionpbx.settings import EventSocket
from connectors.guard import Allowed

_MAX: Final = 64 << 10
# `luarun` would answer +OK at once, for a script that is not there, too (seen on a live one).
_LUA: Final = "lua app/servers/resources/clear_cache.lua delete"
STAYS: Final = (
    "FreeSWITCH goes on with what is in its cache until somebody presses Flush Cache (Status, SIP Status) in FusionPBX"
)


def words(request: Allowed) -> bytes:
    """The bytes of a request of our guard."""
    allowed = GUARD.require(request)
    match allowed.name:
        case "event-socket-auth":
            line = f"auth {allowed.values['secret']}"
        case "event-socket-userauth":
            line = f"userauth {allowed.values['user']}:{allowed.values['secret']}"
        case "look" | "act":
            line = f"api {allowed.values['line']}"
        case "flush-file":
            # As cache.php names the file; the script takes it out of the cache's folder.
            line = f"api {_LUA} {allowed.values['key'].replace(':', '.')}"
        case "flush-memcache":
            line = f"api memcache delete {allowed.values['key']}"
        case _:
            raise ProtocolViolation("that is no request to the event socket")
    return f"{line}\n\n".encode("ascii")


@dataclass(frozen=True, slots=True)
class Socket:
    """A connection that has shown its password. `may`: commands that its user may ask for; None: all there are."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    may: frozenset[str] | None


class Flusher:
    """A connection that has shown its password."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cache: str, seconds: float) -> None:
        self._reader, self._writer = reader, writer
        self._cache, self._seconds = cache, seconds
        self._lock = asyncio.Lock()

    async def flush(self, keys: Sequence[str]) -> None:
        """Take these out of the cache. Refused where one has no key that can be sent."""
        async with self._lock:
            await self._flush(keys)

    async def _flush(self, keys: Sequence[str]) -> None:
        for key in keys:
            if not re.fullmatch(KEY, key):
                raise Refused("an extension of this kind cannot be taken out of FreeSWITCH's cache from here")
            answer = await self._ask(GUARD.render(f"flush-{self._cache}", key=key))
            if answer.startswith("-ERR") and "NOT FOUND" not in answer:
                raise Refused("FreeSWITCH did not empty its cache")

    async def _ask(self, request: Allowed) -> str:
        failure: ConnectorError | None = None
        try:
            async with asyncio.timeout(self._seconds):
                self._writer.write(words(request))
                await self._writer.drain()
                headers, body = await _message(self._reader)
                if headers.get("content-type") not in ("api/response", "command/reply"):
                    failure = ProtocolViolation("the event socket answered something that makes no sense")
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
            failure = Unreachable("the event socket did not answer")
        if failure is not None:
            self.close()
            raise failure
        # Of a write's answer nothing is kept but how it went.
        said = headers.get("reply-text", body)
        if said.startswith("-ERR no reply"):
            return "+OK"  # a script that ran to its end and had nothing to say; one that did not has other words
        return next((how for how in ("+OK", "-ERR NOT FOUND", "-ERR") if said.startswith(how)), "")

    def close(self) -> None:
        """Hang up."""
        self._writer.transport.abort()


async def head(reader: asyncio.StreamReader, most: int = _MAX) -> tuple[dict[str, str], int]:
    """Headers, and how many bytes of body follow; ValueError when they are none, or more than `most`."""
    told = (await reader.readuntil(b"\n\n")).decode("utf-8")
    headers = {}
    for line in told.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > most:
        raise ValueError("too long")
    return headers, int(length)


async def _message(reader: asyncio.StreamReader) -> tuple[dict[str, str], str]:
    headers, length = await head(reader)
    return headers, (await reader.readexactly(length)).decode("utf-8")


async def connect(where: EventSocket, secret: str | None, seconds: float) -> Flusher:
    """Come in, to empty the cache. Raises what `enter` does."""
    socket = await enter(where, secret, seconds)
    return Flusher(socket.reader, socket.writer, where.cache, seconds)


async def enter(where: EventSocket, secret: str | None, seconds: float) -> Socket:
    """Come in. Unreachable, CredentialRefused, ProtocolViolation; in none of them was anything asked."""
    if not secret:
        raise CredentialRefused(
            "the credential holds no password for the event socket",
            next_step="The operator stores it as the second line of the password.",
        )
    failure: ConnectorError | None = None
    writer: asyncio.StreamWriter | None = None
    may: frozenset[str] | None = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(where.host, where.port, limit=_MAX)
            failure, may = await _come_in(reader, writer, where.user, secret)
    except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
        failure = Unreachable(
            "FreeSWITCH's event socket cannot be reached",
            next_step="Check its address in the settings, its listen-ip and its apply-inbound-acl.",
        )
    if failure is not None or writer is None:
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.transport.abort()
        raise failure or Unreachable("FreeSWITCH's event socket cannot be reached")
    return Socket(reader, writer, may)


async def _come_in(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: str, secret: str
) -> tuple[ConnectorError | None, frozenset[str] | None]:
    headers, _ = await _message(reader)
    kind = headers.get("content-type")
    if kind == "text/rude-rejection":
        return CredentialRefused(
            "the event socket lets this machine not in", next_step="Name it in the socket's apply-inbound-acl."
        ), None
    if kind != "auth/request":
        return ProtocolViolation("that is no event socket; nothing was sent"), None
    if user:
        request = GUARD.render("event-socket-userauth", user=user, secret=secret)
    else:
        request = GUARD.render("event-socket-auth", secret=secret)
    writer.write(words(request))
    await writer.drain()
    headers, _ = await _message(reader)
    if not headers.get("reply-text", "").startswith("+OK"):
        return CredentialRefused("the event socket refused its password"), None
    listed = headers.get("allowed-api", "all")
    # As FreeSWITCH takes the list apart: at spaces where there is one, else at commas.
    return None, None if listed == "all" else frozenset(listed.split(" " if " " in listed else ","))
