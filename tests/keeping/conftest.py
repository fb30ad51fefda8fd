"""A deployment on either database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.keeping.deployment import Deployment, make


@pytest.fixture
def embedded(tmp_path: Path) -> Deployment:
    """On SQLite alone: for what the database has no part in."""
    return make(tmp_path / "fr", ("sqlite", "sqlite"))


@pytest.fixture
def deployment(database: tuple[str, str], tmp_path: Path) -> Deployment:
    return make(tmp_path / "fr", database)
