"""Time for permission and log: the later of the wall clock and the last entry seen, so it never runs back."""

from __future__ import annotations

import time
from collections.abc import Callable


def wall_ms() -> int:
    """Unix milliseconds, UTC, of the machine."""
    return time.time_ns() // 1_000_000


class LogClock:
    """`now()` is max(wall clock, last observed entry)."""

    def __init__(self, wall: Callable[[], int] = wall_ms) -> None:
        self._wall = wall
        self._last = 0

    def now(self) -> int:
        """Unix ms. Two calls never go backwards."""
        self._last = max(self._last, self._wall())
        return self._last

    def observe(self, time_ms: int) -> None:
        """Take note of an entry's time (at start, and of other nodes' entries)."""
        self._last = max(self._last, time_ms)

    def behind_ms(self) -> int:
        """How far the wall clock is behind what was already logged; 0 when it is not."""
        return max(0, self._last - self._wall())
