"""Answers as public programs for Communication Manager read them and test them, and as an enemy would write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.avaya_cm.answers import MAX_LINE, Answer, Station
from connectors.avaya_cm.messages import GUARD, render
from connectors.contract import Person
from connectors.errors import InvalidValue, ProtocolViolation, RequestNotAllowed

F = "f8005ff00\t8003ff00\t004fff00"


def read(*lines: str, most: int = 10) -> Answer:
    answer = Answer(most)
    for line in lines:
        answer.line(line.encode())
    return answer


def test_several_stations_are_told_apart_by_n_lines() -> None:
    answer = read(
        "clist station", F, "d12345\tDoyle, Mary\t9608", "n", "d21000\tLee, Ann\t4621", "n", "d31000\tX\t2500", "t"
    )
    assert [one.extension for one in answer.stations] == ["12345", "21000", "31000"]
    assert answer.stations[1] == Station("21000", "Lee, Ann", "4621")
    assert (answer.ended, answer.refused) == (True, None)


def test_values_belong_to_the_line_of_ids_at_their_own_place() -> None:
    """Empty ones at the end of a line are left away: one long line of ids would give the set for the name."""
    answer = read("clist station", "f8005ff00\t8003ff00", "f004fff00\t8001ff00", "d12345", "d9608\t1", "t")
    assert answer.stations == [Station("12345", "", "9608")]
    two = read("f8005ff00\t8003ff00", "f004fff00", "d1\tA", "d2500", "n", "d2", "d9608", "n", "d3\tC", "t")
    assert two.stations == [Station("1", "A", "2500"), Station("2", "", "9608"), Station("3", "C", "")]


def test_fields_that_nobody_asked_for_are_dropped() -> None:
    answer = read("f8005ff00\t0000aa00\t8003ff00", "d12345\t4711-secret\tDoyle", "t")
    assert answer.stations == [Station("12345", "Doyle", "")]
    assert "4711-secret" not in repr(vars(answer))


@pytest.mark.parametrize(
    ("line", "code", "none"),
    [
        ("e1 00000000 29cf No records match the specified query options", "29cf", True),
        ("e1 8003ff00 2a11 Entry is too long", "2a11", False),
        ("eERROR 00000000 1cf unknown is an invalid entry; please press HELP", "1cf", False),
        ("eERROR 00000000 nnn unknown is an invalid entry; please press HELP", "unknown", False),
        ("e", "unknown", False), ("e1 00000000 " + "f" * 40 + " x", "unknown", False),
    ],
)  # fmt: skip
def test_an_error_is_its_code_and_never_its_words(line: str, code: str, none: bool) -> None:
    answer = read("cdisplay unknown object", line, "t")
    assert (answer.refused, answer.none, answer.stations) == (code, none, [])


def test_a_list_of_nothing_is_one_line_of_ids() -> None:
    assert read("clist station 9999999 count 1", F, "t").stations == []


def test_an_answer_to_a_write_keeps_nothing_of_what_it_tells() -> None:
    kept = read("cchange station 12345", F, "d12345\tsecret\t9608", "t", most=0)
    assert (kept.stations, kept.refused, kept.ended) == ([], None, True)
    assert "secret" not in repr(vars(kept))


@pytest.mark.parametrize(
    "lines",
    [
        ("x",), ("\x1b[2J",), ("tt",), ("t ",), (F, "d1\tA\tB\tC", "t"), (F, "d1", "d2", "t"), ("d1", "t"),
        (F, "d1\tA", "n", F, "t"), (F, "dabc\tA", "t"), (F, "d\tA", "t"), (F, "d12345678901234\tA", "t"), ("t", "t"),
        tuple([F] * 9), ("d" + "x" * 9000,), ("f8003ff00", "dOnly a name", "t"), (F, *["d1\tA", "n"] * 12, "t"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_no_answer(lines: tuple[str, ...]) -> None:
    with pytest.raises(ProtocolViolation):
        read(*lines)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([F.encode(), b"d1\tA", b"n", b"t", b"e1 00000000 1 x"]), max_size=12
    )
)
def test_whatever_comes_is_an_answer_or_said_to_be_none(lines: list[bytes]) -> None:
    answer = Answer(5)
    try:
        for line in lines:
            answer.line(line)
    except ProtocolViolation:
        return
    assert len(answer.stations) <= 5
    assert all(one.extension.isdigit() for one in answer.stations)


_TEXT = st.text(max_size=40) | st.sampled_from(
    ["20001", "20001\ncdisplay station 20001", "all", "20001 count 9", "A\tB", "ñ"]
)


@settings(max_examples=500, deadline=None)
@given(name=st.sampled_from(sorted(GUARD.names() - {"look"})), station=_TEXT, other=_TEXT, count=st.integers(-5, 2000))
def test_what_goes_out_is_one_of_five_messages_whatever_the_values(
    name: str, station: str, other: str, count: int
) -> None:
    values = {
        "stations": {"count": count}, "stations-from": {"station": station, "count": count},
        "rename": {"station": station, "name": other},
    }.get(name, {"station": station})  # fmt: skip
    try:
        lines = render(GUARD.render(name, **values)).decode("ascii").split("\n")
    except (InvalidValue, RequestNotAllowed):
        return
    assert lines[-2:] == ["t", ""]
    assert [line[0] for line in lines[:-1]] in (list("cft"), list("cfdt"), list("ct"))
    words = lines[0][1:].split(" ")
    assert words[:2] in (["list", "station"], ["change", "station"], ["clear", "amw"], ["remove", "station"])
    if words[0] == "list":
        assert lines[1] == F, "a list without its fields would tell all of them"
    if words[0] == "change":
        assert lines[1:3] == ["f8003ff00", f"d{other}"]
    assert all(
        word.isdigit()
        for word in words
        if word not in ("list", "change", "clear", "remove", "station", "amw", "all", "count")
    )


def test_nothing_is_displayed_whole_and_no_other_command_has_a_name() -> None:
    for name in ("display", "display-station", "list", "status", "change", "logoff", "newterm"):
        with pytest.raises(RequestNotAllowed):
            GUARD.render(name, station="20001")


def test_bytes_that_are_no_text_hide_nobody() -> None:
    answer = Answer(2)
    for line in (F.encode(), b"d20001\t Zo\xff \t96\xfe08", b"t"):
        answer.line(line)
    assert answer.stations == [Station("20001", "Zo\ufffd", "96\ufffd08")]
    assert answer.stations[0].person() == Person("20001", "20001", "Zo\ufffd", None, None)
    other = Answer(2)
    for line in (b"f8005ff00\t80\xff3ff00", b"d20001\tsecret", b"t"):
        other.line(line)
    assert other.stations == [Station("20001", "", "")]


def test_a_line_may_be_so_long_and_not_a_byte_longer() -> None:
    Answer().line(b"c" * MAX_LINE)
    with pytest.raises(ProtocolViolation):
        Answer().line(b"c" * (MAX_LINE + 1))
    assert MAX_LINE == 8192


def test_whoever_does_not_say_how_many_may_come_is_told_of_nobody() -> None:
    answer = Answer()
    for line in (F, "d20001\tZoe\t9608", "t"):
        answer.line(line.encode())
    assert answer.stations == []


def test_as_many_stations_come_as_were_asked_for_and_not_one_more() -> None:
    two = (F, "d1\tA", "n", "d2\tB", "t")
    assert len(read(F, "d1\tA", "t", most=1).stations) == 1
    assert len(read(*two, most=2).stations) == 2
    with pytest.raises(ProtocolViolation):
        read(*two, most=1)
