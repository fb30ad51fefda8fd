"""The log on a real database, keys and objects on a real disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from audit.checkpoint import Signer
from audit.clock import LogClock
from audit.inspect import Report, verify_database
from audit.log import AuditLog
from audit.sealing import FileKeyStore, FileMasterKey
from audit.sequencer import Sequencer
from audit.storage import LocalObjects
from audit.tables import TABLES

DEPLOYMENT = "frameroom.example"
CUSTOMER = "cus_" + "1" * 24
NEIGHBOUR = "cus_" + "2" * 24


def tell_sqlite(engine: AsyncEngine) -> None:
    """The settings that Frameroom runs SQLite with."""

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "busy_timeout=5000"):
            connection.cursor().execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: object) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # type: ignore[attr-defined]


@dataclass
class House:
    """Everything that the log needs, in one folder."""

    folder: Path
    engine: AsyncEngine
    keys: FileKeyStore
    objects: LocalObjects
    signer: Signer
    wall: list[int]
    audit: AuditLog
    sequencer: Sequencer

    async def sequence(self) -> None:
        """Number and publish all that waits."""
        async with self.engine.begin() as connection:
            waiting = await self.sequencer.unsequenced(connection)
        for log in waiting:
            async with self.engine.begin() as connection:
                note = await self.sequencer.integrate(connection, log)
            assert note is not None
            async with self.engine.connect() as connection:
                await self.sequencer.publish(connection, log, note)

    async def verify(self, **more: object) -> Report:
        """`frameroom audit verify`."""
        async with self.engine.connect() as connection:
            return await verify_database(
                connection,
                self.audit,
                self.objects,
                self.signer.vkey,
                DEPLOYMENT,
                **more,  # type: ignore[arg-type]
            )


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", FileMasterKey.create(tmp_path / "master.key"))


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path / "objects")


@pytest.fixture
def signer() -> Signer:
    return Signer(DEPLOYMENT, Ed25519PrivateKey.generate())


@pytest.fixture
async def house(tmp_path: Path, keys: FileKeyStore, objects: LocalObjects, signer: Signer) -> AsyncIterator[House]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/log.db")
    tell_sqlite(engine)
    async with engine.begin() as connection:
        for table in TABLES:
            await connection.run_sync(table.create)
    wall = [1_764_000_000_000]
    audit = AuditLog(keys, LogClock(lambda: wall[0]))
    yield House(tmp_path, engine, keys, objects, signer, wall, audit, Sequencer(signer, DEPLOYMENT, objects))
    await engine.dispose()
