"""A real PostgreSQL that holds what the live Asterisk's did, and connections to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from connectors.asterisk.connector import AsteriskConnector
from tests.connectors.asterisk.database import DDI as DDI
from tests.connectors.asterisk.database import PASSWORD as PASSWORD
from tests.connectors.asterisk.database import SHA256_TOO as SHA256_TOO
from tests.connectors.asterisk.database import VECTORS as VECTORS
from tests.connectors.asterisk.database import Pbx as Pbx
from tests.connectors.asterisk.database import certificate as certificate
from tests.connectors.asterisk.database import running_server
from tests.support.postgres import Postgres


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[Postgres, int, str]]:
    """The server: TLS on a loopback port, SCRAM alone."""
    with running_server() as running:
        yield running


@pytest.fixture
def pbx(server: tuple[Postgres, int, str]) -> Pbx:
    """A fresh copy of the captured database."""
    made, port, pem = server
    made._count += 1
    name = f"pbx{made._count}"
    with psycopg.connect(f"{made.url('postgres', 'owner')}&port={port}", autocommit=True) as connection:
        connection.execute(f"create database {name} template asterisk".encode())
    return Pbx(f"{made.url(name, 'owner')}&port={port}", name, port, pem)


@pytest.fixture
async def opened(pbx: Pbx) -> AsyncIterator[AsteriskConnector]:
    """An open connection to it."""
    connector = await pbx.connect()
    yield connector
    await connector.close()
