"""A deployment that nobody serves, on each database, and the command line on it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.wiring.parts import make_keys

ROOT = Path(__file__).parents[2]
BROOK, NORTH = "Brook & Sons", "Northern Mills"


def process(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """The real command, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", *words], cwd=ROOT, capture_output=True, text=True, **more
    )


@dataclass
class Closed:
    """Commands of one deployment, in this process: nothing of it needs another."""

    config: Path

    @property
    def folder(self) -> Path:
        return self.config.parent

    def run(self, *words: str, given: str | None = None) -> Result:
        done = CliRunner().invoke(main, ["-c", str(self.config), *words], input=given)
        # Whatever was typed: words and an exit code, never a traceback.
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert "Traceback" not in done.output
        return done

    def ok(self, *words: str) -> str:
        done = self.run(*words)
        assert done.exit_code == 0, done.output
        return str(done.stdout)

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    def refused(self, *words: str, code: int = 2, given: str | None = None) -> str:
        done = self.run(*words, given=given)
        assert done.exit_code == code, (done.exit_code, done.output)
        return str(done.stderr)


@pytest.fixture
def closed(database: tuple[str, str], tmp_path: Path) -> Closed:
    """Made and empty."""
    owner, app = database
    folder = tmp_path / "fr"
    make_keys(folder / "data" / "keys")
    config = folder / "frameroom.toml"
    config.write_text(
        '[deployment]\nname = "closed.frameroom.example"\ncompany_domains = ["company.example"]\n'
        f'[storage]\nowner_url = "{owner}"\ndatabase_url = "{app}"\n'
    )
    return Closed(config)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key file; its public half beside it as .pub."""
    made = asyncssh.generate_private_key("ssh-ed25519")
    path = tmp_path / "id"
    made.write_private_key(str(path))
    made.write_public_key(str(path) + ".pub")
    return path


@pytest.fixture
def furnished(closed: Closed, key: Path) -> Closed:
    """Two customers, each with a phone system "Head office", and an engineer whom the first has named."""
    closed.ok("engineer", "add", "ana", "--name", "Ana Silva", "--email", "ana@company.example")
    for customer in (BROOK, NORTH):
        closed.ok("customer", "add", customer)
        closed.ok(
            "system", "add", customer, "--name", "Head office", "--connector", "lab", "--host", "127.0.0.1", "--port",
            "9", "--pin", f"{key}.pub", "--login", "frameroom", "--key-file", str(key), "--untried",
        )  # fmt: skip
    closed.ok("customer", "engineer", BROOK, "ana")
    closed.ok("approver", "add", BROOK, "--name", "Kate Brook", "--email", "kate@customer.example")
    closed.ok("contact", "add", BROOK, "--name", "Omar Aziz", "--email", "omar@customer.example")
    terms = closed.folder / "terms.json"
    terms.write_text('{"operations": ["view"], "mail_domains": ["customer.example"], "consent_by_phone": true}')
    closed.ok("agreement", "set", BROOK, str(terms))
    closed.ok("agreement", "confirm", BROOK, "--by", "Kate Brook", "--how", "letter")
    return closed
