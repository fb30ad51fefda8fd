"""How an approver is told, and the customer's contacts, as pages: on both databases."""

from __future__ import annotations

import re

import pytest

from gateway.notify import deliveries_of
from gateway.store.tables import contacts
from gateway.store.telling_tables import absences, channels
from tests.portal.conftest import Site
from tests.support.receiver import receiving

KATE, OMAR = "k@customer.example", "o@customer.example"


class Visitor:
    """Somebody signed in."""

    def __init__(self, site: Site, cookie: str, csrf: str) -> None:
        self.site, self.cookie, self._csrf = site, cookie, csrf

    async def id(self) -> str:
        me = await self.site.sign_ins.who(self.cookie)
        assert me is not None
        return me.approver_id

    async def page(self, path: str) -> str:
        answer = await self.site.ask("GET", path, self.cookie)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def send(self, path: str, status: int = 303, **data: str) -> str:
        answer = await self.site.ask("POST", path, self.cookie, data={"csrf": self._csrf} | data)
        assert answer.status_code == status, answer.text
        return answer.text if status != 303 else await self.page(answer.headers["location"])


@pytest.fixture
async def kate(site: Site) -> Visitor:
    approver = await site.brook.approver("Kate", KATE)
    key, _ = await site.enrol(await site.link(approver))
    cookie = await site.cookie(key)
    me = await site.sign_ins.who(cookie)
    assert me is not None
    return Visitor(site, cookie, me.csrf)


async def test_a_wish_is_kept_for_the_approver_and_the_contact_they_also_are(site: Site, kate: Visitor) -> None:
    await site.brook.contact("K@customer.example", "each")
    assert 'value="each" checked' in await kate.page("/notices")
    assert "Kept." in await kate.send("/notices", notices="daily")
    assert 'value="daily" checked' in await kate.page("/notices")
    (row,) = await site.brook.rows(contacts)
    assert row.notices == "daily"
    assert {"notices.set", "contact.changed"} <= set(await site.brook.kinds())
    assert "Choose one of them" in await kate.send("/notices", 422, notices="loud")


async def test_a_webhook_is_added_tried_and_taken_away_and_never_shown(site: Site, kate: Visitor) -> None:
    async with receiving() as hook:
        told = await kate.send("/notices/channels", name="<b>Office</b>", address=hook.url)
        assert "&lt;b&gt;Office&lt;/b&gt;" in told
        assert "canary" not in told
        (row,) = await site.brook.rows(channels)
        assert "The service took the test" in await kate.send(f"/notices/channels/{row.id}/test")
        assert len(hook.kept) == 1
        assert "a moment ago" in await kate.send(f"/notices/channels/{row.id}/test", 422)
    assert "Taken away" in await kate.send(f"/notices/channels/{row.id}/remove")
    assert await site.brook.rows(channels) == []
    refused = await kate.send("/notices/channels", 422, name="x", address="file:///etc/passwd")
    assert "It cannot be used" in refused
    assert await kate.send("/notices/channels", 422, name="x\x00y", address="07700 900123")


async def test_while_away_another_is_asked_and_people_say_so(site: Site, kate: Visitor) -> None:
    brook = site.brook
    omar = await brook.approver("Omar", OMAR, await kate.id())
    told = await kate.send("/notices/away", first="2026-09-21", last="2026-09-25", deputy=omar)
    assert "Monday 21 September 2026 to Friday 25 September 2026: Omar stands in" in told
    assert "Away Monday 21 September 2026 to Friday 25 September 2026 (Omar stands in)" in await kate.page("/people")
    request = await brook.ask()
    async with brook.store.look(brook.customer) as scope:
        assert [one.name for one in await deliveries_of(scope, request.id)] == ["Omar"]
    assert "before the first" in await kate.send("/notices/away", 422, first="2026-10-02", last="2026-10-01")
    assert "is no day" in await kate.send("/notices/away", 422, first="<i>", last="")
    (row,) = await brook.rows(absences)
    assert "You are asked again" in await kate.send(f"/notices/away/{row.id}/end")
    assert "Kept" in await kate.send("/notices/deputy", deputy=omar)
    assert f'value="{omar}" selected' in await kate.page("/notices")


async def test_contacts_are_seen_corrected_and_told_of(site: Site, kate: Visitor) -> None:
    given = {"name": "Pat Lee", "position": "IT", "email": "pat@customer.example", "phone": "020 7946 0900",
             "mobile": "", "notices": "each", "standing": "current", "marketing_out": "yes"}  # fmt: skip
    assert "Pat Lee" in await kate.send("/contacts", **given)
    (row,) = await site.brook.rows(contacts)
    assert (row.marketing_out, row.marketing_ms) == (True, site.brook.clock.now())
    form = await kate.page(f"/contacts/{row.id}")
    assert 'value="pat@customer.example"' in form
    assert 'name="marketing_out" value="yes" checked' in form
    site.brook.clock.at_ms += 1000
    corrected = given | {"email": "lee@customer.example"}
    assert "Kept." in await kate.send(f"/contacts/{row.id}", **corrected)
    told = [mail for mail in await site.brook.waiting() if mail.subject == "A contact was changed: Pat Lee"]
    mails = {mail.address: mail.body for mail in told}
    assert set(mails) == {KATE, "pat@customer.example"}
    assert "Kate changed Pat Lee as a contact" in mails[KATE]
    assert "email: from pat@customer.example to lee@customer.example" in mails[KATE]
    assert "Nothing was different" in await kate.send(f"/contacts/{row.id}", **corrected)
    kept = await kate.send(f"/contacts/{row.id}", 422, **(given | {"email": "nonsense", "name": "Pat <Lee>"}))
    assert "is no mail address" in kept
    assert 'value="Pat &lt;Lee&gt;"' in kept
    assert "Removed." in await kate.send(f"/contacts/{row.id}/remove")
    assert (await site.ask("GET", f"/contacts/{row.id}", kate.cookie)).status_code == 404
    kinds = [kind for kind in await site.brook.kinds() if kind.startswith("contact.")]
    assert kinds == ["contact.added", "contact.changed", "contact.removed"]


async def test_what_is_a_neighbours_is_not_here(site: Site, kate: Visitor) -> None:
    brook = site.brook
    other = await brook.directory.add_customer("t", "Neighbour")
    values = {"name": "Zed Mark", "email": "z@n.example"}
    theirs = await brook.directory.contacts.add("t", other, values)
    for path in (f"/contacts/{theirs}", "/contacts/con_%00", "/contacts/con_1"):
        assert (await site.ask("GET", path, kate.cookie)).status_code == 404
    await kate.send(f"/contacts/{theirs}", 404, **values)
    await kate.send(f"/contacts/{theirs}/remove", 404)
    assert "Zed Mark" not in await kate.page("/contacts")
    nat = await brook.directory.add_approver("t", other, "Nat", "nat@n.example", "")
    await kate.send("/notices/deputy", 404, deputy=nat)
    await kate.send("/notices/away", 404, first="2026-10-01", last="2026-10-02", deputy=nat)


async def test_whoever_came_in_without_a_passkey_reads_and_sees_no_button(site: Site, kate: Visitor) -> None:
    omar = await site.brook.approver("Omar", OMAR, await kate.id())
    reader = await site.reader(omar)
    for path in ("/notices", "/contacts"):
        text = (await site.ask("GET", path, reader)).text
        assert re.findall("<button", text) == []
