"""The stand-in against a live Asterisk 22.10.1: what it answered is what ours answers, byte for byte.

The extracts here always run. The whole captures run where FRAMEROOM_ASTERISK_CAPTURES names their folder (`etc`,
`transcripts`); elsewhere that is skipped aloud.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.asterisk_ami import actions
from connectors.asterisk_ami.actions import GUARD, CallerId
from tests.support.ami import site
from tests.support.ami.server import Account, Asterisk

CAPTURES = os.environ.get("FRAMEROOM_ASTERISK_CAPTURES")
EVERYTHING = frozenset({"config", "system", "reporting", "call", "command"})
COMPARED = (
    "02-getconfig-pjsip", "03-getconfig-cat", "04-getconfig-filter-endpoint", "05-filter-auth", "06", "08-vm",
    "09-listcat", "10-otherfiles", "20-upd-name", "21-password", "22-password-md5-digest-wizard", "23-delete", "30-vm",
    "32-vm-update",
)  # fmt: skip
NOT_OURS = frozenset({"GetConfigJSON", "Login", "Ping"})


def answered(asterisk: Asterisk, text: str, write: frozenset[str] = EVERYTHING) -> list[str]:
    """The lines of an answer to a request written as in a transcript."""
    headers = dict(line.split(": ", 1) for line in text.strip().splitlines())
    return asterisk.answer(headers, write).decode().split("\r\n")


def update(file: str, *changes: str) -> str:
    """An UpdateConfig with sub-actions as `action section [var [value]] | options`."""
    lines = [f"Action: UpdateConfig\nSrcFilename: {file}\nDstFilename: {file}\nReload: yes"]
    for number, change in enumerate(changes):
        said, _, options = change.partition(" | ")
        names = ("Action", "Cat", "Var", "Value")
        lines += [f"{name}-{number:06d}: {value}" for name, value in zip(names, said.split(" ", 3), strict=False)]
        lines += [f"Options-{number:06d}: {options}"] if options else []
    return "\n".join(lines)


def no(message: str) -> list[str]:
    """A refusal."""
    return ["Response: Error", f"Message: {message}", "", ""]


NO_SECTION = no("Given category does not exist")
NO_UPDATE = no("Update did not complete successfully")
DONE = ["Response: Success", "", ""]
QUOTED, BARE = 'catfilter="type=auth"', "catfilter=type=auth"


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (update("pjsip.conf", f"update 2001 password new | {QUOTED}"), DONE),
        (update("pjsip.conf", f"update 2001 password new | {BARE}"), NO_SECTION),
        (update("pjsip.conf", f"update 2007 password new | {QUOTED}"), NO_UPDATE),
        (update("pjsip.conf", f"append 2007 password new | {QUOTED}"), DONE),
        (update("pjsip.conf", "delcat 7777"), NO_SECTION),
        (update("pjsip.conf", "update 2001 callerid x", "delcat 7777"), NO_SECTION),
        (update("voicemail.conf", "delete default 2004"), NO_UPDATE),
        ("Action: GetConfig\nFilename: /etc/passwd", no("File requires escalated privileges")),
        ("Action: GetConfig\nFilename: pjsip_more.conf", no("Config file has invalid format")),
        ("Action: PJSIPShowContacts", no("No Contacts found\n")),
        ("Action: VoicemailUserStatus\nContext: default\nMailbox: 1",
         ["Response: Success", "Message: There is no voicemail user of the given info.", "", ""]),
        ("Action: Reload\nModule: res_pjsip.so", ["Response: Success", "Message: Module Reloaded", "", ""]),
    ],
)  # fmt: skip
def test_what_a_live_one_refused_and_took(request_: str, answer: list[str]) -> None:
    assert answered(site.asterisk(), request_) == answer


def test_sub_actions_are_done_all_or_none_and_count_when_loaded() -> None:
    asterisk = site.asterisk()
    answered(asterisk, update("pjsip.conf", "update 2001 callerid HALF", "delcat 7777"))
    endpoint = asterisk.section("2001", "endpoint")
    assert endpoint is not None
    assert endpoint.last("callerid") == '"Grace Okafor" <2001>'
    said = update("pjsip.conf", f"update 2001 password new | {QUOTED}").replace("Reload: yes", "Reload: no")
    answered(asterisk, said)
    assert (asterisk.accepts("2001", "CANARY-sip-2001"), asterisk.accepts("2001", "new")) == (200, 401)
    answered(asterisk, "Action: Reload\nModule: res_pjsip.so")
    assert (asterisk.accepts("2001", "CANARY-sip-2001"), asterisk.accepts("2001", "new")) == (401, 200)


def test_a_filter_chooses_sections_and_not_lines() -> None:
    asterisk = site.asterisk()
    kept = answered(asterisk, "Action: GetConfig\nFilename: pjsip.conf\nCategory: 2001\nFilter: type=endpoint")
    assert kept[:4] == ["Response: Success", "Category-000000: 2001", "Templates-000000: phone",
                        "Line-000000-000000: type=endpoint"]  # fmt: skip
    assert not any("password" in line for line in kept)
    for leaking in ("Filename: pjsip.conf", "Filename: pjsip.conf\nFilter: type=auth", "Filename: pjsip_wizard.conf",
                    "Filename: voicemail.conf\nFilter: 2001=.*", "Filename: manager.conf"):  # fmt: skip
        told = "\n".join(answered(asterisk, f"Action: GetConfig\n{leaking}"))
        assert "CANARY" in told or "9182001" in told, "that is why no other GetConfig can be sent"


@pytest.mark.parametrize(
    ("rights", "may"),
    [("config", "GetConfig UpdateConfig ListCategories Reload"),
     ("reporting", "VoicemailUsersList VoicemailUserStatus"), ("system", "GetConfig Reload PJSIPShowContacts"),
     ("command", ""), ("", "")],
)  # fmt: skip
def test_rights_are_as_the_live_ones_were(rights: str, may: str) -> None:
    for action in ("GetConfig", "UpdateConfig", "ListCategories", "Reload", "VoicemailUsersList",
                   "VoicemailUserStatus", "PJSIPShowContacts"):  # fmt: skip
        told = answered(site.asterisk(), f"Action: {action}", frozenset(rights.split()))
        assert ("Message: Permission denied" not in told) == (action in may.split()), action


# --- the whole captures ---


def exchanges(text: str) -> Iterator[tuple[dict[str, str], list[str]]]:
    """(request, answer) in order; an answer may be cut short."""
    sent, got = list[str](), list[str]()
    for line in [*text.splitlines(), ""]:
        if line.startswith(">>> ") and not got:
            sent.append(line[4:])
        elif line.startswith("<<<") and sent:
            got.append(line[4:])
        else:
            if sent and got:
                yield dict(one.split(": ", 1) for one in sent if ": " in one), got
            sent, got = ([line[4:]] if line.startswith(">>> ") else []), []


@pytest.mark.parametrize("name", COMPARED)
def test_the_stand_in_answers_as_the_captures_do(name: str) -> None:
    if CAPTURES is None:
        pytest.skip("FRAMEROOM_ASTERISK_CAPTURES names no folder with captures of a live Asterisk")
    files = {file.name: file.read_text() for file in (Path(CAPTURES) / "etc").iterdir()}
    asterisk = Asterisk(files, {"a": Account("b", EVERYTHING)})
    compared = 0
    for headers, expected in exchanges((Path(CAPTURES) / "transcripts" / f"{name}.txt").read_text()):
        if headers.get("Action") in NOT_OURS:
            continue
        told = asterisk.answer(headers, EVERYTHING).decode().split("\r\n")
        # A cut line at the end of a cut transcript is a beginning, too.
        assert told[: len(expected) - 1] == expected[:-1], headers
        assert told[len(expected) - 1].startswith(expected[-1]), headers
        compared += 1
    assert compared


def test_what_we_send_is_what_was_sent_to_the_live_one() -> None:
    """20-upd-name, 21-password, 04-getconfig-filter-endpoint: the bytes of the actions that were seen to work."""

    def sent(name: str, /, **values: object) -> str:
        return actions.render(GUARD.render(name, **values), "u1").decode()

    assert sent("endpoints") == (
        "Action: GetConfig\r\nActionID: u1\r\nFilename: pjsip.conf\r\nFilter: type=endpoint\r\n\r\n"
    )
    one = CallerId("1001", "", '"Grace Okonkwo-Bell" <1001>', "one")
    assert sent("set-callerids", callerids=(one,)) == (
        "Action: UpdateConfig\r\nActionID: u1\r\nSrcFilename: pjsip.conf\r\nDstFilename: pjsip.conf\r\n"
        "Reload: res_pjsip.so\r\nAction-000000: update\r\nCat-000000: 1001\r\nVar-000000: callerid\r\n"
        'Value-000000: "Grace Okonkwo-Bell" <1001>\r\nOptions-000000: catfilter="type=endpoint"\r\n\r\n'
    )
    told = sent("set-mailbox", context="default", mailbox="1001", pin="226279", name="Grace Bell",
                email="grace.bell@example.test", pager="", options=())  # fmt: skip
    assert "\r\nValue-000000: 226279,Grace Bell,grace.bell@example.test\r\n" in told
    assert sent("login", login="gw", secret="s") == (
        "Action: Login\r\nActionID: u1\r\nUsername: gw\r\nSecret: s\r\nEvents: off\r\n\r\n"
    )
