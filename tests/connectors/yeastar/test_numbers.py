"""Whose numbers are whose, out of inbound routes."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.yeastar import numbers as module
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


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("+1234567", "+1234567"), ("+" + "1" * 15, "+" + "1" * 15), ("+(44) 20/7946.0123", "+442079460123"),
        ("+ 123456", "+ 123456"), ("+ " + "1" * 16, "+ " + "1" * 16), ("001234567", "+1234567"),
        ("00" + "1" * 16, "00" + "1" * 16), ("00123456", "00123456"), ("0123456", "+44123456"), ("012345", "012345"),
        ("0" + "1" * 13, "+44" + "1" * 13), ("0" + "1" * 14, "0" + "1" * 14), ("44" + "1" * 8, "+44" + "1" * 8),
        ("44" + "1" * 7, "44" + "1" * 7), ("44" + "1" * 13, "+44" + "1" * 13), ("44" + "1" * 14, "44" + "1" * 14),
    ],
)  # fmt: skip
def test_what_is_too_short_or_too_long_for_a_number_is_shown_as_stored(stored: str, shown: str) -> None:
    assert e164(stored, "44") == shown


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("+(44) 20-7", "+44207"), ("+ 12", "+ 12"), ("+" + "1" * 15, "+" + "1" * 15),
        ("+ " + "1" * 16, "+ " + "1" * 16), ("(020) 7946", "+44207946"), ("(020) 79", "(020) 79"),
        ("0" + "1" * 14, "+44" + "1" * 14),
        ("0 " + "1" * 15, "0 " + "1" * 15),
    ],
)  # fmt: skip
def test_a_word_that_is_too_short_or_too_long_is_looked_for_as_it_was_typed(typed: str, wanted: str) -> None:
    assert word(typed, "44") == wanted


def patterns(owner: object, *dids: object, to: str = "extension") -> dict[str, Any]:
    told = [{"did_pattern": did} if isinstance(did, str) else did for did in dids]
    return {"did_option": "patterns", "did_pattern_list": told, "def_dest": to, "def_dest_value": owner}


def test_plain_numbers_that_all_go_to_one_extension_are_theirs() -> None:
    made = numbers(patterns("70", "02079460123", "02079460124"))
    assert (made.of(70, "2001"), made.of(71, "2002"), made.unread, made.routes) == (
        ("+442079460123", "+442079460124"), (), 0, 1,
    )  # fmt: skip
    assert numbers(patterns("1" * 10, "02079460123")).of(1_111_111_111, "1") == ("+442079460123",)
    group = numbers(patterns("70", "02079460123", to="queue"))
    assert (group.of(70, "2001"), group.unread) == ((), 0)


@pytest.mark.parametrize(
    "route",
    [patterns("70", "02079460123", "0207946[12]."), patterns("70", {}), patterns("70", None),
     patterns("70", {"did_pattern": 7}),
     patterns("x", "02079460123"), patterns(None, "02079460123"), patterns("1" * 11, "02079460123"),
     patterns("70", "02079460123") | {"did_pattern_list": "x"}, {"did_option": "other"}, {}],
)  # fmt: skip
def test_what_may_hide_a_number_of_somebodys_is_counted(route: dict[str, Any]) -> None:
    made = numbers(route, patterns("71", "02079460199"), route)
    assert (made.of(70, "2001"), made.unread, made.routes) == (None, 2, 3)
    assert made.of(71, "2002") == ("+442079460199",)


def test_an_id_is_so_long_and_no_longer() -> None:
    assert numbers(listed({"did": "02079460123", "ext_id": 10**10 - 1})).of(10**10 - 1, "1") == ("+442079460123",)
    assert numbers(listed({"did": "02079460123", "ext_id": 10**10})).unread == 1


@pytest.mark.parametrize("by", ["ext_num", "ext_id"])
def test_so_many_numbers_are_kept_and_not_one_more(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 4)

    def pair(did: str, owner: int) -> dict[str, Any]:
        return {"did": did, by: str(owner) if by == "ext_num" else owner}

    four = [pair("100001", 1), pair("100002", 2), pair("100003", 3), pair("100004", 1)]
    assert numbers(listed(*four)).unread == 0
    for more in (pair("100005", 1), pair("100006", 4)):
        made = numbers(listed(*four, more))
        assert (made.unread, made.of(1, "1"), made.of(4, "4")) == (1, ("100001", "100004"), None)
