"""FreePBX with 50,000 people, the helper in a real PHP on a real MariaDB behind a real sshd. `python -m bench.freepbx`.

`show` is compared with the same question, asked over an SSH connection to the same helper with nothing of ours between:
the tables that it looks into have no index where it has to look, and that is in both.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

import uvloop

from bench.figures import Figure
from bench.measuring import from_here, memory
from bench.openssh import lacking
from connectors.contract import Credential, Target, Unseal
from connectors.freepbx.connector import FreePbxFamily
from connectors.freepbx.install import bound
from connectors.freepbx.settings import FreePbxSettings
from connectors.transport import ssh
from connectors.transport.helper import COMMAND
from tests.support.flat_pbx import door
from tests.support.freepbx.mariadb import MariaDb
from tests.support.freepbx.pbx import FreePbx, One

PEOPLE: Final = 50_000
PAGE: Final = 50
SHOWS: Final = 100
ROUNDS: Final = 7


def _people() -> list[One]:
    return [One(str(100_000 + n), f"Person {n}", f"p{n}@customer.example", (f"+44207{n:07d}",)) for n in range(PEOPLE)]


async def _bare(target: Target, unseal: Unseal) -> Any:
    connection = await ssh.connect(target, unseal, getpass.getuser())
    process = await connection.create_process(COMMAND, encoding=None)

    async def ask(person_id: str) -> None:
        process.stdin.write(json.dumps({"do": "view", "id": person_id, "n": 1}).encode() + b"\n")
        await process.stdout.readuntil(b"\n")

    return ask


async def _measure(target: Target, credential: Credential) -> dict[str, Any]:
    async def unseal() -> Credential:
        return credential

    family, found, first, connected = FreePbxFamily(), dict[str, Any](), [], []
    for _ in range(ROUNDS):
        before = time.perf_counter()
        connector = await family.connect(target, unseal)
        connected.append((time.perf_counter() - before) * 1000)
        before = time.perf_counter()
        await connector.people(None, PAGE)
        first.append((time.perf_counter() - before) * 1000)
        await connector.close()
    found["first"], found["connect"] = first, median(connected)
    connector = await family.connect(target, unseal)
    resident = await asyncio.to_thread(from_here)
    count, cursor, before = 0, None, time.perf_counter()
    while True:
        page = await connector.people(cursor, 500)
        count += len(page.people)
        if (cursor := page.cursor) is None:
            break
    if count != PEOPLE:
        raise RuntimeError(f"{count} people came")
    found["all"], found["growth"] = time.perf_counter() - before, memory("VmHWM") - resident
    before = time.perf_counter()
    if len((await connector.find("Person 49999", 20)).people) != 1:
        raise RuntimeError("the one was not found")
    found["find"] = (time.perf_counter() - before) * 1000
    ask, shows, bare = await _bare(target, unseal), [], []
    await ask("100000")
    for number in range(SHOWS):
        key = str(100_000 + 97 * number)
        before = time.perf_counter()
        await ask(key)
        bare.append((time.perf_counter() - before) * 1000)
        before = time.perf_counter()
        await connector.view(key)
        shows.append((time.perf_counter() - before) * 1000)
    found["show"], found["bare"] = median(shows), median(bare)
    await connector.close()
    return found


def _lacking() -> str:
    if lacking():
        return str(lacking())
    from shutil import which

    for tool in ("php", "mariadbd"):
        if which(tool) is None and which(tool, path="/usr/sbin") is None:
            return f"{tool} is not installed"
    return ""


def main() -> bool:
    """Measure and print; True when no goal was missed."""
    if _lacking():
        print(f"CANNOT BE MEASURED HERE: {_lacking()}")
        return True
    server = MariaDb()
    try:
        with tempfile.TemporaryDirectory() as folder:
            pbx = FreePbx(server, Path(folder) / "pbx", "bench").make(_people())
            with door(pbx.folder / "ssh", f'command="{bound(" ".join(pbx.command()))}",restrict') as front:
                settings = FreePbxSettings(login=getpass.getuser())
                target = Target("bench", "127.0.0.1", front.port, front.pin, settings, 20_000, 60_000)
                found = uvloop.run(_measure(target, Credential(getpass.getuser(), private_key=front.key)))
            pbx.close()
    finally:
        server.stop()
    first, ratio = median(found["first"]), found["show"] / found["bare"]
    made = [
        Figure(
            f"FreePBX: first row of {PEOPLE:,}, ms",
            f"{first:.0f} [{min(found['first']):.0f}–{max(found['first']):.0f}], a page of {PAGE}, just signed in "
            f"(signing in {found['connect']:.0f}; find {found['find']:.0f})",
            "≤ 300 ms", first <= 300,
        ),
        Figure(
            "FreePBX: memory growth here over all of them, MiB",
            f"{found['growth']:.1f} (all: {found['all']:.1f} s)", "≤ 20 MiB", found["growth"] <= 20,
        ),
        Figure(
            "FreePBX: `show`, ms", f"{found['show']:.1f} against {found['bare']:.1f}: {ratio:.2f} ×",
            "≤ 1.3 × the bare round trip", ratio <= 1.3,
        ),
    ]  # fmt: skip
    for figure in made:
        print(figure.line())
    return all(figure.met is not False for figure in made)


if __name__ == "__main__":
    main()
