"""`log rotate-key`: the log goes on under a new key, and every step that is cut short is made good."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.publisher import object_name
from audit.storage import LocalObjects
from audit.verify import main as verify
from gateway.wiring.signing import hand_over, signing
from tests.keeping.deployment import Deployment, make

NAME = "keep.frameroom.example"


@pytest.fixture
def deployment(database: tuple[str, str], tmp_path: Path) -> Deployment:
    made = make(tmp_path / "fr", database)
    made.do("customer add", name="Brook", region="uk")
    made.do("approver add", customer="Brook", name="Kate", email="kate@customer.example", phone="")
    return made


def report(deployment: Deployment, file: Path, *held: str) -> None:
    more = [word for name in held for word in ("--held", name)]
    asked = ("audit", "report", "--customer", "Brook", "--since", "1h ago", "--why", "t", "--to", str(file), *more)
    done = deployment.run(*asked)
    assert done.returncode == 0, done.stderr


def test_a_customer_with_the_old_key_goes_on_checking(deployment: Deployment, tmp_path: Path) -> None:
    before = deployment.json("audit", "verify")
    pinned, customer = before["vkey"], deployment.json("customer", "list")[0]["id"]
    mail = tmp_path / "mail.txt"
    mail.write_text((deployment.data / "objects" / object_name(customer)).read_text())
    for _ in range(2):  # a key is changed more than once in the life of a log
        changed = deployment.json("log", "rotate-key")
        assert changed["vkey"] != pinned
        assert changed["logs"] == 2, "the customer's and the operator's own"
    after = deployment.json("audit", "verify")
    assert (after["ok"], after["vkey"]) == (True, changed["vkey"])
    report(deployment, tmp_path / "report.txt", str(mail))
    for key in (pinned, changed["vkey"]):
        assert verify([str(tmp_path / "report.txt"), "--vkey", key, "--since", str(mail)]) == 0
    told = deployment.json("audit", "search", "--customer", "Brook", "--kind", "log.key_changed", "--why", "t")
    assert len(told) == 2


def test_cut_short_after_the_note_it_is_finished_at_the_next_opening(deployment: Deployment) -> None:
    old = deployment.json("audit", "verify")["vkey"]
    hand_over(deployment.data / "keys", NAME, LocalObjects(deployment.data / "objects"))
    assert deployment.json("audit", "verify")["vkey"] != old
    assert deployment.json("audit", "verify")["ok"]
    assert not (deployment.data / "keys" / "log-signing.next.pem").exists()


def test_a_key_that_was_handed_over_signs_no_more(deployment: Deployment) -> None:
    key = deployment.data / "keys" / "log-signing.pem"
    kept = key.read_bytes()
    deployment.json("log", "rotate-key")
    key.write_bytes(kept)
    done = deployment.run("audit", "verify")
    assert done.returncode != 0
    assert "handed over to a newer one" in done.stderr


def test_a_handover_that_was_touched_is_said(deployment: Deployment) -> None:
    deployment.json("log", "rotate-key")
    (note,) = (deployment.data / "objects" / "handovers").iterdir()
    note.write_text(note.read_text().replace("+", "-", 1))
    done = deployment.run("--json", "audit", "verify")
    assert done.returncode != 0
    assert "does not hold" in done.stderr
    objects = LocalObjects(deployment.data / "objects")
    note.unlink()
    assert signing(deployment.data / "keys", NAME, objects).handovers == ()
