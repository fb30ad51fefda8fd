"""What ends with an agreement or a phone system, and who vouches for whom by telephone, as an operator types it."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from gateway.cli.demo import CUSTOMER, SYSTEM, Demo, permit
from gateway.cli.story import Master
from gateway.store.tables import outbox, requests

EVERYTHING = "find,view,alter,remove,diag"


async def whole(demo: Demo) -> None:
    """The log verifies."""
    assert (await demo.admin("audit verify"))["ok"]


async def test_an_agreement_withdrawn_is_withdrawn_again_to_finish_the_rest(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    assert (await ssh.run("show 2001")).code == 0
    asked = {"customer": CUSTOMER, "by": "Kate Brook", "how": "letter"}
    first = await demo.admin("agreement withdraw", **asked)
    assert (first["state"], first["permissions ended"]) == ("withdrawn", 1)
    again = await demo.admin("agreement withdraw", **asked)
    assert (again["state"], again["permissions ended"]) == ("withdrawn before", 0)
    assert (await ssh.run("show 2001")).code == 3
    await whole(demo)


async def test_requests_that_wait_for_a_removed_phone_system_are_withdrawn(demo: Demo, ssh: Master) -> None:
    asked = await ssh.run(f'request "{SYSTEM}" --ops view --for 1h --ticket T-1 --reason phones')
    assert asked.code == 0, asked.err
    removed = await demo.admin("system remove", system=SYSTEM)
    assert removed["requests withdrawn"] == 1
    async with demo.app.parts.store.look_at_everyone() as scope:
        assert list((await scope.execute(select(requests.c.state))).scalars()) == ["withdrawn"]
    await whole(demo)


async def test_an_approver_vouches_by_telephone_and_all_are_told(demo: Demo) -> None:
    await demo.admin("approver add", customer=CUSTOMER, name="Nell", email="nell@customer.example", phone="")
    given = {"customer": CUSTOMER, "recorded_by": "Tom Hill", "words": "yes, she is new here"}
    with pytest.raises(RuntimeError, match="Nobody confirms themselves"):
        await demo.admin("approver confirm", approver="Nell", by="Nell", **given)
    done = await demo.admin("approver confirm", approver="Nell", by="Kate Brook", **given)
    assert done["state"] == "confirmed by telephone, recorded by Tom Hill"
    told = [row for row in await demo.admin("audit tail", customer=CUSTOMER, count=1000, why="test")
            if row["kind"] == "approver.confirmed"]  # fmt: skip
    assert len(told) == 1


async def test_an_address_is_confirmed_only_as_it_was_seen(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    assert (await ssh.run("show 2001")).code == 0
    given = {"system": SYSTEM, "user": "2001", "by": "Kate Brook", "recorded_by": "Tom Hill", "words": ""}
    with pytest.raises(RuntimeError, match="has not seen"):
        await demo.admin("system confirm-address", email="somebody@customer.example", **given)
    people = await demo.admin("customer show", customer=CUSTOMER)
    assert people
    await whole(demo)
    async with demo.app.parts.store.look_at_everyone() as scope:
        assert "address confirmed" not in set((await scope.execute(select(outbox.c.what))).scalars())
