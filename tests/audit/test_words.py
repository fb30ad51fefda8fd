"""A report made once can be checked for good: what its words were, for every version that was shipped.

`words-N.json` holds entries of every kind and the words of version N of them; `report-N.txt` is a report as it was
issued, `report-N.vkey` the key on its customer's agreement. These files are never made again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit import told
from audit.events import KINDS
from audit.reportfile import MARK, parse
from audit.verify import main
from audit.words import MAKERS, NEWEST

VECTORS = Path(__file__).parents[1] / "vectors"
CHANGED = "the words of a version that was shipped were changed: see the beginning of audit/told.py"


def vector(version: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / f"words-{version}.json").read_text(encoding="utf-8"))
    return found


def issued(version: int) -> tuple[str, list[str]]:
    """The text of a report as it was issued, and the option with its customer's key."""
    text = (VECTORS / f"report-{version}.txt").read_text(encoding="utf-8")
    return text, ["--vkey", str(VECTORS / f"report-{version}.vkey")]


@pytest.mark.parametrize("version", sorted(MAKERS))
def test_the_words_of_every_version_are_what_they_were(version: int) -> None:
    was = vector(version)
    made = MAKERS[version](was["about"], was["origin"], was["made_ms"], was["entries"])
    assert made.splitlines() == was["words"], CHANGED


def test_a_kind_that_came_later_has_no_sentence_in_a_version_that_was_shipped() -> None:
    known = {body["kind"] for _, body, _ in vector(NEWEST)["entries"]}
    for kind in KINDS.keys() - known:
        assert told.line({"kind": kind, "time": 0, "data": {}}, {}).endswith(f"  {kind}"), CHANGED


@pytest.mark.parametrize("version", sorted(MAKERS))
def test_a_report_issued_once_holds_for_good(version: int, capsys: pytest.CaptureFixture[str]) -> None:
    text, key = issued(version)
    assert parse(text)[0].version == version
    code = main([str(VECTORS / f"report-{version}.txt"), *key])
    assert code == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ("", 0, "Everything holds."),
        ('"words": {"version": 999}, ', 5, "a newer copy of the folder audit/ is needed"),
        ('"words": {"version": 0}, ', 2, "no words of version 0"),
        ('"words": {"version": "1"}, ', 2, "a number was expected"),
        ('"words": {"version": true}, ', 2, "a number was expected"),
        ('"words": 1, ', 2, "damaged"),
    ],
)
def test_a_report_without_a_version_has_the_first_and_one_of_a_version_to_come_asks_for_a_newer_verifier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str, code: int, words: str
) -> None:
    text, key = issued(1)
    file = tmp_path / "report.txt"
    head, mark, rest = text.partition(MARK)
    given = json.loads(rest)
    del given["words"]
    file.write_text(head + mark + "{" + said + json.dumps(given, ensure_ascii=False)[1:], encoding="utf-8")
    assert main([str(file), *key]) == code
    shown = capsys.readouterr()
    assert words in shown.out + shown.err
    assert ("cannot be checked" in shown.err) == (code in {2, 5})
