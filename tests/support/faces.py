"""Every page that a customer may come to see, furnished: for pictures of them, and for what all of them must hold.

A page of the portal that no face shows is found by `unseen`, so that a new one cannot be forgotten: add a `Face` for
it to `faces_of`, and to `furnished` whatever it should show.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyotp
from playwright.async_api import Browser, Page
from sqlalchemy import select

from connectors.contract import Operation
from gateway.access.recovering import Recovered
from gateway.cli.demo import CUSTOMER, SYSTEM, Demo, ask_for, permit
from gateway.cli.story import Master
from gateway.cli.telephone import Telephone, link_in, telephone
from gateway.cli.terminal import shell
from gateway.model import DAY
from gateway.store.tables import approvers, directory
from gateway.wiring.duties import recovering_of
from tests.support.portal_browser import DESKTOP

NOT_PAGES = frozenset({"/visits/{session}/live", "/visits/{session}/cast", "/sign-in/with/{customer}"})
"""What a page with a terminal loads, and what leads on to a customer's own provider: nobody sees it by itself."""
NOT_OURS = ("/s/{link}", "an address that is nothing")
"""Faces that no `Page` stands behind: the one-time page, and what is not there."""
_LONG = "Wolfeschlegelsteinhausenbergerdorff" * 3
HOSTILE = f"<b>{_LONG}</b>\u202e"
"""No space to break it at, markup, and a change of the direction of writing."""


@dataclass(frozen=True, slots=True)
class Face:
    """A page as somebody sees it. `route`: whose page it is; `name`: a file's name; `first`: what has to be so."""

    name: str
    route: str
    path: str
    signed_in: bool = True
    first: Callable[[], Awaitable[Any]] | None = None
    status: int = 200


@dataclass(slots=True)
class Furnished:
    """A demo with a bit of everything in it, and a browser in which Kate is signed in and another that knows nobody."""

    demo: Demo
    kate: Telephone
    stranger: Page
    ids: dict[str, str]

    async def show(self, face: Face) -> Page:
        """Come to it, and wait for whatever it loads by itself."""
        if face.first is not None:
            await face.first()
        page = self.kate.page if face.signed_in else self.stranger
        answer = await page.goto(self.demo.app.portal_url() + face.path, wait_until="load")
        assert answer is not None
        assert answer.status == face.status, f"{face.name}: {answer.status}"
        if face.route.endswith("/watch"):
            await page.get_by_text("Live.", exact=True).wait_for()
        elif face.route.endswith("/play"):
            await page.locator("#markers button").first.wait_for()
        return page


def unseen(demo: Demo, faces: list[Face]) -> set[str]:
    """Addresses of pages that no face shows."""
    shown = {face.route for face in faces}
    return {p.path for p in demo.app.pages().pages if p.method == "GET"} - shown - NOT_PAGES


async def _visit(demo: Demo, ssh: Master) -> str:
    """One that is over: looks, a change, two resets. Its id."""
    grant = await permit(demo, "find,view,alter,reset-voicemail,reset-sip")
    for command in ("find grace", "show 2001", "set 2001 name='Grace Bell' --yes", "reset 2001 voicemail --yes"):
        done = await ssh.run(command)
        assert done.code == 0, done.err
    # The one before went to an approver; an address that has stood for long gets it itself.
    async with demo.app.parts.store.everyone() as scope:
        await scope.execute(directory.update().values(since_ms=demo.app.parts.permission.now - 31 * DAY))
    done = await ssh.run("reset 2001 sip --phones-will-drop --yes")
    assert done.code == 0, done.err
    (live,) = demo.app.visits.all()
    await demo.admin("grant revoke", grant=grant, reason="that was all")
    await live.over.wait()
    return str(live.id)


async def _outside(demo: Demo, ssh: Master) -> tuple[str, str]:
    """Two visits that are not recorded here: one that was told of, one that goes on. Their ids."""
    await permit(demo, "visit")
    for command in (f"visit start '{SYSTEM}'", f'visit done "Changed the line card. {HOSTILE[:-1]}"',
                    f"visit start '{SYSTEM}'"):  # fmt: skip
        done = await ssh.run(command)
        assert done.code == 0, done.err
    going, told = await demo.admin("visit list")
    return told["id"], going["id"]


async def _hostile(demo: Demo) -> str:
    """An engineer, a phone system and a contact whose names are what nobody should be called; a request's id."""
    await demo.admin("engineer add", login="long", name=HOSTILE, email="long@company.example", roles=[])
    await demo.admin("customer engineer", customer=CUSTOMER, login="long", veto=False)
    await demo.admin(
        "system add", customer=CUSTOMER, name=_LONG, connector="lab", host="127.0.0.1", port=demo.lab.ssh_port,
        pin=demo.lab.host_key, login="frameroom", password=None, private_key=demo.lab.client_key, settings="{}",
        site="Leeds", asset="",
    )  # fmt: skip
    await demo.admin(
        "contact add", customer=CUSTOMER, name=f"<b>{_LONG}", email=f"{_LONG[:60]}@customer.example", position=_LONG,
        phone="+442079460900", notices="each",
    )  # fmt: skip
    parts = demo.app.parts
    engineer = next(e for e in await parts.engineers.all() if e.login == "long")
    places = await demo.app.commands.places.systems_for(engineer.id)
    place = next(s for _, s in places if s.name == _LONG)
    wanted = frozenset({Operation.FIND, Operation.VIEW})
    return (await parts.permission.submit(engineer.id, place, wanted, 120, "T" * 100, f"<b>{_LONG}" * 2)).id


async def _job(page: Page, url: str) -> None:
    await page.goto(f"{url}/jobs")
    await page.get_by_label("What is to be done").fill("Change Grace's name to Bell")
    await page.get_by_label("For whom").fill("Grace Okonkwo")
    until = datetime.now(ZoneInfo("Europe/London")) + timedelta(hours=5)
    await page.get_by_label("By when").fill(f"{until:%Y-%m-%dT%H:%M}")
    await page.get_by_role("button", name="Sign, and send it").click()
    await page.get_by_text("waits for an engineer").wait_for()


async def _denied(page: Page, url: str, request: str) -> None:
    await page.goto(f"{url}/requests/{request}")
    await page.get_by_text("No", exact=True).click()
    await page.get_by_label("Why not?").fill("We are closed today")
    await page.get_by_role("button", name="No, keep them out").click()
    await page.get_by_text("We are closed today").wait_for()


async def _ids(demo: Demo, approver: str) -> tuple[str, str]:
    """The customer's, and one of its approvers'."""
    async with demo.app.parts.store.look_at_everyone() as scope:
        row = (await scope.execute(select(approvers).where(approvers.c.name == approver))).one()
    return row.customer_id, row.id


async def _invited(demo: Demo, page: Page, name: str, email: str) -> str:
    """The path of an invitation that nobody has used, to somebody whom Kate names."""
    await page.goto(f"{demo.app.portal_url()}/people")
    await page.get_by_text("Name one more person").click()
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Email").fill(email)
    await page.get_by_role("button", name="Name them, and send the invitation").click()
    while True:
        for mail in demo.mails.caught:
            if mail["to"] == email and "/invitation/" in mail["text"]:
                return link_in(mail["text"], "/invitation/").removeprefix(demo.app.portal_url())
        demo.mails.arrived.clear()
        await demo.mails.arrived.wait()


async def _code_link(demo: Demo, kate: Page, stranger: Page) -> str:
    """The path of a link behind which a one-time code is asked for: Kate turns codes on, and uses one elsewhere."""
    url = demo.app.portal_url()
    await kate.goto(f"{url}/reading")
    await kate.get_by_role("button", name="Turn them on").click()
    secret = (await kate.locator("p.print").inner_text()).replace(" ", "")
    await kate.get_by_label("The six digits that the app shows now").fill(pyotp.TOTP(secret).now())
    await kate.get_by_role("button", name="Turn them on").click()
    await kate.get_by_text("On since").wait_for()
    await stranger.goto(f"{url}/sign-in")
    await stranger.get_by_text("Only to read, without a passkey").click()
    await stranger.get_by_label("Your email address at work").fill("kate@customer.example")
    await stranger.get_by_role("button", name="Go on").click()
    return link_in(await demo.mails.wait_for("/sign-in/code/"), "/sign-in/code/").removeprefix(url)


@asynccontextmanager
async def furnished(demo: Demo, browser: Browser) -> AsyncIterator[Furnished]:
    """With somebody in, live, until the block ends."""
    url = demo.app.portal_url()
    kate = await telephone(browser, DESKTOP)
    await kate.invited(demo)
    page, ids = kate.page, dict[str, str]()
    await _job(page, url)
    master = Master(demo)
    await master.start(pyotp.TOTP(demo.totp).now())
    ids["session"] = await _visit(demo, master)
    ids["told"], ids["going"] = await _outside(demo, master)
    link = link_in(await demo.mails.wait_for("This link shows it once"), "/s/").partition("#")[0]
    ids["link"] = link.removeprefix(url)
    ids["hand-over"] = link_in(await demo.mails.wait_for("Its page shows it to you"), "/hand-overs/").removeprefix(url)
    await page.goto(f"{url}/addresses")
    await page.get_by_role("link", name=SYSTEM).click()
    await page.get_by_role("button", name="Read them now").click()
    await page.get_by_text("Read on").wait_for()
    ids["addresses"] = page.url.removeprefix(url)
    ids["waiting"] = (await ask_for(demo, "view,reset-voicemail", "Grace is locked out of her voicemail")).id
    ids["hostile"] = await _hostile(demo)
    ids["invitation"] = await _invited(demo, page, "Priya Shah", "priya@customer.example")
    ids["contact"] = (await demo.admin("contact list", customer=CUSTOMER))[0]["id"]
    slack = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    await demo.admin("channel add", customer=CUSTOMER, person="Kate Brook", name="Our Slack", address=slack)
    stranger = await (await browser.new_context(viewport=DESKTOP)).new_page()
    ids["code"] = await _code_link(demo, page, stranger)
    ids["customer"] = (await demo.admin("customer show", customer=CUSTOMER))["id"]
    await permit(demo, "find,view,alter", system=SYSTEM)
    async with shell(demo) as engineer:
        engineer.type("show 2001")
        await engineer.wait_for("Grace")
        (live,) = demo.app.visits.all()
        ids["live"] = live.id
        # Last: whoever was told no may not ask again at once.
        ids["denied"] = (await ask_for(demo, "find,view", "Somebody asked about her number")).id
        await _denied(page, url, ids["denied"])
        yield Furnished(demo, kate, stranger, ids)
    await master.stop()


def faces_of(there: Furnished) -> list[Face]:
    """All of them: those of a visit that goes on first, those that change what others show last."""
    ids, demo = there.ids, there.demo
    visit, live = f"/visits/{ids['session']}", f"/visits/{ids['live']}"
    one, session = "/requests/{request}", "/visits/{session}"
    nothing = NOT_OURS[1]

    async def recovery() -> None:
        recovering = recovering_of(demo.app.parts)
        customer, kate = await _ids(demo, "Kate Brook")
        who = Recovered(kate, "Kate Brook", "kate@customer.example")
        await recovering.confirm("lee", await recovering.propose("sam", customer, who, "lost"))

    async def draft() -> None:
        terms = {"operations": ["find", "view"], "mail_domains": ["customer.example"], "approvals_needed": 2}
        await demo.admin("agreement set", customer=CUSTOMER, terms=terms)

    return [
        Face("watch", session + "/watch", live + "/watch"),
        Face("visit-live", session, live),
        Face("visits", "/visits", "/visits"),
        Face("first-page", "/", "/"),
        Face("request-waiting", one, f"/requests/{ids['waiting']}"),
        Face("request-denied", one, f"/requests/{ids['denied']}"),
        Face("request-hostile", one, f"/requests/{ids['hostile']}"),
        Face("visit-over", session, visit),
        Face("play", session + "/play", visit + "/play"),
        Face("outside", "/outside", "/outside"),
        Face("outside-told", "/outside/{visit}", f"/outside/{ids['told']}"),
        Face("outside-going-on", "/outside/{visit}", f"/outside/{ids['going']}"),
        Face("months", "/months", "/months"),
        Face("month", "/month", "/month"),
        Face("work", "/jobs", "/jobs"),
        Face("access", "/access", "/access"),
        Face("agreement", "/agreement", "/agreement"),
        Face("console", "/console", "/console"),
        Face("console-of-one", "/console/{system}", ids["addresses"].replace("/addresses/", "/console/")),
        Face("secrets", "/hand-overs", "/hand-overs"),
        Face("secret", "/hand-overs/{link}", ids["hand-over"]),
        Face("addresses", "/addresses", "/addresses"),
        Face("addresses-of-one", "/addresses/{system}", ids["addresses"]),
        Face("people", "/people", "/people"),
        Face("contacts", "/contacts", "/contacts"),
        Face("contact", "/contacts/{contact}", f"/contacts/{ids['contact']}"),
        Face("contact-new", "/contacts/new", "/contacts/new"),
        Face("notices", "/notices", "/notices"),
        Face("sign-ins", "/sign-ins", "/sign-ins"),
        Face("reading", "/reading", "/reading"),
        *_of_strangers(ids),
        Face("trouble", nothing, "/requests/req_nothing", status=404),
        Face("nowhere", nothing, "/nowhere", status=404),
        Face("agreement-draft", "/agreement", "/agreement", first=draft),
        Face("people-recovering", "/people", "/people", first=recovery),
    ]


def _of_strangers(ids: dict[str, str]) -> list[Face]:
    """Those that are seen before anybody signed in."""
    return [
        Face("sign-in", "/sign-in", "/sign-in", signed_in=False),
        Face("sign-in-here", "/sign-in/at/{customer}", f"/sign-in/at/{ids['customer']}", signed_in=False),
        Face("sign-in-failed", "/sign-in/back/{customer}", f"/sign-in/back/{ids['customer']}", False, status=403),
        Face("code", "/sign-in/code/{customer}/{secret}", ids["code"], signed_in=False),
        Face("invitation", "/invitation/{customer}/{secret}", ids["invitation"], signed_in=False),
        Face(
            "code-gone",
            "/sign-in/code/{customer}/{secret}",
            f"/sign-in/code/{ids['customer']}/{'x' * 43}",
            signed_in=False,
            status=404,
        ),
        Face("one-time", NOT_OURS[0], ids["link"], signed_in=False),
        Face("one-time-gone", NOT_OURS[0], "/s/lnk_nothing", signed_in=False, status=410),
        Face("nowhere-signed-out", NOT_OURS[1], "/nowhere", signed_in=False, status=404),
    ]
