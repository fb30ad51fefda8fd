"""Fixtures for everybody: a database of each kind, with the schema in it."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.store import schema
from gateway.store.engine import Store
from tests.support.postgres import Postgres

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has whatever it starts in the background ignore Ctrl-C, and what that starts in its turn does, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_MEMORY = Path("/dev/shm")
if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 4 << 30:
    # A disk that others keep busy makes fdatasync take seconds, and Frameroom rightly ends visits then.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


@pytest.fixture(autouse=True, scope="module")
def _what_is_over_is_not_walked_again() -> None:
    """What earlier modules left is kept from the garbage collector: in a long run its pauses would count as a disk
    that hangs, and Frameroom rightly ends visits then."""
    gc.collect()
    gc.freeze()


_MIGRATED = {"store", "closed"}
"""Fixtures that want the schema in their database."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One real server for the whole run."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.stop()  # also when it never answered: no process outlives the run


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with the newest schema, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "migrated.db"
    schema.upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """(owner's URL, application's URL) of a database, once of each kind: empty, or migrated for whoever wants that."""
    migrated = not _MIGRATED.isdisjoint(request.fixturenames)
    if request.param == "sqlite":
        file = tmp_path / "test.db"
        if migrated:
            shutil.copy(request.getfixturevalue("migrated_file"), file)
        yield f"sqlite:///{file}", f"sqlite:///{file}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    made = server.migrated_database() if migrated else server.create_database()
    yield made
    server.drop(made[0])  # a thousand of them would be more than the memory that files are kept in


@pytest.fixture
async def store(database: tuple[str, str]) -> AsyncIterator[Store]:
    """A store under the application's role, with the newest schema."""
    _, app = database
    opened = Store(app)
    yield opened
    await opened.close()
