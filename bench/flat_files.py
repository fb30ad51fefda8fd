"""Asterisk with flat files of 50,000 people, through a real sshd and the helper. `python -m bench.flat_files`.

The first row is that of somebody who just signed in, signing in left out: with what the helper kept from an earlier
visit, the files being the same, and without, after each of several changes of them. Told beside it are a row of a visit
that goes on, and the first search after a change, which waits until everything was read. Memory is measured over all
pages. `show` is compared with the bare round trip: a line over an SSH connection that the helper answers without
looking at anything.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import asyncssh
import uvloop

from bench.figures import Figure
from bench.openssh import _program, free_port, lacking
from connectors.asterisk_files.connector import HELPER, AsteriskFilesFamily
from connectors.asterisk_files.settings import AsteriskFilesSettings
from connectors.contract import Credential, Target, Unseal
from connectors.transport import ssh

PEOPLE: Final = 50_000
PAGE: Final = 100
SHOWS: Final = 400
ROUNDS: Final = 7
_TEMPLATES: Final = """[endpoint-internal](!)
type=endpoint
context=internal

[auth-userpass](!)
type=auth
auth_type=userpass

[aor-single](!)
type=aor
max_contacts=2
"""


def _files(etc: Path) -> None:
    """As the captured files are written, for many."""
    etc.mkdir()
    names = range(100_000, 100_000 + PEOPLE)
    users = (
        f'\n; Person {n}\n[{n}](endpoint-internal)\nauth={n}\naors={n}\ncallerid="Person {n}" <{n}>\n'
        f"mailboxes={n}@default\n"
        f"\n[{n}](auth-userpass)\nusername={n}\npassword=secret-{n}\n\n[{n}](aor-single)\n"
        for n in names
    )
    (etc / "pjsip.conf").write_text(_TEMPLATES + "".join(users))
    boxes = "".join(f"{n} => 4711{n},Person {n},p{n}@customer.example\n" for n in names)
    (etc / "voicemail.conf").write_text("[general]\nformat=wav\n\n[default]\n" + boxes)
    numbers = "".join(f"exten => +44207{n + 10**6},1,NoOp()\n same => n,Goto(internal,{n},1)\n" for n in names)
    inside = "".join(f"exten => {n},1,Dial(PJSIP/{n},20)\n same => n,VoiceMail({n}@default,u)\n" for n in names)
    (etc / "extensions.conf").write_text(f"[from-trunk]\n{numbers}\n[internal]\n{inside}")


@contextmanager
def _phone_system(folder: Path) -> Iterator[tuple[Target, Credential]]:
    _files(folder / "etc")
    (folder / "cache").mkdir(mode=0o700)
    conf = {
        "etc": str(folder / "etc"), "contexts": ["internal"], "inbound_context": "from-trunk",
        "cache": str(folder / "cache"),
    }  # fmt: skip
    (folder / "helper.json").write_text(json.dumps(conf))
    (folder / "helper.json").chmod(0o644)
    host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    host.write_private_key(str(folder / "host"))
    (folder / "host").chmod(0o600)
    command = f"{sys.executable} -I {HELPER} --config {folder}/helper.json"
    (folder / "authorized").write_text(f'command="{command}",restrict {user.export_public_key().decode()}')
    port = free_port()
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized\n"
        "UsePAM no\nStrictModes no\nUseDNS no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    running = subprocess.Popen(  # noqa: S603 - the system's sshd, ended below
        [_program("sshd") or "sshd", "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.PIPE
    )
    try:
        if running.stderr is None or not any(b"listening on" in line for line in running.stderr):
            raise RuntimeError("sshd did not start")
        login = getpass.getuser()
        settings = AsteriskFilesSettings(login=login)
        pin = " ".join(host.export_public_key().decode().split()[:2])
        target = Target("bench", "127.0.0.1", port, pin, settings, 20_000, 60_000)
        yield target, Credential(login, private_key=user.export_private_key().decode())
    finally:
        running.terminate()
        running.wait()
        if running.stderr is not None:
            running.stderr.close()


def _helper_mib() -> float:
    """The largest memory that any process of the helper has now."""
    found = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(HELPER).encode() in (entry / "cmdline").read_bytes():
                words = (entry / "status").read_text().split("VmHWM:")[1:]
                found = max(found, int(words[0].split()[0]) if words else 0)
        except OSError:
            continue  # it ended meanwhile
    return found / 1024


class _Bare:
    """An SSH connection of its own, over which a line goes there and back with nothing looked at."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._process = process

    @classmethod
    async def opened(cls, target: Target, unseal: Unseal, login: str) -> _Bare:
        """Once its helper has read the files too: until then the next line waits."""
        connection = await ssh.connect(target, unseal, login)
        made = cls(await connection.create_process("frameroom-helper", encoding=None))
        for _ in range(2):
            await made.ask()
        return made

    async def ask(self) -> float:
        """Milliseconds."""
        before = time.perf_counter()
        self._process.stdin.write(b'{"do": "nothing", "n": 1}\n')
        json.loads(await self._process.stdout.readuntil(b"\n"))
        return (time.perf_counter() - before) * 1000


def _gone() -> float:
    """Wait until no helper runs: one that is left reads to its end, for the next visit. The most memory it had, MiB."""
    most = now = _helper_mib()
    while now:
        time.sleep(0.05)
        now = _helper_mib()
        most = max(most, now)
    return most


def _change(file: Path, number: int) -> None:
    """As somebody with an editor does."""
    file.write_bytes(file.read_bytes().replace(b",Person 10000%d," % number, b",Person 1000 %d," % number))


async def _first_rows(target: Target, unseal: Unseal, change: Path | None) -> tuple[list[float], float, float]:
    """Of visits one after the other, with that file changed before each; how long signing in takes; the most memory
    that the helper had."""
    rows, signing, most = [], [], 0.0
    for number in range(ROUNDS):
        if change is not None:
            await asyncio.to_thread(_change, change, number)
        before = time.perf_counter()
        visit = await AsteriskFilesFamily().connect(target, unseal)
        signed = time.perf_counter()
        if len((await visit.people(None, PAGE)).people) != PAGE:
            raise RuntimeError("not a whole page came")
        rows.append((time.perf_counter() - signed) * 1000)
        signing.append((signed - before) * 1000)
        await visit.close()
        most = max(most, await asyncio.to_thread(_gone))
    return rows, median(signing), most


async def _first_search(target: Target, unseal: Unseal, change: Path) -> float:
    await asyncio.to_thread(_change, change, ROUNDS)
    visit = await AsteriskFilesFamily().connect(target, unseal)
    before = time.perf_counter()
    await visit.find("Person 149999", 20)
    searched = (time.perf_counter() - before) * 1000
    await visit.close()
    await asyncio.to_thread(_gone)
    return searched


async def _measure(target: Target, credential: Credential, etc: Path) -> dict[str, Any]:
    async def unseal() -> Credential:
        return credential

    found: dict[str, Any] = {}
    family = AsteriskFilesFamily()
    found["changed"], _, found["reading"] = await _first_rows(target, unseal, etc / "voicemail.conf")
    found["searched"] = await _first_search(target, unseal, etc / "voicemail.conf")
    await asyncio.sleep(2)  # files that were written just now are not kept
    first = await family.connect(target, unseal)
    await first.people(None, PAGE)
    await first.close()
    await asyncio.to_thread(_gone)
    found["colds"], found["sign in"], _ = await _first_rows(target, unseal, None)
    cold = await family.connect(target, unseal)
    rows = []
    for _ in range(20):
        before = time.perf_counter()
        await cold.people(None, 1)
        rows.append((time.perf_counter() - before) * 1000)
    found["first row"] = median(rows)
    before = time.perf_counter()
    if len((await cold.find("Person 149999", 20)).people) != 1:
        raise RuntimeError("the one was not found")
    found["find"] = (time.perf_counter() - before) * 1000
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count, cursor, before = 0, None, time.perf_counter()
    while True:
        page = await cold.people(cursor, PAGE)
        count += len(page.people)
        if (cursor := page.cursor) is None:
            break
    if count != PEOPLE:
        raise RuntimeError(f"{count} people came")
    found["all"] = time.perf_counter() - before
    found["growth"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    found["helper"] = _helper_mib()
    line = await _Bare.opened(target, unseal, credential.login)
    shows, bare = [], []
    for number in range(SHOWS):
        bare.append(await line.ask())
        before = time.perf_counter()
        await cold.view(str(100_000 + 97 * number))
        shows.append((time.perf_counter() - before) * 1000)
    found["show"], found["bare"] = median(shows), median(bare)
    await cold.close()
    return found


def main() -> bool:
    """Measure and print; True when no goal was missed."""
    if lacking():
        print(f"CANNOT BE MEASURED HERE: {lacking()}")
        return True
    with tempfile.TemporaryDirectory() as folder, _phone_system(Path(folder)) as (target, credential):
        found = uvloop.run(_measure(target, credential, Path(folder) / "etc"))
    ratio = found["show"] / found["bare"]
    made = [
        Figure(
            f"first row of {PEOPLE:,}, ms",
            f"{median(found['colds']):.0f} [{min(found['colds']):.0f}–{max(found['colds']):.0f}], a page of {PAGE}, "
            f"just signed in (signing in {found['sign in']:.0f}; later pages {found['first row']:.1f}; find "
            f"{found['find']:.0f})",
            "≤ 300 ms", median(found["colds"]) <= 300,
        ),
        Figure(
            f"first row of {PEOPLE:,} after a change of the files, ms",
            f"{median(found['changed']):.0f} [{min(found['changed']):.0f}–{max(found['changed']):.0f}], a page of "
            f"{PAGE}, just signed in, as at the very first visit; a first search then: {found['searched']:,.0f}",
            "≤ 300 ms", median(found["changed"]) <= 300,
        ),
        Figure(
            "memory growth here over all of them, MiB",
            f"{found['growth']:.1f} (the helper over there: {found['helper']:.0f}, and {found['reading']:.0f} while it "
            f"reads everything; all: {found['all']:.1f} s)",
            "≤ 20 MiB", found["growth"] <= 20,
        ),
        Figure(
            "`show`, ms", f"{found['show']:.2f} against {found['bare']:.2f}: {ratio:.2f} ×",
            "≤ 1.3 × the bare round trip", ratio <= 1.3,
        ),
    ]  # fmt: skip
    for figure in made:
        print(figure.line())
    return all(figure.met is not False for figure in made)


if __name__ == "__main__":
    main()
