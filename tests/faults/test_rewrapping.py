"""Another master key while it serves: kill -9 at each step, a second node beside it, and nothing is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from audit.steps import Step
from tests.faults.running import Running
from tests.faults.test_kill_at_each_step import gateway, restarted, visit
from tests.faults.test_nodes import nodes

__all__ = ["gateway", "nodes"]

STEPS = (Step.MASTER_NAMED, Step.MASTER_SWITCHED, Step.MASTER_MOVING, Step.MASTER_MOVED)


async def shows(gateway: Running, number: int = 2001) -> str:
    """What a visit shows."""
    return (await gateway.shows(number)).out


async def rewrap(gateway: Running) -> Any:
    return await gateway.admin("keys rewrap", config=str(gateway.folder / "frameroom.toml"))


@pytest.mark.timeout(400)
async def test_kill_9_while_every_key_is_moved(gateway: Running) -> None:
    await visit(gateway)
    assert "Grace" in await shows(gateway)
    (first,) = await gateway.admin("keys status")
    for step in STEPS:
        await gateway.arm(step)
        asked = await asyncio.gather(rewrap(gateway), return_exceptions=True)
        assert isinstance(asked[0], Exception), asked
        await gateway.died()
        await restarted(gateway, step)
        # Half under one key and half under another, engineers work as ever.
        await gateway.sign_in()
        assert "Grace" in await shows(gateway), step
    done = await rewrap(gateway)
    assert done["damaged"] == []
    # Four times cut short, it was one change: one new key, under which everything is.
    status = await gateway.admin("keys status")
    assert [(row["id"] == first["id"], row["state"], row["keys"] > 0) for row in status] == [
        (True, "old", False),
        (False, "current", True),
    ]
    assert (await gateway.admin("keys check"))["ok"]
    assert "Grace" in await shows(gateway)
    assert [row["id"] for row in await gateway.admin("keys retire")] == [first["id"]]
    assert not (gateway.folder / "data" / "keys" / "master.key").exists()
    await gateway.kill()
    await restarted(gateway, "retired")
    await gateway.sign_in()
    assert "Grace" in await shows(gateway)
    assert (await gateway.admin("keys check"))["ok"]


async def test_the_other_node_follows_by_itself(nodes: tuple[Running, Running]) -> None:
    here, there = nodes
    await there.sign_in()
    await here.consent(await there.submit())
    assert "Grace" in await shows(there)
    moving = asyncio.ensure_future(rewrap(here))
    assert all([await shows(there, number) for number in (2001, 2002, 2003)])
    await moving
    # A visit of its own from here on, whose keys it makes under the new master key.
    await there.sign_in()
    await here.consent(await there.submit())
    assert "Grace" in await shows(there)
    checked = await here.admin("keys check")
    assert checked["ok"], checked
    await here.admin("keys retire")
    assert "Grace" in await shows(there)
    report = await here.verify([])
    assert report.ok, report.faults
