"""The log beside its goals: verifying, proofs, how far the checkpoint is behind, a visit's report, bytes an event.

`python -m bench.record [ENTRIES]`: a log of so many entries for proofs and verifying (a million; 10000000 is the goal's
own size, and takes some minutes to make).
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from audit.checkpoint import Checkpoint, Signer
from audit.clock import LogClock
from audit.events import Event
from audit.log import AuditLog
from audit.merkle import leaf_hash
from audit.proofs import check_inclusion, inclusion
from audit.publisher import object_name
from audit.recording.recorder import Limits, Recorder, Segment
from audit.report import Reporter
from audit.sealing import FileKeyStore, FileMasterKey
from audit.sequencer import Sequencer
from audit.storage import LocalObjects
from audit.tables import TABLES, logs
from audit.tiles import TileReader, TileWriter
from audit.whole import check_whole
from bench.events import (
    BATCHES,
    CALLERS,
    CUSTOMER,
    DEPLOYMENT,
    FEW,
    an_operation,
    appended_a_second,
    at_once_a_second,
    fdatasync_ms,
)  # fmt: skip
from bench.measuring import flat, line
from gateway.store.engine import Store

SIZE = 1_000_000
ORIGIN = f"{DEPLOYMENT}/{CUSTOMER}"
PROOFS = 500
IN_AN_HOUR = 600
"""Operations of a busy one-hour visit."""


def copy_of_a_log(folder: Path, size: int, signer: Signer) -> Path:
    """A log of `size` entries of the form and length of real ones, in tiles and bundles as tlog-tiles has them."""
    writer, made = TileWriter(), folder / "copy"
    for number in range(size):
        entry = (
            f'{{"actor":"eng_666666666666666666666666","data":{{"name":"view"}},"id":"evt_{number:024x}",'
            f'"kind":"operation.intended","log":"{CUSTOMER}","operation":"op_{number:024x}",'
            f'"session":"ses_{number // 99:024x}","time":{1_764_000_000_000 + number},"v":1}}'
        ).encode()
        for name, data in writer.add(entry, leaf_hash(entry)):
            _write(made / name, data)
    for name, data in writer.edge():
        _write(made / name, data)
    _write(made / "checkpoint", signer.sign(Checkpoint(ORIGIN, size, writer.root())).encode())
    return made


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def proofs(folder: Path, size: int) -> bool:
    """Of any entry, each by a reader that has read nothing yet."""

    def fetch(name: str) -> bytes | None:
        file = folder / name
        return file.read_bytes() if file.exists() else None

    root = Checkpoint(ORIGIN, size, TileWriter.at(size, fetch).root())
    taken, chance = [], random.Random(1)  # noqa: S311 - places, not secrets
    for index in (chance.randrange(size) for _ in range(PROOFS)):
        before = time.perf_counter()
        reader = TileReader(size, fetch)
        path = inclusion(reader.node, index, size)
        taken.append((time.perf_counter() - before) * 1000)
        check_inclusion(leaf_hash(reader.entry(index)), index, size, path, root.root)
    words = f"median {median(taken):.2f} ms, slowest of {PROOFS} {max(taken):.2f} ms, of {size:,} entries"
    return line("proof of any entry, ms", words, "≤ 5 ms, of 10,000,000", median(taken) <= 5)


def verifying(folder: Path, size: int, signer: Signer) -> bool:
    """What `python -m audit.verify FOLDER` does."""
    before = time.perf_counter()
    check_whole(folder, signer.vkey, ORIGIN, (), [])
    rate = size / (time.perf_counter() - before)
    return line("entries verified a second, one core", f"{rate:,.0f}, of {size:,}", "≥ 300,000", rate >= 300_000)


class Deployment:
    """A log in SQLite, its object store in a folder."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        folder.mkdir()
        self.folder = folder
        self.store = Store(f"sqlite:///{folder}/log.db")
        keys = FileKeyStore(folder / "keys", FileMasterKey.create(folder / "master.key"))
        self.audit, self.objects = AuditLog(keys, LogClock()), LocalObjects(folder / "objects")
        self.sequencer = Sequencer(signer, DEPLOYMENT, self.objects)

    async def begin(self) -> None:
        """Its tables."""
        async with self.store.engine.begin() as connection:
            for table in TABLES:
                await connection.run_sync(table.create)

    async def sequence(self) -> int:
        """Number, sign and publish what waits; the size then, 0 when nothing waited."""
        size = 0
        while True:
            async with self.store.engine.begin() as connection:
                note = await self.sequencer.integrate(connection, CUSTOMER)
            if note is None:
                return size
            async with self.store.engine.connect() as connection:
                await self.sequencer.publish(connection, CUSTOMER, note)
            size = int(note.split("\n")[1])

    def stored(self) -> int:
        """Bytes on the disk, database and object store."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())


async def lag(made: Deployment) -> bool:
    """How long after its commit an entry is covered by a published checkpoint, while entries keep coming."""
    written: list[float] = []
    taken: list[float] = []
    over = asyncio.Event()

    async def write() -> None:
        for number in range(400):
            async with made.store.engine.begin() as connection:
                await made.audit.append_many(connection, an_operation(number))
            written.append(time.perf_counter())
            await asyncio.sleep(0.005)
        over.set()

    async def publish() -> None:
        while not over.is_set() or len(taken) < len(written):
            ready = len(written)
            await made.sequence()
            taken.extend(time.perf_counter() - at for at in written[len(taken) : ready])
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        group.create_task(publish())
    words = f"median {median(taken):.2f} s, longest {max(taken):.2f} s, {len(taken) * 4:,} entries"
    return line("checkpoint behind its entries, s", words, "≤ 1 s", max(taken) <= 1)


async def report(made: Deployment) -> bool:
    """Of a visit of an hour, with everything that was done in it."""
    ids = {"system": "sys_" + "4" * 24, "session": "ses_" + "f" * 24, "grant": "grt_" + "5" * 24}
    acts = [event for number in range(IN_AN_HOUR) for event in an_operation(10**9 + number)[1:3]]
    events = [
        Event("session.opened", CUSTOMER, "eng_1", **ids),
        *(Event(e.kind, CUSTOMER, e.actor, operation=e.operation, personal=e.personal, **ids) for e in acts),
        Event("session.closed", CUSTOMER, "eng_1", **ids),
    ]
    async with made.store.engine.begin() as connection:
        await made.audit.append_many(connection, events)
    await made.sequence()
    note = (made.objects.get(object_name(CUSTOMER)) or b"").decode()
    before = time.perf_counter()
    async with made.store.look(CUSTOMER) as scope:
        told = (await Reporter(scope.connection, made.audit, made.objects, note).visit(ids["session"])).text()
    taken = time.perf_counter() - before
    words = f"{taken:.2f} s, {len(events):,} entries, {len(told) / 1e6:.1f} MB"
    return line("report of a one-hour visit, s", words, "≤ 2 s", taken <= 2)


async def bytes_an_event(folder: Path, signer: Signer) -> bool:
    """What database and object store grew by, over the number of events, at two sizes ten times apart."""
    found = []
    for size in (10_000, 100_000):
        made = Deployment(folder / f"bytes{size}", signer)
        await made.begin()
        empty = made.stored()
        await appended_a_second(made.store.engine, made.audit, BATCHES[-1], size)
        await made.sequence()
        async with made.store.engine.connect() as connection:
            assert (await connection.execute(select(logs.c.size))).scalar_one() == size  # noqa: S101
        await made.store.close()
        found.append((made.stored() - empty) / size)
    words = f"{found[0]:,.0f} at 10,000 events, {found[1]:,.0f} at 100,000"
    return line("bytes an event", words, "flat (within 10 %)", flat(*found))


async def _all(folder: Path, size: int) -> bool:
    signer = Signer(DEPLOYMENT, Ed25519PrivateKey.generate())
    made = Deployment(folder / "log", signer)
    await made.begin()
    await appended_a_second(made.store.engine, made.audit, 1, 40)  # warm: the first makes the keys
    alone = await appended_a_second(made.store.engine, made.audit, 1, 2_000)
    rate = await at_once_a_second(made.store, made.audit, CALLERS, 1, 12_000)
    batched = await appended_a_second(made.store.engine, made.audit, BATCHES[-1], 40_000)
    at_once = await at_once_a_second(made.store, made.audit, FEW, BATCHES[-1], 40_000)
    both = f"{at_once:,.0f} by {FEW} callers, {batched:,.0f} by one caller alone"
    words = f"{rate:,.0f} by {CALLERS} callers, each waiting for its own; {alone:,.0f} by one caller alone"
    met = [
        line("durable events a second, one by one", words, "≥ 5,000, where fdatasync is 0.2 ms", rate >= 5_000),
        line("durable events a second, 256 a transaction", both, "≥ 20,000", max(batched, at_once) >= 20_000),
    ]
    await made.sequence()  # what the figures above left waiting is not what is measured next
    met += [await lag(made), await report(made)]
    await made.store.close()
    met.append(await bytes_an_event(folder, signer))
    print(f"making a log of {size:,} entries …", flush=True)
    copy = await asyncio.to_thread(copy_of_a_log, folder, size, signer)
    met += [proofs(copy, size), verifying(copy, size, signer), *await bytes_a_terminal_byte(folder)]
    return all(met)


async def bytes_a_terminal_byte(folder: Path) -> list[bool]:
    """Stored segments over what the terminal showed, at two sizes of what is written at once."""
    place = folder / "recorded"
    keys = FileKeyStore(folder / "recording-keys", FileMasterKey.create(folder / "recording.key"))
    recorder = Recorder(place / "journal", LocalObjects(place / "objects"), keys, Limits(refuse_free_percent=0))
    met = []
    for size, goal in ((120, 0.4), (4096, 0.25)):
        recording = recorder.open(
            CUSTOMER, f"ses_{size:024x}", columns=80, rows=24, on_segment=_logged, on_failed=lambda why: print(why)
        )
        shown = _shown(1 << 20)
        for at in range(0, len(shown), size):
            recording.output(shown[at : at + size])
            await recording.keep_up()
        await recording.close()
        ratio = sum(segment.size for segment in recording.segments) / len(shown)
        words = f"{ratio:.3f} of {len(shown):,} bytes"
        met.append(line(f"recording, bytes a terminal byte, {size} at once", words, f"≤ {goal}", ratio <= goal))
    recorder.close()
    return met


def _shown(size: int) -> bytes:
    """What a terminal shows of a phone system: tables of people and devices, no two lines alike."""
    chance, made = random.Random(7), bytearray()  # noqa: S311 - no secret
    states = ("Avail", "Unavail", "Not in use", "InUse")
    while len(made) < size:
        number, rtt = chance.randrange(2000, 9999), chance.random() * 100
        made += (
            f"\x1b[32m{number}\x1b[0m  Person {chance.getrandbits(24):06x}  sip:{number}@10.{number % 250}.0.".encode()
        )
        made += f"{chance.randrange(250)}:5060  {chance.choice(states)}  {rtt:8.3f} ms\r\n".encode()
    return bytes(made)


async def _logged(_segment: Segment) -> None:
    return None


def main(size: int = SIZE) -> bool:
    """Measure in a temporary folder of the working directory's disk; True when every goal was met."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        print(f"fdatasync here: {fdatasync_ms(Path(folder)):.3f} ms; {os.cpu_count()} cores", flush=True)
        return asyncio.run(_all(Path(folder), size))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SIZE)
