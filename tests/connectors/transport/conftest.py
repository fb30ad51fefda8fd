"""A phone system with a certificate of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.connectors.transport.phone_system import Server, phone_system
from tests.support.certificates import certificate


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[Server, str]]:
    pem, key = certificate()
    async with phone_system(tmp_path, pem, key) as running:
        yield running, pem
