"""The phone system's own prompt: what can be typed, what is sent, what is written down, and what stops it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from connectors.console import ASTERISK
from gateway.cli.demo import CUSTOMER, SYSTEM, Demo, permit
from gateway.cli.story import Master
from gateway.notify import WORDS
from tests.session.shell.conftest import BOTH, Send, Sit
from tests.support.flat_pbx import USER, FlatPbx, bound, door

BOTH_CLASSES = "console-look,console-act"
CONSOLE = "console\x1b[0m> "


async def entries(demo: Demo, kind: str) -> list[dict]:
    """The customer's entries of a kind, personal fields among them."""
    parts = demo.app.parts
    customer = (await demo.admin("customer list"))[0]["id"]
    async with parts.store.look(customer) as scope:
        rows = await parts.audit.read(scope.connection, customer, kinds=(kind,))
        return [dict(row.body) | {"clear": dict(await parts.audit.personal(scope.connection, row))} for row in rows]


def sent(demo: Demo) -> list[str]:
    """What the phone system was asked, but for its record of logins."""
    return [name for name in demo.lab.heard if not name.startswith("login")]


@BOTH
async def test_each_line_is_an_operation_with_what_was_typed(demo: Demo, ssh: Master) -> None:
    await permit(demo, BOTH_CLASSES)
    done = await ssh.run(f"console '{SYSTEM}' pjsip show endpoint 2001")
    assert done.code == 0, done.err
    assert "Grace Okonkwo" in done.out
    assert sent(demo) == ["look"]
    (intended,) = await entries(demo, "operation.intended")
    assert intended["data"] == {"name": "console-look", "fields": ["pjsip-show-endpoint-x"]}
    assert intended["clear"] == {"line": "pjsip show endpoint 2001"}, "it may name a person: it is sealed"
    (over,) = await entries(demo, "operation.done")
    assert over["data"]["count"] > 100


@pytest.mark.parametrize(
    "line", ["pjsip show auth 2001", "!id", "pj show endpoints", "dialplan show", "core restart now"]
)
async def test_what_is_not_on_the_list_is_not_sent(demo: Demo, ssh: Master, line: str) -> None:
    await permit(demo, BOTH_CLASSES)
    done = await ssh.run(f"console '{SYSTEM}' '{line}' --yes")
    assert done.code == 2, done.err
    assert "not on the list" in done.err
    assert "`help` at its prompt (`console SYSTEM`) shows the list." in done.err
    assert sent(demo) == []
    assert await entries(demo, "operation.intended") == []


async def test_the_two_classes_are_granted_apart(demo: Demo, ssh: Master) -> None:
    await permit(demo, "console-look")
    assert (await ssh.run(f"console '{SYSTEM}' core show version")).code == 0
    refused = await ssh.run(f"console '{SYSTEM}' dialplan reload --yes")
    assert refused.code == 3
    assert "does not include console-act" in refused.err
    assert sent(demo) == ["look"]


async def test_without_a_word_of_it_nobody_gets_a_prompt(demo: Demo, ssh: Master) -> None:
    await permit(demo, "find,view,diag")
    refused = await ssh.run(f"console '{SYSTEM}' core show version")
    assert refused.code == 3
    assert "does not include console-look" in refused.err
    none = {"operations": ["find"], "mail_domains": [], "consent_by_phone": True}
    await demo.admin("agreement set", customer=CUSTOMER, terms=none)
    await demo.admin("agreement confirm", customer=CUSTOMER, by="Kate Brook", how="letter")
    assert "agreement does not allow console-look" in (await ssh.run(f"console '{SYSTEM}'")).err


async def test_what_acts_asks_first_and_a_script_has_to_say_yes(demo: Demo, ssh: Master, send: Send) -> None:
    await permit(demo, BOTH_CLASSES)
    asked = await ssh.run(f"console '{SYSTEM}' dialplan reload")
    assert (asked.code, "--yes" in asked.err) == (2, True)
    done = await ssh.run(f"console '{SYSTEM}' dialplan reload --yes")
    assert (done.code, done.out) == (0, "Dialplan reloaded.\n")
    assert sent(demo) == ["act"]
    script = b"core show version\n\ndialplan reload\nnothing\ncore show uptime\n"
    ran = await send(f"console '{SYSTEM}' --yes", script)
    assert ran.code == 2, "the first line that goes wrong is the last"
    assert ran.out.splitlines()[0].startswith("Asterisk 22.10.1")
    assert sent(demo) == ["act", "look", "act"]


async def test_json_is_whole(demo: Demo, ssh: Master) -> None:
    await permit(demo, BOTH_CLASSES)
    done = await ssh.run(f"console '{SYSTEM}' core show calls --json")
    assert json.loads(done.out) == [{"line": "0 active calls"}, {"line": "17 calls processed"}]
    refused = await ssh.run(f"console '{SYSTEM}' core reload --yes --json")
    assert (refused.code, refused.out) == (3, "")


async def test_a_command_that_is_off_runs_only_once_the_customer_switched_it_on(demo: Demo, ssh: Master) -> None:
    await permit(demo, BOTH_CLASSES)
    command = f"console '{SYSTEM}' core reload --yes"
    refused = await ssh.run(command)
    assert refused.code == 3
    assert "core-reload is off here until the customer switches it on" in refused.err
    told = await demo.admin("explain", engineer="ana", system=SYSTEM, operation="console-act", at_ms=None,
                            command="core-reload")  # fmt: skip
    assert not told["permitted"]
    assert told["asked"][-1] == "the customer switched core-reload on for this phone system: no"
    await demo.admin("console on", system=SYSTEM, commands=["core-reload"], by="Kate Brook", how="a call")
    assert (await ssh.run(command)).code == 0
    mail = await demo.mails.wait_for("What engineers may type at the prompt of Head office")
    assert "core reload: have every part read its configuration again" in mail
    intended = await entries(demo, "operation.intended")
    assert intended[-1]["data"]["list"] == 1
    await demo.admin("console off", system=SYSTEM, commands=[], by="Kate Brook", how="a call")
    assert (await ssh.run(command)).code == 3


async def test_a_conversation(demo: Demo, sit: Sit) -> None:
    await permit(demo, BOTH_CLASSES)
    async with sit() as terminal:
        assert "Only what is on its list is sent" in await terminal.line(f"console '{SYSTEM}'", CONSOLE)
        assert "Asterisk 22.10.1" in await terminal.line("core show version", CONSOLE)
        assert "not on the list" in await terminal.line("pjsip show auth 2001", CONSOLE)
        listed = await terminal.line("help core", CONSOLE)
        assert "core show uptime" in listed
        assert "off: the customer can switch it on" in listed
        asked = await terminal.line("dialplan reload", "[y/N] ")
        assert "have the dialplan read again; calls go on" in asked
        assert "Nothing was done" in await terminal.line("n", CONSOLE)
        await terminal.line("dialplan reload", "[y/N] ")
        assert "Dialplan reloaded." in await terminal.line("y", CONSOLE)
        terminal.keys("pj\tsh\tendpoints\t")
        await terminal.until("pjsip show endpoints ")
        assert sent(demo) == ["look", "act"], "TAB, help and refusals ask the phone system nothing"
        terminal.keys("\x03")
        await terminal.until(CONSOLE)
        assert "m> " in await terminal.line("exit", "m> ")
        await terminal.line("whoami", "m> ")


async def test_screens_follow_a_resize(demo: Demo, sit: Sit) -> None:
    await permit(demo, BOTH_CLASSES)
    async with sit() as terminal:
        await terminal.line(f"console '{SYSTEM}'", CONSOLE)
        assert (await terminal.line("voicemail show users", "-- more")).count("\n") > 12
        terminal.resize(100, rows=12)
        terminal.keys("q")
        await terminal.until(CONSOLE)
        # The window's new size is sent by ssh when it notices; a smaller screen is the proof that it came.
        async with asyncio.timeout(30):
            while (await terminal.line("voicemail show users", "-- more")).count("\n") > 12:
                terminal.keys("q")
                await terminal.until(CONSOLE)


async def test_output_comes_a_screen_at_a_time(demo: Demo, sit: Sit) -> None:
    await permit(demo, BOTH_CLASSES)
    async with sit() as terminal:
        await terminal.line(f"console '{SYSTEM}'", CONSOLE)
        first = await terminal.line("voicemail show users", "-- more")
        assert "Grace Okonkwo" in first
        assert "Kit van der Berg" not in first
        assert len(first.splitlines()) <= 25
        terminal.keys("q")
        assert "Stopped." in await terminal.until(CONSOLE)
        await terminal.line("voicemail show users", "-- more")
        terminal.keys("\x03")
        assert "Stopped." in await terminal.until(CONSOLE)
        terminal.keys("ping a qq")  # what were keys of the pager are letters again
        await terminal.until("ping a qq")
        terminal.keys("\x03")
        await terminal.until(CONSOLE)
        await terminal.line("voicemail show users", "-- more")
        terminal.keys(" ")
        assert "Kit van der Berg" in await terminal.until("40 voicemail users configured.")
        await terminal.until(CONSOLE)
        await terminal.line("voicemail show users", "-- more")
        terminal.keys("a")
        await terminal.until("40 voicemail users configured.")
        await terminal.until(CONSOLE)
        await terminal.line("pager off", CONSOLE)
        assert "-- more" not in await terminal.line("voicemail show users", "40 voicemail users configured.")
        await terminal.until(CONSOLE)
        assert [e["data"]["name"] for e in await entries(demo, "operation.done")] == ["console-look"] * 5


async def cut(demo: Demo, line: str) -> None:
    """Until the phone system has seen that nobody waits for this line's answer any more."""
    async with asyncio.timeout(20):
        assert await demo.lab.cut.get() == line


async def test_ctrl_c_ends_the_command_and_not_the_conversation(demo: Demo, sit: Sit) -> None:
    await permit(demo, BOTH_CLASSES)
    demo.lab.faults.add("hanging-prompt")
    async with sit() as terminal:
        await terminal.line(f"console '{SYSTEM}'", CONSOLE)
        await terminal.line("core show uptime", "3 hours, 4 minutes")
        terminal.keys("\x03")
        assert "Stopped." in await terminal.until(CONSOLE)
        await cut(demo, "core show uptime")
        await terminal.line("dialplan reload", "[y/N] ")
        await terminal.line("y", "Dialplan reloaded.")
        terminal.keys("\x03")
        assert "it may have been done" in await terminal.until(CONSOLE)
        demo.lab.faults.clear()
        assert "Asterisk 22.10.1" in await terminal.line("core show version", CONSOLE)
    assert [e["data"]["code"] for e in await entries(demo, "operation.unknown")] == ["outcome-unknown"]
    assert len(await entries(demo, "operation.done")) == 2


@BOTH
async def test_a_permission_that_ends_ends_the_command_that_runs(demo: Demo, sit: Sit) -> None:
    grant = await permit(demo, BOTH_CLASSES)
    demo.lab.faults.add("hanging-prompt")
    async with sit() as terminal:
        await terminal.line(f"console '{SYSTEM}'", CONSOLE)
        await terminal.line("core show uptime", "3 hours, 4 minutes")
        (visit,) = demo.app.visits.all()
        await demo.admin("grant revoke", grant=grant, reason="enough")
        await terminal.until("The visit has ended: the permission was ended")
        async with asyncio.timeout(10):
            await visit.over.wait()
        await cut(demo, "core show uptime")
        assert await terminal.process.wait() == 3


async def test_the_customer_is_told_each_line(demo: Demo, ssh: Master) -> None:
    grant = await permit(demo, BOTH_CLASSES)
    await ssh.run(f"console '{SYSTEM}' pjsip qualify 2001 --yes")
    await demo.admin("grant revoke", grant=grant, reason="done")
    mail = await demo.mails.wait_for("pjsip qualify 2001")
    assert "acted with `pjsip qualify 2001` at the prompt" in mail


def test_an_approver_reads_what_each_class_means() -> None:
    for name in ("console-look", "console-act"):
        assert "from a fixed list" in WORDS[name]
        assert "an addition to the five operations" in WORDS[name]
    assert {entry.kind.operation.value for entry in ASTERISK} == {"console-look", "console-act"}


async def test_an_asterisk_behind_its_helper_and_a_real_sshd(demo: Demo, ssh: Master, sit: Sit, tmp_path: Path) -> None:
    pbx = FlatPbx(tmp_path / "pbx", {"console": "act"})
    pbx.folder.mkdir()
    with door(pbx.make().folder / "ssh", bound(pbx)) as front:
        await demo.admin(
            "system add", customer=CUSTOMER, name="Branch", connector="asterisk-files", host="127.0.0.1",
            port=front.port, pin=front.pin, login=USER, password=None, private_key=front.key,
            settings=json.dumps({"login": USER}), site="Leeds", asset="", untried=True,
        )  # fmt: skip
        await permit(demo, BOTH_CLASSES, system="Branch")
        shown = await ssh.run("console Branch voicemail show users")
        assert (shown.code, "20 voicemail users configured." in shown.out) == (0, True), shown.err
        assert (await ssh.run("console Branch dialplan reload --yes")).out == "Dialplan reloaded.\n"
        assert (await ssh.run("console Branch pjsip show auth 1001")).code == 2
        assert (await ssh.run("console Branch core reload --yes")).code == 3
        (pbx.folder / "many").write_text("a line of many\n" * 1_000_000)
        async with sit() as terminal:
            await terminal.line("console Branch", CONSOLE)
            await terminal.line("pjsip show endpoints", "-- more")
            terminal.keys("a")
            await terminal.until("a line of many\r\n" * 200)
            terminal.keys("\x03")
            await terminal.until("Stopped.")
            await terminal.until(CONSOLE)
            assert "Asterisk 22.10.1" in await terminal.line("core show version", CONSOLE)
            pbx.configure(console="off")
        refused = await ssh.run("console Branch core show version")
        assert "has not switched its prompt on" in refused.err
        assert refused.code == 4
    assert pbx.asked() == ["voicemail show users", "dialplan reload", "pjsip show endpoints", "core show version"]
