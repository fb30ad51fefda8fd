"""What the benches of phone systems measure with: memory, milliseconds, everybody page by page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

from connectors.contract import Connector

PAGE = 50
ROUNDS = 7

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


def line(name: str, measured: str, goal: str, met: bool) -> bool:
    """Print one figure beside its goal; whether it was met."""
    print(f"{'met' if met else 'missed':<8} {name}\n         {measured}\n         goal: {goal}", flush=True)
    return met


async def _nothing(_: Connector) -> None:
    return None


async def listing(
    name: str, connect: Callable[[], Awaitable[Connector]], people: int,
    before: Callable[[Connector], Awaitable[object]] = _nothing,
) -> bool:  # fmt: skip
    """The two figures of whoever lists everybody, printed: memory, and the first row of a new connection. `before`:
    what a connection has done when memory is first looked at."""
    connector = await connect()
    await before(connector)
    at_first = await asyncio.to_thread(from_here)
    if await paged(connector) != people:
        raise RuntimeError("not everybody came")
    grown = memory("VmHWM") - at_first
    await connector.close()
    met = line(f"{name}: memory grown, MiB", f"{grown:.1f}, all {people:,} paged through", "≤ 20", grown <= 20)
    first = []
    for _ in range(ROUNDS):
        connector = await connect()
        first.append(await ms(lambda c=connector: c.people(None, PAGE)))  # type: ignore[misc]
        await connector.close()
    words = f"{median(first):.0f} [{min(first):.0f}–{max(first):.0f}], of {people:,}, a page of {PAGE}"
    return met & line(f"{name}: first row, ms", words, "≤ 300", median(first) <= 300)


async def showing(
    name: str, view: Callable[[], Awaitable[object]], bare: Callable[[], Awaitable[object]], shows: int, of: str = ""
) -> bool:
    """The figure of whoever looks at one person, printed: beside the bare round trip, asked for in turn."""
    ours, theirs = [], []
    for _ in range(shows):
        ours.append(await ms(view))
        theirs.append(await ms(bare))
    ratio = median(ours) / median(theirs)
    words = f"{median(ours):.3g} ms against {median(theirs):.3g}: {ratio:.2f} ×{of}"
    return line(f"{name}: `show`", words, "≤ 1.3 × the bare round trip", ratio <= 1.3)
