"""`system add` as it is typed: tried before it is saved, and asked on a terminal for what was left out."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import BROOK, ROOT, Closed


def depot(key: Path) -> tuple[str, ...]:
    return ("system", "add", BROOK, "--name", "Depot", "--connector", "lab", "--host", "127.0.0.1", "--port", "9",
            "--pin", f"{key}.pub", "--login", "frameroom", "--key-file", str(key))  # fmt: skip


def test_what_cannot_be_come_in_to_is_not_saved_unless_that_is_meant(furnished: Closed, key: Path) -> None:
    said = furnished.refused(*depot(key), code=1)
    assert "it was tried, and nothing was saved" in said
    assert "--untried" in said
    assert len(furnished.json("system", "list")) == 2
    assert furnished.json(*depot(key), "--untried")["tried"] == "no"


def test_on_a_terminal_it_asks_for_what_this_connector_needs_and_nothing_else(furnished: Closed, key: Path) -> None:
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "gateway.cli.main", "-c", str(furnished.config), "system", "add", BROOK, "--name",
             "Depot", "--connector", "lab", "--port", "9", "--login", "frameroom", "--untried"]  # fmt: skip
    os.write(ours, f"192.0.2.7\n{key}.pub\n/no/such/file\n{key}\n".encode())
    done = subprocess.run(words, cwd=ROOT, stdin=theirs, capture_output=True, text=True, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    asked = [line.split(":")[0] for line in done.stderr.replace(": ", ":\n").splitlines() if ":" in line]
    assert [one for one in asked if not one.startswith("Error")] == [
        "Its address", "Its host key line or certificate (or a file)", "File with the private key",
        "File with the private key",
    ]  # fmt: skip
    assert furnished.json("system", "show", "Depot")["host"] == "192.0.2.7"
