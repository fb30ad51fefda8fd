"""`audit report` on a deployment that nobody serves, and the verifier on what it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.publisher import object_name
from audit.verify import main as verify
from tests.cli.conftest import BROOK, Closed


def vkey(closed: Closed) -> str:
    return str(closed.json("audit", "verify")["vkey"])


def test_a_report_since_a_time_holds_and_that_it_was_made_stands_in_the_log(furnished: Closed, tmp_path: Path) -> None:
    report = tmp_path / "since.txt"
    made = furnished.json(
        "audit", "report", "--since", "1h ago", "--customer", BROOK, "--to", str(report), "--why", "t"
    )
    assert made["bytes"] == report.stat().st_size
    assert report.stat().st_mode & 0o077 == 0
    assert verify([str(report), "--vkey", vkey(furnished)]) == 0
    words = report.read_text(encoding="utf-8").partition("===")[0]
    assert "Kate Brook became an approver" in words
    assert "Northern" not in words
    looked = furnished.json("audit", "search", "--customer", BROOK, "--kind", "looked.audit", "--why", "t")
    assert [row["told"] for row in looked if "why=t" in row["told"]]
    refused = furnished.refused(
        "audit", "report", "--since", "1h ago", "--customer", BROOK, "--to", str(report), "--why", "t"
    )
    assert "is there already" in refused


def test_it_extends_a_checkpoint_that_was_kept_and_a_forked_one_is_found(furnished: Closed, tmp_path: Path) -> None:
    furnished.ok("audit", "verify")
    customer = furnished.json("customer", "list")[0]["id"]
    kept = furnished.folder / "data" / "objects" / object_name(customer)
    mail = tmp_path / "mail.txt"
    mail.write_text("Kept:\n\n" + kept.read_text())
    furnished.ok("approver", "add", BROOK, "--name", "Jo", "--email", "jo@customer.example")
    name = furnished.json("customer", "list")[0]["name"]
    report = tmp_path / "since.txt"
    furnished.ok(
        "audit",
        "report",
        "--since",
        "1h ago",
        "--customer",
        name,
        "--held",
        str(mail),
        "--to",
        str(report),
        "--why",
        "t",
    )
    assert verify([str(report), "--vkey", vkey(furnished), "--since", str(mail)]) == 0
    size = mail.read_text().split("\n")[3]
    mail.write_text(mail.read_text().replace(f"\n{size}\n", f"\n{int(size) - 1}\n"))
    assert verify([str(report), "--vkey", vkey(furnished), "--since", str(mail)]) == 3


def test_a_folder_of_the_whole_log_holds_and_an_entry_altered_in_it_is_named(furnished: Closed) -> None:
    key = vkey(furnished)
    customer = furnished.json("customer", "list")[0]["id"]
    folder = furnished.folder / "data" / "objects" / "log" / customer
    asked = [str(folder), "--vkey", key, "--origin", f"closed.frameroom.example/{customer}"]
    assert verify(asked) == 0
    assert verify([*asked[:-1], "closed.frameroom.example/cus_other"]) == 1
    (bundle,) = (folder / "tile" / "entries").rglob("000.p/*")
    bundle.write_bytes(bundle.read_bytes().replace(b"Northern", b"northern").replace(b'"kind"', b'"Kind"', 1))
    assert verify(asked) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "a report is of one thing"),
        (("--since", "1h ago"), "--since wants --customer NAME"),
        (("--session", "ses_" + "0" * 24), "there is no such visit"),
        (("--since", "1h ago", "--customer", BROOK, "--recording"), "--session"),
    ],
)
def test_what_cannot_be_reported_is_said(furnished: Closed, words: tuple[str, ...], said: str) -> None:
    assert said in furnished.refused("audit", "report", *words, "--why", "t")
