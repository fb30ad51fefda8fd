"""The customer's yes in a real browser, on a phone-sized screen, while a real OpenSSH client waits for it."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.async_api import Browser

from gateway.cli.demo import Demo
from gateway.cli.story import Master
from tests.end_to_end.browsing import browser, telephone

__all__ = ["browser"]
_ASK = (
    'request "Head office" --ops find,view,reset-voicemail --for 2h --ticket T-7 --reason "Grace is locked out" --wait'
)


async def test_9_a_yes_from_the_mailed_link_lets_in_and_an_end_puts_out(
    demo: Demo, ssh: Master, browser: Browser
) -> None:
    phone = await telephone(browser)
    await phone.invited(demo)
    page = phone.page
    waiting = await ssh.start_process(_ASK)
    link = re.search(r"http\S+/requests/\S+", await demo.mails.wait_for("Say yes or no here"))
    assert link
    await page.context.clear_cookies()  # the mail is opened days after the last sign-in
    await page.goto(link.group())
    await phone.sign_in()
    await page.get_by_role("heading", name="May Ana Silva come in?").wait_for()
    said = await page.inner_text("main")
    for words in ("Head office", "Grace is locked out", "T-7", "see one person's name, email and direct number"):
        assert words in said
    yes = page.get_by_role("button", name="Yes, let them in")
    box = await yes.bounding_box()
    assert box is not None
    assert await phone.fits()
    await page.get_by_label("look up people by name, number or email").uncheck()
    await page.get_by_label("For how long").select_option(label="1 hour from now")
    await yes.click()
    await page.get_by_text("This request is granted").wait_for()
    out, _ = await waiting.communicate()
    assert (waiting.returncode, b"granted" in out) == (0, True)
    assert (await ssh.run("show 2001")).code == 0
    assert (await ssh.run("find grace")).code == 3  # it was unticked
    live = next(iter(demo.app.visits.all()))
    await page.get_by_role("link", name="Waiting").click()
    await page.get_by_role("button", name="End it now").click()
    await page.get_by_text("Nobody may come in").wait_for()
    await asyncio.wait_for(live.over.wait(), 5)
    assert (await ssh.run("show 2001")).code == 3
    assert phone.trouble == []


async def test_9_a_no_reaches_the_engineer_who_waits(demo: Demo, ssh: Master, browser: Browser) -> None:
    phone = await telephone(browser)
    await phone.invited(demo)
    waiting = await ssh.start_process(_ASK)
    await demo.mails.wait_for("Say yes or no here")
    await phone.page.reload()
    await phone.page.get_by_role("link", name="Look, and answer").click()
    await phone.page.get_by_text("No", exact=True).click()
    await phone.page.get_by_label("Why not?").fill("We are closed today")
    await phone.page.get_by_role("button", name="No, keep them out").click()
    await phone.page.get_by_text("This request is denied: We are closed today").wait_for()
    _, err = await waiting.communicate()
    assert waiting.returncode == 3
    assert b"denied" in err
    assert "We are closed today" in await demo.mails.wait_for("The customer said no to your request")
    assert phone.trouble == []


async def test_9_work_is_asked_for_in_the_browser_and_seen_done(demo: Demo, ssh: Master, browser: Browser) -> None:
    phone = await telephone(browser)
    await phone.invited(demo)
    page = phone.page
    await page.get_by_role("link", name="Work").click()
    await page.get_by_label("What is to be done").fill("Change Grace's name to Bell")
    await page.get_by_label("For whom").fill("Grace Okonkwo")
    until = datetime.now(ZoneInfo("Europe/London")) + timedelta(hours=5)
    await page.get_by_label("By when").fill(f"{until:%Y-%m-%dT%H:%M}")
    await page.get_by_label("change a person's name, email or direct number").check()
    await page.get_by_role("button", name="Sign, and send it").click()
    await page.get_by_text("waits for an engineer").wait_for()
    listed = await ssh.run("jobs")
    assert "Change Grace's name to Bell" in listed.out
    number = re.findall(r"^\d+", listed.out, re.M)[0]
    assert (await ssh.run(f"job take {number}")).code == 0
    assert (await ssh.run('set 2001 name="Grace Bell" --yes')).code == 0
    assert (await ssh.run("remove 2001 --yes")).code == 3  # nobody asked for that
    assert (await ssh.run(f"job done {number} Her name is Bell now")).code == 0
    await page.reload()
    await page.get_by_text("done, says the engineer: Ana Silva").wait_for()
    assert "Her name is Bell now" in await demo.mails.wait_for("is done: Change Grace")
    assert await phone.fits()
    assert phone.trouble == []
