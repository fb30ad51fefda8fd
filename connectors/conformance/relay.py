"""A wire between connector and phone system that is cut at a byte: whatever the transport, bytes are what it sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Relay:
    """One loopback port that leads on. `armed`: bytes of answers that still come through, then both ends are cut;
    None: all of them. `passed` counts bytes of answers."""

    port: int = 0
    armed: int | None = None
    passed: int = 0
    broken: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def arm(self, after: int | None) -> None:
        """Count from nought; cut after so many bytes of answers, 0 being before the first of them."""
        self.passed, self.armed = 0, after
        self.broken.clear()

    def cut(self) -> None:
        """Both ends, now."""
        self.broken.set()
        for writer in list(self._writers):
            writer.transport.abort()

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
        self.broken.set()
        for writer in list(self._writers):
            if writer is not told:
                writer.transport.abort()


async def _along(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def relayed(host: str, port: int) -> AsyncIterator[Relay]:
    """A relay to that address; every connection through it ends with it."""
    relay = Relay()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a server's handler is a task
        tasks.add(task)
        try:
            onward_reader, onward = await asyncio.open_connection(host, port)
        except OSError:
            writer.transport.abort()
            return
        relay._writers |= {writer, onward}
        try:
            ways = [
                asyncio.ensure_future(_along(reader, onward)),
                asyncio.ensure_future(relay.answers(onward_reader, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            onward.transport.abort()
            # An orderly end for the connector, unless somebody cut it: what is on its way still arrives.
            writer.close()
            relay._writers -= {writer, onward}
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        relay.cut()
        await asyncio.gather(*tasks, return_exceptions=True)
