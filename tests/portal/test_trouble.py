"""What somebody reads when a page is not there, or broke: plain words, what to do next, no command of staff's."""

from __future__ import annotations

import httpx
import pytest

from gateway.portal.devices import device_words
from gateway.portal.page import sentence
from tests.portal.approver import approver
from tests.portal.conftest import SITE, Site


async def test_what_is_not_there_is_said_in_words_for_customers(site: Site) -> None:
    kate = await approver(site)
    gone = await site.ask("GET", "/requests/req_nothing", kate.cookie)
    assert gone.status_code == 404
    assert "There is no such request." in gone.text
    assert "frameroom " not in gone.text  # that would be a command of staff's
    for path in ("/nowhere", "/static/nothing.css", "/s"):
        answer = await site.ask("GET", path, kate.cookie)
        assert answer.status_code == 404
        assert "That page is not here" in answer.text
    refused = await site.ask("POST", "/s/lnk_nothing", kate.cookie)
    assert (refused.status_code, sorted(refused.headers["allow"].split(", "))) == (405, ["GET", "HEAD"])
    assert "That cannot be done here" in refused.text


async def test_what_breaks_is_told_without_its_cause(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    kate = await approver(site)

    async def broken(_: str) -> None:
        raise RuntimeError("postgresql://frameroom:hunter2@db")

    monkeypatch.setattr(site.portal._sign_ins, "who", broken)
    transport = httpx.ASGITransport(site.portal.app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=SITE) as client:
        answer = await client.get("/", headers={"Cookie": kate.cookie})
    assert answer.status_code == 500
    assert "Something broke on our side." in answer.text
    assert "hunter2" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
         "Mobile/15E148 Safari/604.1", "Safari on an iPhone"),
        ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile "
         "Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
         "Safari/537.36 Edg/126.0.0.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0", "Firefox on a Mac"),
        ("curl/8\u202e\x1b[2J", "curl/8 [2J"), ("", "A browser that did not say which"),
    ],
)  # fmt: skip
def test_a_sign_in_is_told_by_browser_and_machine(said: str, words: str) -> None:
    assert device_words(said) == words


def test_a_sentence_begins_and_ends_as_one() -> None:
    assert [sentence(one) for one in ("there is none", "Done.", "really?", "")] == [
        "There is none.", "Done.", "Really?", "",
    ]  # fmt: skip
