"""What a command imports: help, TAB and what a running gateway answers wait for nothing that a gateway is made of."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.access import columns
from gateway.choices import ROWS
from gateway.wiring import admin
from tests.cli.conftest import ROOT, Closed
from tests.cli.test_socket import answered
from tests.cli.test_socket import folder as folder

OF_A_GATEWAY = {
    "aiosmtpd", "aiosmtplib", "aiosqlite", "alembic", "asyncssh", "cryptography", "jinja2", "obstore", "phonenumbers",
    "pkcs11", "prometheus_client", "psycopg", "pyotp", "pyrage", "python_calamine", "sqlalchemy", "starlette",
    "structlog", "uvicorn", "uvloop", "webauthn", "zstandard",
}  # fmt: skip
OF_ANYTHING = OF_A_GATEWAY | {"asyncio", "pydantic", "rich"}


def imported(told: str) -> set[str]:
    """Top names of what `-X importtime` lists."""
    names = {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}
    return {name.partition(".")[0] for name in names}


def frameroom(*words: str, **environment: str) -> tuple[str, set[str]]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gateway.cli.main", *words],
        cwd=ROOT, capture_output=True, text=True, env=os.environ | environment, check=True,
    )  # fmt: skip
    assert "click" in imported(done.stderr)
    return done.stdout, imported(done.stderr)


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("grant", "--help"), ("audit", "search", "--help")])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    out, names = frameroom(*words)
    assert out.startswith(("Usage: frameroom ", "frameroom, version"))
    assert not names & OF_ANYTHING


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("gra", "grant"),
        ("grant re", "revoke"),
        ("access set x ", "weekly"),
        ("audit search --kind operation.", "done"),
    ],
)
def test_tab_imports_nothing_heavy(typed: str, offered: str) -> None:
    words = f"frameroom {typed}"
    completing = {"_FRAMEROOM_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    out, names = frameroom(**completing)
    assert offered in out
    assert not names & OF_ANYTHING


def test_a_connector_is_offered_although_its_name_is_asked_for_only_then() -> None:
    out, _ = frameroom("system", "add", "--help")
    assert "[lab|asterisk-realtime" in out


def test_what_a_gateway_answers_needs_none_of_what_it_is_made_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    done = answered(folder, b'{"result": [{"id": "gra_1", "state": "open"}]}\n', "grant", "list")
    assert (done.returncode, done.stdout.split()) == (0, ["id", "state", "gra_1", "open"])
    assert not imported(done.stderr) & OF_A_GATEWAY
    refused = answered(folder, b'{"error": "there is no such permission", "exit": 2}\n', "grant", "show", "gra_1")
    assert refused.returncode == 2
    assert not imported(refused.stderr) & OF_A_GATEWAY


def test_the_kinds_of_row_that_are_offered_are_those_that_are_taken() -> None:
    assert tuple(columns.KINDS) == ROWS


def test_a_command_of_a_deployment_imports_what_it_needs_and_not_what_serves(closed: Closed) -> None:
    """Most of what a gateway is made of serves: SSH, pages, mail, what signs people in."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gateway.cli.main", "-c", str(closed.config), "grant", "list"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "sqlalchemy" in imported(done.stderr)
    serving = {"alembic", "asyncssh", "authlib", "jinja2", "prometheus_client", "starlette", "uvicorn", "webauthn"}
    assert not imported(done.stderr) & serving


def test_every_command_is_found_in_its_part_and_what_is_none_in_no_part() -> None:
    """Whatever a file of `gateway.wiring.admin` can do is reached by its words."""
    reached = 0
    for file in Path(admin.__path__[0]).glob("[a-z]*.py"):
        module = importlib.import_module(f"{admin.__name__}.{file.stem}")
        for kind in vars(module).values():
            if not isinstance(kind, type) or kind.__module__ != module.__name__:
                continue
            for name in vars(kind):
                if name.startswith("do_"):
                    assert issubclass(admin._part(name.removeprefix("do_").replace("_", " ")), kind), name
                    reached += 1
    assert reached > 100
    assert admin._part("no such words") is None
