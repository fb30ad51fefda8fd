"""Where the values of each request to a FusionPBX begin and end, and which fields each has: written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.fusionpbx.requests import GUARD

ID = "3167b2e6-3be9-58d5-825f-33f216c33ee4"
_D = {"domain": ID}
_ONE, _BOX, _USER, _PLAN = _D | {"id": ID}, _D | {"box": ID}, _D | {"user": ID}, _D | {"dialplan": ID}
_TWO = _D | {"extensions": ["1"]}
_ROUTE = _D | {"destination": ID, "dialplan": ID, "number": "2079460123", "regex": "^(2079460123)$"}
_MOVED = _ROUTE | {"prefix": "44", "trunk": None}
_MADE = _ROUTE | {"prefix": "44", "context": "public", "extension": "1001", "to": "brook.example"}
_FOLLOW = _D | {"follow_me": ID}
_LINE, _DETAIL = "</extension>", "action export true call_direction=inbound"
_HASH = "$2y$10$" + "a" * 53
EACH: dict[str, dict[str, Any]] = {
    "domain": {"name": "brook.example"}, "other-domains": _D, "people": _ONE | {"after": "", "limit": 1},
    "find": _D | {"words": ["a"], "limit": 1}, "view": _ONE, "own": _ONE, "lock-own": _ONE,
    "sharers": _ONE | {"extensions": ["1"]}, "boxes": _TWO, "lock-boxes": _TWO, "users": _ONE, "lock-users": _ONE,
    "routes": _TWO, "lock-routes": _TWO, "number-owner": {"number": "+442079460123", "ids": [ID]},
    "address-owner": _USER | {"email": "a@b.cd"}, "set-name": _ONE | {"name": "A"},
    "set-directory": _ONE | {"first": "A", "last": None}, "set-mail": _BOX | {"email": None},
    "set-user-email": _USER | {"email": None}, "set-pin": _BOX | {"secret": "4938"},
    "set-sip": _ONE | {"secret": "Kx7mQ2vTz9"},
    "set-lines": _D | {"name": "brook.example", "extension": "1001", "secret": "Kx7mQ2vTz9"},
    "set-portal": _USER | {"hash": _HASH}, "move-route": _MOVED, "insert-route": _MADE,
    "set-dialplan": _PLAN | {"number": "2079460123", "lines": [_LINE]},
    "insert-dialplan": _PLAN | {"number": "2079460123", "context": "public", "lines": [_LINE]},
    "insert-details": _PLAN | {"details": [_DETAIL]}, "clear-details": _PLAN,
    "delete-details": _D | {"dialplans": [ID]}, "delete-dialplans": _D | {"dialplans": [ID]},
    "delete-routes": _D | {"destinations": [ID]},
    "delete-extension": _ONE, "delete-extension-users": _ONE, "delete-extension-settings": _ONE,
    "delete-follow-me": _FOLLOW, "delete-follow-me-destinations": _FOLLOW, "delete-ring-group-destinations": _TWO,
    "delete-box": _BOX, "delete-box-messages": _BOX, "delete-box-options": _BOX, "delete-box-destinations": _BOX,
    "delete-box-greetings": _D | {"extension": "1001"}, "delete-user": _USER, "delete-user-groups": _USER,
    "delete-user-settings": _USER, "event-socket-auth": {"secret": "s"},
    "event-socket-userauth": {"user": "a@b.example", "secret": "s"}, "look": {"line": "status"},
    "act": {"line": "reloadxml"}, "flush-file": {"key": "dialplan:public"},
    "flush-memcache": {"key": "dialplan:public"},
}  # fmt: skip
OF_THE_ROLE = {"begin", "commit", "rollback"}


def test_a_line_that_acts_is_a_write_and_one_that_looks_is_none() -> None:
    assert GUARD.writes("act")
    assert not GUARD.writes("look")


def test_each_request_takes_its_own_fields_and_no_others() -> None:
    assert set(EACH) <= GUARD.names()
    rest = GUARD.names() - set(EACH)
    assert rest >= OF_THE_ROLE
    assert not [name for name in rest if GUARD.writes(name) and name not in OF_THE_ROLE]
    for name, values in EACH.items():
        assert dict(GUARD.render(name, **values).values) == values
        for field in values:
            with pytest.raises(RequestNotAllowed):
                GUARD.render(name, **{key: value for key, value in values.items() if key != field})
            if values[field] == ID:
                with pytest.raises(InvalidValue):
                    GUARD.render(name, **values | {field: "' or 1=1"})
        with pytest.raises(RequestNotAllowed):
            GUARD.render(name, **values, another=ID)


_EMAILS = (["a@b.cd", "a" * 75 + "@b.cd"], ["a" * 76 + "@b.cd", "a@b", "a b@c.de", "a@b.cd,e@f.gh", "", "<a@b.cd>"])
_NUMBERS = (["123", "+" + "1" * 19], ["12", "1" * 20, "+" + "1" * 20, "", "12a", "*123"])
_SECRETS = (["a" * 8, "a" * 64], ["a" * 7, "a" * 65, "a" * 8 + "&", None])
_FEW = ([None, "1", "1234"], ["", "12345", "1a"])
_CONTEXTS = (["a", "a" * 253, "a@b-c_d.e"], ["", "a" * 254, "a b", "$a", "a/b", "\u00e9"])
_WORD = "a" * 60
BOUNDS: list[tuple[str, str, list[Any], list[Any]]] = [
    ("domain", "name", ["a" * 253], ["a" * 254, "a\n", None]),
    ("people", "after", ["ab" * 1000], ["ab" * 1001, "a"]),
    ("find", "limit", [1, 500], [0, 501]),
    ("sharers", "extensions", [[], [_WORD] * 2], [["1"] * 3, [_WORD + "a"], "1"]),
    ("number-owner", "ids", [[], [ID] * 64], [[ID] * 65, ["x"]]),
    ("address-owner", "email", *_EMAILS),
    ("set-mail", "email", [None, *_EMAILS[0]], _EMAILS[1]),
    ("set-user-email", "email", [None, *_EMAILS[0]], _EMAILS[1]),
    ("set-directory", "first", ["A", "A" * 80], ["", "A" * 81, " A", "A ", "A$", None]),
    ("set-directory", "last", [None, "A", "A" * 80], ["", "A" * 81, " A", "A\\"]),
    ("set-lines", "name", ["a" * 253], ["a" * 254]),
    ("set-lines", "extension", [_WORD], [_WORD + "a"]),
    ("set-lines", "secret", *_SECRETS),
    ("move-route", "number", *_NUMBERS),
    ("move-route", "prefix", *_FEW),
    ("move-route", "trunk", *_FEW),
    ("move-route", "regex", ["^(1)$", "1" * 200, r"\+?:|"], ["1234", "1" * 201, "^(a)$", "^.*$", "^[0-9]+$"]),
    ("insert-route", "prefix", *_FEW),
    ("insert-route", "context", *_CONTEXTS),
    ("insert-route", "to", *_CONTEXTS),
    ("insert-route", "extension", [_WORD, "*#+_.-"], ["", _WORD + "a", "1 2", "$1"]),
    ("set-dialplan", "number", *_NUMBERS),
    ("set-dialplan", "lines", [[], [_LINE] * 40], [[_LINE] * 41, ["x"], (_LINE,)]),
    ("insert-dialplan", "lines", [[_LINE] * 40], [[_LINE] * 41, ["x"]]),
    ("insert-dialplan", "context", *_CONTEXTS),
    ("insert-details", "details", [[_DETAIL] * 40], [[_DETAIL] * 41, ["x"]]),
    ("delete-box-greetings", "extension", [_WORD], [_WORD + "a"]),
    ("event-socket-userauth", "user", ["a@b", "a" * 64 + "@" + "b" * 253, "a.b_c-d@e.f"],
     ["a" * 65 + "@b", "a@" + "b" * 254, "a", "@b", "a@", "a@-b", "a:b@c", "a b@c", "a@b\n"]),
    ("event-socket-userauth", "secret", ["s", "s" * 200], ["", "s" * 201, "a b", None]),
    ("flush-memcache", "key",
     ["directory:a@b", "directory:" + "a" * 60 + "@" + "b" * 253, "dialplan:" + "a" * 80, "dialplan:public:+1",
      "dialplan:a@b:" + "1" * 20],
     ["directory:" + "a" * 61 + "@b", "directory:a@" + "b" * 254, "dialplan:" + "a" * 81, "dialplan:public:+",
      "dialplan:public:" + "1" * 21, "directory:a@-b", "dialplan:-a", "dialplan:public:1:2", "x:directory:a@b"]),
    ("look", "line", ["status"], ["reloadxml", "system id", ""]),
    ("act", "line", ["reloadxml"], ["status", "system id", ""]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "field", "taken", "refused"), BOUNDS)
def test_a_value_just_within_is_taken_and_one_just_beyond_is_not(
    name: str, field: str, taken: list[Any], refused: list[Any]
) -> None:
    for value in taken:
        assert GUARD.render(name, **EACH[name] | {field: value}).values[field] == value
    for value in refused:
        with pytest.raises(InvalidValue):
            GUARD.render(name, **EACH[name] | {field: value})


@pytest.mark.parametrize("hash_", ["$2y$00$", "$2y$9$", "$2y$100$", "$2a$10$", "2y$10$"])
def test_a_hash_that_fusionpbx_did_not_make_is_not_written(hash_: str) -> None:
    for value in (hash_ + "a" * 53, _HASH + "\n", "x" + _HASH, None, 7):
        with pytest.raises(InvalidValue):
            GUARD.render("set-portal", **_USER, hash=value)
