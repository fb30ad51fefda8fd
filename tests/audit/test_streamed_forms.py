"""Every kind of event as syslog and as OCSF, judged by a parser and by schemas that are not ours."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from syslog_rfc5424_parser import SyslogMessage

from audit import canonical
from audit.events import IDS, KINDS
from audit.merkle import leaf_hash
from audit.ocsf import MAPPED, VERSION, Class, mapped_of, table, to_ocsf
from audit.syslog import Form, frame, message, severity

NOW = 1_790_000_000_007


def entry_of(kind: str, **data: Any) -> tuple[dict[str, Any], bytes]:
    """An entry with all that its kind may carry."""
    may = KINDS[kind]
    body: dict[str, Any] = {
        "v": 1,
        "id": "evt_" + "a" * 24,
        "time": NOW,
        "kind": kind,
        "log": "cus_1",
        "actor": "eng_1",
    }
    body |= {name: f"{name}_1" for name in IDS if name in may.ids}
    filled = {name: f"some {name}" for name in may.data} | data
    if filled:
        body["data"] = filled
    if may.personal:
        body["commit"] = dict.fromkeys(may.personal, "ab" * 32)
    return body, canonical.encode(body)


def line_of(kind: str, form: Form = "json", **data: Any) -> bytes:
    body, entry = entry_of(kind, **data)
    return message(
        body, kind=kind, time_ms=NOW, index=41, leaf=leaf_hash(entry), entry=entry, host="fr.example", form=form
    )


@cache
def schema() -> dict[str, Any]:
    found: dict[str, Any] = get_ocsf_schema(VERSION)
    return found


@cache
def validator(uid: int) -> Draft202012Validator:
    schemas = OcsfJsonSchemaEmbedded(schema())
    return Draft202012Validator(schemas.get_class_schema(Class(uid).name.lower()))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_a_message_that_another_parser_reads(kind: str) -> None:
    body, entry = entry_of(kind)
    told = SyslogMessage.parse(line_of(kind).decode())
    assert told.msgid == kind
    assert told.appname == "frameroom"
    assert told.hostname == "fr.example"
    assert told.timestamp == "2026-09-21T14:13:20.007Z"
    assert int(told.facility.value) == 13
    assert int(told.severity.value) == severity(kind)
    stated = told.sd["entry@32473"]
    assert stated["index"] == "41"
    assert stated["id"] == body["id"]
    assert stated["leaf"] == leaf_hash(entry).hex()
    assert {name: stated[name] for name in IDS if name in body} == {name: body[name] for name in IDS if name in body}
    # As it was hashed: whoever keeps the message can check it against the log.
    assert told.msg == entry.decode()
    assert leaf_hash(told.msg.encode()).hex() == stated["leaf"]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_a_valid_event_of_its_class(kind: str) -> None:
    body, entry = entry_of(kind)
    event = to_ocsf(body, index=41, leaf=leaf_hash(entry), entry=entry)
    faults = [f"{list(e.path)}: {e.message}" for e in validator(event["class_uid"]).iter_errors(event)]
    assert faults == []
    known = schema()["classes"][Class(event["class_uid"]).name.lower()]
    assert known["uid"] == event["class_uid"]
    assert str(event["activity_id"]) in known["attributes"]["activity_id"]["enum"]
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert json.loads(SyslogMessage.parse(line_of(kind, "ocsf").decode()).msg) == event


def test_the_judges_can_say_no() -> None:
    body, entry = entry_of("auth.failed")
    event = to_ocsf(body, index=41, leaf=leaf_hash(entry), entry=entry)
    for wrong in ({"user": {}}, {"time": "now"}, {"severity_id": "x"}, {"metadata": {}}):
        assert list(validator(event["class_uid"]).iter_errors(event | wrong)), wrong
    with pytest.raises(Exception, match=r"(?i)parse|expected"):
        SyslogMessage.parse(line_of("auth.failed").decode().replace(">1 ", "> ", 1))


def test_everything_is_mapped_and_nothing_else() -> None:
    assert set(MAPPED) == set(KINDS)
    assert all(len(kind) <= 32 for kind in KINDS), "a MSGID has at most 32 characters"
    assert mapped_of("no.such").what is Class.BASE_EVENT


def test_the_table_in_the_docs_is_the_codes() -> None:
    assert table() in (Path(__file__).parents[2] / "docs" / "streams.md").read_text(encoding="utf-8")


def test_operations_are_told_apart_by_what_they_do() -> None:
    def activity(name: str) -> int:
        body, entry = entry_of("operation.done", name=name)
        return int(to_ocsf(body, index=1, leaf=b"", entry=entry)["activity_id"])

    assert [activity(name) for name in ("view", "alter", "remove", "reset-sip", "diag")] == [2, 3, 4, 3, 99]


def test_hostile_text_stays_inside_its_field() -> None:
    nasty = 'x"] [evil@1 a="b"]\\ \n<0>1 forged\r\0 \u202e ü'
    body = {"kind": "session.opened", "id": nasty, "log": nasty, "actor": nasty, "data": 3, "time": "yesterday"}
    line = message(
        body, kind="session.opened\n<1>1", time_ms=NOW, index=1, leaf=b"\0" * 32, entry=b'{"a": "\xff\xfe"}',
        host="fr example\n", form="ocsf",
    )  # fmt: skip
    assert b"\n" not in line
    assert frame(line).partition(b" ")[0] == str(len(line)).encode()
    told = SyslogMessage.parse(line.decode())
    assert set(told.sd) == {"entry@32473"}
    assert told.hostname == "fr?example?"
    assert json.loads(told.msg)["time"] == 0
    empty = message({}, kind="", time_ms=NOW, index=1, leaf=b"", entry=b"\xff", host="", form="json")
    assert SyslogMessage.parse(empty.decode("utf-8", "replace")).msgid is None


def test_alarms_stand_out() -> None:
    assert severity("login.foreign") == severity("log.restored") == severity("recovery.begun") == 1
    assert severity("auth.failed") == 4
    assert severity("heartbeat") == 6
