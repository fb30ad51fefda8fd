"""`python -m tests.support.avaya COUNT`: the stand-in with so many stations, until its input ends.

It prints where it is and its host key (JSON).
"""

from __future__ import annotations

import asyncio
import json
import sys

import asyncssh
import uvloop

from tests.support.avaya.cm import Cm, Station, running


async def main() -> None:
    """Until there is nothing more to read."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    cm = Cm({f"{n:06d}": Station(f"{n:06d}", f"Person {n}") for n in range(int(sys.argv[1]))}, sorts=False)
    async with running(cm, key) as server:
        told = {"port": server.get_port(), "pin": key.export_public_key().decode().strip()}
        print(json.dumps(told), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
