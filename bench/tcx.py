"""3CX beside its goals, on the stand-in in a process of its own: `python -m bench.tcx [PEOPLE]`.

What is measured is what Frameroom does, the wire and TLS between included; the stand-in sorts and filters in memory.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from bench.ami import SHOWS
from bench.gateway import process
from bench.measuring import listing, showing
from connectors.contract import Credential, Target
from connectors.tcx.answers import Token
from connectors.tcx.connector import TcxConnector, TcxFamily
from connectors.tcx.requests import GUARD, render
from connectors.tcx.settings import TcxSettings
from connectors.tcx.tokens import of
from connectors.transport.identity import identity
from tests.support.tcx.pbx import CLIENT, KEY

PEOPLE = 50_000
_LENGTH = re.compile(rb"Content-Length: (\d+)")


def _target(told: dict[str, Any]) -> Target:
    return Target("s", "127.0.0.1", told["port"], told["pin"], TcxSettings())


async def _connected(told: dict[str, Any]) -> TcxConnector:
    async def unseal() -> Credential:
        return Credential(CLIENT, KEY)

    return await TcxFamily().connect(_target(told), unseal)


async def _bare(told: dict[str, Any]) -> Callable[[], Awaitable[object]]:
    """The same two questions on one TLS connection, with nothing between but JSON, read as such: less than two cannot
    be asked, for the second names the extension that the first tells. A client has one token, and a newer one would
    end ours: theirs is the same."""
    tls: ssl.SSLContext = identity(told["pin"], None)
    reader, writer = await asyncio.open_connection("127.0.0.1", told["port"], ssl=tls)

    async def asked(data: bytes) -> object:
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None or not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError("the bare request was not answered")
        return json.loads(await reader.readexactly(int(length[1])))

    def wire(name: str, token: str, **values: object) -> bytes:
        call = render(GUARD.render(name, **values), token)
        lines = [f"{call.method} {call.path} HTTP/1.1", "Host: x"]
        lines += [f"{key}: {value}" for key, value in call.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode()

    async def none() -> Token:
        raise RuntimeError("nobody is signed in")

    token = await of(_target(told), CLIENT, KEY).get(none)
    questions = (wire("user", token, id=77), wire("rules-of", token, numbers=("100076",), skip=0))

    async def show() -> None:
        for question in questions:
            await asked(question)

    return show


async def measure(told: dict[str, Any], people: int) -> bool:
    """The three figures, printed; whether all were met."""
    met = await listing("3CX", lambda: _connected(told), people)
    connector = await _connected(told)
    met &= await showing("3CX", lambda: connector.view("u77"), await _bare(told), SHOWS)
    await connector.close()
    return met


def main() -> bool:
    """With as many people as are asked for."""
    people = int(sys.argv[1]) if sys.argv[0].endswith("tcx.py") and len(sys.argv) > 1 else PEOPLE
    with process("tests.support.tcx", str(people)) as (_, told):
        return uvloop.run(measure(told, people))


if __name__ == "__main__":
    main()
