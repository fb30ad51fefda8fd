"""My notices and Contacts in a real browser, on a phone-sized screen, by an office manager who knows neither."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.async_api import Browser, Page

from gateway.cli.demo import CUSTOMER, Demo
from tests.end_to_end.browsing import PHONE, browser, telephone

__all__ = ["browser"]
_SHOTS = os.environ.get("FRAMEROOM_SCREENSHOTS")


async def _seen(page: Page, name: str) -> None:
    """Nothing is wider than the screen; a picture, where somebody wants them."""
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
    if _SHOTS:
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await page.screenshot(path=str(Path(_SHOTS) / f"{name}-{scheme}.png"), full_page=True)


async def _signed_in(demo: Demo, browser: Browser) -> Page:
    phone = await telephone(browser)
    await phone.invited(demo)
    await phone.page.get_by_role("link", name="My notices").click()
    return phone.page


async def test_an_approver_says_how_they_are_told_and_corrects_a_contact(demo: Demo, browser: Browser) -> None:
    page = await _signed_in(demo, browser)
    await page.get_by_label("One mail a day").check()
    await page.get_by_role("button", name="Keep this").first.click()
    await page.get_by_text("This is what you are told from now on").wait_for()
    await _seen(page, "notices")
    await page.get_by_label("What you call it").fill("Teams")
    await page.get_by_label("Address of a Teams or Slack webhook").fill("http://127.0.0.1:1/hook")
    await page.get_by_role("button", name="Add it").click()
    await page.get_by_role("alert").get_by_text("It cannot be used").wait_for()
    await _seen(page, "notices-refused")
    slack = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    await page.get_by_label("What you call it").fill("Our Slack")
    await page.get_by_label("Address of a Teams or Slack webhook").fill(slack)
    await page.get_by_role("button", name="Add it").click()
    await page.get_by_text("Our Slack (Slack)").wait_for()
    assert "TIiajkdn" not in await page.content()
    await page.get_by_label("First day").fill("2099-12-24")
    await page.get_by_label("Last day").fill("2099-12-24")
    await page.get_by_role("button", name="Keep these days").click()
    await page.get_by_role("alert").get_by_text("more than two years ahead").wait_for()
    await page.get_by_role("link", name="Contacts").click()
    await _seen(page, "contacts")
    await page.get_by_role("link", name="Correct Kate Brook").click()
    await page.get_by_label("Mobile").fill("07700 900123")
    await page.get_by_label("No advertising").check()
    await _seen(page, "contact")
    await page.get_by_role("button", name="Keep this").click()
    await page.get_by_text("None, said on").wait_for()
    await page.get_by_role("link", name="People").click()
    await page.get_by_text("Asked first").wait_for()
    await _seen(page, "people")
    assert "Kate Brook changed Kate Brook as a contact" in await demo.mails.wait_for("no advertising: from no to yes")
    (row,) = await demo.admin("contact list", customer=CUSTOMER)
    assert (row["notices"], row["mobile"], row["marketing_out"]) == ("daily", "07700 900123", True)
    assert (await demo.admin("approver show", customer=CUSTOMER, approver="Kate Brook"))["told of visits"] == "daily"
