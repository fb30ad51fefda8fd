"""What the benches of phone systems measure with: memory, milliseconds, everybody page by page."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from connectors.contract import Connector

FLAT = 0.1
"""What is called flat is within this part of the smaller size's figure, above it or below it: one that is far below
says that the smaller was measured wrong."""


def flat(small: float, large: float) -> bool:
    """Whether a figure at the larger size is that at the smaller."""
    return abs(large - small) <= small * FLAT


def memory(name: str) -> float:
    """MiB, of /proc/self/status."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(row for row in status.splitlines() if row.startswith(name)).split()[1]) / 1024


def from_here() -> float:
    """MiB now; the peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory("VmRSS")


async def ms(act: Callable[[], Awaitable[object]]) -> float:
    """How long something takes."""
    before = time.perf_counter()
    await act()
    return (time.perf_counter() - before) * 1000


async def paged(connector: Connector) -> int:
    """How many people there are, 500 at a time."""
    count, cursor = 0, None
    while True:
        page = await connector.people(cursor, 500)
        count += len(page.people)
        if (cursor := page.cursor) is None:
            return count
