"""The page of a one-time link in a real browser: shown once, after a click, and its key never leaves the browser."""

from __future__ import annotations

import asyncio
import re

from playwright.async_api import Browser, Page

from connectors.lab import sip
from gateway.cli.demo import Demo, permit
from gateway.cli.story import Master
from tests.end_to_end.browsing import PHONE, browser

__all__ = ["browser"]


async def link_of(demo: Demo, ssh: Master) -> str:
    """A reset through ssh; the link out of the mail that it led to."""
    await permit(demo, "view,reset-sip")
    assert (await ssh.run("reset 2001 sip --phones-will-drop --yes")).code == 0
    found = re.search(r"http\S+", await demo.mails.wait_for("This link shows it once"))
    assert found
    return found.group()


async def shown(page: Page) -> str:
    """Click, and what the page says is the secret."""
    await page.get_by_role("button", name="Show it now").click()
    await page.locator("#secret").wait_for(state="visible")
    return (await page.locator("#secret").inner_text()).strip()


async def test_4_a_browser_shows_the_secret_once_and_only_once(demo: Demo, ssh: Master, browser: Browser) -> None:
    link = await link_of(demo, ssh)
    key = link.partition("#")[2]
    page = await browser.new_page(viewport=PHONE)
    sent: list[str] = []
    trouble: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {request.headers} {request.post_data}"))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    await page.goto(link)
    await page.wait_for_url(lambda url: key not in url)  # nor in the history that a next user of this browser sees
    assert not await page.locator("#secret").is_visible()
    secret = await shown(page)
    assert await asyncio.to_thread(sip.register, "127.0.0.1", demo.lab.sip_port, "2001", secret, 0) == 200
    assert not any(key in request or secret in request for request in sent)
    assert trouble == []
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"]  # nothing of it is off a telephone's screen

    again = await browser.new_page()
    answer = await again.goto(link)
    assert answer is not None
    assert answer.status == 410
    words = await again.locator("body").inner_text()
    assert "opened already" in words
    assert secret not in words


async def test_4_two_that_open_it_together_see_it_once(demo: Demo, ssh: Master, browser: Browser) -> None:
    link = await link_of(demo, ssh)
    pages = [await browser.new_page() for _ in range(2)]
    for page in pages:
        await page.goto(link)
    await shown(pages[0])
    await pages[1].get_by_role("button", name="Show it now").click()
    await pages[1].get_by_text("opened already").wait_for()
    assert not await pages[1].locator("#secret").is_visible()


async def test_4_a_link_cut_short_uses_nothing_up(demo: Demo, ssh: Master, browser: Browser) -> None:
    link = await link_of(demo, ssh)
    page = await browser.new_page()
    await page.goto(link[:-5])
    await page.get_by_role("button", name="Show it now").click()
    await page.get_by_text("not complete").wait_for()
    whole = await browser.new_page()
    await whole.goto(link)
    assert await shown(whole)
