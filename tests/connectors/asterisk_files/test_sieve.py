"""A few people out of many, before all of them were read: told as they are when everything was, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.asterisk_files import frameroom_helper as helper

IDS = ("100", "101", "102", "200", "300", "9", "a.b", "100-auth", "x y", "Zoe", "t")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also files as small as these, and of them no more lines at once than must be."""
    monkeypatch.setattr(helper, "SIFTED_FROM", 0)
    monkeypatch.setattr(helper, "SPARE", 0)


def conf(folder: Path, **given: Any) -> helper.Conf:
    usual = {"etc": str(folder / "etc"), "contexts": ["internal"], "inbound_context": "from-trunk", "cache": ""}
    (folder / "conf.json").write_text(json.dumps(usual | given))
    (folder / "conf.json").chmod(0o600)
    return helper.Conf(str(folder / "conf.json"))


def everybody(made: helper.Conf) -> list[dict[str, Any]] | None:
    """By a reading of everything; None when a file is not as Asterisk takes it."""
    desk = helper.Desk(made)
    try:
        known = desk.known()
    except helper.Fail:
        return None
    return [known.people[one].shown(bool(made.inbound)) for one in known.ids]


def page(sieve: helper.Sieve, cursor: str, limit: int) -> tuple[list[dict[str, Any]], bool] | None:
    """By their own lines; None where that cannot be."""
    try:
        people, more = sieve.page(cursor, limit)
    except helper.Unsifted:
        return None
    return [one.shown(bool(sieve.conf.inbound)) for one in people], more


def person(sieve: helper.Sieve, key: str) -> tuple[dict[str, Any] | None] | None:
    """One of them, or nobody; None where that cannot be said."""
    try:
        found = sieve.few([key.encode()]).people.get(key)
    except helper.Unsifted:
        return None
    return (None if found is None else found.shown(bool(sieve.conf.inbound)),)


def written(folder: Path, **texts: str | bytes) -> None:
    (folder / "etc").mkdir(exist_ok=True)
    for file in (folder / "etc").iterdir():
        file.unlink()
    for name, text in texts.items():
        raw = text.encode() if isinstance(text, str) else text
        (folder / "etc" / f"{name}.conf").write_bytes(raw)


# --- what is told from a few lines, and what is not

PJSIP = """; hello
[e](!)
type=endpoint
context=internal
[a](!)
type = auth
password=secret77

[100](e)  ; the first
callerid="Zoe" <100>
mailboxes=100@default
[100](a)
username=100
[101](e)
callerid="Ann Bell" <101>
[101](a)
password=other99
[102](e)
callerid=other99 <102>
[999](e)
callerid="Zoe" <100>
mailboxes=100
"""
VOICEMAIL = "[general]\nformat=wav\n[default]\n100 => 4711,Zoe,z@x.example\n101 => 12345,Ann,a@x.example\n"
EXTENSIONS = """[from-trunk]
exten => +442079460123,1,NoOp()
; and then
 same => n,Goto(internal,100,1)
exten => +442079460124,1,Dial(PJSIP/999,20)
exten => +442079460125,1,Goto(internal,101,1)
[internal]
exten => 100,1,Dial(PJSIP/100)
"""


def usual(folder: Path, pjsip: str = "", voicemail: str = "", extensions: str = "", **more: str) -> None:
    """Plain files, each with something at its end."""
    written(
        folder, pjsip=PJSIP + pjsip, voicemail=VOICEMAIL + voicemail, extensions=EXTENSIONS + extensions,
        **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [{}, {"pjsip": "[7](e)\r\ncallerid => Zed <7> ; x\r\n"},
     {"pjsip": "#include more.conf\n", "more": "[8](e)\ncallerid=Eve <8>"},
     {"pjsip": '#tryinclude "none/*.conf"\n#exec x\n'}, {"pjsip": "[s](!,e)\n[9](s)\ncallerid=Zed <9>\n"},
     {"pjsip_wizard": "[w]\ntype=wizard\nendpoint/context=internal\nendpoint/callerid=Wiz <5>\n"},
     {"pjsip": "[100-auth]\ntype=auth\n[100-aor]\ntype=aor\n[1000]\ntype=endpoint\ncontext=internal\n"},
     {"voicemail": ";;; [broken\n100+=9999,Zoe Zed,new@x.example\n"},
     {"extensions": "[from-trunk](+)\nexten=>+442079460129,1,Goto(100,1)\n"},
     {"pjsip": ";------- [x]\n;[y](+)\n"}, {"pjsip": "; a line\n" * 2_000}, {"pjsip": ";" + "x" * 8_190 + "\n"},
     {"pjsip": "".join(f"[aor{n}]  ; {n}\ntype=aor\n" for n in range(190))},
     {"pjsip": "#include a.conf\n", "a": "#include b.conf\n", "b": "[8](e)\ncallerid=Eve <8>\n"}],
)  # fmt: skip
def test_a_page_of_plain_files_is_told_before_everything_was_read(tmp_path: Path, given: dict[str, str]) -> None:
    usual(tmp_path, **given)
    sieve, whole = helper.Sieve(made := conf(tmp_path)), everybody(made)
    assert whole is not None
    assert whole[0] == {
        "id": "100",
        "extension": "100",
        "name": "Zoe",
        "email": whole[0]["email"],
        "ddis": [*whole[0]["ddis"]],
    }
    assert {"+442079460123", "+442079460124"} <= {*whole[0]["ddis"]}, "the second is their other telephone's"
    assert page(sieve, "", 1) == (whole[:1], True)
    last = whole[-1]["id"]
    assert page(sieve, last, 2) == ([], False)
    assert page(sieve, "\ud800", 2) == ([], False)
    assert person(sieve, "100") == (whole[0],)
    assert person(sieve, "999") == (None,), "the same person, under another name"
    assert person(sieve, "102") is None, "a name that may be a password: that all files say"


@pytest.mark.parametrize(
    "given",
    [{"pjsip": ";-- x\n--;\n"}, {"pjsip": " [7](e)\ncallerid=Zed <7>\n"}, {"pjsip": "\f[7](e)\n"},
     {"pjsip": "[7\n"}, {"pjsip": "[7](e\n"},
     {"pjsip": "[7;8](e)\n"}, {"pjsip": "[101](+)\ncallerid=Other <1>\n"}, {"pjsip": "[7](101)\n"},
     {"pjsip": "[7](later)\n[later](!)\n"},
     {"pjsip": "[t](!)\nCallerId=Zoe <100>\n"}, {"pjsip": "[7](nowhere)\n"}, {"pjsip": "x" * 8192 + "\n"},
     {"voicemail": "x" * 8193}, {"voicemail": " [other]\n"}, {"voicemail": ";-- x --;\n"},
     {"extensions": "[broken\n"}, {"pjsip_wizard": "loose=entry\n"},
     {"pjsip_wizard": ";" + "x" * 8_191 + "\n"},
     {"pjsip": "#include more.conf\n", "more": "[101](+)\n"}],
)  # fmt: skip
def test_what_only_all_of_a_file_can_judge_is_left_to_a_reading_of_all(tmp_path: Path, given: dict[str, str]) -> None:
    usual(tmp_path, **given)
    with pytest.raises(helper.Unsifted):
        helper.Sieve(conf(tmp_path))


@pytest.mark.parametrize(
    ("name", "sure"),
    [("Zed", True), ("12345 Zed", False), ("Zed 12345", False), ("other99", False), ("Zed OTHER99", False),
     ("4711 Zed", True), ("Zed Abcd", True), ("Zed Abcde", False), ("Zed fghij", False), ("Abcd", True),
     ("Zed klmno", False), ("Zed pqrst", False)],
)  # fmt: skip
def test_a_name_that_may_be_somebodys_password_is_asked_of_everything(tmp_path: Path, name: str, sure: bool) -> None:
    secrets = ("password = Abcd", "Password=>Abcde", "md5_cred=fghij", "refresh_token=klmno", "oauth_clientid=pqrst")
    auths = "".join(f"[s{n}](a)\n{secret}  ; so it is\n" for n, secret in enumerate(secrets))
    usual(tmp_path, pjsip=f'{auths}[7](e)\ncallerid="{name}" <7>\n')
    sieve, whole = helper.Sieve(made := conf(tmp_path)), everybody(made)
    assert whole is not None
    told = next(one for one in whole if one["id"] == "7")
    assert person(sieve, "7") == ((told,) if sure else None)


def test_the_last_page_says_that_it_is(tmp_path: Path) -> None:
    usual(tmp_path)
    made = conf(tmp_path)
    written(tmp_path, pjsip=PJSIP.replace("=other99 <102>", "=Eve <102>"), voicemail=VOICEMAIL, extensions=EXTENSIONS)
    whole = everybody(made)
    assert whole is not None
    assert len(whole) == 3
    for limit in (1, 2, 3, 4):
        assert page(helper.Sieve(made), "", limit) == (whole[:limit], limit < 3)


def test_headers_that_are_all_different_are_read_with_everybody(tmp_path: Path) -> None:
    usual(tmp_path, pjsip="".join(f"[aor{n}]  ; {n}\ntype=aor\n" for n in range(210)))
    with pytest.raises(helper.Unsifted):
        helper.Sieve(conf(tmp_path))


def test_what_of_one_person_cannot_be_said_is_asked_of_everything_and_the_rest_is_not(tmp_path: Path) -> None:
    usual(tmp_path, pjsip="[7](e)\ncallerid=Zed <7>\nmailboxes=a\\;b\n")
    sieve = helper.Sieve(conf(tmp_path))
    assert person(sieve, "7") is None, "a box that no line of voicemail.conf can be compared with"
    assert person(sieve, "101") is not None


@pytest.mark.parametrize(
    ("pjsip", "sure"),
    [("", True), ("[7]\ntype=endpoint\ncontext=from-trunk\n", True), ("[7]\ntype=endpoint\ncontext=queue\n", False),
     ("[7]\ntype=endpoint\ncontext=queue\ncallerid=Q <7>\n", False)],
)  # fmt: skip
def test_where_no_contexts_are_named_those_of_everybody_count(tmp_path: Path, pjsip: str, sure: bool) -> None:
    usual(tmp_path, pjsip=pjsip, extensions="[from-trunk]\nexten => +442079460126,1,Goto(queue,100,1)\n")
    made = conf(tmp_path, contexts=[])
    whole = everybody(made)
    assert whole is not None
    assert person(helper.Sieve(made), "100") == ((whole[0],) if sure else None)


@pytest.mark.parametrize("context", ["a b", "a&b", "Context=x"])
def test_a_context_of_several_words_is_none_that_a_line_can_be_searched_for(tmp_path: Path, context: str) -> None:
    pjsip = f"[7]\n{context}\n" if "=" in context else f"[7]\ncontext={context}\n"
    usual(tmp_path, pjsip=pjsip)
    with pytest.raises(helper.Unsifted):
        helper.Sieve(conf(tmp_path, contexts=[]))
    assert person(helper.Sieve(conf(tmp_path)), "101") is not None


def test_the_first_account_of_a_file_may_be_the_same_persons(tmp_path: Path) -> None:
    zoe = 'type=wizard\nendpoint/context=internal\nendpoint/callerid="Zoe" <100>\nendpoint/mailboxes=100\n'
    usual(tmp_path, pjsip_wizard=f"[w]\n{zoe}", extensions="[from-trunk](+)\nexten => +442079460127,1,Dial(PJSIP/w)\n")
    made = conf(tmp_path)
    (told,) = [one for one in everybody(made) or () if one["id"] == "100"]
    assert "+442079460127" in told["ddis"]
    assert person(helper.Sieve(made), "100") == (told,)


def test_a_caller_id_in_a_comment_before_all_accounts_is_nobodys(tmp_path: Path) -> None:
    usual(tmp_path, pjsip="[7](e)\n;callerid=No <1>\n", pjsip_wizard=";callerid=No <1>\n")
    made = conf(tmp_path)
    (seven,) = [one for one in everybody(made) or () if one["id"] == "7"]
    assert person(helper.Sieve(made), "7") == (seven,)


def test_a_box_of_no_value_still_is_the_last_that_counts(tmp_path: Path) -> None:
    usual(tmp_path, voicemail="100 ; = nobody\n")
    made = conf(tmp_path)
    whole = everybody(made)
    assert whole is not None
    assert whole[0]["email"] is None
    assert person(helper.Sieve(made), "100") == (whole[0],)


def test_so_many_that_share_a_caller_id_are_read_with_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper, "FEW", 5)
    usual(tmp_path, pjsip="".join(f"[{n}](e)\ncallerid=Front desk <0>\n" for n in range(200, 210)))
    sieve = helper.Sieve(conf(tmp_path))
    assert person(sieve, "101") is not None
    assert person(sieve, "200") is None


def test_few_people_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "SIFTED_FROM", 1 << 20)
    usual(tmp_path)
    with pytest.raises(helper.Unsifted):
        helper.Sieve(conf(tmp_path))


# --- and everybody, while nobody waits

ASKED: dict[str, dict[str, Any]] = {
    "page": {"do": "page", "limit": 2}, "view": {"do": "view", "id": "101"},
    "find": {"do": "find", "words": "internal bell", "limit": 9}, "plan": {"do": "plan", "id": "101"},
}  # fmt: skip


@pytest.fixture
def visit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> helper.Desk:
    """Where everybody is read in pieces as small as can be."""
    monkeypatch.setattr(helper, "PIECE", 1)
    usual(tmp_path)
    return helper.Desk(conf(tmp_path))


def pieces(desk: helper.Desk, most: int = 1_000) -> int:
    """Do so many, or all that there are; how many that was."""
    done = 0
    while done < most and desk.ahead():
        done += 1
    return done


@pytest.mark.parametrize("asked", [*ASKED])
def test_between_any_two_pieces_the_answer_is_the_same(visit: helper.Desk, asked: str) -> None:
    whole = visit.answer(ASKED[asked])
    for after in range(pieces(helper.Desk(visit.conf)) + 1):
        desk = helper.Desk(visit.conf)
        assert pieces(desk, after) == after
        assert desk.answer(ASKED[asked]) == whole
        pieces(desk)
        assert desk.answer(ASKED[asked]) == whole
        assert not desk.ahead(), "nothing is left to do"


@pytest.mark.parametrize("asked", ["page", "view", "find"])
def test_what_changed_between_two_pieces_is_told_as_it_is_now(visit: helper.Desk, tmp_path: Path, asked: str) -> None:
    for after in range(pieces(helper.Desk(visit.conf)) + 1):
        usual(tmp_path)
        desk = helper.Desk(visit.conf)
        pieces(desk, after)
        usual(tmp_path, pjsip="[101](e)\n[1010](e)\ncallerid=Internal Bell <1010>\n")
        told = desk.answer({"page": {"do": "page", "limit": 9}, "view": {"do": "view", "id": "1010"},
                            "find": {"do": "find", "words": "internal bell", "limit": 9}}[asked])  # fmt: skip
        assert "Internal Bell" in json.dumps(told)


def test_a_file_that_comes_later_is_seen(visit: helper.Desk, tmp_path: Path) -> None:
    assert visit.answer(ASKED["page"])["people"][0]["id"] == "100"
    (tmp_path / "etc" / "pjsip_wizard.conf").write_text(
        "[1]\ntype=wizard\nendpoint/context=internal\nendpoint/callerid=Wiz <1>\n"
    )
    assert visit.answer(ASKED["page"])["people"][0]["id"] == "1"


def test_a_file_that_is_wrong_is_said_when_somebody_asks_and_not_before(visit: helper.Desk, tmp_path: Path) -> None:
    assert pieces(visit, 2) == 2
    usual(tmp_path, voicemail="[default\n")
    pieces(visit)
    for asked in ("page", "view", "find"):
        with pytest.raises(helper.Fail) as caught:
            visit.answer(ASKED[asked])
        assert (caught.value.reason, caught.value.file, caught.value.line) == ("syntax", "voicemail.conf", 6)
    usual(tmp_path)
    assert visit.answer(ASKED["view"])["person"]["name"] == "Ann Bell"
