"""The agreement: read in words, signed by as many as it takes, withdrawn; and what it permits without asking."""

from __future__ import annotations

import pytest

from connectors.contract import Operation
from gateway.errors import NotPermittedError
from gateway.lifecycle import AgreementState, GrantState, RequestState
from gateway.model import Terms
from gateway.store.tables import agreements, grants
from tests.portal.approver import Approver, approver
from tests.portal.conftest import Site

VIEW = frozenset({Operation.FIND, Operation.VIEW})


async def drawn_up(site: Site, **terms: object) -> int:
    given = {"operations": VIEW | {Operation.ALTER}, "ticket_required": False} | terms
    return await site.brook.directory.set_agreement("t", site.brook.customer, Terms(**given))  # type: ignore[arg-type]


async def state(site: Site) -> AgreementState:
    rows = sorted(await site.brook.rows(agreements), key=lambda row: row.version)
    return AgreementState(rows[-1].state)


async def signed(kate: Approver, version: int) -> int:
    return (await kate.sign("/agreement", version=version)).status_code


async def test_once_there_is_a_key_only_the_customer_confirms(site: Site) -> None:
    kate = await approver(site)
    version = await drawn_up(site)
    with pytest.raises(NotPermittedError, match="own key"):
        await site.brook.directory.confirm_agreement("t", site.brook.customer, "Kate", "letter")
    page = await kate.page("/agreement")
    assert "waits for your signature" in page
    assert "see one person&#39;s name, email and direct number" in page
    assert await signed(kate, version + 1) == 409
    assert await signed(kate, version) == 200
    assert await state(site) is AgreementState.CONFIRMED
    assert await signed(kate, version) == 409
    mails = [row.body for row in await site.brook.waiting() if row.what == "agreement"]
    assert any("It is confirmed now" in body for body in mails)


async def test_one_signature_cannot_lower_how_many_it_takes(site: Site) -> None:
    await site.brook.agree(approvals_needed=2)
    kate = await approver(site)
    omar = await approver(site, "Omar", kate.id)
    version = await drawn_up(site, approvals_needed=1)
    assert await signed(kate, version) == 200
    assert await state(site) is AgreementState.DRAFT
    assert await signed(kate, version) == 409
    assert "1 of 2 of you have signed" in await omar.page("/agreement")
    assert await signed(omar, version) == 200
    assert await state(site) is AgreementState.CONFIRMED


async def test_a_signature_under_one_version_is_none_under_the_next(site: Site) -> None:
    kate = await approver(site)
    version = await drawn_up(site)
    told = (await kate.post("/agreement/options", {"version": version})).json()
    answer = kate.key.get(told["challenge"])
    later = await drawn_up(site, consent_by_phone=True)
    for sent in ({"version": version}, {"version": later}):
        assert (await kate.post("/agreement/yes", sent | {"answer": answer})).status_code in {403, 409}
    assert await state(site) is AgreementState.DRAFT


async def test_withdrawn_every_permission_ends(site: Site) -> None:
    kate = await approver(site)
    await kate.yes(await site.brook.ask())
    assert (await kate.send("/agreement/withdraw")).status_code == 303
    assert await state(site) is AgreementState.WITHDRAWN
    assert (await site.brook.rows(grants))[0].state == GrantState.REVOKED


async def test_what_stands_agreed_is_permitted_at_once_and_nothing_beside_it(site: Site) -> None:
    kate = await approver(site)
    version = await drawn_up(site, standing=VIEW)
    await signed(kate, version)
    assert "without asking you each time" in await kate.page("/agreement")
    submit = site.brook.permission.submit
    request = await submit(site.brook.engineer, site.brook.system, VIEW, 60, "", "Look")
    assert request.state is RequestState.GRANTED
    (grant,) = await site.brook.rows(grants)
    assert (grant.how, grant.approver_ids) == (f"standing agreement, version {version}", "")
    beside = await submit(site.brook.engineer, site.brook.system, VIEW | {Operation.ALTER}, 60, "", "Alter")
    assert beside.state is RequestState.WAITING


def test_standing_goes_no_further_than_the_agreement() -> None:
    with pytest.raises(ValueError, match="standing names what operations does not"):
        Terms(operations=VIEW, standing=frozenset({Operation.REMOVE}))
