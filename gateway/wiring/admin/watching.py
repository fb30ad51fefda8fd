"""A live terminal for one watcher, who may be slow: the visit never waits for them."""

from __future__ import annotations

import asyncio
import codecs
from collections import deque
from typing import Final

from audit.recording.frames import OUTPUT, RESIZE
from audit.recording.recorder import SessionRecording
from audit.recording.sanitise import Sanitiser
from gateway.wiring.admin.base import Row, Stream

_QUEUE_BYTES: Final = 1 << 20
_QUEUE_FRAMES: Final = 4096


class LiveView:
    """What a recording gets, as it gets it, sanitised. `over` is set when the visit has ended."""

    def __init__(self, recording: SessionRecording, over: asyncio.Event) -> None:
        self._recording, self._over = recording, over
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._wake, self._dropped = asyncio.Event(), asyncio.Event()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._sanitiser = Sanitiser()

    def _frame(self, direction: int, data: bytes) -> None:
        """Called by the recording, in the visit's own path: it only queues, and never without bound."""
        if self._bytes + len(data) > _QUEUE_BYTES or len(self._waiting) >= _QUEUE_FRAMES:
            self._recording.watchers.discard(self._frame)
            self._dropped.set()
        else:
            self._waiting.append((direction, data))
            self._bytes += len(data)
            self._wake.set()

    async def show(self, stream: Stream) -> bool:
        """Pass on what comes until the visit is over. False when the watcher was too slow and was dropped."""
        self._recording.watchers.add(self._frame)
        try:
            async with asyncio.TaskGroup() as group:
                passing = group.create_task(self._pass_on(stream))
                dropped = group.create_task(self._dropped.wait())
                ending = group.create_task(self._wake_at_the_end())
                await asyncio.wait({passing, dropped}, return_when=asyncio.FIRST_COMPLETED)
                for task in (passing, dropped, ending):
                    task.cancel()
        finally:
            self._recording.watchers.discard(self._frame)
        return not self._dropped.is_set()

    async def _wake_at_the_end(self) -> None:
        await self._over.wait()
        self._wake.set()

    async def _pass_on(self, stream: Stream) -> None:
        while True:
            self._wake.clear()
            while self._waiting:
                if rows := [row for row in (self._next() for _ in range(len(self._waiting))) if row is not None]:
                    await stream.rows(rows)
            if self._over.is_set():
                return
            await self._wake.wait()

    def _next(self) -> Row | None:
        direction, data = self._waiting.popleft()
        self._bytes -= len(data)
        if direction == RESIZE:
            return {"size": data.decode("ascii", "replace")}
        if direction == OUTPUT and (text := self._sanitiser.feed(self._decoder.decode(data))):
            return {"text": text}
        return None
