"""The allow-list below the connector: what is not a template cannot be said, and what is said was checked."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.conformance.bench import Bench
from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.guard import Allowed, Guard, Template

_NEVER = "\r\n\x00\x1b\x07\x7f\x85\x9b\u2028\u2029\u202e\u2066\ud800"
"""No value of any protocol may hold these."""
_EASY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _texts(inner)


def _spoilt(value: object, spoil: Callable[[str], str]) -> Iterator[object]:
    """The value with each text in it spoilt, one at a time."""
    if isinstance(value, str):
        yield spoil(value)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            for bad in _spoilt(inner, spoil):
                changed = [*value]
                changed[number] = bad
                yield changed if isinstance(value, list) else tuple(changed)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            for bad in _spoilt(inner, spoil):
                yield {**value, key: bad}


def test_there_is_an_example_of_every_request_and_the_guard_takes_it(bench: Bench) -> None:
    """A template that is added tomorrow is tried too, or this fails."""
    assert set(bench.examples) == set(bench.guard.names())
    for name, values in bench.examples.items():
        allowed = bench.guard.render(name, **values)
        assert bench.guard.require(allowed) is allowed
        assert set(allowed.values) == set(values)


@_EASY
@given(data=st.data())
def test_no_value_that_ends_a_line_or_turns_one_can_be_sent(bench: Bench, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(bench.examples)))
    bad, place = data.draw(st.sampled_from(_NEVER)), data.draw(st.floats(0, 1))

    def spoil(value: str) -> str:
        at = round(place * len(value))
        return value[:at] + bad + value[at:]

    for field, value in bench.examples[name].items():
        for spoilt in _spoilt(value, spoil):
            with pytest.raises((InvalidValue, RequestNotAllowed)) as caught:
                bench.guard.render(name, **{**bench.examples[name], field: spoilt})
            assert bad not in str(caught.value)


@_EASY
@given(data=st.data())
def test_whatever_is_asked_what_comes_through_is_a_template_with_values_that_are_whole(
    bench: Bench, data: st.DataObject
) -> None:
    names = st.sampled_from(sorted(bench.examples)) | st.text(max_size=30)
    name = data.draw(names)
    scalar = st.none() | st.booleans() | st.integers() | st.text(max_size=40) | st.binary(max_size=8) | st.floats()
    anything = st.recursive(scalar, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner), max_leaves=4)
    usual = bench.examples.get(name, {})
    values: dict[str, Any] = {**usual, **data.draw(st.dictionaries(st.sampled_from([*usual, "sql", "x"]), anything))}
    for field in data.draw(st.sets(st.sampled_from(sorted(usual) or ["x"]), max_size=1)):
        values.pop(field, None)
    try:
        allowed = bench.guard.render(name, **values)
    except (RequestNotAllowed, InvalidValue) as error:
        assert error.next_step
        return
    assert allowed.name in bench.examples
    assert set(allowed.values) == set(usual)
    for text in _texts(allowed.values):
        assert not set(text) & set(_NEVER)


def test_a_field_more_or_less_and_nothing_is_sent(bench: Bench) -> None:
    for name, values in bench.examples.items():
        with pytest.raises(RequestNotAllowed):
            bench.guard.render(name, **values, more="x")
        for field in values:
            with pytest.raises(RequestNotAllowed):
                bench.guard.render(name, **{key: value for key, value in values.items() if key != field})


def test_a_request_is_made_by_its_guard_alone_and_not_changed_afterwards(bench: Bench) -> None:
    name = sorted(bench.examples)[0]
    allowed = bench.guard.render(name, **bench.examples[name])
    other = Guard(Template(name, False, {}))
    for forged in (other.render(name), name, {"name": name}, None):
        with pytest.raises(RequestNotAllowed):
            bench.guard.require(forged)
    with pytest.raises(RequestNotAllowed):
        Allowed(bench.guard, Template("dump", False), {}, object())
    for key in ("name", "values", "writes", "guard"):
        with pytest.raises(RequestNotAllowed):
            setattr(allowed, key, "dump")
    with pytest.raises(TypeError):
        allowed.values["x"] = "y"  # type: ignore[index]
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(RequestNotAllowed):
            copied(allowed)


def test_a_value_that_is_changed_after_it_was_checked_is_sent_as_it_was_checked(bench: Bench) -> None:
    """A list that the connector still holds is not a way around the check."""
    for name, values in bench.examples.items():
        for field, value in values.items():
            if isinstance(value, list):
                given_away = list(value)
                allowed = bench.guard.render(name, **{**values, field: given_away})
                given_away.append("'; drop table people; --")
                assert list(allowed.values[field]) == value, f"{name}.{field} changed after it was checked"


def test_no_request_shows_its_values(bench: Bench) -> None:
    for name, values in bench.examples.items():
        allowed = bench.guard.render(name, **values)
        for text in _texts(values):
            assert len(text) < 4 or text in name or text not in repr(allowed)
