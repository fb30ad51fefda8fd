"""A stand-in for FreeSWITCH's event socket (mod_event_socket) with the cache that FusionPBX's scripts keep, and what
its prompt says.

Made from FreeSWITCH's source and documentation (mod_event_socket: `auth`, `userauth`, `esl-allowed-api`; mod_sofia) and
FusionPBX's source (cache.php, cache.lua, clear_cache.lua); what it says to lines that act is a live one's (1.10.12).
It tells passwords to whoever asks for them, as the real one does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain

from connectors.conformance.relay import served
from connectors.console import FREESWITCH, Class, find

_DELETE = re.compile(r"api lua app/servers/resources/clear_cache\.lua delete (\S+)|api memcache delete (\S+)")


@dataclass
class FreeSwitch:
    """One switch: its password, its cache (by file name or by key), what it was asked."""

    password: str = "CANARY-eventsocket-5"
    secrets: str = ""
    """What it tells whoever asks for a user's data."""
    gateway: str = "yes"
    """What it says of a provider's password."""
    cache: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    how: str = ""
    """"": as it is; "rude", "silent", "garbage", "endless", "wrong": as an enemy or as one that is ill set up;
    "cut", "hostile", "no call": so answers its prompt."""
    refusal: str = "-ERR No such channel!\n"
    """What it then says to a line that acts."""
    users: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """Of the directory: esl-password and esl-allowed-api."""
    registered: Sequence[str] = ()
    gone: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    """What was being answered when whoever asked hung up."""
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
        may: list[str] | None = None
        while data := (await reader.readuntil(b"\n\n")).decode()[:-2]:
            if data.startswith("auth "):
                inside = data == f"auth {self.password}"
                self.heard.append("auth" if inside else "auth, wrong")
                writer.write(f"Content-Type: command/reply\nReply-Text: {_accepted(inside)}\n\n".encode())
            elif data.startswith("userauth "):
                user, _, password = data.removeprefix("userauth ").partition(":")
                held, allowed = self.users.get(user, ("", None))
                inside = password == held != ""
                self.heard.append("userauth" if inside else "userauth, wrong")
                more = f"\nAllowed-Events: all\nAllowed-API: {allowed or 'all'}\nAllowed-LOG: true" if inside else ""
                may = re.split(" " if " " in allowed else ",", allowed) if allowed else None
                writer.write(f"Content-Type: command/reply\nReply-Text: {_accepted(inside)}{more}\n\n".encode())
            elif not inside:
                self.heard.append(data)
                writer.write(b"Content-Type: command/reply\nReply-Text: -ERR command not found\n\n")
            elif may is not None and data.removeprefix("api ").split(" ")[0] not in may:
                self.heard.append(data)
                writer.write(b"Content-Type: command/reply\nReply-Text: -ERR permission denied\n\n")
            elif (body := self._said(data)) is not None:
                self.heard.append(data)
                await self._typed(writer, data, body)
            else:
                self.heard.append(data)
                await self._answer(writer, data)
            await writer.drain()

    def _said(self, asked: str) -> Iterable[str] | None:
        """What the prompt says to a line of the catalogue, in pieces; None for another."""
        found = find(asked.removeprefix("api "), FREESWITCH) if asked.startswith("api ") else None
        if found is None:
            return None
        if self.how == "hostile":
            return ("\x1b]0;owned\x07 Name  \tprovider\n  password\tCANARY-gw\n auth_password: CANARY-2\n",)
        match found[1].words:
            case ("version",):
                return ("FreeSWITCH Version 1.10.12-release~64bit (-release 64bit)\n",)
            case ("sofia", "status", "profile", _, "reg"):
                return chain(["\nRegistrations:\n"], map(_registration, self.registered),
                             [f"Total items returned: {len(self.registered)}\n"])  # fmt: skip
            case ("sofia", "status", "gateway", name):
                # Whether there is one: FreeSWITCH itself tells no more (mod_sofia, sofia status gateway).
                return (f"Name    \t{name}\nUsername\tacme\nPassword\t{self.gateway}\nState   \tREGED\n",)
            case _ if self.how == "no call" and found[0].kind is Class.ACT:
                return (self.refusal,)
            case _:
                return ("+OK\n",)

    async def _typed(self, writer: asyncio.StreamWriter, asked: str, body: Iterable[str]) -> None:
        pieces = [piece.encode() for piece in body]
        writer.write(f"Content-Type: api/response\nContent-Length: {sum(map(len, pieces))}\n\n".encode())
        try:
            for number, piece in enumerate(pieces):
                writer.write(piece[: len(piece) // 2] if self.how == "cut" else piece)
                if number % 100 == 0:
                    await writer.drain()
                if self.how == "cut":
                    writer.close()
                    return
            await writer.drain()
        except OSError:
            self.gone.put_nowait(asked)
            raise

    async def _answer(self, writer: asyncio.StreamWriter, asked: str) -> None:
        body = "-ERR command not found\n"
        if self.how == "wrong":
            body = "-ERR no\n"
        elif found := _DELETE.fullmatch(asked):
            gone = self.cache.pop(found[1] or found[2], None)
            # `lua` answers once the script has ended, which has nothing to say.
            body = "-ERR no reply\n" if found[1] else "+OK\n" if gone is not None else "-ERR NOT FOUND\n"
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


def _registration(extension: str) -> str:
    """As mod_sofia prints one."""
    return (
        f"Call-ID:    \t{extension}-3f2a@10.0.0.9\nUser:       \t{extension}@brook.example\n"
        f'Contact:    \t"" <sip:{extension}@10.0.0.9:5060>\nAgent:      \tYealink SIP-T46U\n'
        f"Status:     \tRegistered(UDP)(unknown) EXP(2026-11-28 01:00:00) EXPSECS(120)\nAuth-User:  \t{extension}\n\n"
    )


def _accepted(inside: bool) -> str:
    return "+OK accepted" if inside else "-ERR invalid"
