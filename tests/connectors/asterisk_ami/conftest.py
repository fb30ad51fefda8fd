"""A stand-in with TLS on a loopback port, and connections to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors.asterisk_ami.connector import AmiConnector, AsteriskAmiFamily
from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.contract import Credential, Person, Target
from tests.support.ami import site as sites
from tests.support.ami.server import Asterisk, running, server_tls


@dataclass
class Pbx:
    """One Asterisk, as the connector is told of it."""

    asterisk: Asterisk
    port: int
    pin: str
    unsealed: list[str] = field(default_factory=list)

    def target(self, **more: Any) -> Target:
        timeout = more.pop("timeout_ms", 5_000)
        port, pin = more.pop("port", self.port), more.pop("pin", self.pin)
        return Target("sys_1", "127.0.0.1", port, pin, AsteriskAmiSettings.model_validate(more), timeout, timeout)

    async def unseal(self) -> Credential:
        """Noted, so that a test sees whether it came to that."""
        self.unsealed.append("unsealed")
        return Credential(sites.LOGIN, sites.SECRET)

    async def connect(self, **more: Any) -> AmiConnector:
        return await AsteriskAmiFamily().connect(self.target(**more), self.unseal)

    def asked(self, action: str) -> list[dict[str, str]]:
        return [headers for headers in self.asterisk.heard if headers.get("Action") == action]


async def unseal() -> Credential:
    return Credential(sites.LOGIN, sites.SECRET)


async def plain(port: int, timeout_ms: int = 5_000) -> AmiConnector:
    """Without TLS, so that bytes can be counted."""
    return await AsteriskAmiFamily().connect(
        Target("s", "127.0.0.1", port, "", AsteriskAmiSettings(tls="loopback"), timeout_ms, timeout_ms), unseal
    )


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[Pbx]:
    """The invented site."""
    context, pem = server_tls(tmp_path)
    asterisk = sites.asterisk()
    async with running(asterisk, context) as port:
        yield Pbx(asterisk, port, pem)


@pytest.fixture
async def opened(pbx: Pbx) -> AsyncIterator[AmiConnector]:
    """An open connection to it, with the settings that a site begins with."""
    connector = await pbx.connect()
    yield connector
    await connector.close()


async def everyone(connector: AmiConnector, size: int) -> list[Person]:
    """In pages."""
    found, cursor = list[Person](), None
    while True:
        page = await connector.people(cursor, size)
        assert len(page.people) <= size
        found += page.people
        if (cursor := page.cursor) is None:
            return found


def line(pbx: Pbx, mailbox: str) -> str:
    """As it stands in voicemail.conf."""
    section = next(c for c in pbx.asterisk._written["voicemail.conf"] if c.name == "default")
    return section.last(mailbox) or ""
