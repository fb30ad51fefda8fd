"""A whole Frameroom, a lab and a mail catcher, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pyotp
import pytest

from gateway.cli.demo import Demo, started
from gateway.cli.story import Master
from tests.support.need import need_tool


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    """Running, furnished, without any permission."""
    ready: asyncio.Future[Demo] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    # One task enters and leaves it, as its task groups want; a fixture's two halves may run in different ones.
    async def hold() -> None:
        async with started(tmp_path) as running:
            ready.set_result(running)
            await over.wait()

    task = asyncio.ensure_future(hold())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    yield ready.result()
    over.set()
    await task


@pytest.fixture
async def ssh(demo: Demo) -> AsyncIterator[Master]:
    """A real OpenSSH connection that has signed in with key and code."""
    need_tool("ssh", "openssh-client")
    master = Master(demo)
    await master.start(pyotp.TOTP(demo.totp).now())
    yield master
    await master.stop()
