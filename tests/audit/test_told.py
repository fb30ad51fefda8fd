"""The words of an entry say what it says, and nothing where there is nothing to say."""

from __future__ import annotations

from typing import Any

import pytest

from audit.told import line


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
