"""A furnished customer in a database of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.store.engine import Store
from tests.support.furnished import Furnished, furnish


@pytest.fixture
async def brook(store: Store, tmp_path: Path) -> Furnished:
    """The customer Brook."""
    return await furnish(store, tmp_path)
