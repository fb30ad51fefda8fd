"""`customer oidc …` on a deployment that nobody serves, with a real provider."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import BROOK, Closed
from tests.support.need import PROVIDER, need_provider
from tests.support.openid import SECRET


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[str]:
    told = tmp_path / "provider.json"
    told.write_text(json.dumps({"clients": [], "accounts": {}, "userinfo": True}))
    process = subprocess.Popen(
        [need_provider(), str(PROVIDER / "provider.mjs"), str(told)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_a_provider_is_set_shown_and_removed_and_its_secret_shown_to_nobody(
    closed: Closed, issuer: str, tmp_path: Path
) -> None:
    closed.ok("customer", "add", BROOK)
    assert "no provider" in closed.refused("customer", "oidc", "show", BROOK)
    secret = tmp_path / "client-secret"
    secret.write_text(SECRET + "\n")
    words = [
        "customer", "oidc", "set", BROOK, "--name", "Brook account", "--issuer", issuer, "--client-id", "frameroom",
        "--secret-file", str(secret), "--domain", "customer.example", "--domain", "Brook.example",
    ]  # fmt: skip
    made = closed.json(*words)
    assert made["domains"] == ["brook.example", "customer.example"]
    assert made["redirect address"].endswith(f"/sign-in/back/{made['sign-in page'].rpartition('/')[2]}")
    assert SECRET not in json.dumps(made) + closed.ok("customer", "oidc", "show", BROOK)
    assert closed.json("customer", "oidc", "show", BROOK) == made
    wrong = closed.refused(*words[:6], "--issuer", "http://b.example", *words[8:])
    assert "https" in wrong
    away = closed.refused(*words[:6], "--issuer", "https://127.0.0.2:9", *words[8:], code=1)
    assert "portal.provider_networks" in away
    assert closed.json("customer", "oidc", "show", BROOK) == made
    closed.ok("approver", "add", BROOK, "--name", "Kate Brook", "--email", "kate@customer.example")
    assert "no account is theirs" in closed.refused("customer", "oidc", "forget", BROOK, "Kate Brook")
    assert closed.json("customer", "oidc", "remove", BROOK)["state"] == "removed"
    closed.refused("customer", "oidc", "remove", BROOK)
