"""Which logins are ours: with any order of dials, crashes and looks, and a thief who reads all the record shows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Login, Logins
from gateway.access.reconciling import Dialled, judge

NOW = 1_790_000_000_000
SKEW = 7 * 3_600_000
"""The phone system's clock is as wrong as clocks there are."""


def look(*logins: Login) -> Logins:
    return Logins(logins, NOW + SKEW, NOW + SKEW)


def at(age_ms: int) -> int:
    return NOW + SKEW - age_ms


def dial(name: str, age_ms: int, login: str | None = None) -> Dialled:
    return Dialled(name, f"mark-{name}", login, NOW - age_ms)


def foreign(logins: Logins, *ours: Dialled) -> list[str]:
    return [login.id for login in judge(logins, ours, NOW).foreign]


def test_what_a_dial_was_told_is_ours_and_anything_else_is_not() -> None:
    ours = Login("1", at(100), "a", "mark-x")
    assert foreign(look(ours), dial("x", 200, "1")) == []
    assert foreign(look(ours, Login("2", at(100), "b", "")), dial("x", 200, "1")) == ["2"]
    assert foreign(look(ours)) == ["1"]


def test_a_copied_mark_is_no_way_in() -> None:
    mine, copy = Login("1", at(100), "a", "mark-x"), Login("2", at(50), "b", "mark-x")
    assert foreign(look(mine, copy), dial("x", 200, "1")) == ["2"]
    # Its own dial has not been told yet: one of the two is explained, never both.
    verdict = judge(look(mine, copy), [dial("x", 200)], NOW)
    assert [login.id for login in verdict.foreign] == ["2"]
    assert [(login.id, name) for login, name in verdict.bound] == [("1", "x")]
    # And once it was bound, the copy stays foreign.
    assert foreign(look(copy), dial("x", 200, "1")) == ["2"]


def test_a_mark_answers_at_once_and_a_record_without_marks_when_the_dials_are_settled() -> None:
    assert judge(look(Login("1", at(10), "a", "mark-x")), [dial("x", 20)], NOW).waits == ()
    unmarked = Login("1", at(10), "a")
    assert judge(look(unmarked), [dial("x", 20)], NOW).waits == (unmarked,)
    # Nobody dialled at that time: there is nothing to wait for.
    assert foreign(look(unmarked), dial("x", 40_000)) == ["1"]
    late = Login("1", at(90_000), "a")
    assert judge(look(late), [dial("x", 91_000)], NOW).bound == ((late, "x"),)
    assert foreign(look(late, Login("2", at(89_000), "a")), dial("x", 91_000)) == ["2"]


@given(
    st.lists(st.tuples(st.integers(0, 200_000), st.sampled_from(["named", "unnamed", "failed"])), max_size=8),
    st.integers(0, 5),
    st.booleans(),
)
def test_ours_are_never_foreign_and_a_thief_with_one_login_more_than_we_dialled_always_is(
    dialled: list[tuple[int, str]], stolen: int, marks: bool
) -> None:
    ours, logins = [], []
    for number, (age, how) in enumerate(dialled):
        name = f"d{number}"
        ours.append(dial(name, age, f"l{number}" if how == "named" else None))
        if how != "failed":
            logins.append(Login(f"l{number}", at(max(0, age - 1)), "a", f"mark-{name}" if marks else None))
    assert judge(look(*logins), ours, NOW).foreign == ()
    thief = [Login(f"t{n}", at(1_000 * n), "b", "psql" if marks else None) for n in range(stolen)]
    verdict = judge(look(*logins, *thief), ours, NOW)
    if marks:
        assert {login.id for login in verdict.foreign} == {login.id for login in thief}
    else:
        # Every login beyond what unnamed dials can explain is told, or waits to be.
        unnamed = sum(one.login is None for one in ours)
        left = len(verdict.foreign) + len(verdict.waits)
        assert left >= len(logins) + stolen - (len(ours) - unnamed) - unnamed
