"""A customer's approver with a telephone: a real Chromium with an authenticator of its own, for stories and tests.

Playwright drives it, which developers have and a deployment has not: it is imported when a browser is wanted.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, ViewportSize

    from gateway.cli.demo import Demo

PHONE: Final[ViewportSize] = {"width": 360, "height": 640}
_PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_AUTHENTICATOR: Final = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip
_FINGERPRINT: Final = re.compile(r"^([0-9a-f]{4} ){7}[0-9a-f]{4}$")


def chromium() -> str | None:
    """The path of this machine's Chromium; None where there is none."""
    return next((path for path in map(shutil.which, _PROGRAMS) if path is not None), None)


@asynccontextmanager
async def browsing(program: str) -> AsyncIterator[Browser]:
    """A Chromium without a window, ended with the block. ImportError where playwright is not installed."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        # Chromium's own sandbox does not start for root, as which containers often run.
        started = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield started
        finally:
            await started.close()


@dataclass(slots=True)
class Telephone:
    """`trouble`: what the browser complained of, empty when all went well. `asked`: every address that it asked for."""

    page: Page
    trouble: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """From now on."""
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("console", lambda m: self.trouble.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("request", lambda request: self.asked.append(request.url))

    async def enrol(self, link: str) -> str:
        """Make the passkey that the link invites to; the fingerprint that the page shows."""
        await self.page.goto(link)
        await self.page.get_by_role("button", name="Make my passkey").click()
        told = self.page.get_by_text(_FINGERPRINT)
        await told.wait_for(state="visible")
        return await told.inner_text()

    async def sign_in(self) -> None:
        """On the page that asks for it."""
        await self.page.get_by_role("button", name="Sign in with my passkey").click()

    async def signed_in(self) -> None:
        """From a passkey just made to the first page."""
        await self.page.get_by_role("link", name="Now sign in").click()
        await self.sign_in()
        await self.page.get_by_role("heading", name="Permitted now").wait_for()

    async def invited(self, demo: Demo, name: str = "Kate Brook") -> str:
        """From the operator's invitation to a sign-in; the fingerprint."""
        from gateway.cli.demo import CUSTOMER

        await demo.admin("approver invite", customer=CUSTOMER, approver=name)
        fingerprint = await self.enrol(link_in(await demo.mails.wait_for("/invitation/"), "/invitation/"))
        await self.signed_in()
        return fingerprint

    async def width(self) -> int:
        """How wide the page is, in CSS pixels: more than the screen when something sticks out at the side. Asked once
        everything of it is there: a page whose style is still coming is wider."""
        await self.page.wait_for_load_state()
        return int(await self.page.evaluate("document.documentElement.scrollWidth"))

    async def fits(self) -> bool:
        """True when nothing sticks out at the side."""
        screen = self.page.viewport_size
        return screen is not None and await self.width() <= screen["width"]


def link_in(mail: str, part: str) -> str:
    """The address in a mail that has this in it. ValueError when none has."""
    for word in mail.split():
        if word.startswith("http") and part in word:
            return word
    raise ValueError(f"the mail has no link with {part} in it")


async def telephone(browser: Browser, screen: ViewportSize = PHONE, **context: Any) -> Telephone:
    """A new one, with nothing on it. `context`: whatever else playwright's new_context takes."""
    made = Telephone(await (await browser.new_context(viewport=screen, **context)).new_page())
    made.listen()
    tools = await made.page.context.new_cdp_session(made.page)
    await tools.send("WebAuthn.enable")
    await tools.send("WebAuthn.addVirtualAuthenticator", {"options": _AUTHENTICATOR})
    return made
