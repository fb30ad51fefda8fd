"""The helper itself, asked by hand: what it tells, what it writes where, and that no password ever comes out of it."""

from __future__ import annotations

import base64
import fcntl
import json
import re
import subprocess
from typing import Any

import pytest

from connectors.freepbx.connector import HELPER
from connectors.guard import fingerprint
from tests.connectors.freepbx.conftest import Makes
from tests.support.freepbx.pbx import FreePbx, One

GRACE: dict[str, Any] = {"name": "Grace Okonkwo", "email": "grace@customer.example", "ddis": ("+442079460001",)}
_TABLES = ("users", "devices", "sip", "incoming", "userman_users", "standin_astdb")


def alter(person_id: str, was: dict[str, Any], **becomes: Any) -> dict[str, Any]:
    """A request to alter."""
    changes = {key: [fingerprint(was[key]), value] for key, value in becomes.items()}
    return {"do": "alter", "id": person_id, "changes": changes}


def everything(pbx: FreePbx) -> dict[str, Any]:
    """All that FreePBX holds."""
    tables: dict[str, Any] = {name: pbx.sql(f"SELECT * FROM {name} ORDER BY 1, 2") for name in _TABLES}  # noqa: S608
    return tables | {"voicemail.conf": pbx.text().splitlines()}


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Any]]:
    """By table, the rows or lines that are there now and were not before."""
    found = {key: [one for one in after[key] if one not in before[key]] for key in before}
    return {key: rows for key, rows in found.items() if rows or len(before[key]) != len(after[key])}


def test_people_come_by_extension_with_numbers_however_they_are_written(pbx: FreePbx) -> None:
    first, last = pbx.talk({"do": "page", "cursor": None, "limit": 3}, {"do": "page", "cursor": "20002", "limit": 3})
    assert [one["id"] for one in first["people"]] == ["0100", "20001", "20002"]
    assert first["more"] is True
    assert [one["id"] for one in last["people"]] == ["20003"]
    assert last["more"] is False
    john, grace, zoe = first["people"]
    assert (john["ddis"], grace["ddis"], zoe["ddis"]) == (["+442079460100"], ["+442079460001"], ["+442079460002"])
    assert john["email"] == "john@customer.example", "the mailbox has an address where User Manager has none"
    assert last["people"][0] == {"id": "20003", "extension": "20003", "name": "John Smith", "email": None, "ddis": []}


def test_a_pattern_or_a_route_for_some_callers_is_no_direct_number(pbx: FreePbx) -> None:
    here = "from-did-direct,20003,1"
    rows = [("_0207946XXXX", "", here), ("", "", here), ("+442079460777", "01610000000", here)]
    pbx.insert("incoming", ("extension", "cidnum", "destination"), rows)
    viewed, plan, refused = pbx.talk(
        {"do": "view", "id": "20003"}, {"do": "plan", "id": "20003"},
        alter("20003", {"ddis": ("+442079460777",)}, ddis=["+442079460778"]),
    )  # fmt: skip
    assert viewed["person"]["ddis"] == ["+442079460777"]
    assert set(plan["routes"]) == {"_0207946XXXX", "", "+442079460777 / 01610000000"}
    assert refused["reason"] == "route-does-more"


@pytest.mark.parametrize(
    ("words", "found"),
    [("okonkwo", ["20001"]), ("ZOË VRIES", ["20002"]), ("john smith", ["0100", "20003"]), ("02079460002", ["20002"]),
     ("customer.example", ["0100", "20001", "20002"]), ("CANARY", []), ("%", []), ("4711", [])],
)  # fmt: skip
def test_every_word_is_looked_for_everywhere(pbx: FreePbx, words: str, found: list[str]) -> None:
    (answer,) = pbx.talk({"do": "find", "words": words, "limit": 50})
    assert [one["id"] for one in answer["people"]] == found


@pytest.mark.parametrize(
    "asked",
    [b"\n", b"{}\n", b"[1]\n", b"\xff\xfe\n", b'{"n": "1", "do": "view"}\n', b'{"n": 1, "do": ["view"]}\n',
     b'{"n": 1, "do": "dump"}\n', b'{"n": 1, "do": "__construct"}\n', b'{"n": 1, "do": "answer"}\n',
     b'{"n": 1, "do": "rows", "sql": "SELECT * FROM sip"}\n', b'{"n": 1, "do": "view"}\n',
     b'{"n": 1, "do": "view", "id": ["20001"]}\n', b'{"n": 1, "do": "view", "id": "20001\' OR \'1"}\n',
     b'{"n": 1, "do": "view", "id": "../20001"}\n', b'{"n": 1, "do": "page", "limit": 501}\n',
     b'{"n": 1, "do": "page", "limit": "1; DROP TABLE sip"}\n', b'{"n": 1, "do": "find", "words": 7, "limit": 1}\n',
     b'{"n": 1, "do": "rules", "id": "20001", "kind": "database"}\n',
     b'{"n": 1, "do": "reset", "id": "20001", "kind": "sip", "secret": "with space in it"}\n',
     b'{"n": 1, "do": "reset", "id": "20001", "kind": "voicemail", "secret": "12,34"}\n',
     b'{"n": 1, "do": "alter", "id": "20001", "changes": {"password": ["x", "y"]}}\n',
     b'{"n": 1, "do": "remove", "id": "20001", "expected": {}}\n',
     b'{"n": 1, "do": "remove", "id": "20001", "expected": {"secret": "x", "password": "y"}}\n',
     b"[" * 60_000 + b"\n", b'{"n": 1, "do": "' + b"x" * 70_000 + b'"}\n'],
    ids=lambda raw: raw[:60].decode(errors="replace"),
)  # fmt: skip
def test_whatever_it_is_asked_it_refuses_or_tells_people_and_nothing_changes(pbx: FreePbx, asked: bytes) -> None:
    before = everything(pbx)
    answers = pbx.talk(asked, {"do": "hello"})  # `talk` looks for canaries in all that is said
    assert answers[0]["error"] in ("invalid", "not-found", "conflict", "failed")
    assert set(answers[0]) == {"error", "reason", "n"}
    assert len(answers) == 2 or b"x" * 70_000 in asked
    assert everything(pbx) == before
    assert pbx.applied() == []


def test_a_name_goes_to_every_place_that_had_the_old_one_and_nowhere_else(pbx: FreePbx) -> None:
    pbx.sql("UPDATE users SET mohclass = 'jazz', recording = 'always' WHERE extension = '20001'")
    before = everything(pbx)
    assert pbx.talk(alter("20001", GRACE, name="Grace Bell")) == [{"ok": True, "n": 1}]
    rows = changed(before, everything(pbx))
    assert set(rows) == {"users", "devices", "sip", "userman_users", "standin_astdb", "voicemail.conf"}
    (user,), (device,), (callerid,), (portal,) = (rows[t] for t in ("users", "devices", "sip", "userman_users"))
    assert (user["name"], user["mohclass"], user["password"]) == ("Grace Bell", "jazz", "CANARY-recording")
    assert device["description"] == "Grace Bell"
    assert (callerid["keyword"], callerid["data"]) == ("callerid", "Grace Bell <20001>")
    assert (portal["displayname"], portal["email"], portal["password"]) == (
        "Grace Bell", "grace@customer.example", "CANARY-portal"
    )  # fmt: skip
    assert rows["standin_astdb"] == [{"name": "/AMPUSER/20001/cidname", "value": "Grace Bell"}]
    assert rows["voicemail.conf"] == [
        "20001=CANARY-pin,Grace Bell,grace@customer.example,,attach=yes|saycid=no|imappassword=CANARY-imap"
    ]
    assert pbx.applied() == ["reload"]


def test_a_name_that_somebody_chose_in_another_place_stays(pbx: FreePbx) -> None:
    pbx.sql("UPDATE userman_users SET displayname = 'Gracie' WHERE username = '20001'")
    pbx.sql("UPDATE devices SET description = 'Front desk' WHERE id = '20001'")
    before = everything(pbx)
    assert pbx.talk(alter("20001", GRACE, name="Grace Bell"))[0] == {"ok": True, "n": 1}
    assert set(changed(before, everything(pbx))) == {"users", "sip", "standin_astdb", "voicemail.conf"}


def test_an_address_goes_where_the_old_one_was(made: Makes) -> None:
    pbx = made(
        One("20001", "A", "a@customer.example"),
        One("20002", "B", "b@customer.example", box_email="vm@customer.example"),
        One("20003", "C", "c@customer.example", portal=None), One("20004", "D", portal=None, pin=None),
    )  # fmt: skip
    answers = pbx.talk(
        *(alter(f"2000{n}", {"email": was}, email="new@customer.example")
          for n, was in enumerate(("a@customer.example", "b@customer.example", "c@customer.example", None), 1)),
    )  # fmt: skip
    assert [one.get("reason") for one in answers] == [None, None, None, "no-mailbox"]
    assert [pbx.row("userman_users", "username", f"2000{n}")["email"] for n in (1, 2)] == ["new@customer.example"] * 2
    boxes = {line.partition("=")[0]: line.split(",")[2] for line in pbx.text().splitlines() if line.startswith("2000")}
    assert boxes == {"20001": "new@customer.example", "20002": "vm@customer.example", "20003": "new@customer.example"}
    taken, viewed = pbx.talk(
        alter("20001", {"email": "new@customer.example"}, email=None), {"do": "view", "id": "20001"}
    )
    assert taken["ok"]
    assert viewed["person"]["email"] is None


def test_several_addresses_are_nobody_s_and_are_not_written_over(made: Makes) -> None:
    several = "a@customer.example|b@elsewhere.example"
    pbx = made(
        One("20001", "A", portal=None, box_email=several), One("20002", "B", several.replace("|", ","), pin=None)
    )
    before = everything(pbx)
    asked = [alter(key, {"email": None}, email="c@customer.example") for key in ("20001", "20002")]
    page, *refused = pbx.talk({"do": "page", "limit": 5}, *asked)
    assert [one["email"] for one in page["people"]] == [None, None]
    assert [one["reason"] for one in refused] == ["several-emails"] * 2
    assert everything(pbx) == before


def test_a_number_is_written_as_the_routes_have_them_and_the_rest_of_the_route_stays(pbx: FreePbx) -> None:
    pbx.configure(numbers="national")
    before = everything(pbx)
    moved, new, gone = pbx.talk(
        alter("20001", GRACE, ddis=["+442079460999"]), alter("20003", {"ddis": ()}, ddis=["+441610000000"]),
        alter("20002", {"ddis": ("+442079460002",)}, ddis=[]),
    )  # fmt: skip
    assert (moved["ok"], new["ok"], gone["ok"]) == (True, True, True)
    rows = {row["extension"]: row for row in changed(before, everything(pbx))["incoming"]}
    assert set(rows) == {"02079460999", "01610000000"}
    assert rows["02079460999"]["mohclass"] == "jazz"
    assert rows["01610000000"]["destination"] == "from-did-direct,20003,1"
    assert pbx.sql("SELECT extension FROM incoming WHERE extension IN ('+442079460001', '02079460002')") == []


def test_a_number_of_somebody_else_is_not_taken_however_it_is_written_there(pbx: FreePbx) -> None:
    before = everything(pbx)
    taken, other = pbx.talk(
        alter("20003", {"ddis": ()}, ddis=["+442079460100"]), alter("20001", GRACE, ddis=["442079460999"])
    )
    assert (taken["error"], other["error"]) == ("taken", "invalid")
    pbx.configure(numbers="national")
    assert pbx.talk(alter("20001", GRACE, ddis=["+33140000000"]))[0]["reason"] == "other-country"
    assert everything(pbx) == before
    assert pbx.applied() == []


def test_nothing_is_written_over_what_somebody_else_wrote(pbx: FreePbx) -> None:
    pbx.sql("UPDATE users SET name = 'Grace Bell' WHERE extension = '20001'")
    before = everything(pbx)
    prints = {key: fingerprint(value) for key, value in (("extension", "20001"), ("name", GRACE["name"]))}
    altered, removed = pbx.talk(
        alter("20001", GRACE, name="Eve", ddis=["+442079460999"]), {"do": "remove", "id": "20001", "expected": prints}
    )
    assert (altered["error"], removed["error"]) == ("conflict", "conflict")
    assert everything(pbx) == before


@pytest.mark.parametrize("hook", [True, False])
def test_a_removal_takes_what_its_plan_named_and_nothing_of_anybody_else(pbx: FreePbx, hook: bool) -> None:
    if not hook:
        (pbx.standin / "no-hook").touch()  # a voicemail module that is not told of removals
    pbx.insert("incoming", ("extension", "cidnum", "destination"), [("_0207X", "anonymous", "from-did-direct,20001,1")])
    pbx.insert("devices", ("id", "tech", "devicetype", "user"), [("9001", "pjsip", "adhoc", "20001")])
    before = everything(pbx)
    prints = {key: fingerprint(value) for key, value in (("extension", "20001"), ("name", GRACE["name"]))}
    plan, done = pbx.talk({"do": "plan", "id": "20001"}, {"do": "remove", "id": "20001", "expected": prints})
    assert (plan["accounts"], plan["kept_accounts"], plan["portals"]) == (["20001"], ["9001"], ["20001"])
    assert (plan["mailboxes"], plan["routes"]) == (["20001"], ["_0207X / anonymous", "+442079460001"])
    assert done["ok"]
    after = everything(pbx)
    for key, rows in before.items():
        gone = [one for one in rows if one not in after[key]]
        assert all("20001" in str(one) for one in gone), "somebody else's went"
        assert [one for one in after[key] if one not in rows] == [], "something new is there"
    assert "20001" not in str({k: v for k, v in after.items() if k != "devices"})
    assert [row["id"] for row in after["devices"] if row["user"] == "20001"] == ["9001"]
    assert pbx.applied() == ["reload"]


def test_new_passwords_are_what_opens_once_they_are_applied_and_digests_go(pbx: FreePbx) -> None:
    secret = "Abcdefgh23456789"
    done = pbx.talk(
        {"do": "reset", "id": "20001", "kind": "voicemail", "secret": "739102"},
        {"do": "reset", "id": "20001", "kind": "sip", "secret": secret},
        {"do": "reset", "id": "20001", "kind": "portal", "secret": secret},
    )
    assert [one["ok"] for one in done] == [True] * 3
    assert secret not in json.dumps(done)
    assert pbx.pin("20001") == "739102"
    assert pbx.sip_opens("20001", secret)
    assert pbx.portal_opens("20001", secret)
    assert pbx.row("userman_users", "username", "20001")["email"] == "grace@customer.example"
    assert pbx.pin("20002") == "CANARY-pin"
    assert not pbx.sip_opens("20002", secret)
    assert pbx.applied() == ["reload", "reload"], "the portal needs none"


def test_resets_that_cannot_be_are_refused_before_anything_is_written(pbx: FreePbx) -> None:
    pbx.sql("UPDATE userman_users SET auth = '2' WHERE username = '20002'")
    pbx.sql("UPDATE devices SET tech = 'dahdi' WHERE id = '20003'")
    pbx.insert("userman_users", ("auth", "username", "default_extension"), [("2", "jsmith", "20003")])
    before = everything(pbx)
    asked = (("20003", "voicemail"), ("0100", "portal"), ("20002", "portal"), ("20003", "portal"), ("20003", "sip"))
    secrets = {"voicemail": "739102", "sip": "Abcdefgh2345", "portal": "Abcdefgh2345"}
    done = pbx.talk(*({"do": "reset", "id": key, "kind": kind, "secret": secrets[kind]} for key, kind in asked))
    reasons = ["no-mailbox", "no-portal", "directory", "several-portals", "no-sip"]
    assert [one["reason"] for one in done] == reasons
    assert [one["error"] for one in done] == ["unsupported"] * 5
    told = pbx.talk(*({"do": "rules", "id": key, "kind": kind} for key, kind in asked))
    assert [one["reason"] for one in told] == reasons
    pbx.started(SHORTEST=40)
    assert pbx.talk({"do": "reset", "id": "20001", "kind": "portal", "secret": "Abcdefgh2345"})[0]["reason"] == "policy"
    assert everything(pbx) == before


@pytest.mark.parametrize(
    ("how", "asked", "told"),
    [("refuse-reload", "alter", ("unknown", "reload")), ("dies-in-the-middle", "remove", ("unknown", "died")),
     ("disk-is-full", "pin", ("unknown", "half")), ("asterisk-is-down", "alter", ("refused", "console")),
     ("does-not-start", "alter", ("unknown", "died")), ("does-not-start", "view", ("failed", "died"))],
)  # fmt: skip
def test_what_went_wrong_is_told_as_it_was(pbx: FreePbx, how: str, asked: str, told: tuple[str, str]) -> None:
    (pbx.standin / how).touch()
    prints = {key: fingerprint(value) for key, value in (("extension", "20001"), ("name", GRACE["name"]))}
    requests = {
        "alter": alter("20001", GRACE, name="Grace Bell"), "view": {"do": "view", "id": "20001"},
        "remove": {"do": "remove", "id": "20001", "expected": prints},
        "pin": {"do": "reset", "id": "20001", "kind": "voicemail", "secret": "739102"},
    }  # fmt: skip
    answer, hello = pbx.talk(requests[asked], {"do": "hello"})
    assert (answer["error"], answer["reason"]) == told
    assert hello["version"] == 1, "it goes on"
    waits = pbx.row("admin", "variable", "need_reload")["value"]
    assert (waits == "true") is (told[0] == "unknown" and how != "does-not-start"), (
        "FreePBX's own pages say that it waits"
    )


def test_one_change_at_a_time(pbx: FreePbx) -> None:
    with pbx.conf.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = everything(pbx)
        assert pbx.talk(alter("20001", GRACE, name="Grace Bell"))[0]["reason"] == "busy"
        assert everything(pbx) == before
    assert pbx.talk(alter("20001", GRACE, name="Grace Bell"))[0]["ok"]


def test_check_tells_what_is_not_in_order(pbx: FreePbx) -> None:
    pbx.sql("UPDATE admin SET value = 'true' WHERE variable = 'need_reload'")
    pbx.sql("UPDATE admin SET value = '15.0.1' WHERE variable = 'version'")
    pbx.insert("users", ("extension", "name"), [("sales", "Sales")])
    pbx.started(DISABLED=["userman"])
    pbx.configure(fwconsole=["/nowhere/fwconsole"])
    (pbx.etc / "voicemail.conf").chmod(0o644)
    (pbx.standin / "asterisk-is-down").touch()
    told, found = pbx.talk({"do": "check"}, {"do": "page", "cursor": None, "limit": 50})
    wrong = {line["what"]: line["file"] for line in told["lines"] if not line["ok"]}
    assert set(wrong) == {"version", "console", "userman", "fwconsole", "waiting", "odd", "readable"}
    assert wrong["readable"].endswith("/voicemail.conf")
    assert [one["id"] for one in found["people"]] == ["0100", "20001", "20002", "20003"]
    assert found["people"][1]["email"] == "grace@customer.example", "the mailbox's, where there is no User Manager"


@pytest.mark.parametrize(
    ("text", "rights", "reason"),
    [("{}", 0o666, "conf-writable"), ("no json", 0o644, "conf-unknown"), ('{"fwconsole": []}', 0o644, "conf-unknown"),
     ('{"shell": true}', 0o644, "conf-unknown"), ('{"numbers": "roman"}', 0o644, "conf-unknown")],
)  # fmt: skip
def test_a_configuration_that_others_may_write_or_that_makes_no_sense_starts_nothing(
    pbx: FreePbx, text: str, rights: int, reason: str
) -> None:
    pbx.conf.write_text(text)
    pbx.conf.chmod(rights)
    done = subprocess.run(pbx.command(), input=b'{"do": "hello", "n": 1}\n', capture_output=True, check=False)
    assert json.loads(done.stdout) == {"error": "failed", "reason": reason}
    assert done.returncode == 1


def test_it_is_started_in_one_way_alone(pbx: FreePbx) -> None:
    for words in ([], ["--help"], ["--serve", "--config", str(pbx.conf), "more"], ["-r", "echo 1;"]):
        done = subprocess.run([*pbx.command()[:2], *words], input=b"", capture_output=True, check=False)
        assert done.returncode == 3
        assert json.loads(done.stdout)["error"] == "bound"


def test_an_answer_is_made_anew_whatever_freepbx_own_php_says_in_its_place(pbx: FreePbx) -> None:
    """A module that took the worker over, and answers for it: more fields, longer, none, another kind."""
    person: dict[str, Any] = {
        "id": "1",
        "extension": "1",
        "name": "A",
        "email": None,
        "ddis": [],
        "pwd": "CANARY",
        "phpass": "CANARY",
    }
    told = {
        "people": [person] * 600, "person": person, "secret": "CANARY", "ok": "CANARY", "stored": ["CANARY"],
        "lines": [{"what": "x", "ok": "CANARY", "file": ["CANARY"], "count": "CANARY"}], "accounts": {"CANARY": []},
        "devices": [{"account": "1", "address": "192.0.2.1", "secret": "CANARY"}],
    }  # fmt: skip
    takes_over = pbx.folder / "takes-over.php"
    takes_over.write_text(
        "<?php $out = fopen('php://fd/3', 'w'); while (fgets(STDIN) !== false) "
        f"{{ fwrite($out, base64_decode('{base64.b64encode(json.dumps(told).encode()).decode()}') . \"\\n\"); }} exit;"
    )
    pbx.configure(bootstrap=str(takes_over))
    asked = [{"do": "page", "limit": 500}, {"do": "view", "id": "1"}, {"do": "check"}, {"do": "plan", "id": "1"},
             {"do": "devices", "id": "1"}, {"do": "rules", "id": "1", "kind": "sip"},
             {"do": "reset", "id": "1", "kind": "sip", "secret": "Abcdefgh2345"}]  # fmt: skip
    page, view, *_, wrote = pbx.talk(*asked)  # which looks for canaries
    assert len(page["people"]) == 500
    assert set(view["person"]) == {"id", "extension", "name", "email", "ddis"}
    assert wrote == {"ok": True, "n": 7}
    error = base64.b64encode(json.dumps({"error": "CANARY is the password", "reason": "CANARY"}).encode()).decode()
    takes_over.write_text(f"<?php fwrite(fopen('php://fd/3', 'w'), base64_decode('{error}') . \"\\n\"); exit;")
    assert pbx.talk({"do": "view", "id": "1"}) == [{"error": "failed", "reason": "failed", "n": 1}]


def test_it_is_spelt_for_the_php_of_freepbx_16() -> None:
    """No PHP 7.4 is at hand to run it: what came with PHP 8 is looked for by its words."""
    text = re.sub(r"(?m)//.*$|/\*.*?\*/", "", HELPER.read_text(encoding="utf-8"))
    for later in (
        r"\bmatch\s*\(", r"\?->", r"\bstr_(contains|starts_with|ends_with)\b", r"#\[", r"\benum\s+\w", r"\breadonly\b",
        r"\barray_is_list\b", r"__construct\([^)]*(public|private|protected)", r"\bcatch\s*\(\w+\)", r"\.\.\.\)",
        r":\s*(mixed|static|never)\b",
    ):  # fmt: skip
        assert not re.search(later, text), later
