"""The captured files behind a real OpenSSH server whose forced command is the helper."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from connectors.asterisk_files.connector import AsteriskFilesConnector
from tests.support.flat_pbx import Door, FlatPbx, bound, door


@pytest.fixture
def pbx(tmp_path: Path) -> FlatPbx:
    """The files alone."""
    return FlatPbx(tmp_path).make()


@pytest.fixture
def front(pbx: FlatPbx) -> Iterator[Door]:
    """sshd before them."""
    with door(pbx.folder / "ssh", bound(pbx)) as running:
        yield running


@pytest.fixture
async def opened(front: Door) -> AsyncIterator[AsteriskFilesConnector]:
    """An open connection."""
    connector = await front.connect()
    yield connector
    await connector.close()
