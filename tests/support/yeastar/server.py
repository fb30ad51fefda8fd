"""The stand-in on a loopback port: HTTPS, one request a connection as the vendor has it; or many, as others do."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from connectors.conformance.relay import served
from tests.support.certificates import certificate
from tests.support.yeastar.pbx import Pbx

BASE = "/openapi/v1.0/"
Enemy = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]
"""Writes something else than the answer that it is given, head and body."""
Twist = Callable[[str, dict[str, object]], dict[str, object]]
"""Says something else than what the phone system would, by the request's path."""


def server_tls(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A context with a certificate of its own, and that certificate."""
    pem, key = certificate()
    (folder / "cert.pem").write_text(pem)
    (folder / "key.pem").write_text(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, pem


def response(status: str, body: bytes, kind: str = "application/json; charset=utf-8", *, keeps: bool = False) -> bytes:
    """One answer, after which the connection ends, or does not."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: {'keep-alive' if keeps else 'close'}\r\n\r\n".encode() + body


class Server:
    """One phone system's web server."""

    def __init__(self, pbx: Pbx, *, keeps: bool = False) -> None:
        self.pbx = pbx
        self.keeps = keeps
        self.enemy: Enemy | None = None
        self.twist: Twist | None = None
        self.lines: list[str] = []
        """The first line of every request."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; one on which nothing is asked is none."""
        while await self._request(reader, writer) and self.keeps:
            pass

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; False where the connection has to end after it."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        line, *headers = head.split("\r\n")
        named = dict(one.lower().split(": ", 1) for one in headers if ": " in one)
        body = await reader.readexactly(int(named.get("content-length", "0")))
        self.lines.append(line)
        answer = self._answer(line, named, body)
        if self.enemy is not None and "get_token" not in line:
            await self.enemy(writer, answer)
            return False
        writer.write(answer)
        await writer.drain()
        return bool(answer)

    def _answer(self, line: str, headers: dict[str, str], body: bytes) -> bytes:
        method, address, _ = line.split(" ")
        parts = urlsplit(address)
        if not parts.path.startswith(BASE):
            return response("404 Not Found", b"<html>not here</html>", "text/html")
        if headers.get("user-agent") != "openapi":
            return response("403 Forbidden", b"")
        path = parts.path.removeprefix(BASE)
        said = self.pbx.answer(method, path, dict(parse_qsl(parts.query)), json.loads(body) if body else {})
        if self.twist is not None:
            said = self.twist(path, said)
        return response("200 OK", json.dumps(said, ensure_ascii=False).encode(), keeps=self.keeps)


@asynccontextmanager
async def running(server: Server, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """On a free port."""
    async with served(server.serve, tls) as port:
        yield port
