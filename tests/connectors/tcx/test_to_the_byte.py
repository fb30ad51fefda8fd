"""Each request to a 3CX as it goes out, written by hand, and where its values begin and end."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from connectors.errors import InvalidValue
from connectors.tcx.requests import GUARD, literal, render
from tests.support.bounds import misjudged

_USER = "$select=Id,Number,FirstName,LastName,EmailAddress"
_RULE = "$select=Id,RuleName,Data,Condition,OfficeHoursDestination"
_WHOLE = f"{_RULE},OutOfOfficeHoursDestination,HolidaysDestination"
_PAGED = "$orderby=Id&$top=500&$skip=7"
_OFFICE = "OfficeHoursDestination/Number"

LOOKS: list[tuple[str, dict[str, Any], str]] = [
    ("status", {}, "SystemStatus?$select=Version"),
    ("users", {"top": 5, "skip": 7}, f"Users?{_USER}&$orderby=Number&$top=5&$skip=7&$count=true"),
    ("user", {"id": 7}, f"Users(7)?{_USER}"),
    ("registered", {"id": 7}, "Users(7)?$select=Id,IsRegistered"),
    ("search", {"words": (("O'Neil", ()), ("12", ("201", "202"))), "top": 5},
     f"Users?{_USER}&$filter=(contains(tolower(FirstName),'o''neil') or contains(tolower(LastName),'o''neil')"
     " or contains(tolower(EmailAddress),'o''neil') or contains(Number,'O''Neil')) and"
     " (contains(tolower(FirstName),'12') or contains(tolower(LastName),'12') or contains(tolower(EmailAddress),'12')"
     " or contains(Number,'12') or Number eq '201' or Number eq '202')&$orderby=Number&$top=5"),
    ("numbered", {"numbers": ("201", "2*")},
     f"Users?{_USER}&$filter=Number eq '201' or Number eq '2*'&$orderby=Number&$top=16"),
    ("rules", {"skip": 7}, f"InboundRules?{_WHOLE}&{_PAGED}"),
    ("rules-of", {"numbers": ("201", "202"), "skip": 7},
     f"InboundRules?{_RULE}&$filter={_OFFICE} eq '201' or {_OFFICE} eq '202'&{_PAGED}"),
    ("rules-between", {"low": "201", "high": "299", "skip": 7},
     f"InboundRules?{_RULE}&$filter={_OFFICE} ge '201' and {_OFFICE} le '299'&{_PAGED}"),
    ("rules-naming", {"extension": "201", "skip": 7},
     f"InboundRules?{_WHOLE}&$filter={_OFFICE} eq '201' or OutOf{_OFFICE} eq '201' or HolidaysDestination/Number eq"
     f" '201'&{_PAGED}"),
    ("rules-holding", {"digits": "2079", "skip": 7}, f"InboundRules?{_RULE}&$filter=contains(Data,'2079')&{_PAGED}"),
    ("trunk-numbers", {"digits": "2079"},
     "DidNumbers?$select=Number,TrunkId&$filter=contains(Number,'2079')&$top=50"),
]  # fmt: skip
_TWO = (("a", ()), ("b", ()))
_THERE = {"To": "Extension", "Number": "201"}
CHANGES: list[tuple[str, dict[str, Any], str, str, object]] = [
    ("set-name", {"id": 7, "first": "Zoë", "last": "de Vries"}, "PATCH", "Users(7)",
     {"FirstName": "Zoë", "LastName": "de Vries"}),
    ("set-email", {"id": 7, "email": "z@x.example"}, "PATCH", "Users(7)", {"EmailAddress": "z@x.example"}),
    ("remove-user", {"id": 7, "etag": None}, "DELETE", "Users(7)", None),
    ("set-rule", {"id": 9, "data": "442079460123"}, "PATCH", "InboundRules(9)", {"Data": "442079460123"}),
    ("remove-rule", {"id": 9}, "DELETE", "InboundRules(9)", None),
    ("add-rule", {"data": "442079460123", "trunk": 17, "extension": "201"}, "POST", "InboundRules",
     {"RuleName": "Extension 201", "Condition": "BasedOnDID", "CallType": "AllCalls", "Data": "442079460123",
      "TrunkDN": {"Id": 17}, "OfficeHoursDestination": _THERE, "OutOfOfficeHoursDestination": _THERE,
      "HolidaysDestination": _THERE}),
    ("regenerate", {"id": 7, "kind": "voicemail"}, "POST", "Users(7)/Pbx.Regenerate",
     {"opts": {"SipAuth": False, "WebclientPassword": False, "VoicemailPIN": True, "DeskphonePassword": False,
               "ConfigurationLink": False, "RpsKey": False, "SendWelcomeEmail": True}}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "asked"), LOOKS)
def test_each_look(name: str, values: dict[str, Any], asked: str) -> None:
    call = render(GUARD.render(name, **values), "TOKEN")
    assert (call.method, unquote(call.path), call.body) == ("GET", f"/xapi/v1/{asked}", None)
    assert call.headers == {"Authorization": "Bearer TOKEN"}
    options = call.path.partition("?")[2].split("&")
    assert not [one for one in options if set(one.partition("=")[2]) & set("'()/ $")], "each value is quoted"


@pytest.mark.parametrize(("name", "values", "method", "path", "body"), CHANGES)
def test_each_change(name: str, values: dict[str, Any], method: str, path: str, body: object) -> None:
    call = render(GUARD.render(name, **values), "TOKEN")
    assert (call.method, call.path) == (method, f"/xapi/v1/{path}")
    assert (json.loads(call.body) if call.body else None) == body
    kind = {} if body is None else {"Content-Type": "application/json"}
    assert call.headers == {"Authorization": "Bearer TOKEN"} | kind


def test_a_tag_goes_along_with_a_removal_and_a_token_is_asked_for_without_one() -> None:
    assert render(GUARD.render("remove-user", id=7, etag='W/"x"'), "TOKEN").headers["If-Match"] == 'W/"x"'
    call = render(GUARD.render("token", client="frameroom", secret="a b&c"), "TOKEN")
    assert (call.method, call.path) == ("POST", "/connect/token")
    assert call.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert call.body == b"client_id=frameroom&client_secret=a+b%26c&grant_type=client_credentials"


def test_every_request_is_among_them() -> None:
    assert {name for name, *_ in LOOKS} | {name for name, *_ in CHANGES} | {"token"} == GUARD.names()


def test_an_empty_text_is_one() -> None:
    assert literal("") == "''"


@pytest.mark.parametrize(
    ("name", "usual", "field", "taken", "refused"),
    [
        ("registered", {}, "id", [0, 2_147_483_647], [-1, 2_147_483_648]),
        ("set-name", {"id": 1, "first": "A"}, "last", ["", "A" * 100], ["A" * 101, " A", "A "]),
        ("set-email", {"id": 1}, "email", ["a" * 247 + "@bc.def"], ["a" * 248 + "@bc.def", '"a"@b.cd', "<a@b.cd>"]),
        ("remove-user", {"id": 1}, "etag", ['"' + "x" * 198 + '"', '""'], ['"' + "x" * 199 + '"', '"x" ', "**"]),
        ("rules-of", {"skip": 0}, "numbers", [("1",), ("1",) * 16], [(), ("1",) * 17, "1", None]),
        ("rules-between", {"low": "1", "skip": 0}, "high", ["9", "9" * 20, "a*#._-Z"], ["9" * 21, "", "9'", "9 "]),
        ("rules-between", {"high": "1", "skip": 0}, "low", ["9", "9" * 20], ["9" * 21, "", "9'"]),
        ("rules-naming", {"skip": 0}, "extension", ["9", "9" * 20], ["9" * 21, "", "9'"]),
        ("add-rule", {"data": "123", "extension": "1"}, "trunk", [0, 2_147_483_647], [-1, 2_147_483_648, "1"]),
        ("add-rule", {"data": "123", "trunk": 1}, "extension", ["9", "9" * 20], ["9" * 21, "", "9'"]),
        ("trunk-numbers", {}, "digits", ["123", "1" * 20], ["12", "1" * 21, "+123"]),
        ("search", {"top": 1}, "words",
         [(("a" * 80, ()),), (("é'&", ()),), (("a", ("1",) * 20),), (("a", ()),) * 5, (*_TWO, ("c", ("1",) * 11))],
         [(("a" * 81, ()),), (("a", ("1",) * 21),), (("a", ()), ("b", ("1",) * 16)), (*_TWO, ("c", ("1",) * 12)),
          (("a", (), ()),), (["a", ()],), (("a", ("1" * 21,)),), (("", ()),), ((7, ()),), "ab", None]),
    ],
)  # fmt: skip
def test_a_value_just_within_is_taken_and_one_just_beyond_is_not(
    name: str, usual: dict[str, Any], field: str, taken: list[Any], refused: list[Any]
) -> None:
    assert misjudged(GUARD, name, usual, field, taken, refused) == []


def test_what_a_refusal_of_too_many_words_advises() -> None:
    with pytest.raises(InvalidValue) as caught:
        GUARD.render("search", words=(("a", ("1",) * 24),), top=1)
    assert "fewer words" in caught.value.next_step


@pytest.mark.parametrize(("words", "said"), [((("a" * 81, ()),), "a word"), ((("a", ("1" * 21,)),), "an extension")])
def test_a_refusal_says_what_it_is_about(words: object, said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        GUARD.render("search", words=words, top=1)
