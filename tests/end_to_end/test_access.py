"""The customer's switch and list, while a real ssh client is in."""

from __future__ import annotations

from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from tests.end_to_end.test_operator import told, typed


async def test_3_access_switched_off_ends_the_visit_and_nothing_starts_after(demo: Demo, ssh: Master) -> None:
    await permit(demo, "find,view")
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    off = await told(demo, "access", "set", CUSTOMER, "off", "--by", "Kate", "--how", "telephone call")
    assert (off["now"], off["mode"]) == ("off", "off")
    await visit.over.wait()
    assert visit.ended == "the customer switched access off"
    refused = await ssh.run("show 2001")
    assert refused.code == 3
    assert "switched off" in refused.err
    assert "It is now: off" in await demo.mails.wait_for("Access to the phone systems of")
    assert "switched off" in (await demo.admin("explain", engineer="ana", system=visit.system.id, operation="view",
                                               at_ms=None))["why"]  # fmt: skip
    (kate,) = [person["name"] for person in await demo.admin("approver list", customer=CUSTOMER)][:1]
    on = await told(demo, "access", "set", CUSTOMER, "on", "--by", kate, "--how", "telephone call")
    assert on["now"] == "on"
    assert (await ssh.run("show 2001")).code == 0
    assert (await demo.admin("audit verify"))["ok"]


async def test_3_a_schedule_that_is_over_ends_the_visit(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    (kate,) = [person["name"] for person in await demo.admin("approver list", customer=CUSTOMER)][:1]
    soon = demo.app.parts.permission.now + 1500
    await demo.admin("access set", customer=CUSTOMER, mode="until", by=kate, how="telephone call", until_ms=soon)
    await visit.over.wait()
    assert visit.ended == "the customer's access time is over"
    assert (await told(demo, "access", "show", CUSTOMER))["now"] == "off"


async def test_3_an_engineer_struck_off_the_list_is_out(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    await demo.admin("customer engineer", customer=CUSTOMER, login="ana", veto=True)
    await visit.over.wait()
    assert visit.ended == "the customer struck the engineer off its list"
    assert (await ssh.run("show 2001")).code != 0


async def test_a_schedule_that_is_none_is_refused_in_words(demo: Demo) -> None:
    by = ("--by", "Kate", "--how", "call")
    code, _, err = await typed(demo, "access", "set", CUSTOMER, "weekly", "--hours", "mon 22:00-06:00", *by)
    assert code != 0
    assert (await told(demo, "access", "show", CUSTOMER))["mode"] == "on"
    assert err.strip()
