"""Hands one message to apprise, in a process that lives for it (apprise_child.py), and says what came of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_CHILD: Final = Path(__file__).with_name("apprise_child.py")
_GRACE_S: Final = 5
_BESIDE: Final = 2
_QUEUE: Final = 10
TEXT_SCHEME: Final = "tel:"
"""Before a telephone number: a text, by the operator's own gateway."""
NUMBER: Final = "{number}"
WORDS: Final[Mapping[str, str]] = {
    "unreadable": "that is no address of a service that is known",
    "scheme": "that kind of service is not allowed here",
    "internal": "it leads to an address inside our own network, which is not reached",
    "refused": "the service did not take it",
    "deadline": "the service did not answer in time",
    "busy": "too many are being tried just now",
    "broken": "it could not be sent",
    "no-gateway": "there is no gateway for text messages here",
}
FINAL: Final = frozenset({"unreadable", "scheme", "internal", "no-gateway"})
"""What no second try mends."""


@dataclass(frozen=True, slots=True)
class Ways:
    """What is allowed. `schemes`: of apprise URLs; `networks`: not public, and reached all the same; `text_url`: the
    operator's own gateway for texts, with {number} in it."""

    schemes: tuple[str, ...]
    networks: tuple[str, ...] = ()
    text_url: str | None = None
    seconds: int = 30


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of it. `code` is "" when the service took it; `service` says in words what it is."""

    code: str
    service: str


class Carrier:
    """Looks at addresses and sends to them; never raises for what a service does."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._beside = asyncio.Semaphore(_BESIDE)
        self._inside = 0

    async def look(self, url: str) -> Carried:
        """Whether the address can be one, without reaching for it."""
        if url.startswith(TEXT_SCHEME):
            return Carried("" if self._ways.text_url else "no-gateway", "text message")
        return await self._run(url, None, self._ways.schemes)

    async def send(self, url: str, body: str) -> Carried:
        """One message; within `ways.seconds` it is over."""
        if not url.startswith(TEXT_SCHEME):
            return await self._run(url, body, self._ways.schemes)
        if self._ways.text_url is None:
            return Carried("no-gateway", "text message")
        # The gateway is the operator's own word, and may be anywhere.
        full = self._ways.text_url.replace(NUMBER, url.removeprefix(TEXT_SCHEME))
        done = await self._run(full, body, None)
        return Carried(done.code, "text message")

    async def _run(self, url: str, body: str | None, schemes: tuple[str, ...] | None) -> Carried:
        """A few processes at a time, and no long queue for them: whoever floods this is told so."""
        if self._inside >= _QUEUE:
            return Carried("busy", "")
        self._inside += 1
        try:
            async with self._beside:
                return await self._child(url, body, schemes)
        finally:
            self._inside -= 1

    async def _child(self, url: str, body: str | None, schemes: tuple[str, ...] | None) -> Carried:
        networks = ["0.0.0.0/0", "::/0"] if schemes is None else list(self._ways.networks)
        job: dict[str, Any] = {"url": url, "schemes": schemes, "networks": networks, "seconds": self._ways.seconds}
        if body is not None:
            job["body"] = body
        try:
            child = await self._start()
        except OSError:  # no process, or no descriptor, to be had just now
            return Carried("broken", "")
        try:
            async with asyncio.timeout(self._ways.seconds + _GRACE_S):
                told, _ = await child.communicate(json.dumps(job).encode())
        except TimeoutError:
            return Carried("deadline", "")
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if not told:  # its own alarm ended it
            return Carried("deadline", "")
        answer = json.loads(told)
        return Carried(str(answer["code"]), _in_words(str(answer["service"])))

    @staticmethod
    async def _start() -> asyncio.subprocess.Process:
        nothing = asyncio.subprocess.DEVNULL
        return await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(_CHILD), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=nothing, env={"PATH": os.environ.get("PATH", "")},
        )  # fmt: skip


def _in_words(service: str) -> str:
    """What people call it."""
    if service in ("JSON", "Form", "XML"):
        return "webhook"
    return "Teams" if "MSTeams" in service else service
