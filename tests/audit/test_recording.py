"""No recording, no session: durable in time, sealed on disk, played as it was, recovered after kill -9."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.recording.frames import OUTPUT, RecordingError, pack, read_records, unpack
from audit.recording.player import Player, sanitise
from audit.recording.recorder import Limits, Recorder, RecordingRefused, Segment, SessionRecording, recover
from audit.sealing import FileKeyStore, FileMasterKey
from audit.storage import LocalObjects

SECRET_WORDS = b"the words on the screen"


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        key = folder / "master.key"
        self.master = FileMasterKey.load(key) if key.exists() else FileMasterKey.create(key)
        self.keys = FileKeyStore(folder / "keyring", self.master)
        self.objects = LocalObjects(folder / "objects")
        self.segments: list[Segment] = []
        self.failures: list[str] = []
        self.failed = asyncio.Event()

    @asynccontextmanager
    async def recorder(self, limits: Limits | None = None) -> AsyncIterator[Recorder]:
        recorder = Recorder(self.folder / "journal", self.objects, self.keys, limits)
        task = asyncio.ensure_future(recorder.run())
        yield recorder
        task.cancel()
        await asyncio.wait({task})

    def open(self, recorder: Recorder, session: str = "ses_1") -> SessionRecording:
        async def on_segment(segment: Segment) -> None:
            self.segments.append(segment)

        def on_failed(reason: str) -> None:
            self.failures.append(reason)
            self.failed.set()

        return recorder.open("cus_a", session, columns=80, rows=24, on_segment=on_segment, on_failed=on_failed)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_what_was_shown_is_played(place: Place) -> None:
    async with place.recorder() as recorder:
        recording = place.open(recorder)
        for piece in (b"caf\xc3", b"\xa9\n", b"\xff\xfe\n", SECRET_WORDS):
            recording.output(piece)
        recording.resize(120, 40)
        await recording.close()
    player = Player(place.objects, place.keys, "cus_a", "ses_1")
    assert (
        b"".join(f.data for f in player.frames() if f.direction == OUTPUT) == b"caf\xc3\xa9\n\xff\xfe\n" + SECRET_WORDS
    )
    assert "café\n" in "".join(text for _, text in player.text())
    assert [line for _, line in player.search("WORDS")] == [SECRET_WORDS.decode()]


async def test_nothing_on_disk_is_in_clear(place: Place) -> None:
    async with place.recorder() as recorder:
        recording = place.open(recorder)
        recording.output(SECRET_WORDS)
        await recording.durable()
        on_disk = b"".join(p.read_bytes() for p in place.folder.rglob("*") if p.is_file())
        await recording.close()
    on_disk += b"".join(p.read_bytes() for p in place.folder.rglob("*") if p.is_file())
    assert SECRET_WORDS not in on_disk
    assert len(on_disk) > 200


async def test_a_write_that_fails_ends_the_session(place: Place) -> None:
    async with place.recorder() as recorder:

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        recorder.sync = full
        recording = place.open(recorder)
        recording.output(b"x")
        await place.failed.wait()
        assert "No space left" in place.failures[0]
        with pytest.raises(RecordingRefused):
            await recording.durable()
        with pytest.raises(RecordingRefused):
            place.open(recorder, "ses_2")
    assert len(place.failures) == 1


async def test_a_flush_between_a_write_and_its_settling_does_not_spin(place: Place) -> None:
    recorder = Recorder(place.folder / "journal", place.objects, place.keys)
    loop = asyncio.get_running_loop()
    written: asyncio.Future[OSError | None] = loop.create_future()
    written.set_result(None)
    recorder._busy = written
    written.add_done_callback(lambda answer: recorder._settle([], answer.result()))
    await recorder.flush_now()
    assert recorder._busy is None
    recorder.close()


async def test_a_hung_disk_ends_the_session(place: Place) -> None:
    go_on = threading.Event()
    async with place.recorder(Limits(max_lag_ms=200)) as recorder:
        recorder.sync = lambda _: go_on.wait(20) and None
        place.open(recorder).output(b"x")
        await place.failed.wait()
        go_on.set()
    assert place.failures == ["its recording could not be made durable in time"]


async def test_a_process_that_stood_still_ends_no_session_for_it(place: Place) -> None:
    """A machine is moved, or busy: what waits for the disk is old at once, and the disk did nothing wrong."""
    async with place.recorder(Limits(max_lag_ms=200)) as recorder:
        recording = place.open(recorder)
        for _ in range(3):  # once each way: before a batch is begun, and while it is on its way
            recording.output(b"x")
            time.sleep(0.3)  # noqa: ASYNC251 - the whole process stands still, as when it gets no processor
            await recording.durable()
            recording.output(b"y")
            begun = asyncio.ensure_future(recording.durable())
            await asyncio.sleep(0)
            time.sleep(0.3)  # noqa: ASYNC251
            await begun
        await recording.close()
    assert place.failures == []
    assert sum(segment.size for segment in place.segments) > 0


async def test_a_process_that_stood_still_forgives_no_disk_that_hangs(place: Place) -> None:
    go_on = threading.Event()
    async with place.recorder(Limits(max_lag_ms=200)) as recorder:
        recorder.sync = lambda _: go_on.wait(20) and None
        place.open(recorder).output(b"x")
        time.sleep(0.3)  # noqa: ASYNC251
        await place.failed.wait()
        go_on.set()
    assert place.failures == ["its recording could not be made durable in time"]


async def test_a_process_kept_busy_for_good_does_not_hide_a_disk_that_hangs(place: Place) -> None:
    go_on = threading.Event()
    async with place.recorder(Limits(max_lag_ms=200)) as recorder:
        recorder.sync = lambda _: go_on.wait(60) and None
        for _ in range(5):
            await asyncio.sleep(0)  # the watch begins
        place.open(recorder).output(b"x")
        for _ in range(4):  # seconds, of which two are forgiven
            time.sleep(1)  # noqa: ASYNC251 - the whole process stands still, again and again
            for _ in range(5):
                await asyncio.sleep(0)  # the watch is due each time
        go_on.set()
    assert place.failures == ["its recording could not be made durable in time"]


async def test_a_segment_that_cannot_be_stored_ends_the_session(place: Place) -> None:
    async with place.recorder(Limits(segment_bytes=10)) as recorder:
        recording = place.open(recorder)
        (place.folder / "objects" / "recordings").write_text("in the way")
        recording.output(b"x" * 100)
        await place.failed.wait()
    assert "could not store" in place.failures[0]


async def test_a_flood_ends_one_session_only(place: Place) -> None:
    async with place.recorder(Limits(session_quota_bytes=1000)) as recorder:
        flood, other = place.open(recorder, "ses_1"), place.open(recorder, "ses_2")
        flood.output(b"x" * 2000)
        other.output(b"y")
        await other.durable()
        assert flood.failed == "its recording is over the quota"
        assert other.failed is None


KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from audit.recording.recorder import Recorder, Limits
from audit.sealing import FileKeyStore, FileMasterKey
from audit.storage import LocalObjects

async def main():
    folder = Path({folder!r})
    keys = FileKeyStore(folder / "keyring", FileMasterKey.load(folder / "master.key"))
    recorder = Recorder(folder / "journal", LocalObjects(folder / "objects"), keys, Limits(segment_bytes=1 << 30))
    async def on_segment(segment): pass
    recording = recorder.open("cus_a", "ses_1", columns=80, rows=24, on_segment=on_segment, on_failed=print)
    for number in range(50):
        recording.output(b"line %d\\n" % number)
        await recording.durable()
        print(number, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_after_kill_9_everything_durable_is_played(place: Place) -> None:
    code = KILLED.format(root=str(Path(__file__).parents[2]), folder=str(place.folder))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if line == b"20\n":
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    (found,) = recover(place.folder / "journal", place.objects, place.keys)
    assert (found.customer, found.session, len(found.segments)) == ("cus_a", "ses_1", 1)
    played = "".join(text for _, text in Player(place.objects, place.keys, "cus_a", "ses_1").text())
    assert "line 20\n" in played
    assert not list((place.folder / "journal").glob("*.journal"))


async def test_the_export_plays_in_asciinema(place: Place) -> None:
    async with place.recorder() as recorder:
        recording = place.open(recorder)
        recording.output("Grüße\r\n".encode())
        await recording.close()
    file = place.folder / "cast"
    file.write_text("\n".join(Player(place.objects, place.keys, "cus_a", "ses_1").asciicast("t")) + "\n")
    played = subprocess.run(
        [sys.executable, "-m", "asciinema", "cat", str(file)],
        capture_output=True,
        env=os.environ | {"LC_ALL": "C.UTF-8"},
    )
    assert "Grüße" in played.stdout.decode(), played.stderr


@given(st.binary(max_size=300))
def test_no_bytes_break_the_frame_parser(data: bytes) -> None:
    try:
        assert b"".join(pack(f.offset_us, f.direction, f.data) for f in unpack(data)) == data
    except RecordingError as error:
        assert str(error)
    assert all(record.customer is not None for record in read_records(data))


@given(st.text(alphabet="\x1b\x9b\x90]P[_^;0123mHJ\x07\\abc\n", max_size=80))
def test_what_is_played_cannot_do_more_than_show(text: str) -> None:
    shown = sanitise(text)
    assert "\x07" not in shown
    assert not any(c in shown for c in "\x90\x9b\x9d\x9e\x9f")
    assert all(after == "[" for before, after in zip(shown, shown[1:] + " ", strict=False) if before == "\x1b")
