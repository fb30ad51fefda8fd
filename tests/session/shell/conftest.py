"""A whole Frameroom and a real ssh client, and the two ways to talk to it: files on standard input, and a terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncssh
import pytest

from gateway.cli.demo import Demo
from gateway.cli.story import Master, Ran
from tests.end_to_end.conftest import demo as demo
from tests.end_to_end.conftest import ssh as ssh
from tests.support.postgres import Postgres

BOTH = pytest.mark.parametrize("database_of_demo", ["sqlite", "postgresql"], indirect=True)
"""For tests whose point is what is kept: once on each kind of database."""


@pytest.fixture
def database_of_demo(request: pytest.FixtureRequest) -> tuple[str, str] | None:
    """(owner's URL, application's URL); None for the embedded database."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return None
    server: Postgres = request.getfixturevalue("postgres")
    return server.create_database()


Send = Callable[[str, bytes], Awaitable[Ran]]


class Terminal:
    """A real pseudo-terminal with ssh -tt on it."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self._master, self.process = master, process
        self._more = asyncio.Event()
        self.seen = ""
        self._told = 0
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side of the terminal is closed
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
        self.seen += data.decode("utf-8", "replace")
        self._more.set()

    async def until(self, words: str) -> str:
        """Everything since the last call, up to and with these words."""
        async with asyncio.timeout(60):
            while (at := self.seen.find(words, self._told)) < 0:
                self._more.clear()
                await self._more.wait()
        start, self._told = self._told, at + len(words)
        return self.seen[start : self._told]

    def keys(self, text: str) -> None:
        """Type."""
        os.write(self._master, text.encode())

    async def line(self, text: str, answer: str = "> ") -> str:
        """Type a line; what comes back up to `answer`, the echo left out."""
        self.keys(text + "\r")
        await self.until("\n")
        return await self.until(answer)

    def resize(self, columns: int, rows: int = 24) -> None:
        """Make the window as large as this."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        # ssh is in a session of its own, so that the kernel has nobody to tell.
        self.process.send_signal(signal.SIGWINCH)


@pytest.fixture
def send(demo: Demo, ssh: Master) -> Send:
    """`ssh gw COMMAND < data`."""

    async def run(command: str, data: bytes) -> Ran:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *demo.ssh("-S", str(demo.folder / "master")), command, stdin=pipe, stdout=pipe, stderr=pipe
        )
        out, err = await process.communicate(data)
        return Ran(process.returncode or 0, out.decode(), err.decode())

    return run


Sit = Callable[..., AbstractAsyncContextManager[Terminal]]


@pytest.fixture
def sit(demo: Demo, ssh: Master) -> Sit:
    """Sit down at a terminal: `ssh gw`."""

    @asynccontextmanager
    async def at(term: str = "xterm-256color", columns: int = 100) -> AsyncIterator[Terminal]:
        master, side = pty.openpty()
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = await asyncio.create_subprocess_exec(
            *demo.ssh("-tt", "-S", str(demo.folder / "master")), stdin=side, stdout=side, stderr=side,
            env=os.environ | {"TERM": term}, start_new_session=True,
        )  # fmt: skip
        os.close(side)
        terminal = Terminal(master, process)
        try:
            await terminal.until("frameroom> ")
            yield terminal
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            asyncio.get_running_loop().remove_reader(master)
            os.close(master)

    return at


async def by_backup_code(demo: Demo) -> asyncssh.SSHClientConnection:
    """A connection of asyncssh's own client, for what OpenSSH's would not do."""
    codes = await demo.admin("engineer codes", login="ana")

    class Answers(asyncssh.SSHClient):
        def kbdint_auth_requested(self) -> str:
            return ""

        def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> list[str]:
            return [codes["codes"][0] for _ in prompts]

    return await asyncssh.connect(
        "127.0.0.1", demo.app.door.port, username="ana", client_keys=[str(demo.key)], known_hosts=None, config=None,
        client_factory=Answers,
    )  # fmt: skip
