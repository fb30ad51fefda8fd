"""Times as typed: the operator's zone, offsets, the two nights a year when clocks change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from gateway.cli.times import TimeError, local, parse

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def _london(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/London")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("typed", "utc"),
    [
        ("2026-11-25T14:00", "2026-11-25T14:00:00"),
        ("2026-07-01 14:00", "2026-07-01T13:00:00"),
        ("2026-07-01", "2026-06-30T23:00:00"),
        ("2026-07-01T14:00Z", "2026-07-01T14:00:00"),
        ("2026-11-25T14:00:30+05:30", "2026-11-25T08:30:30"),
        ("25 Nov 14:00", "2026-11-25T14:00:00"),
        ("1 december 2025 9:05", "2025-12-01T09:05:00"),
        ("14:00", "2026-11-25T14:00:00"),
        ("2h ago", "2026-11-25T10:00:00"),
        ("now", "2026-11-25T12:00:00"),
        # The clocks go back on 25 October 2026: with an offset either one o'clock can be meant.
        ("2026-10-25T01:30+01:00", "2026-10-25T00:30:00"),
    ],
)
def test_what_is_meant(typed: str, utc: str) -> None:
    assert datetime.fromtimestamp(parse(typed, NOW) / 1000, UTC).isoformat() == f"{utc}+00:00"


def test_a_day_without_a_year_is_the_nearest() -> None:
    new_year = datetime(2027, 1, 1, 0, 30, tzinfo=UTC).timestamp()
    assert local("2026-12-31T23:10:00Z").startswith("2026-12-31 23:10:00")
    assert datetime.fromtimestamp(parse("31 Dec 23:10", new_year) / 1000, UTC).year == 2026


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("2026-10-25T01:30", "comes twice"),
        ("2026-03-29T01:30", "clocks go forward"),
        ("2026-02-30", "there is no such time"),
        ("25:00", "there is no such time"),
        ("31 Foo 14:00", "foo is no month"),
        ("30 Feb", "no such day"),
        ("tomorrow", "that is no time; write 2026-11-25T14:00"),
        ("", "that is no time"),
        ("9" * 400, "that is no time"),
        ("٢٠٢٦-١١-٢٥", "that is no time"),
    ],
)
def test_what_is_no_time_is_said(typed: str, words: str) -> None:
    with pytest.raises(TimeError, match=words):
        parse(typed, NOW)


def test_times_are_shown_with_their_zone() -> None:
    assert local("2026-07-01T13:00:00Z") == "2026-07-01 14:00:00 BST"
    assert local("not a time") == "not a time"
