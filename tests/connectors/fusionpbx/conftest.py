"""A real PostgreSQL that holds a FusionPBX, connections to it, and a stand-in for its FreeSWITCH."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from connectors.fusionpbx.connector import FusionPbxConnector
from tests.connectors.fusionpbx.database import Pbx as Pbx
from tests.connectors.fusionpbx.database import drop, fresh, running_server
from tests.support.event_socket import FreeSwitch
from tests.support.postgres import Postgres


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[Postgres, int, str]]:
    """The server: TLS on a loopback port, SCRAM alone."""
    with running_server() as running:
        yield running


@pytest.fixture
def pbx(server: tuple[Postgres, int, str]) -> Iterator[Pbx]:
    """Two domains, four people in ours; taken away afterwards, for each takes eight megabytes."""
    made = fresh(server)
    yield made
    drop(server, made)


@pytest.fixture(scope="session")
def still(server: tuple[Postgres, int, str]) -> Pbx:
    """The same, for tests that change nothing of it."""
    return fresh(server)


@pytest.fixture
async def opened(pbx: Pbx) -> AsyncIterator[FusionPbxConnector]:
    """An open connection to it."""
    connector = await pbx.connect()
    yield connector
    await connector.close()


@pytest.fixture
async def switch() -> AsyncIterator[FreeSwitch]:
    """FreeSWITCH's event socket."""
    async with FreeSwitch().running() as running:
        yield running
