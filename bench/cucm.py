"""Cisco CUCM over AXL beside its goals, on the stand-in in a process of its own: `python -m bench.cucm [PEOPLE]`.

What is measured is what Frameroom does, the wire and TLS between included.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from bench.ami import PEOPLE, SHOWS
from bench.gateway import process
from bench.measuring import listing, showing
from connectors.contract import Credential, Target
from connectors.cucm.connector import CucmConnector, CucmFamily
from connectors.cucm.requests import GUARD, render
from connectors.cucm.settings import CucmSettings
from connectors.transport.identity import identity
from tests.support.cucm.site import LOGIN, PASSWORD

_TOKEN = "ZnJhbWVyb29tOkNBTkFSWS1heGw6IGFjY291bnQ="  # noqa: S105  the stand-in's own account
_LENGTH = re.compile(rb"Content-Length: (\d+)")


async def _connected(port: int, pin: str) -> CucmConnector:
    async def unseal() -> Credential:
        return Credential(LOGIN, PASSWORD)

    return await CucmFamily().connect(Target("s", "127.0.0.1", port, pin, CucmSettings()), unseal)


async def _bare(port: int, pin: str) -> Callable[[], Awaitable[object]]:
    """The same question on one TLS connection, with nothing between but XML, read as such."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=identity(pin, None))
    call = render(GUARD.render("user", axl="14.0", userid="000077"), _TOKEN)
    lines = [f"{call.method} {call.path} HTTP/1.1", "Host: x", f"Content-Length: {len(call.body or b'')}"]
    lines += [f"{key}: {value}" for key, value in call.headers.items()]
    request = "\r\n".join([*lines, "", ""]).encode() + (call.body or b"")

    async def show() -> None:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None or not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError("the bare request was not answered")
        ElementTree.fromstring(await reader.readexactly(int(length[1])))  # noqa: S314  our own stand-in's

    return show


async def measure(port: int, pin: str, people: int) -> bool:
    """The three figures, printed; whether all were met."""
    met = await listing("CUCM", lambda: _connected(port, pin), people)
    connector = await _connected(port, pin)
    began = time.perf_counter()
    if (await connector.find("nobody-of-that-name", 10)).people:
        raise RuntimeError("nobody has that name")
    took = time.perf_counter() - began
    print(f"         CUCM: a search through all {people:,}: {took:.1f} s (no goal: AXL searches names alone)")
    met &= await showing("CUCM", lambda: connector.view("000077"), await _bare(port, pin), SHOWS)
    await connector.close()
    return met


def main() -> bool:
    """With as many people as are asked for."""
    people = int(sys.argv[1]) if sys.argv[0].endswith("cucm.py") and len(sys.argv) > 1 else PEOPLE
    with (
        tempfile.TemporaryDirectory() as folder,
        process("tests.support.cucm", str(people), folder) as (_, told),
    ):
        return uvloop.run(measure(told["port"], Path(told["pin"]).read_text(encoding="ascii"), people))


if __name__ == "__main__":
    main()
