"""Invitation to passkey, signing in and out, and every route tried by whoever should not see it."""

from __future__ import annotations

import re

import httpx
import pytest
from sqlalchemy import insert

from audit.assertions import AssertionFault, check, fingerprint
from gateway.access.proposals import RECOVER, Proposals
from gateway.errors import NotPermittedError
from gateway.identity.passkeys import assertion_of
from gateway.identity.sign_ins import ACCOUNT, CODE
from gateway.portal.page import Page, Who
from gateway.portal.site import COOKIE
from gateway.store.outside_tables import outside_visits
from gateway.store.telling_tables import absences, channels
from tests.portal.conftest import SITE, Site
from tests.portal.handed import a_secret
from tests.portal.work import a_job, a_row
from tests.support.browser_passkey import SoftwarePasskey


async def test_an_invitation_becomes_one_passkey_and_everybody_hears(site: Site) -> None:
    kate, omar = (
        await site.brook.approver("Kate", "k@customer.example"),
        await site.brook.approver("Omar", "o@b.example"),
    )
    link = await site.link(kate)
    assert "Kate" in (await site.ask("GET", link)).text
    key, told = await site.enrol(link)
    assert (await site.ask("GET", link)).status_code == 404
    assert (await site.ask("POST", link + "/options", json={})).status_code == 404
    events = await site.brook.kinds()
    assert events.count("approver.key_enrolled") == 1
    mails = [row for row in await site.brook.waiting() if row.what == "passkey"]
    assert {row.address for row in mails} == {"k@customer.example", "o@b.example"}
    assert all(told in row.body for row in mails)
    with pytest.raises(NotPermittedError):  # after the first, only approvers invite
        await site.passkeys.invite("t", site.brook.customer, omar)
    assert await site.link(omar, by=kate)
    cookie = await site.cookie(key)
    assert told in (await site.ask("GET", "/people", cookie)).text


async def test_without_verification_no_passkey_counts(site: Site) -> None:
    kate = await site.brook.approver("Kate", "k@customer.example")
    link = await site.link(kate)
    weak = SoftwarePasskey(SITE)
    weak.flags = 0x01
    options = (await site.ask("POST", link + "/options", json={})).json()
    assert (await site.ask("POST", link, json={"answer": weak.create(options)})).status_code == 422
    key, _ = await site.enrol(link)
    key.flags = 0x01
    assert (await site.sign_in(key)).status_code == 403
    key.flags = 0x05
    elsewhere = SoftwarePasskey("https://evil.example")
    elsewhere.id, elsewhere.key, elsewhere.handle = key.id, key.key, key.handle
    assert (await site.sign_in(elsewhere)).status_code == 403


async def test_an_answer_serves_once_and_not_for_long(site: Site) -> None:
    key, _ = await site.enrol(await site.link(await site.brook.approver("Kate", "k@customer.example")))
    challenge = (await site.ask("POST", "/sign-in/options", json={})).json()["challenge"]
    sent = {"answer": key.get(challenge), "challenge": challenge}
    assert (await site.ask("POST", "/sign-in", json=sent)).status_code == 200
    assert (await site.ask("POST", "/sign-in", json=sent)).status_code == 403
    late = (await site.ask("POST", "/sign-in/options", json={})).json()["challenge"]
    site.brook.clock.at_ms += 6 * 60_000
    assert (await site.ask("POST", "/sign-in", json={"answer": key.get(late), "challenge": late})).status_code == 403
    ours = "bWFkZSB1cA"
    assert (await site.ask("POST", "/sign-in", json={"answer": key.get(ours), "challenge": ours})).status_code == 403


async def test_signing_out_everywhere_and_the_end_of_a_sign_in(site: Site) -> None:
    key, _ = await site.enrol(await site.link(await site.brook.approver("Kate", "k@customer.example")))
    one, two = await site.cookie(key), await site.cookie(key)
    page = (await site.ask("GET", "/sign-ins", one)).text
    csrf = re.findall(r'name="csrf" value="(\w+)"', page)[0]
    assert (await site.ask("POST", "/sign-out-everywhere", one, data={"csrf": csrf})).status_code == 303
    for cookie in (one, two):
        assert (await site.ask("GET", "/", cookie)).status_code == 303
    three = await site.cookie(key)
    site.brook.clock.at_ms += 13 * 3_600_000
    assert (await site.ask("GET", "/", three)).status_code == 303


async def test_a_lost_phone_is_ended_by_another_approver(site: Site) -> None:
    kate, omar = (
        await site.brook.approver("Kate", "k@customer.example"),
        await site.brook.approver("Omar", "o@b.example"),
    )
    key, _ = await site.enrol(await site.link(kate))
    lost, _ = await site.enrol(await site.link(omar, by=kate))
    mine, theirs = await site.cookie(key), await site.cookie(lost)
    csrf = re.findall(r'name="csrf" value="(\w+)"', (await site.ask("GET", "/people", mine)).text)[0]
    assert (await site.ask("POST", f"/people/{kate}/lost", mine, data={"csrf": csrf})).status_code == 403
    site.brook.clock.at_ms += 1000  # so that the outbox tells which mail is the newer one
    assert (await site.ask("POST", f"/people/{omar}/lost", mine, data={"csrf": csrf})).status_code == 303
    assert (await site.sign_in(lost)).status_code == 403
    assert (await site.ask("GET", "/", theirs)).status_code == 303
    bodies = [row.body for row in await site.brook.waiting() if row.what == "invitation"]
    again, _ = await site.enrol(re.findall(rf"{SITE}(/invitation/\S+)", bodies[-1])[0])
    assert (await site.sign_in(again)).status_code == 200


def _filled(page: Page, ids: dict[str, str]) -> str:
    """The page's address with everything that it names really there: a new name without an id here fails."""
    return re.sub(r"{(\w+)(:\w+)?}", lambda found: ids[found[1]], page.path)


async def _there(site: Site, approver: str) -> dict[str, str]:
    """Of everything that an address may name, one of Brook's."""
    grant = await site.brook.say_yes(await site.brook.ask("Kate Mark asked"), approver)
    assert grant is not None
    request = await site.brook.ask("Kate Mark's telephone")
    async with site.brook.store.scope(site.brook.customer) as scope:
        two = Proposals(site.brook.store, site.brook.audit)
        proposal = await two.make(scope, "t", RECOVER, site.brook.customer, "lost", {"name": "Kate Mark"})
    contact = {"name": "Kate Mark", "email": "kate.mark@customer.example"}
    ids = {"absence": "abs_1", "channel": "chn_1", "visit": "vis_1"}
    async with site.brook.store.scope(site.brook.customer) as scope:
        ours = {"customer_id": site.brook.customer, "approver_id": approver}
        values = ours | {"id": ids["absence"], "from_ms": 0, "until_ms": 1 << 42}
        await scope.execute(insert(absences).values(**values))
        values = ours | {"id": ids["channel"], "name": "Kate Mark", "service": "x", "sealed": b"", "digest": "d"}
        await scope.execute(insert(channels).values(**values, added_ms=0))
        values = {"customer_id": site.brook.customer, "id": ids["visit"], "grant_id": grant.id}
        values |= {"system_id": site.brook.system.id, "engineer_id": site.brook.engineer}
        await scope.execute(insert(outside_visits).values(**values, state="open", started_ms=0, reason=""))
    return ids | {
        "contact": await site.brook.directory.contacts.add("t", site.brook.customer, contact),
        "approver": approver, "customer": site.brook.customer, "secret": "x" * 43, "request": request.id,
        "grant": grant.id, "proposal": proposal, "engineer": site.brook.engineer, "job": await a_job(site, approver),
        "session": await site.brook.session(grant),
        "row": await a_row(site, approver), "system": site.brook.system.id,
        "link": (await a_secret(site, approver, approver, "Kate Mark")).link,
    }  # fmt: skip


async def test_every_route_is_closed_to_whoever_it_is_not_for(site: Site) -> None:
    kate = await site.brook.approver("Kate Mark", "k@customer.example")
    key, _ = await site.enrol(await site.link(kate))
    cookie, readers = await site.cookie(key), [await site.reader(kate, factor) for factor in (CODE, ACCOUNT)]
    other = await site.brook.directory.add_customer("t", "Neighbour")
    zoe = await site.brook.directory.add_approver("t", other, "Zoe", "z@n.example", "")
    async with site.brook.store.scope(other) as scope:
        theirs = await site.sign_ins.begin(scope, zoe, "passkey", "c", "d", "a")
    their = await site.sign_ins.who(theirs)
    mine = await site.sign_ins.who(cookie)
    read = [await site.sign_ins.who(reader) for reader in readers]
    assert their is not None
    assert mine is not None
    ids = await _there(site, kate)
    for page in site.portal.pages:
        path, name = _filled(page, ids), f"{page.method} {page.path}"
        if page.method != "GET":
            strange = await site.ask(page.method, path, cookie, headers={"Origin": "https://evil.example"})
            assert strange.status_code == 403, name
        if page.who is Who.PUBLIC:
            # Whoever is not signed in learns of nobody there, and signs in by none of them.
            plain = await site.ask(page.method, path)
            assert plain.status_code < 500, name
            assert "Kate Mark" not in plain.text, name
            assert COOKIE not in plain.cookies, name
            continue
        for bad in ("", "x", cookie[:-1] + ("A" if cookie[-1] != "A" else "B"), cookie.replace(mine.id, their.id)):
            answer = await site.ask(page.method, path, bad)
            assert answer.status_code == (303 if page.method == "GET" else 403), name
            assert "Kate Mark" not in answer.text, name
        if page.method != "GET":
            for csrf in ("", their.csrf):
                assert (await site.ask(page.method, path, cookie, data={"csrf": csrf})).status_code == 403, name
        if page.who is Who.APPROVER:
            for reader, whose in zip(readers, read, strict=True):
                assert whose is not None
                refused = await site.ask(page.method, path, reader, data={"csrf": whose.csrf})
                assert refused.status_code == 403, name
                assert "use your passkey" in refused.text, name
        if "sign-out" in page.path:
            continue
        foreign = await site.ask(page.method, path, theirs, data={"csrf": their.csrf} if page.method != "GET" else None)
        assert "Kate Mark" not in foreign.text, name
        # What is not theirs is not there; what was sent in no form at all may be told before.
        assert "{" not in page.path or foreign.status_code in ({404} if page.method == "GET" else {404, 422}), name


async def test_headers_stand_on_every_answer_and_the_cookie_is_bound_to_the_host(site: Site) -> None:
    key, _ = await site.enrol(await site.link(await site.brook.approver("<b>Kate</b>\u202e", "k@customer.example")))
    signed = await site.sign_in(key)
    told = signed.headers["set-cookie"]
    assert told.startswith(f"{COOKIE}=")
    for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert word in told
    assert "Domain" not in told
    cookie = str(signed.cookies[COOKIE])
    answers: list[httpx.Response] = [
        await site.ask("GET", path, cookie) for path in ("/", "/people", "/sign-ins", "/nowhere", "/static/portal.js")
    ]
    for answer in [*answers, await site.ask("PUT", "/people", cookie), signed]:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert answer.headers["strict-transport-security"]
        assert answer.headers["cache-control"] == "no-store"
    assert "<b>" not in answers[1].text
    assert "\u202e" not in answers[1].text


async def test_a_sign_in_never_leads_to_another_site(site: Site) -> None:
    key, _ = await site.enrol(await site.link(await site.brook.approver("Kate", "k@customer.example")))
    for given in ("https://evil.example", "//evil.example", "/\\evil.example", "/x//y", "javascript:1", 7, None):
        challenge = (await site.ask("POST", "/sign-in/options", json={})).json()["challenge"]
        sent = {"answer": key.get(challenge), "challenge": challenge, "next": given}
        assert (await site.ask("POST", "/sign-in", json=sent)).json()["go"] == "/", given


async def test_an_assertion_is_checked_offline(site: Site) -> None:
    key, told = await site.enrol(await site.link(await site.brook.approver("Kate", "k@customer.example")))
    async with site.brook.store.look(site.brook.customer) as scope:
        (held,) = await site.passkeys.held(scope)
    assert fingerprint(held.key) == told
    good = assertion_of(key.get("YWJj"))
    check(good, held.key, b"abc", "portal.example")
    other = assertion_of(SoftwarePasskey(SITE).get("YWJj"))
    key.flags = 0x01
    unverified = assertion_of(key.get("YWJj"))
    for assertion, challenge, where in (
        (good, b"abd", "portal.example"), (good, b"abc", "evil.example"), (other, b"abc", "portal.example"),
        (unverified, b"abc", "portal.example"),
    ):  # fmt: skip
        try:
            check(assertion, held.key, challenge, where)
        except AssertionFault:
            continue
        raise AssertionError("it should not hold")


async def test_what_no_database_takes_is_refused_in_words(site: Site) -> None:
    key, _ = await site.enrol(await site.link(await site.brook.approver("Kate", "k@customer.example")))
    cookie = await site.cookie(key)
    me = await site.sign_ins.who(cookie)
    assert me is not None
    for odd in ("%00", "lnk_%00", "%F0%9F%98%80", "x" * 400, "'"):
        for path in ("/hand-overs", "/addresses", "/requests", "/visits"):
            assert (await site.ask("GET", f"{path}/{odd}", cookie)).status_code == 404, (path, odd)
    form = {"csrf": me.csrf, "name": "a\0b", "email": "a@b.example", "phone": ""}
    assert (await site.ask("POST", "/people", cookie, data=form)).status_code == 422
    headers = {"X-CSRF-Token": me.csrf}
    for body in ({"version": 1, "answer": {"a": ["\0"]}}, {"\0": 1}):
        assert (await site.ask("POST", "/agreement/yes", cookie, json=body, headers=headers)).status_code == 422
