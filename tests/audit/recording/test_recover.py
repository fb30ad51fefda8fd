"""A journal that a crash left: what was said to be durable plays, and what is damaged is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from audit.recording.recover import recover
from audit.sealing import FileKeyStore, FileMasterKey
from audit.storage import LocalObjects

from .test_recorder import CUSTOMER, SESSION, Case, case, shown

__all__ = ["case"]


def test_a_journal_that_is_being_written_is_not_recovered(
    case: Case, tmp_path: Path, objects: LocalObjects, keys: FileKeyStore
) -> None:
    assert recover(tmp_path / "journal", objects, keys) == []
    assert len(list((tmp_path / "journal").iterdir())) == 1


# -- kill -9 --

_CHILD = """
import asyncio, sys
from pathlib import Path
from audit.recording.recorder import Limits, Recorder
from audit.sealing import FileKeyStore, FileMasterKey
from audit.storage import LocalObjects

async def main():
    base, segment_bytes = Path(sys.argv[1]), int(sys.argv[2])
    keys = FileKeyStore(base / "keys", FileMasterKey.load(base / "master.key"))
    limits = Limits(batch_ms=1, segment_bytes=segment_bytes, refuse_free_percent=0)
    recorder = Recorder(base / "journal", LocalObjects(base / "objects"), keys, limits)
    async def logged(segment):
        print("segment", segment.number, segment.digest, flush=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run())
        recording = recorder.open(sys.argv[3], sys.argv[4], columns=80, rows=24, on_segment=logged,
                                  on_failed=print)
        for number in range(10_000_000):
            recording.output(b"line %d\\r\\n" % number)
            await recording.durable()
            print("durable", number, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(("segment_bytes", "after"), [(1 << 20, 40), (64, 60), (300, 7)])
def test_kill_9_loses_nothing_that_was_said_to_be_durable(tmp_path: Path, segment_bytes: int, after: int) -> None:
    FileMasterKey.create(tmp_path / "master.key")
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path), str(segment_bytes), CUSTOMER, SESSION],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert child.stdout is not None
    told = 0
    logged: dict[int, str] = {}
    for line in child.stdout:
        what, *rest = line.split()
        if what == "segment":
            logged[int(rest[0])] = rest[1]
        elif what == "durable" and (told := int(rest[0])) >= after:
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    keys = FileKeyStore(tmp_path / "keys", FileMasterKey.load(tmp_path / "master.key"))
    objects = LocalObjects(tmp_path / "objects")
    (found,) = recover(tmp_path / "journal", objects, keys)
    assert found.damaged is None
    for segment in found.segments:
        assert logged.get(segment.number, segment.digest) == segment.digest
    lines = shown(objects, keys).decode().split("\r\n")[:-1]
    assert lines == [f"line {number}" for number in range(len(lines))]
    assert len(lines) > told
    assert recover(tmp_path / "journal", objects, keys) == []


async def test_one_sessions_destroyed_key_does_not_hold_up_the_recovery_of_others(
    case: Case, tmp_path: Path, objects: LocalObjects, keys: FileKeyStore
) -> None:
    erased, kept = case.open("ses_" + "3" * 24), case.open()
    erased.output(b"erased")
    kept.output(b"kept")
    await kept.durable()
    os.close(case.recorder._fd)
    keys.destroy(CUSTOMER, "session:ses_" + "3" * 24)
    found = {each.session: each for each in recover(tmp_path / "journal", objects, keys)}
    assert found["ses_" + "3" * 24].damaged is not None
    assert found[SESSION].damaged is None
    assert shown(objects, keys) == b"kept"


async def test_a_flipped_byte_in_the_journal_is_told_and_what_came_before_it_plays(
    case: Case, tmp_path: Path, objects: LocalObjects, keys: FileKeyStore
) -> None:
    recording = case.open()
    for piece in (b"one ", b"two ", b"three"):
        recording.output(piece)
        await recording.durable()
    os.close(case.recorder._fd)
    (path,) = (tmp_path / "journal").iterdir()
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    (found,) = recover(tmp_path / "journal", objects, keys)
    assert found.damaged is not None
    assert shown(objects, keys) == b"one two "
