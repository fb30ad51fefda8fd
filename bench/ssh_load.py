"""Load on an SSH door, in bounded loops: set-up CPU a session, echo, exec over an open connection, memory of idle ones.

`main()` measures this project's door alone (a recorded echo session behind it, the registry of engineers and the audit
log on SQLite as in service). The parts take any `Target`, so that a whole gateway or another server can be measured
with them. The client signs in with a software FIDO2 key, because a one-time code works once in 30 s.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import uvloop

from audit.clock import LogClock
from audit.log import AuditLog
from audit.sealing import FileKeyStore, FileMasterKey
from gateway.identity.engineers import Engineers
from gateway.session.channel import Channel, Identity
from gateway.session.ssh_server import Door, DoorSettings
from gateway.store import schema
from gateway.store.engine import Store
from gateway.vault import Vault
from tests.support.fido import SoftwareFido

LOGIN = "load.engineer"
PROMPT = "load> "


@dataclass(frozen=True)
class Target:
    """Who to load: a server's address, its process and its prompt, and how to sign in."""

    port: int
    pid: int
    login: str
    key: Any
    prompt: str = PROMPT

    async def connect(self) -> asyncssh.SSHClientConnection:
        """One signed-in connection."""
        return await asyncssh.connect(
            "127.0.0.1", self.port, options=asyncssh.SSHClientConnectionOptions(
                username=self.login, client_keys=[self.key], known_hosts=None, agent_path=None, config=None,
                kex_algs=["curve25519-sha256"],
            ),
        )  # fmt: skip

    async def shell(self) -> tuple[asyncssh.SSHClientConnection, asyncssh.SSHClientProcess[str]]:
        """One connection with a shell at its prompt."""
        connection = await self.connect()
        process = await connection.create_process(term_type="xterm")
        await process.stdout.readuntil(self.prompt)
        return connection, process


def cpu_ms(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def pss_kib(pid: int) -> int:
    """Proportional set size of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


async def _times(work: Callable[[], Awaitable[None]], count: int, at_once: int = 1) -> list[float]:
    """Milliseconds of each of `count` calls."""
    taken: list[float] = []
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            started = time.perf_counter()
            await work()
            taken.append((time.perf_counter() - started) * 1000)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())
    return taken


async def set_ups(target: Target, count: int, at_once: int = 1) -> tuple[float, float]:
    """(server CPU ms a session from connect to hang-up, p50 ms to the prompt)."""

    async def one() -> None:
        connection, process = await target.shell()
        process.stdin.write("exit\n")
        await process.wait_closed()
        connection.close()
        await connection.wait_closed()

    await _times(one, 5)
    before = cpu_ms(target.pid)
    taken = await _times(one, count, at_once)
    return (cpu_ms(target.pid) - before) / count, statistics.median(taken)


async def echo(target: Target, count: int) -> float:
    """p50 ms from a key to its echo."""
    connection, process = await target.shell()

    async def one() -> None:
        process.stdin.write("a")
        await process.stdout.readexactly(1)

    taken = await _times(one, count)
    connection.abort()
    return statistics.median(taken)


async def execs(target: Target, count: int) -> float:
    """p50 ms of a command over an open connection."""
    connection = await target.connect()

    async def one() -> None:
        await connection.run("true")

    taken = await _times(one, count)
    connection.abort()
    return statistics.median(taken)


async def hold(target: Target, count: int) -> float:
    """KiB (PSS) an idle session at its prompt."""
    before = pss_kib(target.pid)
    held = [await target.shell() for _ in range(count)]
    await asyncio.sleep(1)
    grown = pss_kib(target.pid) - before
    for connection, _ in held:
        connection.abort()
    return grown / count


class _Echo:
    async def run(self, channel: Channel, identity: Identity) -> int:
        shown = bytearray()
        channel.tap = shown.extend
        while channel.command is None and (line := await channel.read_line(PROMPT)) not in (None, "exit"):
            channel.write(f"{line}\n")
        return 0

    async def hung_up(self, identity: Identity) -> None:
        return None


async def _serve(folder: Path, key_line: str) -> None:
    schema.upgrade(f"sqlite:///{folder}/state.db")
    master = FileMasterKey.create(folder / "master.key")
    store = Store(f"sqlite:///{folder}/state.db")
    engineers = Engineers(store, AuditLog(FileKeyStore(folder / "keyring", master), LogClock()), Vault(master))
    await engineers.add("op", LOGIN, "Load", "load@maintainer.example", frozenset())
    await engineers.add_key("op", LOGIN, key_line)
    many = DoorSettings(per_engineer=100_000, per_address=100_000, unproven_per_address=1000, unproven=10_000)
    door = Door(many, [asyncssh.generate_private_key("ssh-ed25519")], engineers, _Echo())
    async with asyncio.TaskGroup() as group:
        group.create_task(door.run())
        await door.ready.wait()
        print(door.port, flush=True)


async def _measure(folder: Path) -> None:
    key = SoftwareFido(1 | 4)
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.ssh_load", str(folder), key.line().strip(), stdout=asyncio.subprocess.PIPE
    )
    try:
        port = await server.stdout.readline() if server.stdout is not None else b""
        target = Target(int(port), server.pid, LOGIN, key)
        alone, latency = await set_ups(target, 100)
        loaded, _ = await set_ups(target, 100, at_once=4)
        print(
            f"door: set-up CPU {alone:.1f} ms a session ({loaded:.1f} with 4 at once), to the prompt {latency:.1f} ms"
        )
        print(f"door: echo p50 {await echo(target, 500):.2f} ms (client included)")
        print(f"door: exec over an open connection p50 {await execs(target, 200):.2f} ms (client included)")
        print(f"door: memory {await hold(target, 200):.0f} KiB PSS an idle session")
    finally:
        server.terminate()
        await server.wait()


def main() -> None:
    """Print the door's figures."""
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(_measure(Path(folder)))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        uvloop.run(_serve(Path(sys.argv[1]), sys.argv[2]))
    else:
        main()
