"""The prompt of a Communication Manager, typed at with a real ssh client: looking alone, and stopped in the middle."""

from __future__ import annotations

import json

import asyncssh

from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from tests.session.shell.conftest import Sit
from tests.session.shell.test_console import CONSOLE, entries
from tests.support.avaya.cm import LOGIN, PASSWORD, Cm, Station, running


async def test_what_looks_is_typed_shown_and_stopped_and_what_acts_is_not_to_be_had(
    demo: Demo, ssh: Master, sit: Sit
) -> None:
    cm = Cm({str(n): Station(str(n), f"Person {n}") for n in range(10_000, 10_200)})
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with running(cm, key) as server:
        await demo.admin(
            "system add", customer=CUSTOMER, name="Branch", connector="avaya-cm", host="127.0.0.1",
            port=server.get_port(), pin=key.export_public_key().decode().strip(), login=LOGIN, password=PASSWORD,
            private_key=None, settings=json.dumps({"login": LOGIN}), site="Leeds", asset="",
        )  # fmt: skip
        told = {row["what"]: row["in words"] for row in await demo.admin("system check", system="Branch")}
        assert told["how secrets are kept"].startswith("no password is reset")
        asked = await ssh.run("request Branch --ops view,console-act,visit --ticket T --reason why")
        assert asked.code == 2
        assert "cannot be asked for console-act (console-act: what busyout, release" in asked.err
        await permit(demo, "console-look", system="Branch")
        cm.heard.clear()
        shown = await ssh.run("console Branch status station 10000 --json")
        assert shown.code == 0, shown.err
        assert {"line": "extension  10000"} in json.loads(shown.out)
        assert "CANARY" not in shown.out
        for line in ("display station 10000", "busyout station 10000", "'status station 10000 print'"):
            assert (await ssh.run(f"console Branch {line} --yes")).code == 2
        async with sit() as terminal:
            await terminal.line("console Branch", CONSOLE)
            listed = await terminal.line("help", CONSOLE)
            assert "status media-gateways" in listed
            assert "not permitted" not in listed
            await terminal.line("list station", "-- more")
            terminal.keys("q")
            await terminal.until("Stopped.")
            await terminal.until(CONSOLE)
            await terminal.line("display time", "Saturday")
            await terminal.until(CONSOLE)
        assert cm.heard == ["look", "look", "look"]
    assert [entry["data"]["name"] for entry in await entries(demo, "operation.done")] == ["console-look"] * 3
