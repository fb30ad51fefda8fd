"""Asterisk's prompt by way of the helper behind a real sshd: its own list, streamed, stopped, and free of secrets."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.asterisk_files import frameroom_helper as helper
from connectors.asterisk_files.connector import AsteriskFilesConnector
from connectors.console import ASTERISK, Class, find, parse
from connectors.errors import InvalidValue, NotSupported, OutcomeUnknown, ProtocolViolation
from tests.support.flat_pbx import CANARIES, Door, FlatPbx


async def said(connector: AsteriskFilesConnector, line: str) -> bytes:
    """All of an answer."""
    return b"".join([data async for data in connector.diag(parse(line, ASTERISK))])


@pytest.fixture
def pbx(tmp_path: Path) -> FlatPbx:
    """One whose administrator lets the prompt be used."""
    return FlatPbx(tmp_path, {"console": "act"}).make()


def waited_for(pbx: FlatPbx, line: object) -> list[dict[str, Any]]:
    """What the helper answers to somebody who waits for the end."""
    with subprocess.Popen(pbx.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(json.dumps({"do": "console", "line": line, "n": 1}).encode() + b"\n")
        running.stdin.flush()
        answers = []
        while not answers or "out" in answers[-1]:
            answers.append(json.loads(running.stdout.readline()))
        running.stdin.close()
    return answers


# --- the helper's own list ---


@pytest.mark.parametrize("entry", ASTERISK, ids=lambda entry: entry.name)
def test_the_helper_knows_each_command_and_its_class(entry) -> None:  # type: ignore[no-untyped-def]
    looks, acts = helper.listed(entry.sample(), helper.LOOKS), helper.listed(entry.sample(), helper.ACTS)
    assert (looks, acts) == (entry.kind is Class.LOOK, entry.kind is Class.ACT)


_WORDS = sorted(
    {word for e in ASTERISK for word in e.sample().split()} | {"auth", "auths", "!", "like", ";", "all", ""}
)


@given(st.lists(st.sampled_from(_WORDS), max_size=6).map(" ".join) | st.text(max_size=40))
def test_its_list_is_the_catalogue_and_nothing_else(line: str) -> None:
    assert helper.listed(line, helper.LOOKS + helper.ACTS) == (find(line, ASTERISK) is not None)


@pytest.mark.parametrize(
    "line",
    ["pjsip show auth 1001", "dialplan show", "database show", "!id", "core show version\n!id",
     "pjsip show endpoint -x", "pjsip show endpoint 1;id", "", None, 7, ["core", "show", "version"], "x" * 5000],
)  # fmt: skip
def test_whatever_it_is_asked_it_asks_nothing_else(pbx: FlatPbx, line: object) -> None:
    (answer,) = pbx.talk({"do": "console", "line": line})
    assert (answer["error"], answer["reason"]) == ("invalid", "console-line")
    assert pbx.asked() == []


def test_it_is_off_until_its_configuration_says_otherwise(tmp_path: Path) -> None:
    pbx = FlatPbx(tmp_path).make()
    assert pbx.talk({"do": "hello"})[0]["console"] == "off"
    assert pbx.talk({"do": "console", "line": "core show version"})[0]["reason"] == "console-off"
    pbx.configure(console="look")
    assert pbx.talk({"do": "console", "line": "dialplan reload"})[0]["reason"] == "console-looks"
    assert pbx.asked() == []
    told = waited_for(pbx, "core show version")
    assert base64.b64decode(told[0]["out"]).startswith(b"Asterisk 22.10.1")
    assert told[1] == {"ok": True, "n": 1}
    pbx.configure(console="everything")
    assert pbx.talk({"do": "hello"})[0]["reason"] == "conf-unknown"


def test_arguments_of_applications_that_take_a_pin_go_no_further(pbx: FlatPbx) -> None:
    (pbx.folder / "channels").write_text("SIP/2001  s@x:1  Up  Authenticate(CANARY-226279)\n set_var : PIN=CANARY-1\n")
    told = waited_for(pbx, "core show channels")
    out = base64.b64decode(told[0]["out"])
    assert b"CANARY" not in out
    assert b"Authenticate((withheld))" in out


def test_an_asterisk_that_does_not_answer_is_said(pbx: FlatPbx) -> None:
    pbx.configure(console="act", asterisk=["/nonexistent/asterisk"])
    assert waited_for(pbx, "core show version")[0]["reason"] == "console"


# --- over SSH ---


async def test_what_asterisk_said_comes_as_it_was_captured(opened: AsteriskFilesConnector, pbx: FlatPbx) -> None:
    told = (await said(opened, "voicemail show users")).decode()
    assert "Nguyễn Văn An" in told
    assert "20 voicemail users configured." in told
    for line in ("pjsip show endpoints", "pjsip show endpoint 1001", "pjsip show aors", "pjsip list endpoints"):
        output = (await said(opened, line)).decode()
        assert "1001" in output
        assert not [name for name, secret in CANARIES.items() if secret in output]
    assert pbx.asked()[0] == "voicemail show users"


async def test_no_other_line_can_be_sent(opened: AsteriskFilesConnector, pbx: FlatPbx) -> None:
    from connectors.contract import DiagCommand

    for words, acts in (
        (("pjsip", "show", "auth", "1001"), False), (("dialplan", "reload"), False),
        (("core", "show", "version"), True), (("core", "show", "version;id"), False),
    ):  # fmt: skip
        with pytest.raises(InvalidValue):
            [data async for data in opened.diag(DiagCommand(words, "x", acts))]
    assert pbx.asked() == []


async def test_a_phone_system_whose_administrator_said_no(front: Door, pbx: FlatPbx) -> None:
    pbx.configure(console="off")
    connector = await front.connect()
    with pytest.raises(NotSupported, match="not switched its prompt on") as caught:
        await said(connector, "core show version")
    assert "the operator has the command for it" in caught.value.next_step
    assert "the helper lets nobody use Asterisk's prompt" in [line.words for line in await connector.check()]
    await connector.close()


async def _first(connector: AsteriskFilesConnector) -> AsyncIterator[bytes]:
    async with aclosing(connector.diag(parse("pjsip show endpoints", ASTERISK))) as output:
        async for data in output:
            yield data
            return


async def test_whoever_stops_listening_ends_the_command_there(opened: AsteriskFilesConnector, pbx: FlatPbx) -> None:
    (pbx.folder / "many").write_text("a line\n" * 2_000_000)
    os.mkfifo(pbx.folder / "alive")  # whoever reads it comes to its end when nothing of the command runs any more
    over = asyncio.ensure_future(asyncio.to_thread((pbx.folder / "alive").read_bytes))
    async for data in _first(opened):
        assert data.startswith(b"a line\n")
        person = await opened.view("1001")
        assert person.extension == "1001", "whatever else is asked goes on beside it"
    async with asyncio.timeout(20):
        assert await over == b""
    assert b"Asterisk 22" in await said(opened, "core show version")


async def test_one_that_acts_and_is_cut_may_have_been_done(opened: AsteriskFilesConnector, pbx: FlatPbx) -> None:
    console = pbx.folder / "asterisk"
    console.write_text(console.read_text().replace('echo "Dialplan reloaded."', "kill -9 $PPID"))
    with pytest.raises(OutcomeUnknown, match="whether it was done"):
        await said(opened, "dialplan reload")
    console.write_text(
        console.read_text().replace('"core show version") echo', '"core show version") kill -9 $PPID; echo')
    )
    with pytest.raises(ProtocolViolation, match="broke off"):
        await said(opened, "core show version")


def test_nothing_of_the_list_is_longer_than_its_words() -> None:
    assert not [line for line in helper.LOOKS + helper.ACTS if re.search(r"[^A-Za-z _]", line)]
