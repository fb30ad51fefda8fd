"""A lost phone in a real browser: the only key is gone, two of staff begin, 72 hours pass, and the new phone signs."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser

from gateway.access.recovering import WAIT_HOURS
from gateway.cli.demo import CUSTOMER, Demo, ask_for
from gateway.model import HOUR
from gateway.wiring.duties import recovering_of
from tests.end_to_end.browsing import browser, telephone

__all__ = ["browser"]


async def test_9_a_lost_phone_is_recovered_by_two_of_staff_and_time(
    demo: Demo, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, found = await telephone(browser), await telephone(browser)
    old = await lost.invited(demo)
    recovery = await demo.admin("recovery propose", customer=CUSTOMER, approver="Kate Brook", basis="lost")
    with pytest.raises(RuntimeError, match="two people"):
        await demo.admin("recovery confirm", proposal=recovery["proposal"])
    # Two people are two logins of the operating system; a test has one.
    await recovering_of(demo.app.parts).confirm("another", recovery["proposal"])
    await demo.mails.wait_for("nobody's yes counts")
    # Whoever has the phone after all sees it coming, and nobody's yes counts meanwhile.
    await lost.page.get_by_role("link", name="People").click()
    await lost.page.get_by_role("heading", name="A new key is coming").wait_for()
    request = await ask_for(demo, "view", "While the key is on its way")
    await lost.page.goto(f"{demo.app.portal_url()}/requests/{request.id}")
    await lost.page.get_by_role("button", name="Yes, let them in").click()
    await lost.page.get_by_text("No yes counts while a lost key is being recovered").wait_for()

    clock = demo.app.parts.audit.clock
    usual = clock._wall
    monkeypatch.setattr(clock, "_wall", lambda: usual() + WAIT_HOURS * HOUR)
    demo.mails.caught.clear()
    await recovering_of(demo.app.parts).settle()
    link = re.search(r"http\S+/invitation/\S+", await demo.mails.wait_for("/invitation/"))
    assert link
    new = await found.enrol(link.group())
    assert new != old
    await found.page.get_by_role("link", name="Now sign in").click()
    await found.sign_in()
    await found.page.get_by_role("heading", name="Permitted now").wait_for()
    # The lost phone is signed out, and its key opens nothing.
    await lost.page.goto(demo.app.portal_url())
    await lost.sign_in()
    await lost.page.get_by_text("That passkey was not accepted").wait_for()

    request = await ask_for(demo, "view", "After it came")
    await found.page.goto(f"{demo.app.portal_url()}/requests/{request.id}")
    await found.page.get_by_role("button", name="Yes, let them in").click()
    await found.page.get_by_text("This request is granted").wait_for()
    assert await found.fits()
    assert found.trouble == []
