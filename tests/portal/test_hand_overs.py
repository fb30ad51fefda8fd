"""Secrets that an approver hands over: opened once, by that approver, with a fresh answer of their own passkey."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import httpx

from gateway.access.handing import FRESH_MS
from gateway.model import HOUR
from gateway.session.links import Links
from gateway.store.tables import links, outbox
from tests.portal.approver import Approver, approver
from tests.portal.conftest import Site
from tests.portal.handed import SEALED, a_secret
from tests.support.browser_passkey import SoftwarePasskey


async def opened(who: Approver, link: str, key: SoftwarePasskey | None = None) -> httpx.Response:
    """What the page's script does."""
    told = await who.post(f"/hand-overs/{link}/options", {})
    if told.status_code != 200:
        return told
    options = told.json()
    answer = (key or who.key).get(options["challenge"])
    return await who.post(f"/hand-overs/{link}/open", options["keep"] | {"answer": answer})


async def two(site: Site) -> tuple[Approver, Approver]:
    """Kate, who says yes, and Carol, who hands over."""
    kate = await approver(site)
    return kate, await approver(site, "Carol", kate.id)


async def told(site: Site, kind: str) -> list[dict[str, Any]]:
    """The events of a kind, as they stand in the log."""
    async with site.brook.store.look(site.brook.customer) as scope:
        return [row.body for row in await site.brook.audit.read(scope.connection, site.brook.customer, kinds=(kind,))]


async def test_it_opens_once_to_the_one_it_is_addressed_to_and_is_handed_over(site: Site) -> None:
    kate, carol = await two(site)
    reset = await a_secret(site, carol.id, kate.id)
    path = f"/hand-overs/{reset.link}"
    page = await carol.page(path)
    assert "Show it now, with my passkey" in page
    assert "telephone password" in page
    assert "Grace Okonkwo (extension 2001)" in page
    answer = await opened(carol, reset.link)
    assert (answer.status_code, answer.content) == (200, SEALED)
    assert answer.headers["cache-control"] == "no-store"
    again = await opened(carol, reset.link)
    assert (again.status_code, again.json()["error"]) == (409, "It was opened already, and is shown once only.")
    page = await carol.page(path)
    # 1_790_000_000 s is 21 September 2026, 15:13 in London; each invitation of the set-up took a second.
    assert "It was opened on Monday 21 September 2026, 15:13 (Europe/London), by you" in page
    assert "Show it now" not in page
    (row,) = await site.brook.rows(links)
    assert (row.state, row.sealed) == ("opened", None)
    assert (await carol.send(f"{path}/handed")).status_code == 422  # not ticked
    assert (await kate.send(f"{path}/handed", given="yes")).status_code == 403
    assert (await carol.send(f"{path}/handed", given="yes")).status_code == 303
    assert "Handed over" in await kate.page("/hand-overs")
    assert (await carol.send(f"{path}/handed", given="yes")).status_code == 409
    (event,) = await told(site, "secret.opened")
    assert (event["actor"], event["data"]["approver"], event["data"]["link"]) == (carol.id, carol.id, reset.link)
    (event,) = await told(site, "secret.handed")
    assert (event["actor"], event["session"]) == (carol.id, reset.session)


async def test_another_approver_a_reader_and_the_link_alone_open_nothing(site: Site) -> None:
    kate, carol = await two(site)
    link = (await a_secret(site, carol.id, kate.id)).link
    refused = await opened(kate, link)
    assert (refused.status_code, "addressed to Carol" in refused.json()["error"]) == (403, True)
    assert "Only Carol can open it" in await kate.page(f"/hand-overs/{link}")
    told = (await carol.post(f"/hand-overs/{link}/options", {})).json()
    by_kate = told["keep"] | {"answer": kate.key.get(told["challenge"])}
    for who in (kate, carol):  # Kate's key opens it neither for herself nor in Carol's sign-in
        assert (await who.post(f"/hand-overs/{link}/open", by_kate)).status_code == 403
    reader = await site.reader(carol.id)
    assert "sign in with your passkey" in (await site.ask("GET", f"/hand-overs/{link}", reader)).text
    for path in (f"/s/{link}", f"/s/{link}/open"):
        answer = await site.ask("POST" if path.endswith("open") else "GET", path)
        assert (answer.status_code, SEALED in answer.content) == (410, False)
    assert (await opened(carol, link)).status_code == 200


async def test_an_answer_opens_this_secret_only_and_not_for_long(site: Site) -> None:
    kate, carol = await two(site)
    one, other = (await a_secret(site, carol.id, kate.id)).link, (await a_secret(site, carol.id, kate.id)).link
    # The second one replaced the first: it is the same password of the same person.
    gone = await opened(carol, one)
    assert (gone.status_code, "cannot be opened any more" in gone.json()["error"]) == (409, True)
    assert "opens no more" in await carol.page(f"/hand-overs/{one}")
    told = (await carol.post(f"/hand-overs/{other}/options", {})).json()
    answer = carol.key.get(told["challenge"])
    at = told["keep"]["asked"]
    for keep in ({}, {"asked": "x"}, {"asked": True}, {"asked": at + 1}, {"asked": at - FRESH_MS - 1}):
        sent = await carol.post(f"/hand-overs/{other}/open", keep | {"answer": answer})
        assert sent.status_code in {403, 422}, keep
    assert (await carol.post(f"/hand-overs/{other}/open", {"asked": at, "answer": "x"})).status_code == 403
    site.brook.clock.at_ms += FRESH_MS + 1
    late = await carol.post(f"/hand-overs/{other}/open", {"asked": at, "answer": answer})
    assert (late.status_code, "Nothing was used up" in late.json()["error"]) == (422, True)
    carol.key.flags = 0x01  # present, and not verified
    assert (await opened(carol, other)).status_code == 403
    carol.key.flags = 0x05
    assert (await opened(carol, other)).status_code == 200


async def test_a_row_that_was_addressed_to_somebody_else_in_the_database_opens_to_nobody(site: Site) -> None:
    kate, carol = await two(site)
    link = (await a_secret(site, carol.id, kate.id)).link
    async with site.brook.store.scope(site.brook.customer) as scope:
        await scope.execute(links.update().values(approver_id=kate.id))
    for who in (kate, carol):
        assert (await opened(who, link)).status_code == 403
    (row,) = await site.brook.rows(links)
    assert (row.state, row.sealed) == ("ready", SEALED)


async def test_of_two_at_once_one_gets_it(site: Site) -> None:
    kate, carol = await two(site)
    link = (await a_secret(site, carol.id, kate.id)).link
    answers = await asyncio.gather(*(opened(carol, link) for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409]


async def test_run_out_it_says_what_to_do_next(site: Site) -> None:
    kate, carol = await two(site)
    link = (await a_secret(site, carol.id, kate.id)).link
    site.brook.clock.at_ms += 24 * HOUR
    carol.cookie = await site.cookie(carol.key)
    for _ in range(2):
        page = await carol.page(f"/hand-overs/{link}")
        assert "nobody opened it" in page
        assert "Ask for a new one" in page
        assert "Show it now" not in page
        assert (await opened(carol, link)).status_code == 409
        await Links(site.brook.store, site.brook.audit).expire()
    assert (await told(site, "secret.expired"))[0]["data"] == {"link": link}


async def test_a_neighbours_secret_is_not_there(site: Site) -> None:
    kate, carol = await two(site)
    link = (await a_secret(site, carol.id, kate.id)).link
    other = await site.brook.directory.add_customer("t", "Neighbour")
    zoe = await site.brook.directory.add_approver("t", other, "Zoe", "z@n.example", "")
    key, _ = await site.enrol(await invited(site, other, zoe))
    theirs = Approver(site, zoe, key, await site.cookie(key))
    assert (await site.ask("GET", f"/hand-overs/{link}", theirs.cookie)).status_code == 404
    assert (await opened(theirs, link)).status_code == 404
    assert (await theirs.send(f"/hand-overs/{link}/handed", given="yes")).status_code == 404
    assert "Grace" not in await theirs.page("/hand-overs")


async def invited(site: Site, customer: str, whom: str) -> str:
    """An invitation's path, of another customer."""
    await site.passkeys.invite("t", customer, whom)
    async with site.brook.store.look(customer) as scope:
        rows = (await scope.execute(outbox.select().where(outbox.c.what == "invitation"))).all()
    return "/invitation/" + str(rows[-1].body).partition("/invitation/")[2].split()[0]


async def test_an_erased_person_is_named_no_more(site: Site) -> None:
    kate, carol = await two(site)
    reset = await a_secret(site, carol.id, kate.id)
    site.brook.audit.keys.destroy(site.brook.customer, f"subject:{reset.subject}")
    for path in ("/hand-overs", f"/hand-overs/{reset.link}"):
        page = await carol.page(path)
        assert "Grace" not in page
        assert "erased" in page


async def test_what_was_signed_is_the_words_that_the_log_keeps(site: Site) -> None:
    kate, carol = await two(site)
    reset = await a_secret(site, carol.id, kate.id)
    await opened(carol, reset.link)
    async with site.brook.store.look(site.brook.customer) as scope:
        (row,) = await site.brook.audit.read(scope.connection, site.brook.customer, kinds=("secret.opened",))
        words = (await site.brook.audit.personal(scope.connection, row))["words"]
    assert hashlib.sha256(words.encode()).hexdigest() == row.body["data"]["digest"]
    signed = json.loads(words)
    assert (signed["hand_over"], signed["for"]) == (reset.link, "Grace Okonkwo (extension 2001)")
