"""A stand-in for FreeSWITCH's event socket (mod_event_socket) with the cache that FusionPBX's scripts keep.

Made from FreeSWITCH's documentation and FusionPBX's source (cache.php, cache.lua, clear_cache.lua), and not from a live
one. It tells passwords to whoever asks for them, as the real one does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from connectors.conformance.relay import served

_DELETE = re.compile(r"api luarun app/servers/resources/clear_cache\.lua delete (\S+)|api memcache delete (\S+)")


@dataclass
class FreeSwitch:
    """One switch: its password, its cache (by file name or by key), what it was asked."""

    password: str = "CANARY-eventsocket-5"
    secrets: str = ""
    """What it tells whoever asks for a user's data."""
    cache: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    how: str = ""
    """"": as it is; "rude", "silent", "garbage", "endless", "wrong": as an enemy or as one that is ill set up."""
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        if self.how == "rude":
            writer.write(b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n")
            return
        if self.how == "garbage":
            writer.write(b"220 mail.example ESMTP\n\n")
            await reader.read()
            return
        writer.write(b"Content-Type: auth/request\n\n")
        if self.how == "silent":
            await reader.read()
            return
        inside = False
        while data := (await reader.readuntil(b"\n\n")).decode()[:-2]:
            if data.startswith("auth "):
                inside = data == f"auth {self.password}"
                self.heard.append("auth" if inside else "auth, wrong")
                writer.write(f"Content-Type: command/reply\nReply-Text: {_accepted(inside)}\n\n".encode())
            elif not inside:
                self.heard.append(data)
                writer.write(b"Content-Type: command/reply\nReply-Text: -ERR command not found\n\n")
            else:
                self.heard.append(data)
                await self._answer(writer, data)
            await writer.drain()

    async def _answer(self, writer: asyncio.StreamWriter, asked: str) -> None:
        body = "-ERR command not found\n"
        if self.how == "wrong":
            body = "-ERR no\n"
        elif found := _DELETE.fullmatch(asked):
            gone = self.cache.pop(found[1] or found[2], None)
            body = "+OK\n" if found[1] or gone is not None else "-ERR NOT FOUND\n"
        elif asked.startswith("api "):
            body = self.secrets + "\n"
        if self.how == "endless":
            writer.write(b"Content-Type: api/response\nContent-Length: 1073741824\n\n")
            for _ in range(1 << 14):
                writer.write(b"x" * 65_536)
                await writer.drain()
        writer.write(f"Content-Type: api/response\nContent-Length: {len(body)}\n\n{body}".encode())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FreeSwitch]:
        """On a free port of this machine."""
        async with served(self.serve) as self.port:
            yield self


def _accepted(inside: bool) -> str:
    return "+OK accepted" if inside else "-ERR invalid"
