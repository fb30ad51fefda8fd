"""A recording of twelve hours: opening, seeking, searching, exporting, and what memory that takes.

`python -m bench.long_recording [HOURS]`. The recorder makes it as it makes any, journal, segments and all; only the
recording's own clock is put on, five seconds at a time.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from audit.recording.player import Player
from audit.recording.recorder import Limits, Recorder, Segment
from audit.sealing import FileKeyStore, FileMasterKey
from audit.storage import LocalObjects
from bench.measuring import line

HOURS: Final = 12.0
STEP_S: Final = 5
CUSTOMER, SESSION = "cus_" + "1" * 24, "ses_" + "2" * 24
SEEKS: Final = 10
_US: Final = 1_000_000


async def _logged(_segment: Segment) -> None:
    return None


async def make(folder: Path, hours: float) -> tuple[int, int]:
    """The recording; its segments and bytes on the disk."""
    keys = FileKeyStore(folder / "keys", FileMasterKey.create(folder / "master.key"))
    limits = Limits(session_quota_bytes=1 << 40, refuse_free_percent=0, max_lag_ms=60_000)
    recorder = Recorder(folder / "journal", LocalObjects(folder / "objects"), keys, limits)
    failed: list[str] = []
    recording = recorder.open(CUSTOMER, SESSION, columns=80, rows=24, on_segment=_logged, on_failed=failed.append)
    for number in range(int(hours * 3600 / STEP_S)):
        for row in range(12):
            recording.output(f"\x1b[32m{2000 + row}\x1b[0m  Person {number}-{row}  Avail  sip/{row}\r\n".encode())
        recording._start -= STEP_S * 1_000_000_000
        await recording.durable()
        await recorder.cut(recording)
    await recording.close()
    recorder.close()
    if failed:
        raise RuntimeError(failed[0])
    return len(recording.segments), sum(segment.size for segment in recording.segments)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _player(folder: Path) -> Player:
    keys = FileKeyStore(folder / "keys", FileMasterKey.load(folder / "master.key"))
    return Player(LocalObjects(folder / "objects"), keys, CUSTOMER, SESSION)


def measure(folder: Path, hours: float) -> list[bool]:
    """Print each figure; whether each was met."""
    before = time.perf_counter()
    next(iter(_player(folder).text()))
    opened = time.perf_counter() - before
    chance, taken = random.Random(1), []  # noqa: S311 - places, not secrets
    for _ in range(SEEKS):
        at = chance.randrange(int(hours * 3600 * _US))
        before = time.perf_counter()
        next(iter(_player(folder).text(at)), None)
        taken.append((time.perf_counter() - before) * 1000)
    started = _peak_mib()
    before = time.perf_counter()
    last = sum(1 for _ in _player(folder).search(f"Person {int(hours * 3600 / STEP_S) - 1}-11 "))
    searched = time.perf_counter() - before
    lines = sum(1 for _ in _player(folder).asciicast("bench"))
    grown = _peak_mib() - started
    seeks = f"slowest of {SEEKS} places {max(taken):.0f} ms"
    return [
        line(f"a recording of {hours:g} hours opens, s", f"{opened:.3f} s", "< 1 s", opened < 1),
        line("it is at any moment, ms", seeks, "< 200 ms", max(taken) < 200),
        line("memory that all of it searched and exported adds, MiB", f"{grown:.1f} MiB, {lines:,} lines exported",
             "flat (≤ 16)", grown <= 16),
        line("words in its last seconds found, s", f"{searched:.1f} s, all of it read", "found", last == 1),
    ]  # fmt: skip


def main(hours: float = HOURS) -> bool:
    """Measure in a temporary folder of the working directory's disk; True when every goal was met."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        before = time.monotonic()
        segments, size = asyncio.run(make(Path(folder), hours))
        print(f"{hours:g} hours, {segments:,} segments, {size / 1e6:.1f} MB, made in {time.monotonic() - before:.0f} s",
              flush=True)  # fmt: skip
        return all(measure(Path(folder), hours))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else HOURS)
