"""`frameroom customer month`."""

from __future__ import annotations

from tests.cli.conftest import BROOK, Closed


def test_a_month_is_shown_as_it_is_mailed_and_the_look_is_logged(furnished: Closed) -> None:
    told = furnished.ok("customer", "month", BROOK)
    for words in ("You get this page every month", "Who came in:\n  - nobody came in", "Times are those of"):
        assert words in told
    page = furnished.json("customer", "month", BROOK)
    assert page["sections"][0] == {"title": "Who came in", "lines": [], "left out": 0}
    assert page["over"] is False
    assert page["checkpoint"].startswith("closed.frameroom.example/")
    again = furnished.json("customer", "month", BROOK, "--month", page["month"])
    assert again["from"] == page["from"]
    assert "looked.audit" in furnished.ok("audit", "tail", "--customer", BROOK, "--count", "3")


def test_what_is_no_month_is_refused_with_an_example(furnished: Closed) -> None:
    assert "2026-10" in furnished.refused("customer", "month", BROOK, "--month", "october")
    assert "not begun" in furnished.refused("customer", "month", BROOK, "--month", "2999-12")
    assert "no month" in furnished.refused("customer", "month", BROOK, "--month", "0000-01")
    furnished.refused("customer", "month", "Nobody Ltd")
