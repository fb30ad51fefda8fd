"""A reset in its child process, and `system add` and `system check` as they are typed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from connectors.errors import NotSupported
from gateway.errors import UnavailableError
from gateway.session.deliver import ResetServer
from gateway.wiring.parts import make_keys
from tests.cli.conftest import BROOK, Closed
from tests.support.ami.site import LOGIN, SECRET
from tests.support.children import no_child

from .conftest import Pbx


@pytest.fixture
async def server() -> Any:
    """The fork server."""
    running = ResetServer()
    first = running.child()
    with pytest.raises(UnavailableError):
        await first.start({})
    first.close()
    await no_child(running.pid)
    yield running
    running.stop()


def job(pbx: Pbx, mail_port: int, **more: Any) -> dict[str, Any]:
    return {
        "connector": "asterisk-ami", "system": "sys_1", "host": "127.0.0.1", "port": pbx.port, "pin": pbx.pin,
        "settings": '{"one_file": true}', "mark": "frameroom-t", "person": "2008", "kind": "sip",
        "link": "lnk_" + "a" * 24, "retry_s": 5, "message_id": "msg_1",
        "shape": {"alphabet": "abcdefghij", "length": 20, "classes": [], "avoid": []},
        "credential": {"login": LOGIN, "password": SECRET, "private_key": None},
        "mail": {"host": "127.0.0.1", "port": mail_port, "sender": "f@company.example", "tls": "none"},
        "url": "https://once.example", "path": "/s/", "to": "grace@customer.example", "subject": "S",
        "body": ["before ", " after"],
    } | more  # fmt: skip


class Kept:
    """A mail server that keeps."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """aiosmtpd's hook."""
        self.mails.append(envelope.content)
        return "250 kept"


@pytest.fixture
async def post() -> AsyncIterator[tuple[Kept, int]]:
    kept = Kept()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(kept, hostname="localhost"), "127.0.0.1", 0)
    yield kept, server.sockets[0].getsockname()[1]
    server.close()


async def test_a_reset_in_its_child(pbx: Pbx, server: ResetServer, post: tuple[Kept, int]) -> None:
    kept, port = post
    child = server.child()
    await child.start(job(pbx, port))
    assert await child.write() == ()
    assert await child.mail(5)
    child.close()
    assert len(kept.mails) == 1
    assert pbx.asterisk.accepts("2008", "CANARY-sip-2008") == 401
    auth = pbx.asterisk.section("2008", "auth")
    assert auth is not None
    new = auth.last("password") or ""
    assert len(new) == 20
    assert pbx.asterisk.accepts("2008", new) == 200
    assert new.encode() not in kept.mails[0]


async def test_what_cannot_be_reset_is_said_by_the_child(pbx: Pbx, server: ResetServer) -> None:
    child = server.child()
    await child.start(
        job(pbx, 9, kind="voicemail", shape={"alphabet": "0123456789", "length": 6, "classes": [], "avoid": []})
    )
    with pytest.raises(NotSupported, match="voicemail: rebuilt"):
        await child.write()
    child.close()
    assert not pbx.asked("UpdateConfig")


# --- typed ---


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[tuple[Closed, dict[str, Any]]]:
    """A deployment with that phone system in it, as an operator adds one; the stand-in in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.ami", "3", str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    folder = tmp_path / "fr"
    make_keys(folder / "data" / "keys")
    made = Closed(folder / "frameroom.toml")
    made.config.write_text('[deployment]\nname = "check.frameroom.example"\n')
    made.ok("db", "upgrade")
    made.ok("customer", "add", BROOK)
    (folder / "password").write_text(SECRET)
    (folder / "password").chmod(0o600)
    (folder / "settings").write_text("{}")
    made.ok(
        "system", "add", BROOK, "--name", "Head office", "--connector", "asterisk-ami", "--host", "127.0.0.1",
        "--port", str(told["port"]), "--pin", told["pin"], "--login", LOGIN, "--password-file",
        str(folder / "password"), "--settings-file", str(folder / "settings"),
    )  # fmt: skip
    yield made, told
    process.communicate("")


def test_an_account_as_documented_is_in_order_and_what_it_equals_is_said(typed: tuple[Closed, dict[str, Any]]) -> None:
    closed, _ = typed
    told = {line["what"]: line for line in json.loads(closed.ok("system", "check", "Head office", "--json"))}
    assert all(line["ok"] for line in told.values()), told
    assert "FULL CONTROL" in told["secrets"]["in words"]
    assert "selected" in told["how secrets are kept"]["in words"]
    assert "3 are shown" in told["mailboxes"]["in words"]
    table = closed.ok("system", "check", "Head office")
    assert SECRET not in table + json.dumps(told)
    shown = closed.json("system", "show", "Head office")
    assert "FULL CONTROL" in shown["secrets, why"], "wherever the system is shown"
    assert any(one.startswith("email: ") for one in shown["cannot"])
    rows = {row["connector"]: row for row in closed.json("connectors")}
    assert "cannot be read" in rows["asterisk-ami"]["login record"]


def test_a_setting_that_is_none_and_a_wrong_secret_are_told_in_words(typed: tuple[Closed, dict[str, Any]]) -> None:
    closed, told = typed
    (closed.folder / "settings").write_text('{"voicemial": "kept"}')
    refused = closed.refused(
        "system", "add", BROOK, "--name", "Second", "--connector", "asterisk-ami", "--host", "127.0.0.1", "--login",
        LOGIN, "--password-file", str(closed.folder / "password"), "--settings-file", str(closed.folder / "settings"),
        "--pin", told["pin"],
    )  # fmt: skip
    assert "did you mean voicemail?" in refused
    (closed.folder / "password").write_text("CANARY-wrong")
    closed.ok(
        "system",
        "credential",
        "Head office",
        "--login",
        LOGIN,
        "--password-file",
        str(closed.folder / "password"),
        "--untried",
    )
    done = closed.run("system", "check", "Head office", "--json")
    assert done.exit_code == 1
    assert [(row["what"], row["ok"]) for row in json.loads(done.stdout)] == [
        ("reach", True), ("identity", True), ("credential", False), ("secrets", None),
    ]  # fmt: skip
    assert "CANARY" not in done.output


def test_the_stand_in_ends_with_its_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.ami", "1"], input="", capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["port"]
