"""An approver with a telephone: a real Chromium on a phone-sized screen, with an authenticator of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from playwright.async_api import Browser, Page

from gateway.cli.demo import CUSTOMER, Demo
from tests.end_to_end.test_once_page import PHONE, browser

__all__ = ["PHONE", "Telephone", "browser", "telephone"]
_AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


@dataclass
class Telephone:
    """`trouble`: what the browser complained of; a test that went well leaves it empty."""

    page: Page
    trouble: list[str] = field(default_factory=list)

    async def enrol(self, link: str) -> str:
        """Make the passkey that the link invites to; the fingerprint that the page shows."""
        await self.page.goto(link)
        await self.page.get_by_role("button", name="Make my passkey").click()
        told = self.page.get_by_text(re.compile(r"^([0-9a-f]{4} ){7}[0-9a-f]{4}$"))
        await told.wait_for(state="visible")
        return await told.inner_text()

    async def sign_in(self) -> None:
        """On the page that asks for it."""
        await self.page.get_by_role("button", name="Sign in with my passkey").click()

    async def invited(self, demo: Demo, name: str = "Kate Brook") -> str:
        """From the operator's invitation to a sign-in; the fingerprint."""
        await demo.admin("approver invite", customer=CUSTOMER, approver=name)
        found = re.search(r"http\S+/invitation/\S+", await demo.mails.wait_for("/invitation/"))
        assert found
        fingerprint = await self.enrol(found.group())
        await self.page.get_by_role("link", name="Now sign in").click()
        await self.sign_in()
        await self.page.get_by_role("heading", name="Permitted now").wait_for()
        return fingerprint

    async def fits(self) -> bool:
        """True when nothing sticks out at the side."""
        return int(await self.page.evaluate("document.documentElement.scrollWidth")) <= PHONE["width"]


async def telephone(browser: Browser) -> Telephone:
    """A new one, with nothing on it."""
    page = await browser.new_page(viewport=PHONE)  # type: ignore[arg-type]
    made = Telephone(page)
    page.on("pageerror", lambda error: made.trouble.append(str(error)))
    page.on("console", lambda message: made.trouble.append(message.text) if message.type == "error" else None)
    tools = await page.context.new_cdp_session(page)
    await tools.send("WebAuthn.enable")
    await tools.send("WebAuthn.addVirtualAuthenticator", {"options": _AUTHENTICATOR})
    return made
