"""Durable audit events a second, how far the checkpoint is behind, and how fast the log verifies.

SQLite as Frameroom runs it (WAL, synchronous=FULL), one transaction a batch, each event with a commitment and a
sealed payload in one of four. `python -m bench.events`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncEngine

from audit.checkpoint import Signer
from audit.clock import LogClock
from audit.events import Event, Personal
from audit.inspect import verify_database
from audit.log import AuditLog
from audit.sealing import FileKeyStore, FileMasterKey
from audit.sequencer import Sequencer
from audit.storage import LocalObjects
from audit.tables import TABLES
from gateway.store.engine import Store

CUSTOMER = "cus_" + "1" * 24
DEPLOYMENT = "bench.example"
BATCHES = (1, 64, 256)
CALLERS, FEW = 128, 4


def fdatasync_ms(folder: Path, rounds: int = 100) -> float:
    """Median of this disk's fdatasync after a write of 512 bytes: what every figure here stands on."""
    taken = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(rounds):
            file.write(b"x" * 512)
            before = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - before) * 1000)
    return median(taken)


def an_operation(number: int) -> list[Event]:
    """The four events that one visit of one operation leaves."""
    ids: dict[str, Any] = {
        "system": "sys_" + "4" * 24,
        "session": f"ses_{number:024x}",
        "grant": "grt_" + "5" * 24,
        "operation": f"op_{number:024x}",
    }
    seen = Personal("after", {"name": "Grace Bell", "email": "grace@customer.example"}, "customer:" + CUSTOMER)
    kinds = (("session.opened", ()), ("operation.intended", ()), ("operation.done", (seen,)), ("session.closed", ()))
    return [
        Event(kind, CUSTOMER, "eng_" + "6" * 24, subject="sub_" + "7" * 24, personal=personal, **ids)
        for kind, personal in kinds
    ]


async def appended_a_second(engine: AsyncEngine, audit: AuditLog, batch: int, total: int) -> float:
    """Events a second, each batch its own durable transaction."""
    events = [event for number in range(total // 4) for event in an_operation(number)]
    before = time.perf_counter()
    for start in range(0, len(events), batch):
        async with engine.begin() as connection:
            await audit.append_many(connection, events[start : start + batch])
    return len(events) / (time.perf_counter() - before)


async def at_once_a_second(store: Store, audit: AuditLog, callers: int, batch: int, total: int) -> float:
    """Events a second of so many callers at once, each waiting until a batch of its own is durable."""
    events = [event for number in range(total // 4) for event in an_operation(number)]
    starts = iter(range(0, len(events), batch))

    async def call() -> None:
        for start in starts:
            async with store.scope(CUSTOMER) as scope:
                await audit.append_many(scope.connection, events[start : start + batch])

    before = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    return len(events) / (time.perf_counter() - before)


async def batched_a_second(folder: Path) -> float:
    """Durable events a second, 256 a transaction, into a log of their own in an empty folder."""
    store = Store(f"sqlite:///{folder}/log.db")
    audit = AuditLog(FileKeyStore(folder / "keys", FileMasterKey.create(folder / "master.key")), LogClock())
    async with store.engine.begin() as connection:
        for table in TABLES:
            await connection.run_sync(table.create)
    rate = await appended_a_second(store.engine, audit, BATCHES[-1], 10_000)
    await store.close()
    return rate


async def sequenced_a_second(engine: AsyncEngine, sequencer: Sequencer) -> float:
    """Entries a second that get their index, into signed and published checkpoints."""
    done, before = 0, time.perf_counter()
    while True:
        async with engine.begin() as connection:
            note = await sequencer.integrate(connection, CUSTOMER)
        if note is None:
            return done / (time.perf_counter() - before)
        async with engine.connect() as connection:
            await sequencer.publish(connection, CUSTOMER, note)
        done = int(note.split("\n")[1])


async def measure(folder: Path) -> None:
    """Print every figure."""
    store = Store(f"sqlite:///{folder}/log.db")
    keys = FileKeyStore(folder / "keys", FileMasterKey.create(folder / "master.key"))
    objects, audit = LocalObjects(folder / "objects"), AuditLog(keys, LogClock())
    signer = Signer(DEPLOYMENT, Ed25519PrivateKey.generate())
    async with store.engine.begin() as connection:
        for table in TABLES:
            await connection.run_sync(table.create)
    print(f"fdatasync here: {fdatasync_ms(folder):.3f} ms")
    for batch in BATCHES:
        rate = await appended_a_second(store.engine, audit, batch, 2_000 if batch == 1 else 20_000)
        print(f"durable events/s, {batch:>3} a transaction: {rate:>9,.0f}")
    for callers, batch, total in ((CALLERS, 1, 8_000), (FEW, BATCHES[-1], 40_000)):
        rate = await at_once_a_second(store, audit, callers, batch, total)
        print(f"durable events/s, {batch:>3} a transaction, {callers} callers: {rate:>9,.0f}")
    print(
        f"sequenced entries/s: {await sequenced_a_second(store.engine, Sequencer(signer, DEPLOYMENT, objects)):>9,.0f}"
    )
    before = time.perf_counter()
    async with store.engine.connect() as connection:
        report = await verify_database(connection, audit, objects, signer.vkey, DEPLOYMENT)
    taken = time.perf_counter() - before
    print(f"verified entries/s: {report.entries / taken:>9,.0f} ({report.entries:,} entries, payloads opened)")
    await store.close()


def main() -> None:
    """Measure in a temporary folder of the working directory's disk."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    main()
