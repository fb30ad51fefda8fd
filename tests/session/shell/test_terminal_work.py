"""An engineer's work at a terminal: what is shown, asked, completed, warned of."""

from __future__ import annotations

import asyncio
import re

import pytest
from rich.cells import cell_len

from audit.steps import Step
from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.model import MINUTE
from tests.end_to_end.test_bad_days import Gate, states
from tests.session.shell.conftest import Sit
from tests.session.shell.test_commands import person

EVERYTHING = "find,view,alter,remove,reset-voicemail,reset-sip,diag"
PROMPT = "m> "


async def answer(demo: Demo, request: str) -> None:
    await demo.admin(
        "request record-consent", request=request, by="Omar Aziz", recorded_by="the demo", at_ms=None, words="yes"
    )


async def test_set_shows_before_and_after_and_writes_only_after_a_yes(demo: Demo, sit: Sit) -> None:
    await permit(demo, EVERYTHING)
    async with sit() as terminal:
        asked = await terminal.line("set 2001 email=grace@customer.example", "[y/N] ")
        assert "user2001@customer.example → grace@customer.example" in asked
        assert "told to user2001@customer.example and the approvers" in asked
        assert "Nothing was written" in await terminal.line("n", PROMPT)
        assert person(demo)["email"] == "user2001@customer.example"
        await terminal.line("set 2001 email=grace@customer.example", "[y/N] ")
        assert "grace@customer.example" in await terminal.line("y", PROMPT)
    assert person(demo)["email"] == "grace@customer.example"


async def test_set_refuses_when_it_changed_between_the_question_and_the_answer(
    demo: Demo, ssh: Master, sit: Sit
) -> None:
    await permit(demo, EVERYTHING)
    async with sit() as terminal:
        await terminal.line('set 2001 name="Grace Bell"', "[y/N] ")
        assert (await ssh.run('set 2001 name="Somebody Else"')).code == 0
        assert "changed since it was shown" in await terminal.line("y", PROMPT)
    assert person(demo)["name"] == "Somebody Else"


async def test_tab_completes_from_what_was_seen(demo: Demo, sit: Sit) -> None:
    await permit(demo, EVERYTHING)
    async with sit() as terminal:
        terminal.keys("use hea\t")
        await terminal.until('use "Head office" ')
        await terminal.line("", PROMPT)
        await terminal.line("find smith", PROMPT)
        terminal.keys("rese\t201\t")
        assert "2013 John Smith" in await terminal.until("2014 John Smith")
        terminal.keys("3\tvo\t")
        await terminal.until("reset 2013 voicemail ")
        terminal.keys("\x03")
        await terminal.until("^C")
        terminal.keys("set 2013 em\t")
        await terminal.until("email=")
        terminal.keys("\x03diag pj\t")
        await terminal.until("pjsip ")
        terminal.keys("\x03job ta\t")
        await terminal.until("job take ")
        terminal.keys("\x03request hea\t--ops fi\t,reset-v\t")
        await terminal.until("find,reset-voicemail")


async def test_tables_follow_a_resize_and_wide_characters_count_two(demo: Demo, sit: Sit) -> None:
    await permit(demo, EVERYTHING)
    demo.lab.store.alter("2013", {"name": "山田太郎 e\u0301"})
    async with sit() as terminal:
        wide = await terminal.line("find user201", PROMPT)
        rows = [line for line in wide.splitlines() if "user201" in line]
        assert len({cell_len(line[: line.index("user201")]) for line in rows}) == 1
        terminal.resize(44)
        # The window's new size is sent by ssh when it notices; a command whose table fits is the proof that it came.
        async with asyncio.timeout(30):
            while "EXTENSION  2010\r\n" not in await terminal.line("find user201", PROMPT):
                pass
        narrow = (await terminal.line("find user201", PROMPT)).splitlines()[:-1]
        assert max(map(cell_len, narrow)) <= 44
        upright = await terminal.line("show 2001", PROMPT)
        assert re.search(r"EMAIL +user2001@customer\.example", upright)


async def test_request_wait_enters_when_the_customer_says_yes(demo: Demo, sit: Sit) -> None:
    async with sit() as terminal:
        ask = 'request "Head office" --ops view --for 1h --ticket T --reason "locked out" --wait'
        asked = await terminal.line(ask, "Waiting for")
        assert "Asked: Kate Brook." in asked
        (request,) = [r["id"] for r in await demo.admin("request list") if r["state"] == "waiting"]
        async with asyncio.timeout(30):
            await answer(demo, request)
            heard = await terminal.until("\x07")
            heard += await terminal.until(PROMPT)
        assert "granted" in heard
        assert f"{CUSTOMER}/Head office 0h59m" in heard


async def test_an_answer_rings_above_what_is_being_typed(demo: Demo, ssh: Master, sit: Sit) -> None:
    asked = await ssh.run('request "Head office" --ops view --for 1h --ticket T --reason "why" --json')
    request = asked.out.split('"request": "')[1].split('"')[0]
    async with sit() as terminal:
        terminal.keys("whoa")
        await terminal.until("whoa")
        await answer(demo, request)
        rung = await terminal.until("granted until")
        assert "\x07" in rung
        await terminal.until("frameroom> ")
        assert "Ana Silva" in await terminal.line("mi", "frameroom> ")


async def test_it_warns_before_the_permitted_time_ends(demo: Demo, sit: Sit) -> None:
    await permit(demo, EVERYTHING, 10)
    async with sit() as terminal:
        await terminal.line("show 2001", PROMPT)
        assert "\x07" in await terminal.until("The permitted time ends in 10 min.")
        clock = demo.app.parts.audit.clock
        clock.observe(clock.now() + 5 * MINUTE + 1000)
        await terminal.until("The permitted time ends in 5 min.")
        clock.observe(clock.now() + 4 * MINUTE)
        await terminal.until("The permitted time ends in 1 min.")


async def test_ctrl_c_stops_waiting_and_ctrl_d_leaves(demo: Demo, sit: Sit) -> None:
    async with sit() as terminal:
        await terminal.line('request "Head office" --ops view --ticket T --reason "why" --wait', "Waiting for")
        terminal.keys("\x03")
        await terminal.until("^C")
        await terminal.until("frameroom> ")
        await terminal.line("whoami", "frameroom> ")
        terminal.keys("\x04")
        async with asyncio.timeout(30):
            assert await terminal.process.wait() == 0


async def test_ctrl_c_leaves_an_operation_to_come_to_its_outcome(
    demo: Demo, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await permit(demo, EVERYTHING)
    with Gate(demo, monkeypatch, Step.INTENDED) as gate:
        async with sit() as terminal:
            terminal.keys("set 2001 name=Begun --yes\r")
            await gate.there.wait()
            terminal.keys("\x03")
            await terminal.until("^C")
            await terminal.until(PROMPT)
            gate.open.set()
            # One writer at a time: the next change is done after the one that nobody waits for any more.
            assert "Next" in await terminal.line("set 2002 name=Next --yes", PROMPT)
    assert person(demo)["name"] == "Begun"
    assert await states(demo) == ["done", "done"]


async def test_last_words_stand_in_lines_of_their_own(demo: Demo, sit: Sit) -> None:
    grant = await permit(demo, EVERYTHING)
    async with sit() as terminal:
        await terminal.line("remove 2001", "[y/N] ")
        terminal.keys("\x04")
        assert await terminal.until("Nothing was removed.") == "\r\nNothing was removed."
        await terminal.until(PROMPT)
        await demo.admin("grant revoke", grant=grant, reason="enough")
        await terminal.until("The visit has ended: the permission was ended by staff.")
        assert "closed." in await terminal.until("closed.")
        after = terminal.seen.rpartition("ended by staff.")[2]
        assert "Head office" not in after, "no prompt, and no time that were left"
        async with asyncio.timeout(30):
            assert await terminal.process.wait() == 3
    async with sit() as terminal:
        terminal.keys("\x04")
        assert (await terminal.until("closed.")).startswith("\r\n")


async def test_arrow_up_brings_back_what_was_typed_before(demo: Demo, sit: Sit) -> None:
    async with sit() as terminal:
        await terminal.line("whoami", "frameroom> ")
        await terminal.line("systems leeds", "frameroom> ")
        terminal.keys("\x1b[A")
        await terminal.until("systems leeds")
        terminal.keys("\x1b[A")
        await terminal.until("whoami")
        terminal.keys("\r")
        assert "Ana Silva" in await terminal.until("frameroom> ")
        # And down again.
        terminal.keys("\x1b[A\x1b[A")
        await terminal.until("systems leeds")
        terminal.keys("\x1b[B")
        await terminal.until("whoami")


async def test_a_dumb_terminal_gets_no_escape_sequence(demo: Demo, sit: Sit) -> None:
    await permit(demo, EVERYTHING)
    async with sit("dumb") as terminal:
        await terminal.line("show 2001", PROMPT)
        await terminal.line("set 2001 name=Grace", "[y/N] ")
        await terminal.line("y", PROMPT)
        assert "\x1b" not in terminal.seen


async def test_apply_at_a_terminal_says_how_a_file_is_sent(demo: Demo, sit: Sit) -> None:
    await permit(demo, EVERYTHING)
    async with sit() as terminal:
        said = await terminal.line("apply changes.csv", "frameroom> ")
        assert "ssh gw apply - < changes.csv" in said
