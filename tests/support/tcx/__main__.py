"""A stand-in of many people in a process of its own: `python -m tests.support.tcx PEOPLE` prints its port and pin."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.support.tcx.pbx import Pbx
from tests.support.tcx.server import running


def many(count: int) -> Pbx:
    """That many people with a direct number each."""
    pbx = Pbx()
    for number in range(count):
        extension = str(100_000 + number)
        pbx.add(number + 1, extension, "Person", str(number), f"user{number}@customer.example", ())
        pbx.rule(f"44207{number:07d}", extension)
    return pbx


async def main(count: int) -> None:
    """Until its standard input ends."""
    with tempfile.TemporaryDirectory() as folder:
        async with running(many(count), Path(folder)) as server:
            print(json.dumps({"port": server.port, "pin": server.pem}), flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
