"""A person before the law: what is held of them and who looked; frozen, nobody at the door sees them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.cli.subjects import document
from gateway.errors import NotPermittedError, StateError
from gateway.wiring.admin import Admin

EVERYTHING = "find,view,alter,remove,reset-voicemail,diag"


async def by(demo: Demo, actor: str, name: str, **given: Any) -> Any:
    """A command of somebody in particular: over the socket everybody here is one login."""
    return await Admin(demo.app.parts, demo.app).call(name, actor, given)


async def test_the_report_says_what_is_held_and_who_looked(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    assert (await ssh.run("set 2001 name='Graciela Bellweather'")).code == 0
    assert (await ssh.run("show 2001")).code == 0
    assert (await ssh.run("show 2002")).code == 0
    (visit,) = await demo.admin("session list")
    await by(demo, "tom", "session show", session=visit["id"], why="curious")
    given = {"subject": "Graciela Bellweather", "customer": CUSTOMER, "why": "her request"}
    await by(demo, "vic", "audit search", **given)
    told = await by(demo, "uma", "subject report", **given)
    assert told["kind"] == "user"
    assert any("Graciela Bellweather" in str(one["told"]) for one in told["events"])
    looks = {(one["kind"], one["by"]) for one in told["looked"]}
    assert looks >= {
        ("operation.done", "Ana Silva"), ("looked.session", "tom"), ("looked.subject", "uma"), ("looked.audit", "vic"),
    }  # fmt: skip
    assert [one["visit"] for one in told["recordings"]] == [visit["id"]]
    text = document(told)
    assert "# What is held about" in text
    assert "by tom" in text
    other = await by(demo, "uma", "subject report", **given | {"subject": "2002", "system": visit["system"]})
    assert "Graciela" not in str(other)


async def test_a_restricted_person_is_seen_by_no_engineer(demo: Demo, ssh: Master) -> None:
    wanted = await demo.admin("agreement show", customer=CUSTOMER)
    terms = wanted["terms"] | {"operations": [*wanted["terms"]["operations"], "list-all"]}
    await demo.admin("agreement set", customer=CUSTOMER, terms=terms)
    await demo.admin("agreement confirm", customer=CUSTOMER, by="Kate", how="letter")
    await permit(demo, EVERYTHING + ",list-all")
    seen = await ssh.run("show 2001 --json")
    assert seen.code == 0
    before = len((await ssh.run("users --json")).out)
    (visit,) = await demo.admin("session list")
    where = {"subject": "2001", "system": visit["system"], "why": "she disputes it"}
    await demo.admin("subject restrict", **where)
    for words in ("show 2001", "set 2001 name=Other", "remove 2001 --yes", "reset 2001 voicemail --yes"):
        done = await ssh.run(words)
        assert done.code != 0, words
        assert "Grace" not in done.out + done.err, words
    assert "2001" not in (await ssh.run("find grace --json")).out
    everyone = (await ssh.run("users --json")).out
    assert '"2001"' not in everyone
    assert len(everyone) < before
    refused = await ssh.run("diag pjsip show endpoints")
    assert refused.code != 0
    assert len(await demo.admin("subject restricted")) == 1
    await demo.admin("subject unrestrict", **where)
    assert (await ssh.run("show 2001")).code == 0


async def test_a_hold_takes_two_people_to_place_and_two_to_release(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    assert (await ssh.run("set 2001 name='Graciela Bellweather'")).code == 0
    person = {"subject": "Graciela Bellweather", "customer": CUSTOMER}
    placed = await by(demo, "tom", "hold place", **person, basis="claim")
    with pytest.raises(NotPermittedError):
        await by(demo, "tom", "hold confirm", proposal=placed["proposal"])
    await by(demo, "uma", "hold confirm", proposal=placed["proposal"])
    with pytest.raises(StateError, match="a legal hold keeps it"):
        await by(demo, "tom", "erase", **person, basis="objection")
    released = await by(demo, "tom", "hold release", hold=placed["proposal"])
    with pytest.raises(NotPermittedError):
        await by(demo, "tom", "hold confirm", proposal=released["proposal"])
    await by(demo, "uma", "hold confirm", proposal=released["proposal"])
    proposed = await by(demo, "tom", "erase", **person, basis="objection")
    assert (await by(demo, "uma", "erasure confirm", proposal=proposed["proposal"]))["state"] == "done"
    assert (await demo.admin("audit verify"))["ok"]
