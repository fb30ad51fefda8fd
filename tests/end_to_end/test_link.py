"""The one-time link: what only its fragment opens is what the phone system holds, shown once."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import urllib.error
import urllib.request

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connectors.lab import sip
from gateway.cli.demo import Demo, permit
from gateway.cli.story import Master
from gateway.store.tables import approvers, directory


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
