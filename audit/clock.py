"""Time for permission and log: the later of the wall clock and the last entry seen, so it never runs back.

Nor does it stand still when the machine's clock is set back under a running process: from the start on it moves at
least as fast as the machine's own steady counter, so that a permission never lasts longer than was agreed.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def wall_ms() -> int:
    """Unix milliseconds, UTC, of the machine."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Milliseconds of a counter that nobody sets; only differences mean something."""
    return time.monotonic_ns() // 1_000_000


class LogClock:
    """`now()` is max(wall clock, last observed entry, the wall clock at the start and what `steady` counted since).

    A test that sets `wall` sets the time; without a `steady` of its own nothing else moves it.
    """

    def __init__(self, wall: Callable[[], int] = wall_ms, steady: Callable[[], int] | None = None) -> None:
        self._wall = wall
        self._steady = steady or (steady_ms if wall is wall_ms else lambda: 0)
        self._began = wall() - self._steady()
        self._last = 0

    def now(self) -> int:
        """Unix ms. Two calls never go backwards."""
        self._last = max(self._last, self._wall(), self._began + self._steady())
        return self._last

    def observe(self, time_ms: int) -> None:
        """Take note of an entry's time (at start, and of other nodes' entries)."""
        self._last = max(self._last, time_ms)

    def behind_ms(self) -> int:
        """How far the wall clock is behind what was already logged; 0 when it is not."""
        return max(0, self._last - self._wall())
