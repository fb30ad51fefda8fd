"""Canonical JSON: the same bytes as the reference implementation, and nothing that two readers read differently."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit import canonical
from audit.entry import entry
from audit.events import IDS, KINDS, Event

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=20,
)


@given(_values)
def test_same_bytes_as_the_reference(value: Any) -> None:
    assert canonical.encode(value) == rfc8785.dumps(value)


@given(_values)
def test_what_is_encoded_reads_back(value: Any) -> None:
    assert json.loads(canonical.encode(value)) == value


_ids = st.fixed_dictionaries({}, optional=dict.fromkeys(IDS, _text))


@given(_text, _text, _ids, st.dictionaries(st.sampled_from(sorted(KINDS["session.opened"].data)), _values), _values)
def test_an_entry_is_what_the_reference_makes_of_what_it_says(
    log: str, actor: str, ids: dict[str, Any], data: dict[str, Any], sealed: Any
) -> None:
    ids |= dict.fromkeys(KINDS["session.opened"].ids - ids.keys(), "x")
    commits = {"name": "0" * 64, "email": "f" * 64} if sealed else {}
    made = entry(Event("session.opened", log, actor, data=data, **ids), "evt_1", 1_764_000_000_000, commits)
    said: dict[str, Any] = {
        "actor": actor,
        "id": "evt_1",
        "kind": "session.opened",
        "log": log,
        "time": 1_764_000_000_000,
        "v": 1,
    }
    said |= ids | ({"data": data} if data else {}) | ({"commit": commits} if commits else {})
    assert made == rfc8785.dumps(said)


@pytest.mark.parametrize("where", ["log", "actor", "system", "data", "commit"])
def test_an_entry_with_a_lone_surrogate_is_refused_wherever_it_stands(where: str) -> None:
    ids: dict[str, Any] = {"system": "s", "session": "s", "grant": "g"} | (
        {"system": "\ud800"} if where == "system" else {}
    )
    log, actor = ("\ud800" if where == name else "x" for name in ("log", "actor"))
    data = {"factor": "\ud800"} if where == "data" else {}
    event = Event("session.opened", log, actor, data=data, **ids)
    with pytest.raises(canonical.CanonicalError):
        entry(event, "evt_1", 1, {"\ud800": "0"} if where == "commit" else {})


def test_keys_are_ordered_by_utf16_units_where_python_would_order_otherwise() -> None:
    # U+1F600 is above U+FB33, but its first UTF-16 unit (D83D) is below (RFC 8785 section 3.2.3).
    assert canonical.encode({"\ufb33": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ufb33":1}'.encode()


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        2**53,
        -(2**53),
        "\ud800",
        {"a": ["\udfff"]},
        {1: "x"},
        b"bytes",
        object(),
        {"x": {"\ud800": 1}},
    ],
)
def test_refused(value: Any) -> None:
    with pytest.raises(canonical.CanonicalError):
        canonical.encode(value)


@pytest.mark.parametrize("value", [[{"é": 1}, 1.5], {"é": [1.5]}, {"é": 1, "z": {"y": 1.5}}, {"é": {"é": 1}, "x": b""}])
def test_a_bad_value_is_found_under_and_after_a_key_that_is_not_ascii(value: Any) -> None:
    with pytest.raises(canonical.CanonicalError):
        canonical.encode(value)


def test_nesting_without_end_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(canonical.CanonicalError):
        canonical.encode(deep)
