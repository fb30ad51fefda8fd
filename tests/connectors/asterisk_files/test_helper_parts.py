"""The helper's parser and what keeps secrets back, part by part, without starting it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from connectors.asterisk_files import frameroom_helper as helper
from connectors.asterisk_files.frameroom_helper import Conf, Console, Fail, Person, Section
from connectors.console.asterisk import OPTIONS
from connectors.guard import fingerprint

# --- what the administrator allows


def conf(folder: Path, mode: int = 0o600, **given: Any) -> Conf:
    path = folder / "conf.json"
    path.write_text(json.dumps(given))
    path.chmod(mode)
    return Conf(str(path))


def refused(folder: Path, mode: int = 0o600, **given: Any) -> str:
    with pytest.raises(Fail) as caught:
        conf(folder, mode, **given)
    assert caught.value.code == "failed"
    return caught.value.reason


def test_an_empty_configuration_is_the_usual_one(tmp_path: Path) -> None:
    made = conf(tmp_path)
    assert (made.asterisk, made.run_as, made.python) == (["/usr/sbin/asterisk"], "", "/usr/bin/python3")
    assert (made.contexts, made.voicemail_context, made.inbound) == ([], "default", b"")
    assert (made.numbers, made.country, made.sip_form, made.console) == ("plus", "44", "md5", "off")
    assert (made.keep, made.etc) == ("/var/cache/frameroom", os.path.realpath("/etc/asterisk"))
    assert made.spool == os.path.realpath("/var/spool/asterisk")
    assert made.digest == hashlib.sha256(b"{}").hexdigest()
    assert conf(tmp_path, sip_form="plain").sip_form == "plain"
    given = conf(tmp_path, contexts=["a", "b"], inbound_context="in", cache="x", asterisk=["a", "b"], console="act")
    assert (given.contexts, given.inbound, given.keep, given.asterisk) == ([b"a", b"b"], b"in", "x", ["a", "b"])


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o622, 0o660, 0o666])
def test_a_configuration_that_others_may_write_is_none(tmp_path: Path, mode: int) -> None:
    assert refused(tmp_path, mode) == "conf-writable"


@pytest.mark.parametrize(
    "given",
    [{"other": 1}, {"etc": 7}, {"contexts": "a"}, {"asterisk": "x"}, {"numbers": "other"}, {"sip_form": "sha256"},
     {"console": "all"}, {"console": True}, {"country_code": 44}],
)  # fmt: skip
def test_a_configuration_of_another_form_is_none(tmp_path: Path, given: dict[str, Any]) -> None:
    assert refused(tmp_path, **given) == "conf-unknown"


def test_what_is_no_configuration(tmp_path: Path) -> None:
    for text, reason in (("[]", "conf-unknown"), ("{", "conf-unreadable"), ("\udcff", "conf-unreadable")):
        (tmp_path / "other").write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(Fail) as caught:
            Conf(str(tmp_path / "other"))
        assert (caught.value.code, caught.value.reason) == ("failed", reason)
    with pytest.raises(Fail, match="conf-unreadable"):
        Conf(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("numbers", "stored", "shown"),
    [("plus", "+442079460123", "+442079460123"), ("plus", "442079460123", None), ("plus", "+0123456", None),
     ("plus", "+12345", None), ("plus", "+123456", "+123456"), ("plus", "+" + "1" * 15, "+" + "1" * 15),
     ("plus", "+" + "1" * 16, None), ("digits", "442079460123", "+442079460123"),
     ("digits", "+442079460123", "+442079460123"),
     ("digits", "_X.", None), ("national", "02079460123", "+442079460123"), ("national", "+442079460123", None),
     ("national", "00123456", None), ("national", "012345", "+4412345"), ("national", "01234", None),
     ("national", "0" + "1" * 14, "+44" + "1" * 14), ("national", "0" + "1" * 15, None)],
)  # fmt: skip
def test_a_number_as_the_dialplan_has_it(tmp_path: Path, numbers: str, stored: str, shown: str | None) -> None:
    made = conf(tmp_path, numbers=numbers)
    assert made.shown(stored) == shown
    if shown is not None and not (numbers == "digits" and stored.startswith("+")):
        assert made.stored(shown) == stored


def test_a_number_of_another_country_is_not_written_where_only_national_ones_are(tmp_path: Path) -> None:
    with pytest.raises(Fail, match="other-country") as caught:
        conf(tmp_path, numbers="national").stored("+33142685300")
    assert caught.value.code == "invalid"


# --- how a line is read


@pytest.mark.parametrize(
    ("raw", "depth", "read"),
    [
        (b"a=b", 0, (b"a=b", 2, 0)), (b"a=b ; c", 0, (b"a=b ", 2, 0)), (b"; c", 0, (b"", 2, 0)),
        (rb"a=b\;c", 0, (b"a=b;c", 1, 0)), (rb"a=b\;c ; d", 0, (b"a=b;c ", 1, 0)), (rb"\;a", 0, (b";a", 1, 0)),
        (b"a;--b--;c", 0, (b"ac", 0, 0)), (b"a;--b", 0, (b"a", 0, 1)), (b"b--;c", 1, (b"c", 0, 0)),
        (b"x", 1, (b"", 0, 1)),
        (b"x;y", 1, (b"", 0, 1)), (b"a;---b", 0, (b"a", 2, 0)), (b";--a;--b--;c--;d", 0, (b"d", 0, 0)),
        (b"--;a", 1, (b"a", 0, 0)), (b";--;", 0, (b"", 0, 1)), (b"a --;b", 0, (b"a --", 2, 0)),
        (rb"x\;y", 1, (b"", 0, 1)),
        (b";--a;--b--;c", 0, (b"", 0, 1)), (b"a--;b;c", 1, (b"b", 0, 0)), (b"", 0, (b"", 2, 0)), (b"", 2, (b"", 0, 2)),
        (b"a;-b", 0, (b"a", 2, 0)), (rb"a;--\;b--;c", 0, (b"ac", 0, 0)), (b"a=b;", 0, (b"a=b", 2, 0)),
        (rb"a\;b;--c--;d", 0, (b"a;bd", 0, 0)), (rb"a;--b--;\;c", 0, (b"a;c", 0, 0)),
        (rb"a\;;c", 0, (b"a;", 1, 0)), (b";--;--x--;y--;z", 0, (b"z", 0, 0)), (b"x;;--y", 1, (b"", 0, 2)),
    ],
)  # fmt: skip
def test_a_line_without_its_comments(raw: bytes, depth: int, read: tuple[bytes, int, int]) -> None:
    """As config.c of Asterisk reads them: `;` to the end, `;--` to `--;`, `\\;` for one that is meant."""
    assert helper.active(raw, depth) == read


@pytest.mark.parametrize(
    ("text", "plain", "entry"),
    [(b" Key = a=b ", 2, (b"key", b"a=b", 3, 7, 2)), (b"exten => 1,1,X", 2, (b"exten", b"1,1,X", 3, 7, 2)),
     (b"key+=v", 2, (b"key", b"v", 3, 7, 1)), (b"key +=> v", 0, (b"key", b"v", 3, 7, 0)),
     (b"key", 2, (b"key", b"", 3, 7, 2)),
     (b"key = > v", 1, (b"key", b"> v", 3, 7, 1)), (b"k=", 2, (b"k", b"", 3, 7, 2)),
     (b"exten=>1", 2, (b"exten", b"1", 3, 7, 2))],
)  # fmt: skip
def test_an_entry(text: bytes, plain: int, entry: tuple[bytes, bytes, int, int, int]) -> None:
    assert helper.entry_of((3, 7, text, plain)) == entry


class Wrong:
    """Stands where the files are: whoever finds a mistake says in which, and on which line."""

    def wrong(self, file: int, number: int) -> Fail:
        return Fail("failed", "syntax", f"file-{file}.conf", number)


def test_a_header() -> None:
    read = [helper.header_of((3, 7, text, 2), Wrong()) for text in  # type: ignore[arg-type]
            (b"[a]", b"[a](!)", b"[a](b,c)", b"[a](,b,)x", b"[a] (b)", b"[]")]  # fmt: skip
    assert read == [(b"a", []), (b"a", [b"!"]), (b"a", [b"b", b"c"]), (b"a", [b"b"]), (b"a", []), (b"", [])]
    for text in (b"[a", b"[a](b"):
        with pytest.raises(Fail) as caught:
            helper.header_of((3, 7, text, 2), Wrong())  # type: ignore[arg-type]
        assert (caught.value.file, caught.value.line) == ("file-3.conf", 7)


def test_of_a_key_all_values_those_of_templates_first() -> None:
    base, other, one = Section(b"base"), Section(b"other"), Section(b"one")
    assert not base.template
    base.entries = [(b"k", b"1", 0, 0, 2), (b"x", b"9", 0, 1, 2)]
    other.entries = [(b"k", b"2", 0, 2, 2)]
    one.bases, one.entries = [base, other], [(b"k", b"3", 0, 3, 2)]
    assert one.all(b"k") == [b"1", b"2", b"3"]
    assert (one.get(b"k"), one.get(b"x"), one.get(b"y")) == (b"3", b"9", b"")
    assert (one.inherits(b"k"), one.inherits(b"y"), base.inherits(b"k")) == (True, False, False)
    base.bases = [base]
    assert len(base.all(b"k")) == 9, "a circle comes to an end"


# --- what is told of somebody


@pytest.mark.parametrize(
    ("callerid", "name"),
    [('"Zo\u00eb" <1001>', "Zo\u00eb"), ("Zoe <1001>", "Zoe"), ("Zoe", "Zoe"), (r'"a\"b" <1>', 'a"b'),
     ('"Zoe"', "Zoe"),
     ("<1001>", ""), ("", ""), ('"a', ""), ("a=b", ""), ("a;b", ""), ("a@b", ""), ("a<b", ""), ("a>b", ""),
     ("a=b <1>", ""), ('"Zoe" <1> x', ""), ("Zoe <1> x", "")],
)  # fmt: skip
def test_a_name_is_a_caller_ids_and_nothing_that_could_be_something_else(callerid: str, name: str) -> None:
    assert helper.name_of(callerid) == name


@pytest.mark.parametrize(
    ("callerid", "becomes"),
    [('"Zoe" <1001>', '"Ann" <1001>'), ("Zoe <1001>", "Ann <1001>"), ("<1001>", '"Ann" <1001>'), ("", '"Ann" <2>'),
     ("Zoe", '"Ann" <2>'), ('"Zoe"', '"Ann" <2>'), ('"Zoe" <1> x', '"Ann" <2>'), ("Zoe <1> x", '"Ann" <2>')],
)  # fmt: skip
def test_a_caller_id_with_another_name(callerid: str, becomes: str) -> None:
    assert helper.renamed(callerid, "Ann", "2") == becomes
    assert helper.renamed("Zoe <1>", "A, b", "2") == '"A, b" <1>'


def test_a_line_that_no_application_can_be_read_from_is_the_routes_odd_one() -> None:
    route, entry, odd = helper.Route("1"), (b"exten", b"", 0, 0, 2), (b"same", b"", 0, 1, 2)
    route.add(entry, b"Dial(PJSIP/1)", {b"in"})
    assert route.odd is None
    route.add(odd, b"Dial(PJSIP/1", {b"in"})
    route.add(entry, b"Hangup()", {b"in"})
    assert (route.odd, route.simple) == (odd, False)


@pytest.mark.parametrize(
    ("callerid", "box", "extension"),
    [('"Zoe" <1001>', "7", "1001"), ("Zoe <1001>", "7", "1001"), ("<1001>", "7", "1001"), ("1001", "7", "1001"),
     ("*21#+", "7", "*21#+"), ("1" * 20, "7", "1" * 20), ("1" * 21, "7", "7"), ("Zoe", "7", "7"), ("Zoe", "", "a.b"),
     ('"Zoe"', "7", "7"), ("Zoe <>", "7", "7"), ("Zoe <" + "x" * 40 + ">", "7", "x" * 40), ("", "", "a.b"),
     ("Zoe <" + "x" * 41 + ">", "7", "a.b"), ("Zoe <1 2>", "7", "a.b"),
     ('"Zoe" <1> x', "7", "7"), ("Zoe <1> x", "7", "7")],
)  # fmt: skip
def test_what_is_dialled(tmp_path: Path, callerid: str, box: str, extension: str) -> None:
    section = Section(b"a.b")
    section.entries = [(b"callerid", callerid.encode(), 0, 0, 2), (b"mailboxes", box.encode(), 0, 1, 2)]
    assert helper.Account(section, False, conf(tmp_path)).extension() == extension


def test_the_first_mailbox_that_is_named(tmp_path: Path) -> None:
    made = conf(tmp_path)
    assert [helper.box_of(value, made) for value in ("1@a", " 1 , 2@b", "1@", "", "@a")] == [
        ("a", "1"), ("default", "1"), ("default", "1"), None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("app", "targets"),
    [(b"Goto(in,1001,1)", [("extension", "1001")]), (b"Goto(1001,1)", [("extension", "1001")]),
     (b"Goto(x,1001,1)", [("other", "")]), (b"Goto(1)", []), (b"Dial(PJSIP/1001)", [("account", "1001")]),
     (b"Dial(PJSIP/1&SIP/2 & pjsip/3,30)", [("account", "1"), ("other", "2"), ("account", "3")]), (b"Answer()", []),
     (b"Answer", []), (b"(x)", []), (b"", []), (b"!Dial(PJSIP/1)", []),
     (b" dial ( Local/1 )", [("other", "1")])],
)  # fmt: skip
def test_whom_a_line_of_the_dialplan_rings(app: bytes, targets: list[tuple[str, str]]) -> None:
    assert helper.targets_of(app, {b"in"}) == targets


def test_a_route_is_simple_until_it_does_something_else() -> None:
    entry = (b"exten", b"", 0, 0, 2)
    for app, simple in ((b"Dial(PJSIP/1)", True), (b"NoOp(x)", True), (b"HangUp()", True), (b"", True),
                        (b"System(x)", False), (b" ", True), (b"!Dial(PJSIP/1)", False), (b"Dial(PJSIP/1", False),
                        (b"AGI(x)", False), (b"Authenticate(1)", False)):  # fmt: skip
        route = helper.Route("1")
        route.add(entry, app, {b"in"})
        assert route.simple is simple
        route.add(entry, b"Goto(in,1001,1)", {b"in"})
        assert route.simple is simple
        assert ("extension", "1001") in route.targets
        assert route.lines == [entry, entry]


def test_a_person_is_told_in_five_fields(tmp_path: Path) -> None:
    section = Section(b"1001")
    section.entries = [(b"callerid", b"Zoe <1>", 0, 0, 2), (b"mailboxes", b"1001", 0, 1, 2),
                       (b"auth", b"1001", 0, 2, 2),
                       (b"aors", b"1001, b", 0, 3, 2), (b"context", b"in", 0, 4, 2)]  # fmt: skip
    account = helper.Account(section, False, conf(tmp_path))
    assert (account.id, account.callerid, account.context, account.box) == (
        "1001",
        "Zoe <1>",
        b"in",
        ("default", "1001"),
    )
    assert (account.auths, account.aors, account.wizard) == (("1001",), ("1001", "b"), False)
    person = Person((account,))
    person.name, person.extension, person.email, person.ddis = "Zoe", "1", "z@x.example", ("+442079460123",)
    assert person.shown(True) == {
        "id": "1001", "extension": "1", "name": "Zoe", "email": "z@x.example", "ddis": ["+442079460123"],
    }  # fmt: skip
    assert person.shown(False)["ddis"] is None
    assert (person.id, person.box) == ("1001", ("default", "1001"))
    wizard = Section(b"w")
    wizard.entries = [(b"endpoint/callerid", b"W <2>", 0, 0, 2), (b"callerid", b"CANARY", 0, 1, 2)]
    made = helper.Account(wizard, True, conf(tmp_path))
    assert (made.callerid, made.auths, made.aors, made.wizard) == ("W <2>", ("w",), ("w",), True)


# --- what goes no further


@pytest.mark.parametrize("app", ["Authenticate", "DISA", "SendDTMF", "AgentLogin", "MeetMe", "SayDigits", "SayAlpha",
                                 "Macro", "Gosub", "Set", "authenticate", "SET"])  # fmt: skip
def test_arguments_that_may_hold_a_pin_are_withheld(app: str) -> None:
    told = helper.withheld(f"  1 {app}(CANARY,x) more\r\nplain\n{app}(CANARY\n".encode())
    assert b"CANARY" not in told
    assert told.decode() == f"  1 {app}((withheld))\r\nplain\n{app}((withheld))\n"


def test_a_telephones_variables_are_withheld_and_the_rest_is_not() -> None:
    assert helper.withheld(b" set_var : PIN=CANARY\n SET_VAR: x\n") == b" set_var : (withheld)\n SET_VAR: (withheld)\n"
    for plain in (b"callerid : Zoe <1>\n", b"Dial(PJSIP/1)\n", b" set_var : \n", b"x set_var : y\n", b""):
        assert helper.withheld(plain) == plain


def test_of_one_telephone_only_options_are_told() -> None:
    """Its variables stand among them by their own names (seen live)."""
    raw = b" Endpoint:  9009/9009   Unavailable\n ParameterName   : ParameterValue\n 100rel          : yes\n"
    raw += b" PIN             : 2262\r\n A : context     : 2262\n context         : in\n"
    raw += b" pin             : x : context : y\n"
    assert helper.withheld(raw, "pjsip show endpoint 9009").decode() == (
        " Endpoint:  9009/9009   Unavailable\n ParameterName   : ParameterValue\n 100rel          : yes\n"
        " PIN             : (withheld)\r\n A : (withheld)\n context         : in\n pin             : (withheld)\n"
    )
    assert helper.withheld(raw, "core show version") == raw
    assert {name.encode() for name in OPTIONS} == helper.OPTIONS


def test_a_line_of_the_prompt_is_one_of_the_list_and_whole() -> None:
    assert helper.listed("core show version", helper.LOOKS)
    assert helper.listed("pjsip show endpoint " + "a" * 64, helper.LOOKS)
    for wrong in ("core show version ", "core  show version", "Core show version", "core show", "core show version\n",
                  None, 7,
                  "pjsip show endpoint " + "a" * 65, "pjsip show endpoint a;b", "pjsip show endpoint",
                  ["core show version"],
                  "core show version" + " " * 200):  # fmt: skip
        assert not helper.listed(wrong, helper.LOOKS)
    assert not helper.listed("core reload", helper.LOOKS)
    assert helper.listed("core reload", helper.ACTS)


def test_no_other_line_is_asked_and_the_prompt_is_off_unless_it_is_allowed(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    program = ["/bin/sh", "-c", f"echo x >> {ran}"]
    console = Console(conf(tmp_path, asterisk=program))
    for line in ("core show channels", "pjsip show auth 1001", "module reload x.so", ""):
        with pytest.raises(Fail, match="internal"):
            console.ask(line)
    with (tmp_path / "conf.json").open("rb") as source:
        for allowed, line, told in (
            ("off", "core show version", ("unsupported", "console-off")),
            ("look", "dialplan show", ("invalid", "console-line")),
            ("look", "core reload", ("unsupported", "console-looks")), ("act", "!sh", ("invalid", "console-line")),
            ("act", None, ("invalid", "console-line")),
        ):  # fmt: skip
            with pytest.raises(Fail) as caught:
                list(Console(conf(tmp_path, asterisk=program, console=allowed)).stream(line, source))
            assert (caught.value.code, caught.value.reason) == told
    assert not ran.exists()


def test_a_fail_is_told_without_a_word_of_a_file() -> None:
    assert helper.told(Fail("failed", "syntax", "pjsip.conf", 7)) == {
        "error": "failed", "reason": "syntax", "file": "pjsip.conf", "line": 7,
    }  # fmt: skip
    for file in ("a b", "x" * 101, "\x1b", "a\n", ""):
        assert helper.told(Fail("a", "b", file))["file"] == ""
    assert helper.told(Fail("a", "b", "x" * 100))["file"] == "x" * 100


def test_a_fingerprint_is_the_guards() -> None:
    for value in ("Zo\u00eb", None, "", ["a"]):
        assert helper.fingerprint(value) == fingerprint(value)  # type: ignore[arg-type]


def test_a_digest_is_the_one_of_rfc_7616() -> None:
    assert helper.sip_hash("Mufasa", "http-auth@example.org", "Circle of Life") == (
        hashlib.md5(b"Mufasa:http-auth@example.org:Circle of Life", usedforsecurity=False).hexdigest()
    )
    assert helper.word("E\u0301A") == helper.word("\u00e9a") == "\u00e9a"


@pytest.mark.parametrize(
    ("mode", "uid", "groups", "may"),
    [(0o600, 1000, [], True), (0o600, 0, [], True), (0o600, 1, [], False), (0o640, 1001, [2000], True),
     (0o640, 1001, [1000], False), (0o604, 1001, [1000], True), (0o604, 1001, [2000], False),
     (0o600, 1001, [2000], False), (0o644, 1001, [], True), (0o022, 1001, [2000], False)],
)  # fmt: skip
def test_whether_an_account_could_read_a_file_without_us(mode: int, uid: int, groups: list[int], may: bool) -> None:
    found = os.stat_result((stat.S_IFREG | mode, 0, 0, 1, 1000, 2000, 0, 0, 0, 0))
    assert helper._may_read(found, uid, groups) is may


@pytest.mark.parametrize("key", [None, 7, "", ".a", "a b", "../x", "a" * 81, "a\n", ["1001"]])
def test_an_id_that_is_none_is_nobodys(tmp_path: Path, key: object) -> None:
    desk = helper.Desk(conf(tmp_path))
    with pytest.raises(Fail) as caught:
        desk.answer({"do": "view", "id": key})
    assert (caught.value.code, caught.value.reason) == ("invalid", "id")
    assert desk._key({"id": "a" * 80}) == "a" * 80


def test_a_request_is_one_of_the_list_and_asks_for_so_many(tmp_path: Path) -> None:
    desk = helper.Desk(conf(tmp_path))
    for name in ("dump", "", None, "known", "_key", "__init__", "console", "recover"):
        with pytest.raises(Fail) as caught:
            desk.answer({"do": name})
        assert (caught.value.code, caught.value.reason) == ("invalid", "request")
    assert desk.answer({"do": "hello"})["helper"] == "frameroom-helper"
    assert [desk._limit({"limit": n}) for n in (1, 500)] == [1, 500]
    for limit in (0, 501, True, "1", None):
        with pytest.raises(Fail) as caught:
            desk._limit({"limit": limit})
        assert (caught.value.code, caught.value.reason) == ("invalid", "limit")
