"""The journal's own thread, and how much room there is.

A thread of its own, and a daemon: a disk that hangs holds up neither other work nor the end of the process.
"""

from __future__ import annotations

import asyncio
import queue
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple


class Space(NamedTuple):
    """Bytes of a file system."""

    total: int
    free: int


def free_space(folder: Path) -> Space:
    """Of the file system that `folder` lies on. OSError when it does not answer."""
    usage = shutil.disk_usage(folder)
    return Space(usage.total, usage.free)


Answer = asyncio.Future[OSError | None]


class DiskThread:
    """Runs calls one after another; the event loop is not held up by any of them."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Answer, Callable[..., Any], tuple[Any, ...]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, call: Callable[..., Any], *args: Any) -> Answer:
        """Have `call(*args)` run there; the future's result is its OSError, or None."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
            self._thread.start()
        answer: Answer = asyncio.get_running_loop().create_future()
        self._calls.put((answer, call, args))
        return answer

    def _work(self) -> None:
        while True:
            answer, call, args = self._calls.get()
            failed: OSError | None = None
            try:
                call(*args)
            except OSError as error:
                failed = error
            # The loop may be gone at the end of the process; then nobody asks any more.
            with suppress(RuntimeError):
                answer.get_loop().call_soon_threadsafe(answer.set_result, failed)
