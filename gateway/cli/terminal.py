"""An engineer's shell on a real terminal of a real ssh client, as stories and tests use it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.cli.demo import Demo


@dataclass(slots=True)
class Shell:
    """An engineer's shell. `shown` is what their terminal got."""

    process: asyncio.subprocess.Process
    terminal: int
    shown: bytearray
    came: asyncio.Event

    def type(self, line: str) -> None:
        """A line, as typed."""
        os.write(self.terminal, line.encode() + b"\r")

    async def wait_for(self, words: str) -> None:
        """Until the terminal shows them."""
        while words.encode() not in self.shown:
            self.came.clear()
            await self.came.wait()


@asynccontextmanager
async def shell(demo: Demo, *, columns: int = 80, rows: int = 24) -> AsyncIterator[Shell]:
    """Over the connection that `Master` has open, on a terminal of this size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *demo.ssh("-S", str(demo.folder / "master"), "-tt"), stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color"}, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(ours, False)
    opened = Shell(process, ours, bytearray(), asyncio.Event())
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            opened.shown.extend(os.read(ours, 1 << 16))
        except OSError:  # the other end is gone
            loop.remove_reader(ours)
        opened.came.set()

    loop.add_reader(ours, read)
    try:
        yield opened
    finally:
        loop.remove_reader(ours)
        if process.returncode is None:
            process.terminate()
            await process.wait()
        os.close(ours)
