"""Addresses confirmed in a real browser, read from a real phone system: from then on a reset goes to the person."""

from __future__ import annotations

from playwright.async_api import Browser

from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.store.address_tables import baseline_rows
from tests.end_to_end.browsing import browser, telephone

__all__ = ["browser"]


async def test_5_confirmed_once_they_receive_their_own_passwords_and_an_edit_is_found(
    demo: Demo, ssh: Master, browser: Browser
) -> None:
    phone = await telephone(browser)
    await phone.invited(demo)
    page = phone.page
    await permit(demo, "view,alter,reset-voicemail")
    assert "to hand over" in (await ssh.run("reset 2001 voicemail --yes")).out
    await page.get_by_role("link", name="Addresses").click()
    await page.get_by_role("link", name="Head office").click()
    await page.get_by_role("button", name="Read them now").click()
    await page.get_by_text("38 people, page 1 of 1").wait_for()
    await page.get_by_label("Look for a name, extension or address").fill("2002")
    await page.get_by_role("button", name="Show them").click()
    await page.get_by_text("1 person, page 1 of 1").wait_for()
    await page.get_by_role("button", name="It is wrong").click()
    await page.get_by_text("37 as right, 1 as wrong").wait_for()
    assert await phone.fits()
    await page.get_by_role("button", name="Confirm all 38 with my passkey").click()
    await page.get_by_text("Kate Brook confirmed 37 addresses as right and 1 as wrong").wait_for()
    assert "37 as right, 1 as wrong" in await demo.mails.wait_for("signed the mail addresses of the people")
    assert "u…@customer.example" in (await ssh.run("reset 2001 voicemail --yes")).out
    assert "to hand over" in (await ssh.run("reset 2002 voicemail --yes")).out
    # Altering cannot become reading: another address than the confirmed one counts as changed.
    assert (await ssh.run("set 2001 email=mine@customer.example")).code == 0
    assert "to hand over" in (await ssh.run("reset 2001 voicemail --yes")).out
    assert (await demo.admin("audit verify", customer=CUSTOMER))["ok"]
    async with demo.app.parts.store.everyone() as scope:
        await scope.execute(baseline_rows.update().where(baseline_rows.c.position == 3).values(salt="0", leaf="0" * 64))
    refused = await ssh.run("reset 2001 voicemail --yes")
    assert (refused.code, "altered in the database" in refused.err) == (3, True)
    found = await demo.admin("audit verify", customer=CUSTOMER)
    assert (found["ok"], "does not have the root that was signed" in found["faults"][0]) == (False, True)
    assert phone.trouble == []
