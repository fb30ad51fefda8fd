"""The one-time link: what only its fragment opens is what the phone system holds, shown once."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import urllib.error
import urllib.request
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connectors.lab import sip
from gateway.cli.demo import CUSTOMER, Demo, Mails, permit
from gateway.cli.story import Master
from gateway.session.links import Links
from gateway.session.recipients import Recipient
from gateway.session.resets import Resets
from gateway.store.tables import approvers, directory, links
from tests.support.children import kill, no_child, the_child


def fetch(url: str, data: bytes | None = None, origin: str | None = None) -> tuple[int, bytes, dict[str, str]]:
    request = urllib.request.Request(url, data=data, headers={"Origin": origin} if origin else {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def origin_of(url: str) -> str:
    return "/".join(url.split("/")[:3])


async def test_a_link_opens_once_and_holds_what_the_phone_system_holds(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view,reset-sip")
    assert (await ssh.run("reset 2001 sip --phones-will-drop --yes")).code == 0
    mail = await demo.mails.wait_for("This link shows it once")
    link = re.search(r"http\S+", mail)
    assert link
    url, _, fragment = link.group().partition("#")
    for _ in range(2):
        status, page, headers = await asyncio.to_thread(fetch, url)
        assert status == 200
        assert b"Show it now" in page
    assert "script-src 'self'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    refused, _, _ = await asyncio.to_thread(fetch, f"{url}/open", b"", "https://evil.example")
    assert refused == 403
    status, sealed, _ = await asyncio.to_thread(fetch, f"{url}/open", b"", origin_of(url))
    assert status == 200
    key = base64.urlsafe_b64decode(fragment + "=" * (-len(fragment) % 4))
    name = url.rsplit("/", 1)[1].encode()
    secret = json.loads(AESGCM(key).decrypt(sealed[:12], sealed[12:], name))["secret"]
    assert await asyncio.to_thread(sip.register, "127.0.0.1", demo.lab.sip_port, "2001", secret, 0) == 200
    again, words, _ = await asyncio.to_thread(fetch, f"{url}/open", b"", origin_of(url))
    assert (again, b"opened already" in words) == (410, True)
    gone, page, _ = await asyncio.to_thread(fetch, url)
    assert (gone, b"opened already" in page) == (410, True)


async def test_a_second_reset_kills_the_first_link(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view,reset-voicemail")
    assert (await ssh.run("reset 2001 voicemail --yes")).code == 0
    first = re.search(r"http[^#\s]+", await demo.mails.wait_for("This link shows it once"))
    assert (await ssh.run("reset 2001 voicemail --yes")).code == 0
    assert first
    status, _, _ = await asyncio.to_thread(fetch, f"{first.group()}/open", b"", origin_of(first.group()))
    assert status == 410


async def test_an_unknown_link_tells_nothing(demo: Demo) -> None:
    status, page, _ = await asyncio.to_thread(fetch, f"{demo.app.portal_url()}/s/lnk_nothing")
    assert status == 410
    assert b"not valid" in page


async def test_5_nobody_eligible_means_nothing_is_written(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view,reset-sip")
    before = demo.lab.store.sip_secret("2001")
    parts = demo.app.parts

    async with parts.store.everyone() as scope:
        # Kate is gone, and Omar gave the yes himself: no approver is left who may receive it.
        await scope.execute(approvers.update().where(approvers.c.name == "Kate Brook").values(removed_ms=1))
    refused = await ssh.run("reset 2001 sip --phones-will-drop --yes")
    assert refused.code == 3
    assert "Nobody may receive" in refused.err
    assert demo.lab.store.sip_secret("2001") == before


async def test_5_an_address_that_stood_for_30_days_gets_it_itself(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view,alter,reset-voicemail")
    assert (await ssh.run("show 2001")).code == 0

    async with demo.app.parts.store.everyone() as scope:
        await scope.execute(directory.update().values(since_ms=demo.app.parts.permission.now - 31 * 86_400_000))
    done = await ssh.run("reset 2001 voicemail --yes")
    assert "u…@customer.example" in done.out
    # The address is changed and the reset repeated: altering cannot become reading.
    assert (await ssh.run("set 2001 email=mine@customer.example")).code == 0
    changed = await ssh.run("reset 2001 voicemail --yes")
    assert "k…@customer.example" in changed.out
    assert "user2001@customer.example" in {m["to"] for m in demo.mails.caught}


async def kinds(demo: Demo) -> list[str]:
    return [row["kind"] for row in await demo.admin("audit tail", customer=CUSTOMER, count=200, why="test")]


async def test_a_reset_that_wrote_nothing_failed_and_the_earlier_link_stays(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    await permit(demo, "view,reset-sip")
    assert (await ssh.run("reset 2001 sip --phones-will-drop --yes")).code == 0
    first = re.search(r"(http\S+)#", await demo.mails.wait_for("This link shows it once"))
    assert first
    before = demo.lab.store.sip_secret("2001")
    prepare, server = Links.prepare, demo.app.resets._server

    async def then_die(links: Links, *rest: Any) -> None:
        await prepare(links, *rest)
        await kill(await the_child(server.pid))

    await no_child(server.pid)
    monkeypatch.setattr(Links, "prepare", then_die)
    failed = await ssh.run("reset 2001 sip --phones-will-drop --yes")
    assert failed.code == 1
    assert "before anything was written" in failed.err
    assert demo.lab.store.sip_secret("2001") == before
    assert (await kinds(demo)).count("operation.failed") == 1
    assert (await asyncio.to_thread(fetch, f"{first[1]}/open", b"", demo.app.portal_url()))[0] == 200


async def test_an_unknown_reset_is_repeated_by_a_person_and_its_link_is_dead(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view,reset-sip")
    old = demo.lab.store.sip_secret("2001")
    demo.lab.faults.add("close-after-write")
    unknown = await ssh.run("reset 2001 sip --phones-will-drop --yes")
    assert unknown.code == 5
    assert "never on its own" in unknown.err
    written = demo.lab.store.sip_secret("2001")
    assert written != old
    demo.lab.faults.clear()
    assert (await ssh.run("reset 2001 sip --phones-will-drop --yes")).code == 0
    assert demo.lab.store.sip_secret("2001") not in {old, written}
    await demo.mails.wait_for("This link shows it once")
    assert sum("This link shows it once" in m["text"] for m in demo.mails.caught) == 1
    async with demo.app.parts.store.look_at_everyone() as scope:
        rows = (await scope.execute(links.select().order_by(links.c.made_ms))).all()
    assert [(row.state, row.sealed is None) for row in rows] == [("void", True), ("ready", False)]
    report = await demo.admin("audit verify")
    assert report["ok"], report["faults"]


async def test_a_secret_that_no_server_takes_is_void_and_told(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    await permit(demo, "view,reset-voicemail")
    keep = Mails.handle_DATA

    async def refuse(mails: Mails, server: Any, session: Any, envelope: Any) -> str:
        if b"This link shows it once" in envelope.content.replace(b"=\r\n", b""):
            return "554 not here"
        return await keep(mails, server, session, envelope)

    monkeypatch.setattr(Mails, "handle_DATA", refuse)
    assert (await ssh.run("reset 2001 voicemail --yes")).code == 0
    await demo.mails.wait_for("could not be delivered to k…@customer.example", count=3)
    told = {m["to"]: m["text"] for m in demo.mails.caught if "could not be delivered" in m["text"]}
    assert set(told) == {"kate@customer.example", "omar@customer.example", "ana@company.example"}
    assert "Reset it once more" in told["ana@company.example"]
    assert "secret.undelivered" in await kinds(demo)
    async with demo.app.parts.store.look_at_everyone() as scope:
        (row,) = (await scope.execute(links.select())).all()
    assert (row.state, row.sealed) == ("void", None)
    (left,) = [
        row for row in json.loads((await ssh.run("handover --json")).out) if row["what"] == "password undelivered"
    ]
    assert (left["customer"], left["system"], left["who"]) == (CUSTOMER, "Head office", "Ana Silva")
    assert left["about"] == "reset-voicemail: nobody got the new password; reset it again"


async def test_what_cannot_be_met_is_refused_before_anything_is_written(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view,reset-voicemail")
    terms = {
        "operations": ["view", "reset-voicemail"], "mail_domains": ["customer.example"],
        "secret_lengths": {"voicemail": 12},
    }  # fmt: skip
    await demo.admin("agreement set", customer=CUSTOMER, terms=terms)
    await demo.admin("agreement confirm", customer=CUSTOMER, by="Kate", how="letter")
    before = demo.lab.store.canaries()
    refused = await ssh.run("reset 2001 voicemail --yes")
    assert refused.code == 3
    assert "at least 12 characters, and this phone system takes at most 10" in refused.err
    assert demo.lab.store.canaries() == before
    assert "secret.issued" not in await kinds(demo)


async def test_5_who_receives_is_asked_again_when_it_is_written(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    await permit(demo, "view,reset-voicemail")
    before = demo.lab.store.canaries()

    async def earlier(*_: Any) -> Recipient:
        return Recipient("omar@customer.example", "approver Omar Aziz", "apr_of_an_hour_ago")

    monkeypatch.setattr(Resets, "recipient", earlier)
    refused = await ssh.run("reset 2001 voicemail --yes")
    assert refused.code == 1
    assert "Somebody else is to receive" in refused.err
    assert demo.lab.store.canaries() == before


async def test_the_old_address_is_told_and_the_mail_says_what_to_do(demo: Demo, ssh: Master) -> None:
    await permit(demo, "find,view,alter,reset-voicemail")
    # By a part of the name: the log knows the person all the same.
    assert (await ssh.run("set grace email=new@customer.example")).code == 0
    assert (await ssh.run("reset grace voicemail --yes")).code == 0
    link = await demo.mails.wait_for("This link shows it once")
    assert "It has to be changed when it is first used." in link
    assert "Give it to Grace Okonkwo yourself" in link
    await demo.mails.wait_for("Your voicemail PIN was reset", count=2)
    told = {m["to"] for m in demo.mails.caught if "Your voicemail PIN was reset" in m["text"]}
    assert told == {"new@customer.example", "user2001@customer.example"}


async def test_a_mail_that_nobody_saw_going_out_is_told_after_a_restart_once(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    await permit(demo, "view,reset-sip")

    async def die(*_: Any) -> None:
        raise RuntimeError("the gateway ended here")

    monkeypatch.setattr(Links, "delivered", die)
    assert (await ssh.run("reset 2001 sip --phones-will-drop --yes")).code == 0
    link = re.search(r"(http\S+)#", await demo.mails.wait_for("This link shows it once"))
    assert link
    parts = demo.app.parts
    async with parts.store.everyone() as scope:
        await scope.execute(links.update().values(made_ms=parts.permission.now - 20 * 60_000))
    next_process = Resets(demo.app.visits, demo.app.resets._server, demo.app.mail, demo.app.portal_url)
    await next_process.tidy()
    await next_process.tidy()
    await Resets(demo.app.visits, demo.app.resets._server, demo.app.mail, demo.app.portal_url).tidy()
    await demo.mails.wait_for("may not have reached k…@customer.example", count=3)
    told = [m["to"] for m in demo.mails.caught if "may not have reached" in m["text"]]
    assert sorted(told) == ["ana@company.example", "kate@customer.example", "omar@customer.example"]
    assert (await kinds(demo)).count("secret.unconfirmed") == 1
    # It did arrive: then it opens all the same.
    assert (await asyncio.to_thread(fetch, f"{link[1]}/open", b"", demo.app.portal_url()))[0] == 200
