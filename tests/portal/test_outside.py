"""The pages of visits that are not recorded here: labelled so, told of, ended; and hostile words stay words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Table, insert

from connectors.contract import Operation
from gateway import notify
from gateway.access.month import Months, month_of
from gateway.access.outside import OutsideVisits, SignedInBy
from gateway.lifecycle import GrantState
from gateway.store.outside_tables import outside_visits
from gateway.store.tables import grants, requests, sites, systems
from tests.portal.approver import Approver, approver
from tests.portal.conftest import Site
from tests.support.planted import planted_id, row


def _by(table: Table, engineer: str) -> dict[str, str]:
    return {"engineer_id": engineer} if "engineer_id" in table.c else {}


LABEL = "Not recorded here"


@dataclass
class Stage:
    """Kate, signed in, and a visit that goes on under a permission of hers."""

    site: Site
    kate: Approver
    visits: OutsideVisits
    visit: Any

    @property
    def path(self) -> str:
        return f"/outside/{self.visit.id}"


@pytest.fixture
async def stage(site: Site) -> Stage:
    brook = site.brook
    await brook.agree(operations=frozenset({Operation.VIEW, Operation.VISIT}))
    kate = await approver(site)
    wanted = frozenset({Operation.VISIT})
    request = await brook.permission.submit(brook.engineer, brook.system, wanted, 60, "T-7", "The card is broken")
    grant = await brook.say_yes(request, kate.id)
    assert grant is not None
    visits = OutsideVisits(brook.store, brook.audit, brook.permission)
    who = SignedInBy(brook.engineer, "totp", "SHA256:x", "192.0.2.1")
    return Stage(site, kate, visits, await visits.start(who, brook.system, grant))


async def test_each_page_says_that_it_is_not_recorded_here(stage: Stage) -> None:
    kate = stage.kate
    for path in ("/visits", "/outside", stage.path):
        page = await kate.page(path)
        assert LABEL in page, path
        assert "Frameroom is not in between" in page.replace("\n", " "), path
    assert "Nobody is in your phone systems" not in await kate.page("/visits")
    assert "The engineer says so when the visit is over" in await kate.page(stage.path)


async def test_what_the_engineer_says_stands_there_as_theirs_and_as_text(stage: Stage) -> None:
    words = "Changed <b>the card</b>\nsecond line, see http://evil.example " + "x" * 700
    await stage.visits.done(stage.visit, words)
    page = await stage.kate.page(stage.path)
    assert "in the engineer&#39;s own words" in page or "in the engineer's own words" in page
    assert "&lt;b&gt;the card&lt;/b&gt;" in page
    assert "<p>second line" in page
    assert page.count("x" * 200) >= 3, "nothing of a long line is left out"
    assert "http://evil" not in page
    assert "Nothing here can prove it" in page
    assert "after the end" not in page
    async with stage.site.brook.store.look(stage.site.brook.customer) as scope:
        looks = await stage.site.brook.audit.read(scope.connection, scope.customer_id, kinds=("looked.session",))
    assert [look.body["session"] for look in looks] == [stage.visit.id]
    assert "The engineer says what was done." in await stage.kate.page("/visits")


async def test_end_now_ends_the_permission_and_says_not_told_yet(stage: Stage) -> None:
    assert (await stage.kate.send(f"{stage.path}/end")).status_code == 303
    page = await stage.kate.page(stage.path)
    assert "The visit has ended: the permission was ended by the customer." in page
    assert "Not told yet" in page
    assert "Not told yet" in await stage.kate.page("/visits")
    assert "Not told yet" in await stage.kate.page("/outside")
    (row,) = await stage.site.brook.rows(outside_visits)
    (grant,) = await stage.site.brook.rows(grants)
    assert (row.state, grant.state) == ("ended", GrantState.REVOKED)
    again = await stage.kate.send(f"{stage.path}/end")
    assert again.status_code == 303, "what is over is shown"
    await stage.visits.done(stage.visit, "Moved the cabinet")
    assert "after the end. Nothing here can prove it" in await stage.kate.page(stage.path)
    mails = [one.body for one in await stage.site.brook.waiting() if one.what == "own visit ended"]
    assert len(mails) == 1
    assert "stop what you are doing" in mails[0]


async def test_who_reads_alone_ends_nothing(stage: Stage) -> None:
    cookie = await stage.site.reader(stage.kate.id)
    assert "End now" not in (await stage.site.ask("GET", stage.path, cookie)).text
    refused = await stage.site.ask("POST", f"{stage.path}/end", cookie, data={"csrf": "x"})
    assert refused.status_code in {403, 401}
    (row,) = await stage.site.brook.rows(outside_visits)
    assert row.state == "open"


async def test_the_month_says_that_somebody_was_there(stage: Stage) -> None:
    brook = stage.site.brook

    async def said() -> str:
        async with brook.store.look(brook.customer) as scope:
            zone = await notify.zone_of(scope)
            page = await Months(brook.audit).page(scope, month_of(brook.permission.now, zone))
        return page.text()

    assert "still going on: the engineer says what was done when it is over" in await said()
    await stage.kate.send(f"{stage.path}/end")
    assert "not told yet, what was done" in await said()
    await stage.visits.done(stage.visit, "Moved the cabinet")
    text = await said()
    assert "which nothing here can prove" in text
    assert stage.visit.id in text


async def test_another_customer_s_visit_is_none_of_ours(stage: Stage) -> None:
    brook, kate = stage.site.brook, stage.kate
    other = await brook.directory.add_customer("t", "Neighbour")
    async with brook.store.everyone() as scope:
        for table in (sites, systems, requests, grants, outside_visits):
            await scope.execute(insert(table).values(**row(table, other) | _by(table, brook.engineer)))
    theirs = planted_id("outside_visits", other)
    for path in (f"/outside/{theirs}", "/outside/vis_nothing", "/outside/ses_nothing"):
        assert (await stage.site.ask("GET", path, kate.cookie)).status_code == 404
        assert (await kate.send(f"{path}/end")).status_code == 404
    assert theirs not in await kate.page("/outside")
