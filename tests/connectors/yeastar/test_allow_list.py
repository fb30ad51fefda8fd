"""The bytes of every request, read back whatever the values: what is not on the list cannot be said."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.guard import Guard, Template
from connectors.yeastar.requests import GUARD, render

TOKEN = "EXZMpZAO86mbrKm6rFtgeb3rfcpC9uqS"
PAGED = {"page", "page_size", "sort_by", "order_by"}
ALL: dict[tuple[str, str], set[frozenset[str]]] = {
    ("GET", "del_token"): {frozenset()}, ("GET", "system/information"): {frozenset()},
    ("GET", "extension/list"): {frozenset(PAGED)}, ("GET", "extension/search"): {frozenset(PAGED | {"search_value"})},
    ("GET", "inbound_route/list"): {frozenset(PAGED)}, ("GET", "inbound_route/query"): {frozenset({"ids"})},
    ("GET", "extension/delete"): {frozenset({"id"})}, ("POST", "get_token"): {frozenset({"username", "password"})},
    ("POST", "refresh_token"): {frozenset({"refresh_token"})},
    ("POST", "extension/update"): {
        frozenset({"id", *more})
        for more in (("reg_password",), ("user_password",), ("first_name", "last_name"), ("email_addr",),
                     ("first_name", "last_name", "email_addr"))
    },
}  # fmt: skip

_TEXT = st.text(max_size=80) | st.sampled_from(
    ["2001", "a&b=c", "1&id=2", "../extension/getpassword", "?type=vm_pin", "Zoë", "x#y", "%26id=1", '","vm_pin":"1']
)
_VALUE = st.recursive(
    _TEXT | st.integers() | st.booleans() | st.none(),
    lambda inner: st.tuples(inner, inner) | st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["first_name", "last_name", "email_addr", "vm_pin", "id"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
_FIELDS = ["id", "ids", "page", "size", "number", "values", "password", "client", "secret", "refresh"]


@settings(max_examples=600, deadline=None)
@given(name=st.sampled_from(sorted(GUARD.names())), data=st.data())
def test_what_goes_out_is_one_of_the_list_whatever_the_values(name: str, data: st.DataObject) -> None:
    fields = {
        "sign-in": ["client", "secret"], "refresh": ["refresh"], "people": ["page", "size"], "routes": ["page", "size"],
        "search": ["number", "page", "size"], "route-numbers": ["ids"], "change": ["id", "values"],
        "set-sip": ["id", "password"], "set-portal": ["id", "password"], "remove": ["id"],
    }.get(name, [])  # fmt: skip
    small = st.integers(-1, 1200)
    kinds: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(("id", "page", "size"), small | _VALUE)
    kinds["ids"] = st.lists(small, max_size=25).map(tuple) | _VALUE
    values = {field: data.draw(kinds.get(field, _VALUE)) for field in fields}
    try:
        call = render(GUARD.render(name, **values), TOKEN)
    except (InvalidValue, RequestNotAllowed):
        return
    parts = urlsplit(call.path)
    query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    assert len(parse_qsl(parts.query, keep_blank_values=True)) == len(query), "a value became two"
    asked = query.pop("access_token", None)
    assert (asked is None) == (name in ("sign-in", "refresh"))
    body = json.loads(call.body) if call.body is not None else {}
    assert not parts.fragment
    assert parts.path.startswith("/openapi/v1.0/")
    allowed = ALL[call.method, parts.path.removeprefix("/openapi/v1.0/")]
    assert frozenset(body if call.method == "POST" else query) in allowed
    assert not (query if call.method == "POST" else body)
    for field, value in values.items():
        if field in ("password", "client", "refresh"):
            assert value in body.values()
        elif field == "number":
            assert query["search_value"] == value
        elif field == "id":
            assert str(value) == str(body.get("id", query.get("id")))


@settings(max_examples=300, deadline=None)
@given(name=st.text(max_size=30) | st.sampled_from(["getpassword", "extension/getpassword", "extension/get"]),
       values=st.dictionaries(st.sampled_from(_FIELDS), _VALUE, max_size=4))  # fmt: skip
def test_no_other_request_has_a_name(name: str, values: dict[str, Any]) -> None:
    if name in GUARD.names():
        return
    with pytest.raises(RequestNotAllowed):
        GUARD.render(name, **values)


def test_a_request_of_another_guard_has_no_bytes() -> None:
    other = Guard(Template("people", False, {}), Template("dump", False, {}))
    for name in ("people", "dump"):
        with pytest.raises(RequestNotAllowed):
            render(other.render(name), TOKEN)


def test_a_password_is_never_among_the_other_things_that_a_change_may_touch() -> None:
    name = {"first_name": "A", "last_name": "B"}
    for values in ({"reg_password": "x" * 12}, {"vm_pin": "1234"}, {"first_name": "A"}, {"last_name": "B"}, {},
                   name | {"first_name": ""}, name | {"role_id": 1}, name | {"user_password": "x" * 12}):  # fmt: skip
        with pytest.raises(InvalidValue):
            GUARD.render("change", id=1, values=values)


def test_a_token_that_is_none_is_not_sent() -> None:
    for token in ("a b", "a&id=1", "short", "x" * 5000, "ü" * 10):
        with pytest.raises(RequestNotAllowed):
            render(GUARD.render("system"), token)
