"""A live terminal for one watcher, who may be slow: the visit never waits for them."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
from collections import deque
from typing import Any, Final, Protocol

from audit.recording.frames import OUTPUT, RESIZE
from audit.recording.sanitise import Sanitiser
from audit.recording.session import SessionRecording

_QUEUE_BYTES: Final = 1 << 20
_QUEUE_FRAMES: Final = 4096
Row = dict[str, Any]


class Taker(Protocol):
    """Where what is shown goes. It may wait for whoever reads."""

    async def rows(self, rows: list[Row]) -> None:
        """More: {text} or {size}."""


class LiveView:
    """What a recording gets, as it gets it, sanitised. `over` is set when the visit has ended."""

    def __init__(self, recording: SessionRecording, over: asyncio.Event) -> None:
        self._recording, self._over = recording, over
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._wake, self._dropped = asyncio.Event(), asyncio.Event()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._sanitiser = Sanitiser()

    @property
    def dropped(self) -> bool:
        """True once the watcher was too slow: nothing more comes."""
        return self._dropped.is_set()

    def begin(self) -> str:
        """Watch from now on; what the terminal showed last, so that nobody begins before an empty one."""
        self._recording.watchers.add(self._frame)
        recent = self._recording.recent()
        text = self._sanitiser.feed(self._decoder.decode(recent))
        # Cut off somewhere before: what is left of that line, or of a sequence, is no whole one.
        return text if self._recording.shown <= len(recent) else text.partition("\n")[2]

    def stop(self) -> None:
        """Watch no more."""
        self._recording.watchers.discard(self._frame)

    async def take(self, wait_s: float) -> list[Row]:
        """What came since; when nothing did, what comes within so many seconds."""
        if not self._waiting:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):  # nothing came: the ordinary case of a quiet terminal
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
        return self._all()

    def _frame(self, direction: int, data: bytes) -> None:
        """Called by the recording, in the visit's own path: it only queues, and never without bound."""
        if self._bytes + len(data) > _QUEUE_BYTES or len(self._waiting) >= _QUEUE_FRAMES:
            self._recording.watchers.discard(self._frame)
            self._dropped.set()
        else:
            self._waiting.append((direction, data))
            self._bytes += len(data)
        self._wake.set()

    async def show(self, taker: Taker) -> bool:
        """Pass on what comes until the visit is over. False when the watcher was too slow and was dropped."""
        self._recording.watchers.add(self._frame)
        try:
            async with asyncio.TaskGroup() as group:
                passing = group.create_task(self._pass_on(taker))
                dropped = group.create_task(self._dropped.wait())
                ending = group.create_task(self._wake_at_the_end())
                await asyncio.wait({passing, dropped}, return_when=asyncio.FIRST_COMPLETED)
                for task in (passing, dropped, ending):
                    task.cancel()
        finally:
            self.stop()
        return not self.dropped

    async def _wake_at_the_end(self) -> None:
        await self._over.wait()
        self._wake.set()

    async def _pass_on(self, taker: Taker) -> None:
        while True:
            self._wake.clear()
            while self._waiting:
                if rows := self._all():
                    await taker.rows(rows)
            if self._over.is_set():
                return
            await self._wake.wait()

    def _all(self) -> list[Row]:
        return [row for row in (self._next() for _ in range(len(self._waiting))) if row is not None]

    def _next(self) -> Row | None:
        direction, data = self._waiting.popleft()
        self._bytes -= len(data)
        if direction == RESIZE:
            return {"size": data.decode("ascii", "replace")}
        if direction == OUTPUT and (text := self._sanitiser.feed(self._decoder.decode(data))):
            return {"text": text}
        return None
