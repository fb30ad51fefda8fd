"""Tables fit their terminal, and nothing of a value is cut: what is too wide is folded, or stands upright."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gateway.fitting import folded
from gateway.session.commands.table import Columns

PEOPLE = [
    {"extension": "2013", "name": "山田太郎", "email": "user2013@customer.example", "ddi": "+442079460012"},
    {"extension": "2020", "name": "Bob Fletcher", "email": "user2020@customer.example",
     "ddi": "+442079460019, +442079460119"},
]  # fmt: skip


def test_what_fits_stands_a_row_a_line() -> None:
    lines = Columns(100).lines(PEOPLE).splitlines()
    assert [line.split()[0] for line in lines] == ["EXTENSION", "2013", "2020"]
    assert len({cell_len(line[: line.index("user20")]) for line in lines[1:]}) == 1, "wide characters count two"


def test_a_little_too_wide_is_folded_between_words_and_no_address_is_cut() -> None:
    lines = Columns(72).lines(PEOPLE).splitlines()
    assert max(map(cell_len, lines)) <= 72
    assert "user2020@customer.example  +442079460019," in lines[-2]
    assert lines[-1].strip() == "+442079460119"


def test_far_too_wide_stands_upright_with_a_blank_line_between_and_nothing_empty() -> None:
    lines = Columns(44).lines([PEOPLE[0] | {"ddi": ""}, PEOPLE[1]]).splitlines()
    assert lines == [
        "EXTENSION  2013", "NAME       山田太郎", "EMAIL      user2013@customer.example", "", "EXTENSION  2020",
        "NAME       Bob Fletcher", "EMAIL      user2020@customer.example",
        "DDI        +442079460019, +442079460119",
    ]  # fmt: skip


def test_a_single_row_that_does_not_fit_stands_upright_whole() -> None:
    row = {"when": "27 Nov 10:25 London", "note": "Mailbox 2001 is full again; ring Kate before anybody resets it"}
    assert Columns(50).lines([row]).splitlines() == [
        "WHEN  27 Nov 10:25 London", "NOTE  Mailbox 2001 is full again; ring Kate before", "      anybody resets it",
    ]  # fmt: skip


def test_an_id_is_shown_by_its_beginning_only_where_there_is_no_room() -> None:
    rows = [{"request": f"req_{n}{'0' * 23}", "system": "Head office", "state": "waiting"} for n in range(2)]
    assert f"req_1{'0' * 23}" in Columns(80).lines(rows)
    narrow = Columns(40).lines(rows)
    assert "req_10000000  Head office  waiting" in narrow


def test_later_pieces_keep_the_places_of_the_first() -> None:
    table = Columns(60, {"row": 6, "user": 12})
    first = table.lines([{"row": 2, "user": "2001", "about": "short"}])
    later = table.lines([{"row": 100_000, "user": "2001", "about": "words " * 20}])
    assert first.splitlines()[1].index("2001") == later.index("2001") - 0
    assert max(map(cell_len, later.splitlines())) <= 60


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "M", "Zl", "Zp"]), max_size=60)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5), st.integers(40, 140))
def test_any_rows_fit_any_width_and_lose_nothing(rows: list[tuple[str, str, str]], width: int) -> None:
    told = Columns(width).lines([{"a": a, "b": b, "c": c} for a, b, c in rows])
    assert all(cell_len(line) <= width for line in told.splitlines())
    for row in rows:
        for cell in row:
            assert not set("".join(cell.split())) - set(told)


@pytest.mark.parametrize("width", [1, 2, 7])
def test_folding_ends_whatever_the_width(width: int) -> None:
    assert "".join(folded("山田 a-long-word", width)).replace(" ", "") in {"山田a-long-word"}
