"""The stand-in's HTTPS: HTTP/1.1 on a TLS port of this machine, every request kept as it was heard."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from connectors.conformance.relay import served
from tests.support.certificates import certificate
from tests.support.tcx.pbx import Pbx, Reply

KIND = "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8"
Enemy = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


@dataclass
class Heard:
    """One request."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def on_the_wire(reply: Reply) -> bytes:
    """The bytes of an answer."""
    body = b"" if reply.body is None else json.dumps(reply.body, ensure_ascii=False).encode()
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if body:
        lines.append(f"Content-Type: {KIND}")
    if reply.status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Server:
    """One phone system that is asked."""

    def __init__(self, pbx: Pbx, folder: Path) -> None:
        self.pbx = pbx
        self.heard: list[Heard] = []
        self.twist: Callable[[Reply], Reply] | None = None
        """What becomes of the answer to a write."""
        self.enemy: Enemy | None = None
        self.port = 0
        self._folder = folder
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.pem = self.shows()
        # Said again while somebody is signed in would be another certificate: only what comes next sees it.
        self.other_pem, self._other_key = certificate()

    def shows(self, pem: str | None = None, key: str | None = None) -> str:
        """Whoever connects from now on is shown this certificate (a new one); its PEM."""
        if pem is None or key is None:
            pem, key = certificate()
        (self._folder / "cert.pem").write_text(pem)
        (self._folder / "key.pem").write_text(key)
        self.tls.load_cert_chain(self._folder / "cert.pem", self._folder / "key.pem")
        return pem

    def swap(self) -> None:
        """Show the other certificate from now on."""
        self.shows(self.other_pem, self._other_key)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
            method, target, _ = lines[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.heard.append(Heard(method, target, headers, body))
            reply = self.pbx.answer(method, target, headers, body)
            if reply.writes and self.twist is not None:
                reply = self.twist(reply)
            if self.enemy is not None:
                await self.enemy(writer, on_the_wire(reply))
            else:
                writer.write(on_the_wire(reply))
                await writer.drain()


@asynccontextmanager
async def running(pbx: Pbx, folder: Path) -> AsyncIterator[Server]:
    """On a free port."""
    server = Server(pbx, folder)
    async with served(server.handle, server.tls) as server.port:
        yield server
