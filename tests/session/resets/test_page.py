"""The one-time page over real HTTP, on both databases: what opens a link, what never does, and what it says."""

from __future__ import annotations

import asyncio
import http.client
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from connectors.contract import Operation, SecretKind
from gateway.model import HOUR, new_id
from gateway.portal.once import OneTimePages
from gateway.session.links import Links, Reset
from gateway.session.recipients import Recipient
from gateway.wiring.web import start, web
from tests.support.furnished import Furnished

RING = "Ring Line & Wire on 0113 496 0000."


@dataclass(slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str
    raw: bytes


class Site:
    """The pages on a loopback port, and a browser's requests without a browser."""

    def __init__(self, brook: Furnished) -> None:
        self.brook, self.port, self.url = brook, 0, ""
        self.links = Links(brook.store, brook.audit)

    async def ask(self, method: str, path: str, **headers: str) -> Answer:
        """One request."""

        def here() -> Answer:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
            got = connection.getresponse()
            raw = got.read()
            connection.close()
            told = {k.lower(): v for k, v in got.getheaders()}
            return Answer(got.status, told, raw.decode("utf-8", "replace"), raw)

        return await asyncio.to_thread(here)

    async def open(self, link: str, **headers: str) -> Answer:
        """The click."""
        return await self.ask("POST", f"/s/{link}/open", **({"Origin": self.url} | headers))

    async def link(self, kind: SecretKind = SecretKind.SIP, sealed: bytes = b"ciphertext", ready: bool = True) -> Reset:
        """A link as a reset makes it."""
        brook = self.brook
        omar = await brook.approver("Omar", f"{new_id('x')}@customer.example")
        grant = await brook.say_yes(await brook.ask(), omar)
        assert grant is not None
        session = await brook.session(grant)
        operation = await brook.operation(grant, session, kind.operation)
        subject = brook.vault.subject(brook.customer, brook.system.id, "2001")
        reset = Reset(
            brook.customer, brook.system.id, session, grant.id, brook.engineer, operation, subject, kind, new_id("lnk")
        )
        to = Recipient("kate@customer.example", "approver Kate", omar)
        async with brook.store.scope(brook.customer) as scope:
            await self.links.prepare(scope, reset, sealed, to)
        if ready:
            async with brook.store.scope(brook.customer) as scope:
                await self.links.ready(scope, reset, to)
        return reset


@pytest.fixture
async def site(brook: Furnished) -> AsyncIterator[Site]:
    await brook.agree(zone="Europe/Berlin")
    running = Site(brook)
    pages = OneTimePages(brook.store, brook.audit, RING, lambda: running.url)
    ready, over = asyncio.Event(), asyncio.Event()

    # One task enters and leaves the task group, as it wants; a fixture's two halves may run in different ones.
    async def hold() -> None:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(serve(group))
            await over.wait()
            serving.cancel()

    async def serve(group: asyncio.TaskGroup) -> None:
        async with asyncio.TaskGroup() as inner:
            running.port = await start(inner, web(pages.app(), "127.0.0.1", 0))
            running.url = f"http://localhost:{running.port}"
            ready.set()

    task = asyncio.ensure_future(hold())
    await ready.wait()
    yield running
    over.set()
    await task


async def test_one_click_opens_it_once(site: Site) -> None:
    link = (await site.link()).link
    opened = await site.open(link)
    assert (opened.status, opened.raw) == (200, b"ciphertext")
    again = await site.open(link)
    assert again.status == 410
    assert b"ciphertext" not in again.raw
    assert (await site.brook.links())[link].sealed is None
    assert (await site.brook.kinds()).count("secret.opened") == 1


async def test_of_clicks_at_once_one_gets_it(site: Site) -> None:
    link = (await site.link()).link
    answers = await asyncio.gather(*(site.open(link) for _ in range(6)))
    assert sorted(a.status for a in answers) == [200, 410, 410, 410, 410, 410]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_looking_opens_nothing(site: Site, method: str) -> None:
    link = (await site.link()).link
    await site.ask(method, f"/s/{link}", Origin=site.url)
    refused = await site.ask(method, f"/s/{link}/open", Origin=site.url)
    assert refused.status == 405
    assert (await site.ask("POST", f"/s/{link}", Origin=site.url)).status == 405
    assert (await site.open(link)).status == 200


@pytest.mark.parametrize(
    "origin",
    ["", "null", "https://evil.example", "http://localhost", "https://localhost:{port}", "http://localhost:{port}.evil",
     "http://evil.example/http://localhost:{port}", "http://u@localhost:{port}"],
)  # fmt: skip
async def test_another_sites_click_opens_nothing(site: Site, origin: str) -> None:
    link = (await site.link()).link
    refused = await site.open(link, Origin=origin.replace("{port}", str(site.port)))
    assert refused.status == 403
    assert (await site.open(link)).status == 200


async def test_opened_already_says_when_and_whom_to_ring(site: Site) -> None:
    link = (await site.link()).link
    await site.open(link)
    for answer in (await site.ask("GET", f"/s/{link}"), await site.open(link)):
        assert answer.status == 410
        # 1_790_000_000 s is 21 September 2026, 14:13:20 UTC; Berlin has summer time.
        assert "It was opened already, on Monday 21 September 2026, 16:13 (Europe/Berlin)." in answer.text
        assert "0113 496 0000" in answer.text


async def test_it_runs_out_after_24_hours_and_says_so(site: Site) -> None:
    link = (await site.link()).link
    site.brook.clock.at_ms += 24 * HOUR - 1
    assert (await site.ask("GET", f"/s/{link}")).status == 200
    site.brook.clock.at_ms += 1
    for answer in (await site.open(link), await site.ask("GET", f"/s/{link}")):
        assert answer.status == 410
        assert "has run out" in answer.text
    # The loop writes it down, once, and the ciphertext is gone with it.
    await site.links.expire()
    await site.links.expire()
    assert (await site.brook.kinds()).count("secret.expired") == 1
    row = (await site.brook.links())[link]
    assert (row.state, row.sealed) == ("expired", None)
    assert "has run out" in (await site.open(link)).text


async def test_a_link_that_is_not_ready_opens_nothing(site: Site) -> None:
    link = (await site.link(ready=False)).link
    assert (await site.open(link)).status == 410
    assert (await site.ask("GET", f"/s/{link}")).status == 410


async def test_a_newer_reset_of_the_same_password_kills_it_and_no_other(site: Site) -> None:
    first, other = await site.link(), await site.link(SecretKind.VOICEMAIL)
    newer = await site.link()
    dead = await site.open(first.link)
    assert dead.status == 410
    assert "not valid any more" in dead.text
    assert (await site.brook.links())[first.link].sealed is None
    assert (await site.open(other.link)).status == 200
    assert (await site.open(newer.link)).status == 200


async def test_a_reset_that_wrote_nothing_leaves_the_earlier_link_alone(site: Site) -> None:
    first, failed = await site.link(), await site.link(ready=False)
    await site.links.give_up(failed, earlier_too=False)
    assert (await site.open(failed.link)).status == 410
    assert (await site.open(first.link)).status == 200


async def test_a_reset_of_unknown_outcome_kills_the_earlier_link_too(site: Site) -> None:
    first, unknown = await site.link(), await site.link(ready=False)
    await site.links.give_up(unknown, earlier_too=True)
    assert (await site.open(first.link)).status == 410


async def test_what_a_crash_left_half_written_is_void_and_so_is_what_it_may_have_replaced(site: Site) -> None:
    first = await site.link()
    left = await site.link(ready=False)
    await site.links.expire()
    assert (await site.brook.links())[left.link].state == "prepared"
    site.brook.clock.at_ms += 5 * 60_000
    await site.links.expire()
    states = {link: row.state for link, row in (await site.brook.links()).items()}
    assert (states[first.link], states[left.link]) == ("void", "void")


async def test_a_link_that_was_opened_cannot_become_undelivered(site: Site) -> None:
    link = await site.link()
    await site.open(link.link)
    async with site.brook.store.scope(site.brook.customer) as scope:
        assert await site.links.undelivered(scope, link) is False
    assert "secret.undelivered" not in await site.brook.kinds()


async def test_what_is_no_link_tells_nothing_and_guessing_is_limited(site: Site) -> None:
    wrong = ["lnk_" + f"{n:024x}" for n in range(16)] + ["x", "%00", "lnk_" + "A" * 24, "lnk_' or 1=1"]
    answers = [await site.ask("GET", "/s/" + name.replace(" ", "%20")) for name in wrong]
    assert {a.status for a in answers} == {410}
    assert len({a.text for a in answers}) == 1
    assert "not valid" in answers[0].text
    assert (await site.ask("GET", "/s/lnk_" + "f" * 24)).status == 429
    assert (await site.open("lnk_" + "f" * 24)).status == 429
    # Whoever holds a right one is not locked out by whoever guesses from the same address.
    link = (await site.link()).link
    assert (await site.ask("GET", f"/s/{link}")).status == 200
    assert (await site.open(link)).status == 200


async def test_headers_on_every_answer(site: Site) -> None:
    link = (await site.link()).link
    answers = [
        await site.ask("GET", f"/s/{link}"),
        await site.ask("HEAD", f"/s/{link}"),
        await site.ask("GET", "/s/nothing"),
        await site.ask("GET", "/nowhere"),
        await site.ask("GET", "/static/once.js"),
        await site.ask("GET", "/static/once.css"),
        await site.ask("GET", "/static/../once.py"),
        await site.ask("DELETE", f"/s/{link}"),
        await site.open(link, Origin="https://evil.example"),
        await site.open(link),
    ]
    for answer in answers:
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert policy["trusted-types"] == "'none'"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "strict-transport-security" not in answer.headers
    site.url = "https://once.company.example"
    assert "max-age=" in (await site.ask("GET", "/nowhere")).headers["strict-transport-security"]


async def test_the_page_holds_no_script_of_its_own_and_says_whom_to_ring(site: Site) -> None:
    page: Any = await site.ask("GET", f"/s/{(await site.link()).link}")
    assert re.findall(r"<script[^>]*>", page.text) == ['<script src="/static/once.js">']
    assert not re.search(r"\son\w+=|style=|javascript:", page.text)
    assert "Ring Line &amp; Wire on 0113 496 0000." in page.text
    assert 'content="width=device-width, initial-scale=1"' in page.text
    assert "<noscript>" in page.text
    assert Operation.RESET_SIP.value not in page.text
