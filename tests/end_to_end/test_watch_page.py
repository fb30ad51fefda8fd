"""Watching a visit live in a real browser, ending it from there, and playing it back."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from tests.end_to_end.browsing import PHONE, browser
from tests.support.need import need_player
from tests.support.portal_browser import approver_in, shell

__all__ = ["browser"]


@pytest.fixture(autouse=True)
def player() -> None:
    """Nothing of this can be seen without it."""
    need_player()


async def _showing(page: Page, words: str) -> None:
    await page.locator(".ap-term-text", has_text=words).wait_for()


async def test_3_a_visit_is_watched_live_and_ended_from_the_page(demo: Demo, ssh: Master, browser: Browser) -> None:
    seen = await approver_in(demo, browser, viewport=PHONE)
    page = seen.page
    await permit(demo, "find,view,alter")
    async with shell(demo) as engineer:
        engineer.type("show 2001")
        await engineer.wait_for("Grace")
        await page.get_by_role("link", name="Visits").click()
        await page.get_by_role("heading", name="Ana Silva is in Head office").wait_for()
        await page.get_by_role("link", name="Watch live").click()
        await _showing(page, "Okonkwo")  # what was there before we came
        engineer.type("set 2001 name='Grace Bell-Ng' --yes")
        await _showing(page, "Bell-Ng")
        await page.locator("#done").get_by_text("to Grace Bell-Ng").wait_for()
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        await page.get_by_role("button", name="End now").click()
        await page.get_by_text(re.compile("The visit has ended: the permission was ended by the customer")).wait_for()
        assert await asyncio.wait_for(engineer.process.wait(), 30) == 3
    assert demo.app.visits.all() == []
    assert seen.trouble == []


async def test_3_the_list_of_visits_shows_who_came_in_without_being_loaded_again_by_hand(
    demo: Demo, ssh: Master, browser: Browser
) -> None:
    seen = await approver_in(demo, browser, viewport=PHONE)
    page = seen.page
    grant = await permit(demo, "view")
    await page.get_by_role("link", name="Visits").click()
    await page.get_by_text("Nobody is in your phone systems.").wait_for()
    await page.evaluate("document.activeElement.blur()")
    looks = "/visits"
    async with page.expect_response(lambda answer: answer.url.endswith(looks)):
        pass  # the first look is what later ones are compared with
    assert (await ssh.run("show 2001")).code == 0
    await page.get_by_role("heading", name="Ana Silva is in Head office").wait_for()
    # Whoever is about to press something is told instead, and nothing moves.
    await page.get_by_role("button", name="End now").focus()
    async with page.expect_response(lambda answer: answer.url.endswith(looks)):
        pass
    await demo.admin("grant revoke", grant=grant, reason="enough")
    await page.get_by_text("This has changed meanwhile.").wait_for()
    await page.get_by_role("link", name="Look again").click()
    await page.get_by_text("Nobody is in your phone systems.").wait_for()
    assert seen.trouble == []


# What an engineer's terminal could be made to show to whoever looks: titles, clipboards, links, other screens, markup.
HOSTILE = (
    b"\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b]8;;http://evil.example\x07press me\x1b]8;;\x07"
    b"\x1bP+q544e\x1b\\\x1b[?1049h\x9d0;owned\x9c\x1b[8;900;9000t\x1b[6n"
    b"<img src=x onerror=\"window.owned=1\"><script>window.owned=1</script><a href='javascript:window.owned=1'>yes</a>"
    b"</pre></div><h1>Approved</h1>\xe2\x80\xaetxt.exe\xe2\x80\xac \xe2\x94\x83\xe2\x97\xa2 end of it\r\n"
)


async def test_10_hostile_output_neither_scripts_nor_spoofs_live_or_played(
    demo: Demo, ssh: Master, browser: Browser
) -> None:
    seen = await approver_in(demo, browser)
    page = seen.page
    grant = await permit(demo, "find,view")
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    site = demo.app.portal_url()
    await page.goto(f"{site}/visits/{visit.id}/watch")
    await page.get_by_text("Live.", exact=True).wait_for()
    visit.recording.resize(90_000, 90_000)
    visit.recording.output(HOSTILE)
    await _showing(page, "end of it")
    title = await page.title()
    await _nothing_came_of_it(page)
    await demo.admin("grant revoke", grant=grant, reason="test")
    await page.get_by_text("The visit has ended").wait_for()
    await visit.over.wait()

    await page.goto(f"{site}/visits/{visit.id}/play")
    await page.get_by_role("button", name="Play", exact=True).click()
    await _showing(page, "end of it")
    assert await page.title() != title
    assert "owned" not in await page.title()
    await _nothing_came_of_it(page)
    assert seen.trouble == []
    assert all(url.startswith(site) for url in seen.asked)  # nobody else hears of it


_TRY = "(markup) => { try { document.createElement('p').innerHTML = markup } catch (e) { return e.name } }"


async def _nothing_came_of_it(page: Page) -> None:
    for markup in (
        "<img src=x onerror=alert(1)>", "<script>1</script>", "<p onclick=1>", "<svg><a href=x>", "<p style='x'>",
        "<path d=1 onload='1'/>", "<p class=\"a\" onclick=\"b\">", "<iframe srcdoc=x>", "<p class=a/onclick=1>", "<",
        "<svg><use href=x>", "<p class='&quot;' onclick=1>", "<p <img src=x onerror=1>",
    ):  # fmt: skip
        assert await page.evaluate(_TRY, markup) == "TypeError", markup  # were it ever given to the page as markup
    assert await page.evaluate("window.owned") is None
    assert await page.locator("h1").all_inner_texts() in (["Live: Head office"], ["Recording: Head office"])
    text = await page.locator(".ap-term-text").inner_text()
    assert "<script>" in text  # it is there, as text
    assert "\u202e" not in text
    assert await page.locator(".terminal a, .terminal img, .terminal script, .terminal h1").count() == 0


async def test_3_a_recording_is_played_and_the_look_is_logged_once(demo: Demo, ssh: Master, browser: Browser) -> None:
    seen = await approver_in(demo, browser, viewport=PHONE)
    page = seen.page
    grant = await permit(demo, "find,view")
    assert (await ssh.run("find grace")).code == 0
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    await demo.admin("grant revoke", grant=grant, reason="enough")
    await visit.over.wait()
    await page.goto(f"{demo.app.portal_url()}/visits")
    await page.get_by_role("link", name=re.compile("Ana Silva in Head office")).click()
    await page.get_by_role("link", name="Play the recording").click()
    moments = page.locator("#markers button")
    await moments.nth(1).wait_for()
    assert [text.partition("  ")[2] for text in await moments.all_text_contents()] == [
        "look up people by name, number or email", "see one person's name, email and direct number",
    ]  # fmt: skip
    await page.get_by_label("Speed").select_option("8")
    await page.get_by_label("Skip waiting").uncheck()
    await page.get_by_role("button", name="Play", exact=True).click()
    await _showing(page, "user2001@customer.example")
    await moments.nth(0).click()
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert seen.trouble == []
    looks = [row for row in await _log(demo) if row["kind"] == "looked.recording"]
    assert len(looks) == 1
    assert looks[0]["session"] == visit.id
    assert looks[0]["data"]["who"].startswith("apr_")
    rows = await demo.admin("audit search", customer=CUSTOMER, why="test", kinds=["looked.recording"])
    assert "customer's own look" in str(rows)


async def _log(demo: Demo) -> list[dict[str, Any]]:
    parts = demo.app.parts
    customer = await parts.directory.customer_id(CUSTOMER)
    async with parts.store.look(customer) as scope:
        return [row.body for row in await parts.audit.read(scope.connection, customer)]
