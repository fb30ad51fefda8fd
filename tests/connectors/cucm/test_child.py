"""A reset in its child process, and `system add` and `system check` as they are typed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import NotSupported, Refused
from gateway.session.deliver import ResetServer
from gateway.wiring.parts import make_keys
from tests.cli.conftest import BROOK, Closed
from tests.connectors.cucm.conftest import Pbx
from tests.support.cucm.site import LOGIN, MODEL, PASSWORD


@pytest.fixture
async def server() -> AsyncIterator[ResetServer]:
    running = ResetServer()
    yield running
    running.stop()


def job(pbx: Pbx, kind: str, person: str = "gokonkwo", **settings: Any) -> dict[str, Any]:
    digits = kind == "voicemail"
    shape = {"alphabet": "0123456789" if digits else "abcdefghij", "length": 8 if digits else 20}
    return {
        "connector": "cisco-cucm", "system": "sys_1", "host": "127.0.0.1", "port": pbx.port, "pin": pbx.pin,
        "settings": json.dumps(settings), "mark": "", "person": person, "kind": kind, "link": "lnk_" + "a" * 24,
        "retry_s": 5, "message_id": "msg_1", "shape": {**shape, "classes": [], "avoid": []},
        "credential": {"login": LOGIN, "password": PASSWORD, "private_key": None},
        "mail": {}, "url": "", "path": "", "to": "", "subject": "", "body": ["", ""],
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "field"), [("portal", "password"), ("sip", "digestCredentials")])
async def test_a_reset_in_its_child(pbx: Pbx, server: ResetServer, kind: str, field: str) -> None:
    child = server.child()
    await child.start(job(pbx, kind))
    await child.write()
    child.close()
    new = pbx.user("gokonkwo").secrets[field]
    assert len(new) == 20
    assert pbx.user("gokonkwo").secrets == MODEL | {field: new}


async def test_a_pin_in_unity_in_its_child(pbx: Pbx, server: ResetServer) -> None:
    child = server.child()
    await child.start(job(pbx, "voicemail", voicemail="unity", unity={}))
    await child.write()
    child.close()
    mailbox = pbx.cucm.mailbox("gokonkwo")
    assert mailbox is not None
    assert (len(mailbox.pin), mailbox.hack_count) == (8, 0)


async def test_what_cannot_be_reset_is_said_by_the_child(pbx: Pbx, server: ResetServer) -> None:
    for kind, person, error in (("voicemail", "gokonkwo", NotSupported), ("portal", "m.lopez", Refused)):
        child = server.child()
        await child.start(job(pbx, kind, person))
        with pytest.raises(error):
            await child.write()
        child.close()
    assert pbx.user("gokonkwo").secrets == pbx.user("m.lopez").secrets == MODEL


# --- typed ---


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[tuple[Closed, dict[str, Any]]]:
    """A deployment, a stand-in in a process of its own, and the files that an operator has."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.cucm", "3", str(tmp_path)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    folder = tmp_path / "fr"
    make_keys(folder / "data" / "keys")
    made = Closed(folder / "frameroom.toml")
    made.config.write_text('[deployment]\nname = "check.frameroom.example"\n')
    made.ok("db", "upgrade")
    made.ok("customer", "add", BROOK)
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o600)
    yield made, told
    process.communicate("")


def adding(closed: Closed, told: dict[str, Any], settings: dict[str, Any], pin: str | None = None) -> list[str]:
    (closed.folder / "settings").write_text(json.dumps(settings))
    return [
        "system", "add", BROOK, "--name", "Head office", "--connector", "cisco-cucm", "--host", "127.0.0.1",
        "--port", str(told["port"]), "--pin", pin or told["pin"], "--login", LOGIN, "--password-file",
        str(closed.folder / "password"), "--settings-file", str(closed.folder / "settings"),
    ]  # fmt: skip


def test_an_account_as_documented_is_in_order_and_what_it_equals_is_said(typed: tuple[Closed, dict[str, Any]]) -> None:
    closed, told = typed
    closed.ok(*adding(closed, told, {"voicemail": "unity", "unity": {}}))
    lines = {line["what"]: line for line in json.loads(closed.ok("system", "check", "Head office", "--json"))}
    assert all(line["ok"] for line in lines.values()), lines
    assert "FULL CONTROL" in lines["secrets"]["in words"]
    assert "AXL 14.0" in lines["reach"]["in words"]
    assert "Unity Connection takes our account" in lines["voicemail"]["in words"]
    table = closed.ok("system", "check", "Head office")
    assert PASSWORD not in table + json.dumps(lines)
    shown = closed.json("system", "show", "Head office")
    assert re.fullmatch("certificate, sha256:([0-9A-F]{2}:){31}[0-9A-F]{2}", shown["pin"])
    assert "FULL CONTROL" in shown["secrets, why"], "wherever the system is shown"
    assert any(one.startswith("ddi: ") for one in shown["cannot"])


def test_settings_that_are_none_are_told_in_words(typed: tuple[Closed, dict[str, Any]]) -> None:
    closed, told = typed
    elsewhere = {"host": "192.0.2.1"}
    for settings, words in (
        ({"voicemial": "none"}, "did you mean voicemail?"), ({"version": "15.0"}, "version"),
        ({"voicemail": "unity"}, "belong together"), ({"voicemail": "unity", "unity": elsewhere}, "host and pin"),
        ({"voicemail": "unity", "unity": {**elsewhere, "pin": "x"}}, "no certificate"),
        ({"region": "XX"}, "no country"),
    ):  # fmt: skip
        assert words in closed.refused(*adding(closed, told, settings)), words


def test_a_wrong_password_and_another_certificate_are_told_in_words(typed: tuple[Closed, dict[str, Any]]) -> None:
    closed, told = typed
    (closed.folder / "password").write_text("CANARY-wrong")
    refused = closed.refused(*adding(closed, told, {}), code=1)
    assert "nothing was saved" in refused
    assert "CANARY" not in refused
    closed.ok(*adding(closed, told, {}), "--untried")
    done = closed.run("system", "check", "Head office", "--json")
    assert done.exit_code == 1
    assert [(row["what"], row["ok"]) for row in json.loads(done.stdout)] == [
        ("reach", True), ("identity", True), ("credential", False), ("secrets", None),
    ]  # fmt: skip
    assert "CANARY" not in done.output
