"""A secret handed over in a real browser: from the mail to the approver's passkey, shown once, ticked as given."""

from __future__ import annotations

import asyncio
import json
import re

from playwright.async_api import Browser

from connectors.lab import sip
from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from tests.end_to_end.browsing import Telephone, browser, telephone

__all__ = ["browser"]


async def link_of(demo: Demo, ssh: Master) -> str:
    """A reset through ssh, of somebody whose address is new; the link out of the approver's mail."""
    await permit(demo, "view,reset-sip")
    done = await ssh.run("reset 2001 sip --phones-will-drop --yes")
    assert done.code == 0, done.err
    assert "reset; sent to approver Kate Brook (k…@customer.example), to hand over" in done.out
    mail = await demo.mails.wait_for("Its page shows it to you, with your passkey, once")
    found = re.search(r"http\S+/hand-overs/\S+", mail)
    assert found
    return found.group()


async def shown(phone: Telephone) -> str:
    """Click, answer as the telephone does, and what the page says is the secret."""
    await phone.page.get_by_role("button", name="Show it now, with my passkey").click()
    await phone.page.locator("#secret").wait_for(state="visible")
    return (await phone.page.locator("#secret").inner_text()).strip()


async def test_4_an_approver_opens_it_once_with_their_passkey_and_hands_it_over(
    demo: Demo, ssh: Master, browser: Browser
) -> None:
    phone = await telephone(browser)
    await phone.invited(demo)
    link = await link_of(demo, ssh)
    key = link.partition("#")[2]
    page = phone.page
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {request.headers} {request.post_data}"))
    await page.context.clear_cookies()  # the mail is opened on another day
    await page.goto(link)
    await phone.sign_in()
    await page.get_by_role("heading", name="A secret to hand over").wait_for()
    await page.wait_for_url(lambda url: key not in url)  # the page's script takes it away
    assert "extension 2001" in await page.inner_text("main")
    secret = await shown(phone)
    assert await asyncio.to_thread(sip.register, "127.0.0.1", demo.lab.sip_port, "2001", secret, 0) == 200
    assert not any(key in request or secret in request for request in sent)
    assert await phone.fits()
    listed = json.loads((await ssh.run("handover --json")).out)
    (about,) = [row["about"] for row in listed if row["what"] == "password to hand over"]
    assert about == "reset-sip: Kate Brook has opened it, and not said yet that it was given on"
    await page.get_by_label("I gave it to").check()
    await page.get_by_role("button", name="Handed over").click()
    await page.get_by_text("Handed over, says who opened it").wait_for()
    assert secret not in await page.inner_text("body")
    await page.reload()
    words = await page.inner_text("main")
    assert "is not shown again" in words
    assert secret not in words
    assert await page.get_by_role("button", name="Show it now").count() == 0
    kinds = {row["kind"] for row in await demo.admin("audit tail", customer=CUSTOMER, count=50, why="test")}
    assert {"secret.issued", "secret.sent", "secret.opened", "secret.handed"} <= kinds
    assert phone.trouble == []


async def test_4_without_the_mails_key_nothing_is_used_up(demo: Demo, ssh: Master, browser: Browser) -> None:
    phone = await telephone(browser)
    await phone.invited(demo)
    link = await link_of(demo, ssh)
    listed = json.loads((await ssh.run("handover --json")).out)
    assert any("Kate Brook has not opened it yet" in row["about"] for row in listed)
    page = phone.page
    await page.get_by_role("link", name="Secrets").click()
    await page.get_by_role("link", name="telephone password of").click()
    await page.get_by_role("button", name="Show it now, with my passkey").click()
    await page.get_by_text("Nothing was used up: open its link, whole").wait_for()
    await page.goto(link)
    assert await shown(phone)
    assert phone.trouble == []
