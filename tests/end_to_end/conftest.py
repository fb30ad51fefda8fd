"""A whole Frameroom, a lab and a mail catcher, on loopback."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

import pyotp
import pytest

from gateway.cli.demo import Demo, started
from gateway.cli.story import Master
from gateway.session.deliver import ResetServer
from tests.support.need import need_tool
from tests.support.postgres import Postgres

_ON_BOTH = (
    "test_visit",
    "test_link",
    "test_once_page",
    "test_bad_databases",
    "test_neighbours_seen",
    "test_two_engineers",
)
"""What a database may decide. The rest is the command line's and the recorder's, and plays on one."""
_OWN_RESETS = ("test_link",)
"""What looks at the process that makes new passwords, or ends it. The rest shares one: its start is a second's work."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Which databases a module's demo runs on."""
    if "database_of_demo" in metafunc.fixturenames:
        both = metafunc.module.__name__.rpartition(".")[2] in _ON_BOTH
        metafunc.parametrize("database_of_demo", ["sqlite", "postgresql"] if both else ["sqlite"], indirect=True)


@pytest.fixture
def database_of_demo(request: pytest.FixtureRequest) -> tuple[str, str] | None:
    """(owner's, application's URL) of an empty PostgreSQL database; None for the file that comes with Frameroom."""
    if request.param == "sqlite":
        return None
    server: Postgres = request.getfixturevalue("postgres")
    return server.create_database()


class Lasting(ResetServer):
    """The real one, which goes on when a gateway that used it ends."""

    def stop(self) -> None:
        """Not yet."""


@cache
def _lasting() -> Lasting:
    server = Lasting()
    atexit.register(ResetServer.stop, server)
    return server


@pytest.fixture
async def demo(
    tmp_path: Path,
    database_of_demo: tuple[str, str] | None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Demo]:
    """Running, furnished, without any permission."""
    if request.module.__name__.rpartition(".")[2] not in _OWN_RESETS:
        monkeypatch.setattr("gateway.wiring.serve.ResetServer", lambda *_, **__: _lasting())
    ready: asyncio.Future[Demo] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    # One task enters and leaves it, as its task groups want; a fixture's two halves may run in different ones.
    async def hold() -> None:
        async with started(tmp_path, database=database_of_demo) as running:
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
