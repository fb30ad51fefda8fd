"""The maintainer's own people in a deployment that runs: log and tables have ids of them, whatever they do."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.store.columns import metadata
from gateway.store.tables import staff
from gateway.wiring.admin import Admin

LOGIN = "malloryq"


async def everywhere(demo: Demo) -> str:
    """All tables but the one that says whose the ids are."""
    told = []
    async with demo.app.parts.store.look_at_everyone() as scope:
        for table in metadata.sorted_tables:
            if table is not staff:
                told.append(f"{table.name}: {(await scope.execute(select(table))).all()}")
    return "\n".join(told)


async def test_a_login_stands_in_one_row_alone_and_people_see_it(demo: Demo, ssh: Master) -> None:
    admin = Admin(demo.app.parts, demo.app)

    async def do(name: str, **given: Any) -> Any:
        return await admin.call(name, LOGIN, given)

    await permit(demo, "find,view,alter")
    assert (await ssh.run("set 2001 name='Graciela Bellweather'")).code == 0
    (visit,), (system,) = await do("session list"), await do("system list")
    await do("session show", session=visit["id"], why="a look")
    await do("recording play", session=visit["id"], why="a look")
    await do("audit search", why="a look", customer=CUSTOMER)
    await do("audit report", why="a look", session=visit["id"])
    await do("subject report", subject="2001", system=system["name"], why="a look")
    await do("contact export", customer=CUSTOMER)
    (note,) = await do("system note", system=system["name"], text="the key is under the mat")
    await do("subject restrict", subject="2002", system=system["name"], why="asked")
    await do("hold place", basis="claim", customer=CUSTOMER)
    await do("erase", subject="Graciela Bellweather", basis="objection", customer=CUSTOMER)
    await do("recording propose", session=visit["id"], purpose="claim")
    await do("retention set", customer=CUSTOMER, kind="recordings", months=6)
    await do("engineer enable", login="ana", enabled=False)
    stood = await everywhere(demo)
    (mallory,) = [one for one in await do("staff list") if one["login"] == LOGIN]
    assert LOGIN not in stood
    assert stood.count(mallory["id"]) > 15

    # Whoever may see it sees a name.
    tail = await do("audit tail", customer=CUSTOMER, count=1000, why="a look")
    assert LOGIN in {one["actor"] for one in tail}
    assert mallory["id"] not in str(tail)
    assert note["by"] == LOGIN
    (frozen,), (held,), (asked,) = await do("subject restricted"), await do("hold list"), await do("erasure list")
    assert (frozen["by"], held["proposed by"], asked["proposed by"]) == (LOGIN, LOGIN, LOGIN)
    report = await do("audit verify")
    assert report["ok"], report["faults"]


async def test_what_verifies_leaves_nothing_behind(demo: Demo) -> None:
    admin = Admin(demo.app.parts, demo.app)
    assert (await admin.call("audit verify", LOGIN, {}))["ok"]
    assert LOGIN not in str(await admin.call("staff list", "tom", {}))
