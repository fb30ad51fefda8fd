"""Signing in to read in a real browser: by a real provider on another site and back, and by a one-time code."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pyotp
from playwright.async_api import Browser

from gateway.cli.demo import CUSTOMER, Demo
from tests.end_to_end.browsing import browser, telephone
from tests.support.openid import CLIENT, KATE, SECRET, RealProvider

__all__ = ["browser"]


async def test_the_providers_answer_survives_our_cookies_and_policy_and_reads_alone(
    demo: Demo, browser: Browser, tmp_path: Path
) -> None:
    (kate,) = [row for row in await demo.admin("approver list", customer=CUSTOMER) if row["name"] == "Kate Brook"]
    customer = (await demo.admin("customer show", customer=CUSTOMER))["id"]
    provider = RealProvider(tmp_path / "provider.json")
    site = demo.app.portal_url()
    provider.takes(f"{site}/sign-in/back/{customer}")
    provider.says(kate=KATE | {"email": kate["email"]})
    async with provider.running():
        shown = await demo.admin(
            "customer oidc set", customer=CUSTOMER, name="Brook account", issuer=provider.issuer, client_id=CLIENT,
            secret=SECRET, domains=[kate["email"].partition("@")[2]],
        )  # fmt: skip
        about = await demo.admin("customer show", customer=CUSTOMER)
        assert about["sign-in provider"] == f"Brook account, {provider.issuer}"
        phone = await telephone(browser)
        page = phone.page
        # Another site than ours (127.0.0.1, not localhost): a Strict cookie would not come back with the answer.
        await page.goto(f"{site}/visits")
        await page.get_by_text("Only to read, without a passkey").click()
        await page.get_by_label("Your email address at work").fill("somebody@" + kate["email"].partition("@")[2])
        await page.get_by_role("button", name="Go on").click()
        assert await phone.fits()
        await page.get_by_role("link", name="Sign in with Brook account").click()
        await page.get_by_placeholder("Enter any login").fill("kate")
        await page.get_by_placeholder("and password").fill("x")
        await page.get_by_role("button", name="Sign-in").click()
        await page.get_by_role("button", name="Continue").click()
        await page.wait_for_url(f"{site}/visits")
        phone.trouble.clear()  # the provider's own page asks for a font from elsewhere
        await page.get_by_text("You signed in to read").wait_for()
        await page.get_by_role("link", name="Access").click()
        assert await page.get_by_role("button").count() == 0
        assert await phone.fits()
        cookies = {one["name"]: one for one in await page.context.cookies(site)}
        assert set(cookies) == {"__Host-frameroom"}
        assert (cookies["__Host-frameroom"]["sameSite"], cookies["__Host-frameroom"]["httpOnly"]) == ("Lax", True)
    assert shown["sign-in page"] == f"{site}/sign-in/at/{customer}"
    assert "for the first time" in await demo.mails.wait_for("for the first time")
    # The provider is gone now: the page says so, and nothing else is lost.
    await page.goto(f"{site}/sign-ins")
    await page.get_by_role("button", name="Sign out everywhere").click()
    await page.goto(shown["sign-in page"])
    assert await phone.fits()
    assert await page.get_by_role("button", name="Sign in with my passkey").is_visible()
    assert phone.trouble == []


async def test_codes_are_turned_on_from_the_picture_and_sign_in_behind_a_mailed_link(
    demo: Demo, browser: Browser
) -> None:
    phone = await telephone(browser)
    await phone.invited(demo)
    page, site = phone.page, demo.app.portal_url()
    await page.get_by_role("link", name="Sign-ins").click()
    await page.get_by_role("link", name="Reading without your passkey").click()
    await page.get_by_role("button", name="Turn them on").click()
    assert await page.get_by_role("img", name="QR code for your authenticator").is_visible()
    assert await phone.fits()
    secret = (await page.locator("p.print").inner_text()).replace(" ", "")
    clock = pyotp.TOTP(secret)
    await page.get_by_label("The six digits that the app shows now").fill(clock.now())
    confirmed = int(time.time()) // 30
    await page.get_by_role("button", name="Turn them on").click()
    await page.get_by_text("On since").wait_for()
    (kate,) = [row for row in await demo.admin("approver list", customer=CUSTOMER) if row["name"] == "Kate Brook"]
    other = await telephone(browser)
    await other.page.goto(f"{site}/sign-in?next=/people")
    await other.page.get_by_text("Only to read, without a passkey").click()
    await other.page.get_by_label("Your email address at work").fill(kate["email"])
    await other.page.get_by_role("button", name="Go on").click()
    found = re.search(r"http\S+/sign-in/code/\S+", await demo.mails.wait_for("/sign-in/code/"))
    assert found
    await other.page.goto(found.group())
    await other.page.get_by_label("The six digits").fill("000000")
    await other.page.get_by_role("button", name="Sign in to read").click()
    await other.page.get_by_role("alert").get_by_text("not accepted").wait_for()
    assert await other.fits()
    # The next code: the one that confirmed them serves no second time, and its neighbour of the next half minute does.
    await other.page.get_by_label("The six digits").fill(clock.generate_otp(confirmed + 1))
    await other.page.get_by_role("button", name="Sign in to read").click()
    await other.page.wait_for_url(f"{site}/people")
    await other.page.get_by_text("You signed in to read").wait_for()
    assert await other.page.get_by_role("button").count() == 0
    assert phone.trouble == []
