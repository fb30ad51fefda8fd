"""What can be written to the helper at all, whatever the connector is given."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import ConnectorError
from connectors.freepbx.requests import GUARD
from connectors.guard import fingerprint
from connectors.transport.helper import wire

_ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=30), st.binary(max_size=4),
    st.lists(st.text(), max_size=2),
    st.sampled_from(["20001", "Zoë", "a@b.example", "+442079460001", "sip", "Abcdefgh2345", "x'; DROP TABLE sip; --",
                     "20001 OR 1=1", "a\nb", "a,b", "a|b", "a;b", 'a"b', "a\\b", "<20001>", "$(id)", "\x00",
                     "core show version", "fwconsole reload", "fwconsole restart", "pjsip show auth 20001"]),
)  # fmt: skip
_PRINT = st.builds(fingerprint, st.text(max_size=5))
_VALUE = st.one_of(_ANYTHING, st.tuples(_PRINT, _ANYTHING), st.tuples(_ANYTHING, _ANYTHING))
_KEYS = {
    "hello": {"do"}, "check": {"do"}, "page": {"do", "cursor", "limit"}, "find": {"do", "words", "limit"},
    "view": {"do", "id"}, "devices": {"do", "id"}, "plan": {"do", "id"}, "rules": {"do", "id", "kind"},
    "alter": {"do", "id", "changes"}, "remove": {"do", "id", "expected"}, "reset": {"do", "id", "kind", "secret"},
    "look": {"do", "line"}, "act": {"do", "line"},
}  # fmt: skip
_FIELDS = sorted({"line", "id", "name", "email", "ddi", "kind", "secret", "cursor", "limit", "words", "extension"})


def _sound(asked: dict[str, Any]) -> None:
    if asked["do"] in ("look", "act"):
        assert asked["line"] in ("core show version", "fwconsole reload"), "of what is drawn, the catalogue's alone"
        return
    assert set(asked) == _KEYS[asked["do"]]
    key = asked.get("id", asked.get("cursor"))
    assert key is None or re.fullmatch("[0-9]{1,20}", key)
    assert asked.get("kind", "sip") in ("voicemail", "sip", "portal")
    changes = asked.get("changes", {})
    assert set(changes) <= {"name", "email", "ddis"}
    for was, becomes in changes.values():
        assert re.fullmatch("[0-9a-f]{64}", was)
        for text in becomes if isinstance(becomes, list) else [becomes or ""]:
            assert len(text) <= 254
            assert not set(text) & set('"\\<>;,|\r\n\0')


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_value_gets_past_its_check(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted([*_KEYS, "dump", "sql", "answer"])))
    fields = sorted(GUARD._templates[name].fields) if name in _KEYS else []
    values = {field: data.draw(_VALUE) for field in fields}
    if data.draw(st.integers(0, 9)) == 0:
        values[data.draw(st.sampled_from(_FIELDS))] = data.draw(_VALUE)
    try:
        request = GUARD.render(name, **values)
    except ConnectorError as error:
        assert error.next_step
        return
    asked = wire(request)
    _sound(asked)
    assert "\n" not in json.dumps(asked)


def test_a_removal_and_a_change_carry_fingerprints_and_not_what_a_phone_system_said() -> None:
    hostile = 'Eve"; DROP TABLE users; \x1b]0;owned\x07'
    asked = [
        wire(GUARD.render("remove", id="20001", extension=fingerprint("20001"), name=fingerprint(hostile))),
        wire(GUARD.render("alter", id="20001", name=(fingerprint(hostile), "Eve"), email=None, ddi=None)),
    ]
    assert "DROP" not in json.dumps(asked)
    assert GUARD.writes("remove")
    assert GUARD.writes("alter")
    assert GUARD.writes("reset")
    assert not any(GUARD.writes(name) for name in _KEYS.keys() - {"remove", "alter", "reset", "act"})
