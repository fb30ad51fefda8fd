"""The stand-in on a loopback port: HTTP/1.1 over TLS, as Tomcat speaks it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from connectors.conformance.relay import served
from tests.support.cucm.axl import Answer, Cucm

_REASONS = {200: "OK", 204: "No Content", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found",
            500: "Internal Server Error", 503: "Service Unavailable", 599: "599"}  # fmt: skip
Enemy = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


@dataclass
class Serving:
    """A cluster on the wire. `enemy` answers in its stead; `twist` changes what it answers."""

    cucm: Cucm
    enemy: Enemy | None = None
    twist: Callable[[str, Answer], Answer] | None = None
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    _working: int = 0

    def __post_init__(self) -> None:
        self.idle.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request after the other."""
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
            first, *lines = head[:-4].split("\r\n")
            method, path, _ = first.split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self._working += 1
            self.idle.clear()
            try:
                answer = self.cucm.answer(method, path, headers, body)
            finally:
                self._working -= 1
                if not self._working:
                    self.idle.set()
            if self.twist is not None:
                answer = self.twist(method if path.startswith("/vmrest/") else self.cucm.heard[-1], answer)
            if self.enemy is not None:
                await self.enemy(writer, spoken(answer))
            else:
                writer.write(spoken(answer))
                await writer.drain()


def spoken(answer: Answer) -> bytes:
    """An answer as bytes."""
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'x')}", *answer.more]
    if answer.status != 204:
        lines += [f"Content-Type: {answer.kind}", f"Content-Length: {len(answer.body)}"]
    return "\r\n".join([*lines, "Server: x", "", ""]).encode() + (b"" if answer.status == 204 else answer.body)


@asynccontextmanager
async def running(serving: Serving, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """Its port, for so long."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ValueError, ssl.SSLError):
            await serving.serve(reader, writer)

    async with served(handle, tls) as port:
        yield port


def body_of(spoken_answer: bytes) -> bytes:
    """What stands after the head."""
    return re.split(rb"\r\n\r\n", spoken_answer, maxsplit=1)[1]
