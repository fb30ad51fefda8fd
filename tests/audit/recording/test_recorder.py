"""No recording, no session: whatever breaks, the session hears of it once, and what was durable plays."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from audit.recording.disk import Space
from audit.recording.frames import read_records, unpack
from audit.recording.player import Player
from audit.recording.recorder import (
    Limits,
    Recorder,
    RecordingRefused,
    Segment,
    SessionRecording,
    recording_digest,
)
from audit.recording.recover import recover
from audit.sealing import FileKeyStore
from audit.storage import LocalObjects

CUSTOMER, SESSION = "cus_" + "1" * 24, "ses_" + "2" * 24
FAST = Limits(batch_ms=5, max_lag_ms=300, segment_ms=60_000, refuse_free_percent=0)


class Case:
    """One recorder that runs, and what its session was told."""

    def __init__(self, folder: Path, objects: LocalObjects, keys: FileKeyStore, limits: Limits) -> None:
        self.recorder = Recorder(folder, objects, keys, limits)
        self.segments: list[Segment] = []
        self.failures: list[str] = []
        self.failed = asyncio.Event()

    def open(self, session: str = SESSION, customer: str = CUSTOMER, **more: bool) -> SessionRecording:
        return self.recorder.open(
            customer,
            session,
            columns=80,
            rows=24,
            on_segment=self.on_segment,
            on_failed=self.on_failed,
            **more,
        )

    async def on_segment(self, segment: Segment) -> None:
        self.segments.append(segment)

    def on_failed(self, reason: str) -> None:
        self.failures.append(reason)
        self.failed.set()

    async def failure(self) -> str:
        """The one reason, once it comes."""
        async with asyncio.timeout(5):
            await self.failed.wait()
        return self.failures[0]


@asynccontextmanager
async def running(case: Case) -> AsyncIterator[Case]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(case.recorder.run())
        yield case
        task.cancel()


@pytest.fixture
def case(tmp_path: Path, objects: LocalObjects, keys: FileKeyStore) -> Case:
    return Case(tmp_path / "journal", objects, keys, FAST)


def shown(objects: LocalObjects, keys: FileKeyStore) -> bytes:
    """The output of the recording as it plays."""
    return b"".join(f.data for f in Player(objects, keys, CUSTOMER, SESSION).frames() if f.direction == ord("o"))


def assert_nowhere(words: bytes, folder: Path) -> None:
    """No file under `folder` holds these bytes."""
    for path in folder.rglob("*"):
        assert not path.is_file() or words not in path.read_bytes()


async def test_what_was_shown_plays_byte_for_byte(case: Case, objects: LocalObjects, keys: FileKeyStore) -> None:
    async with running(case):
        recording = case.open()
        pieces = [os.urandom(n) for n in (1, 100, 5000, 300_000)]
        for piece in pieces:
            recording.output(piece)
            await recording.durable()
        await recording.close()
    assert shown(objects, keys) == b"".join(pieces)
    assert case.failures == []
    for segment in case.segments:
        data = objects.get(f"recordings/{CUSTOMER}/{SESSION}/{segment.number}") or b""
        assert hashlib.sha256(data).hexdigest() == segment.digest


async def test_a_recording_is_nowhere_in_clear(case: Case, tmp_path: Path) -> None:
    async with running(case):
        recording = case.open()
        recording.output(b"CANARY-on-the-terminal" * 50)
        await recording.durable()
        assert_nowhere(b"CANARY", tmp_path)
        await recording.close()
    assert_nowhere(b"CANARY", tmp_path)


async def test_a_hung_disk_ends_the_session_and_holds_nothing_else_up(case: Case) -> None:
    release = threading.Event()
    case.recorder.sync = lambda _fd: [None, release.wait(30)][0]  # type: ignore[list-item,return-value]
    try:
        async with running(case):
            recording = case.open()
            recording.output(b"shown, never durable")
            assert "in time" in await case.failure()
            with pytest.raises(RecordingRefused):
                case.open("ses_" + "3" * 24)
            async with asyncio.timeout(5):
                await recording.close()
    finally:
        release.set()
    assert len(case.failures) == 1


async def test_a_session_that_is_cancelled_while_it_waits_costs_nobody_else_a_frame(
    case: Case, objects: LocalObjects, keys: FileKeyStore
) -> None:
    release, entered = threading.Event(), threading.Event()

    def slow(fd: int) -> None:
        entered.set()
        release.wait(30)
        os.fdatasync(fd)

    case.recorder.sync = slow
    recording = case.open()
    recording.output(b"first ")
    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(recording.durable())
        await asyncio.to_thread(entered.wait)
        waiter.cancel()
    recording.output(b"second")
    release.set()
    await recording.close()
    assert shown(objects, keys) == b"first second"
    assert case.failures == []


async def test_a_dead_disk_ends_every_session_once_and_refuses_the_next(case: Case) -> None:
    async with running(case):
        first, second = case.open(), case.open("ses_" + "3" * 24)
        await first.durable()
        os.close(case.recorder._fd)
        first.output(b"x")
        second.output(b"y")
        await case.failure()
        await asyncio.gather(first.close(), second.close())
        assert len(case.failures) == 2
        with pytest.raises(RecordingRefused):
            case.open("ses_" + "4" * 24)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a tiny file system takes root to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_ends_the_session_and_keeps_what_was_durable(
    tiny: Path, objects: LocalObjects, keys: FileKeyStore
) -> None:
    case = Case(tiny, objects, keys, FAST)
    async with running(case):
        recording = case.open()
        recording.output(b"before")
        await recording.durable()
        recording.output(os.urandom(512 << 10))
        assert "No space" in await case.failure()
        await recording.close()
    assert len(case.failures) == 1
    assert shown(objects, keys).startswith(b"before")


async def test_a_store_that_refuses_a_segment_ends_the_session_and_the_next_start_recovers(
    tmp_path: Path, keys: FileKeyStore
) -> None:
    objects = LocalObjects(tmp_path / "objects")
    (tmp_path / "objects" / "recordings").write_bytes(b"in the way")
    case = Case(tmp_path / "journal", objects, keys, FAST)
    async with running(case):
        recording = case.open()
        recording.output(b"kept in the journal")
        await recording.close()
    case.recorder.close()
    assert len(case.failures) == 1
    (tmp_path / "objects" / "recordings").unlink()
    (found,) = recover(tmp_path / "journal", objects, keys)
    assert (found.session, len(found.segments), found.damaged) == (SESSION, 1, None)
    assert shown(objects, keys) == b"kept in the journal"
    assert list((tmp_path / "journal").iterdir()) == []


async def test_a_log_that_does_not_take_the_segment_ends_this_session_only(case: Case) -> None:
    async def refuse(_segment: Segment) -> None:
        raise ConnectionError("the database is gone")

    async with running(case):
        recording = case.recorder.open(
            CUSTOMER, SESSION, columns=80, rows=24, on_segment=refuse, on_failed=case.on_failed
        )
        other = case.open("ses_" + "3" * 24)
        recording.output(b"x")
        await recording.close()
        assert "ConnectionError" in case.failures[0]
        other.output(b"y")
        await other.durable()
        await other.close()
    assert len(case.failures) == 1


async def test_closing_while_a_segment_is_being_stored_keeps_their_order(tmp_path: Path, keys: FileKeyStore) -> None:
    entered, release = asyncio.Event(), asyncio.Event()
    objects = LocalObjects(tmp_path / "objects")
    case = Case(tmp_path / "journal", objects, keys, Limits(batch_ms=1, segment_bytes=10, refuse_free_percent=0))

    async def slow(segment: Segment) -> None:
        entered.set()
        await release.wait()
        case.segments.append(segment)

    async with running(case):
        recording = case.recorder.open(
            CUSTOMER, SESSION, columns=80, rows=24, on_segment=slow, on_failed=case.on_failed
        )
        recording.output(b"first segment,")
        await entered.wait()
        recording.output(b" second segment")
        async with asyncio.TaskGroup() as group:
            group.create_task(recording.close())
            await asyncio.sleep(0)
            release.set()
    assert [segment.number for segment in case.segments] == [0, 1]
    assert case.failures == []
    assert shown(objects, keys) == b"first segment, second segment"


async def test_one_flood_ends_one_session(tmp_path: Path, objects: LocalObjects, keys: FileKeyStore) -> None:
    case = Case(tmp_path / "journal", objects, keys, Limits(session_quota_bytes=1000, refuse_free_percent=0))
    async with running(case):
        flood, calm = case.open(), case.open("ses_" + "3" * 24)
        flood.output(bytes(2000))
        assert "quota" in case.failures[0]
        calm.output(b"still here")
        await calm.durable()
        await asyncio.gather(flood.close(), calm.close())
    assert len(case.failures) == 1


async def test_a_customers_sessions_share_a_quota_that_their_ends_give_back(
    tmp_path: Path, objects: LocalObjects, keys: FileKeyStore
) -> None:
    case = Case(tmp_path / "journal", objects, keys, Limits(customer_quota_bytes=1000, refuse_free_percent=0))
    async with running(case):
        first = case.open()
        first.output(bytes(800))
        await first.close()
        second, third = case.open("ses_" + "3" * 24), case.open("ses_" + "4" * 24)
        second.output(bytes(800))
        assert case.failures == []
        third.output(bytes(300))
        assert "customer" in case.failures[0]
        await asyncio.gather(second.close(), third.close())


@pytest.mark.parametrize(("free", "ordinary", "incident"), [(30, True, True), (4, False, True), (0, False, False)])
def test_the_reserve_is_for_incidents(case: Case, free: int, ordinary: bool, incident: bool) -> None:
    case.recorder.limits = Limits()
    case.recorder.space = lambda _: Space(100 << 30, free << 30)
    assert case.recorder.nearly_full() == (free < 20)
    for allowed, wanted in ((ordinary, False), (incident, True)):
        if allowed:
            case.open("ses_" + str(int(wanted)) * 24, incident=wanted)
        else:
            with pytest.raises(RecordingRefused, match="nearly full"):
                case.open(incident=wanted)


async def test_watchers_see_what_is_recorded(case: Case) -> None:
    seen: list[bytes] = []
    async with running(case):
        recording = case.open()
        recording.watchers.add(lambda _direction, data: seen.append(data))
        recording.output(b"live")
        await recording.close()
    assert seen == [b"live"]


async def test_the_last_segment_can_be_left_to_whoever_closes_the_session(
    case: Case, objects: LocalObjects, keys: FileKeyStore
) -> None:
    async with running(case):
        recording = case.open()
        recording.output(b"first ")
        await recording.durable()
        await case.recorder.cut(recording)
        assert len(case.segments) == 1
        recording.output(b"last")
        digest = await recording.close(log_last=False)
        last = recording.unlogged
        assert last is not None
        # Whoever comes late (the loop that cuts, a second closing after the database was away) enters nothing.
        await case.recorder.cut(recording)
        assert await recording.close(log_last=False) == digest
    assert recording.unlogged is last
    assert [s.number for s in case.segments] == [0]
    assert [s.number for s in recording.stored] == [0, 1]
    assert digest == recording_digest([s.digest for s in recording.stored])
    assert shown(objects, keys) == b"first last"
    assert case.failures == []


async def test_a_batch_of_more_sessions_than_the_kernel_takes_at_once_is_whole(case: Case, keys: FileKeyStore) -> None:
    sessions = [f"ses_{number:024x}" for number in range(700)]
    for number, session in enumerate(sessions):
        case.open(session).output(b"screen %d" % number)
    await case.recorder.flush_now()
    found = list(read_records(case.recorder._path.read_bytes()))
    assert sorted(record.session for record in found) == sessions
    for record in found:
        *_, frame = unpack(record.open(keys.get(CUSTOMER, f"session:{record.session}")))
        assert frame.data == b"screen %d" % sessions.index(record.session)
