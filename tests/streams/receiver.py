"""A syslog receiver over real TLS, with a receiver's bad days: killed, hung, resetting in the middle of a frame."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from syslog_rfc5424_parser import SyslogMessage

from tests.connectors.asterisk.conftest import certificate


@dataclass
class Receiver:
    """Frames as they came, whole ones only. `reads` False: it takes connections and never looks at them."""

    folder: Path
    port: int = 0
    frames: list[bytes] = field(default_factory=list)
    connections: int = 0
    reads: bool = True
    reset_after: int | None = None
    """Bytes of a connection after which it is reset, once."""
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        pem, key = certificate()
        self.pem = self.folder / "siem.pem"
        self.pem.write_text(pem)
        self.key = self.folder / "siem.key"
        self.key.write_text(key)
        self.key.chmod(0o600)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(self.pem, self.key)

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.context, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """As a process that is killed: listening ends and every connection with it, read or not."""
        assert self._server is not None
        self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.connections += 1
        self._more.set()
        try:
            if not self.reads:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.Event().wait()
            if self.reset_after is not None:
                await reader.readexactly(self.reset_after)
                self.reset_after = None
                raw: socket.socket = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return
            while True:
                length = await reader.readuntil(b" ")
                self.frames.append(await reader.readexactly(int(length)))
                self._more.set()
        except (EOFError, OSError, asyncio.CancelledError):
            writer.close()  # also at the test's end, which cancels it
        finally:
            self._open.discard(writer)

    async def until(self, fine: Callable[[], bool]) -> None:
        """Wait for something to be true of it."""
        async with asyncio.timeout(60):
            while not fine():
                self._more.clear()
                await self._more.wait()

    def told(self) -> list[tuple[str, int]]:
        """(log, index) of everything that came, as another parser reads it."""
        parsed = (SyslogMessage.parse(one.decode()) for one in self.frames)
        return [(one.sd["entry@32473"]["log"], int(one.sd["entry@32473"]["index"])) for one in parsed]
