"""A phone system on a loopback port that answers as it is told, and a client for it."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from connectors.base import NoSettings
from connectors.conformance.relay import served
from connectors.contract import Target
from connectors.guard import Allowed, Guard, Template, text
from connectors.transport.web import Answer, Call, Sink, Web, Whole

NAME = "pbx.customer.example"
TOKEN = "CANARY-token"
GUARD = Guard(
    Template("look", False, {"id": text(40, pattern=r"[A-Za-z0-9 ']+")}), Template("write", True, {"body": text(200)})
)
OTHER = Guard(Template("look", False, {"id": text(40)}))


def render(request: Allowed, token: str) -> Call:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if request.name == "look":
        return Call("GET", "/look/" + request.values["id"].replace(" ", "%20"), headers)
    headers["Content-Type"] = "application/json"
    return Call("POST", "/write", headers, request.values["body"].encode())


Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A phone system that answers every request with these bytes, or as `answering` does."""

    answer: bytes = b""
    answering: Answering | None = None
    port: int = 0
    heard: list[bytes] = field(default_factory=list)
    connections: int = 0
    tls: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            self.heard.append(head + (await reader.readexactly(int(length[0][15:])) if length else b""))
            if self.answering is not None:
                await self.answering(reader, writer)
            else:
                writer.write(self.answer)
                await writer.drain()


def shows(tls: ssl.SSLContext, folder: Path, pem: str, key: str) -> None:
    (folder / "cert.pem").write_text(pem)
    (folder / "key.pem").write_text(key)
    tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")


@asynccontextmanager
async def phone_system(folder: Path, pem: str, key: str) -> AsyncIterator[Server]:
    server = Server(whole(b"{}"))
    shows(server.tls, folder, pem, key)
    async with served(server.handle, server.tls) as server.port:
        yield server


def whole(body: bytes, *headers: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Type: " + kind, b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


def fingerprint(pem: str) -> str:
    return "sha256:" + hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def client(server: Server, pin: str, name: str | None = None, timeout_ms: int = 5000) -> Web:
    target = Target("sys_1", "127.0.0.1", server.port, pin, NoSettings(), 20_000, timeout_ms)
    return Web(target, GUARD, render, server_name=name)


LOOK = GUARD.render("look", id="Grace O'Neil")


def write() -> Allowed:
    return GUARD.render("write", body='{"secret": "CANARY-body"}')


async def read(web: Web, request: Allowed = LOOK) -> tuple[Answer, bytes]:
    sink = Whole()

    def choose(_: int) -> Sink:
        return sink

    answer = await web.ask(request, TOKEN, choose=choose)
    return answer, sink.take()
