"""Finding, watching and ending the fork server's children, and reading what a process holds."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def children_of(pid: int) -> list[int]:
    """Ids of a process's children, those that ended and were not collected left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if int(words[1]) == pid and words[0] != "Z":
            found.append(int(folder.name))
    return found


async def until(fine: Callable[[], T]) -> T:
    """Wait for something in another process, which no event of ours tells of: what it is then."""
    async with asyncio.timeout(60):
        while True:
            if found := fine():
                return found
            await asyncio.sleep(0.01)


async def the_child(pid: int) -> int:
    """The only child, once there is one."""
    await until(lambda: len(children_of(pid)) == 1)
    return children_of(pid)[0]


async def no_child(pid: int) -> None:
    """Until the process has no child any more."""
    await until(lambda: not children_of(pid))


async def kill(pid: int) -> None:
    """kill -9, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{pid}/stat").exists())


def memory(pid: int) -> Iterator[tuple[str, bytes]]:
    """Every readable, private or shared, part of a process's memory: (what it is, bytes)."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
            if match is None or not match[3].startswith("rw") or match[4] in {"[vvar]", "[vsyscall]"}:
                continue
            begin, end = int(match[1], 16), int(match[2], 16)
            try:
                file.seek(begin)
                yield f"memory of {pid} {match[4] or 'anonymous'}", file.read(end - begin)
            except OSError:
                continue  # it was given back to the kernel while we read
