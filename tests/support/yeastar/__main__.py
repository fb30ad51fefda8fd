"""`python -m tests.support.yeastar COUNT FOLDER`: the stand-in with so many people, until its input ends.

Everybody has a direct number, a hundred of them to a route. It prints where it is (JSON); its certificate is in FOLDER.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import uvloop

from tests.support.yeastar.pbx import Answer, Extension, Pbx
from tests.support.yeastar.server import Server, running, server_tls

_A_ROUTE = 100


def large(count: int) -> Pbx:
    """Only people, and their numbers."""
    people = {
        n: Extension(n, str(100_000 + n), "Person", str(n), f"person{n}@example.test") for n in range(1, count + 1)
    }
    routes: dict[int, Answer] = {}
    for number, at in enumerate(range(1, count + 1, _A_ROUTE), 1):
        pairs = [
            {"did": f"44207{n:07d}", "ext_num": str(100_000 + n)} for n in range(at, min(at + _A_ROUTE, count + 1))
        ]  # fmt: skip
        routes[number] = {
            "id": number, "name": f"in_{number}", "did_option": "pattern_to_ext_list", "did_pattern_to_ext_list": pairs,
        }  # fmt: skip
    return Pbx(people, routes, most_tokens=1000)


async def main() -> None:
    """Until there is nothing more to read."""
    folder = Path(sys.argv[2])
    tls, _ = server_tls(folder)
    async with running(Server(large(int(sys.argv[1]))), tls) as port:
        print(json.dumps({"port": port, "pin": str(folder / "cert.pem")}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
