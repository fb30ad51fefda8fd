"""Each family's list, held against what is written here by hand: what writes, and where values begin and end.

The answer to a write is dropped unread and never asked for twice, so that a write that is taken for a look is a secret
told, or a removal done twice. A bound that moves lets a value through that the phone system reads as something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connectors.avaya_cm.messages import GUARD as AVAYA
from connectors.avaya_cm.messages import render as avaya
from connectors.cucm.requests import GUARD as CUCM
from connectors.errors import InvalidValue, RequestNotAllowed
from connectors.freepbx.requests import GUARD as FREEPBX
from connectors.fusionpbx.requests import GUARD as FUSION
from connectors.guard import Guard, Template, fingerprint
from connectors.tcx.requests import GUARD as TCX
from connectors.yeastar.requests import GUARD as YEASTAR

_UUID = "01234567-89ab-cdef-0123-456789abcdef"
_BRACED = "{" + _UUID.upper() + "}"
_TCX_WORDS = (("grace", ()),)
WRITES: dict[str, tuple[Guard, set[str], set[str]]] = {
    "avaya-cm": (AVAYA, {"rename", "clear-messages", "remove"}, {"stations", "stations-from", "look"}),
    "cisco-cucm": (
        CUCM, {"set-person", "set-password", "set-pin", "set-digest", "remove-user", "set-mailbox-pin"},
        {"version", "users", "user", "user-devices", "mailboxes", "mailbox"},
    ),
    "freepbx": (
        FREEPBX, {"alter", "remove", "reset", "act"},
        {"look", "hello", "check", "page", "find", "view", "devices", "plan", "rules", "api-token", "api-wider",
         "api-people", "api-person"},
    ),
    "yeastar": (
        YEASTAR, {"change", "set-sip", "set-portal", "remove"},
        {"sign-in", "refresh", "sign-out", "system", "people", "search", "routes", "route-numbers"},
    ),
    "3cx": (
        TCX, {"set-name", "set-email", "remove-user", "regenerate", "set-rule", "remove-rule", "add-rule"},
        {"token", "status", "users", "user", "registered", "search", "numbered", "rules", "rules-of", "rules-between",
         "rules-naming", "rules-holding", "trunk-numbers"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", WRITES)
def test_what_writes_is_a_write_and_nothing_else_is(family: str) -> None:
    guard, writes, looks = WRITES[family]
    assert {name for name in guard.names() if guard.writes(name)} == writes
    assert guard.names() - writes == looks


def test_of_fusionpbx_whatever_sets_inserts_moves_deletes_or_flushes_writes() -> None:
    lead = ("set-", "insert-", "move-", "delete-", "clear-", "flush-")
    own = {name for name in FUSION.names() if name.startswith(lead)}
    assert len(own) == 33
    others = {"begin", "commit", "rollback", "act"}
    assert {name for name in FUSION.names() if FUSION.writes(name)} - others == own


def _b(guard: Guard, name: str, usual: Mapping[str, Any], field: str, taken: list[Any], refused: list[Any]) -> Any:
    family = next((family for family, (other, *_) in WRITES.items() if other is guard), "fusionpbx")
    return pytest.param(guard, name, {**usual, field: taken[0]}, field, taken, refused, id=f"{family}-{name}.{field}")


_FP = fingerprint("x")
_API = {"client": "c0ffee01", "secret": "x" * 32}
_REGEX = {"domain": _UUID, "id": _UUID}
BOUNDS = [
    _b(AVAYA, "remove", {}, "station", ["1", "1" * 13], ["", "1" * 14, "2 0", "all", "20001 "]),
    _b(AVAYA, "stations", {}, "count", [1, 1001], [0, 1002, True, "5", None]),
    _b(AVAYA, "stations-from", {"station": "20001"}, "count", [1, 1001], [0, 1002]),
    _b(AVAYA, "rename", {"station": "20001"}, "name", ["A", "A" * 27, "A b"], ["", "A" * 28, " A", "A ", "é", "A\tb"]),
    _b(CUCM, "users", {"axl": "14.0", "first": 1}, "skip", [0, 10_000_000], [-1, 10_000_001]),
    _b(CUCM, "users", {"axl": "14.0", "skip": 0}, "first", [1, 1002], [0, 1003]),
    _b(CUCM, "user", {"userid": "grace"}, "axl", ["14.0", "8.5"], ["", "15.0", "7.1", None, "14"]),
    _b(
        CUCM,
        "user",
        {"axl": "14.0"},
        "userid",
        ["a", "a" * 128, "a b"],
        ["", "a" * 129, " a", "a%", "a*", "<a>", "a\uffff"],
    ),
    _b(CUCM, "mailbox", {}, "alias", ["a", "a" * 128], ["", "a" * 129, "a(b", "%"]),
    _b(
        CUCM, "set-pin", {"axl": "14.0", "uuid": _BRACED}, "secret", ["1234", "1" * 20], ["123", "1" * 21, "12a4", None]
    ),
    _b(CUCM, "set-mailbox-pin", {"mailbox": _UUID}, "secret", ["1234", "1" * 20], ["123", "1" * 21, "12 4"]),
    _b(
        CUCM,
        "set-password",
        {"axl": "14.0", "uuid": _BRACED},
        "secret",
        ["a" * 8, "a" * 64],
        ["a" * 7, "a" * 65, "a" * 8 + "<"],
    ),
    _b(
        CUCM,
        "set-digest",
        {"axl": "14.0", "uuid": _BRACED},
        "secret",
        ["a" * 8, "a" * 64],
        ["a" * 7, "a" * 65, "&" * 9],
    ),
    _b(CUCM, "remove-user", {"axl": "14.0"}, "uuid", [_BRACED], ["", _UUID, _BRACED + " ", "{" + "0" * 36 + "}", "%"]),
    _b(CUCM, "set-mailbox-pin", {"secret": "1234"}, "mailbox", [_UUID], ["", _BRACED, _UUID + "/../x", "0" * 36]),
    _b(FREEPBX, "view", {}, "id", ["1", "1" * 20], ["", "1" * 21, "1 ", "a", "１", "1\n"]),
    _b(FREEPBX, "api-person", {}, "id", ["1", "1" * 20], ["", "1" * 21, '1"', "a"]),
    _b(FREEPBX, "api-people", {"skip": 0}, "first", [1, 500], [0, 501, "1"]),
    _b(FREEPBX, "api-people", {"first": 1}, "skip", [0, 1_000_000], [-1, 1_000_001, None]),
    _b(FREEPBX, "api-token", _API, "client", ["a" * 8, "a" * 128], ["a" * 7, "a" * 129, "a&b" * 4]),
    _b(FREEPBX, "api-wider", _API, "secret", ["a" * 8, "a" * 128], ["a" * 7, "a" * 129, "a b" * 4, None]),
    _b(FREEPBX, "page", {"limit": 1}, "cursor", ["1", None, "1" * 20], ["", "a", "1" * 21]),
    _b(FREEPBX, "page", {"cursor": None}, "limit", [1, 500], [0, 501]),
    _b(FREEPBX, "find", {"limit": 1}, "words", ["", "a" * 200], ["a" * 201, 5]),
    _b(FREEPBX, "find", {"words": "a"}, "limit", [1, 500], [0, 501]),
    _b(FREEPBX, "reset", {"id": "1", "secret": "x" * 8}, "kind", ["sip", "portal", "voicemail"], ["", "root", "sip "]),
    _b(
        FREEPBX,
        "reset",
        {"id": "1", "kind": "sip"},
        "secret",
        ["x" * 4, "x" * 128],
        ["x" * 3, "x" * 129, "x y z", None],
    ),
    _b(FREEPBX, "remove", {"id": "1", "name": _FP}, "extension", [_FP], ["20001", _FP[1:], None]),
    _b(FREEPBX, "remove", {"id": "1", "extension": _FP}, "name", [_FP], ["Grace", None]),
    _b(
        FREEPBX,
        "alter",
        {"id": "1", "email": None, "ddi": None},
        "name",
        [(_FP, "A"), (_FP, "A" * 50), None],
        [(_FP, "A" * 51), (_FP, ""), (_FP, " A"), (_FP, "A "), (_FP, 'A"b'), (_FP, "A;b"), (_FP, "A|b"), "A", (_FP,)],
    ),
    _b(
        FREEPBX,
        "alter",
        {"id": "1", "name": None, "ddi": None},
        "email",
        [(_FP, "a@b.cd"), (_FP, None)],
        [(_FP, "a@b"), (_FP, "a b@c.de"), (_FP, "@b.cd"), (_FP, "a" * 65 + "@b.cd"), (_FP, "a@b.cd,e@f.gh")],
    ),
    _b(
        FREEPBX,
        "alter",
        {"id": "1", "name": None, "email": None},
        "ddi",
        [(_FP, "+123456"), (_FP, "+" + "1" * 15)],
        [(_FP, "+12345"), (_FP, "+" + "1" * 16), (_FP, "+0123456"), (_FP, "0123456")],
    ),
    _b(YEASTAR, "people", {"size": 1}, "page", [1, 1_000_000], [0, 1_000_001]),
    _b(YEASTAR, "people", {"page": 1}, "size", [1, 1000], [0, 1001]),
    _b(YEASTAR, "search", {"page": 1, "size": 1}, "number", ["1", "1" * 8], ["", "1" * 9, "1a", "*"]),
    _b(YEASTAR, "remove", {}, "id", [1, (1 << 31) - 1], [0, 1 << 31, "1", True]),
    _b(
        YEASTAR, "route-numbers", {}, "ids", [(1,), tuple(range(1, 101))], [(), tuple(range(1, 102)), [1], (0,), ("1",)]
    ),
    _b(YEASTAR, "set-sip", {"id": 1}, "password", ["a" * 8, "a" * 63], ["a" * 7, "a" * 64, "a b" * 4, None]),
    _b(
        YEASTAR,
        "set-portal",
        {"id": 1},
        "password",
        ["aB" + "1" * 8, "aB" + "1" * 61],
        ["aB" + "1" * 7, "aB" + "1" * 62, "ab" + "1" * 8, "AB" + "1" * 8, "aBcDeFgHiJ", None],
    ),
    _b(YEASTAR, "refresh", {}, "refresh", ["a" * 8, "a" * 4096], ["a" * 7, "a" * 4097, "a b" * 5, "é" * 9]),
    _b(YEASTAR, "sign-in", {"secret": "x"}, "client", ["a", "a" * 256], ["", "a" * 257, "a b"]),
    _b(YEASTAR, "sign-in", {"client": "x"}, "secret", ["a", "a" * 256], ["", "a" * 257, "a b", None]),
    _b(
        YEASTAR,
        "change",
        {"id": 1},
        "values",
        [
            {"first_name": "A", "last_name": ""},
            {"first_name": "A" * 63, "last_name": "B" * 63},
            {"email_addr": ""},
            {"email_addr": "a@b.cd"},
        ],
        [
            {},
            {"first_name": "A"},
            {"last_name": "B"},
            {"first_name": "", "last_name": "B"},
            {"first_name": "A" * 64, "last_name": ""},
            {"first_name": "A  b", "last_name": ""},
            {"vm_pin": "1"},
            {"email_addr": "a@b"},
            {"email_addr": ".a@b.cd"},
            {"reg_password": "x" * 9},
            [("email_addr", "")],
        ],
    ),
    _b(TCX, "user", {}, "id", [0, 2_147_483_647], [-1, 2_147_483_648, "7"]),
    _b(TCX, "users", {"top": 1}, "skip", [0, 10_000_000], [-1, 10_000_001]),
    _b(TCX, "users", {"skip": 0}, "top", [1, 501], [0, 502]),
    _b(TCX, "search", {"words": _TCX_WORDS}, "top", [1, 500], [0, 501]),
    _b(
        TCX,
        "search",
        {"top": 1},
        "words",
        [_TCX_WORDS, _TCX_WORDS * 5],
        [
            (),
            _TCX_WORDS * 6,
            [("a", ())],
            (("a",),),
            (("a b", ()),),
            (("a" * 81, ()),),
            (("a", ["1"]),),
            (("a", ("'",)),),
        ],
    ),
    _b(
        TCX, "numbered", {}, "numbers", [("1",), ("1",) * 16, ("a" * 20,)], [(), ("1",) * 17, ("a" * 21,), ("",), ["1"]]
    ),
    _b(TCX, "rules-holding", {"skip": 0}, "digits", ["123", "1" * 20], ["12", "1" * 21, "12a"]),
    _b(TCX, "set-rule", {"id": 1}, "data", ["123", "+" + "1" * 20], ["12", "1" * 21, "+", "*"]),
    _b(
        TCX, "set-email", {"id": 1}, "email", ["", "a@b.cd"], ["a@b", "a@b.cd,e@f.gh", "a b@c.de", "a" * 249 + "@b.cde"]
    ),
    _b(TCX, "set-name", {"id": 1, "last": ""}, "first", ["", "A", "A" * 100, "A b"], ["A" * 101, " A", "A "]),
    _b(TCX, "remove-user", {"id": 1}, "etag", [None, '"x"', 'W/"x"', "*"], ["x", "", '"x" y', '"x']),
    _b(TCX, "regenerate", {"id": 1}, "kind", ["sip", "portal", "voicemail"], ["", "RpsKey", "SipAuth", None, ["sip"]]),
    _b(TCX, "token", {"secret": "x"}, "client", ["a", "a" * 100], ["", "a" * 101, "a b"]),
    _b(TCX, "token", {"client": "x"}, "secret", ["a", "a" * 512], ["", "a" * 513, "é"]),
    _b(FUSION, "view", {"domain": _UUID}, "id", [_UUID], ["", _UUID.upper(), _UUID[1:], _UUID + "0", "0" * 36, "%"]),
    _b(FUSION, "view", {"id": _UUID}, "domain", [_UUID], ["", _UUID.upper(), None]),
    _b(
        FUSION,
        "set-pin",
        {"domain": _UUID, "box": _UUID},
        "secret",
        ["1234", "1" * 20],
        ["123", "1" * 21, "12a4", None],
    ),
    _b(
        FUSION,
        "set-sip",
        _REGEX,
        "secret",
        ["a" * 8, "a" * 64, "a_b.c-d9"],
        ["a" * 7, "a" * 65, "a" * 8 + "$", "a b" * 4],
    ),
    _b(
        FUSION,
        "set-portal",
        {"domain": _UUID, "user": _UUID},
        "hash",
        ["$2y$10$" + "a" * 53, "$2y$14$" + "a" * 53],
        [
            "$2y$10$" + "a" * 52,
            "$2y$10$" + "a" * 54,
            "$2y$09$" + "a" * 53,
            "$2y$15$" + "a" * 53,
            "$2b$10$" + "a" * 53,
            "",
        ],
    ),
    _b(FUSION, "event-socket-auth", {}, "secret", ["a", "a" * 200], ["", "a" * 201, "a b", "a\nb"]),
    _b(
        FUSION,
        "flush-file",
        {},
        "key",
        ["directory:20001@example.test", "dialplan:public:442079460123"],
        [
            "",
            "directory:.x@example.test",
            "directory:a/b@example.test",
            "../x",
            "directory:20001@",
            "configuration:acl.conf",
        ],
    ),
    _b(FUSION, "people", {"domain": _UUID, "id": _UUID, "after": ""}, "limit", [1, 500], [0, 501]),
    _b(
        FUSION,
        "people",
        {"domain": _UUID, "id": _UUID, "limit": 1},
        "after",
        ["", "3230"],
        ["323", "3G", "3A", "323\n"],
    ),
    _b(
        FUSION,
        "find",
        {"domain": _UUID, "limit": 1},
        "words",
        [["a"], ["a"] * 16, ["a" * 200]],
        [["a"] * 17, ["a" * 201], ("a",)],
    ),
    _b(
        FUSION,
        "delete-routes",
        {"domain": _UUID},
        "destinations",
        [[_UUID], [_UUID] * 64, []],
        [[_UUID] * 65, [""], _UUID],
    ),
    _b(FUSION, "boxes", {"domain": _UUID}, "extensions", [["1"], ["1"] * 2, ["1" * 60]], [["1"] * 3, ["1" * 61]]),
    _b(
        FUSION,
        "number-owner",
        {"ids": [_UUID]},
        "number",
        ["+123456", "+" + "1" * 15],
        ["+12345", "+" + "1" * 16, "+0123456"],
    ),
    _b(
        FUSION, "set-name", _REGEX, "name", ["A", "A" * 80, "A b"], ["", "A" * 81, " A", "A ", 'A"', "A$", "A{b", "<A>"]
    ),
]


@pytest.mark.parametrize(("guard", "name", "usual", "field", "taken", "refused"), BOUNDS)
def test_a_value_just_within_is_taken_and_one_just_beyond_is_not(
    guard: Guard, name: str, usual: Mapping[str, Any], field: str, taken: list[Any], refused: list[Any]
) -> None:
    for value in taken:
        assert guard.render(name, **{**usual, field: value}).values[field] == value
    for value in refused:
        with pytest.raises(InvalidValue):
            guard.render(name, **{**usual, field: value})


@pytest.mark.parametrize(
    ("name", "values", "sent"),
    [
        ("stations", {"count": 5}, b"clist station count 5\nf8005ff00\t8003ff00\t004fff00\nt\n"),
        ("stations-from", {"station": "20001", "count": 5},
         b"clist station 20001 count 5\nf8005ff00\t8003ff00\t004fff00\nt\n"),
        ("rename", {"station": "20001", "name": "Zoe Oz"}, b"cchange station 20001\nf8003ff00\ndZoe Oz\nt\n"),
        ("clear-messages", {"station": "20001"}, b"cclear amw all 20001\nt\n"),
        ("remove", {"station": "20001"}, b"cremove station 20001\nt\n"),
    ],
)  # fmt: skip
def test_each_message_to_an_avaya_to_the_byte(name: str, values: dict[str, Any], sent: bytes) -> None:
    assert avaya(AVAYA.render(name, **values)) == sent


def test_what_another_guard_made_is_no_message_to_an_avaya() -> None:
    with pytest.raises(RequestNotAllowed):
        avaya(Guard(Template("stations", False, {"count": lambda *_: None})).render("stations", count=1))
