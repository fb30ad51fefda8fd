"""Whose numbers are whose, out of inbound routes."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.yeastar.numbers import DirectNumbers, e164, word


def numbers(*routes: dict[str, Any]) -> DirectNumbers:
    made = DirectNumbers("44")
    made.routes_of(range(len(routes)), [{"id": number, **route} for number, route in enumerate(routes)])
    return made


def listed(*pairs: object) -> dict[str, Any]:
    return {"did_option": "pattern_to_ext_list", "did_pattern_to_ext_list": list(pairs)}


@pytest.mark.parametrize("did", ["did", "did_number", "did_pattern"])
@pytest.mark.parametrize(
    ("extension", "value"),
    [("ext_num", "2001"), ("ext_number", "2001"), ("extension", "2001"), ("ext_id", 70), ("ext_id", "70")],
)  # fmt: skip
def test_a_pair_is_read_by_any_of_the_names_that_it_may_have(did: str, extension: str, value: object) -> None:
    made = numbers(listed({did: "02079460123", extension: value}, {did: "+442079460124", extension: value}))
    assert made.of(70, "2001") == ("+442079460123", "+442079460124")
    assert (made.of(71, "2002"), made.unread) == ((), 0)


@pytest.mark.parametrize(
    "pair",
    [
        {}, "02079460123", None, {"did": "0207946X", "ext_num": "2001"}, {"did": "02079460123", "ext_num": "Desk"},
        {"did": "02079460123", "ext_num": 2001}, {"did": "02079460123", "ext_id": True}, {"did": "02079460123"},
        {"did": 2079460123, "ext_num": "1"}, {"ext_num": "2001"}, {"did": "02079460123", "ext_id": -1},
    ],
)  # fmt: skip
def test_a_pair_that_cannot_be_read_makes_none_into_not_known(pair: object) -> None:
    whole = {"did": "02079460199", "ext_num": "2009"}
    for route in (listed(pair), listed(whole, pair)):
        made = numbers(route)
        assert (made.of(70, "2001"), made.unread) == (None, 1)
    assert numbers(listed(whole, pair)).of(9, "2009") == ("+442079460199",)


def test_a_list_without_entries_is_nobodys_and_no_list_is_not_known() -> None:
    assert numbers(listed()).of(70, "2001") == ()
    assert numbers({"did_option": "pattern_to_ext_list"}).of(70, "2001") is None
    assert numbers({"did_option": "patterns", "def_dest": "extension", "def_dest_value": "70"}).of(70, "2001") == ()


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("+442079460123", "+442079460123"), ("442079460123", "+442079460123"), ("02079460123", "+442079460123"),
        ("00442079460123", "+442079460123"), ("(020) 7946-0123", "+442079460123"), ("5503301", "5503301"),
        ("0033123456789", "+33123456789"), ("123", "123"), ("+0123", "+0123"), ("44", "44"),
    ],
)  # fmt: skip
def test_a_number_is_shown_as_e164_where_that_can_be_told(stored: str, shown: str) -> None:
    assert e164(stored, "44") == shown


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("02079460123", "+442079460123"),
        ("+44207", "+44207"),
        ("2001", "2001"),
        ("0100", "0100"),
        ("okonkwo", "okonkwo"),
    ],
)
def test_a_word_that_looks_like_a_number_is_looked_for_as_it_is_shown(typed: str, wanted: str) -> None:
    assert word(typed, "44") == wanted
