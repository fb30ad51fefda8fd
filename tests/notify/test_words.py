"""Text from outside in mail: it breaks no line, no direction, and becomes no link of ours."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from gateway.notify.outbox import day_of
from gateway.notify.words import people_seen, plain, times, when

LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Grace\r\nBcc: x@y.example", "Grace Bcc: x@y.example"),
        ("Grace\x1b[2J\x07Bell", "Grace [2J Bell"),
        ("Grace\u202egnp.exe", "Grace gnp.exe"),
        ("Grace\u2028\u2029Bell\u200b", "Grace Bell"),
        ("see https://evil.example/x", "see https: //evil.example/x"),
        ("see WWW.evil.example", "see www .evil.example"),
        ("Siobhán O'Brien 李 小龍", "Siobhán O'Brien 李 小龍"),
        ("   ", ""),
    ],
)
def test_plain(given: str, shown: str) -> None:
    assert plain(given) == shown


def test_a_name_without_end_is_cut() -> None:
    assert len(plain("x" * 100_000)) == 300


def test_one_and_many() -> None:
    assert people_seen(1) == "1 person was seen"
    assert people_seen(3) == "3 people were seen"
    assert people_seen(1, at_most=True) == "at most 1 person was seen"
    assert [times(n) for n in (1, 2, 3)] == ["once", "twice", "3 times"]


def test_times_are_in_the_customers_zone_and_say_so() -> None:
    assert when(1_790_000_000_000, LONDON) == "Monday 21 September 2026, 15:13 (Europe/London)"
    assert when(1_790_000_000_000, ZoneInfo("Asia/Tokyo")) == "Monday 21 September 2026, 23:13 (Asia/Tokyo)"


@pytest.mark.parametrize(
    ("now", "day", "due"),
    [
        # Winter: 18:00 in London is 18:00 UTC; summer: 17:00 UTC. Unix seconds.
        (1_769_014_799, "2026-01-21", 1_769_018_400),  # 16:59:59
        (1_769_018_399, "2026-01-21", 1_769_018_400),  # 17:59:59
        (1_769_018_400, "2026-01-22", 1_769_104_800),  # 18:00:00: the next day's
        (1_784_649_599, "2026-07-21", 1_784_653_200),  # 16:59:59 in summer time
        # The evening before the clocks go forward (29 March 2026): due 23 h later, not 24.
        (1_774_720_800, "2026-03-29", 1_774_803_600),
        # And back (25 October 2026): 25 h.
        (1_792_861_200, "2026-10-25", 1_792_951_200),
    ],
)
def test_the_mail_of_the_day_is_due_at_six_whatever_the_clocks_did(now: int, day: str, due: int) -> None:
    assert day_of(now * 1000, LONDON) == (day, due * 1000)
