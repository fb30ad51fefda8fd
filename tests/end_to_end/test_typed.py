"""What the maintainer's people type in their own words stands sealed: no leaf of any log has a word of it for good."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from audit.tables import entries
from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.wiring.admin import Admin

MARK = "Zqxwordly"


async def leaves(demo: Demo) -> list[str]:
    """The kinds of entries that have the mark in their bytes."""
    async with demo.app.parts.store.look_at_everyone() as scope:
        every = (await scope.execute(select(entries.c.entry))).scalars()
    return [json.loads(entry)["kind"] for entry in every if MARK.encode() in bytes(entry)]


async def test_no_leaf_has_a_word_that_somebody_typed(demo: Demo, ssh: Master) -> None:
    admin = Admin(demo.app.parts, demo.app)

    async def do(name: str, **given: Any) -> Any:
        return await admin.call(name, "tom", given)

    await permit(demo, "find,view,alter")
    assert (await ssh.run("set 2001 name='Graciela Bellweather'")).code == 0
    assert (await ssh.run(f"note '{MARK}'")).code == 0
    (visit,), (system,) = await do("session list"), await do("system list")
    said = {"by": "Kate Brook", "how": f"{MARK} called"}
    await do("session show", session=visit["id"], why=MARK)
    await do("system note", system=system["name"], text=MARK)
    await do("subject restrict", subject="2002", system=system["name"], why=MARK)
    await do("subject unrestrict", subject="2002", system=system["name"], why=MARK)
    await do("session kill", session=visit["id"], reason=f"{MARK} asked")
    assert (await ssh.run("show 2001")).code == 0
    (grant,) = await do("grant list", state="open")
    await do("grant revoke", grant=grant["id"], reason=MARK)
    await do("access set", customer=CUSTOMER, mode="off", **said)
    await do("access set", customer=CUSTOMER, mode="on", **said)
    await do("agreement withdraw", customer=CUSTOMER, **said)
    assert await leaves(demo) == []

    # Sealed, and still told.
    tail = await do("audit tail", customer=CUSTOMER, count=1000, why="a look")
    kinds = {one["kind"] for one in tail if MARK in one["told"]}
    assert {"access.changed", "agreement.withdrawn", "grant.revoked", "note.written", "session.closed"} <= kinds
    shown = await do("session show", session=visit["id"], why="a look")
    assert f"{MARK} asked" in shown["ended because"]
