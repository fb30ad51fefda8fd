"""Each request to a Yeastar as it goes out, written by hand, and where its values begin and end."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.yeastar.requests import GUARD, render
from tests.support.bounds import misjudged

TOKEN = "EXZMpZAO86mbrKm6"
_BY_ID = "sort_by=id&order_by=asc"
GOT: list[tuple[str, dict[str, Any], str]] = [
    ("sign-out", {}, "del_token?"),
    ("system", {}, "system/information?"),
    ("people", {"page": 2, "size": 50}, f"extension/list?page=2&page_size=50&{_BY_ID}&"),
    ("search", {"number": "2001", "page": 1, "size": 10},
     f"extension/search?page=1&page_size=10&{_BY_ID}&search_value=2001&"),
    ("routes", {"page": 2, "size": 50}, f"inbound_route/list?page=2&page_size=50&{_BY_ID}&"),
    ("route-numbers", {"ids": (1, 2, 30)}, "inbound_route/query?ids=1%2C2%2C30&"),
    ("remove", {"id": 71}, "extension/delete?id=71&"),
]  # fmt: skip
POSTED: list[tuple[str, dict[str, Any], str, str]] = [
    ("sign-in", {"client": "c", "secret": "s&c"}, "get_token", '{"username": "c", "password": "s&c"}'),
    ("refresh", {"refresh": "r" * 8}, "refresh_token", '{"refresh_token": "rrrrrrrr"}'),
    ("change", {"id": 71, "values": {"first_name": "Zoë", "last_name": "", "email_addr": "z@x.example"}},
     "extension/update", '{"id": 71, "first_name": "Zoë", "last_name": "", "email_addr": "z@x.example"}'),
    ("set-sip", {"id": 71, "password": "Kx7mQ2vTz9"}, "extension/update", '{"id": 71, "reg_password": "Kx7mQ2vTz9"}'),
    ("set-portal", {"id": 71, "password": "Kx7mQ2vTz9"}, "extension/update",
     '{"id": 71, "user_password": "Kx7mQ2vTz9"}'),
]  # fmt: skip
KINDS = ("application/json", "text/plain", "text/html")


@pytest.mark.parametrize(("name", "values", "asked"), GOT)
def test_each_that_is_got(name: str, values: dict[str, Any], asked: str) -> None:
    call = render(GUARD.render(name, **values), TOKEN)
    assert (call.method, call.path) == ("GET", f"/openapi/v1.0/{asked}access_token={TOKEN}")
    assert (call.body, call.headers, call.takes) == (None, {}, KINDS)


@pytest.mark.parametrize(("name", "values", "interface", "body"), POSTED)
def test_each_that_is_posted(name: str, values: dict[str, Any], interface: str, body: str) -> None:
    call = render(GUARD.render(name, **values), TOKEN)
    token = "" if name in ("sign-in", "refresh") else f"?access_token={TOKEN}"
    assert (call.method, call.path) == ("POST", f"/openapi/v1.0/{interface}{token}")
    assert (call.body or b"").decode() == body
    assert (call.headers, call.takes) == ({"Content-Type": "application/json"}, KINDS)


def test_every_request_is_among_them() -> None:
    assert {name for name, *_ in GOT} | {name for name, *_ in POSTED} == GUARD.names()


def test_before_there_is_a_token_none_is_sent() -> None:
    assert render(GUARD.render("sign-out"), "").path == "/openapi/v1.0/del_token"
    for token in ("a" * 8, "a" * 4096):
        assert render(GUARD.render("sign-out"), token).path.endswith(token)
    for token in ("a" * 7, "a" * 4097, "a" * 8 + "\n"):
        with pytest.raises(RequestNotAllowed):
            render(GUARD.render("sign-out"), token)


@pytest.mark.parametrize(
    ("name", "usual", "field", "taken", "refused"),
    [
        ("routes", {"size": 1}, "page", [1, 1_000_000], [0, 1_000_001]),
        ("search", {"number": "1", "page": 1}, "size", [1, 1000], [0, 1001]),
        ("change", {"values": {"email_addr": ""}}, "id", [1, (1 << 31) - 1], [0, 1 << 31, True]),
        ("set-sip", {"password": "a" * 8}, "id", [1], [0, None]),
        ("set-portal", {"password": "aB3" * 4}, "id", [1], [0, None]),
        ("route-numbers", {}, "ids", [((1 << 31) - 1,)], [(1 << 31,), (True,), None]),
        ("change", {"id": 1}, "values",
         [{"email_addr": "a" * 250 + "@b.cd"}, {"email_addr": "_a.b'c-d@b-c.de.fg"},
          {"first_name": "A b", "last_name": "c d"}],
         [{"email_addr": "a" * 251 + "@b.cd"}, {"email_addr": "a@b.cd,e@f.gh"}, {"email_addr": None},
          {"first_name": " A", "last_name": ""}, {"first_name": "A", "last_name": "B "},
          {"first_name": "A", "last_name": None},
          {"first_name": "A", "last_name": "B" * 64}, {"first_name": "A\tb", "last_name": ""}, None, "email_addr"]),
    ],
)  # fmt: skip
def test_a_value_just_within_is_taken_and_one_just_beyond_is_not(
    name: str, usual: dict[str, Any], field: str, taken: list[Any], refused: list[Any]
) -> None:
    assert misjudged(GUARD, name, usual, field, taken, refused) == []


@pytest.mark.parametrize(
    ("field", "said"), [("first_name", "the first name"), ("last_name", "the last name"), ("email_addr", "the address")]
)
def test_a_refusal_says_which_of_them_it_is_about(field: str, said: str) -> None:
    values = {"first_name": "A", "last_name": "B", "email_addr": "a@b.cd"} | {field: "a" * 300}
    with pytest.raises(InvalidValue, match=said):
        GUARD.render("change", id=1, values=values)
