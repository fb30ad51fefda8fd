"""What is not on the allow-list cannot be sent, and what is sent was checked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.guard import Allowed, Guard, Template, number, optional, secret, text

GUARD = Guard(
    Template("view", False, {"id": text(8, pattern="[a-z0-9]+")}),
    Template("set", True, {"id": text(8), "email": optional(text(20)), "n": number(1, 9)}),
    Template("reset", True, {"secret": secret}),
)


@given(st.text(max_size=30), st.dictionaries(st.sampled_from(["id", "email", "n", "sql"]), st.text(max_size=12)))
def test_forbidden_requests_cannot_be_expressed(name: str, values: dict[str, str]) -> None:
    try:
        allowed = GUARD.render(name, **values)
    except (RequestNotAllowed, InvalidValue) as error:
        assert error.next_step
        return
    assert (allowed.name, allowed.writes) == ("view", False)
    assert allowed.values["id"].isalnum()
    assert allowed.values["id"].isascii()


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\x00", "a\x1b[m", "a\x85", "a\u2028b", "x" * 9, 7, None])
def test_values_with_metacharacters_are_refused(value: object) -> None:
    with pytest.raises(InvalidValue):
        GUARD.render("set", id=value, email=None, n=1)


def test_nobody_else_makes_a_request() -> None:
    with pytest.raises(RequestNotAllowed):
        Allowed(GUARD, Template("drop", True), {}, object())
    other = Guard(Template("view", False, {"id": text(8)}))
    with pytest.raises(RequestNotAllowed):
        GUARD.require(other.render("view", id="a"))
    with pytest.raises(RequestNotAllowed):
        GUARD.require({"name": "view"})


def test_a_refused_secret_is_not_in_the_error() -> None:
    with pytest.raises(InvalidValue) as caught:
        GUARD.render("reset", secret="hun ter2")
    assert "ter2" not in repr(caught.value)


def test_true_is_not_a_number() -> None:
    with pytest.raises(InvalidValue):
        GUARD.render("set", id="a", email=None, n=True)


def test_a_refusal_says_of_what_form_a_text_has_to_be_where_that_is_said_of_it() -> None:
    for form, words in (("small letters", "name is not of the form: small letters"),
                        ("", "name is not of the form that the phone system takes")):  # fmt: skip
        with pytest.raises(InvalidValue) as raised:
            text(5, pattern="[a-z]+", form=form)("name", "X")
        assert raised.value.message == words
