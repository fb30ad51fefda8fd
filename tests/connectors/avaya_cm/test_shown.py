"""What of an answer is shown at the prompt: rows of few fields, a line for each of many, and no error of nothing."""

from __future__ import annotations

from connectors.avaya_cm.messages import SHOWN
from connectors.avaya_cm.shown import Shown

F = "f" + "\t".join(SHOWN)


def shown(*lines: str) -> tuple[str, Shown]:
    made = Shown()
    for line in lines:
        made.line(line.encode())
    return made.take().decode(), made


def test_few_fields_are_a_row_and_their_names_come_once() -> None:
    told, made = shown(F, "d2001\tZoe\t9608", "n", "d2002\t\t4621", "t")
    assert told == "extension | name | type\n2001 | Zoe | 9608\n2002 |  | 4621\n"
    assert made.take() == b"", "what was shown is not shown again"
    eight = "f" + "\t".join(f"600{n}ff00" for n in range(8))
    assert shown(eight, "d" + "\t".join("abcdefgh"), "t")[0] == (
        " | ".join(f"600{n}ff00" for n in range(8)) + "\n" + " | ".join("abcdefgh") + "\n"
    )


def test_many_fields_are_a_line_for_each_that_has_a_value() -> None:
    nine = "f" + "\t".join(f"600{n}ff00" for n in range(8)) + "\t8003ff00"
    told = shown(nine, "da\t\tc\t\t\t\t\t\tZoe", "n", "dx", "t")[0]
    assert told == "6000ff00   a\n6002ff00   c\nname       Zoe\n\n6000ff00   x\n"


def test_nothing_of_the_kind_is_no_error() -> None:
    told, made = shown("clist station", "e1 00000000 29cf No records match the specified query options", "t")
    assert (told, made.refused) == ("There is nothing of the kind.\n", None)
    told, made = shown("clist station", "e1 00000000 2a06 Extension not assigned", "t")
    assert (told, made.refused) == ("", "2a06")
    told, made = shown("clist station", "e1 00000000 29cf No records match the specified query options")
    assert (told, made.ended) == ("", False)


def test_an_answer_may_have_so_many_fields() -> None:
    assert Shown.most_ids == 200
