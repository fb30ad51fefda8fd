"""Who is asked, in which turn, and who stands in: pure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.notify.turns import Approver, Rota


def rota(*approvers: Approver, away: dict[str, str | None] | None = None) -> Rota:
    return Rota(approvers, away or {})


def one(name: str, place: int | None = None, deputy: str | None = None) -> Approver:
    return Approver(name, name, f"{name}@customer.example", place, deputy)


def ids(turns) -> list[str]:  # type: ignore[no-untyped-def]
    return [turn.approver.id for turn in turns]


def test_each_in_turn_unless_they_share_a_place() -> None:
    alone = rota(one("kate"), one("omar"), one("zoe"))
    assert ids(alone.first(1)) == ["kate"]
    assert ids(alone.first(2)) == ["kate", "omar"]
    assert ids(alone.following({"kate"})) == ["omar"]
    assert alone.following({"kate", "omar", "zoe"}) == []
    together = rota(one("kate", 1), one("omar", 1), one("zoe"))
    assert ids(together.first(1)) == ["kate", "omar"]
    assert together.numbers() == {"kate": 1, "omar": 1, "zoe": 2}


def test_whoever_is_away_is_not_asked_their_deputy_is() -> None:
    away = rota(one("kate", deputy="zoe"), one("omar"), one("zoe"), away={"kate": None})
    (turn,) = away.first(1)
    assert (turn.approver.id, turn.instead_of) == ("zoe", "kate")
    assert ids(away.following({"zoe"})) == ["omar"]
    named = rota(one("kate", deputy="zoe"), one("omar"), one("zoe"), away={"kate": "omar"})
    assert ids(named.first(1)) == ["omar"]
    nobody = rota(one("kate"), one("omar"), away={"kate": None})
    assert ids(nobody.first(1)) == ["omar"]


def test_a_deputy_who_is_away_has_one_too_and_a_ring_of_them_ends() -> None:
    chain = rota(one("kate", deputy="omar"), one("omar", deputy="zoe"), one("zoe"), away={"kate": None, "omar": None})
    assert ids(chain.first(1)) == ["zoe"]
    ring = rota(one("kate", deputy="omar"), one("omar", deputy="kate"), one("zoe"), away={"kate": None, "omar": None})
    assert ids(ring.first(1)) == ["zoe"]


def test_when_everybody_is_away_everybody_is_asked() -> None:
    assert ids(rota(one("kate"), one("omar"), away={"kate": None, "omar": None}).first(1)) == ["kate", "omar"]
    assert rota().first(1) == []


def test_deputies_are_of_those_who_were_asked() -> None:
    found = rota(one("kate", deputy="zoe"), one("omar"), one("zoe"))
    (turn,) = found.deputies({"kate"})
    assert (turn.approver.id, turn.instead_of) == ("zoe", "kate")
    assert found.deputies({"omar"}) == []
    assert found.deputies({"kate", "zoe"}) == []


NAMES = ["a", "b", "c", "d"]


@given(
    st.lists(st.tuples(st.none() | st.integers(1, 3), st.none() | st.sampled_from(NAMES)), min_size=4, max_size=4),
    st.dictionaries(st.sampled_from(NAMES), st.none() | st.sampled_from(NAMES)),
    st.integers(1, 4),
)
def test_nobody_is_asked_twice_and_nobody_who_is_away_while_another_is_there(
    how: list[tuple[int | None, str | None]], away: dict[str, str | None], needed: int
) -> None:
    people = [one(name, *given) for name, given in zip(NAMES, how, strict=True)]
    found = Rota(tuple(sorted(people, key=lambda person: person.place or 99)), away)
    asked = ids(found.first(needed))
    while following := ids(found.following(asked)):
        asked += following
    assert len(asked) == len(set(asked))
    there = set(NAMES) - set(away)
    assert set(asked) == (there or set(NAMES))
