"""Story 2: the customer's yes, played in a real Chromium and with a real ssh client, by nobody's hand."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click
import pyotp

from connectors.lab import sip
from gateway.cli.story import PERSON, Master, StoryFailed, require, tell, told_to_its_end
from gateway.cli.telephone import Telephone, browsing, chromium, link_in, telephone
from gateway.cli.terminal import shell
from gateway.portal.visits import has_player

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    from gateway.cli.demo import Demo

_ASK = (
    'request "Head office" --ops find,view,alter --for 2h --ticket T-7 --reason "Grace Okonkwo is called Bell now" '
    "--wait"
)
_AT_MOST_S = 150
_CLOSED = 3
"""The exit code of a client whose permission ended."""


async def play(demo: Demo) -> int:
    """0 when every step held, 1 with the one that did not."""
    program = chromium()
    if program is None:
        click.echo("✗ no Chromium was found (Debian: apt-get install chromium; elsewhere Chrome will do)", err=True)
        return 1
    if not has_player():
        click.echo("✗ the portal's player is missing, so nothing is watched: `make frontend` (it needs npm)", err=True)
        return 1
    master = Master(demo)
    return await told_to_its_end(master, _in_time(demo, master, program))


async def _in_time(demo: Demo, master: Master, program: str) -> None:
    try:
        async with browsing(program) as browser, asyncio.timeout(_AT_MOST_S):
            await _played(demo, master, browser)
    except TimeoutError as error:
        raise StoryFailed(f"the story did not come to its end within {_AT_MOST_S} s") from error
    except ImportError as error:
        raise StoryFailed("playwright is not installed: `make demo STORY=2` sets it up") from error


async def _played(demo: Demo, master: Master, browser: Browser) -> None:
    from playwright.async_api import Error

    kate = await telephone(browser)
    try:
        await _invitation(demo, kate)
        await master.start(pyotp.TOTP(demo.totp).now())
        await _yes(demo, master, kate)
        session = await _watched(demo, kate)
        await _played_back(demo, kate.page, session)
        await _work(demo, master, kate.page)
        await _addresses(kate.page)
        await _secret(demo, master, browser)
        await _lost(demo, kate, browser)
    except Error as error:
        await _say_where(kate.page)
        raise StoryFailed(f"the browser did not come to where it should: {str(error).splitlines()[0]}") from error
    require(kate.trouble == [], f"the browser complained: {kate.trouble}")
    strangers = [url for url in kate.asked if not url.startswith(demo.app.portal_url())]
    require(strangers == [], f"the pages asked somebody else: {strangers}")
    tell("nobody else heard of it", f"{len(kate.asked)} requests of the browser, all to {demo.app.portal_url()}")
    report = await demo.admin("audit verify")
    require(report["ok"], f"the log does not verify: {report['faults']}")
    tell("log verified, signatures and all", f"{report['entries']} entries, {report['checkpoints']} checkpoints")


async def _say_where(page: Page) -> None:
    click.echo(f"the page was {page.url}: {await page.title()}", err=True)


async def _invitation(demo: Demo, kate: Telephone) -> None:
    fingerprint = await kate.invited(demo)
    require(await kate.fits(), "the first page is wider than a telephone")
    tell("from the invitation's link to a passkey", f"to be written on the agreement: {fingerprint}")


async def _yes(demo: Demo, master: Master, kate: Telephone) -> None:
    waiting, page = await master.start_process(_ASK), kate.page
    mail = await demo.mails.wait_for("Say yes or no here")
    await page.context.clear_cookies()  # the mail is opened days after the last sign-in
    await page.goto(link_in(mail, "/requests/"))
    await kate.sign_in()
    await page.get_by_role("heading", name="May Ana Silva come in?").wait_for()
    tell("a request waits, and its mail leads to it", (await page.locator("dl").inner_text()).replace("\n", " "))
    await page.get_by_label("look up people by name, number or email").uncheck()
    await page.get_by_label("For how long").select_option(label="1 hour from now")
    begun = time.monotonic()
    await page.get_by_role("button", name="Yes, let them in").click()
    out, err = await waiting.communicate()
    took = time.monotonic() - begun
    require(waiting.returncode == 0, f"the engineer who waited was not let in: {err.decode()}")
    await page.get_by_text("This request is granted").wait_for()
    refused = await master.run("find grace")
    require(refused.code == _CLOSED, "what was unticked went through")
    said = out.decode().strip().splitlines()[-1]
    tell("a yes for less, signed with the passkey", f"`request --wait` said after {took:.2f} s: {said}")
    tell("what was unticked is refused", f"ssh … find grace → exit {_CLOSED}: {refused.err.splitlines()[0]}")


async def _watched(demo: Demo, kate: Telephone) -> str:
    """The engineer works, the customer looks on, and ends it. The visit's id."""
    page = kate.page
    async with shell(demo) as engineer:
        engineer.type(f"show {PERSON}")
        await engineer.wait_for("Okonkwo")
        await page.get_by_role("link", name="Visits").click()
        await page.get_by_role("link", name="Watch live").click()
        await _showing(page, "Okonkwo")
        engineer.type(f"set {PERSON} name='Grace Bell' --yes")
        await _showing(page, "Grace Bell")
        done = page.locator("#done").get_by_text("to Grace Bell")
        await done.wait_for()
        tell("watched live", f"on the telephone, beside the engineer's terminal: {await done.inner_text()}")
        (visit,) = demo.app.visits.all()
        begun = time.monotonic()
        await page.get_by_role("button", name="End now").click()
        code = await engineer.process.wait()
        took = time.monotonic() - begun
    require(code == _CLOSED, f"the ssh client ended with {code}")
    ended = page.get_by_text("The visit has ended")
    await ended.wait_for()
    tell("end now", f"the real ssh client was out {took * 1000:.0f} ms after the button, with exit {code}")
    return str(visit.id)


async def _showing(page: Page, words: str) -> None:
    await page.locator(".ap-term-text", has_text=words).wait_for()


async def _played_back(demo: Demo, page: Page, session: str) -> None:
    await page.goto(f"{demo.app.portal_url()}/visits/{session}")
    changed = await page.get_by_text("name from Grace Okonkwo to Grace Bell").inner_text()
    await page.get_by_role("link", name="Play the recording").click()
    moments = page.locator("#markers button")
    await moments.first.wait_for()
    await page.get_by_label("Speed").select_option("8")
    await page.get_by_role("button", name="Play", exact=True).click()
    await _showing(page, "Grace Bell")
    tell("what was done, in words and played back", f"{changed} {await moments.count()} moments to jump to")


async def _work(demo: Demo, master: Master, page: Page) -> None:
    await page.get_by_role("link", name="Work").click()
    await page.get_by_label("What is to be done").fill("Change Grace's name back to Okonkwo")
    await page.get_by_label("For whom").fill("Grace")
    until = datetime.now(ZoneInfo("Europe/London")) + timedelta(hours=5)
    await page.get_by_label("By when").fill(f"{until:%Y-%m-%dT%H:%M}")
    await page.get_by_label("change a person's name, email or direct number").check()
    await page.get_by_label("reset a telephone's password").check()
    await page.get_by_role("button", name="Sign, and send it").click()
    await page.get_by_text("waits for an engineer").wait_for()
    listed = await master.run("jobs")
    found = re.search(r"^\d+", listed.out, re.MULTILINE)
    require(found is not None, f"the job is not listed: {listed.out}{listed.err}")
    number = found.group() if found is not None else ""
    for command in (f"job take {number}", f"set {PERSON} name='Grace Okonkwo' --yes"):
        ran = await master.run(command)
        require(ran.code == 0, f"{command}: {ran.err}")
    refused = await master.run(f"remove {PERSON} --yes")
    require(refused.code == _CLOSED, "what nobody asked for went through")
    tell("work asked for, signed, and taken", f"job {number}: nobody is asked again; `remove` → exit {_CLOSED}")


async def _addresses(page: Page) -> None:
    """A new password goes to the person themselves only where the customer has said that the address is theirs."""
    await page.get_by_role("link", name="Addresses").click()
    await page.get_by_role("link", name="Head office").click()
    await page.get_by_role("button", name="Read them now").click()
    confirm = page.get_by_role("button", name=re.compile("Confirm all"))
    await confirm.wait_for()
    await confirm.click()
    confirmed = page.get_by_text(re.compile(r"confirmed \d+ addresses as right"))
    await confirmed.wait_for()
    tell("the addresses of the phone system confirmed, with one signature", await confirmed.inner_text())


async def _secret(demo: Demo, master: Master, browser: Browser) -> None:
    """Under the job's permission; then the job is done."""
    done = await master.run(f"reset {PERSON} sip --phones-will-drop --yes")
    require(done.code == 0, f"reset failed: {done.err}")
    link = link_in(await demo.mails.wait_for("This link shows it once"), "/s/")
    page = await (await browser.new_context()).new_page()
    await page.goto(link)
    await page.get_by_role("button", name="Show it now").click()
    await page.locator("#secret").wait_for(state="visible")
    secret = (await page.locator("#secret").inner_text()).strip()
    answer = await asyncio.to_thread(sip.register, "127.0.0.1", demo.lab.sip_port, PERSON, secret, 0)
    require(answer == 200, f"the telephone was answered {answer}")
    later = await (await browser.new_context()).new_page()
    again = await later.goto(link)
    require(again is not None and again.status == 410, "the link opened twice")
    words = await later.get_by_text("opened already").inner_text()
    require(secret not in await later.content(), "the page showed it twice")
    tell("a new password, once and only once", f"REGISTER with it → 200; the link again → 410: {words[:80]}…")
    (number, *_) = re.findall(r"^\d+", (await master.run("jobs")).out, re.MULTILINE)
    finished = await master.run(f"job done {number} Grace is Okonkwo again")
    require(finished.code == 0, f"job done: {finished.err}")
    await demo.mails.wait_for("is done: Change Grace")
    tell("the work is done, and the customer hears so", f"`job done {number}` → exit {finished.code}; a mail tells it")


async def _lost(demo: Demo, kate: Telephone, browser: Browser) -> None:
    """Kate invites Omar; Kate's telephone is lost; Omar ends its key and invites her again."""
    kates, omars = "kate@customer.example", "omar@customer.example"
    await kate.page.get_by_role("link", name="People").click()
    card = kate.page.locator("section", has_text="Omar Aziz")
    await card.get_by_role("button", name="Send an invitation").click()
    omar = await telephone(browser)
    await omar.enrol(await _invited(demo, omars))
    await omar.signed_in()
    await omar.page.get_by_role("link", name="People").click()
    card = omar.page.locator("section", has_text="Kate Brook")
    await card.get_by_text("Kate Brook lost the telephone, or leaves").click()
    before = len(demo.mails.caught)
    await card.get_by_role("button", name="Lost: end the key, invite again").click()
    again = await telephone(browser)
    fingerprint = await again.enrol(await _invited(demo, kates, before))
    await again.signed_in()
    await kate.page.reload()
    require("/sign-in" in kate.page.url, "the lost telephone is still signed in")
    tell("a lost telephone recovered", f"signed out, its key ended by Omar; Kate's new key: {fingerprint}")


async def _invited(demo: Demo, address: str, after: int = 0) -> str:
    """The link of the invitation that came to an address, after so many mails."""
    while True:
        demo.mails.arrived.clear()
        for mail in demo.mails.caught[after:]:
            if mail["to"] == address and "/invitation/" in mail["text"]:
                return link_in(mail["text"], "/invitation/")
        await demo.mails.arrived.wait()
