"""`python -m connectors.lab`, as documentation tells people to start it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from connectors.lab.sip import register


def test_it_starts_says_where_it_is_and_stops(tmp_path: Path) -> None:
    state_file = tmp_path / "state.json"
    command = [sys.executable, "-m", "connectors.lab", "--data", str(tmp_path / "lab"), "--state-file", str(state_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        state = json.loads(process.stdout.readline())
        assert json.loads(state_file.read_text()) == state
        assert "CANARY" not in state_file.read_text()
        assert register("127.0.0.1", state["sip_port"], "2001", "CANARY-sip-2001-5e1", 0) == 200
        key = Path(state["private_key_file"])
        assert key.stat().st_mode & 0o077 == 0
        assert (tmp_path / "lab" / "people.json").stat().st_mode & 0o077 == 0
        done = subprocess.run(
            ["ssh", "-F", "none", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
             "-o", f"UserKnownHostsFile={tmp_path / 'known'}", "-p", str(state["ssh_port"]),
             f"{state['login']}@{state['host']}", "rx core show version"],
            capture_output=True, timeout=20, check=True,
        )  # fmt: skip
        assert done.stdout.startswith(b"Asterisk 22.10.1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
