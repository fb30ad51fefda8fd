"""kill -9 in the middle of a visit: nothing acknowledged is lost, and what was open is closed as failed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyotp

from config import load as loading
from gateway.session.deliver import ResetServer
from gateway.wiring.admin import Admin
from gateway.wiring.app import App
from gateway.wiring.parts import parts

ROOT = Path(__file__).parents[2]


async def run(*command: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | environment,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_kill_9_in_a_visit(tmp_path: Path) -> None:
    folder, state_file = tmp_path / "demo", tmp_path / "state.json"
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli.main", "demo", "--dir", str(folder), "--state-file", str(state_file),
        cwd=ROOT, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert gateway.stdout is not None
    said = await gateway.stdout.readline()
    assert said.startswith(b"Frameroom is running"), "and what was mailed meanwhile comes after it"
    while b"Ctrl-C ends it" not in (line := await gateway.stdout.readline()):
        assert line, "the demo ended before it was ready"
    assert b" (kept at the end)" in line
    assert not (await gateway.stdout.readline()).strip()
    assert (await gateway.stdout.readline()).startswith(b"Mail to ")
    assert state_file.stat().st_mode & 0o077 == 0, "it holds secrets"
    state = json.loads(state_file.read_text())
    askpass = tmp_path / "askpass"
    askpass.write_text(f"#!/bin/sh\necho {pyotp.TOTP(state['totp']).now()}\n")
    askpass.chmod(0o700)
    shared = [*state["ssh"][:-1], "-S", str(tmp_path / "m"), state["ssh"][-1]]
    code, out = await run(
        *shared[:-1], "-M", "-f", "-N", shared[-1], SSH_ASKPASS=str(askpass), SSH_ASKPASS_REQUIRE="force", DISPLAY=":0"
    )
    assert code == 0, out
    code, out = await run(*shared, 'set 2001 name="Grace Bell"')
    assert (code, "Grace Bell" in out) == (0, True)
    gateway.send_signal(signal.SIGKILL)
    await gateway.wait()

    # What is left of it is no place for another one.
    code, out = await run(sys.executable, "-m", "gateway.cli.main", "demo", "--dir", str(folder))
    assert code == 2
    assert "holds a demo already" in out

    settings = loading.load(folder / "frameroom.toml", {})
    resets = ResetServer()
    try:
        async with parts(settings) as opened:
            app = App(opened, resets)
            assert await app.visits.close_leftovers(app._recovered) == 1
            admin = Admin(opened)
            report = await admin.call("audit verify", "t", {})
            assert report["ok"], report["faults"]
            (session,) = await admin.call("session list", "t", {})
            assert session["state"] == "failed"
            found = await admin.call(
                "recording play", "t", {"session": session["id"], "why": "t", "find": "Grace Bell"}
            )
            assert found
            assert await app.visits.close_leftovers({}) == 0
            app.recorder.close()
    finally:
        resets.stop()


async def test_a_state_file_that_cannot_be_written_is_said_before_anything_starts(tmp_path: Path) -> None:
    nowhere = tmp_path / "no such folder" / "state.json"
    code, out = await run(sys.executable, "-m", "gateway.cli.main", "demo", "--state-file", str(nowhere))
    assert code == 1
    assert "No such file or directory" in out
    assert str(nowhere.parent) in out
    assert "Tell the maintainer" not in out
