"""A 3CX with a few people, and connections to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from connectors.contract import Credential, Target
from connectors.tcx.connector import TcxConnector, TcxFamily
from connectors.tcx.settings import TcxSettings
from tests.support.tcx.pbx import CLIENT, KEY, Pbx
from tests.support.tcx.server import Server, running

Dial = Callable[..., Awaitable[TcxConnector]]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Grace (one number), Sam (none), Ana (two), and a number of nobody's."""
    pbx = Pbx(make=lambda field: f"CANARY-new-{field}")
    pbx.add(1, "201", "Grace", "Okonkwo", "grace@customer.example", ["442079460123"])
    pbx.add(2, "202", "Sam", "O'Neil", "", ())
    pbx.add(3, "203", "Ana", "Ruiz Gómez", "ana@customer.example", ["442079460125", "442079460126"])
    pbx.numbers |= {"442079460900": 17, "02079460901": 18}
    async with running(pbx, tmp_path) as ready:
        yield ready


@pytest.fixture
async def dial(server: Server) -> AsyncIterator[Dial]:
    """Connects, with the right key or another."""
    opened: list[TcxConnector] = []

    async def connect(key: str = KEY, **settings: str) -> TcxConnector:
        async def unseal() -> Credential:
            return Credential(CLIENT, key)

        target = Target("sys_1", "127.0.0.1", server.port, server.pem, TcxSettings(**settings), 5000, 5000)
        opened.append(await TcxFamily().connect(target, unseal))
        return opened[-1]

    yield connect
    for connector in opened:
        await connector.close()


@pytest.fixture
async def tcx(dial: Dial) -> TcxConnector:
    """An open connection."""
    return await dial()
