"""Yeastar P-Series beside its goals, on the stand-in in a process of its own: `python -m bench.yeastar [PEOPLE]`.

As the vendor describes it, the phone system ends the connection after each answer: a handshake for every request, here
and in the bare round trip beside it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from bench.gateway import process
from bench.measuring import listing, showing
from connectors.contract import Connector, Credential, Target
from connectors.guard import Allowed
from connectors.transport.identity import identity
from connectors.yeastar.connector import YeastarFamily
from connectors.yeastar.requests import GUARD, render
from connectors.yeastar.settings import YeastarSettings
from tests.support.yeastar.pbx import CLIENT, SECRET

PEOPLE = 50_000
SHOWS = 150
SHOW_PEOPLE = 500
"""A show reads all inbound routes: measured with as many people as the largest appliance takes."""
_SOMEBODY = "100077.77"


async def _connected(port: int, pin: str) -> Connector:
    async def unseal() -> Credential:
        return Credential(CLIENT, SECRET)

    return await YeastarFamily().connect(Target("s", "127.0.0.1", port, pin, YeastarSettings()), unseal)


async def _asked(port: int, tls: ssl.SSLContext, request: Allowed, token: str) -> bytes:
    call = render(request, token)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname="127.0.0.1")
    head = f"{call.method} {call.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: OpenAPI\r\n"
    body = call.body or b""
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await reader.read()
    writer.transport.abort()
    return answer.partition(b"\r\n\r\n")[2]


async def _bare(port: int, pin: str) -> Callable[[], Awaitable[object]]:
    """The same three questions, written and read with nothing between."""
    tls = identity(pin, None)
    signed_in = await _asked(port, tls, GUARD.render("sign-in", client=CLIENT, secret=SECRET), "")
    token: str = json.loads(signed_in)["access_token"]
    asked = (
        GUARD.render("search", number=_SOMEBODY.partition(".")[0], page=1, size=100),
        GUARD.render("routes", page=1, size=500),
        GUARD.render("route-numbers", ids=tuple(range(1, SHOW_PEOPLE // 100 + 1))),
    )

    async def show() -> None:
        for request in asked:
            await _asked(port, tls, request, token)

    return show


async def _large(port: int, pin: str, people: int) -> bool:
    return await listing("Yeastar", lambda: _connected(port, pin), people, lambda connector: connector.check())


async def _small(port: int, pin: str) -> bool:
    connector, bare = await _connected(port, pin), await _bare(port, pin)
    met = await showing("Yeastar", lambda: connector.view(_SOMEBODY), bare, SHOWS, f", of {SHOW_PEOPLE}")
    await connector.close()
    return met


def main() -> bool:
    """With as many people as are asked for."""
    people = int(sys.argv[1]) if sys.argv[0].endswith("yeastar.py") and len(sys.argv) > 1 else PEOPLE
    met = True
    for count in (people, SHOW_PEOPLE):
        with tempfile.TemporaryDirectory() as folder, process("tests.support.yeastar", str(count), folder) as (_, told):
            pin, port = Path(told["pin"]).read_text(encoding="ascii"), told["port"]
            met &= uvloop.run(_small(port, pin) if count == SHOW_PEOPLE else _large(port, pin, people))
    return met


if __name__ == "__main__":
    main()
