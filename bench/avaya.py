"""Avaya Communication Manager beside its goals, the stand-in in its own process: `python -m bench.avaya [PEOPLE]`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from statistics import median

import asyncssh
import uvloop

from bench.gateway import process
from bench.measuring import from_here, memory, ms, paged
from bench.record import line
from connectors.avaya_cm.connector import AvayaCmFamily
from connectors.avaya_cm.messages import GUARD, render
from connectors.avaya_cm.settings import AvayaCmSettings
from connectors.contract import Connector, Credential, Target
from tests.support.avaya.cm import LOGIN, PASSWORD

PEOPLE = 50_000
PAGE = 50
ROUNDS = 7
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
    connector = await _connected(port, pin)
    await connector.check()
    before = await asyncio.to_thread(from_here)
    if await paged(connector) != people:
        raise RuntimeError("not everybody came")
    grown = memory("VmHWM") - before
    met = line("Avaya CM: memory grown, MiB", f"{grown:.1f}, all {people:,} paged through", "≤ 20", grown <= 20)
    await connector.close()
    first = []
    for _ in range(ROUNDS):
        connector = await _connected(port, pin)
        first.append(await ms(lambda c=connector: c.people(None, PAGE)))  # type: ignore[misc]
        await connector.close()
    words = f"{median(first):.0f} [{min(first):.0f}–{max(first):.0f}], of {people:,}, a page of {PAGE}"
    met &= line("Avaya CM: first row, ms", words, "≤ 300", median(first) <= 300)
    connector, (connection, bare) = await _connected(port, pin), await _bare(port, pin)
    ours, theirs = [], []
    for _ in range(SHOWS):
        ours.append(await ms(lambda: connector.view(_SOMEBODY)))
        theirs.append(await ms(bare))
    await connector.close()
    connection.close()
    ratio = median(ours) / median(theirs)
    words = f"{median(ours):.3f} ms against {median(theirs):.3f}: {ratio:.2f} ×"
    return met & line("Avaya CM: `show`", words, "≤ 1.3 × the bare round trip", ratio <= 1.3)


def main() -> bool:
    """With as many people as are asked for."""
    people = int(sys.argv[1]) if sys.argv[0].endswith("avaya.py") and len(sys.argv) > 1 else PEOPLE
    with process("tests.support.avaya", str(people)) as (_, told):
        return uvloop.run(measure(told["port"], told["pin"], people))


if __name__ == "__main__":
    main()
