"""`frameroom import` as typed: results in the file's order, exit codes, and what is refused before anything is sent."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def frameroom(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployment") / "fr"
    made = frameroom("init", str(folder))
    assert made.returncode == 0, made.stderr
    return folder


def imported(deployment: Path, *words: str) -> tuple[int, list[dict[str, str]], str]:
    done = frameroom("-c", str(deployment / "frameroom.toml"), "--json", "import", *words)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else [], done.stderr


def test_a_whole_spreadsheet_planned_imported_and_imported_again(deployment: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    key = tmp_path / "pbx.key"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nCANARY\n-----END OPENSSH PRIVATE KEY-----\n")
    key.chmod(0o600)
    file.write_text(
        "kind,customer,name,email,connector,host,login,credential file,operations\n"
        "contact,Brook,Kate,kate@customer.example,,,,,\n"
        "system,Brook,PBX,,lab,h.example,frameroom,pbx.key,\n"
        "agreement,Brook,,,,,,,find\n"
        "contact,Brook,Kate again,KATE@customer.example,,,,,\n"
        "customer,Brook,,,,,,,\n"
    )
    # The file's order does not matter: the customer comes last, and is added first.
    for plan, wanted, told in ((True, "add", "Nothing was written"), (False, "added", ""), (False, "same", "")):
        code, rows, said = imported(deployment, str(file), *(["--plan"] if plan else []))
        assert [row["row"] for row in rows] == ["2", "3", "4", "5", "6"]
        assert [row["result"] for row in rows] == [wanted, wanted, wanted, "refused", wanted]
        assert rows[3]["words"] == "row 2 is about the same contact"
        assert (code, told in said) == (1, True)
        assert "CANARY" not in said + json.dumps(rows)
    assert "no credential" not in rows[1]["words"]


def test_a_credential_file_that_others_can_read_is_refused(deployment: Path, tmp_path: Path) -> None:
    file, key = tmp_path / "systems.csv", tmp_path / "pbx.key"
    key.write_text("CANARY")
    key.chmod(0o644)
    file.write_text("customer,system,connector,host,login,credential file\nBrook,P,lab,h,frameroom,pbx.key\n")
    code, ((row),), _ = imported(deployment, str(file))
    assert (code, row["result"]) == (1, "refused")
    assert "can be read by others" in row["words"]


def test_a_file_of_secrets_is_refused_whole_with_exit_2(deployment: Path, tmp_path: Path) -> None:
    file = tmp_path / "systems.csv"
    file.write_text("customer,system,connector,host,password\nBrook,Q,lab,h,CANARY\n")
    code, rows, said = imported(deployment, str(file))
    assert (code, rows) == (2, [])
    assert "would hold secrets" in said
    assert "CANARY" not in said


def test_a_header_alone_is_said_to_be_one(deployment: Path, tmp_path: Path) -> None:
    file = tmp_path / "none.csv"
    file.write_text("kind,customer\n")
    assert imported(deployment, str(file), "--plan") == (0, [], "The file has no rows. Nothing was written.\n")


def test_a_customer_of_more_rows_than_one_transaction_takes(deployment: Path, tmp_path: Path) -> None:
    file = tmp_path / "large.csv"
    with file.open("w", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(["kind", "customer", "name", "email"])
        lines.writerow(["customer", "Large", "", ""])
        lines.writerows(["contact", "Large", f"P {n}", f"p{n}@customer.example"] for n in range(4_100))
    code, rows, _ = imported(deployment, str(file), "--plan")
    assert (code, {row["result"] for row in rows}, len(rows)) == (0, {"add"}, 4_101)


def test_hostile_text_in_a_cell_reaches_no_terminal(deployment: Path, tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    file.write_text("customer\nEvil \x1b]0;title\x07\n")
    done = frameroom("-c", str(deployment / "frameroom.toml"), "import", str(file))
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
