"""Every check of the guard at its edges: what just passes, what just does not, and what a refusal says."""

from __future__ import annotations

import copy
import hashlib
import json

import pytest

from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.guard import Check, Guard, Template, digest, fingerprint, listed, number, optional, secret, text

_SIX = text(6, pattern="[a-z]+")


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (text(3), ""), (text(3), "abc"), (text(3), "é\u200f\u200e"), (text(3), "a b"), (text(3), "\xa0~ "),
        (_SIX, "a"), (_SIX, "abcdef"), (number(1, 9), 1), (number(1, 9), 9), (number(0, 0), 0),
        (optional(number(1, 9)), None), (optional(number(1, 9)), 5), (digest, "0" * 64), (digest, "9af" + "b" * 61),
        (secret, "!~aZ"), (secret, "x" * 128),
    ],
)  # fmt: skip
def test_what_just_passes(check: Check, value: object) -> None:
    check("field", value)


@pytest.mark.parametrize(
    ("check", "value", "words"),
    [
        (text(9), "a\udfffb", "holds a control"),
        (text(3), "abcd", "field is longer than 3 characters"), (text(3), None, "field must be text"),
        (text(3), b"abc", "field must be text"), (text(3), 7, "field must be text"), (text(3), ["a"], "must be text"),
        (_SIX, "", "not of the form"), (_SIX, "abc1", "not of the form"), (_SIX, "1abc", "not of the form"),
        (number(1, 9), 0, "field must be a whole number from 1 to 9"), (number(1, 9), 10, "from 1 to 9"),
        (number(0, 9), True, "whole number"), (number(0, 9), 1.0, "whole number"), (number(0, 9), "1", "whole number"),
        (number(0, 9), None, "whole number"), (optional(number(1, 9)), 0, "from 1 to 9"),
        (digest, "0" * 63, "field must be a fingerprint"), (digest, "0" * 65, "fingerprint"),
        (digest, "A" * 64, "fingerprint"), (digest, None, "fingerprint"), (digest, b"0" * 64, "fingerprint"),
        (secret, "abc", "field cannot be sent as it is"), (secret, "x" * 129, "cannot be sent"),
        (secret, "with space", "cannot be sent"), (secret, "pässword", "cannot be sent"),
        (secret, None, "cannot be sent"), (secret, b"abcdef", "cannot be sent"), (secret, "abcdef\n", "cannot be sent"),
    ],
)  # fmt: skip
def test_what_just_does_not(check: Check, value: object, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        check("field", value)


@pytest.mark.parametrize(
    "bad",
    ["\x00", "\n", "\r", "\x1b", "\x1f", "\x7f", "\x80", "\x9b", "\x9f", "\u2028", "\u2029", "\u202a", "\u202e",
     "\u2066", "\u2069", "\ud800"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["{}bc", "b{}c", "bc{}"])
def test_no_control_character_anywhere(bad: str, where: str) -> None:
    with pytest.raises(InvalidValue, match="holds a control character"):
        text(9)("field", where.format(bad))


@pytest.mark.parametrize("good", ["\x20", "~", "\xa0", "\u2027", "\u202f", "\u200e", "\u200f", "\u2065", "\u206a"])
def test_what_names_need_is_none(good: str) -> None:
    text(9)("field", f"b{good}c")


def test_a_fingerprint_is_of_the_value_and_tells_nothing_apart_but_values() -> None:
    assert fingerprint("é") == hashlib.sha256(b'"\\u00e9"').hexdigest()
    assert fingerprint(None) == hashlib.sha256(b"null").hexdigest()
    assert fingerprint(("a", "b")) == hashlib.sha256(json.dumps(["a", "b"]).encode()).hexdigest()
    assert len({fingerprint(one) for one in (None, "null", "", (), ("",), "a", ("a",))}) == 7


GUARD = Guard(
    Template("look", False, {"id": text(8)}),
    Template("write", True, {"ids": lambda name, value: None}),
    Template("plain", False),
)


def test_a_guard_says_what_is_on_its_list_and_what_writes() -> None:
    assert GUARD.names() == {"look", "write", "plain"}
    assert [GUARD.writes(name) for name in ("look", "write", "plain", "dump")] == [False, True, False, False]
    with pytest.raises(ValueError, match="the same name"):
        Guard(Template("a", False), Template("a", True))


def test_a_request_is_exactly_its_template() -> None:
    made = GUARD.render("look", id="a")
    assert (made.name, made.writes, dict(made.values), made.guard) == ("look", False, {"id": "a"}, GUARD)
    assert GUARD.require(made) is made
    assert GUARD.render("write", ids=[]).writes is True
    assert dict(GUARD.render("plain").values) == {}
    for name, values, words in (
        ("dump", {}, "dump is not a request"), ("look", {}, "other fields"),
        ("look", {"id": "a", "x": 1}, "other fields"), ("look", {"x": "a"}, "other fields"),
        ("plain", {"id": "a"}, "other fields"),
    ):  # fmt: skip
        with pytest.raises(RequestNotAllowed, match=words):
            GUARD.render(name, **values)


def test_what_was_checked_is_what_is_sent() -> None:
    ids = ["a"]
    made = GUARD.render("write", ids=ids)
    ids.append("'; drop table people")
    assert made.values["ids"] == ["a"]
    with pytest.raises(RequestNotAllowed, match="not changed"):
        made.name = "dump"
    with pytest.raises(RequestNotAllowed, match="copied"):
        copy.copy(made)
    assert repr(made) == "Allowed(write)"
    for other in (Guard(Template("write", True, {"ids": lambda n, v: None})).render("write", ids=[]), "write", None):
        with pytest.raises(RequestNotAllowed, match="only what this guard"):
            GUARD.require(other)


def test_a_list_is_one_of_at_most_so_many_each_of_which_passes() -> None:
    check = listed(text(3), 2)
    for fine in ([], ["a"], ["abc", "d"]):
        check("names", fine)
    for bad in (["a", "b", "c"], ["abcd"], ["a", 1], ["a", "b\n"], ("a",), "a", None):
        with pytest.raises(InvalidValue) as caught:
            check("names", bad)
        assert caught.value.message.startswith("names ")


def test_what_is_inside_a_value_is_not_changed_once_it_was_checked() -> None:
    """A list in a tuple is still a list: whoever holds it could put something else into what was let through."""
    guard = Guard(Template("set", True, {"value": lambda name, value: None}))
    for make in (lambda inner: (inner,), lambda inner: ("a", inner), lambda inner: (inner, "a"), lambda inner: [inner]):
        inner = ["checked"]
        request = guard.render("set", value=make(inner))
        inner.append("not checked")
        assert request.values["value"] == make(["checked"])
