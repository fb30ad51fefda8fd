"""Access on and off, and the veto, as an approver turns them in the portal."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from gateway.access.switch import Switch
from gateway.errors import NotPermittedError
from gateway.model import HOUR, AccessMode
from gateway.policy import access_is_on
from gateway.store.tables import roster
from tests.portal.approver import Approver, approver
from tests.portal.conftest import Site


async def turned(kate: Approver, **form: str) -> int:
    return (await kate.send("/access", **form)).status_code


async def vetoed(site: Site) -> bool:
    async with site.brook.store.look(site.brook.customer) as scope:
        return bool((await scope.execute(select(roster.c.vetoed))).scalar_one())


async def is_on(site: Site) -> bool:
    value = await Switch(site.brook.store, site.brook.audit).show(site.brook.customer)
    return access_is_on(value, site.brook.clock.now())


async def test_off_now_on_and_for_the_next_hours(site: Site) -> None:
    kate = await approver(site)
    assert await turned(kate, mode="off") == 303
    assert (await is_on(site), "Access is off" in await kate.page("/access")) == (False, True)
    assert await turned(kate, mode="for", hours="4") == 303
    assert await is_on(site)
    site.brook.clock.at_ms += 4 * HOUR
    assert not await is_on(site)
    assert await turned(kate, mode="on") == 303
    assert "Access is on" in await kate.page("/access")
    told = [row.body for row in await site.brook.waiting() if row.what == "access changed"]
    assert "Kate (in the portal)" in told[0]


async def test_until_and_weekly_by_the_customers_clock(site: Site) -> None:
    kate = await approver(site)  # it is Monday 21 September 2026, 15:13 in London
    assert await turned(kate, mode="until", until="2026-09-21T16:00") == 303
    value = await Switch(site.brook.store, site.brook.audit).show(site.brook.customer)
    assert (value.mode, value.until_ms) == (AccessMode.UNTIL, 1_790_002_800_000)
    assert await turned(kate, mode="weekly", spans="mon-fri 08:00-18:00, sat 09:00-12:00") == 303
    assert "sat 09:00-12:00" in await kate.page("/access")
    for wrong in (
        {"mode": "until", "until": "soon"}, {"mode": "until", "until": "2001-01-01T00:00"}, {"mode": "for"},
        {"mode": "for", "hours": "²"}, {"mode": "for", "hours": "-1"}, {"mode": "weekly", "spans": ""},
        {"mode": "weekly", "spans": "always"}, {"mode": "open"}, {},
    ):  # fmt: skip
        assert await turned(kate, **wrong) == 422, wrong
    assert "sat 09:00-12:00" in await kate.page("/access")


async def test_the_customers_veto_is_theirs_to_take_back(site: Site) -> None:
    kate = await approver(site)
    path = f"/engineers/{site.brook.engineer}"
    assert (await kate.send(f"{path}/veto")).status_code == 303
    assert await vetoed(site)
    assert "Struck off your list" in await kate.page("/access")
    with pytest.raises(NotPermittedError, match="themselves"):
        await site.brook.directory.name_engineer("t", site.brook.customer, site.brook.engineer)
    assert (await kate.send(f"{path}/allow")).status_code == 303
    assert not await vetoed(site)
    assert (await kate.send("/engineers/eng_none/veto")).status_code == 404
