"""What is kept of a 3CX's answers, where its bounds are, and which rules are whose: no phone system needed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.contract import Person
from connectors.errors import InvalidValue, NotFound, ProtocolViolation
from connectors.tcx.answers import (
    MAX_ANSWER,
    Destination,
    Registered,
    Rule,
    Rules,
    Status,
    Token,
    TrunkNumber,
    TrunkNumbers,
    User,
    Users,
    read,
)
from connectors.tcx.numbers import digits_of, e164, like, national_part
from connectors.tcx.people import key_of, person, split
from connectors.tcx.rules import _questions, leads_to

USER: dict[str, Any] = {
    "Id": 7,
    "Number": "201",
    "FirstName": "Zo\u00eb",
    "LastName": None,
    "EmailAddress": "z@x.example",
}
RULE: dict[str, Any] = {"Id": 9, "Data": "442079460123", "Condition": "BasedOnDID",
                        "OfficeHoursDestination": {"To": "Extension", "Number": "201"}}  # fmt: skip


def told(value: object) -> bytes:
    return json.dumps(value).encode()


def test_of_an_answer_the_fields_that_are_named_and_no_other() -> None:
    page = read(Users, told({"value": [USER | {"AuthPassword": "CANARY"}], "@odata.count": 5, "x": "CANARY"}))
    assert page == Users.model_validate({"value": [USER], "@odata.count": 5})
    assert (page.count, page.value[0].LastName) == (5, None)
    assert "CANARY" not in repr(page)
    assert read(Users, told({"value": []})).count is None
    assert read(Registered, told({"Id": 7, "IsRegistered": True})).IsRegistered is True
    assert read(Registered, told({"Id": 7})).IsRegistered is None
    whole = RULE | {"RuleName": "x", "OutOfOfficeHoursDestination": {"To": "VoiceMail"}, "HolidaysDestination": None}
    (rule,) = read(Rules, told({"value": [whole]})).value
    assert rule.OutOfOfficeHoursDestination == Destination(Number=None, To="VoiceMail")
    assert read(TrunkNumbers, told({"value": [{"Number": "1"}]})).value == [TrunkNumber(Number="1", TrunkId=None)]
    assert read(Status, told({"Version": "20.0.1"})).Version == "20.0.1"
    assert MAX_ANSWER == 4 << 20


def test_a_token_is_in_no_repr() -> None:
    token = read(Token, told({"access_token": "CANARY", "expires_in": 60}))
    assert "CANARY" not in repr(token)
    assert (token.access_token, token.expires_in) == ("CANARY", 60)
    assert read(Token, told({"access_token": "!~" * 4000})).expires_in == 0
    with pytest.raises(ValueError, match="frozen"):
        token.expires_in = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("model", "answer"),
    [(Token, {}), (Token, {"access_token": ""}), (Token, {"access_token": "a b"}), (Token, {"access_token": "\u00e9"}),
     (Token, {"access_token": "a" * 8001}), (Token, {"access_token": "a", "expires_in": -1}), (Users, []), (Users, {}),
     (Users, {"value": [], "@odata.count": -1}), (Users, {"value": [{}]}), (User, USER | {"Id": -1}),
     (User, USER | {"Id": 1 << 31}), (User, USER | {"Id": "7"}), (User, USER | {"Id": 7.0}),
     (User, USER | {"Number": ""}),
     (User, USER | {"Number": "1" * 65}), (User, USER | {"FirstName": "a" * 2001}), (User, USER | {"LastName": 7}),
     (Rule, RULE | {"Id": None}), (Rule, RULE | {"Data": "1" * 2001}), (Rules, {"value": None}),
     (TrunkNumber, {"Number": ""}), (TrunkNumber, {"Number": "1" * 65}), (Status, {"Version": "1" * 41})],
)  # fmt: skip
def test_what_makes_no_sense_is_told_without_it(model: Any, answer: object) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        read(model, told(answer))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    for none in (b"", b"{", b"[" * 100_000, b"\xff"):
        with pytest.raises(ProtocolViolation):
            read(model, none)


def test_what_is_just_within_its_bound_is_taken() -> None:
    for answer in ({"Id": 0}, {"Id": (1 << 31) - 1}, {"Number": "1" * 64}, {"FirstName": "a" * 2000}):
        assert read(User, told(USER | answer))
    assert read(Status, told({"Version": "1" * 40})).Version == "1" * 40
    assert read(TrunkNumber, told({"Number": "1" * 64})).Number == "1" * 64


# --- people


def test_somebody_as_shown() -> None:
    user = User.model_validate(USER)
    assert person(user, iter(["+442079460123"])) == Person("u7", "201", "Zo\u00eb", "z@x.example", ("+442079460123",))
    assert person(user.model_copy(update={"EmailAddress": ""}), ()).email is None
    assert [key_of(one) for one in ("u0", "u7", "u2147483647")] == [0, 7, 2_147_483_647]
    for wrong in ("u2147483648", "xu7", "u7x", "u00"):
        with pytest.raises(NotFound):
            key_of(wrong)


def test_of_a_name_what_stays_stays_where_it_was() -> None:
    user = User.model_validate(USER | {"FirstName": "Ann", "LastName": "Lee"})
    assert split("AnnLee", user) == ("AnnLee", "")
    assert split("MaryLee", user) == ("MaryLee", "")
    assert split("Annette Bell", user) == ("Annette", "Bell")
    assert split("A b c", user) == ("A", "b c")
    two = User.model_validate(USER | {"FirstName": "Ana Mar\u00eda", "LastName": "Ruiz"})
    assert split("Ana Mar\u00eda G\u00f3mez", two) == ("Ana Mar\u00eda", "G\u00f3mez")
    nameless = User.model_validate(USER | {"FirstName": None, "LastName": None})
    assert split("A b", nameless) == ("A", "b")


# --- numbers


@pytest.mark.parametrize(
    ("kept", "region", "shown"),
    [("+12", "GB", "+12"), ("12", "GB", "12"), ("0" * 21, "GB", "0" * 21), ("0113 496 0123", "GB", "0113 496 0123"),
     ("0123456789", "GB", "+44123456789"), ("441234567", "GB", "+441234567"), ("3531234567", "GB", "3531234567"),
     ("+441234567", "GB", "+441234567"), ("4930123456", "DE", "+4930123456"), ("12125550123", "US", "+12125550123"),
     ("012345", "GB", "012345"), ("0123456", "GB", "0123456"), ("0555123", "GB", "0555123"),
     ("+44012345", "GB", "+44012345"),
     ("0612345678", "IT", "+390612345678"), ("01234567", "GB", "+441234567"), ("030123", "DE", "+4930123"),
     ("2125550123", "US", "+12125550123"), ("+4420794601231234", "GB", "+4420794601231234")],
)  # fmt: skip
def test_a_number_that_no_trunk_may_have_is_shown_as_it_is(kept: str, region: str, shown: str) -> None:
    assert e164(kept, region) == shown


def test_digits_that_every_way_of_writing_a_number_has() -> None:
    assert digits_of("+442079460123", "GB") == "2079460123"
    assert digits_of("+35319060990", "GB") == "19060990"
    with pytest.raises(InvalidValue) as caught:
        digits_of("442079460123", "GB")
    assert "+442079460123" in caught.value.next_step
    assert national_part("123", "GB") == "123"
    assert national_part("12", "GB") == national_part("1" * 21, "GB") == ""
    assert national_part("1" * 20, "GB") == "1" * 20
    assert like("35319060990", "+442079460900", "GB") == "442079460900"
    assert like(" 02079460123 ", "+442079460900", "GB") == "02079460900"


# --- whose a rule is


def test_a_rule_is_whose_number_it_holds() -> None:
    assert leads_to(Rule.model_validate(RULE)) == "201"
    for changes in ({"Condition": "BasedOnCallerID"}, {"Condition": None}, {"OfficeHoursDestination": None},
                    {"Data": None}, {"Data": " "},
                    {"OfficeHoursDestination": {"To": "Queue", "Number": "201"}}):  # fmt: skip
        assert leads_to(Rule.model_validate(RULE | changes)) is None


def test_what_is_asked_for_the_rules_of_some() -> None:
    assert _questions([]) == []
    assert _questions(["201"]) == [("rules-of", {"numbers": ("201",)})]
    assert _questions(["'"]) == []
    assert _questions(["201", "'", "HOL-1"]) == [("rules-of", {"numbers": ("201", "HOL-1")})]
    sixteen = [str(n) for n in range(201, 217)]
    assert _questions(sixteen) == [("rules-of", {"numbers": tuple(sixteen)})]
    assert _questions([*sixteen, "217", "HOL-1", "\u0661"]) == [
        ("rules-between", {"low": "201", "high": "217"}), ("rules-of", {"numbers": ("HOL-1",)}),
    ]  # fmt: skip
    words = [f"a{n}" for n in range(17)]
    assert _questions(words) == [("rules-of", {"numbers": tuple(words[:16])}), ("rules-of", {"numbers": ("a16",)})]
