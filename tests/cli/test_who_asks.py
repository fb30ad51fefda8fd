"""Who asks is whoever came into the machine, and not whom they became: two people behind one account stay two."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.demo import CUSTOMER, started
from gateway.wiring.asking import login_of
from tests.cli.conftest import BROOK, ROOT, Closed

_CAME_IN = "import os, sys; open('/proc/self/loginuid', 'w').write(sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])"
"""What pam_loginuid does when somebody signs in. Nothing started afterwards can be rid of it."""
_TWO = ("hold", "place", "--basis", "claim", "--customer")


def may_come_in() -> bool:
    """Whether this kernel names who came in, and lets us."""
    return subprocess.run([sys.executable, "-c", _CAME_IN, "1", "/bin/true"], capture_output=True).returncode == 0


def as_came_in(config: Path, uid: int, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of somebody who came in with that account, and is this test's user by now."""
    command = [sys.executable, "-c", _CAME_IN, str(uid), sys.executable, "-m", "gateway.cli.main"]
    return subprocess.run(
        [*command, "-c", str(config), *words, "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )


def hold_of_two(config: Path, customer: str) -> None:
    """By `sudo -u frameroom` everybody is one user: the log would name nobody, and nothing could take two people."""
    placed = as_came_in(config, 1, *_TWO, customer)
    assert placed.returncode == 0, placed.stderr
    proposal = json.loads(placed.stdout)["proposal"]
    again = as_came_in(config, 1, "hold", "confirm", proposal)
    assert again.returncode != 0
    assert "It takes two people" in again.stderr
    assert as_came_in(config, 2, "hold", "confirm", proposal).returncode == 0
    (held,) = json.loads(as_came_in(config, 2, "hold", "list").stdout)
    assert (held["proposed by"], held["confirmed by"]) == ("daemon", "bin")


needs_names = pytest.mark.skipif(not may_come_in(), reason="this kernel, or container, lets nobody come in by name")


@needs_names
def test_two_people_behind_one_account_are_two(closed: Closed) -> None:
    closed.ok("customer", "add", BROOK)
    hold_of_two(closed.config, BROOK)


@needs_names
async def test_and_so_they_are_to_a_gateway_that_serves(tmp_path: Path) -> None:
    async with started(tmp_path) as demo:
        await asyncio.to_thread(hold_of_two, demo.folder / "frameroom.toml", CUSTOMER)


def test_without_a_name_it_is_the_processes_user() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        came_in = Path(f"/proc/{process.pid}/loginuid")
        if came_in.exists() and int(came_in.read_text()) != 2**32 - 1:
            pytest.skip("whoever runs this came in by a name of their own")
        assert login_of(os.getuid(), process.pid) == login_of(os.getuid(), 0)
        process.communicate(b"\n")
    assert login_of(4_000_000_000, 0) == "uid 4000000000"
