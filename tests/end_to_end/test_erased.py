"""A user is erased after a real visit: what was said of them before says so, and everything still verifies."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.errors import NotPermittedError
from gateway.wiring.admin import Admin

EVERYTHING = "find,view,alter"


async def by(demo: Demo, actor: str, name: str, **given: Any) -> Any:
    """A command of somebody in particular: over the socket everybody here is one login."""
    return await Admin(demo.app.parts, demo.app).call(name, actor, given)


async def test_11_a_person_is_erased_and_every_proof_holds(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    assert (await ssh.run("set 2001 name='Graciela Bellweather'")).code == 0
    assert (await ssh.run("show graciela")).code == 0
    (visit,) = await demo.admin("session list")
    why = {"session": visit["id"], "why": "a test"}
    assert "Graciela Bellweather" in str(await demo.admin("session show", **why))

    wanted = {"subject": "Graciela Bellweather", "basis": "objection", "customer": CUSTOMER}
    dry = await by(demo, "tom", "erase", **wanted, dry_run=True)
    assert dry["state"].startswith("dry run")
    proposed = await by(demo, "tom", "erase", **wanted)
    assert any("recordings that show them" in line for line in proposed["stays"])
    with pytest.raises(NotPermittedError):
        await by(demo, "tom", "erasure confirm", proposal=proposed["proposal"])
    done = await by(demo, "uma", "erasure confirm", proposal=proposed["proposal"])
    assert (done["state"], done["proposed by"], done["confirmed by"]) == ("done", "tom", "uma")

    told = str(await demo.admin("session show", **why))
    assert "Graciela" not in told
    assert "(erased on 20" in told
    assert "Graciela" not in str(await demo.admin("audit tail", customer=CUSTOMER, count=1000, why="a test"))
    report = await demo.admin("audit verify")
    assert report["ok"], report["faults"]


async def test_a_recording_of_somebody_erased_takes_a_purpose_and_two_people(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    assert (await ssh.run("set 2001 name='Graciela Bellweather'")).code == 0
    (visit,) = await demo.admin("session list")
    await demo.admin("session kill", session=visit["id"], reason="a test")
    wanted = {"subject": "Graciela Bellweather", "basis": "objection", "customer": CUSTOMER}
    proposed = await by(demo, "tom", "erase", **wanted)
    await by(demo, "uma", "erasure confirm", proposal=proposed["proposal"])
    look = {"session": visit["id"], "why": "claim 7"}
    for name in ("recording play", "recording export"):
        with pytest.raises(NotPermittedError, match="two people"):
            await by(demo, "tom", name, **look)
    found = await by(demo, "tom", "recording search", words="Graciela", why="claim 7")
    assert (found["found"], found["not permitted"]) == (0, 1)
    asked = await by(demo, "tom", "recording propose", session=visit["id"], purpose="claim")
    with pytest.raises(NotPermittedError):
        await by(demo, "tom", "recording permit", proposal=asked["proposal"])
    await by(demo, "uma", "recording permit", proposal=asked["proposal"])
    assert "Graciela" in str(await by(demo, "tom", "recording play", **look))
    with pytest.raises(NotPermittedError):  # the permission is the one's who asked
        await by(demo, "vic", "recording play", **look)
