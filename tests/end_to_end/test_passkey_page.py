"""An approver's passkey in a real browser: from the mailed invitation to a sign-in, on a phone-sized screen."""

from __future__ import annotations

import re

from playwright.async_api import Browser

from gateway.cli.demo import Demo
from tests.end_to_end.browsing import browser, telephone

__all__ = ["browser"]


async def test_9_an_invitation_makes_a_passkey_that_signs_in(demo: Demo, browser: Browser) -> None:
    phone = await telephone(browser)
    fingerprint = await phone.invited(demo)
    await phone.page.get_by_text("Nobody may come in").wait_for()
    await phone.page.get_by_role("link", name="People").click()
    await phone.page.get_by_role("heading", name="People who may say yes").wait_for()
    assert fingerprint in await phone.page.inner_text("body")
    assert await phone.fits()
    assert phone.trouble == []
    link = re.search(r"http\S+/invitation/\S+", await demo.mails.wait_for("/invitation/"))
    assert link
    again = await phone.page.goto(link.group())
    assert again is not None
    assert again.status == 404  # the link was used up
