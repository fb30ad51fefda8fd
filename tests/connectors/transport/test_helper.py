"""What a helper on a phone system is told, to the byte, and what is made of its answers: no phone system needed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.asterisk_files.requests import GUARD as FILES
from connectors.contract import Device, Person
from connectors.errors import (
    Conflict,
    ConnectorError,
    InvalidValue,
    NotFound,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    Refused,
    RequestNotAllowed,
)
from connectors.freepbx.requests import GUARD as FREEPBX
from connectors.freepbx.requests import call, line
from connectors.guard import Guard, fingerprint
from connectors.transport.answers import devices_of, people_of, person_of, text_of, texts_of
from connectors.transport.helper import failure, speech, version_of, wire
from tests.support.bounds import misjudged

FP = fingerprint("x")
GUARDS = pytest.mark.parametrize("guard", [FILES, FREEPBX], ids=["asterisk-files", "freepbx"])
LINES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("hello", {}, {}),
    ("check", {}, {}),
    ("page", {"cursor": None, "limit": 5}, {"cursor": None, "limit": 5}),
    ("find", {"words": "a b", "limit": 5}, {"words": "a b", "limit": 5}),
    ("view", {"id": "1001"}, {"id": "1001"}),
    ("devices", {"id": "1001"}, {"id": "1001"}),
    ("plan", {"id": "1001"}, {"id": "1001"}),
    ("rules", {"id": "1001", "kind": "sip"}, {"id": "1001", "kind": "sip"}),
    ("alter", {"id": "1001", "name": (FP, "A"), "email": (FP, None), "ddi": (FP, "+442079460123")},
     {"id": "1001", "changes": {"name": [FP, "A"], "email": [FP, None], "ddis": [FP, ["+442079460123"]]}}),
    ("alter", {"id": "1001", "name": None, "email": None, "ddi": (FP, None)},
     {"id": "1001", "changes": {"ddis": [FP, []]}}),
    ("alter", {"id": "1001", "name": None, "email": (FP, "a@b.cd"), "ddi": None},
     {"id": "1001", "changes": {"email": [FP, "a@b.cd"]}}),
    ("remove", {"id": "1001", "extension": FP, "name": fingerprint("y")},
     {"id": "1001", "expected": {"extension": FP, "name": fingerprint("y")}}),
    ("reset", {"id": "1001", "kind": "voicemail", "secret": "493817"},
     {"id": "1001", "kind": "voicemail", "secret": "493817"}),
    ("look", {"line": "core show version"}, {"line": "core show version"}),
    ("act", {"line": "core reload"}, {"line": "core reload"}),
]  # fmt: skip


@GUARDS
@pytest.mark.parametrize(("name", "values", "told"), LINES)
def test_each_line(guard: Guard, name: str, values: dict[str, Any], told: dict[str, Any]) -> None:
    if guard is FREEPBX and name == "act":
        values = told = {"line": "fwconsole reload"}
    request = guard.render(name, **values)
    assert json.loads(json.dumps(wire(request))) == {"do": name, **told}
    if guard is FREEPBX:
        assert line(request) == wire(request)


@GUARDS
def test_what_writes_is_a_write_and_nothing_else_is(guard: Guard) -> None:
    own = {name for name in guard.names() if not name.startswith("api-")}
    assert own == {name for name, *_ in LINES}
    assert {name for name in own if guard.writes(name)} == {"alter", "remove", "reset", "act"}


@GUARDS
@pytest.mark.parametrize(
    ("name", "usual", "field", "taken", "refused"),
    [
        ("page", {"cursor": None}, "limit", [1, 500], [0, 501, True]),
        ("page", {"limit": 1}, "cursor", [None, "1"], ["", "-1", "1;", "1 "]),
        ("find", {"words": "a"}, "limit", [1, 500], [0, 501]),
        ("find", {"limit": 1}, "words", ["", "a" * 200], ["a" * 201, "a\n", None]),
        ("view", {}, "id", ["1", "1" * 20], ["", " 1", "1;", "1\n", "../1", None]),
        ("rules", {"id": "1"}, "kind", ["sip", "voicemail"], ["", "sip ", "root", None]),
        ("reset", {"id": "1", "kind": "sip"}, "secret", ["a" * 4, "~" * 128],
         ["a" * 3, "a" * 129, "a b c", "\u00e9" * 8]),
        ("remove", {"id": "1", "name": FP}, "extension", [FP], ["1001", None, FP.upper()]),
        ("remove", {"id": "1", "extension": FP}, "name", [FP], ["Zoe", None]),
        ("alter", {"id": "1", "email": None, "ddi": None}, "name", [None, (FP, "A"), (FP, "A" * 50), (FP, "A b")],
         [(FP, "A" * 61), (FP, ""), (FP, " A"), (FP, "A "), (FP, "A;b"), (FP, 'A"'), (FP, "A|b"), (FP, None),
          ("x", "A"), "A", (FP,), (FP, "A", "B"), [FP, "A"]]),
        ("alter", {"id": "1", "name": None, "ddi": None}, "email",
         [None, (FP, None), (FP, "a@b.cd"), (FP, "a" * 64 + "@b.cd"), (FP, "a@" + "b" * 249 + ".cd")],
         [(FP, "a" * 65 + "@b.cd"), (FP, "a@" + "b" * 250 + ".cd"), (FP, "a@b"), (FP, "a b@c.de"),
          (FP, "a@b.cd,e@f.gh")]),
        ("alter", {"id": "1", "name": None, "email": None}, "ddi",
         [None, (FP, None), (FP, "+123456"), (FP, "+" + "1" * 15)],
         [(FP, "+12345"), (FP, "+" + "1" * 16), (FP, "+0123456"), (FP, "123456"), (FP, "")]),
    ],
)  # fmt: skip
def test_a_value_just_within_is_taken_and_one_just_beyond_is_not(
    guard: Guard, name: str, usual: dict[str, Any], field: str, taken: list[Any], refused: list[Any]
) -> None:
    assert misjudged(guard, name, usual, field, taken, refused) == []


def test_what_flat_files_hold_and_freepbx_does_not() -> None:
    for person in ("a" * 80, "alice.wong", "a_b+c@d-e"):
        assert FILES.render("view", id=person).values["id"] == person
    for person in ("a" * 81, ".a", "a/b", "a b"):
        with pytest.raises(InvalidValue):
            FILES.render("view", id=person)
    assert FILES.render("alter", id="1", name=(FP, "A" * 60), email=None, ddi=None).values["name"][1] == "A" * 60
    with pytest.raises(InvalidValue):
        FILES.render("rules", id="1", kind="portal")


def test_freepbxs_api_and_its_helper_take_nothing_of_each_others() -> None:
    client = {"client": "c0ffee01", "secret": "x" * 32}
    for name, values in (("api-token", client), ("api-wider", client), ("api-person", {"id": "1"}),
                         ("api-people", {"skip": 0, "first": 1})):  # fmt: skip
        with pytest.raises(RequestNotAllowed):
            line(FREEPBX.render(name, **values))
    for name, values, _ in LINES[:-1]:
        with pytest.raises(RequestNotAllowed):
            call(FREEPBX.render(name, **values), "a.b.c")
    token = call(FREEPBX.render("api-token", **client), "")
    assert (token.method, token.path) == ("POST", "/admin/api/api/token")
    assert token.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    asked = f"grant_type=client_credentials&client_id=c0ffee01&client_secret={'x' * 32}&scope=gql"
    assert token.body == f"{asked}%3Acore%3Aread".encode()
    assert call(FREEPBX.render("api-wider", **client), "").body == asked.encode()


def test_each_question_to_freepbxs_api() -> None:
    for name, values, query, variables in (
        ("api-person", {"id": "1001"}, "query($id:ID){fetchExtension(extensionId:$id){extensionId user{name}}}",
         {"id": "1001"}),
        ("api-people", {"skip": 0, "first": 5},
         "query($first:Int,$after:String){allCoreUsers(first:$first,after:$after){pageInfo{hasNextPage} "
         "coreUser{extension name}}}", {"first": 5, "after": None}),
    ):  # fmt: skip
        asked = call(FREEPBX.render(name, **values), "a.b.c")
        assert (asked.method, asked.path) == ("POST", "/admin/api/api/gql")
        assert asked.headers == {"Content-Type": "application/json", "Authorization": "Bearer a.b.c"}
        assert json.loads(asked.body or b"") == {"query": query, "variables": variables}
    longest = ".".join(("a" * 4000, "b" * 8000, "c" * 4000))
    assert call(FREEPBX.render("api-person", id="1"), longest).headers["Authorization"].endswith(longest)
    for none in ("", "a.b", "a.b.c ", f"a{longest}", f"{longest}c", "a..c", "a.b.c.d", longest.replace(".b", ".bb")):
        with pytest.raises(RequestNotAllowed):
            call(FREEPBX.render("api-person", id="1"), none)


# --- what a helper answers


SAID = {"known": ("known words", "known advice"), "bare": ("bare words", None)}
FIXED = failure(SAID)


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [("not-found", NotFound, "no such person"), ("conflict", Conflict, "nothing was written"),
     ("taken", Refused, "another telephone"), ("invalid", InvalidValue, "known words"),
     ("unsupported", NotSupported, "known words"), ("unknown", OutcomeUnknown, "known words"),
     ("anything", Refused, "known words")],
)  # fmt: skip
def test_an_error_is_one_of_ours_in_words_of_ours(code: str, error: type[ConnectorError], words: str) -> None:
    made = FIXED({"error": code, "reason": "known"})
    assert type(made) is error
    assert words in made.message
    if words == "known words":
        assert made.next_step == "known advice"
        assert FIXED({"error": code, "reason": "bare"}).next_step not in (None, "", "known advice")
    if code == "taken":
        assert "Take the number away" in made.next_step
    hostile = FIXED({"error": code, "reason": "CANARY \x1b[2J", "file": "CANARY ;", "line": "CANARY", "more": "CANARY"})
    assert type(hostile) is error
    assert "CANARY" not in hostile.message + hostile.next_step


def test_what_is_not_known_says_who_refused() -> None:
    assert FIXED({"error": "x", "reason": "y"}).message == "the helper refused it"
    assert FIXED({"error": "invalid", "reason": "y"}).message == "the phone system does not take that value"
    assert type(FIXED({})) is Refused


@pytest.mark.parametrize(
    ("where", "shown"),
    [({"file": "pjsip.conf", "line": 7}, " (pjsip.conf line 7)"), ({"file": "pjsip.conf"}, " (pjsip.conf)"),
     ({"file": "a/b_c-d.conf", "line": 0}, " (a/b_c-d.conf)"), ({"file": "x", "line": 1}, " (x line 1)"),
     ({"file": "x", "line": True}, " (x)"), ({"file": "x", "line": "7"}, " (x)"), ({"file": "x", "line": -1}, " (x)"),
     ({"file": "x" * 100}, f" ({'x' * 100})"), ({"file": "x" * 101}, ""), ({"file": ""}, ""), ({"file": 7}, ""),
     ({"file": "a b"}, ""), ({"file": "x\n"}, ""), ({"line": 7}, "")],
)  # fmt: skip
def test_of_an_answer_a_files_name_and_a_lines_number_are_repeated_and_nothing_else(
    where: dict[str, Any], shown: str
) -> None:
    assert FIXED({"error": "x", "reason": "bare", **where}).message == f"bare words{shown}"


def test_a_helper_that_ends_before_it_is_asked_is_heard_only_about_its_configuration() -> None:
    spoken = speech(FILES, {"conf-mode": ("its configuration may be written by others", None)}, 7)
    early = spoken.unnumbered({"error": "x", "reason": "conf-mode"})
    assert early is not None
    assert "may be written by others" in early.message
    for other in ({"error": "x", "reason": "mode"}, {"error": "x"}, {}, {"reason": "xconf-"}):
        assert spoken.unnumbered(other) is None
    assert (spoken.command, spoken.guard, spoken.patience_ms) == ("frameroom-helper", FILES, 7)
    assert speech(FILES, {}).patience_ms == 0
    assert spoken.silent == "the helper on the phone system does not answer"
    assert "is not the helper" in spoken.senseless


def test_an_older_helper_is_told() -> None:
    assert version_of({"version": 3}, 3) == 3
    assert version_of({"version": 4}, 3) == 4
    for hello in ({"version": 2}, {"version": "3"}, {"version": True}, {"version": None}, {}):
        with pytest.raises(NotSupported) as caught:
            version_of(hello, 1 if hello.get("version") is True else 3)
        assert "install-helper" in caught.value.next_step


WHOLE = {"id": "1001", "extension": "1001", "name": "Zoë", "email": "z@x.example", "ddis": ["+442079460123"]}


def test_of_a_person_the_fields_that_are_shown_and_no_other() -> None:
    assert person_of(WHOLE | {"secret": "CANARY"}, "1001") == Person(
        "1001", "1001", "Zoë", "z@x.example", ("+442079460123",)
    )
    assert person_of(WHOLE | {"email": None, "ddis": None}).ddis is None
    assert person_of(WHOLE | {"email": None, "ddis": []}).email is None
    assert person_of(WHOLE | {"ddis": []}).ddis == ()
    with pytest.raises(ProtocolViolation, match="somebody else"):
        person_of(WHOLE, "1002")


@pytest.mark.parametrize("field", ["id", "extension", "name", "email"])
def test_a_text_is_one_and_no_longer_than_anything_that_is_shown(field: str) -> None:
    assert getattr(person_of(WHOLE | {field: "a" * 1024}), field) == "a" * 1024
    for wrong in ("a" * 1025, 7, ["a"], {"a": 1}, True):
        with pytest.raises(ProtocolViolation):
            person_of(WHOLE | {field: wrong})
    if field != "email":
        with pytest.raises(ProtocolViolation):
            person_of(WHOLE | {field: None})


@pytest.mark.parametrize("raw", [None, [], "x", 7, [WHOLE]])
def test_what_is_no_person_is_none(raw: object) -> None:
    with pytest.raises(ProtocolViolation):
        person_of(raw)


def test_no_more_come_than_were_asked_for() -> None:
    assert len(people_of({"people": [WHOLE] * 3}, 3)) == 3
    assert people_of({"people": []}, 3) == ()
    for wrong in ([WHOLE] * 4, None, "x", {}, [None]):
        with pytest.raises(ProtocolViolation):
            people_of({"people": wrong}, 3)
    assert texts_of(["a"] * 1000) == ("a",) * 1000
    for wrong in (["a"] * 1001, "a", None, [7]):
        with pytest.raises(ProtocolViolation):
            texts_of(wrong)
    assert "\ud800" not in text_of("half \ud800")


def test_telephones_are_an_account_and_an_address() -> None:
    one = {"account": "1001", "address": "192.0.2.7", "password": "CANARY"}
    assert devices_of({"devices": [one] * 2}, 2) == (Device("1001 at 192.0.2.7", None),) * 2
    assert devices_of({"devices": []}, 0) == ()
    for wrong in ([one] * 3, None, {}, [one, "x"], [{"account": "1001"}], [{"address": "x"}], [one | {"address": 7}]):
        with pytest.raises(ProtocolViolation):
            devices_of({"devices": wrong}, 2)
