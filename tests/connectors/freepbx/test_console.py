"""Asterisk's prompt and fwconsole by way of FreePBX's helper: its own list, streamed, stopped, and free of secrets."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.console import FREEPBX, find, parse
from connectors.console.asterisk import OPTIONS
from connectors.contract import DiagCommand
from connectors.errors import InvalidValue, NotSupported, OutcomeUnknown, ProtocolViolation, Refused
from connectors.freepbx.connector import HELPER, FreePbxConnector
from tests.connectors.freepbx.test_way_out import connected, options
from tests.support.flat_pbx import Door, door
from tests.support.freepbx.pbx import FreePbx
from tests.support.need import need_php, need_tool


async def said(connector: FreePbxConnector, line: str) -> bytes:
    """All of an answer."""
    return b"".join([data async for data in connector.diag(parse(line, FREEPBX))])


@pytest.fixture
def open_pbx(pbx: FreePbx) -> FreePbx:
    """One whose administrator lets the prompt be used."""
    pbx.configure(console="act")
    return pbx


@pytest.fixture
def front(open_pbx: FreePbx) -> Iterator[Door]:
    """sshd before it."""
    need_tool("ssh", "openssh-client")
    with door(open_pbx.folder / "ssh", options(open_pbx)) as running:
        yield running


def told(pbx: FreePbx, line: object) -> list[dict[str, Any]]:
    """What the helper answers to somebody who waits for the end."""
    with subprocess.Popen(pbx.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(json.dumps({"do": "console", "line": line, "n": 1}).encode() + b"\n")
        running.stdin.flush()
        answers: list[dict[str, Any]] = []
        while not answers or "out" in answers[-1]:
            answers.append(json.loads(running.stdout.readline()))
        running.stdin.close()
    return answers


def output(answers: list[dict[str, Any]]) -> bytes:
    """What it let out."""
    return b"".join(base64.b64decode(one["out"]) for one in answers if "out" in one)


@asynccontextmanager
async def watched(pbx: FreePbx) -> AsyncIterator[asyncio.Future[bytes]]:
    """Comes to its end when nothing of `pjsip show endpoints` runs any more over there."""
    alive = pbx.standin / "alive"
    os.mkfifo(alive)
    over = asyncio.ensure_future(asyncio.to_thread(alive.read_bytes))
    try:
        yield over
    finally:
        os.close(os.open(alive, os.O_RDWR | os.O_NONBLOCK))  # whoever still waits for a writer had one
        await over
        alive.unlink()


# --- the helper's own list ---

_WORDS = sorted(
    {word for e in FREEPBX for word in e.sample().split()}
    | {"auth", "!", "stop", "restart", "--json", ";", "all", "mysql", "", "x\n"}
)


class _Listed:
    """The helper's own judgement of a line, asked of the PHP that is installed."""

    def __init__(self) -> None:
        source = HELPER.read_text(encoding="utf-8").removeprefix("<?php").partition("// ---- As it is started")[0]
        asks = (
            "while (($l = fgets(STDIN)) !== false) { $l = json_decode($l); echo frameroom_listed($l, FRAMEROOM_LOOKS) "
            "? 'look' : (frameroom_listed($l, FRAMEROOM_ACTS) ? 'act' : 'none'), \"\\n\"; }"
        )
        self._php = subprocess.Popen(
            [need_php(), "-r", source + asks], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, line: object) -> str:
        assert self._php.stdin is not None
        assert self._php.stdout is not None
        self._php.stdin.write(json.dumps(line) + "\n")
        self._php.stdin.flush()
        return self._php.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        self._php.communicate()


@pytest.fixture(scope="module")
def listed() -> Iterator[_Listed]:
    """One PHP for all questions."""
    asked = _Listed()
    yield asked
    asked.close()


def test_the_helper_knows_each_command_and_its_class(listed: _Listed) -> None:
    assert {entry.name: listed(entry.sample()) for entry in FREEPBX} == {e.name: e.kind.value for e in FREEPBX}


@settings(max_examples=500, deadline=None)
@given(line=st.lists(st.sampled_from(_WORDS), max_size=6).map(" ".join) | st.text(max_size=40))
def test_its_list_is_the_catalogue_and_nothing_else(listed: _Listed, line: str) -> None:
    found = find(line, FREEPBX)
    assert listed(line) == ("none" if found is None else found[0].kind.value)


@pytest.mark.parametrize(
    "line",
    ["pjsip show auth 20001", "dialplan show", "database show", "!id", "core show version\n!id", "fwconsole",
     "pjsip show endpoint -x", "pjsip show endpoint 1;id", "fwconsole reload --verbose", "fwconsole ma list; id",
     "fwconsole restart", "fwconsole setting AMPDBPASS", "fwconsole  reload", "", None, 7, ["core"], "x" * 5000],
)  # fmt: skip
def test_whatever_it_is_asked_it_starts_nothing_else(open_pbx: FreePbx, line: object) -> None:
    (answer,) = open_pbx.talk({"do": "console", "line": line})
    assert (answer["error"], answer["reason"]) == ("invalid", "console-line")
    assert open_pbx.typed() == open_pbx.applied() == []


def test_it_is_off_until_its_configuration_says_otherwise(pbx: FreePbx) -> None:
    assert pbx.talk({"do": "hello"})[0]["console"] == "off"
    assert pbx.talk({"do": "console", "line": "core show version"})[0]["reason"] == "console-off"
    pbx.configure(console="look")
    for line in ("dialplan reload", "fwconsole reload"):
        assert pbx.talk({"do": "console", "line": line})[0]["reason"] == "console-looks"
    assert pbx.typed() == pbx.applied() == []
    answers = told(pbx, "core show version")
    assert output(answers).startswith(b"Asterisk 21.5.0")
    assert answers[-1] == {"ok": True, "n": 1}
    pbx.configure(console="everything")
    assert pbx.talk({"do": "hello"})[0]["reason"] == "conf-unknown"


def test_arguments_of_applications_that_take_a_pin_go_no_further(open_pbx: FreePbx) -> None:
    (open_pbx.standin / "channels").write_text(
        "SIP/2001  s@x:1  Up  Authenticate(CANARY-226279)\n set_var : PIN=CANARY-1\nSET_VAR = CANARY-2\n"
    )
    out = output(told(open_pbx, "core show channels"))
    assert b"CANARY" not in out
    assert b"Authenticate((withheld))" in out
    assert out.count(b"(withheld)") == 3


def test_of_one_telephone_only_options_are_told(open_pbx: FreePbx) -> None:
    """Its variables stand among them by their own names (seen on a live Asterisk)."""
    (open_pbx.standin / "telephone").write_text(
        " ParameterName   : ParameterValue\n 100rel          : yes\n PIN             : 2262\n A : context     : 2262\n"
        " context         : in\n pin             : x : context : y\n"
    )
    assert output(told(open_pbx, "pjsip show endpoint 9009")).decode() == (
        " ParameterName   : ParameterValue\n 100rel          : yes\n PIN             : (withheld)\n A : (withheld)\n"
        " context         : in\n pin             : (withheld)\n"
    )
    text = HELPER.read_text()
    named = re.findall(r"'([a-zA-Z0-9_ ]+)'", text[text.index("const OPTIONS =") :].partition(";")[0])
    assert " ".join("".join(named).split()) == " ".join(OPTIONS)


def test_of_fwconsole_only_rows_of_its_table_are_told(open_pbx: FreePbx) -> None:
    """It says more around it, with passwords where something fails; the stand-in always does."""
    out = output(told(open_pbx, "fwconsole ma list")).decode()
    assert "| framework | 17.0.19 |" in out
    assert set(out.splitlines()) == {line for line in out.splitlines() if re.fullmatch(r"\|.*\||\+[-+]+\+", line)}
    notices = output(told(open_pbx, "fwconsole notifications --list")).decode()
    assert "AMPMGRPASS" in notices
    assert "CANARY" not in out + notices
    assert "Usage" not in notices


def test_fwconsole_reload_applies_and_tells_nothing_of_what_fwconsole_says(open_pbx: FreePbx) -> None:
    answers = told(open_pbx, "fwconsole reload")
    assert output(answers).endswith(b"Done.\n")
    assert b"CANARY" not in output(answers)
    assert open_pbx.applied() == ["reload"]
    (open_pbx.standin / "refuse-reload").touch()
    refused = told(open_pbx, "fwconsole reload")[-1]
    assert (refused["error"], refused["reason"]) == ("unknown", "reload")


def test_an_asterisk_or_a_fwconsole_that_is_not_there_is_said(open_pbx: FreePbx) -> None:
    (open_pbx.standin / "asterisk-is-down").touch()
    assert told(open_pbx, "core show version")[-1]["reason"] == "no-asterisk"
    assert told(open_pbx, "dialplan reload")[-1] == {"error": "failed", "reason": "no-asterisk", "n": 1}
    gone = ["/nonexistent/program"]
    open_pbx.configure(console="act", asterisk=gone, fwconsole=gone)
    assert told(open_pbx, "core show version")[-1]["reason"] == "no-asterisk"
    assert told(open_pbx, "fwconsole ma list")[-1]["reason"] == "no-fwconsole"


# --- over SSH ---


async def test_no_other_line_can_be_sent(open_pbx: FreePbx, front: Door) -> None:
    connector = await connected(front)
    for words, acts in (
        (("pjsip", "show", "auth", "20001"), False), (("dialplan", "reload"), False), (("fwconsole", "stop"), True),
        (("core", "show", "version"), True), (("core", "show", "version;id"), False),
    ):  # fmt: skip
        with pytest.raises(InvalidValue):
            [data async for data in connector.diag(DiagCommand(words, "x", acts))]
    await connector.close()
    assert open_pbx.typed() == []


async def test_a_phone_system_whose_administrator_said_no(open_pbx: FreePbx, front: Door) -> None:
    open_pbx.configure()
    connector = await connected(front)
    with pytest.raises(NotSupported, match="not switched its prompt on") as caught:
        await said(connector, "core show version")
    assert "the operator has the command for it" in caught.value.next_step
    assert "the helper lets nobody use Asterisk's prompt" in [line.words for line in await connector.check()]
    await connector.close()


async def test_a_helper_that_is_older_than_its_prompt_says_how_to_get_one(open_pbx: FreePbx) -> None:
    older = open_pbx.folder / "older.php"
    text = HELPER.read_text(encoding="utf-8").replace("                    'console' => $conf['console'],\n", "")
    older.write_text(text, encoding="utf-8")
    with door(open_pbx.folder / "older-ssh", options(open_pbx, older)) as running:
        connector = await connected(running)
        with pytest.raises(NotSupported, match="older than its prompt"):
            await said(connector, "core show version")
        await connector.close()


async def test_whoever_stops_listening_ends_the_command_there(open_pbx: FreePbx, front: Door) -> None:
    connector = await connected(front)
    (open_pbx.standin / "many").write_text("a line\n" * 2_000_000)
    async with watched(open_pbx) as over, aclosing(connector.diag(parse("pjsip show endpoints", FREEPBX))) as shown:
        async for data in shown:
            assert data.startswith(b"a line\n")
            assert (await connector.view("20001")).extension == "20001", "whatever else is asked goes on beside it"
            break
        await shown.aclose()
        async with asyncio.timeout(20):
            assert await over == b""
    assert b"Asterisk 21" in await said(connector, "core show version")
    await connector.close()


async def test_a_reload_that_nobody_waits_for_comes_to_its_end(open_pbx: FreePbx, front: Door) -> None:
    """Half of FreePBX's files would be worse than all of them."""
    connector = await connected(front)
    waits = open_pbx.standin / "slow-reload"
    os.mkfifo(waits)
    async with aclosing(connector.diag(parse("fwconsole reload", FREEPBX))) as shown:
        assert b"writes its files" in await anext(aiter(shown))
    asked = asyncio.ensure_future(said(connector, "fwconsole reload"))
    with pytest.raises(Refused, match="another change is going on"):
        await asked
    open_pbx.sql("UPDATE sip SET data = 'Abcdefgh23456789' WHERE id = '20002' AND keyword = 'secret'")
    await asyncio.to_thread(waits.write_text, "on\n")
    waits.unlink()
    assert await said(connector, "fwconsole reload"), "it has come to its end: the lock is free"
    assert open_pbx.sip_opens("20002", "Abcdefgh23456789")
    await connector.close()


async def test_one_that_acts_and_is_cut_may_have_been_done(open_pbx: FreePbx, front: Door) -> None:
    connector = await connected(front)
    (open_pbx.standin / "cut").touch()
    with pytest.raises(OutcomeUnknown, match="without saying whether it was done"):
        await said(connector, "dialplan reload")
    asterisk = open_pbx.folder / "asterisk"
    script = asterisk.read_text()
    asterisk.write_text(script.replace('echo "Dialplan reloaded."', "kill -9 $PPID"))
    with pytest.raises(OutcomeUnknown, match="whether it was done"):
        await said(connector, "dialplan reload")
    asterisk.write_text(script.replace('"core show version") echo', '"core show version") kill -9 $PPID; echo'))
    with pytest.raises(ProtocolViolation, match="broke off"):
        await said(connector, "core show version")
    await connector.close()
