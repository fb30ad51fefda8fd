"""`python -m tests.support.cucm COUNT FOLDER`: the stand-in with so many people, until its input ends.

It prints where it is (JSON); its certificate is kept in the folder.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import uvloop

from tests.support.ami.server import server_tls
from tests.support.cucm.server import Serving, running
from tests.support.cucm.site import large


async def main() -> None:
    """Until there is nothing more to read."""
    folder = Path(sys.argv[2])
    async with running(Serving(large(int(sys.argv[1]))), server_tls(folder)[0]) as port:
        print(json.dumps({"port": port, "pin": str(folder / "cert.pem")}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
