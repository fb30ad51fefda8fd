"""Story 1: the first visit, played with a real ssh client. Every step prints its proof, and a false one ends it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import sys
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pyotp

from connectors.lab import sip
from gateway.cli.terminal import shell

if TYPE_CHECKING:
    from gateway.cli.demo import Demo

PERSON = "2001"


class StoryFailed(Exception):
    """A step did not hold."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command gave."""

    code: int
    out: str
    err: str


def require(fine: bool, what: str) -> None:
    """StoryFailed with the words of a step that did not hold."""
    if not fine:
        raise StoryFailed(what)


def tell(step: str, proof: str) -> None:
    """A step that held, and what shows it."""
    click.echo(f"✓ {step}\n    {proof}")


class Master:
    """One OpenSSH connection that many commands share (ControlMaster), so that one code is enough."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo
        self._socket = demo.folder / "master"

    async def start(self, code: str) -> None:
        """Sign in with key and code."""
        helper = self._demo.folder / "askpass"
        helper.write_text(f"#!/bin/sh\necho {code}\n")
        helper.chmod(stat.S_IRWXU)
        environment = os.environ | {"SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
        process = await asyncio.create_subprocess_exec(
            *self._demo.ssh("-M", "-S", str(self._socket), "-f", "-N"), env=environment,
            stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        require(await process.wait() == 0, "the engineer could not sign in")

    async def start_process(self, command: str) -> asyncio.subprocess.Process:
        """A command over the open connection, left running."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *self._demo.ssh("-S", str(self._socket)),
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
        )

    async def run(self, command: str) -> Ran:
        """A command to its end."""
        process = await self.start_process(command)
        out, err = await process.communicate()
        return Ran(process.returncode or 0, out.decode(), err.decode())

    async def stop(self) -> None:
        """Hang up."""
        process = await asyncio.create_subprocess_exec(
            *self._demo.ssh("-S", str(self._socket), "-O", "exit"), stderr=asyncio.subprocess.DEVNULL
        )
        await process.wait()


async def told_to_its_end(master: Master, playing: Awaitable[None]) -> int:
    """0 when every step held, 1 with the one that did not; then the engineer hangs up."""
    try:
        await playing
    except StoryFailed as error:
        click.echo(f"✗ {error}", err=True)
        return 1
    finally:
        await master.stop()
    click.echo("The whole story held.")
    return 0


async def play(demo: Demo) -> int:
    """0 when every step held, 1 with the one that did not."""
    master = Master(demo)
    return await told_to_its_end(master, _played(demo, master))


async def _played(demo: Demo, master: Master) -> None:
    await master.start(pyotp.TOTP(demo.totp).now())
    grant = await _permission(demo, master)
    await _work(demo, master)
    await _revocation(demo, master, grant)
    await _afterwards(demo)


async def _permission(demo: Demo, master: Master) -> str:
    refused = await master.run(f"show {PERSON}")
    require(refused.code == 3, f"without permission the exit code should be 3, not {refused.code}: {refused.err}")
    tell("refused without permission", f"ssh … show {PERSON} → exit 3: {refused.err.splitlines()[0]}")
    asked = await master.run(
        'request "Head office" --ops find,view,alter,reset-sip,diag --for 2h --ticket T-7 --json '
        '--reason "Grace married"'
    )
    require(asked.code == 0, f"the request failed: {asked.err}")
    request = asked.out.split('"request": "')[1].split('"')[0]
    consent = await demo.admin(
        "request record-consent", request=request, by="Omar Aziz", recorded_by="the demo", at_ms=None, words="yes"
    )
    mail = await demo.mails.wait_for("A yes given by telephone was entered for you", count=2)
    require("recorded by the demo" in mail, "the mail does not say who recorded the yes")
    tell("consent by telephone recorded", f"{consent['how']}; both approvers were mailed")
    return str(consent["grant"])


async def _work(demo: Demo, master: Master) -> None:
    found = await master.run("find grace")
    require(found.code == 0 and "Grace Okonkwo" in found.out, f"find failed: {found.err}")
    shown = await master.run(f"show {PERSON}")
    require("user2001@customer.example" in shown.out, f"show failed: {shown.err}")
    tell("found and shown", shown.out.splitlines()[1])
    changed = await master.run(f'set {PERSON} name="Grace Bell"')
    require(changed.code == 0 and "Grace Bell" in changed.out, f"set failed: {changed.err}")
    tell("name changed", changed.out.splitlines()[1])
    await _reset(demo, master)
    forbidden = await master.run(f"diag pjsip show auth {PERSON}")
    require(forbidden.code == 2 and "CANARY" not in forbidden.out + forbidden.err, "a forbidden read went through")
    tell("a forbidden read refused", f"diag pjsip show auth {PERSON} → exit 2: {forbidden.err.splitlines()[0]}")


async def _reset(demo: Demo, master: Master) -> None:
    old = demo.lab.store.sip_secret(PERSON) or ""
    before = await asyncio.to_thread(sip.register, "127.0.0.1", demo.lab.sip_port, PERSON, old, 0)
    done = await master.run(f"reset {PERSON} sip --phones-will-drop --yes")
    require(done.code == 0 and "reset; sent to" in done.out, f"reset failed: {done.err}")
    # The lab is the phone system here, so it knows the new password; Frameroom never does.
    new = demo.lab.store.sip_secret(PERSON) or ""
    after_old = await asyncio.to_thread(sip.register, "127.0.0.1", demo.lab.sip_port, PERSON, old, 0)
    after_new = await asyncio.to_thread(sip.register, "127.0.0.1", demo.lab.sip_port, PERSON, new, 0)
    require((before, after_old, after_new) == (200, 401, 200), f"REGISTER: {before}, {after_old}, {after_new}")
    mail = await demo.mails.wait_for("This link shows it once")
    require(new not in mail and new not in done.out + done.err, "the new password was shown")
    tell("telephone password reset", f"{done.out.splitlines()[1].strip()}; REGISTER old: 401, new: 200")


async def _revocation(demo: Demo, master: Master, grant: str) -> None:
    async with shell(demo) as engineer:
        engineer.type(f"show {PERSON}")
        await engineer.wait_for("Grace Bell")
        (live,) = demo.app.visits.all()
        begun = time.monotonic()
        await demo.admin("grant revoke", grant=grant, reason="that was all")
        code = await engineer.process.wait()
        took = time.monotonic() - begun
        await engineer.wait_for("The visit has ended: the permission was ended by staff.")
    require(code == 3 and took < 1, f"the engineer's shell took {took:.2f} s to end, with exit {code}")
    await live.over.wait()
    refused = await master.run(f"show {PERSON}")
    require(refused.code == 3, "the engineer still could look after the permission was ended")
    proof = f"the engineer's shell was told why and ended after {took * 1000:.0f} ms; the next command → exit 3"
    tell("revoked in mid-visit", proof)


async def _afterwards(demo: Demo) -> None:
    session = (await demo.admin("session list"))[0]
    require(session["state"] == "closed", f"the visit is {session['state']}")
    played = await demo.admin("recording play", session=session["id"], why="the demo", find="Grace Bell")
    require(bool(played), "the recording does not show what was done")
    tell("recording played", f"{played[0]['at']:.2f} s: {played[0]['text'].strip()}")
    report = await demo.admin("audit verify")
    require(report["ok"], f"the log does not verify: {report['faults']}")
    counted = [f"{report[f'{one}s']} {one}" + "s" * (report[f"{one}s"] != 1) for one in ("checkpoint", "segment")]
    tell("log verified", ", ".join([f"{report['entries']} entries", *counted]))
    fault = await _tampered(demo)
    tell("a byte flipped in a copy was found", fault)


async def _tampered(demo: Demo) -> str:
    """Copy the whole deployment, flip one byte of one entry, verify the copy with the command itself."""
    copy = demo.folder / "copy"
    data = demo.settings.storage.data_dir

    def make() -> None:
        (copy / "data").mkdir(parents=True)
        for name in ("keys", "keyring", "objects"):
            shutil.copytree(data / name, copy / "data" / name)
        shutil.copy(demo.folder / "frameroom.toml", copy / "frameroom.toml")
        source, target = sqlite3.connect(data / "frameroom.db"), sqlite3.connect(copy / "data" / "frameroom.db")
        source.backup(target)
        row = target.execute("select seq, entry from entries where kind = 'operation.done' limit 1").fetchone()
        entry = row[1].replace(b'"count":1', b'"count":0')
        target.execute("update entries set entry = ? where seq = ?", (entry, row[0]))
        target.commit()
        target.close()
        source.close()

    await asyncio.to_thread(make)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli.main", "-c", str(copy / "frameroom.toml"), "--json", "audit", "verify",
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    require(
        process.returncode == 1 and b"not what was hashed" in out, f"the flipped byte was not found: {err.decode()}"
    )
    faults = out.decode().split('"faults": ["')[1].split('"')[0]
    return f"exit 1: {faults}"
