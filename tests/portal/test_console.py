"""Commands of the phone system's prompt that stay off until the customer signs that they are on."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, update

from audit.log import Row
from connectors.contract import Operation
from gateway.access.console import ConsoleLists, switched_on
from gateway.errors import InvalidError, NotPermittedError
from gateway.store.tables import console_lists, systems
from tests.portal.approver import approver
from tests.portal.conftest import Site
from tests.support.planted import row

CONSOLE = frozenset({Operation.FIND, Operation.CONSOLE_LOOK, Operation.CONSOLE_ACT})
RELOAD, HANGUP = "core-reload", "channel-request-hangup-x"


def lists(site: Site) -> ConsoleLists:
    return ConsoleLists(site.brook.store, site.brook.audit, site.passkeys)


async def on(site: Site) -> tuple[int, frozenset[str]]:
    async with site.brook.store.scope(site.brook.customer) as scope:
        listed = await switched_on(scope, site.brook.system.id)
    return listed.version, listed.entries


def path(site: Site) -> str:
    return f"/console/{site.brook.system.id}"


async def entries(site: Site, kind: str) -> list[Row]:
    async with site.brook.store.look(site.brook.customer) as scope:
        return list(await site.brook.audit.read(scope.connection, site.brook.customer, kinds=(kind,)))


async def test_what_is_ticked_and_signed_is_on_and_nothing_else(site: Site) -> None:
    await site.brook.agree(operations=CONSOLE)
    kate = await approver(site)
    page = await kate.page(path(site))
    assert "Have every part read its configuration again; calls go on." in page
    assert "core restart gracefully" in page
    assert "pjsip show endpoints" in page
    done = await kate.sign(path(site), operations=[RELOAD, "queue-show"], version=0)
    assert (done.status_code, done.json()) == (200, {"go": path(site)})
    assert await on(site) == (1, frozenset({RELOAD, "queue-show"}))
    (signed,) = await entries(site, "console.signed")
    (changed,) = await entries(site, "console.changed")
    assert (signed.body["data"]["list"], signed.body["data"]["entries"]) == (1, [RELOAD, "queue-show"])
    assert changed.body["data"] == {
        "list": 1, "entries": [RELOAD, "queue-show"], "how": "signed with the approver's own key",
    }  # fmt: skip
    mails = [row.body for row in await site.brook.waiting() if row.what == "console changed"]
    assert any("core reload: have every part read its configuration again" in body for body in mails)
    assert "2 more commands are switched on" in await kate.page("/console")


async def test_a_signature_is_for_one_list_once(site: Site) -> None:
    await site.brook.agree(operations=CONSOLE)
    kate = await approver(site)
    told = (await kate.post(f"{path(site)}/options", {"operations": [RELOAD], "version": 0})).json()
    answer = kate.key.get(told["challenge"])
    for sent in ({"operations": [RELOAD, HANGUP], "version": 0}, {"operations": [HANGUP], "version": 0}):
        assert (await kate.post(f"{path(site)}/yes", sent | {"answer": answer})).status_code == 403
    assert await on(site) == (0, frozenset())
    sent = {"operations": [RELOAD], "version": 0, "answer": answer}
    assert (await kate.post(f"{path(site)}/yes", sent)).status_code == 200
    assert (await kate.send(f"{path(site)}/off")).status_code == 303
    assert await on(site) == (2, frozenset())
    for version in (0, 2):
        again = await kate.post(f"{path(site)}/yes", sent | {"version": version})
        assert again.status_code in {403, 409}, "what was signed once switches nothing on again"
    assert await on(site) == (2, frozenset())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"operations": ["pjsip-show-auth"], "version": 0}, 422),
        ({"operations": ["core-show-version"], "version": 0}, 422),
        ({"operations": [], "version": 0}, 422), ({"operations": [RELOAD], "version": 7}, 409),
        ({"operations": [RELOAD]}, 422), ({"operations": "core-reload", "version": 0}, 422), ({"version": 0}, 422),
        ({"operations": [7], "version": 0}, 422), ({"operations": [RELOAD] * 101, "version": 0}, 422),
    ],
)  # fmt: skip
async def test_nothing_but_the_catalogue_can_be_switched_on(site: Site, sent: dict, status: int) -> None:
    await site.brook.agree(operations=CONSOLE)
    kate = await approver(site)
    assert (await kate.post(f"{path(site)}/options", sent)).status_code == status
    assert await site.brook.rows(console_lists) == []


async def test_without_an_agreement_that_names_it_nothing_can(site: Site) -> None:
    kate = await approver(site)
    assert "does not let anybody type" in await kate.page(path(site))
    assert "does not let anybody type" in await kate.page("/console")
    assert (await kate.sign(path(site), operations=[RELOAD], version=0)).status_code == 403


async def test_as_many_sign_as_a_visit_takes(site: Site) -> None:
    await site.brook.agree(operations=CONSOLE, approvals_needed=2)
    kate = await approver(site)
    omar = await approver(site, "Omar", kate.id)
    assert (await kate.sign(path(site), operations=[RELOAD], version=0)).status_code == 200
    assert (await kate.sign(path(site), operations=[RELOAD], version=0)).status_code == 409, "not twice by one"
    assert await on(site) == (0, frozenset())
    page = await omar.page(path(site))
    assert "Kate signed (1 of 2)" in page
    assert "Sign it too" in page
    assert "Sign it too" not in await kate.page(path(site))
    assert (await omar.sign(path(site), operations=[HANGUP], version=0)).status_code == 200
    assert await on(site) == (0, frozenset()), "two who want two things are no two"
    assert (await omar.sign(path(site), operations=[RELOAD], version=0)).status_code == 200
    assert await on(site) == (1, frozenset({RELOAD}))
    (changed,) = await entries(site, "console.changed")
    assert changed.body["data"]["how"] == "signed with 2 own keys"
    assert "Waits for more signatures" not in await kate.page(path(site))


async def test_staff_may_switch_off_always_and_on_only_where_a_call_counts(site: Site) -> None:
    await site.brook.agree(operations=CONSOLE, consent_by_phone=False)
    kate = await approver(site)
    customer, system, more = site.brook.customer, site.brook.system.id, lists(site).more_by_staff
    with pytest.raises(NotPermittedError, match="does not let you switch a command on"):
        await more(customer, "t", system, [RELOAD], "Kate", "a call")
    await kate.sign(path(site), operations=[RELOAD, HANGUP], version=0)
    await lists(site).fewer_by_staff(customer, "t", system, [HANGUP], "Kate", "a call")
    assert await on(site) == (2, frozenset({RELOAD}))
    with pytest.raises(InvalidError, match="not switched on"):
        await lists(site).fewer_by_staff(customer, "t", system, [HANGUP], "Kate", "a call")
    for by, how in (("", "a call"), ("Kate", " ")):
        with pytest.raises(InvalidError, match="say who"):
            await lists(site).fewer_by_staff(customer, "t", system, [], by, how)


async def test_a_call_counts_where_the_agreement_says_so(site: Site) -> None:
    await site.brook.agree(operations=CONSOLE)
    await site.brook.approver("Kate", "kate@customer.example")
    customer, system, more = site.brook.customer, site.brook.system.id, lists(site).more_by_staff
    with pytest.raises(NotPermittedError, match="no approver of this customer"):
        await more(customer, "t", system, [RELOAD], "Mallory", "a call")
    with pytest.raises(InvalidError, match="no command that can be switched on"):
        await more(customer, "t", system, ["database-show"], "Kate", "a call")
    await more(customer, "t", system, [RELOAD], "Kate", "a call")
    await more(customer, "t", system, [HANGUP], "KATE@customer.example", "a call")
    assert await on(site) == (2, frozenset({RELOAD, HANGUP}))
    (_, last) = await entries(site, "console.changed")
    assert last.body["data"]["how"] == "by telephone, recorded by staff"
    async with site.brook.store.look(customer) as scope:
        told = await site.brook.audit.personal(scope.connection, last)
    assert told == {"by": "Kate", "how": "by telephone, recorded by staff: a call"}


async def test_a_phone_system_whose_connector_is_gone_has_a_page_all_the_same(site: Site) -> None:
    await site.brook.agree(operations=CONSOLE)
    kate = await approver(site)
    async with site.brook.store.scope(site.brook.customer) as scope:
        here = systems.c.customer_id == site.brook.customer
        await scope.execute(update(systems).where(here).values(connector="gone"))
    assert "There is nothing to switch on" in await kate.page(path(site))
    refused = await kate.sign(path(site), operations=[RELOAD], version=0)
    assert refused.status_code == 422


async def test_another_customer_s_phone_system_is_none_of_ours(site: Site) -> None:
    await site.brook.agree(operations=CONSOLE)
    kate = await approver(site)
    other = await site.brook.directory.add_customer("t", "Neighbour")
    async with site.brook.store.scope(other) as scope:
        theirs = row(systems, other) | {"site_id": None}
        await scope.execute(insert(systems).values(**theirs))
    for system in (theirs["id"], "sys_nothing"):
        assert (await site.ask("GET", f"/console/{system}", kate.cookie)).status_code == 404
        for what in ("options", "yes"):
            sent = {"operations": [RELOAD], "version": 0, "answer": {}}
            assert (await kate.post(f"/console/{system}/{what}", sent)).status_code == 404
        assert (await kate.send(f"/console/{system}/off")).status_code == 404
