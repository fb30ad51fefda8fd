"""`python -m tests.support.ami COUNT [FOLDER]`: the stand-in with so many people, until its input ends.

It prints where it is (JSON). With a folder it speaks TLS, and its certificate is kept there.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import uvloop

from tests.support.ami.server import Account, Asterisk, running, server_tls
from tests.support.ami.site import LOGIN, RIGHTS, SECRET, account, files


def large(count: int) -> Asterisk:
    """Only people, each with a mailbox."""
    made = files()
    head = made["pjsip.conf"].partition("; people")[0]
    people = (account(f"{n:06d}", f'"Person {n}" <{n:06d}>', f"{n:06d}@default") for n in range(count))
    made["pjsip.conf"] = head + "".join(people)
    boxes = "".join(f"{n:06d} => 91820,Person {n},person{n}@example.test\n" for n in range(count))
    made["voicemail.conf"] = f"[general]\nattach=yes\n\n[default]\n{boxes}"
    return Asterisk(made, {LOGIN: Account(SECRET, RIGHTS)})


async def main() -> None:
    """Until there is nothing more to read."""
    asterisk = large(int(sys.argv[1]))
    # An Asterisk sends what it holds; this one makes its long answer before it is asked.
    asterisk.answer({"Action": "GetConfig", "Filename": "pjsip.conf", "Filter": "type=endpoint"}, RIGHTS)
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    async with running(asterisk, server_tls(folder)[0] if folder else None) as port:
        print(json.dumps({"port": port, "pin": str(folder / "cert.pem") if folder else ""}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
