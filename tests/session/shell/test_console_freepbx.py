"""The prompt of a FreePBX, typed at with a real ssh client: through the gateway, a real sshd and the helper."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from tests.connectors.freepbx.conftest import Makes
from tests.connectors.freepbx.conftest import made as made
from tests.connectors.freepbx.conftest import server as server
from tests.connectors.freepbx.test_console import watched
from tests.connectors.freepbx.test_way_out import options
from tests.session.shell.conftest import Sit
from tests.session.shell.test_console import BOTH_CLASSES, CONSOLE, entries
from tests.support.flat_pbx import USER, Door, door
from tests.support.freepbx.pbx import FreePbx, One

HOSTILE = (
    b"\x1b]0;owned\x07 Endpoint: 20001\r\n password : CANARY-sip-1\n\x1b[2J\x9b31m  auth_pass=CANARY-sip-2 x\n"
    b"PJSIP/20001-1  s@x:1  Up  Authenticate(CANARY-226279)\n\x1b[31mred\x1b[0m end\n"
)


@pytest.fixture
def pbx(made: Makes) -> FreePbx:
    """A FreePBX whose administrator lets its prompt be used."""
    pbx = made(One("20001", "Grace Okonkwo"))
    pbx.configure(console="act")
    return pbx


@pytest.fixture
def front(pbx: FreePbx) -> Iterator[Door]:
    """A real sshd before it."""
    with door(pbx.folder / "ssh", options(pbx)) as running:
        yield running


async def added(demo: Demo, front: Door) -> None:
    """The phone system `Branch`, with both classes permitted."""
    await demo.admin(
        "system add", customer=CUSTOMER, name="Branch", connector="freepbx", host="127.0.0.1", port=front.port,
        pin=front.pin, login=USER, password=None, private_key=front.key, settings=json.dumps({"login": USER}),
        site="Leeds", asset="",
    )  # fmt: skip
    await permit(demo, BOTH_CLASSES, system="Branch")


async def test_lines_are_typed_refused_and_switched_on(demo: Demo, ssh: Master, pbx: FreePbx, front: Door) -> None:
    await added(demo, front)
    shown = await ssh.run("console Branch pjsip show endpoints")
    assert (shown.code, "20001/20001" in shown.out) == (0, True), shown.err
    assert "| framework | 17.0.19 |" in (await ssh.run("console Branch fwconsole ma list")).out
    assert (await ssh.run("console Branch dialplan reload --yes")).out == "Dialplan reloaded.\n"
    applied = await ssh.run("console Branch fwconsole reload --yes")
    assert (applied.code, applied.out.endswith("Done.\n")) == (0, True), applied.err
    assert pbx.applied() == ["ma list", "reload"]
    for line in ("pjsip show auth 20001", "fwconsole restart", "'fwconsole setting AMPDBPASS'", "'!id'"):
        assert (await ssh.run(f"console Branch {line}")).code == 2
    # What stays off until its customer switches it on.
    refused = await ssh.run("console Branch core restart gracefully --yes")
    assert refused.code == 3
    assert "off here until the customer switches it on" in refused.err
    await demo.admin("console on", system="Branch", commands=["core-restart-gracefully"], by="Kate Brook", how="a call")
    assert (await ssh.run("console Branch core restart gracefully --yes")).code == 0
    await demo.admin("console off", system="Branch", commands=[], by="Kate Brook", how="a call")
    assert (await ssh.run("console Branch core restart gracefully --yes")).code == 3
    pbx.configure(console="look")
    refused = await ssh.run("console Branch fwconsole reload --yes")
    assert (refused.code, "to look only" in refused.err) == (4, True), refused.err
    assert pbx.typed() == ["pjsip show endpoints", "dialplan reload", "core restart gracefully"]
    assert pbx.applied() == ["ma list", "reload"]


async def test_diagnostics_are_of_the_same_list(demo: Demo, ssh: Master, pbx: FreePbx, front: Door) -> None:
    await added(demo, front)
    await permit(demo, "diag", system="Branch")
    done = await ssh.run("diag core show version --system Branch")
    assert (done.code, done.out.startswith("Asterisk 21.5.0")) == (0, True), done.err
    assert (await ssh.run("diag queue show --system Branch")).code == 2, "what has to be switched on is no diagnostic"
    assert pbx.typed() == ["core show version"]


async def test_what_a_hostile_phone_system_says_is_withheld_and_made_harmless(
    demo: Demo, ssh: Master, pbx: FreePbx, front: Door
) -> None:
    await added(demo, front)
    (pbx.standin / "many").write_bytes(HOSTILE)
    shown = await ssh.run("console Branch pjsip show endpoints")
    assert shown.code == 0, shown.err
    assert "CANARY" not in shown.out + shown.err
    assert "owned" not in shown.out
    assert "\x1b[2J" not in shown.out
    assert "\x9b" not in shown.out
    assert shown.out.count("(withheld)") == 3
    assert "red" in shown.out
    for kind in ("operation.intended", "operation.done"):
        assert "CANARY" not in json.dumps(await entries(demo, kind))


async def test_output_streams_and_ctrl_c_ends_it_there(demo: Demo, sit: Sit, pbx: FreePbx, front: Door) -> None:
    await added(demo, front)
    (pbx.standin / "endless").touch()
    async with watched(pbx) as over, sit() as terminal:
        await terminal.line("console Branch", CONSOLE)
        await terminal.line("pjsip show endpoints", "-- more")
        terminal.keys("a")
        await terminal.until("a line of many\r\n" * 200)
        terminal.keys("\x03")
        await terminal.until("Stopped.")
        await terminal.until(CONSOLE)
        async with asyncio.timeout(20):
            assert await over == b"", "nothing of the command runs any more"
        await terminal.line("core show version", "Asterisk 21.5.0")
        await terminal.until(CONSOLE)
        terminal.keys("fwc\tm\tl\t")
        await terminal.until("fwconsole ma list ")
        terminal.keys("\x03")
        await terminal.until(CONSOLE)
    assert pbx.typed() == ["pjsip show endpoints", "core show version"]
    done = await entries(demo, "operation.done")
    assert [entry["data"]["name"] for entry in done] == ["console-look"] * 2
