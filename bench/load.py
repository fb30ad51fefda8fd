"""A client's load on any SSH server, in bounded loops: set-up, echo, one command, bulk, idle sessions.

The parts take any `Target`, so that a whole gateway and other servers are loaded by the same hand.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

_KEYS = "abcdefghijklmnopqrstuvwxyz"
_PROMPT_TAIL = "> "
_ANSWER_S = 30


@dataclass(frozen=True)
class Target:
    """Who to load: a server's port, how to sign in, and what to say at its prompt before the shell counts as set up."""

    port: int
    login: str
    key: Any
    enter: tuple[str, ...] = ()

    async def connect(self, source: str = "127.0.0.1") -> asyncssh.SSHClientConnection:
        """One signed-in connection, from an address of this machine."""
        return await asyncssh.connect(
            "127.0.0.1", self.port, local_addr=(source, 0), options=asyncssh.SSHClientConnectionOptions(
                username=self.login, client_keys=[self.key], known_hosts=None, agent_path=None, config=None,
                kex_algs=["curve25519-sha256"], login_timeout=_ANSWER_S,
            ),
        )  # fmt: skip


class Terminal:
    """A shell at its prompt."""

    def __init__(self, connection: asyncssh.SSHClientConnection, process: asyncssh.SSHClientProcess[str]) -> None:
        self.connection, self._process = connection, process

    @classmethod
    async def open(cls, target: Target, source: str = "127.0.0.1") -> Terminal:
        """Connect, come to the prompt, say what the target wants said, and come to the prompt again."""
        connection = await target.connect(source)
        async with asyncio.timeout(_ANSWER_S):
            terminal = cls(connection, await connection.create_process(term_type="dumb", term_size=(120, 40)))
            await terminal.until(_PROMPT_TAIL)
            for line in target.enter:
                terminal.type(f"{line}\n")
                await terminal.until("\n")
                await terminal.until(_PROMPT_TAIL)
        return terminal

    def type(self, text: str) -> None:
        """Press keys."""
        self._process.stdin.write(text)

    async def until(self, text: str) -> None:
        """Read on until this has been shown."""
        await self._process.stdout.readuntil(text)

    async def leave(self) -> None:
        """Say exit, and hang up when the server has ended the shell."""
        self.type("exit\n")
        async with asyncio.timeout(_ANSWER_S):
            await self._process.wait_closed()
        self.connection.close()
        await self.connection.wait_closed()


def cpu_ms(pid: int, *, children: bool = False) -> float:
    """User and system time of a process so far, with that of children it has waited for if wanted."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if children else 13])) * 1000 / os.sysconf("SC_CLK_TCK")


def memory_kib(pid: int) -> int:
    """A process's own memory (proportional, without files: how many others share a library is not its doing)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1])
    raise RuntimeError("this kernel does not tell a process's own memory (Pss_Anon)")


async def set_ups(target: Target, count: int) -> None:
    """As many whole sessions, one after another."""
    for _ in range(count):
        await (await Terminal.open(target)).leave()


async def echoes(target: Target, count: int) -> list[float]:
    """Milliseconds from each key to its echo, in a shell that is already open and warm."""
    terminal = await Terminal.open(target)
    taken = []
    for number in range(count):
        if number % 26 == 25:
            terminal.type("\x15")  # an empty line again: nobody's cost of a long line is measured
            await asyncio.sleep(0.02)
        key = _KEYS[number % 26]
        before = time.perf_counter()
        terminal.type(key)
        async with asyncio.timeout(_ANSWER_S):
            await terminal.until(key)
        taken.append((time.perf_counter() - before) * 1000)
    terminal.connection.abort()
    return taken


async def commands(target: Target, command: str, count: int) -> list[float]:
    """Milliseconds of each of as many commands over one open connection, the first one aside."""
    connection = await target.connect()
    taken = []
    for _ in range(count + 1):
        before = time.perf_counter()
        done = await asyncio.wait_for(connection.run(command), _ANSWER_S)
        taken.append((time.perf_counter() - before) * 1000)
        if done.exit_status != 0:
            raise RuntimeError(f"{command}: {done.stdout!r} {done.stderr!r}")
    connection.abort()
    return taken[1:]


async def bulk(target: Target, command: str) -> tuple[int, float]:
    """(bytes shown, seconds from the first to the last of them) of one command on a terminal."""
    connection = await target.connect()
    process = await connection.create_process(command, term_type="dumb", encoding=None)
    size, first, last = 0, 0.0, 0.0
    async with asyncio.timeout(60):
        while data := await process.stdout.read(1 << 16):
            last = time.perf_counter()
            if not size:
                first = last
            size += len(data)
    connection.abort()
    return size, last - first


async def held(targets: Sequence[Target], count: int) -> list[Terminal]:
    """As many shells at their prompts, spread over engineers and over addresses of this machine."""
    terminals = []
    for number in range(count):
        source = f"127.0.0.{2 + number * 4 // count}"
        terminals.append(await Terminal.open(targets[number % len(targets)], source))
    return terminals
