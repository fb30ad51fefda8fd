"""Avaya Communication Manager beside its goals, the stand-in in its own process: `python -m bench.avaya [PEOPLE]`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import asyncssh
import uvloop

from bench.gateway import process
from bench.measuring import listing, showing
from connectors.avaya_cm.connector import AvayaCmFamily
from connectors.avaya_cm.messages import GUARD, render
from connectors.avaya_cm.settings import AvayaCmSettings
from connectors.contract import Connector, Credential, Target
from tests.support.avaya.cm import LOGIN, PASSWORD

PEOPLE = 50_000
SHOWS = 200
_SOMEBODY = "000077"


async def _connected(port: int, pin: str) -> Connector:
    async def unseal() -> Credential:
        return Credential(LOGIN, PASSWORD)

    return await AvayaCmFamily().connect(Target("s", "127.0.0.1", port, pin, AvayaCmSettings()), unseal)


async def _bare(port: int, pin: str) -> tuple[asyncssh.SSHClientConnection, Callable[[], Awaitable[object]]]:
    """The same question on a terminal of its own, written and read with nothing between."""
    known = ([asyncssh.import_public_key(pin)], [], [])
    connection = await asyncssh.connect(
        "127.0.0.1", port, username=LOGIN, password=PASSWORD, known_hosts=known, client_keys=None, agent_path=None,
        config=None,
    )  # fmt: skip
    terminal = await connection.create_process(term_type="vt100", encoding=None)
    await terminal.stdout.readuntil(b"] ")
    terminal.stdin.write(b"ossi4\n")
    await terminal.stdout.readuntil(b"\r\nt\r\n")
    asked = render(GUARD.render("stations-from", station=_SOMEBODY, count=1))

    async def show() -> None:
        terminal.stdin.write(asked)
        await terminal.stdout.readuntil(b"\r\nt\r\n")

    return connection, show


async def measure(port: int, pin: str, people: int) -> bool:
    """The three figures, printed; whether all were met."""
    met = await listing("Avaya CM", lambda: _connected(port, pin), people, lambda connector: connector.check())
    connector, (connection, bare) = await _connected(port, pin), await _bare(port, pin)
    met &= await showing("Avaya CM", lambda: connector.view(_SOMEBODY), bare, SHOWS)
    await connector.close()
    connection.close()
    return met


def main() -> bool:
    """With as many people as are asked for."""
    people = int(sys.argv[1]) if sys.argv[0].endswith("avaya.py") and len(sys.argv) > 1 else PEOPLE
    with process("tests.support.avaya", str(people)) as (_, told):
        return uvloop.run(measure(told["port"], told["pin"], people))


if __name__ == "__main__":
    main()
