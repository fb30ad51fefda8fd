"""Signing in to read with the customer's own OpenID provider, a real one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import update

from gateway.errors import NotFoundError, UnavailableError
from gateway.portal.page import Who
from gateway.portal.reading import BEGUN
from gateway.portal.site import COOKIE
from gateway.store.sign_in_tables import oidc_accounts
from gateway.store.tables import approvers, contacts
from tests.portal.account import back, begun, given, lied, lying, real, through
from tests.portal.approver import approver
from tests.portal.conftest import SITE, Site
from tests.support.openid import CLIENT, KATE, SECRET, LyingProvider, RealProvider, answer_of

__all__ = ["lying", "real"]


@pytest.mark.parametrize("userinfo", [True, False], ids=["address from userinfo", "address in the token"])
async def test_a_real_provider_signs_an_approver_in_and_they_read_alone(
    site: Site, tmp_path: Path, userinfo: bool
) -> None:
    site.brook.clock.at_ms = int(time.time() * 1000)
    kate = await approver(site)
    provider = RealProvider(tmp_path / "p.json", userinfo=userinfo)
    provider.takes(f"{SITE}/sign-in/back/{site.brook.customer}")
    provider.says(kate=KATE)
    async with provider.running():
        await site.providers.set("t", site.brook.customer, given(provider.issuer))
        answer = await through(site, provider)
    assert (answer.status_code, answer.headers["location"]) == (303, "/visits")
    set_cookies = answer.headers.get_list("set-cookie")
    assert len(set_cookies) == 2
    for told in set_cookies:
        assert told.startswith("__Host-")
        for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
            assert word in told
    cookie = answer.cookies[COOKIE]
    me = await site.sign_ins.who(cookie)
    assert me is not None
    assert (me.approver_id, me.factor, me.may_approve) == (kate.id, "account", False)
    assert "You signed in to read" in (await site.ask("GET", "/visits", cookie)).text
    for page in site.portal.pages:
        if page.who is Who.APPROVER and page.method == "POST" and "{" not in page.path:
            refused = await site.ask("POST", page.path, cookie, data={"csrf": me.csrf})
            assert refused.status_code == 403, page.path
            assert "use your passkey" in refused.text, page.path
    kinds = await site.brook.kinds()
    assert kinds.count("oidc.account_bound") == 1
    told = {row.address: row.body for row in await site.brook.waiting() if row.what == "own sign-in"}
    assert "for the first time" in told["kate@customer.example"]
    # Signing out everywhere, with the passkey, ends these too.
    assert (await kate.send("/sign-out-everywhere")).status_code == 303
    assert (await site.ask("GET", "/visits", cookie)).status_code == 303


def test_nothing_that_changes_is_open_to_whoever_reads(site: Site) -> None:
    changing = [p.path for p in site.portal.pages if p.method != "GET" and p.who is Who.SIGNED_IN]
    assert changing == ["/sign-out", "/sign-out-everywhere"]


async def test_the_button_is_there_for_whose_provider_it_is_and_an_address_tells_nothing(
    site: Site, real: RealProvider
) -> None:
    await approver(site)
    customer = site.brook.customer
    assert "Sign in with Brook" not in (await site.ask("GET", "/sign-in")).text
    assert "Sign in with Brook account" in (await site.ask("GET", f"/sign-in/at/{customer}?next=/jobs")).text
    nowhere = await site.ask("GET", "/sign-in/at/cus_000000000000000000000000")
    assert nowhere.status_code == 200
    assert "Sign in with Brook" not in nowhere.text
    shown = [
        (await site.ask("POST", "/sign-in/ways", data={"email": email, "next": "/jobs"})).text
        for email in ("kate@customer.example", "nobody@customer.example", "KATE@CUSTOMER.EXAMPLE")
    ]
    assert shown[0] == shown[1] == shown[2]
    assert f"/sign-in/with/{customer}?next=/jobs" in shown[0]
    other = (await site.ask("POST", "/sign-in/ways", data={"email": "kate@elsewhere.example"})).text
    assert "Sign in with Brook" not in other
    for odd in ("", "%", "customer.example", "@", "a@_", "x" * 5000):
        assert (await site.ask("POST", "/sign-in/ways", data={"email": odd})).status_code == 200


async def test_asking_without_end_is_refused(site: Site) -> None:
    codes = [(await site.ask("POST", "/sign-in/ways", data={"email": "a@b.example"})).status_code for _ in range(22)]
    assert codes[-1] == 429


async def test_a_state_and_an_answer_serve_once_and_only_where_they_were_begun(site: Site, real: RealProvider) -> None:
    await approver(site)
    url, cookie = await begun(site)
    answer = await real.visit(url, "kate")
    _, another = await begun(site)
    assert (await back(site, another, answer)).status_code == 403  # the state is another browser's
    assert (await back(site, "", answer)).status_code == 403
    assert (await back(site, cookie[:-2] + "AA", answer)).status_code == 403
    assert (await back(site, cookie, answer)).status_code == 303
    assert (await back(site, cookie, answer)).status_code == 403
    # The same state with a code that nobody used yet.
    fresh = await real.visit(url, "kate")
    assert (await back(site, cookie, fresh)).status_code == 403
    url, cookie = await begun(site)
    late = await real.visit(url, "kate")
    site.brook.clock.at_ms += 11 * 60_000
    refused = await back(site, cookie, late)
    assert refused.status_code == 403
    assert "too long" in refused.text


async def test_a_code_for_another_client_or_of_another_browser_opens_nothing(site: Site, tmp_path: Path) -> None:
    await approver(site)
    site.brook.clock.at_ms = int(time.time() * 1000)
    provider = RealProvider(tmp_path / "p.json")
    redirect = f"{SITE}/sign-in/back/{site.brook.customer}"
    provider.takes(redirect)
    provider.takes(redirect, client="another")
    provider.says(kate=KATE)
    async with provider.running():
        await site.providers.set("t", site.brook.customer, given(provider.issuer))
        url, cookie = await begun(site)
        elsewhere = await provider.visit(url.replace(f"client_id={CLIENT}", "client_id=another"), "kate")
        assert "code" in elsewhere
        assert (await back(site, cookie, elsewhere)).status_code == 403
        # A code that somebody else's browser was given: PKCE's verifier is not theirs.
        stolen = await provider.visit((await begun(site))[0], "kate")
        url, cookie = await begun(site)
        mine = await provider.visit(url, "kate")
        assert (await back(site, cookie, mine | {"code": stolen["code"]})).status_code == 403
    assert (await site.brook.kinds()).count("portal.signed_in") == 1  # Kate's own, with her passkey


async def test_whoever_says_no_there_is_told_what_else_works(site: Site, real: RealProvider) -> None:
    await approver(site)
    url, cookie = await begun(site)
    state = answer_of(url)["state"]
    refused = await back(site, cookie, {"error": "access_denied", "state": state, "iss": real.issuer})
    assert refused.status_code == 403
    assert "use your passkey" in refused.text


WRONG: dict[str, dict[str, Any]] = {
    "of your organisation": {"email_verified": False},
    "has not verified": {"email": None},
    "not one of those": {"email": "kate@evil.example"},
    "Nobody here": {"email": "stranger@customer.example"},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=["unverified", "no address", "domain", "stranger"])
async def test_an_account_that_is_nobodys_is_told_what_to_do(
    site: Site, real: RealProvider, change: dict[str, Any]
) -> None:
    await approver(site)
    real.says(kate={name: value for name, value in (KATE | change).items() if value is not None})
    refused = await through(site, real)
    assert refused.status_code == 403
    assert COOKIE not in refused.cookies
    kinds = await site.brook.kinds()
    assert kinds.count("portal.refused") == 1
    assert "oidc.account_bound" not in kinds


async def test_an_account_stays_its_persons_and_an_address_that_is_given_on_does_not_pass_it_on(
    site: Site, real: RealProvider
) -> None:
    kate = await approver(site)
    assert (await through(site, real)).status_code == 303
    real.says(mallory=KATE)
    refused = await through(site, real, "mallory")
    assert refused.status_code == 403
    assert "Another account" in refused.text
    # Kate's own account stays hers under another address of the domain.
    real.says(kate=KATE | {"email": "kate.married@customer.example"})
    answer = await through(site, real)
    me = await site.sign_ins.who(answer.cookies[COOKIE])
    assert me is not None
    assert me.approver_id == kate.id
    # She lets it be forgotten herself; by the account itself that does not work.
    assert (
        await site.ask("POST", "/reading/account/forget", answer.cookies[COOKIE], data={"csrf": me.csrf})
    ).status_code == 403
    assert "yours here since" in await kate.page("/reading")
    assert (await kate.send("/reading/account/forget")).status_code == 303
    assert (await site.ask("GET", "/", answer.cookies[COOKIE])).status_code == 303
    assert (await through(site, real, "mallory")).status_code == 303


async def test_whoever_is_removed_is_out_and_their_account_is_nobodys(site: Site, real: RealProvider) -> None:
    kate = await approver(site)
    cookie = (await through(site, real)).cookies[COOKIE]
    await site.brook.directory.remove_approver("t", site.brook.customer, kate.id)
    assert (await site.ask("GET", "/", cookie)).status_code == 303
    assert (await through(site, real)).status_code == 403
    assert await site.brook.rows(oidc_accounts) == []


async def test_contacts_read_only_where_staff_said_so_and_while_they_are_current(
    site: Site, real: RealProvider
) -> None:
    await site.brook.contact("lee@customer.example", "each")
    real.says(lee=KATE | {"email": "Lee@customer.example"})
    assert (await through(site, real, "lee")).status_code == 403
    await site.providers.set("t", site.brook.customer, given(real.issuer, for_contacts=True))
    cookie = (await through(site, real, "lee")).cookies[COOKIE]
    me = await site.sign_ins.who(cookie)
    assert me is not None
    assert not me.may_approve
    for page in site.portal.pages:
        if page.who is Who.SIGNED_IN and page.method == "GET" and "{" not in page.path:
            answer = await site.ask("GET", page.path, cookie)
            assert answer.status_code == (403 if page.path == "/notices" else 200), page.path
    async with site.brook.store.scope(site.brook.customer) as scope:
        await scope.execute(update(contacts).values(standing="former"))
    assert (await site.ask("GET", "/", cookie)).status_code == 303
    assert (await through(site, real, "lee")).status_code == 403


async def test_a_claim_that_is_wanted_is_wanted(site: Site, real: RealProvider) -> None:
    await approver(site)
    await site.providers.set("t", site.brook.customer, given(real.issuer, claim="groups=directors"))
    assert (await through(site, real)).status_code == 403
    await site.providers.set("t", site.brook.customer, given(real.issuer, claim="groups=telephony"))
    assert (await through(site, real)).status_code == 303


async def test_a_provider_that_is_down_says_so_and_the_passkey_works(site: Site, tmp_path: Path) -> None:
    kate = await approver(site)
    site.brook.clock.at_ms = int(time.time() * 1000)
    async with LyingProvider().running() as provider:
        await site.providers.set("t", site.brook.customer, given(provider.issuer))
        url, cookie = await begun(site)
    answer = await back(site, cookie, {"state": answer_of(url)["state"], "code": "c"})
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert "passkey works" in answer.text
    assert (await site.sign_in(kate.key)).status_code == 200
    with pytest.raises(UnavailableError):
        await site.providers.set("t", site.brook.customer, given("http://127.0.0.1:9"))
    found = await site.providers.of(site.brook.customer)
    assert found is not None
    assert found.issuer == provider.issuer  # nothing was lost


async def test_setting_and_removing_is_told_and_ends_what_hung_on_it(site: Site, lying: LyingProvider) -> None:
    await approver(site)
    await site.brook.contact("desk@customer.example", "each")
    cookie = (await lied(site, lying)).cookies[COOKIE]
    bound = await site.brook.rows(oidc_accounts)
    await site.providers.set("t", site.brook.customer, given(lying.issuer, name="New name"))
    # What may sign in was changed, so whoever did does it again; the issuer is the same, so nobody is another.
    assert (await site.ask("GET", "/", cookie)).status_code == 303
    assert await site.brook.rows(oidc_accounts) == bound
    cookie = (await lied(site, lying)).cookies[COOKIE]
    told = [row for row in await site.brook.waiting() if row.what == "sign-in" and "New name" in row.subject]
    assert {row.address for row in told} == {"kate@customer.example", "desk@customer.example"}
    assert f"{SITE}/sign-in/at/{site.brook.customer}" in told[0].body
    await site.providers.remove("t", site.brook.customer)
    assert (await site.ask("GET", "/", cookie)).status_code == 303
    assert (await site.ask("GET", f"/sign-in/with/{site.brook.customer}")).status_code == 404
    with pytest.raises(NotFoundError):
        await site.providers.remove("t", site.brook.customer)
    kinds = await site.brook.kinds()
    assert kinds.count("oidc.set") == 2
    assert kinds.count("oidc.removed") == 1
    assert SECRET not in str(await site.brook.rows(approvers)) + str(told)


async def test_a_sign_in_with_a_passkey_is_not_taken_away_by_a_lesser_one(site: Site, lying: LyingProvider) -> None:
    """Another site's link to the provider, where one is signed in already, would come back without a question."""
    kate = await approver(site)
    led = await site.ask("GET", f"/sign-in/with/{site.brook.customer}?next=/jobs", kate.cookie)
    assert (led.status_code, led.headers["location"]) == (303, "/jobs")
    url, begun_cookie = await begun(site)
    both = {"Cookie": f"{BEGUN}={begun_cookie}; {COOKIE}={kate.cookie}"}
    path = f"/sign-in/back/{site.brook.customer}?{urlencode({'state': answer_of(url)['state'], 'code': 'c'})}"
    returned = await site.ask("GET", path, headers=both)
    assert returned.status_code == 303
    assert COOKIE not in returned.cookies
