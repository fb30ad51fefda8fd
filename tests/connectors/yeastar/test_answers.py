"""What is kept of a Yeastar's answers and made of its codes, and how names, numbers and places are read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.contract import Person
from connectors.errors import (
    ConnectorError,
    CredentialRefused,
    InvalidValue,
    NotFound,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    RateLimited,
    Refused,
)
from connectors.yeastar import answers
from connectors.yeastar.answers import Code, Expired, Row, code_of, fields_of, parsed, refusal, total_of, wrong_status
from connectors.yeastar.numbers import DirectNumbers
from connectors.yeastar.people import Key, Place, Words, in_order, parts, person, the_one
from connectors.yeastar.settings import YeastarSettings

ROW: dict[str, Any] = {"id": 70, "number": "2001", "caller_id_name": "Zoë", "email_addr": "z@x.example"}


def test_of_an_answer_named_keys_are_kept_and_no_other_however_deep() -> None:
    told = {"errcode": 0, "data": [ROW | {"reg_password": "CANARY", "vm_pin": {"id": "CANARY"}}], "errmsg": "CANARY"}
    assert parsed(json.dumps(told).encode(), answers.PEOPLE) == {"errcode": 0, "data": [ROW]}
    assert parsed(b'{"errcode": 0, "errmsg": "x"}', answers.OUTCOME) == {"errcode": 0}
    assert parsed(b'{"errcode": 0, "data": "Zo\xff"}', answers.HEAD)["data"] == "Zo\ufffd"


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"null", b'"x"', b"{", b"<html>", b"[" * 100_000, b'{"errcode": }'])
def test_what_is_no_answer_is_told_without_it(data: bytes) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        parsed(data, answers.HEAD)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_code_is_a_number_and_none_is_no_yes() -> None:
    assert [code_of({"errcode": code}) for code in (0, -1, 999_999, -999_999)] == [0, -1, 999_999, -999_999]
    for wrong in (None, "0", False, True, 0.0, 1_000_000, -1_000_000):
        with pytest.raises(ProtocolViolation):
            code_of({"errcode": wrong})
    with pytest.raises(ProtocolViolation):
        code_of({})


def test_of_a_refusal_the_fields_that_we_sent_are_named_and_nothing_else() -> None:
    told = {"invalid_param_list": [{"field": "email_addr", "value": "CANARY"}, "first_name", {"field": "vm_pin"}, 7],
            "duplicate_field_list": ["email_addr", {"field": ["x"]}, "last_name"]}  # fmt: skip
    assert fields_of(told) == ("email_addr", "first_name", "last_name")
    for nothing in ({}, {"invalid_param_list": "email_addr"}, {"duplicate_field_list": None}):
        assert fields_of(nothing) == ()
    for field in ("user_password", "reg_password", "id", "organization_list"):
        assert fields_of({"invalid_param_list": [field]}) == (field,)


@pytest.mark.parametrize(
    ("code", "fields", "error", "words"),
    [(Code.EXPIRED, (), Expired, "token has run out"),
     (Code.NO_INTERFACE, (), NotSupported, "does not know that request"),
     (Code.ADDRESS, (), Refused, "from our address"), (Code.TOO_MANY_TOKENS, (), RateLimited, "as many tokens"),
     (Code.INTERNAL, (), Refused, "said no (code -2)"), (Code.FAILED, (), Refused, "said no (code -1)"),
     (Code.TAKEN, ("email_addr",), Refused, "has the address elsewhere"),
     (Code.TAKEN, (), Refused, "has a value elsewhere"),
     (Code.TAKEN, ("first_name", "last_name"), Refused, "has the first name and the last name elsewhere"),
     (Code.BAD_VALUE, ("organization_list",), Refused, "organisations are on"),
     (Code.BAD_VALUE, ("user_password", "reg_password"), Refused, "does not take the password (code 40002)"),
     (Code.BAD_VALUE, (), Refused, "does not take a value (code 40002)"), (12345, (), Refused, "said no (code 12345)")],
)  # fmt: skip
def test_what_a_code_means(code: int, fields: tuple[str, ...], error: type[ConnectorError], words: str) -> None:
    look, write = refusal(code, writes=False, fields=fields), refusal(code, writes=True, fields=fields)
    assert type(look) is error
    assert words in look.message
    assert "nothing was written" not in look.message
    assert look.next_step
    if code == Code.INTERNAL:
        assert type(write) is OutcomeUnknown
    else:
        assert type(write) is error
        assert write.message == f"{look.message}; nothing was written"


def test_what_a_code_advises() -> None:
    assert "Integrations > API" in refusal(Code.ADDRESS, writes=False).next_step
    assert "Integrations > API" in refusal(Code.NO_INTERFACE, writes=False).next_step
    assert "`find`" in refusal(Code.TAKEN, writes=True).next_step
    assert "never sent" in refusal(Code.BAD_VALUE, writes=True, fields=("organization_list",)).next_step
    many = refusal(Code.TOO_MANY_TOKENS, writes=False)
    assert isinstance(many, RateLimited)
    assert many.retry_after_ms == 1_800_000
    assert "Client ID" in many.next_step


@pytest.mark.parametrize("code", [Code.NO_INTERFACE, Code.TOO_MANY_TOKENS, Code.ADDRESS, Code.INTERNAL])
def test_what_is_no_word_about_our_secret_is_not_taken_for_one(code: Code) -> None:
    made = answers.no_sign_in(code)
    assert not isinstance(made, CredentialRefused)
    assert made.message == refusal(code, writes=False).message
    wrong = answers.no_sign_in(Code.FAILED)
    assert type(wrong) is CredentialRefused
    assert "five refusals" in wrong.next_step


def test_what_a_status_means() -> None:
    slow = wrong_status(429, 7_000, writes=True)
    assert isinstance(slow, RateLimited)
    assert slow.retry_after_ms == 7_000
    unsaid = wrong_status(429, None, writes=False)
    assert isinstance(unsaid, RateLimited)
    assert unsaid.retry_after_ms == 60_000
    for status in (500, 502, 599):
        assert type(wrong_status(status, None, writes=True)) is OutcomeUnknown
        assert type(wrong_status(status, None, writes=False)) is Refused
    for writes in (True, False):
        assert type(wrong_status(404, None, writes=writes)) is NotSupported
        assert type(wrong_status(403, None, writes=writes)) is Refused
        assert type(wrong_status(499, None, writes=writes)) is Refused
    assert "S-Series" in wrong_status(404, None, writes=False).message
    assert "HTTP 403" in wrong_status(403, None, writes=False).message


# --- people


def told(**changes: object) -> dict[str, Any]:
    return {"errcode": 0, "total_number": 1, "data": [ROW | changes]}


def test_a_row_is_somebody() -> None:
    assert answers.people(told()) == [Row(70, "2001", "Zoë", "z@x.example")]
    assert answers.people(told(caller_id_name=None, email_addr="")) == [Row(70, "2001", "", None)]
    assert answers.people(told(caller_id_name="a" * 1024, id=(1 << 31) - 1, number="1" * 8))[0].id == (1 << 31) - 1
    assert answers.people(told(id=1))[0].id == 1
    assert answers.people({"data": None}) == answers.people({}) == answers.people({"data": []}) == []


@pytest.mark.parametrize(
    "changes",
    [{"id": 0}, {"id": 1 << 31}, {"id": "70"}, {"id": True}, {"id": None}, {"number": ""}, {"number": "1" * 9},
     {"number": "2001 "}, {"number": "\u0661"}, {"number": 2001}, {"number": None}, {"caller_id_name": 7},
     {"caller_id_name": "a" * 1025}, {"email_addr": ["x"]}, {"email_addr": "a" * 1025}],
)  # fmt: skip
def test_a_row_that_makes_no_sense_is_nobody(changes: dict[str, Any]) -> None:
    with pytest.raises(ProtocolViolation):
        answers.people(told(**changes))


@pytest.mark.parametrize("data", ["x", {}, 7, [None], [ROW, "x"]])
def test_what_is_no_list_of_rows_is_none(data: object) -> None:
    for read in (answers.people, answers.routes, answers.route_ids):
        with pytest.raises(ProtocolViolation):
            read({"data": data})


def test_how_many_there_are_is_said_or_it_is_no_page() -> None:
    assert [total_of({"total_number": n}) for n in (0, 1, 1_000_000)] == [0, 1, 1_000_000]
    for wrong in (None, -1, 1_000_001, "1", True):
        with pytest.raises(ProtocolViolation):
            total_of({"total_number": wrong})


def test_telephones_are_those_that_are_connected() -> None:
    online = {
        "sip_phone": {"status_list": [{"status": 1}, {"status": 0}, {"status": 1}, "x"], "status": 0},
        "linkus_mobile": {"status": 1}, "linkus_web": {"status": 2}, "linkus_desktop": "x", "other": {"status": 1},
        "fxs_phone": {"status_list": [], "status": 1},
    }  # fmt: skip
    (row,) = answers.people(told(online_status=online))
    assert row.online == ("SIP telephone", "SIP telephone", "analogue telephone", "Linkus on a mobile")
    for nothing in (None, [], "x", {}):
        assert answers.people(told(online_status=nothing))[0].online == ()
    (row,) = answers.people(told(online_status={key: {"status": 1} for key in answers.LINES}))
    assert row.online == tuple(answers.LINES.values())


def test_routes_by_id() -> None:
    assert answers.route_ids({"data": [{"id": 1}, {"id": (1 << 31) - 1}]}) == (1, (1 << 31) - 1)
    for wrong in (0, 1 << 31, "1", True, None):
        with pytest.raises(ProtocolViolation):
            answers.route_ids({"data": [{"id": wrong}]})
    assert answers.routes({"data": [{"id": 1, "did_option": "patterns"}]}) == [{"id": 1, "did_option": "patterns"}]


def test_model_and_firmware_where_they_are_fit_to_be_shown() -> None:
    assert answers.model({"data": {"model_name": "P560", "firmware_version": "37.1_0-1"}}) == "P560, firmware 37.1_0-1"
    longest = {"model_name": "a" * 60, "firmware_version": "1"}
    assert answers.model({"data": longest}).startswith("a" * 60)
    for wrong in ({"model_name": "P560"}, longest | {"model_name": "a" * 61}, longest | {"model_name": "\x1b[2J"},
                  longest | {"firmware_version": ""}, longest | {"firmware_version": 7}, [], None):  # fmt: skip
        assert answers.model({"data": wrong}) == "it does not say which"


def test_a_key_is_number_and_id() -> None:
    assert Key.of("2001.70") == Key("2001", 70)
    assert Key.of(f"{'1' * 8}.{(1 << 31) - 1}").id == (1 << 31) - 1
    for wrong in ("", "2001", "2001.", ".70", "2001.0", "2001.070", f"1.{1 << 31}", "1.99999999999", f"{'1' * 9}.1",
                  "2001.70 ", "2001.70.1", "\u0661.1", "x2001.70"):  # fmt: skip
        with pytest.raises(NotFound):
            Key.of(wrong)


def test_a_place_is_three_numbers() -> None:
    assert str(Place.of("1.2.3")) == "1.2.3"
    assert Place.of(None) == Place(0, 0, 0)
    assert Place.of(f"{'9' * 7}.{'9' * 10}.{'9' * 7}").last == 9_999_999_999
    for wrong in ("", "1.2", "1.2.3.4", f"{'9' * 8}.1.1", f"1.{'9' * 11}.1", f"1.1.{'9' * 8}", "1.2.3 ", "1.2.\u0663"):
        with pytest.raises(InvalidValue) as caught:
            Place.of(wrong)
        assert "first page" in caught.value.next_step


@pytest.mark.parametrize(
    ("place", "size", "total", "page"),
    [(Place(), 10, None, 1), (Place(10, 1, 30), 10, None, 2), (Place(10, 1, 30), 10, 30, 2),
     (Place(9, 1, 30), 10, 30, 1),
     (Place(10, 1, 30), 10, 29, 1), (Place(20, 1, 30), 10, 35, 3), (Place(10, 1, 30), 10, 2, 1),
     (Place(20, 1, 30), 10, 27, 2),
     (Place(1, 1, 30), 10, 5, 1), (Place(1, 1, 30), 1, 5, 1)],
)  # fmt: skip
def test_nobody_is_passed_over_because_somebody_before_them_is_gone(
    place: Place, size: int, total: int | None, page: int
) -> None:
    assert place.page(size, total) == page


SETTINGS = {names: YeastarSettings.model_validate({"names": names}) for names in ("first last", "last first", "whole")}


@pytest.mark.parametrize(
    ("names", "name", "first", "last"),
    [("first last", "Zoë", "Zoë", ""), ("first last", "Zoë de Vries", "Zoë", "de Vries"),
     ("last first", "Zoë", "Zoë", ""), ("last first", "Vries Zoë", "Zoë", "Vries"), ("last first", "A B c", "B c", "A"),
     ("whole", "Zoë de Vries", "Zoë de Vries", "")],
)  # fmt: skip
def test_a_name_in_its_parts(names: str, name: str, first: str, last: str) -> None:
    assert parts(name, SETTINGS[names]) == {"first_name": first, "last_name": last}
    for wrong in ("", " ", " Zoë", "Zoë ", "Zoë  de", "a\tb", "a\n"):
        with pytest.raises(InvalidValue):
            parts(wrong, SETTINGS[names])


def test_who_is_looked_for() -> None:
    one = Person("2001.70", "2001", "Zoë Vries", "z@x.example", ("+442079460123",))
    settings = YeastarSettings.model_validate({"country_code": "44"})
    for words in ("ZOË", "z@x", "2001", "02079460123", "+44207", "zoë 2001", "vries z@x"):
        assert Words(words, settings).match(one), words
    for words in ("zoë 2002", "02079460124", "2001.70", "example2001", "vriesz"):
        assert not Words(words, settings).match(one), words
    assert not Words(" ", settings)
    assert Words("a", settings)
    assert not Words("none", settings).match(Person("1.1", "1", "", None, None))


def test_a_person_with_numbers_or_without_them_being_known() -> None:
    row = Row(70, "2001", "Zoë", "z@x.example")
    numbers = DirectNumbers("44")
    route = {"id": 1, "did_option": "pattern_to_ext_list",
             "did_pattern_to_ext_list": [{"did": "02079460123", "ext_num": "2001"}]}  # fmt: skip
    numbers.routes_of((1,), [route])
    assert person(row, numbers) == Person("2001.70", "2001", "Zoë", "z@x.example", ("+442079460123",))
    assert person(row, None).ddis is None


_PEOPLE = {"errcode", "total_number", "data", "id", "number", "caller_id_name", "email_addr"}


@pytest.mark.parametrize(
    ("kept", "named"),
    [
        (answers.HEAD, {"errcode", "total_number", "data"}), (answers.PEOPLE, _PEOPLE),
        (answers.ONLINE, _PEOPLE | {"online_status", "status", "status_list", "sip_phone", "fxs_phone",
                                    "linkus_desktop",
                                    "linkus_mobile", "linkus_web"}),
        (answers.ROUTES, {"errcode", "total_number", "data", "id"}),
        (answers.ROUTE_NUMBERS,
         {"errcode", "total_number", "data", "id", "did_option", "did_pattern_list", "did_pattern",
          "did_pattern_to_ext_list", "def_dest", "def_dest_value", "did", "did_number", "ext_num", "ext_number",
          "extension", "ext_id"}),
        (answers.SYSTEM, {"errcode", "total_number", "data", "model_name", "firmware_version"}),
        (answers.TOKENS, {"errcode", "access_token", "access_token_expire_time", "refresh_token",
                          "refresh_token_expire_time"}),
        (answers.OUTCOME, {"errcode", "invalid_param_list", "duplicate_field_list", "field"}),
    ],
)  # fmt: skip
def test_which_keys_are_kept_of_which_answer(kept: frozenset[str], named: set[str]) -> None:
    assert kept == named


def test_what_the_kinds_of_telephone_are_called() -> None:
    assert tuple(answers.LINES.values()) == (
        "SIP telephone", "analogue telephone", "Linkus on a computer", "Linkus on a mobile", "Linkus in a browser",
    )  # fmt: skip


def test_the_numbers_of_the_codes_are_the_vendors() -> None:
    assert {code.name: code.value for code in Code} == {
        "FAILED": -1, "INTERNAL": -2, "NO_INTERFACE": 10001, "EXPIRED": 10004, "BAD_VALUE": 40002, "TAKEN": 40003,
        "TOO_MANY_TOKENS": 60002, "ADDRESS": 70087,
    }  # fmt: skip


def test_every_refusal_says_something() -> None:
    unknown = "the phone system has an error of its own: whether it wrote is not known"
    assert refusal(Code.INTERNAL, writes=True).message == wrong_status(500, None, writes=True).message == unknown
    assert refusal(Code.BAD_VALUE, writes=False, fields=("id", "email_addr")).message == (
        "the phone system does not take the id and the address (code 40002)"
    )
    assert "has the organisation elsewhere" in refusal(Code.TAKEN, writes=False, fields=("organization_list",)).message
    assert answers.no_sign_in(Code.FAILED).message == "the phone system refused our Client ID or Client Secret"
    assert wrong_status(429, None, writes=False).message == "the phone system asks us to slow down"
    assert wrong_status(403, None, writes=False).message == "the phone system said no (HTTP 403)"
    with pytest.raises(ProtocolViolation, match="described a person in a way that makes no sense"):
        answers.people(told(id=0))


def test_one_route_without_an_id_is_one_too_many() -> None:
    with pytest.raises(ProtocolViolation):
        answers.route_ids({"data": [{"id": 1}, {"id": 0}]})


def test_a_page_is_in_the_order_that_was_asked_for_or_it_is_none() -> None:
    rows = [Row(n, "1", "", None) for n in (1, 2, 5)]
    in_order(rows)
    in_order(rows[:1])
    in_order([])
    for wrong in ([rows[1], rows[0]], [rows[0], rows[0]], [rows[0], rows[2], rows[1]]):
        with pytest.raises(ProtocolViolation, match="sort"):
            in_order(wrong)


def test_who_is_meant_is_found_by_number_and_id() -> None:
    rows = [Row(70, "2001", "a", None), Row(71, "2002", "b", None)]
    assert the_one(rows, Key("2002", 71)) == rows[1]
    for other in (Key("2002", 70), Key("2001", 71), Key("2003", 72)):
        assert the_one(rows, other) is None
