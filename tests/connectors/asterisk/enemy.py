"""Stands between a connector and the real PostgreSQL, holds the database's own certificate and key, and so can make
the database say whatever an enemy would. Source: PostgreSQL, "Frontend/Backend Protocol", message formats."""

from __future__ import annotations

import asyncio
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from connectors.conformance.bench import Hostile
from connectors.conformance.relay import served
from tests.connectors.asterisk.database import certificate

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def _server(pem: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem + key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _messages(data: bytes) -> list[tuple[bytes, bytes]]:
    """(type, whole message) of those that are whole in it."""
    found, at = [], 0
    while at + 5 <= len(data):
        size = 1 + struct.unpack_from("!i", data, at + 1)[0]
        if at + size > len(data):
            break
        found.append((data[at : at + 1], data[at : at + size]))
        at += size
    return found


def _notice(words: str) -> bytes:
    fields = b"SWARNING\0VWARNING\0C01000\0M" + words.encode() + b"\0\0"
    return b"N" + struct.pack("!i", len(fields) + 4) + fields


class Enemy:
    """A port that leads to the database, and what is said on it."""

    def __init__(self, port: int, folder: Path, pem: str, names: list[str], telling: str) -> None:
        self._onward = port
        self._names = [name.encode() for name in names]
        self._telling = telling
        self._own = _server(pem, (folder / "key.pem").read_text())
        other, key = certificate()
        self._other, self.other_pin = _server(other, key), other
        self._towards = ssl.create_default_context(cadata=pem)
        self._towards.check_hostname = False
        self.how: Hostile | None = None
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(8) != _SSL_REQUEST:
            return
        writer.write(b"S")
        await writer.start_tls(self._other if self.how is Hostile.IDENTITY_SWAPPED else self._own)
        back, onward = await asyncio.open_connection("127.0.0.1", self._onward)
        onward.write(_SSL_REQUEST)
        await back.readexactly(1)
        await onward.start_tls(self._towards)
        ways = [asyncio.ensure_future(way) for way in (self._ask(reader, onward), self._say(back, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            onward.transport.abort()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    async def _say(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 20):
            if not await self._spoilt(data, writer):
                return
            await writer.drain()

    async def _spoilt(self, data: bytes, writer: asyncio.StreamWriter) -> bool:
        """Say it as this kind of enemy does; False when that was the last."""
        match self.how:
            case Hostile.TRUNCATED:
                writer.write(data[: len(data) // 2])
                return False
            case Hostile.SILENT:
                await asyncio.Event().wait()
            case Hostile.SLOW:
                for byte in data:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.3)
            case Hostile.MALFORMED:
                writer.write(b"\xfe\x01?!" * (len(data) // 4 + 1))
            case Hostile.WRONG_ENCODING:
                for name in self._names:
                    data = data.replace(name, b"\xff" * len(name))
                writer.write(data)
            case Hostile.TELLING_WRITES:
                writer.write(_notice(self._telling) + data)
            case Hostile.ENDLESS:
                await self._endless(data, writer)
                return False
            case _:
                writer.write(data)
        return True

    async def _endless(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        """The rows of the answer again and again: a gigabyte of them."""
        messages = _messages(data)
        row = next((whole for kind, whole in messages if kind == b"D"), None)
        if row is None:  # an answer without rows: notices without end, in its place
            row = _notice("x" * 10_000)
        else:
            for kind, whole in messages:
                if kind == b"D":
                    break
                writer.write(whole)
        block = row * (1 + (1 << 16) // len(row))
        for _ in range((1 << 30) // len(block)):
            writer.write(block)
            await writer.drain()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Enemy]:
        """Listening on a free port."""
        async with served(self._serve) as self.port:
            yield self
