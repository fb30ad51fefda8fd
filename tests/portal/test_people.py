"""Approvers name each other after the first key; a customer without any key left gets one slowly, and hears of it."""

from __future__ import annotations

import re

import pytest

from gateway.access.recovering import WAIT_HOURS, Recovered
from gateway.errors import NotPermittedError, StateError
from gateway.model import HOUR
from gateway.store.tables import approvers
from tests.portal.approver import Approver, approver
from tests.portal.conftest import SITE, Site


async def names(site: Site) -> set[str]:
    return {row.name for row in await site.brook.rows(approvers) if row.removed_ms is None}


async def mailed(site: Site, what: str) -> dict[str, str]:
    """Address and body of the newest of each address."""
    return {row.address: row.body for row in await site.brook.waiting() if row.what == what}


async def test_after_the_first_key_an_approver_is_named_by_an_approver(site: Site) -> None:
    kate = await approver(site)
    with pytest.raises(NotPermittedError, match="name each other"):
        await site.brook.directory.add_approver("t", site.brook.customer, "Mallory", "m@customer.example", "")
    added = await kate.send("/people", name="Omar", email="omar@customer.example", phone="")
    assert added.status_code == 303
    link = re.findall(rf"{SITE}(/invitation/\S+)", (await mailed(site, "invitation"))["omar@customer.example"])
    key, _ = await site.enrol(link[0])
    omar = Approver(site, "", key, await site.cookie(key))
    assert "Kate" in await omar.page("/people")
    row = next(r for r in await site.brook.rows(approvers) if r.name == "Omar")
    assert row.confirmed_by == kate.id
    for wrong in ({"name": "", "email": "a@b.example"}, {"name": "A", "email": "no"}, {"name": "A"}):
        assert (await kate.send("/people", **wrong)).status_code == 422
    assert (await kate.send("/people", name="X", email="x@company.example")).status_code == 422
    assert (await kate.send("/people", name="Omar 2", email="OMAR@customer.example")).status_code == 409


async def test_taking_the_last_key_holder_away_opens_no_way_for_staff(site: Site) -> None:
    kate = await approver(site)
    await site.brook.directory.remove_approver("t", site.brook.customer, kate.id)
    assert "no approver of yours any more" in (await mailed(site, "approver removed"))["kate@customer.example"]
    with pytest.raises(NotPermittedError):
        await site.brook.directory.add_approver("t", site.brook.customer, "Mallory", "m@customer.example", "")


async def test_an_approver_takes_another_away_and_never_themselves(site: Site) -> None:
    kate = await approver(site)
    omar = await approver(site, "Omar", kate.id)
    assert (await kate.send(f"/people/{kate.id}/remove")).status_code == 403
    assert (await kate.send(f"/people/{omar.id}/remove")).status_code == 303
    assert await names(site) == {"Kate"}
    assert (await site.ask("GET", "/people", omar.cookie)).status_code == 303


async def begun(site: Site, kate: Approver) -> str:
    """A recovery that two of the staff began."""
    who = Recovered(kate.id, "Kate", "kate@customer.example")
    proposal = await site.recovering.propose("bo", site.brook.customer, who, "lost")
    with pytest.raises(NotPermittedError, match="two people"):
        await site.recovering.confirm("bo", proposal)
    await site.recovering.confirm("ann", proposal)
    return proposal


async def test_two_of_staff_recover_the_only_key_after_72_hours_and_no_yes_counts_meanwhile(site: Site) -> None:
    kate = await approver(site)
    await site.brook.contact("boss@customer.example", "none")
    await site.brook.contact("desk@customer.example", "each")
    request = await site.brook.ask()
    await begun(site, kate)
    told = await mailed(site, "recovery")
    assert set(told) == {"kate@customer.example", "desk@customer.example"}
    assert "nobody's yes counts" in told["kate@customer.example"]
    assert (await kate.yes(request)).status_code == 403
    with pytest.raises(NotPermittedError):
        await site.brook.say_yes(request, kate.id)
    site.brook.clock.at_ms += WAIT_HOURS * HOUR - 1
    await site.recovering.settle()
    assert "recovery.done" not in await site.brook.kinds()
    site.brook.clock.at_ms += 1
    await site.recovering.settle()
    await site.recovering.settle()
    assert (await site.brook.kinds()).count("recovery.done") == 1
    assert (await site.sign_in(kate.key)).status_code == 403
    bodies = [row.body for row in await site.brook.waiting() if row.what == "invitation"]
    again, _ = await site.enrol(re.findall(rf"{SITE}(/invitation/\S+)", bodies[-1])[0])
    assert (await site.sign_in(again)).status_code == 200


async def test_whoever_still_has_the_key_stops_it(site: Site) -> None:
    kate = await approver(site)
    proposal = await begun(site, kate)
    assert "Stop it" in await kate.page("/people")
    assert (await kate.send(f"/recoveries/{proposal}/stop")).status_code == 303
    site.brook.clock.at_ms += 100 * HOUR
    await site.recovering.settle()
    assert "recovery.done" not in await site.brook.kinds()
    assert (await site.sign_in(kate.key)).status_code == 200


async def test_no_recovery_where_somebody_holds_a_key_or_nobody_ever_did(site: Site) -> None:
    who = Recovered("", "Mallory", "m@customer.example")
    with pytest.raises(StateError, match="never had a passkey"):
        await site.recovering.propose("bo", site.brook.customer, who, "left")
    await approver(site)
    with pytest.raises(NotPermittedError, match="Another approver"):
        await site.recovering.propose("bo", site.brook.customer, who, "left")


async def test_a_new_person_after_everybody_left_comes_by_the_same_slow_way(site: Site) -> None:
    kate = await approver(site)
    await site.brook.directory.remove_approver("t", site.brook.customer, kate.id)
    who = Recovered("", "Nia", "nia@customer.example")
    proposal = await site.recovering.propose("bo", site.brook.customer, who, "left")
    await site.recovering.confirm("ann", proposal)
    assert "kate@customer.example" in await mailed(site, "recovery")
    site.brook.clock.at_ms += WAIT_HOURS * HOUR
    await site.recovering.settle()
    assert await names(site) == {"Nia"}
    assert "nia@customer.example" in await mailed(site, "invitation")
