"""An approver signed in to the portal in a real browser, and a shell on a real terminal of a real ssh client."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, Page

from gateway.cli.demo import CUSTOMER, Demo

AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


@dataclass(slots=True)
class Seen:
    """A page, what its console complained of, and every address that it asked for."""

    page: Page
    trouble: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """From now on."""
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("console", lambda m: self.trouble.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("request", lambda request: self.asked.append(request.url))


async def approver_in(demo: Demo, browser: Browser, name: str = "Kate Brook", **context: Any) -> Seen:
    """Invited, with a passkey in a virtual authenticator, and signed in."""
    await demo.admin("approver invite", customer=CUSTOMER, approver=name)
    found = re.search(r"http\S+/invitation/\S+", await demo.mails.wait_for("/invitation/"))
    assert found
    page = await (await browser.new_context(**context)).new_page()
    seen = Seen(page)
    seen.listen()
    tools = await page.context.new_cdp_session(page)
    await tools.send("WebAuthn.enable")
    await tools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    await page.goto(found.group())
    await page.get_by_role("button", name="Make my passkey").click()
    await page.get_by_role("link", name="Now sign in").click()
    await page.get_by_role("button", name="Sign in with my passkey").click()
    await page.get_by_role("heading", level=1).filter(has_not_text="Sign in").wait_for()
    return seen


@dataclass(slots=True)
class Shell:
    """An engineer's shell. `shown` is what their terminal got."""

    process: asyncio.subprocess.Process
    terminal: int
    shown: bytearray
    came: asyncio.Event

    def type(self, line: str) -> None:
        """A line, as typed."""
        os.write(self.terminal, line.encode() + b"\r")

    async def wait_for(self, words: str) -> None:
        """Until the terminal shows them."""
        while words.encode() not in self.shown:
            self.came.clear()
            await self.came.wait()


@asynccontextmanager
async def shell(demo: Demo, *, columns: int = 80, rows: int = 24) -> AsyncIterator[Shell]:
    """Over the connection that `ssh` (the fixture) has open, on a terminal of this size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *demo.ssh("-S", str(demo.folder / "master"), "-tt"), stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color"}, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(ours, False)
    opened = Shell(process, ours, bytearray(), asyncio.Event())
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            opened.shown.extend(os.read(ours, 1 << 16))
        except OSError:  # the other end is gone
            loop.remove_reader(ours)
        opened.came.set()

    loop.add_reader(ours, read)
    try:
        yield opened
    finally:
        loop.remove_reader(ours)
        if process.returncode is None:
            process.terminate()
            await process.wait()
        os.close(ours)
