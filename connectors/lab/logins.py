"""The lab's own record of SSH logins: one JSON line each in a file, as sshd writes one to the machine's log.

Kept by the lab and not by whoever comes in: an id of its own, when, from where.
"""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any, Final

PAGE: Final = 500


class LoginRecord:
    """Appends, and answers what came since."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._kept: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def add(self, address: str, port: int) -> str:
        """Somebody signed in; the id under which that stands here."""
        at_ms = time.time_ns() // 1_000_000
        login = {"id": secrets.token_hex(8), "at": at_ms, "address": address, "port": port}
        self._kept.append(login)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(login) + "\n")
        return str(login["id"])

    def since(self, at_ms: int) -> dict[str, Any]:
        """The oldest that came since, at most PAGE; `until`: up to when they are all of them."""
        found = sorted((one for one in self._kept if one["at"] >= at_ms), key=lambda one: one["at"])
        now = time.time_ns() // 1_000_000
        until = now if len(found) <= PAGE else found[PAGE]["at"]
        return {"logins": found[:PAGE], "now": now, "until": until}
