"""What recording costs: a call of `output`, bulk, memory of an idle session, and the lag behind the disk.

`python -m bench.recording`.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
import tracemalloc
from pathlib import Path
from statistics import median, quantiles

from audit.recording.recorder import Limits, Recorder, Segment, SessionRecording
from audit.sealing import FileKeyStore, FileMasterKey
from audit.storage import LocalObjects
from bench.events import fdatasync_ms

CUSTOMER = "cus_" + "1" * 24
SMALL, CALLS = b"x" * 80, 100_000
PIECE, BULK = b"0123456789abcdef" * 1024, 256 << 20
IDLE = 2_000


async def _logged(_segment: Segment) -> None:
    return None


def _open(recorder: Recorder, number: int) -> SessionRecording:
    return recorder.open(
        CUSTOMER, f"ses_{number:024x}", columns=80, rows=24, on_segment=_logged, on_failed=lambda reason: print(reason)
    )


async def call_us(recorder: Recorder) -> float:
    """Microseconds of one `output` of 80 bytes."""
    recording = _open(recorder, 1)
    before = time.perf_counter()
    for _ in range(CALLS):
        recording.output(SMALL)
    taken = time.perf_counter() - before
    await recording.close()
    return taken / CALLS * 1e6


async def bulk(recorder: Recorder) -> tuple[float, float]:
    """(MB/s into the journal and segments, CPU s/GB); the producer holds back at half the lag that is allowed."""
    recording = _open(recorder, 2)
    cpu, before = time.process_time(), time.perf_counter()
    for _ in range(BULK // len(PIECE)):
        recording.output(PIECE)
        if len(recording.pending) > 4 << 20 or recording.lag_ms() > recorder.limits.max_lag_ms // 2:
            await recording.durable()
    await recording.close()
    taken, used = time.perf_counter() - before, time.process_time() - cpu
    return BULK / taken / 1e6, used / (BULK / 1e9)


async def _settled(recording: SessionRecording) -> None:
    """Poll until all is durable: to wait for it by `durable` would hurry the batch."""
    if recording.pending_since is not None or recording.in_flight_since is not None:
        await asyncio.sleep(0.001)
        await _settled(recording)


async def lag(recorder: Recorder) -> list[float]:
    """Milliseconds until a keystroke's echo is durable, when nobody hurries the batch."""
    recording, taken = _open(recorder, 3), []
    for _ in range(40):
        before = time.perf_counter()
        recording.output(b"x")
        await _settled(recording)
        taken.append((time.perf_counter() - before) * 1000)
    await recording.close()
    return taken


async def idle_kib(recorder: Recorder) -> float:
    """KiB of one session that shows nothing, its opening frame stored."""
    gc.collect()
    tracemalloc.start()
    held = []
    for number in range(IDLE):
        held.append(_open(recorder, 10 + number))
        # Opening makes a key, which waits for the disk; let the recorder have its turn as a server would.
        await held[-1].durable()
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] / len(held) / 1024
    tracemalloc.stop()
    await asyncio.gather(*(recording.close() for recording in held))
    return used


async def measure(folder: Path) -> None:
    """Print every figure."""
    keys = FileKeyStore(folder / "keys", FileMasterKey.create(folder / "master.key"))
    limits = Limits(session_quota_bytes=1 << 40, refuse_free_percent=0)
    recorder = Recorder(folder / "journal", LocalObjects(folder / "objects"), keys, limits)
    print(f"fdatasync here: {fdatasync_ms(folder):.3f} ms")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(recorder.run())
        print(f"one output of {len(SMALL)} bytes: {await call_us(recorder):.2f} µs")
        speed, cpu = await bulk(recorder)
        print(f"bulk: {speed:.0f} MB/s, {cpu:.1f} CPU s/GB (sealed journal, zstd, sealed segments, all durable)")
        taken = await lag(recorder)
        print(f"durable after: p50 {median(taken):.0f} ms, p95 {quantiles(taken, n=20)[-1]:.0f} ms")
        print(f"idle session: {await idle_kib(recorder):.1f} KiB over {IDLE:,}")
        running.cancel()
    recorder.close()


def main() -> None:
    """Measure in a temporary folder of the working directory's disk."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    main()
