"""Each action as it goes out, written by hand, and where its values begin and end."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.asterisk_ami.actions import (
    AUTHS_AT_ONCE,
    FORMS,
    GUARD,
    MAX_LINE,
    NAME,
    CallerId,
    comparable,
    render,
)
from connectors.errors import InvalidValue
from tests.support.bounds import misjudged

LOOKS = {"login", "ping", "logoff", "commands", "wizards", "endpoints", "endpoint", "mailboxes", "mailbox", "contacts"}
_PEOPLE = ("Action: UpdateConfig", "SrcFilename: pjsip.conf", "DstFilename: pjsip.conf", "Reload: res_pjsip.so")
_BOXES = (
    "Action: UpdateConfig", "SrcFilename: voicemail.conf", "DstFilename: voicemail.conf", "Reload: app_voicemail.so",
)  # fmt: skip
_BOX = {"context": "default", "mailbox": "1001"}
_WHOLE_BOX = _BOX | {"pin": "4938", "name": "Grace", "email": "g@x.example", "pager": "", "options": ()}


def _change(number: int, action: str, section: str, *more: str, kind: str = "") -> list[str]:
    at = f"{number:06d}"
    said = [f"Action-{at}: {action}", f"Cat-{at}: {section}", *(f"{one[0]}-{at}: {one[1]}" for one in _pairs(more))]
    return [*said, *([f'Options-{at}: catfilter="type={kind}"'] if kind else [])]


def _pairs(more: tuple[str, ...]) -> list[tuple[str, str]]:
    return list(zip(("Var", "Value", "Match"), more, strict=False))


def _replaced(first: int, section: str, kind: str, var: str, value: str | None) -> list[str]:
    """A line is there whatever there was, or none is."""
    lines = _change(first, "append", section, var, "0", kind=kind) + _change(
        first + 1, "delete", section, var, kind=kind
    )
    return lines if value is None else lines + _change(first + 2, "append", section, var, value, kind=kind)


def _secret(first: int, auth: str) -> list[str]:
    return [
        *_replaced(first, auth, "auth", "md5_cred", None), *_replaced(first + 2, auth, "auth", "password_digest", None),
        *_replaced(first + 4, auth, "auth", "password", "Kx7mQ2vTz9Lp"),
        *_replaced(first + 7, auth, "auth", "auth_type", "userpass"),
    ]  # fmt: skip


_ID = '"Zoë" <1>'
SENT: list[tuple[str, dict[str, Any], list[str]]] = [
    ("login", {"login": "gw", "secret": "s: t"}, ["Action: Login", "Username: gw", "Secret: s: t", "Events: off"]),
    ("ping", {}, ["Action: Ping"]),
    ("logoff", {}, ["Action: Logoff"]),
    ("commands", {}, ["Action: ListCommands"]),
    ("wizards", {}, ["Action: ListCategories", "Filename: pjsip_wizard.conf"]),
    ("endpoints", {}, ["Action: GetConfig", "Filename: pjsip.conf", "Filter: type=endpoint"]),
    ("endpoint", {"id": "1001"},
     ["Action: GetConfig", "Filename: pjsip.conf", "Filter: type=endpoint", "Category: 1001"]),
    ("mailboxes", {}, ["Action: VoicemailUsersList"]),
    ("mailbox", _BOX, ["Action: VoicemailUserStatus", "Context: default", "Mailbox: 1001"]),
    ("contacts", {}, ["Action: PJSIPShowContacts"]),
    ("set-callerids", {"callerids": (CallerId("1", "Zo <1>", _ID, "one"),)},
     [*_PEOPLE, *_change(0, "update", "1", "callerid", _ID, "Zo <1>", kind="endpoint")]),
    ("set-callerids", {"callerids": (CallerId("1", "", _ID, "one"), CallerId("2", "x", _ID, "none"))},
     [*_PEOPLE, *_change(0, "update", "1", "callerid", _ID, kind="endpoint"),
      *_change(1, "append", "2", "callerid", _ID, kind="endpoint")]),
    ("set-callerids", {"callerids": (CallerId("1", "x", _ID, "several"),)},
     [*_PEOPLE, *_replaced(0, "1", "endpoint", "callerid", _ID)]),
    ("set-secret", {"auths": ("1-auth", "2"), "secret": "Kx7mQ2vTz9Lp"},
     [*_PEOPLE, *_secret(0, "1-auth"), *_secret(10, "2")]),
    ("put-secret", {"auth": "1-auth", "forms": ("md5_cred", "auth_type"), "secret": "Kx7mQ2vTz9Lp"},
     [*_PEOPLE, *_change(0, "delete", "1-auth", "md5_cred", kind="auth"),
      *_change(1, "update", "1-auth", "auth_type", "userpass", kind="auth"),
      *_change(2, "update", "1-auth", "password", "Kx7mQ2vTz9Lp", kind="auth")]),
    ("remove-accounts", {"endpoints": ("1", "1-m"), "auths": ("1-auth",), "aors": ("1",)},
     [*_PEOPLE, *_change(0, "delcat", "1", kind="endpoint"), *_change(1, "delcat", "1-m", kind="endpoint"),
      *_change(2, "delcat", "1-auth", kind="auth"), *_change(3, "delcat", "1", kind="aor")]),
    ("set-mailbox", _WHOLE_BOX | {"options": ("tz=uk", "attach=yes"), "pager": "p@x.example"},
     [*_BOXES, *_change(0, "update", "default", "1001", "4938,Grace,g@x.example,p@x.example,tz=uk|attach=yes")]),
    ("set-mailbox", _WHOLE_BOX | {"name": "", "email": ""},
     [*_BOXES, *_change(0, "update", "default", "1001", "4938")]),
    ("remove-mailbox", _BOX, [*_BOXES, *_change(0, "delete", "default", "1001")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "lines"), SENT)
def test_each_action(name: str, values: dict[str, Any], lines: list[str]) -> None:
    wanted = "".join(f"{line}\r\n" for line in (lines[0], "ActionID: f1", *lines[1:], ""))
    assert render(GUARD.render(name, **values), "f1").decode() == wanted


def test_what_writes_is_a_write_and_nothing_else_is() -> None:
    assert {name for name, *_ in SENT} == GUARD.names()
    assert {name for name in GUARD.names() if not GUARD.writes(name)} == LOOKS


def _ids(count: int) -> tuple[CallerId, ...]:
    return (CallerId("1", "", _ID, "one"),) * count


_ACCOUNTS = {"endpoints": ("1",), "auths": (), "aors": ()}
_16 = tuple(f"s{n}" for n in range(16))


@pytest.mark.parametrize(
    ("name", "usual", "field", "taken", "refused"),
    [
        ("login", {"secret": "s"}, "login", ["a", "a" * 79, "a-b.c"], ["", "a" * 80, "a;b", "a b", "é"]),
        ("login", {"login": "a"}, "secret", ["s", "s" * 256, "é"], ["", "s" * 257, "s\n"]),
        ("endpoint", {}, "id", ["1", "a" * 80, "a b", "+1@x", "O'Neil & Co"],
         ["", "a" * 81, " a", "a ", "a;", "a]", "a#", "a\n", "a,b", 'a"']),
        ("mailbox", {"mailbox": "1"}, "context", ["a", "a" * 79, "A-b_c.9"], ["", "a" * 80, "a b", "a@b", "é"]),
        ("mailbox", {"context": "a"}, "mailbox", ["1", "1" * 79, "*9#+-_."], ["", "1" * 80, "1,2", "1=2", "é"]),
        ("set-callerids", {}, "callerids",
         [_ids(1), _ids(16), (CallerId("1", "a" * 300, _ID, "one"),), (CallerId("1", "", f'"{"a" * 154}" <1>', "one"),),
          (CallerId("1", "", "Zoe O'Neil <1>", "none"),)],
         [(), _ids(17), list(_ids(1)), None, (("1", "", _ID, "one"),), (CallerId("1", "", _ID, "else"),),
          (CallerId("", "", _ID, "one"),), (CallerId("1", "a" * 301, _ID, "one"),), (CallerId("1", "a;b", _ID, "one"),),
          (CallerId("1", "#x", _ID, "one"),), (CallerId("1", "", f'"{"a" * 155}" <1>', "one"),),
          (CallerId("1", "", f'"{"a" * 157}" <1>', "one"),), (CallerId("1", "", "Zoe", "one"),),
          (CallerId("1", "", '"Zoe" <1;2>', "one"),)]),
        ("set-secret", {"secret": "a" * 8}, "auths", [("1",), ("1",) * AUTHS_AT_ONCE], [(), ("1",) * 3, ["1"], ("",)]),
        ("set-secret", {"auths": ("1",)}, "secret", ["a" * 8, "a" * 128], ["a" * 7, "a" * 129, "a" * 8 + ";", None]),
        ("put-secret", {"auth": "1", "secret": "a" * 8}, "forms", [*FORMS],
         [("password",), ("auth_type", "md5_cred"), ["md5_cred"], "md5_cred", None]),
        ("put-secret", {"forms": (), "secret": "a" * 8}, "auth", ["1", "a" * 80], ["", "a" * 81, "a;", None]),
        ("put-secret", {"auth": "1", "forms": ()}, "secret", ["a" * 8, "a" * 128], ["a" * 7, "a" * 129, None]),
        ("remove-accounts", _ACCOUNTS, "endpoints", [("1",), _16], [(), ("1",) * 17, ["1"], (" ",), None]),
        ("remove-accounts", _ACCOUNTS, "auths", [(), _16], [("1",) * 17, ["1"], ("a;",), None]),
        ("remove-accounts", _ACCOUNTS, "aors", [(), _16], [("1",) * 17, ["1"], ("a;",), None]),
        ("set-mailbox", _WHOLE_BOX, "pin", ["1234", "1" * 16, "-"], ["123", "1" * 17, "--", "1234-"]),
        ("set-mailbox", _WHOLE_BOX, "name", ["", "a" * 80, "O'Neil #1"], ["a" * 81, "a,b", "a|b", "a;b", 'a"', "<a"]),
        ("set-mailbox", _WHOLE_BOX, "email", ["", "a@b.cd", "a" * 75 + "@b.cd"],
         ["a" * 76 + "@b.cd", "a@b", "#a@b.cd", "a|b@c.de", "a@b.cd,", "a b@c.de"]),
        ("set-mailbox", _WHOLE_BOX, "pager", ["", "a@b.cd", "a" * 75 + "@b.cd"],
         ["a" * 76 + "@b.cd", "a@b", "a|@b.cd"]),
        ("set-mailbox", _WHOLE_BOX, "options",
         [(), ("tz=uk",) * 32, ("a" * 16 + "=" + "b" * 120,), ("tz=b",)],
         [("tz=uk",) * 33, ["tz=uk"], None, ("a" * 17 + "=b",), ("tz=" + "b" * 121,), ("t=b",), ("tz=",)]),
    ],
)  # fmt: skip
def test_a_value_just_within_is_taken_and_one_just_beyond_is_not(
    name: str, usual: dict[str, Any], field: str, taken: list[Any], refused: list[Any]
) -> None:
    assert misjudged(GUARD, name, usual, field, taken, refused) == []


def test_whatever_stands_beside_a_password_can_be_named_and_the_most_is_tried_first() -> None:
    """A form less, and that digest of the old password would still let its owner in."""
    digests = [("md5_cred", "password_digest"), ("md5_cred",), ("password_digest",)]
    assert set(FORMS) == {one + kind for one in digests for kind in (("auth_type",), ())} | {()}
    assert not any({*FORMS[at]} < {*later} for at in range(len(FORMS)) for later in FORMS[at:])


@pytest.mark.parametrize("name", ["login", "set-mailbox"])
def test_a_line_as_long_as_asterisk_reads_is_sent_and_not_a_byte_more(name: str) -> None:
    if name == "login":
        spare = MAX_LINE - len("ActionID: ")
        request = GUARD.render("ping")
        assert len(render(request, "x" * spare).split(b"\r\n")[1]) == MAX_LINE
        with pytest.raises(InvalidValue, match="nothing was sent"):
            render(request, "x" * (spare + 1))
        return
    options = tuple("tz=" + "b" * 28 for _ in range(28))
    lead = len("Value-000000: 4938,Grace,g@x.example,,") + len("|".join(options)) + len("|tz=")
    for spare, fits in ((MAX_LINE - lead, True), (MAX_LINE - lead + 1, False)):
        values = _WHOLE_BOX | {"options": (*options, "tz=" + "b" * spare)}
        if fits:
            assert max(map(len, render(GUARD.render(name, **values), "f1").split(b"\r\n"))) == MAX_LINE
        else:
            with pytest.raises(InvalidValue, match="nothing was sent"):
                render(GUARD.render(name, **values), "f1")


def test_as_many_headers_as_asterisk_reads_are_sent_and_not_one_more() -> None:
    """Five before the changes, four or five for each of them: 128 at most."""
    for sections, headers in ((41, 128), (42, 131)):
        names = tuple(f"s{n}" for n in range(sections))
        request = GUARD.render("remove-accounts", endpoints=names[:16], auths=names[16:32], aors=names[32:])
        if headers <= 128:
            assert render(request, "f1").count(b"\r\n") == headers + 1
        else:
            with pytest.raises(InvalidValue, match="nothing was sent"):
                render(request, "f1")


@pytest.mark.parametrize("was", ["Zo\ufffd <1>", ">x", "#x", "a;b", "a\\b", " a", "a ", "a" * 301, ""])
def test_what_asterisk_could_read_as_anything_but_a_value_is_not_compared_with(was: str) -> None:
    assert comparable(was) == ""
    assert comparable("Zoë <1>") == "Zoë <1>"


def test_a_name_just_within_is_taken_and_one_just_beyond_is_not() -> None:
    for name in ("A", "A" * 80, "Zoë de Vries"):
        NAME("the name", name)
    for name in ("", "A" * 81, " A", "A ", "#A", "A;b", "A,b", "A|b", 'A"', "<A", "A\\", None):
        with pytest.raises(InvalidValue):
            NAME("the name", name)


@pytest.mark.parametrize(
    ("one", "said"),
    [(CallerId("1", "", "Zoe", "one"), "the name"), (CallerId("1", "a;b", _ID, "one"), "the caller id as it is")],
)
def test_a_refusal_says_which_of_them_it_is_about(one: CallerId, said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        GUARD.render("set-callerids", callerids=(one,))
