"""A provider set for Brook, and what a browser does between it and the portal."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from gateway.identity.providers import Given
from gateway.portal.reading import BEGUN
from tests.portal.conftest import SITE, Site
from tests.support.openid import CLIENT, KATE, SECRET, LyingProvider, RealProvider, answer_of

DOMAIN = ("customer.example",)


def given(issuer: str, **more: Any) -> Given:
    values: dict[str, Any] = {
        "name": "Brook account", "issuer": issuer, "client_id": CLIENT, "secret": SECRET, "domains": DOMAIN,
    }  # fmt: skip
    return Given(**(values | more))


@pytest.fixture
async def real(site: Site, tmp_path: Path) -> AsyncIterator[RealProvider]:
    """The certified provider, set for Brook."""
    provider = RealProvider(tmp_path / "provider.json")
    provider.takes(f"{SITE}/sign-in/back/{site.brook.customer}")
    provider.says(kate=KATE)
    site.brook.clock.at_ms = int(time.time() * 1000)
    async with provider.running():
        await site.providers.set("t", site.brook.customer, given(provider.issuer))
        yield provider


@pytest.fixture
async def lying(site: Site) -> AsyncIterator[LyingProvider]:
    """A provider that says what the test wants, set for Brook."""
    site.brook.clock.at_ms = int(time.time() * 1000)
    async with LyingProvider().running() as provider:
        await site.providers.set("t", site.brook.customer, given(provider.issuer))
        yield provider


async def begun(site: Site, following: str = "/visits", customer: str | None = None) -> tuple[str, str]:
    """(the provider's address, the browser's cookie of what it began)."""
    path = f"/sign-in/with/{customer or site.brook.customer}?" + urlencode({"next": following})
    answer = await site.ask("GET", path)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"], answer.cookies[BEGUN]


async def back(site: Site, cookie: str, answer: dict[str, str], customer: str | None = None) -> httpx.Response:
    path = f"/sign-in/back/{customer or site.brook.customer}?{urlencode(answer)}"
    return await site.ask("GET", path, headers={"Cookie": f"{BEGUN}={cookie}"})


async def through(
    site: Site, provider: RealProvider, subject: str = "kate", following: str = "/visits"
) -> httpx.Response:
    url, cookie = await begun(site, following)
    return await back(site, cookie, await provider.visit(url, subject))


async def lied(site: Site, provider: LyingProvider, **claims: Any) -> httpx.Response:
    """What comes of a token that says this; the rest of it is true."""
    url, cookie = await begun(site)
    asked, now = answer_of(url), int(time.time())
    true: dict[str, Any] = {
        "iss": provider.issuer, "aud": CLIENT, "sub": "kate", "nonce": asked["nonce"], "iat": now, "exp": now + 300,
    }  # fmt: skip
    provider.claims = {name: value for name, value in (true | KATE | claims).items() if value is not None}
    return await back(site, cookie, {"state": asked["state"], "code": "c"})
