"""An approver's passkey in a real browser: from the mailed invitation to a sign-in, on a phone-sized screen."""

from __future__ import annotations

import re

from playwright.async_api import Browser

from gateway.cli.demo import CUSTOMER, Demo
from tests.end_to_end.test_once_page import PHONE, browser

__all__ = ["browser"]
_AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


async def test_9_an_invitation_makes_a_passkey_that_signs_in(demo: Demo, browser: Browser) -> None:
    await demo.admin("approver invite", customer=CUSTOMER, approver="Kate Brook")
    found = re.search(r"http\S+/invitation/\S+", await demo.mails.wait_for("/invitation/"))
    assert found
    page = await browser.new_page(viewport=PHONE)  # type: ignore[arg-type]
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    tools = await page.context.new_cdp_session(page)
    await tools.send("WebAuthn.enable")
    await tools.send("WebAuthn.addVirtualAuthenticator", {"options": _AUTHENTICATOR})
    await page.goto(found.group())
    await page.get_by_role("button", name="Make my passkey").click()
    told = page.get_by_text(re.compile(r"^([0-9a-f]{4} ){7}[0-9a-f]{4}$"))
    await told.wait_for(state="visible")
    fingerprint = await told.inner_text()
    await page.get_by_role("link", name="Now sign in").click()
    await page.get_by_role("button", name="Sign in with my passkey").click()
    await page.get_by_text("Nobody waits for you").wait_for()
    await page.get_by_role("link", name="People").click()
    await page.get_by_role("heading", name="People who may say yes").wait_for()
    assert fingerprint in await page.inner_text("body")
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert trouble == []
    again = await page.goto(found.group())
    assert again is not None
    assert again.status == 404  # the link was used up
