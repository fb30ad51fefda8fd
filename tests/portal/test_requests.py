"""The customer's answer: a yes signed over exactly one request, to less, by several persons; a no; an end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import update

from audit import assertions
from audit.assertions import Assertion, from_text
from connectors.operations import Operation
from gateway.errors import NotPermittedError
from gateway.lifecycle import GrantState, RequestState
from gateway.model import DAY, MINUTE, Request
from gateway.store.tables import approvals, approvers, engineers, grants, requests, systems
from tests.portal.approver import Approver, approver
from tests.portal.conftest import SITE, Site


async def bodies(site: Site, what: str) -> list[str]:
    return [row.body for row in await site.brook.waiting() if row.what == what]


async def the_grant(site: Site) -> Any:
    return (await site.brook.rows(grants))[0]


async def test_a_yes_from_the_mailed_link_permits_just_what_was_asked(site: Site) -> None:
    kate = await approver(site)
    site.brook.permission.pages = lambda: SITE
    request = await site.brook.ask()
    assert f"{SITE}/requests/{request.id}" in (await bodies(site, "request waiting"))[0]
    page = await kate.page(f"/requests/{request.id}")
    for words in ("Ana Silva", "Head office", "Grace married", "T-7", "1 hour", "Nobody has been in here before"):
        assert words in page
    assert (await kate.yes(request)).json() == {"go": f"/requests/{request.id}"}
    grant = await the_grant(site)
    assert (grant.operations, grant.until_ms) == (" ".join(sorted(request.operations)), request.until_ms)
    assert grant.how == "signed with the approver's own key"
    mail = (await bodies(site, "answered"))[0]
    assert request.digest in mail
    assert "Ana Silva" in mail
    assert "Grace married" in mail
    assert "Granted" in await kate.page("/")


@pytest.mark.parametrize(("wanted", "recorded", "alone"), [
    ({"view"}, True, False), ({"view", "visit"}, False, False), ({"visit"}, False, True),
])  # fmt: skip
async def test_whoever_says_yes_reads_what_is_not_recorded_and_no_promise_that_does_not_hold_of_it(
    site: Site, wanted: set[str], recorded: bool, alone: bool
) -> None:
    brook, names = site.brook, frozenset(map(Operation, wanted))
    await brook.agree(operations=names)
    kate = await approver(site)
    request = await brook.permission.submit(brook.engineer, brook.system, names, 60, "T-7", "The card is broken")
    page = await kate.page(f"/requests/{request.id}")
    assert ("all of it is recorded" in page) is recorded
    assert ("Nothing of that holds of a visit" in page) is (not recorded and not alone)
    assert ("there is no free command line" in page) is not alone
    assert ("Not recorded here" in page) is not recorded


async def test_whoever_says_yes_reads_what_weakens_the_way_to_their_phone_system(site: Site) -> None:
    kate = await approver(site)
    request = await site.brook.ask()
    assert "weaker than usual" not in await kate.page(f"/requests/{request.id}")
    old = {"connector": "avaya-cm", "settings": json.dumps({"login": "x", "ssh": "group1"})}
    async with site.brook.store.scope(site.brook.customer) as scope:
        here = (systems.c.customer_id == site.brook.customer) & (systems.c.id == site.brook.system.id)
        await scope.execute(update(systems).where(here).values(**old))
    assert "weaker than usual: very old SSH (profile group1)" in await kate.page(f"/requests/{request.id}")


async def test_what_is_kept_holds_without_us(site: Site) -> None:
    kate = await approver(site)
    request = await site.brook.ask()
    await kate.yes(request)
    async with site.brook.store.look(site.brook.customer) as scope:
        rows = await site.brook.audit.read(scope.connection, site.brook.customer)
        told = {row.body["kind"]: row for row in rows}
        words = await site.brook.audit.personal(scope.connection, told["approval.signed"])
    signed, enrolled = told["approval.signed"].body["data"], told["approver.key_enrolled"].body["data"]
    assert words["request"] == request.canonical
    kept = json.loads((await site.brook.rows(approvals))[0].assertion)
    assert {name: signed[name] for name in kept} == kept
    parts = [from_text(kept[name].replace("+", "-").replace("/", "_").rstrip("=")) for name in kept]
    public = from_text(enrolled["public_key"].replace("+", "-").replace("/", "_").rstrip("="))
    assertions.check(Assertion(*parts), public, bytes.fromhex(request.digest), "portal.example")


async def test_a_yes_to_less_permits_less_and_can_never_be_wider(site: Site) -> None:
    kate = await approver(site)
    request = await site.brook.ask()
    soon = site.brook.clock.now() + 15 * MINUTE
    for wider in (
        {"operations": ["view", "remove"]}, {"until": request.until_ms + 1}, {"operations": []},
        {"until": request.from_ms}, {"operations": "view"}, {"until": "9"}, {"until": True}, {"operations": [["view"]]},
    ):  # fmt: skip
        assert (await kate.yes(request, **wider)).status_code == 422, wider
    assert (await kate.yes(request, operations=["view"], until=soon)).status_code == 200
    grant = await the_grant(site)
    assert (grant.operations, grant.until_ms) == ("view", soon)
    assert "request.narrowed" in await site.brook.kinds()


async def test_a_signature_over_one_thing_permits_no_other(site: Site) -> None:
    """The engineer, or whoever sits between, sends what Kate signed with other ticks."""
    kate = await approver(site)
    one, other = await site.brook.ask(), await site.brook.ask("Something else")
    wanted = await kate.wanted(one)
    options = (await kate.post(f"/requests/{one.id}/options", {**wanted, "operations": ["view"]})).json()
    answer = kate.key.get(options["challenge"])
    for request, sent in ((one, wanted), (other, {**wanted, "operations": ["view"]}), (one, {**wanted, "until": 1})):
        refused = await kate.post(f"/requests/{request.id}/yes", {**sent, "answer": answer})
        assert refused.status_code in {403, 422}
    for nonsense in (None, "x", [], {"rawId": 1}, {"rawId": "AAAA"}, {"rawId": answer["rawId"], "response": {}}):
        assert (await kate.post(f"/requests/{one.id}/yes", {**wanted, "answer": nonsense})).status_code == 403
    assert await site.brook.rows(grants) == []


async def test_only_the_persons_own_verified_key_says_yes(site: Site) -> None:
    kate = await approver(site)
    omar = await approver(site, "Omar", kate.id)
    request = await site.brook.ask()
    assert (await kate.yes(request, key=omar.key)).status_code == 403
    kate.key.flags = 0x01  # present, not verified
    assert (await kate.yes(request)).status_code == 403
    reader = await site.reader(kate.id)
    me = await site.sign_ins.who(reader)
    assert me is not None
    page = (await site.ask("GET", f"/requests/{request.id}", reader)).text
    assert "data-passkey" not in page
    assert "sign in with your passkey" in page
    assert await site.brook.rows(grants) == []


async def test_two_persons_have_to_say_yes_and_one_twice_is_one(site: Site) -> None:
    await site.brook.agree(approvals_needed=2)
    kate = await approver(site)
    omar = await approver(site, "Omar", kate.id)
    request = await site.brook.ask()
    assert (await kate.yes(request)).status_code == 200
    assert (await kate.yes(request)).status_code == 409
    assert "1 of 2 people have said yes" in await omar.page(f"/requests/{request.id}")
    assert "You have said yes" in await kate.page(f"/requests/{request.id}")
    assert await site.brook.rows(grants) == []
    assert (await omar.yes(request)).status_code == 200
    assert set((await the_grant(site)).approver_ids.split()) == {kate.id, omar.id}


async def test_whoever_was_just_named_and_who_named_them_are_one_person_for_a_week(site: Site) -> None:
    await site.brook.agree(approvals_needed=2)
    kate = await approver(site)
    stooge = await approver(site, "Stooge", kate.id)
    theirs = await approver(site, "Theirs", stooge.id)
    await just_named(site, stooge, theirs)
    with pytest.raises(NotPermittedError, match="has 1 who may"):
        await site.brook.ask()
    zoe = await approver(site, "Zoe", kate.id)
    request = await site.brook.ask()
    for one in (kate, stooge, theirs):
        assert (await one.yes(request)).status_code == 200
    page = await zoe.page(f"/requests/{request.id}")
    assert "1 of 2 people have said yes" in page
    assert "counts together with the person who named them" in page
    assert await site.brook.rows(grants) == []
    assert (await zoe.yes(request)).status_code == 200
    assert zoe.id in (await the_grant(site)).approver_ids


async def test_after_a_week_in_which_nobody_took_them_away_a_newcomer_counts(site: Site) -> None:
    await site.brook.agree(approvals_needed=2)
    kate = await approver(site)
    omar = await approver(site, "Omar", kate.id)
    await just_named(site, omar)
    site.brook.clock.at_ms += 7 * DAY
    request = await site.brook.ask()
    for one in (kate, omar):
        one.cookie = await site.cookie(one.key)
        assert (await one.yes(request)).status_code == 200
    assert set((await the_grant(site)).approver_ids.split()) == {kate.id, omar.id}


async def just_named(site: Site, *newcomers: Approver) -> None:
    """As the portal has it: the fixtures name everybody long ago."""
    async with site.brook.store.scope(site.brook.customer) as scope:
        mine = approvers.c.customer_id == site.brook.customer
        ids = [one.id for one in newcomers]
        now = site.brook.clock.now()
        await scope.execute(update(approvers).where(mine, approvers.c.id.in_(ids)).values(added_ms=now))


async def test_a_yes_to_less_voids_the_yes_to_more(site: Site) -> None:
    await site.brook.agree(approvals_needed=2)
    kate = await approver(site)
    omar = await approver(site, "Omar", kate.id)
    request = await site.brook.ask()
    await kate.yes(request)
    await omar.yes(request, operations=["view"])
    assert await site.brook.rows(grants) == []
    assert "does not count any more" in await kate.page(f"/requests/{request.id}")
    assert (await kate.yes(request)).status_code == 422  # what was asked first is wider now
    assert (await kate.yes(request, operations=["view"])).status_code == 200
    assert (await the_grant(site)).operations == "view"


async def test_a_signed_yes_and_one_by_telephone_count_together_and_are_told_apart(site: Site) -> None:
    await site.brook.agree(approvals_needed=2)
    kate = await approver(site)
    omar = await site.brook.approver("Omar", "omar@customer.example", kate.id)
    request = await site.brook.ask()
    await site.brook.say_yes(request, omar)
    await kate.yes(request)
    assert (await the_grant(site)).how == "signed with the approver's own key; by telephone, recorded by Bo"


async def test_a_no_ends_it_and_asking_again_has_to_wait(site: Site) -> None:
    kate = await approver(site)
    request = await site.brook.ask()
    assert (await kate.no(request, " ")).status_code == 422
    assert (await kate.no(request, "We are closing <b>")).status_code == 303
    assert (await site.brook.rows(requests))[0].state == RequestState.DENIED
    assert "We are closing &lt;b&gt;" in await kate.page(f"/requests/{request.id}")
    assert any("We are closing" in body for body in await bodies(site, "answered engineer"))
    assert (await kate.yes(request)).status_code == 409
    with pytest.raises(NotPermittedError, match="said no"):
        await site.brook.ask()
    site.brook.clock.at_ms += 16 * MINUTE
    assert (await site.brook.ask()).state is RequestState.WAITING


async def test_nobody_says_yes_to_their_own_request_or_to_one_that_is_over(site: Site) -> None:
    kate = await approver(site)
    request = await site.brook.ask()
    mine = engineers.c.id == site.brook.engineer
    async with site.brook.store.scope(site.brook.customer) as scope:
        await scope.execute(update(engineers).where(mine).values(email="Kate@customer.example"))
    assert (await kate.yes(request)).status_code == 403
    await site.brook.permission.withdraw("t", site.brook.customer, request.id)
    assert (await kate.yes(request)).status_code == 409
    assert (await kate.yes(Request(**{**_fields(request), "id": "req_none"}))).status_code == 404


def _fields(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in Request.__dataclass_fields__}


async def test_a_permission_is_ended_on_the_first_page(site: Site) -> None:
    kate = await approver(site)
    await kate.yes(await site.brook.ask())
    grant = await the_grant(site)
    assert "End it now" in await kate.page("/")
    assert (await kate.send(f"/permissions/{grant.id}/end")).status_code == 303
    assert (await the_grant(site)).state == GrantState.REVOKED
    assert "Nobody may come in" in await kate.page("/")
