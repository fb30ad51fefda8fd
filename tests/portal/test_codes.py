"""One-time codes for reading: turned on with a passkey, given behind a mailed link, and good for nothing else."""

from __future__ import annotations

import re
from html import unescape
from xml.etree import ElementTree

import pyotp
import pytest

from gateway.identity.codes import TRIES
from gateway.portal.page import Who
from gateway.portal.site import COOKIE
from gateway.store.sign_in_tables import reading_codes
from tests.portal.approver import Approver, approver
from tests.portal.conftest import SITE, Site

KATE = "kate@customer.example"


def code_of(site: Site, secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(site.brook.clock.at_ms // 1000 + 30 * steps)


def secret_of(page: str) -> str:
    return re.findall(r'class="print">([A-Z2-7 ]+)<', page)[0].replace(" ", "")


async def turned_on(site: Site, who: Approver) -> str:
    """Codes on; the secret."""
    secret = secret_of((await who.send("/reading/codes")).text)
    assert (await who.send("/reading/codes/confirm", code=code_of(site, secret))).status_code == 303
    site.brook.clock.at_ms += 31_000  # the next code
    return secret


async def links(site: Site) -> list[str]:
    bodies = [row.body for row in await site.brook.waiting() if row.what == "own sign-in"]
    return [found for body in bodies for found in re.findall(rf"{SITE}(/sign-in/code/\S+)", body)]


async def asked(site: Site, email: str = KATE, following: str = "/visits") -> str:
    """The newest link after somebody gave this address on the sign-in page."""
    site.brook.clock.at_ms += 1000
    assert (await site.ask("POST", "/sign-in/ways", data={"email": email, "next": following})).status_code == 200
    return (await links(site))[-1]


async def test_codes_are_turned_on_with_a_passkey_and_sign_in_to_read(site: Site) -> None:
    kate = await approver(site)
    shown = await kate.send("/reading/codes")
    secret = secret_of(shown.text)
    svg = re.findall(r"<svg.*?</svg>", shown.text, re.DOTALL)[0]
    assert "style" not in svg
    assert ElementTree.fromstring(svg).attrib["role"] == "img"  # noqa: S314 - our own page
    assert shown.headers["cache-control"] == "no-store"
    # Not yet: no code was given back. A wrong one shows the same picture again.
    await site.ask("POST", "/sign-in/ways", data={"email": KATE})
    assert await links(site) == []
    wrong = await kate.send("/reading/codes/confirm", code="000000")
    assert wrong.status_code == 422
    assert secret_of(wrong.text) == secret
    assert "That was not the code" in wrong.text
    assert (await kate.send("/reading/codes/confirm", code=code_of(site, secret))).status_code == 303
    assert "On since" in await kate.page("/reading")
    assert secret not in await kate.page("/reading")
    assert (await kate.send("/reading/codes")).status_code == 409
    site.brook.clock.at_ms += 31_000
    link = await asked(site)
    assert "six digits" in (await site.ask("GET", link)).text
    answer = await site.ask("POST", link, data={"code": code_of(site, secret)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/visits")
    told = answer.headers["set-cookie"]
    for word in ("__Host-", "HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert word in told
    me = await site.sign_ins.who(answer.cookies[COOKIE])
    assert me is not None
    assert (me.approver_id, me.factor, me.may_approve) == (kate.id, "code", False)
    for page in site.portal.pages:
        if page.who is Who.APPROVER and page.method == "POST" and "{" not in page.path:
            refused = await site.ask("POST", page.path, answer.cookies[COOKIE], data={"csrf": me.csrf})
            assert refused.status_code == 403, page.path
    assert "with a one-time code, to read" in await kate.page("/sign-ins")


async def test_turning_on_and_off_is_told_and_logged_and_ends_what_came_by_it(site: Site) -> None:
    kate = await approver(site)
    secret = await turned_on(site, kate)
    link = await asked(site)
    cookie = (await site.ask("POST", link, data={"code": code_of(site, secret)})).cookies[COOKIE]
    another = await asked(site)
    assert (await kate.send("/reading/codes/remove")).status_code == 303
    assert (await site.ask("GET", "/", cookie)).status_code == 303
    assert (await site.ask("GET", another)).status_code == 404
    assert (await kate.send("/reading/codes/remove")).status_code == 404
    subjects = [row.subject for row in await site.brook.waiting() if row.subject.startswith("One-time codes")]
    assert subjects == ["One-time codes: on", "One-time codes: off"]
    kinds = await site.brook.kinds()
    assert kinds.count("approver.code_added") == kinds.count("approver.code_removed") == 1
    everything = str(await site.brook.waiting()) + str(await site.brook.rows(reading_codes))
    assert secret not in everything


async def test_a_code_and_a_link_serve_once(site: Site) -> None:
    secret = await turned_on(site, await approver(site))
    first, second = await asked(site), await asked(site)
    code = code_of(site, secret)
    assert (await site.ask("POST", first, data={"code": code})).status_code == 303
    assert (await site.ask("POST", second, data={"code": code})).status_code == 403  # replayed
    assert (await site.ask("POST", second, data={"code": code_of(site, secret, -1)})).status_code == 403  # an older one
    site.brook.clock.at_ms += 31_000
    assert (await site.ask("POST", first, data={"code": code_of(site, secret)})).status_code == 404
    assert (await site.ask("POST", second, data={"code": code_of(site, secret)})).status_code == 303
    third = await asked(site)
    site.brook.clock.at_ms += 16 * 60_000
    assert (await site.ask("POST", third, data={"code": code_of(site, secret)})).status_code == 404


async def test_wrong_codes_end_the_link_then_make_everybody_wait(site: Site) -> None:
    secret = await turned_on(site, await approver(site))
    link = await asked(site)
    for odd in ("000000", "", "١٢٣٤٥٦", "1234567", "x" * 4000)[:TRIES]:
        answer = await site.ask("POST", link, data={"code": odd})
        assert answer.status_code == 403
        assert "not accepted" in answer.text
    assert (await site.ask("POST", link, data={"code": code_of(site, secret)})).status_code == 404
    warned = [row for row in await site.brook.waiting() if row.subject == "Wrong codes were given for you"]
    assert [row.address for row in warned] == [KATE]
    another = await asked(site)
    assert (await site.ask("POST", another, data={"code": "000000"})).status_code == 403  # the sixth
    held = await site.ask("POST", another, data={"code": code_of(site, secret)})
    assert held.status_code == 403
    assert "Wait until" in unescape(held.text)
    (row,) = await site.brook.rows(reading_codes)
    waited = row.locked_until_ms - site.brook.clock.at_ms
    site.brook.clock.at_ms = row.locked_until_ms
    assert (await site.ask("POST", another, data={"code": "000000"})).status_code == 403  # the seventh: twice as long
    (row,) = await site.brook.rows(reading_codes)
    assert row.locked_until_ms - site.brook.clock.at_ms == 2 * waited
    site.brook.clock.at_ms = row.locked_until_ms
    assert (await site.ask("POST", another, data={"code": code_of(site, secret)})).status_code == 303
    assert (await site.brook.kinds()).count("portal.refused") == TRIES + 2


async def test_an_address_is_answered_the_same_whether_or_not_it_is_there(site: Site) -> None:
    kate = await approver(site)
    await turned_on(site, kate)
    await site.brook.approver("Omar", "omar@customer.example", kate.id)
    pages = [
        await site.ask("POST", "/sign-in/ways", data={"email": email})
        for email in (KATE, "omar@customer.example", "nobody@customer.example", "KATE@customer.EXAMPLE")
    ]
    assert len({(page.status_code, page.text, str(sorted(page.headers))) for page in pages}) == 1
    assert len(await links(site)) == 2  # Kate's, however she writes it


async def test_mail_is_not_sent_without_end(site: Site) -> None:
    await turned_on(site, await approver(site))
    for _ in range(6):
        await asked(site)
    assert len(await links(site)) == 3
    site.brook.clock.at_ms += 16 * 60_000
    await asked(site)
    assert len(await links(site)) == 4


async def test_links_are_not_guessed_and_a_neighbours_is_not_ones_own(site: Site) -> None:
    secret = await turned_on(site, await approver(site))
    link = await asked(site)
    other = await site.brook.directory.add_customer("t", "Neighbour")
    theirs = link.replace(site.brook.customer, other)
    assert (await site.ask("POST", theirs, data={"code": code_of(site, secret)})).status_code == 404
    assert (await site.ask("GET", link[:-1] + ("A" if link[-1] != "A" else "B"))).status_code == 404
    tried = [(await site.ask("GET", f"{link}x")).status_code for _ in range(22)]
    assert tried[-1] == 429
    assert (await site.ask("GET", link)).status_code == 200  # a right one is not held up by others' wrong ones


@pytest.mark.parametrize("how", ["lost", "removed"])
async def test_codes_end_with_the_key_or_the_person(site: Site, how: str) -> None:
    kate = await approver(site)
    omar = await approver(site, "Omar", kate.id)
    secret = await turned_on(site, omar)
    link = await asked(site, "omar@customer.example")
    assert (await kate.send(f"/people/{omar.id}/{'lost' if how == 'lost' else 'remove'}")).status_code == 303
    assert (await site.ask("POST", link, data={"code": code_of(site, secret)})).status_code == 404
    assert await site.brook.rows(reading_codes) == []


async def test_whoever_reads_turns_no_codes_on(site: Site) -> None:
    kate = await approver(site)
    reader = await site.reader(kate.id)
    me = await site.sign_ins.who(reader)
    assert me is not None
    assert "Turn them on" not in (await site.ask("GET", "/reading", reader)).text
    assert (await site.ask("POST", "/reading/codes", reader, data={"csrf": me.csrf})).status_code == 403
