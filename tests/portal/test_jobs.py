"""Work that the customer asks for: signed once, it is the permission for just that, for whoever takes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.contract import Operation
from gateway.access.taking import Taking
from gateway.errors import NotFoundError, StateError
from gateway.lifecycle import GrantState, JobState
from gateway.model import DAY, HOUR
from gateway.store.portal_tables import jobs
from gateway.store.tables import grants
from tests.portal.approver import Approver, approver
from tests.portal.conftest import Site


def taking(site: Site) -> Taking:
    return Taking(site.brook.store, site.brook.audit, site.brook.permission)


def wanted(site: Site, **more: Any) -> dict[str, Any]:
    until = datetime.fromtimestamp((site.brook.clock.now() + DAY) / 1000, ZoneInfo("Europe/London"))
    return {
        "what": "Change Grace's name", "for": "Grace", "system": site.brook.system.id, "operations": ["view", "alter"],
        "until": until.strftime("%Y-%m-%dT%H:%M"),
    } | more  # fmt: skip


async def the_job(site: Site) -> Any:
    return (await site.brook.rows(jobs))[0]


async def asked(site: Site, kate: Approver) -> int:
    assert (await kate.sign("/jobs", **wanted(site))).status_code == 200
    return int((await the_job(site)).number)


async def test_a_signed_job_is_taken_with_the_permission_that_it_is_and_done(site: Site) -> None:
    kate = await approver(site)
    number = await asked(site, kate)
    assert "Waits for an engineer" in await kate.page("/jobs")
    (seen,) = await taking(site).for_engineer(site.brook.engineer)
    assert (seen.number, seen.asker, seen.what) == (number, "Kate", "Change Grace's name")
    grant = await taking(site).take(site.brook.engineer, number)
    assert grant.operations == {Operation.VIEW, Operation.ALTER}
    assert grant.until_ms == site.brook.clock.now() + 8 * HOUR  # as long as the agreement lets a visit be
    assert (grant.approver_ids, grant.job_id) == ((kate.id,), (await the_job(site)).id)
    assert (await taking(site).take(site.brook.engineer, number)).id == grant.id
    await taking(site).done(site.brook.engineer, number, "Grace Bell it is")
    assert "Done, says the engineer" in await kate.page("/jobs")
    mails = [row.body for row in await site.brook.waiting() if row.what == "job"]
    assert any("Grace Bell it is" in body for body in mails)
    assert any("Change Grace&#39;s name" in body or "Change Grace's name" in body for body in mails)
    with pytest.raises(NotFoundError):
        await taking(site).take(site.brook.engineer, number)


async def test_what_was_signed_is_what_stands_in_the_job(site: Site) -> None:
    kate = await approver(site)
    fields = wanted(site)
    told = (await kate.post("/jobs/options", fields)).json()
    answer = kate.key.get(told["challenge"])
    for other in ({"operations": ["view", "remove"]}, {"what": "Remove Grace"}, {"for": "Omar"}):
        sent = fields | told["keep"] | other | {"answer": answer}
        assert (await kate.post("/jobs/yes", sent)).status_code in {403, 422}
    assert await site.brook.rows(jobs) == []


async def test_a_job_that_is_sent_twice_is_one(site: Site) -> None:
    kate = await approver(site)
    fields = wanted(site)
    told = (await kate.post("/jobs/options", fields)).json()
    sent = fields | told["keep"] | {"answer": kate.key.get(told["challenge"])}
    assert [(await kate.post("/jobs/yes", sent)).status_code for _ in range(2)] == [200, 409]
    for made_up in ("job_1", "job_" + "A" * 24, "job_" + "0" * 400):
        assert (await kate.post("/jobs/yes", sent | {"job": made_up})).status_code == 422
    assert len(await site.brook.rows(jobs)) == 1


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"what": " "}, 422), ({"what": "x" * 501}, 422), ({"operations": []}, 422), ({"operations": ["root"]}, 422),
        ({"operations": ["diag"]}, 422), ({"until": "yesterday"}, 422), ({"until": "2001-01-01T00:00"}, 422),
        ({"until": "2999-01-01T00:00"}, 422), ({"system": "sys_other"}, 404), ({"operations": "view"}, 422),
    ],
)  # fmt: skip
async def test_a_job_that_cannot_be_is_refused_before_it_is_signed(site: Site, wrong: Any, status: int) -> None:
    kate = await approver(site)
    assert (await kate.post("/jobs/options", wanted(site, **wrong))).status_code == status


async def test_a_job_that_wants_two_signatures_waits_for_the_second(site: Site) -> None:
    await site.brook.agree(approvals_needed=2)
    kate = await approver(site)
    omar = await approver(site, "Omar", kate.id)
    number = await asked(site, kate)
    assert await taking(site).for_engineer(site.brook.engineer) == []
    path = f"/jobs/{(await the_job(site)).id}"
    assert (await kate.sign(path)).status_code == 409
    assert (await omar.sign(path, kate.key)).status_code == 403
    assert "Sign it too" in await omar.page("/jobs")
    assert (await omar.sign(path)).status_code == 200
    assert set((await taking(site).take(site.brook.engineer, number)).approver_ids) == {kate.id, omar.id}


async def test_a_job_that_is_wanted_no_more_ends_its_permission(site: Site) -> None:
    kate = await approver(site)
    number = await asked(site, kate)
    await taking(site).take(site.brook.engineer, number)
    assert (await kate.send(f"/jobs/{(await the_job(site)).id}/withdraw")).status_code == 303
    assert (await site.brook.rows(grants))[0].state == GrantState.REVOKED
    assert (await the_job(site)).state == JobState.WITHDRAWN
    assert (await kate.send(f"/jobs/{(await the_job(site)).id}/withdraw")).status_code == 409


async def test_after_the_permission_ran_out_the_same_engineer_takes_it_again(site: Site) -> None:
    kate = await approver(site)
    number = await asked(site, kate)
    first = await taking(site).take(site.brook.engineer, number)
    site.brook.clock.at_ms += 9 * HOUR
    await site.brook.permission.expire()
    second = await taking(site).take(site.brook.engineer, number)
    assert second.id != first.id


async def test_only_an_engineer_on_the_list_sees_a_job_and_only_one_takes_it(site: Site) -> None:
    kate = await approver(site)
    number = await asked(site, kate)
    with pytest.raises(NotFoundError):
        await taking(site).take("eng_other", number)
    job = await the_job(site)
    await taking(site).take(site.brook.engineer, number)
    late = taking(site)
    late._numbered = lambda *_: _found(job)  # type: ignore[method-assign,assignment]
    with pytest.raises(StateError, match="Somebody else"):
        await late.take("eng_other", number)


async def _found(job: Any) -> Any:
    """As the list stood before somebody else was faster."""
    return job
