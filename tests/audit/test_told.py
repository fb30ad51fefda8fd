"""The words of an entry say what it says, and nothing where there is nothing to say."""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

import pytest

from audit.told import harmless, line, report


def said(kind: str, clear: dict[str, Any] | None = None, **data: Any) -> str:
    body = {"kind": kind, "time": 0, "operation": "op_1", "data": {"name": "alter"} | data}
    return line(body, clear or {}).partition("  ")[2]


@pytest.mark.parametrize(
    ("data", "clear", "words"),
    [
        ({}, {}, "alter was begun (op_1)"),
        ({"fields": []}, {}, "alter was begun (op_1)"),
        ({"fields": ["name", "email"]}, {}, "alter was begun (op_1): name, email"),
        ({"fields": ["plan"]}, {}, "it was looked at what alter would do, or did (op_1)"),
        ({"fields": ["endpoints"]}, {"line": "pjsip show endpoints"}, "alter was begun (op_1): pjsip show endpoints"),
    ],
)
def test_what_only_shows_what_would_be_done_is_told_apart_from_doing_it(
    data: dict[str, Any], clear: dict[str, Any], words: str
) -> None:
    assert said("operation.intended", clear, **data) == words


def lines(*entries: tuple[str, dict[str, Any], dict[str, Any]], operation: str = "op_1") -> list[str]:
    """What a report says of these kinds, data and personal fields, all of one operation."""
    told = [
        (index, {"kind": kind, "time": 0, "operation": operation, "data": {"name": "alter"} | data}, clear)
        for index, (kind, data, clear) in enumerate(entries)
    ]
    words = report({"session": "ses_1"}, "frameroom.example/cus_1", 0, told)
    return [one.split("  ")[-1] for one in words.partition("What the log says:\n")[2].partition("\n\n")[0].split("\n")]


@pytest.mark.parametrize("fields", [["plan"], ["changes"]])
def test_the_outcome_of_a_look_before_an_act_does_not_read_as_if_the_act_was_done(fields: list[str]) -> None:
    looked = ("operation.intended", {"fields": fields}, {})
    said = lines(looked, ("operation.done", {"count": 3}, {}))
    assert said == [
        "it was looked at what alter would do, or did (op_1)",
        "what alter would do, or did, was shown (op_1)",
    ]
    acted = ("operation.intended", {"fields": ["name"]}, {})
    assert lines(acted, ("operation.done", {"count": 3}, {}))[-1] == "alter was done (op_1)"
    # Whatever its beginning said: somebody was changed.
    changed = {"before": {"name": "Grace"}, "after": {"name": "Grace Bell"}}
    assert "Grace Bell" in lines(looked, ("operation.done", {}, changed))[-1]
    # A look and an act under one id, as no gateway of ours writes it, reads as the act.
    assert lines(looked, acted, ("operation.done", {}, {}))[-1] == "alter was done (op_1)"


def test_recordings_that_were_deleted_are_told_by_the_visits_that_the_report_is_of() -> None:
    gone = {"kind": "retention.deleted", "time": 0, "data": {
        "what": "recordings", "why": "the contract ended 2026-05-31; 6 months after it are over", "count": 400,
        "sessions": [*(f"ses_{n}" for n in range(300)), "ses_x"], "keys": [],
    }}  # fmt: skip
    opened = {"kind": "session.opened", "time": 0, "session": "ses_x", "data": {}}
    words = report({"session": "ses_x"}, "frameroom.example/cus_1", 0, [(0, opened, {}), (1, gone, {})])
    assert (
        "deleted, for their period was over (the contract ended 2026-05-31; 6 months after it are over): recordings, "
        "400; of visits in this report: ses_x\n"
    ) in words
    assert "of visits in this report: none" in report({"since": 0}, "frameroom.example/cus_1", 0, [(1, gone, {})])


def test_an_outcome_that_changed_nobody_has_no_before_and_after() -> None:
    assert said("operation.done") == "alter was done (op_1)"
    changed = {"before": {"name": "Grace"}, "after": {"name": "Grace Bell"}}
    assert said("operation.done", changed) == "alter was done (op_1): name Grace → name Grace Bell"
    assert said("operation.done", dict.fromkeys(changed, "(erased on 2026-11-25)")).count("(erased on") == 2


def test_a_span_is_no_moment() -> None:
    assert said("log.started", behind_ms=0, node="nod_1").startswith(
        "log.started: operation op_1; name alter; behind_ms 0 ms"
    )
    assert "until_ms 2026-11-25 14:00:00 UTC" in said("proposal.made", until_ms=1_795_615_200_000)


def test_what_moves_a_terminal_or_turns_the_writing_is_a_space_whatever_unicode_python_knows() -> None:
    """A report that was made with one Python is checked with another."""
    moves = {"Cc", "Cf", "Zl", "Zp", "Cs"}
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        told, category = harmless(f"a{character}b"), unicodedata.category(character)
        if category in moves or 0x13439 <= number <= 0x1343F:  # the last came with Unicode 15
            assert told == "a b", f"{number:x}"
        elif not character.isspace():
            assert told == f"a{character}b", f"{number:x}"
