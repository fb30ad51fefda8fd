"""A real browser for a test, and an approver who is signed in to the portal in one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser

from gateway.cli.demo import Demo
from gateway.cli.telephone import PHONE, Telephone, browsing, chromium, telephone
from gateway.cli.terminal import shell
from tests.support.need import need_tool

__all__ = ["PHONE", "Telephone", "approver_in", "browser", "shell", "telephone"]
DESKTOP = {"width": 1280, "height": 800}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, or another one."""
    async with browsing(chromium() or need_tool("chromium", "chromium")) as started:
        yield started


async def approver_in(demo: Demo, browser: Browser, name: str = "Kate Brook", **context: Any) -> Telephone:
    """Invited, with a passkey in a virtual authenticator, and signed in."""
    seen = await telephone(browser, context.pop("viewport", DESKTOP), **context)
    await seen.invited(demo, name)
    return seen
