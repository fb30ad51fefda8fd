"""A deployment on either database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.conftest import demo, ssh
from tests.keeping.deployment import Deployment, make

__all__ = ["demo", "ssh"]


@pytest.fixture
def database_of_demo() -> None:
    """The demo of these tests is embedded; what a database decides is asked of `deployment`."""


@pytest.fixture
def embedded(tmp_path: Path) -> Deployment:
    """On SQLite alone: for what the database has no part in."""
    return make(tmp_path / "fr", ("sqlite", "sqlite"))


@pytest.fixture
def deployment(database: tuple[str, str], tmp_path: Path) -> Deployment:
    return make(tmp_path / "fr", database)
