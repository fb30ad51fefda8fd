"""The prompt of a FusionPBX's FreeSWITCH, typed at with a real ssh client: PostgreSQL and the event socket behind."""

from __future__ import annotations

import asyncio
import json

from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from tests.connectors.fusionpbx.conftest import pbx as pbx
from tests.connectors.fusionpbx.conftest import server as server
from tests.connectors.fusionpbx.conftest import switch as switch
from tests.connectors.fusionpbx.database import DOMAIN, PASSWORD, Pbx
from tests.session.shell.conftest import Sit
from tests.session.shell.test_console import BOTH_CLASSES, CONSOLE, entries
from tests.support.event_socket import FreeSwitch


async def added(demo: Demo, pbx: Pbx, switch: FreeSwitch) -> None:
    """The phone system `Branch`, which serves one domain, with both classes permitted."""
    pbx.sql("delete from v_domains where domain_name <> %s", DOMAIN)
    socket = {"host": "127.0.0.1", "port": switch.port, "console": "act"}
    settings = {"database": pbx.database, "domain": DOMAIN, "event_socket": socket}
    await demo.admin(
        "system add", customer=CUSTOMER, name="Branch", connector="fusionpbx", host="127.0.0.1", port=pbx.port,
        pin=pbx.pin, login="frameroom", password=f"{PASSWORD}\n{switch.password}", private_key=None,
        settings=json.dumps(settings), site="Leeds", asset="",
    )  # fmt: skip
    await permit(demo, BOTH_CLASSES, system="Branch")
    switch.heard.clear()


async def test_lines_are_typed_and_refused(demo: Demo, ssh: Master, pbx: Pbx, switch: FreeSwitch) -> None:
    switch.registered = ["1001", "1002"]
    await added(demo, pbx, switch)
    shown = await ssh.run("console Branch sofia status profile internal reg")
    assert (shown.code, "1001@brook.example" in shown.out) == (0, True), shown.err
    assert (await ssh.run("console Branch reloadxml --yes")).out == "+OK\n"
    for line in ("user_data 1001@brook.example param password", "'luarun x.lua'", "'system id'", "eval x"):
        assert (await ssh.run(f"console Branch {line} --yes")).code == 2
    switch.how = "hostile"
    said = await ssh.run("console Branch sofia status")
    assert "CANARY" not in said.out + said.err
    assert "\x1b[2J" not in said.out
    assert [line for line in switch.heard if line.startswith("api")] == [
        "api sofia status profile internal reg", "api reloadxml", "api sofia status",
    ]  # fmt: skip
    for kind in ("operation.intended", "operation.done"):
        assert "CANARY" not in json.dumps(await entries(demo, kind))


async def test_ctrl_c_hangs_up(demo: Demo, sit: Sit, pbx: Pbx, switch: FreeSwitch) -> None:
    switch.registered = [str(number) for number in range(200_000)]
    await added(demo, pbx, switch)
    line = "sofia status profile internal reg"
    async with sit() as terminal:
        await terminal.line("console Branch", CONSOLE)
        listed = await terminal.line("help", CONSOLE)
        assert "sofia status" in listed
        assert "not permitted" not in listed
        await terminal.line(line, "-- more")
        terminal.keys("\x03")
        await terminal.until("Stopped.")
        await terminal.until(CONSOLE)
        async with asyncio.timeout(20):
            assert await switch.gone.get() == f"api {line}"
