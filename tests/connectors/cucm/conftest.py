"""A stand-in on a loopback port, and connections to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Credential, Target
from connectors.cucm.connector import CucmConnector, CucmFamily
from connectors.cucm.settings import CucmSettings
from tests.support.ami.server import server_tls
from tests.support.cucm import site as sites
from tests.support.cucm.axl import Cucm, User
from tests.support.cucm.server import Serving, running


@dataclass
class Pbx:
    """One cluster, as the connector is told of it."""

    serving: Serving
    port: int
    pin: str
    unsealed: list[str] = field(default_factory=list)

    @property
    def cucm(self) -> Cucm:
        return self.serving.cucm

    def user(self, userid: str) -> User:
        found = self.cucm.user(userid)
        assert found is not None
        return found

    async def unseal(self) -> Credential:
        """Noted, so that a test sees whether it came to that."""
        self.unsealed.append("unsealed")
        return Credential(sites.LOGIN, sites.PASSWORD)

    async def connect(self, timeout_ms: int = 5_000, **settings: Any) -> CucmConnector:
        made = CucmSettings.model_validate(settings)
        target = Target("sys_1", "127.0.0.1", self.port, self.pin, made, timeout_ms, timeout_ms)
        return await CucmFamily().connect(target, self.unseal)

    def asked(self) -> list[str]:
        """What it was asked since the last time."""
        heard, self.cucm.heard[:] = list(self.cucm.heard), []
        return heard


@asynccontextmanager
async def served(cucm: Cucm, folder: Path) -> AsyncIterator[Pbx]:
    """A cluster on a port of its own."""
    folder.mkdir(exist_ok=True)
    tls, pem = server_tls(folder)
    serving = Serving(cucm)
    async with running(serving, tls) as port:
        yield Pbx(serving, port, pem)


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[Pbx]:
    """The invented site."""
    async with served(sites.site(), tmp_path) as found:
        yield found


@pytest.fixture
async def opened(pbx: Pbx) -> AsyncIterator[CucmConnector]:
    """An open connection to it, with the settings that a site begins with."""
    connector = await pbx.connect()
    pbx.asked()
    yield connector
    await connector.close()
