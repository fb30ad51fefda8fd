"""Two engineers at work on one person at once, each signed in for themselves, under a permission of their own."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import asyncssh
import pytest

from connectors.contract import Operation
from gateway.cli.demo import CUSTOMER, SYSTEM, Demo, permit
from gateway.cli.story import Master
from tests.end_to_end.test_bad_days import whole

ALLOWED = "view,alter,remove"


@pytest.fixture
async def lee(demo: Demo) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Another engineer of the customer's list, with a permission, signed in."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    await demo.admin("engineer add", login="lee", name="Lee Moss", email="lee@company.example", roles=[])
    await demo.admin("engineer key add", login="lee", key=key.export_public_key().decode())
    codes = (await demo.admin("engineer codes", login="lee"))["codes"]
    await demo.admin("customer engineer", customer=CUSTOMER, login="lee", veto=False)
    parts = demo.app.parts
    (engineer,) = [found for found in await parts.engineers.all() if found.login == "lee"]
    (place,) = [s for _, s in await demo.app.commands.places.systems_for(engineer.id) if s.name == SYSTEM]
    operations = frozenset(map(Operation, ALLOWED.split(",")))
    request = await parts.permission.submit(engineer.id, place, operations, 60, "T-2", "the same ticket, called twice")
    await demo.admin(
        "request record-consent", request=request.id, by="Omar Aziz", recorded_by="x", at_ms=None, words="yes"
    )

    class Answers(asyncssh.SSHClient):
        def kbdint_auth_requested(self) -> str:
            return ""

        def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> list[str]:
            return [codes[0] for _ in prompts]

    async with asyncssh.connect(
        "127.0.0.1", demo.app.door.port, username="lee", client_keys=[key], known_hosts=None, config=None,
        agent_path=None, client_factory=Answers,
    ) as connection:  # fmt: skip
        yield connection


async def renamed(demo: Demo) -> tuple[Counter[str], Counter[str]]:
    """(names before, names after) of every change of a name that the log calls done."""
    before, after = Counter[str](), Counter[str]()
    (customer,) = [row["id"] for row in await demo.admin("customer list")]
    async with demo.app.parts.store.look(customer) as scope:
        for row in await demo.app.parts.audit.read(scope.connection, customer, kinds=("operation.done",), limit=1000):
            told = await demo.app.parts.audit.personal(scope.connection, row)
            if "after" in told and told["before"]["name"] != told["after"]["name"]:
                before[told["before"]["name"]] += 1
                after[told["after"]["name"]] += 1
    return before, after


async def test_both_at_once_and_no_change_is_lost_or_passed_over(
    demo: Demo, ssh: Master, lee: asyncssh.SSHClientConnection
) -> None:
    await permit(demo, ALLOWED)
    ours, theirs = await asyncio.gather(
        ssh.run('set 2001 name="Grace Bell"'), lee.run("set 2001 email=bell@customer.example")
    )
    assert (ours.code, theirs.exit_status) == (0, 0), (ours, theirs.stderr)
    grace = demo.lab.store.get("2001")
    assert grace is not None
    assert (grace["name"], grace["email"]) == ("Grace Bell", "bell@customer.example")
    names = [f"Name {n}" for n in range(8)]
    ours_too = asyncio.gather(*(ssh.run(f'set 2001 name="{name}"') for name in names[::2]))
    theirs_too = asyncio.gather(*(lee.run(f'set 2001 name="{name}"') for name in names[1::2]))
    codes = [ran.code for ran in await ours_too] + [ran.exit_status for ran in await theirs_too]
    assert set(codes) <= {0, 4}, "done, or refused because it had changed meanwhile"
    # Each began at the name that one before it had left: nothing was written over unseen.
    before, after = await renamed(demo)
    assert sum(after.values()) == 1 + codes.count(0)
    last = demo.lab.store.get("2001")
    assert last is not None
    assert before + Counter([last["name"]]) == after + Counter(["Grace Okonkwo"])
    await whole(demo)


async def test_one_asks_while_the_other_removes(demo: Demo, ssh: Master, lee: asyncssh.SSHClientConnection) -> None:
    await permit(demo, ALLOWED)
    process = await lee.create_process(term_type="xterm")
    process.stdin.write('set 2003 name="Priya Bell"\r')
    async with asyncio.timeout(30):
        await process.stdout.readuntil("[y/N] ")
        assert (await ssh.run("remove 2003 --yes")).code == 0
        process.stdin.write("y\r")
        assert "there is no such person" in await process.stdout.readuntil("m> ")
    assert demo.lab.store.get("2003") is None
    # Each permission shows the changes of its own engineer alone.
    assert [row["what"] for row in json.loads((await ssh.run("changes --json")).out)] == ["removed"]
    assert json.loads(str((await lee.run("changes --json")).stdout)) == []
    await whole(demo)
