"""A running lab, and connections to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.base import NoSettings
from connectors.contract import Credential, Target
from connectors.lab.connector import LabConnector, LabFamily
from connectors.lab.server import Lab, start


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Forty people on free loopback ports."""
    async with start(tmp_path / "lab") as running:
        yield running


@pytest.fixture
def target() -> Callable[..., Target]:
    """The lab as a connector is told of it; `changes` make it wrong."""

    def make(lab: Lab, **changes: object) -> Target:
        usual = Target("sys_1", "127.0.0.1", lab.ssh_port, lab.host_key, NoSettings(), 5000, 5000)
        return replace(usual, **changes)  # type: ignore[arg-type]

    return make


@pytest.fixture
def dial(target: Callable[..., Target]) -> Callable[..., Awaitable[LabConnector]]:
    """Connects with the right key."""

    async def connect(lab: Lab, **changes: object) -> LabConnector:
        async def unseal() -> Credential:
            return Credential("frameroom", private_key=lab.client_key)

        return await LabFamily().connect(target(lab, **changes), unseal)

    return connect


@pytest.fixture
async def connector(lab: Lab, dial: Callable[..., Awaitable[LabConnector]]) -> AsyncIterator[LabConnector]:
    """An open connection."""
    opened = await dial(lab)
    yield opened
    await opened.close()
