"""Asterisk over AMI beside its goals, on the stand-in in a process of its own: `python -m bench.ami [PEOPLE]`.

The stand-in has its long answer ready; what is measured is what Frameroom does with it, the wire between included.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import uvloop

from bench.gateway import process
from bench.measuring import listing, showing
from connectors.asterisk_ami.actions import GUARD, render
from connectors.asterisk_ami.connector import AmiConnector, AsteriskAmiFamily
from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.contract import Credential, Target
from tests.support.ami.site import LOGIN, SECRET

PEOPLE = 50_000
SHOWS = 300
_NAME = "Asterisk over AMI"


async def _connected(port: int) -> AmiConnector:
    async def unseal() -> Credential:
        return Credential(LOGIN, SECRET)

    settings = AsteriskAmiSettings(tls="loopback")
    return await AsteriskAmiFamily().connect(Target("s", "127.0.0.1", port, "", settings), unseal)


async def _bare(port: int) -> Callable[[], Awaitable[object]]:
    """The same two questions, written and read with nothing between: up to the blank line that ends each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readuntil(b"\r\n")
    writer.write(render(GUARD.render("login", login=LOGIN, secret=SECRET), "b"))
    await reader.readuntil(b"\r\n\r\n")
    asked = (
        (render(GUARD.render("endpoint", id="000077"), "b"), b"\r\n\r\n"),
        (render(GUARD.render("mailbox", context="default", mailbox="000077"), "b"), b"ListItems: 1\r\n\r\n"),
    )

    async def show() -> None:
        for request, end in asked:
            writer.write(request)
            await reader.readuntil(end)

    return show


async def measure(port: int, people: int) -> bool:
    """The three figures, printed; whether all were met."""
    met = await listing(_NAME, lambda: _connected(port), people)
    connector = await _connected(port)
    met &= await showing(_NAME, lambda: connector.view("000077"), await _bare(port), SHOWS)
    await connector.close()
    return met


def main() -> bool:
    """With as many people as are asked for."""
    people = int(sys.argv[1]) if sys.argv[0].endswith("ami.py") and len(sys.argv) > 1 else PEOPLE
    with process("tests.support.ami", str(people)) as (_, told):
        return uvloop.run(measure(told["port"], people))


if __name__ == "__main__":
    main()
