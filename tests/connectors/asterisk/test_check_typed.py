"""`frameroom system check` as it is typed, on a real PostgreSQL that holds what the live Asterisk's did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.wiring.parts import make_keys
from tests.cli.conftest import BROOK, Closed
from tests.connectors.asterisk.conftest import DDI, PASSWORD, Pbx


@pytest.fixture
def typed(pbx: Pbx, tmp_path: Path) -> Closed:
    """A deployment with that phone system in it, as an operator adds one."""
    folder = tmp_path / "fr"
    make_keys(folder / "data" / "keys")
    made = Closed(folder / "frameroom.toml")
    made.config.write_text('[deployment]\nname = "check.frameroom.example"\n')
    made.ok("db", "upgrade")
    made.ok("customer", "add", BROOK)
    for name, text in (
        ("pin.pem", pbx.pin), ("password", PASSWORD), ("settings", json.dumps({"database": pbx.database, "ddi": DDI})),
    ):  # fmt: skip
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    made.ok(
        "system", "add", BROOK, "--name", "Head office", "--connector", "asterisk-realtime", "--host", "127.0.0.1",
        "--port", str(pbx.port), "--pin", str(folder / "pin.pem"), "--login", "gateway", "--password-file",
        str(folder / "password"), "--settings-file", str(folder / "settings"),
    )  # fmt: skip
    return made


def lines(told: str) -> dict[str, Any]:
    return {line["what"]: line for line in json.loads(told)}


def test_a_role_as_documented_is_in_order_and_what_it_could_read_is_said(typed: Closed) -> None:
    told = lines(typed.ok("system", "check", "Head office", "--json"))
    assert all(line["ok"] for line in told.values()), told
    assert "enforced" in told["how secrets are kept"]["in words"]
    table = typed.ok("system", "check", "Head office")
    assert "how secrets are kept" in table
    assert PASSWORD not in table + json.dumps(told)


def test_a_role_that_could_read_a_secret_is_named_with_it_and_exit_code_1(typed: Closed, pbx: Pbx) -> None:
    pbx.sql("grant select (password) on voicemail to gateway")
    done = typed.run("system", "check", "Head office", "--json")
    assert done.exit_code == 1
    told = lines(done.stdout)
    assert [(what, line["ok"]) for what, line in told.items()] == [
        ("reach", True), ("identity", True), ("credential", True), ("secrets", False),
    ]  # fmt: skip
    assert "voicemail.password" in told["secrets"]["in words"]


def test_a_pin_that_can_prove_nothing_is_told_before_anybody_is_dialled(typed: Closed) -> None:
    folder = typed.folder
    (folder / "line").write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f")
    typed.ok(
        "system", "add", BROOK, "--name", "Branch", "--connector", "asterisk-realtime", "--host", "127.0.0.1",
        "--pin", str(folder / "line"), "--login", "gateway", "--password-file", str(folder / "password"),
        "--settings-file", str(folder / "settings"), "--untried",
    )  # fmt: skip
    told = lines(typed.run("system", "check", "Branch", "--json").stdout)
    assert [line["ok"] for line in told.values()] == [None, False, None, None]
    assert "not a PEM certificate" in told["identity"]["in words"]


def test_a_right_that_is_missing_an_identity_that_is_another_and_nobody_there(typed: Closed, pbx: Pbx) -> None:
    pbx.sql("revoke update (fullname) on voicemail from gateway")
    done = typed.run("system", "check", "Head office", "--json")
    assert done.exit_code == 1
    assert "fullname" in lines(done.stdout)["rights"]["in words"]
    pbx.sql("alter role gateway nologin")
    try:
        refused = typed.run("system", "check", "Head office")
        assert refused.exit_code == 1
        assert "no" in refused.stdout
        assert PASSWORD not in refused.output
    finally:
        pbx.sql("alter role gateway login")
