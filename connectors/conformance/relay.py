"""A wire between connector and phone system that is cut at a byte: whatever the transport, bytes are what it sends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Relay:
    """One loopback port that leads on. `armed`: bytes of answers that still come through, then both ends are cut;
    None: all of them. `passed` counts bytes of answers."""

    port: int = 0
    armed: int | None = None
    passed: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def arm(self, after: int | None) -> None:
        """Count from nought; cut after so many bytes of answers, 0 being before the first of them."""
        self.passed, self.armed = 0, after

    async def answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the phone system to the connector."""
        while data := await reader.read(65_536):
            if self.armed is not None and self.passed + len(data) > self.armed:
                writer.write(data[: max(0, self.armed - self.passed)])
                self.passed = self.armed
                # What was let through has to arrive, or every cut would be one before the first byte.
                writer.write_eof()
                await writer.drain()
                self.cut_after_eof(writer)
                return
            self.passed += len(data)
            writer.write(data)
            await writer.drain()

    def cut_after_eof(self, told: asyncio.StreamWriter) -> None:
        """The phone system's end is cut at once; the connector's got an orderly end and goes with the relay."""
        for writer in list(self._writers):
            if writer is not told:
                writer.transport.abort()


async def _along(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def served(handle: Handle, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a free loopback port; with it every connection ends, in whatever state its handler is."""
    tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except (OSError, EOFError):
            writer.transport.abort()
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(one(reader, writer))
        tasks[task] = writer
        task.add_done_callback(tasks.pop)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 20, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task, writer in list(tasks.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def relayed(host: str, port: int) -> AsyncIterator[Relay]:
    """A relay to that address; every connection through it ends with it."""
    relay = Relay()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward = await asyncio.open_connection(host, port)
        relay._writers |= {writer, onward}
        ways = [
            asyncio.ensure_future(_along(reader, onward)),
            asyncio.ensure_future(relay.answers(onward_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            onward.transport.abort()
            relay._writers -= {writer, onward}

    async with served(lead) as relay.port:
        yield relay
