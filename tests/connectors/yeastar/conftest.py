"""The stand-in on a loopback port, and connections to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Credential, Target
from connectors.yeastar.connector import YeastarConnector, YeastarFamily
from connectors.yeastar.settings import YeastarSettings
from tests.support.yeastar.pbx import CLIENT, SECRET, Extension, Pbx
from tests.support.yeastar.server import Server, running, server_tls


@dataclass
class Site:
    """One phone system, as the connector is told of it."""

    server: Server
    port: int
    pin: str
    secret: str = SECRET

    @property
    def pbx(self) -> Pbx:
        """What it holds."""
        return self.server.pbx

    async def unseal(self) -> Credential:
        """Our client."""
        return Credential(CLIENT, self.secret)

    async def connect(self, **settings: Any) -> YeastarConnector:
        """Whoever calls closes it."""
        made = YeastarSettings.model_validate(settings)
        target = Target("sys_1", "127.0.0.1", self.port, self.pin, made, 5_000, 3_000)
        return await YeastarFamily().connect(target, self.unseal)

    @asynccontextmanager
    async def open(self, **settings: Any) -> AsyncIterator[YeastarConnector]:
        """Closed at the end."""
        connector = await self.connect(**settings)
        try:
            yield connector
        finally:
            await connector.close()

    def heard(self) -> Counter[str]:
        """What it was asked since this was last called."""
        heard, self.pbx.heard = self.pbx.heard, []
        return Counter(heard)


_ONLINE = ("sip_phone", "sip_phone", "linkus_mobile")


def people() -> dict[int, Extension]:
    """Five of them."""
    found = [
        Extension(70, "2001", "Grace", "Okonkwo", "grace@customer.example", online=_ONLINE),
        Extension(71, "2002", "John", "Smith", "john@customer.example"), Extension(72, "2003", "Zoë", "de Vries", ""),
        Extension(73, "20011", "Ann", "Lee", "ann@customer.example"), Extension(75, "0100", "Reception", "", ""),
    ]  # fmt: skip
    return {one.id: one for one in found}


def routes() -> dict[int, dict[str, Any]]:
    """A one-to-one list, plain numbers to one extension, and one to a menu."""
    pairs = [{"did": "442079460123", "ext_num": "2001"}, {"did": "02079460124", "ext_num": "2001"},
             {"did": "+442079460125", "ext_num": "2002"}]  # fmt: skip
    return {
        1: {"id": 1, "name": "one", "did_option": "pattern_to_ext_list", "did_pattern_to_ext_list": pairs},
        2: {"id": 2, "name": "two", "did_option": "patterns", "did_pattern_list": [{"did_pattern": "02079460199"}],
            "def_dest": "extension", "def_dest_value": "75"},
        3: {"id": 3, "name": "main", "did_option": "patterns", "did_pattern_list": [{"did_pattern": "0207946000X"}],
            "def_dest": "ivr", "def_dest_value": "6500"},
    }  # fmt: skip


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """The phone system."""
    tls, pem = server_tls(tmp_path)
    server = Server(Pbx(people(), routes()))
    async with running(server, tls) as port:
        yield Site(server, port, pem)
