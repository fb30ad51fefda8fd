"""What can be sent to a 3CX, read back from its bytes: whatever the values, no request says anything else."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.guard import Guard, Template
from connectors.tcx.requests import GUARD, literal, render
from tests.connectors.tcx.bench import TcxBench, template
from tests.support.tcx.odata import BadQuery, compiled
from tests.support.tcx.pbx import SECRETS, USER
from tests.support.tcx.server import Heard

NASTY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40) | st.sampled_from(
    ["'", "''", "' or '1' eq '1", "x'&$select=AuthPassword", "x' or contains(VMPIN,'1", "%27", "%2527",
     "a&$expand=Phones",
     "\\'", "?", "#", "/../Users", "é'", "'))/Pbx.ExportExtensions()", "a\u2019b", "+", "%00"]
)  # fmt: skip


def heard(name: str, **values: object) -> Heard:
    call = render(GUARD.render(name, **values), "TOKEN")
    headers = {key.lower(): value for key, value in call.headers.items()}
    return Heard(call.method, call.path, headers, call.body or b"")


def words_in(target: str) -> str:
    """The filter, as the other side reads it."""
    return dict(parse_qsl(target.partition("?")[2]))["$filter"]


@given(word=NASTY)
def test_a_word_is_text_and_nothing_else_whatever_it_holds(word: str) -> None:
    """Read by a parser of its own: the filter looks for exactly this word, in the four fields, and in no other."""
    try:
        request = heard("search", words=((word, ()),), top=5)
    except InvalidValue:
        return
    assert request.target.isascii()
    assert set(dict(parse_qsl(request.target.partition("?")[2]))) == {"$select", "$filter", "$orderby", "$top"}
    assert template(request) == "search"
    taken = compiled(words_in(request.target), frozenset(USER))
    assert taken.paths == {"FirstName", "LastName", "EmailAddress", "Number"}
    nobody = dict.fromkeys(USER, "")
    assert taken.takes(nobody | {"LastName": f"<{word.lower()}>"})
    assert not taken.takes(nobody | dict.fromkeys(SECRETS, word))
    assert not taken.takes(nobody)


@given(value=NASTY, field=st.sampled_from(["first", "last", "email"]))
def test_a_value_that_is_written_is_one_value_of_one_field(value: str, field: str) -> None:
    name, values = ("set-email", {}) if field == "email" else ("set-name", {"first": "A", "last": "B"})
    try:
        request = heard(name, id=7, **values | {field: value})
    except InvalidValue:
        return
    assert request.target == "/xapi/v1/Users(7)"
    key = {"first": "FirstName", "last": "LastName", "email": "EmailAddress"}[field]
    assert json.loads(request.body)[key] == value
    assert set(json.loads(request.body)) == ({"EmailAddress"} if field == "email" else {"FirstName", "LastName"})


@given(text=st.text(max_size=40))
def test_a_quoted_text_ends_where_it_ends(text: str) -> None:
    quoted = literal(text)
    assert re.fullmatch(r"'(?:[^']|'')*'", quoted, re.S)
    assert quoted[1:-1].replace("''", "'") == text


@given(value=NASTY)
def test_an_extension_that_a_phone_system_gave_is_never_sent_back_as_anything_else(value: str) -> None:
    for name, values in (
        ("rules-of", {"numbers": (value,), "skip": 0}), ("rules-between", {"low": value, "high": "9", "skip": 0}),
        ("rules-naming", {"extension": value, "skip": 0}), ("numbered", {"numbers": (value,)}),
    ):  # fmt: skip
        try:
            request = heard(name, **values)
        except InvalidValue:
            continue
        assert re.fullmatch(r"[A-Za-z0-9*#._-]{1,20}", value)
        assert template(request) == name


def test_no_look_is_without_its_fields_and_none_of_them_is_a_secret() -> None:
    for name, values in TcxBench.examples.items():
        request = heard(name, **values)
        path, _, query = unquote(request.target).partition("?")
        assert "expand" not in query.lower()
        if request.method == "GET":
            selected = dict(parse_qsl(request.target.partition("?")[2]))["$select"].split(",")
            assert not set(selected) & {*SECRETS, "Phones", "Gateway"}
        assert not re.search(r"Export|Secret|ProvLink|ResetPassword|Batch|Bulk|MultiUser|Impersonate", path)
        assert (request.method, path) != ("POST", "/xapi/v1/Users")
        assert GUARD.writes(name) == (request.method != "GET" and name != "token")


@pytest.mark.parametrize("kind", ["voicemail", "sip", "portal"])
def test_one_kind_is_made_anew_and_mailed_and_no_other_touched(kind: str) -> None:
    own = {"voicemail": "VoicemailPIN", "sip": "SipAuth", "portal": "WebclientPassword"}[kind]
    told = json.loads(heard("regenerate", id=7, kind=kind).body)["opts"]
    assert {name for name, wanted in told.items() if wanted} == {own, "SendWelcomeEmail"}
    assert len(told) == 7


@pytest.mark.parametrize(
    ("name", "values"),
    [("user", {"id": "7"}), ("user", {"id": -1}), ("user", {"id": 2**31}), ("user", {"id": True}),
     ("regenerate", {"id": 7, "kind": "VMPIN"}), ("regenerate", {"id": 7, "kind": ["sip"]}),
     ("users", {"skip": -1, "top": 5}), ("users", {"skip": 0, "top": 1_000}), ("users", {"skip": 0, "top": 0}),
     ("search", {"words": (), "top": 5}), ("search", {"words": (("a b", ()),), "top": 5}),
     ("search", {"words": tuple((c, ()) for c in "abcdef"), "top": 5}),
     ("search", {"words": (("a", tuple(map(str, range(100, 125)))),), "top": 5}),
     ("search", {"words": (("a", ("1' or '1",)),), "top": 5}), ("search", {"words": ("ab",), "top": 5}),
     ("rules-of", {"numbers": tuple(map(str, range(100, 120))), "skip": 0}),
     ("rules-holding", {"digits": "*", "skip": 0}),
     ("rules-of", {"numbers": ["1"], "skip": 0}), ("set-rule", {"id": 9, "data": "*0123"}),
     ("set-rule", {"id": 9, "data": "٠١٢٣٤"}), ("set-email", {"id": 7, "email": "a@b"}),
     ("set-email", {"id": 7, "email": "a@b.c,d@e.f"}), ("set-name", {"id": 7, "first": " a", "last": ""}),
     ("remove-user", {"id": 7, "etag": 'W/"x"\r\nX: y'}), ("remove-user", {"id": 7, "etag": "x y"}),
     ("add-rule", {"data": "0123", "trunk": 1, "extension": "1,2"}), ("token", {"client": "a b", "secret": "x"})],
)  # fmt: skip
def test_a_value_of_another_form_is_not_sent(name: str, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        GUARD.render(name, **values)


def test_a_filter_is_never_larger_than_what_is_taken() -> None:
    known = frozenset({*USER, *(f"{d}/Number" for d in ("OfficeHoursDestination",)), "Data"})
    most = tuple(str(number) for number in range(20_000, 20_016))
    largest = [
        heard("rules-of", numbers=most, skip=0), heard("numbered", numbers=most),
        heard("search", words=tuple((f"word{n}", ()) for n in range(5)), top=5),
        heard("search", words=(("123", most),), top=5),
    ]  # fmt: skip
    for request in largest:
        try:
            compiled(words_in(request.target), known)
        except BadQuery as error:
            pytest.fail(str(error))


def test_what_another_guard_made_has_no_bytes() -> None:
    other = Guard(Template("user", False, {}))
    with pytest.raises(RequestNotAllowed):
        render(other.render("user"), "TOKEN")
