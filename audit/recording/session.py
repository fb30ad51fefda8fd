"""One session's recording: what it is given, how far that is durable, and the one reason for which it failed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from audit.recording.frames import MARKER, OUTPUT, RESIZE, Segment, head


class RecordingRefused(Exception):
    """No recording can be opened, so no session either: the disk is nearly full or the recorder has failed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How a recorder behaves; milliseconds, bytes and per cent as named."""

    batch_ms: int = 50
    max_lag_ms: int = 1000
    segment_ms: int = 5000
    segment_bytes: int = 256 << 10
    warn_free_percent: int = 20
    refuse_free_percent: int = 5
    reserve_bytes: int = 256 << 20
    """Only a session of an incident may be opened on what lies between this and `refuse_free_percent`."""
    session_quota_bytes: int = 512 << 20
    customer_quota_bytes: int = 8 << 30
    """Of a customer's open sessions together."""
    journal_bytes: int = 64 << 20
    ahead_bytes: int = 1 << 20
    """Of one session that may wait for the disk before a flood is held back (`keep_up`)."""


_RECENT: Final = 16 << 10
"""Bytes of what a terminal showed last that a watcher who joins is shown; up to twice as many are kept."""
OnSegment = Callable[[Segment], Awaitable[None]]
Watcher = Callable[[int, bytes], None]


class Journal(Protocol):
    """What a session's recording needs of the recorder that owns it (recorder.py)."""

    limits: Limits

    def wake(self, recording: SessionRecording) -> None:
        """A session has something new."""

    def spent(self, customer: str, more: int) -> int:
        """Bytes that the customer's open sessions have recorded, `more` of them now."""

    def hurry(self) -> None:
        """Do not let the batch wait any longer."""

    async def flush_within(self, limit_ms: int) -> bool:
        """Make everything pending durable; False when the disk did not answer in time."""

    async def cut(self, recording: SessionRecording) -> None:
        """Store what is durable as the next segment and have it entered in the log."""

    async def finish(self, recording: SessionRecording, *, log_last: bool = True) -> None:
        """Store what is left of one session, and let it go."""


class SessionRecording:
    """One session's recording. `output`, `resize`, `marker` are cheap and never wait."""

    def __init__(
        self,
        recorder: Journal,
        customer: str,
        session: str,
        key: bytes,
        on_segment: OnSegment,
        on_failed: Callable[[str], None],
    ) -> None:
        self.customer, self.session, self.key = customer, session, key
        self._recorder, self.on_segment, self.on_failed = recorder, on_segment, on_failed
        self._start = time.monotonic_ns()
        self.pending = bytearray()
        self.pending_since: float | None = None
        self.in_flight_since: float | None = None
        self.uncut = bytearray()
        self.uncut_first = self.uncut_last = self.last_us = 0
        self.uncut_since = 0.0
        self.uncut_chunk = 0
        self.chunk = 0
        self.unlogged: Segment | None = None
        self.last_is_the_closers = False
        """True once nothing more comes, and whoever closes the session enters its last segment in the log."""
        self.cutting = asyncio.Lock()
        self.incident = False
        self.segments: list[Segment] = []
        self.total = 0
        self.failed: str | None = None
        self.watchers: set[Watcher] = set()
        self.size = "80x24"
        """Of the terminal, columns and rows."""
        self.shown = 0
        """Bytes of output so far."""
        self._recent = bytearray()

    def recent(self) -> bytes:
        """What the terminal showed last."""
        return bytes(self._recent[-_RECENT:])

    def _add(self, direction: int, data: bytes) -> None:
        if self.failed is not None:
            return
        self.last_us = (time.monotonic_ns() - self._start) // 1000
        self.pending += head(self.last_us, direction, len(data))
        self.pending += data
        self.total += len(data)
        if self.pending_since is None:
            self.pending_since = time.monotonic()
            self._recorder.wake(self)
        for watcher in tuple(self.watchers):
            watcher(direction, data)
        if self.total > self._recorder.limits.session_quota_bytes:
            self.fail("its recording is over the quota")
        elif self._recorder.spent(self.customer, len(data)) > self._recorder.limits.customer_quota_bytes:
            self.fail("the recordings of the customer's open sessions are over their quota")

    def output(self, data: bytes) -> None:
        """What the terminal is shown."""
        self._add(OUTPUT, data)
        if self.failed is None:
            self.shown += len(data)
            self._recent += data
            if len(self._recent) > 2 * _RECENT:
                del self._recent[:-_RECENT]

    def resize(self, columns: int, rows: int) -> None:
        """A new size of the terminal."""
        self.size = f"{columns}x{rows}"
        self._add(RESIZE, f"{columns}x{rows}".encode())

    def marker(self, text: str) -> None:
        """A named moment (the start of an operation)."""
        self._add(MARKER, text.encode("utf-8", "replace"))

    def lag_ms(self) -> int:
        """Age of the oldest byte that is not durable yet."""
        since = self.in_flight_since if self.in_flight_since is not None else self.pending_since
        return 0 if since is None else int((time.monotonic() - since) * 1000)

    def fail(self, reason: str) -> None:
        """End it: once, with the reason."""
        if self.failed is None:
            self.failed = reason
            self.on_failed(reason)

    async def durable(self) -> None:
        """Return when all that was added so far is on the disk. RecordingRefused when it never will be."""
        if await self._recorder.flush_within(self._recorder.limits.max_lag_ms) is False:
            self.fail("its recording could not be made durable in time")
        if self.failed is not None:
            raise RecordingRefused(self.failed)

    async def keep_up(self) -> None:
        """Hold back whoever writes very much: return when the disk is near enough. RecordingRefused as `durable`.

        Until then the disk works while more comes: from a quarter of what may wait on, no batch is waited for.
        """
        limits = self._recorder.limits
        if len(self.pending) >= limits.ahead_bytes // 4:
            self._recorder.hurry()
        if len(self.pending) >= limits.ahead_bytes or self.lag_ms() > limits.max_lag_ms // 4:
            await self.durable()
        if len(self.uncut) >= 8 * limits.ahead_bytes:
            await self._recorder.cut(self)

    @property
    def stored(self) -> list[Segment]:
        """Every segment in the object store, in order, the one that the log does not name yet among them."""
        return self.segments if self.unlogged is None else [*self.segments, self.unlogged]

    async def close(self, *, log_last: bool = True) -> str:
        """Cut the last segment; the digest over all segments' digests, in order (hex).

        With `log_last` false that segment stays `unlogged`: the caller enters it in the log, with what closes it.
        """
        await self._recorder.finish(self, log_last=log_last)
        return recording_digest([s.digest for s in self.stored])


def recording_digest(digests: Sequence[str]) -> str:
    """What `recording.closed` commits to: SHA-256 (hex) over the segments' digests, in order."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()
