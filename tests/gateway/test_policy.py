"""One policy: each question can be the one that says no, and it says so in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from connectors.contract import Operation
from gateway.lifecycle import AgreementState, GrantState
from gateway.model import HOUR, Access, AccessMode, Agreement, Engineer, Grant, Hours, PhoneSystem, Terms
from gateway.policy import Facts, access_is_on, decide, why_not_stay, within_hours

NOW = int(datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp() * 1000)
OPS = frozenset({Operation.VIEW, Operation.FIND})


def facts() -> Facts:
    engineer = Engineer("eng_1", "ana", "Ana", "ana@company.example", True, frozenset())
    system = PhoneSystem("cus_1", "sys_1", "Head office", "lab", "h", 22, "pin", "{}", b"sealed", None, "", "", False)
    agreement = Agreement("cus_1", 1, AgreementState.CONFIRMED, Terms(operations=OPS, hours=Hours()))
    grant = Grant("cus_1", "gra_1", "req_1", "sys_1", "eng_1", OPS, NOW - HOUR, NOW + HOUR, GrantState.OPEN, 1, "", ())
    return Facts(engineer, True, system, agreement, grant, NOW)


def test_everything_in_order_is_permitted() -> None:
    decision = decide(facts(), Operation.VIEW)
    assert (decision.allowed, decision.code, decision.words) == (True, "permitted", "view is permitted")
    assert len(decision.steps) == 13
    assert all(step.endswith(": yes") for step in decision.steps)


def test_an_agreement_without_hours_is_for_any_hour() -> None:
    at = replace(facts(), agreement=Agreement("cus_1", 1, AgreementState.CONFIRMED, Terms(operations=OPS)))
    for hour in range(0, 7 * 24, 5):
        moved = replace(at.grant, until_ms=NOW + 8 * 24 * HOUR)
        assert decide(replace(at, now_ms=NOW + hour * HOUR, grant=moved), Operation.VIEW).allowed


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("engineer-disabled", lambda f: replace(f, engineer=replace(f.engineer, enabled=False))),
        ("not-on-roster", lambda f: replace(f, on_roster=False)),
        ("access-off", lambda f: replace(f, access=Access(AccessMode.OFF))),
        ("access-off", lambda f: replace(f, access=Access(AccessMode.UNTIL, NOW))),
        ("access-off", lambda f: replace(f, access=Access(AccessMode.UNTIL))),
        ("access-off", lambda f: replace(f, access=Access(AccessMode.WEEKLY))),
        ("system-removed", lambda f: replace(f, system=replace(f.system, removed=True))),
        ("agreement-not-confirmed", lambda f: replace(f, agreement=None)),
        ("agreement-not-confirmed", lambda f: replace(f, agreement=replace(f.agreement, state=AgreementState.DRAFT))),
        ("out-of-hours", lambda f: replace(f, now_ms=NOW + 10 * HOUR)),
        ("no-grant", lambda f: replace(f, grant=None)),
        ("no-grant", lambda f: replace(f, grant=replace(f.grant, engineer_id="eng_2"))),
        ("no-grant", lambda f: replace(f, grant=replace(f.grant, system_id="sys_2"))),
        ("no-grant", lambda f: replace(f, grant=replace(f.grant, customer_id="cus_2"))),
        ("grant-over", lambda f: replace(f, grant=replace(f.grant, state=GrantState.REVOKED))),
        ("grant-over", lambda f: replace(f, grant=replace(f.grant, state=GrantState.EXPIRED))),
        ("grant-not-begun", lambda f: replace(f, grant=replace(f.grant, from_ms=NOW + 1))),
        ("grant-expired", lambda f: replace(f, grant=replace(f.grant, until_ms=NOW))),
        ("not-in-grant", lambda f: replace(f, grant=replace(f.grant, operations=frozenset({Operation.FIND})))),
    ],
)
def test_each_no(code, change) -> None:
    decision = decide(change(facts()), Operation.VIEW)
    assert (decision.allowed, decision.code) == (False, code)
    assert decision.words.endswith((".", "`."))
    assert decision.steps[-1].endswith(": no")


def test_what_the_agreement_does_not_name_no_grant_can_give() -> None:
    wide = replace(facts(), grant=replace(facts().grant, operations=frozenset(Operation)))
    assert decide(wide, Operation.REMOVE).code == "not-in-agreement"


def test_out_of_hours_is_for_those_on_call() -> None:
    late = replace(facts(), now_ms=NOW + 6 * HOUR + 60_000, grant=replace(facts().grant, until_ms=NOW + 9 * HOUR))
    assert decide(late, Operation.VIEW).code == "out-of-hours"
    on_call = replace(late, engineer=replace(late.engineer, roles=frozenset({"out-of-hours"})))
    assert decide(on_call, Operation.VIEW).allowed


@pytest.mark.parametrize(("month", "utc_hour", "inside"), [(1, 8, True), (1, 7, False), (7, 7, True), (7, 17, False)])
def test_working_hours_follow_daylight_saving(month: int, utc_hour: int, inside: bool) -> None:
    at = datetime(2026, month, 13 if month == 7 else 12, utc_hour, 30, tzinfo=UTC)
    assert within_hours(Terms(operations=OPS, hours=Hours()), int(at.timestamp() * 1000)) is inside


_LONDON = Terms(
    operations=OPS, hours=Hours(weekdays=frozenset({1, 2, 3, 4, 5}), start_minute=8 * 60, end_minute=18 * 60)
)


@pytest.mark.parametrize(
    ("day", "hour", "minute", "inside"),
    [
        (24, 8, 0, True), (24, 7, 59, False), (24, 17, 59, True), (24, 18, 0, False),
        (27, 12, 0, True), (28, 12, 0, False), (29, 12, 0, False), (30, 12, 0, True),
    ],
)  # fmt: skip
def test_working_hours_begin_and_end_to_the_minute_and_leave_out_the_weekend(
    day: int, hour: int, minute: int, inside: bool
) -> None:
    at = datetime(2026, 11, day, hour, minute, tzinfo=UTC)  # London is on UTC; the 28th is a Saturday
    assert within_hours(_LONDON, int(at.timestamp() * 1000)) is inside


def test_another_role_does_not_work_out_of_hours() -> None:
    late = replace(facts(), now_ms=NOW + 8 * HOUR, grant=replace(facts().grant, until_ms=NOW + 9 * HOUR))
    staff = replace(late, engineer=replace(late.engineer, roles=frozenset({"staff"})))
    assert decide(staff, Operation.VIEW).code == "out-of-hours"


def test_a_phone_system_without_a_credential_is_not_visited() -> None:
    bare = replace(facts(), system=replace(facts().system, sealed_credential=b""))
    assert decide(bare, Operation.VIEW).code == "no-credential"


def test_a_permission_counts_from_its_very_first_moment_to_before_its_last() -> None:
    for from_ms, until_ms, code in ((NOW, NOW + 1, "permitted"), (NOW + 1, NOW + 2, "grant-not-begun")):
        grant = replace(facts().grant, from_ms=from_ms, until_ms=until_ms)
        assert decide(replace(facts(), grant=grant), Operation.VIEW).code == code


def test_access_until_a_time_ends_with_it() -> None:
    assert access_is_on(Access(AccessMode.UNTIL, NOW + 1), NOW)
    assert not access_is_on(Access(AccessMode.UNTIL, NOW), NOW)


@pytest.mark.parametrize(("day", "hour", "on"), [(24, 9, True), (24, 12, False), (28, 10, True), (29, 10, False)])
def test_a_weekly_schedule_is_on_in_any_of_its_spans(day: int, hour: int, on: bool) -> None:
    week = Hours(weekdays=frozenset({1, 2, 3, 4, 5}), start_minute=9 * 60, end_minute=12 * 60)
    saturday = Hours(weekdays=frozenset({6}), start_minute=10 * 60, end_minute=11 * 60)
    at = int(datetime(2026, 11, day, hour, tzinfo=UTC).timestamp() * 1000)
    assert access_is_on(Access(AccessMode.WEEKLY, None, (week, saturday)), at) is on


def test_a_weekly_schedule_follows_its_zones_clock() -> None:
    hours = (Hours(weekdays=frozenset({1, 2, 3, 4, 5, 6, 7}), start_minute=8 * 60, end_minute=9 * 60),)
    at = int(datetime(2026, 7, 14, 7, 30, tzinfo=UTC).timestamp() * 1000)
    assert access_is_on(Access(AccessMode.WEEKLY, None, hours, "Europe/London"), at)
    assert not access_is_on(Access(AccessMode.WEEKLY, None, hours, "Europe/Berlin"), at)


def test_an_open_visit_ends_when_its_engineer_is_struck_off_or_access_goes_off() -> None:
    assert why_not_stay(on_roster=True, access=Access(), at_ms=NOW) is None
    assert "list" in str(why_not_stay(on_roster=False, access=Access(), at_ms=NOW))
    assert "switched access off" in str(why_not_stay(on_roster=True, access=Access(AccessMode.OFF), at_ms=NOW))
    assert "time is over" in str(why_not_stay(on_roster=True, access=Access(AccessMode.UNTIL, NOW), at_ms=NOW))
