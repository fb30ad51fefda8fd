"""A real HTTP server on loopback that keeps what is posted to it: what a webhook, or a gateway for texts, is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Receiver:
    """`status`: what it answers; `silent`: it never does. `kept`: (path, the JSON that came)."""

    status: int = 200
    silent: bool = False
    location: str = ""
    port: int = 0
    kept: list[tuple[str, Any]] = field(default_factory=list)
    asked: int = 0

    @property
    def url(self) -> str:
        """As apprise writes it."""
        return f"json://127.0.0.1:{self.port}/hook/canary-3f2a"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection."""
        self.asked += 1
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = next((int(x.split(":")[1]) for x in head.split("\r\n") if x.lower().startswith("content-length")), 0)
        body = await reader.readexactly(size)
        if self.silent:
            await reader.read()
        elif self.status < 300:
            self.kept.append((head.split(" ")[1], json.loads(body or b"null")))
        where = f"Location: {self.location}\r\n" if self.location else ""
        writer.write(f"HTTP/1.1 {self.status} X\r\n{where}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()


@asynccontextmanager
async def receiving(**how: Any) -> AsyncIterator[Receiver]:
    """One, on a free port."""
    receiver = Receiver(**how)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
