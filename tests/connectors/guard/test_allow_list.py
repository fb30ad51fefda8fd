"""What a guard does not list cannot be expressed; what it lets through cannot be changed."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.guard import Allowed, Guard, Template, digest, fingerprint, number, optional, secret, text
from connectors.lab.connector import GUARD as LAB_GUARD

GUARD = Guard(Template("view", False, {"id": text(10)}), Template("write", True, {"id": text(10), "n": number(1, 9)}))


@given(st.text(), st.dictionaries(st.text(min_size=1), st.text(), max_size=3))
def test_what_is_not_a_template_cannot_be_asked(name: str, values: dict[str, str]) -> None:
    if name in {"view", "write"}:
        return
    with pytest.raises(RequestNotAllowed):
        GUARD.render(name, **values)


@given(st.dictionaries(st.sampled_from(["id", "n", "password", "secret", "fields"]), st.just("1"), max_size=5))
def test_a_template_takes_its_own_fields_and_no_others(values: dict[str, str]) -> None:
    if set(values) == {"id"}:
        assert GUARD.render("view", **values).values == {"id": "1"}
    else:
        with pytest.raises(RequestNotAllowed):
            GUARD.render("view", **values)


@given(st.text(max_size=4), st.sampled_from("\r\n\x00\x1b\x7f\x85\x9b\u2028\u202e\u2066\ud800"), st.text(max_size=4))
def test_a_control_character_anywhere_is_refused(before: str, control: str, after: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        GUARD.render("view", id=before + control + after)
    assert control not in caught.value.message


@pytest.mark.parametrize("value", [None, 1, b"1001", ["1001"], "x" * 11, {"id": "1"}])
def test_a_text_field_takes_text_only(value: object) -> None:
    with pytest.raises(InvalidValue):
        GUARD.render("view", id=value)


@pytest.mark.parametrize("value", [0, 10, True, 1.0, "1", None])
def test_a_number_field_takes_numbers_in_bounds_only(value: object) -> None:
    with pytest.raises(InvalidValue):
        GUARD.render("write", id="a", n=value)


def test_names_in_any_script_pass() -> None:
    for name in ("Zoë", "李 小龍", "ליאת", "نور", "Łukasz"):
        assert GUARD.render("view", id=name).values["id"] == name


def test_a_request_cannot_be_made_without_its_guard() -> None:
    with pytest.raises(RequestNotAllowed):
        Allowed(GUARD, Template("dump", False), {}, object())


def test_a_request_cannot_be_changed_copied_or_stored() -> None:
    request = GUARD.render("view", id="a")
    with pytest.raises(RequestNotAllowed):
        request.name = "write"
    with pytest.raises(RequestNotAllowed):
        request.writes = True
    with pytest.raises(TypeError):
        request.values["id"] = "b"  # type: ignore[index]
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(RequestNotAllowed):
            act(request)


def test_one_guard_does_not_take_anothers_request() -> None:
    other = Guard(Template("view", False, {"id": text(10)}))
    for request in (other.render("view", id="a"), "view", None, {"name": "view"}):
        with pytest.raises(RequestNotAllowed):
            GUARD.require(request)


def test_two_templates_of_one_name_are_a_mistake_found_at_once() -> None:
    with pytest.raises(ValueError, match="same name"):
        Guard(Template("a", False), Template("a", True))


@pytest.mark.parametrize("value", ["hunter 22", "né", "a\nb", "", "abc", 1234, None])
def test_a_secret_that_cannot_be_sent_is_refused_without_being_told(value: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        secret("secret", value)
    assert not value or str(value) not in caught.value.message


def test_a_request_never_prints_its_values() -> None:
    assert "226200" not in repr(LAB_GUARD.render("reset", id="2001", kind="voicemail", secret="226200"))


def test_a_fingerprint_stands_for_hostile_text() -> None:
    digest("old", fingerprint("\x1b]0;owned\x07"))
    assert fingerprint(None) != fingerprint("None")
    assert fingerprint(()) != fingerprint("")
    with pytest.raises(InvalidValue):
        digest("old", "\x1b]0;owned\x07")


@pytest.mark.parametrize("line", ["pjsip show auth 2001", "dialplan show", "!sh", "core show version; x", "", 3, None])
def test_the_labs_guard_sends_no_diagnostic_that_is_not_on_the_list(line: object) -> None:
    with pytest.raises(InvalidValue):
        LAB_GUARD.render("look", line=line)
    with pytest.raises(InvalidValue):
        LAB_GUARD.render("act", line=line)


def test_optional_takes_none() -> None:
    optional(text(3))("email", None)
    with pytest.raises(InvalidValue):
        optional(text(3))("email", "four")


@pytest.mark.parametrize("value", ["ab1", "abx", "1ab", "ab\n"])
def test_a_pattern_holds_for_the_whole_value(value: str) -> None:
    text(10, pattern="[a-b]+")("field", "ab")
    with pytest.raises(InvalidValue):
        text(10, pattern="[a-b]+")("field", value)


def test_a_numbers_bounds_are_inside() -> None:
    for inside in (1, 2, 3):
        number(1, 3)("field", inside)
    for outside in (0, 4):
        with pytest.raises(InvalidValue):
            number(1, 3)("field", outside)


@pytest.mark.parametrize("value", ["0" * 63, "0" * 65, "0" * 64 + "\n", "G" * 64, "A" * 64])
def test_a_fingerprint_has_one_form(value: str) -> None:
    digest("field", "0" * 64)
    with pytest.raises(InvalidValue):
        digest("field", value)


@pytest.mark.parametrize("value", [5, None, b"0" * 64, ["0" * 64]])
def test_a_fingerprint_is_text(value: object) -> None:
    with pytest.raises(InvalidValue):
        digest("field", value)


def test_limits_of_length_are_inside() -> None:
    assert GUARD.render("view", id="x" * 10).values["id"] == "x" * 10
    for inside in ("!" * 4, "~" * 128):
        secret("secret", inside)
    for outside in ("!" * 3, "~" * 129, "a b c", "x" * 4 + "\n", "passwört"):
        with pytest.raises(InvalidValue):
            secret("secret", outside)


def test_a_guard_takes_its_own_request_as_it_is() -> None:
    request = GUARD.render("write", id="2001", n=3)
    assert GUARD.require(request) is request
    assert (request.name, request.writes, dict(request.values)) == ("write", True, {"id": "2001", "n": 3})
    assert not GUARD.render("view", id="2001").writes
