"""The door's world, fresh for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.session.door.world import World, make_template, world


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with the schema."""
    return make_template(tmp_path_factory.mktemp("template") / "state.db")


@pytest.fixture
async def here(tmp_path: Path, template: Path) -> AsyncIterator[World]:
    """A door on loopback."""
    async with world(tmp_path, template=template) as made:
        yield made
