"""One recorder a process: a journal for all sessions, one fdatasync a batch, segments cut from it.

No recording, no session: when output is not durable within `max_lag_ms`, or the journal or a segment cannot be
written, the session's `on_failed` is called once, and the session ends. There is no switch to go on without.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from audit.recording.disk import Answer, DiskThread, Space
from audit.recording.disk import free_space as _space
from audit.recording.frames import Segment as Segment
from audit.recording.frames import seal_record, seal_segment
from audit.recording.recover import Recovered as Recovered
from audit.recording.recover import recover as recover
from audit.recording.session import Limits as Limits
from audit.recording.session import OnSegment as OnSegment
from audit.recording.session import RecordingRefused as RecordingRefused
from audit.recording.session import SessionRecording as SessionRecording
from audit.recording.session import recording_digest as recording_digest
from audit.sealing import FileKeyStore, MasterKeyAway, SealingError
from audit.steps import Step, Steps
from audit.storage import Objects, StorageError

_PARTS_AT_ONCE: Final = 1024
"""How many the kernel takes in one call (IOV_MAX)."""

_STOOD_STILL_S: Final = 2.0
"""Time in which this process itself stood still (a machine that is moved, a busy one) is not held against the disk: at
most so much, for nothing is shown in it either."""

Batched = tuple[SessionRecording, int, bytearray]


class Recorder:
    """Owns the journal. `run` belongs to the caller's TaskGroup and serves every session of the process."""

    def __init__(self, folder: Path, objects: Objects, keys: FileKeyStore, limits: Limits | None = None) -> None:
        self.folder, self.objects, self.keys = folder, objects, keys
        self.limits = limits or Limits()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._disk = DiskThread()
        self._new_journal()
        self._sessions: set[SessionRecording] = set()
        self._dirty: set[SessionRecording] = set()
        self._in_flight: list[SessionRecording] = []
        self._uncut: set[SessionRecording] = set()
        self._spent: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._hurried = asyncio.Event()
        self._merged = asyncio.Event()
        self._busy: Answer | None = None
        self.broken: str | None = None
        self.sync: Callable[[int], None] = os.fdatasync
        self.space: Callable[[Path], Space] = _space
        self._looked = 0.0
        self.steps = Steps()

    def _new_journal(self) -> None:
        path = self.folder / f"{os.getpid()}-{time.time_ns()}.journal"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        # Held as long as this process lives, so that nobody recovers a journal that is being written.
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        self._path, self._written, self._needed = path, 0, False

    def hung(self) -> bool:
        """True while the disk has not answered for half of what a session may wait."""
        return any(recording.lag_ms() > self.limits.max_lag_ms // 2 for recording in self._in_flight)

    def nearly_full(self) -> bool:
        """True below `warn_free_percent`: the operator is to be told."""
        usage = self.space(self.folder)
        return usage.free * 100 < usage.total * self.limits.warn_free_percent

    def spent(self, customer: str, more: int) -> int:
        """Bytes that the customer's open sessions have recorded, `more` of them now."""
        self._spent[customer] = self._spent.get(customer, 0) + more
        return self._spent[customer]

    def open(
        self,
        customer: str,
        session: str,
        *,
        columns: int,
        rows: int,
        on_segment: OnSegment,
        on_failed: Callable[[str], None],
        incident: bool = False,
    ) -> SessionRecording:
        """Start recording a session. RecordingRefused when it could not be kept. `incident` may use the reserve."""
        if self.broken is not None:
            raise RecordingRefused(f"the recorder has failed ({self.broken})")
        try:
            if self.hung():
                raise OSError(errno.ETIMEDOUT, "the disk does not answer")
            usage = self.space(self.folder)
        except OSError as error:
            raise RecordingRefused(f"the recorder has failed ({error.strerror})") from error
        floor = usage.total * self.limits.refuse_free_percent // 100
        if usage.free < (self._reserve(usage) // 4 if incident else floor):
            raise RecordingRefused("the disk that recordings are kept on is nearly full")
        try:
            key = self.keys.get_or_create(customer, f"session:{session}")
        except (SealingError, MasterKeyAway) as error:
            raise RecordingRefused("the recording's key could not be kept") from error
        recording = SessionRecording(self, customer, session, key, on_segment, on_failed)
        recording.incident = incident
        self._sessions.add(recording)
        recording.resize(columns, rows)
        return recording

    def _reserve(self, usage: Space) -> int:
        """Bytes kept for incidents; the last quarter of them for the audit log alone."""
        return min(usage.total * self.limits.refuse_free_percent // 100, self.limits.reserve_bytes)

    def _keep_reserve(self) -> None:
        """Once a second: a session that was opened in good time may not record the reserve away."""
        now = time.monotonic()
        if not self._sessions or now - self._looked < 1:
            return
        self._looked = now
        try:
            usage = self.space(self.folder)
        except OSError:
            return  # a file system that does not answer: the journal's own writes tell, and sooner
        for recording in tuple(self._sessions):
            if usage.free < self._reserve(usage) // (4 if recording.incident else 1):
                recording.fail("the disk that recordings are kept on is full but for its reserve")

    def wake(self, recording: SessionRecording) -> None:
        """A session has something new."""
        self._dirty.add(recording)
        self._wake.set()

    def hurry(self) -> None:
        """Do not let the batch wait any longer."""
        self._hurried.set()

    async def run(self) -> None:
        """Flush, cut and watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._flush_loop())
            group.create_task(self._cut_loop())
            group.create_task(self._watch_loop())

    async def _flush_loop(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._wake.wait()
            with suppress(TimeoutError):  # the batch has waited long enough: a timeout is the ordinary case
                async with asyncio.timeout(self.limits.batch_ms / 1000):
                    await self._hurried.wait()
            await self.flush_now()
            self._merged.set()

    async def _cut_loop(self) -> None:
        # Apart from the flush loop: storing a segment and logging it must not keep the next output off the disk.
        while True:
            await self._merged.wait()
            self._merged.clear()
            self._keep_reserve()
            if self._uncut:
                await self.steps.reached(Step.JOURNALLED)
            now = time.monotonic()
            for recording in tuple(self._uncut):
                if recording.failed is not None:
                    continue
                old = recording.uncut and now - recording.uncut_since > self.limits.segment_ms / 1000
                if old or len(recording.uncut) >= self.limits.segment_bytes:
                    await self.cut(recording)
            await self._shorten()

    async def _watch_loop(self) -> None:
        # Apart from the flush loop, so that a hung fdatasync is seen: what counts is completed ones.
        every_s, stood_still_s, until = self.limits.max_lag_ms / 10_000, 0.0, 0.0
        while True:
            due = time.monotonic() + every_s
            await asyncio.sleep(every_s)
            late_s = time.monotonic() - due
            if late_s > every_s:
                stood_still_s, until = min(stood_still_s + late_s, _STOOD_STILL_S), due + late_s
            # Only what waits for a disk: an idle session costs nothing here.
            waiting = {recording: recording.lag_ms() for recording in (*self._in_flight, *self._dirty)}
            meanwhile_ms = (time.monotonic() - until) * 1000
            if not any(lag_ms >= meanwhile_ms for lag_ms in waiting.values()):
                stood_still_s = 0.0  # all that waits now came later
            for recording, lag_ms in waiting.items():
                if lag_ms > self.limits.max_lag_ms * 8 // 10 + stood_still_s * 1000:
                    recording.fail("its recording could not be made durable in time")

    async def flush_within(self, limit_ms: int) -> bool:
        """`flush_now`, but a hung disk is waited for no longer than this. False when it did not answer."""
        wait_s, forgiven_s = limit_ms / 1000, _STOOD_STILL_S
        while True:
            due = asyncio.get_running_loop().time() + wait_s
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self.flush_now()
                return True
            # As long again as this process stood still; the disk's answer may only not have been heard yet.
            wait_s = min(asyncio.get_running_loop().time() - due, forgiven_s)
            if wait_s < 0.01:
                return False
            forgiven_s -= wait_s

    async def flush_now(self) -> None:
        """Make everything that is pending durable, in one fdatasync.

        Who waits may be cancelled (a session that ends): the write goes on, and settles itself when it is done.
        """
        while (busy := self._busy) is not None:
            if busy.done():
                # Awaiting what is done never yields, and its settling is a callback that needs the loop to run.
                await asyncio.sleep(0)
            else:
                await asyncio.shield(busy)
        self._wake.clear()
        self._hurried.clear()
        batch: list[Batched] = []
        records: deque[bytes] = deque()
        for recording in self._dirty:
            frames, recording.pending = recording.pending, bytearray()
            recording.in_flight_since, recording.pending_since = recording.pending_since, None
            if frames:
                recording.chunk += 1
                records += seal_record(recording.key, recording.customer, recording.session, recording.chunk, frames)
                batch.append((recording, recording.chunk, frames))
        self._in_flight, self._dirty = list(self._dirty), set()
        if batch:
            self._busy = self._disk.start(self._write, self._fd, records)
            self._busy.add_done_callback(lambda answer: self._settle(batch, answer.result()))
            await asyncio.shield(self._busy)

    def _settle(self, batch: list[Batched], error: OSError | None) -> None:
        self._busy = None
        self._merge(batch)
        if error is not None:
            self._needed = True
            self.broken = error.strerror or type(error).__name__
            for recording in tuple(self._sessions):
                recording.fail(f"the recording could not be written ({self.broken})")

    def _merge(self, batch: list[Batched]) -> None:
        for recording, chunk, frames in batch:
            if not recording.uncut:
                recording.uncut_since = time.monotonic()
                recording.uncut_first = int.from_bytes(frames[:8], "big")
            recording.uncut += frames
            recording.uncut_chunk = chunk
            recording.uncut_last = recording.last_us
            self._uncut.add(recording)
        for recording in self._in_flight:
            recording.in_flight_since = None
        self._in_flight = []

    def _write(self, fd: int, records: deque[bytes]) -> None:
        while records:
            written = os.writev(fd, tuple(islice(records, _PARTS_AT_ONCE)))
            self._written += written
            while written:
                part = records.popleft()
                if written < len(part):
                    records.appendleft(part[written:])
                written -= min(written, len(part))
        self.sync(fd)

    async def cut(self, recording: SessionRecording) -> None:
        """Store what is durable as the next segment and have it entered in the log: one at a time, in order."""
        async with recording.cutting:
            try:
                if recording.unlogged is None:
                    recording.unlogged = await self._store_segment(recording)
                if recording.unlogged is None:
                    return
                segment = recording.unlogged
                await self.steps.reached(Step.STORED)
                if recording.last_is_the_closers and not recording.uncut:
                    return
                await recording.on_segment(segment)
            except Exception as error:  # whatever kept it from being stored and logged ends this one session
                recording.fail(str(error) if isinstance(error, StorageError) else f"segment: {type(error).__name__}")
                return
            recording.segments.append(segment)
            recording.unlogged = None

    async def _store_segment(self, recording: SessionRecording) -> Segment | None:
        frames, recording.uncut = recording.uncut, bytearray()
        self._uncut.discard(recording)
        if not frames:
            return None
        number, chunk = len(recording.segments), recording.uncut_chunk
        first, last = recording.uncut_first, recording.uncut_last
        name = f"recordings/{recording.customer}/{recording.session}/{number}"
        try:
            data = seal_segment(recording.key, recording.customer, recording.session, number, chunk, frames)
            if not await asyncio.to_thread(self.objects.put_new, name, data):
                raise StorageError(f"{name} is there already")
        except BaseException:
            recording.uncut = frames + recording.uncut
            recording.uncut_first = first
            self._uncut.add(recording)
            raise
        return Segment(number, hashlib.sha256(data).hexdigest(), first, last, len(data))

    async def finish(self, recording: SessionRecording, *, log_last: bool = True) -> None:
        """Flush and cut what is left of one session, and let it go. A dead disk is not waited for.

        With `log_last` false the last segment is stored and `unlogged`: whoever closes the session logs it.
        """
        await self.flush_within(self.limits.max_lag_ms)
        recording.last_is_the_closers = not log_last
        await self.cut(recording)
        unlogged = recording.unlogged is not None and log_last
        if recording.uncut or recording.pending or unlogged or recording in self._in_flight:
            # The journal is all that has the rest: the next start recovers it.
            self._needed = True
            recording.fail("the end of its recording could not be stored")
        for waiting in (self._sessions, self._dirty, self._uncut):
            waiting.discard(recording)
        left = self._spent.get(recording.customer, 0) - recording.total
        if left > 0:
            self._spent[recording.customer] = left
        else:
            self._spent.pop(recording.customer, None)
        recording.total = 0  # given back once, however often this is called

    async def _shorten(self) -> None:
        """Empty a journal that has grown, once everything in it is in segments."""
        if self._written < self.limits.journal_bytes or self.broken is not None:
            return
        for recording in tuple(self._uncut):
            await self.cut(recording)
        # What another task is storing right now has left `_uncut` already, and is in no segment yet.
        if self._busy is not None or any(recording.cutting.locked() for recording in self._sessions):
            return
        if self._needed:
            os.close(self._fd)
            self._new_journal()
        elif not self._uncut:
            self._written = 0
            self._busy = self._disk.start(os.ftruncate, self._fd, 0)
            self._busy.add_done_callback(lambda answer: self._settle([], answer.result()))

    def close(self) -> None:
        """Take the journal away when nothing in it is needed; otherwise the next start recovers it."""
        os.close(self._fd)
        if not self._needed and not any(r.uncut or r.pending or r.unlogged for r in self._sessions):
            self._path.unlink(missing_ok=True)
