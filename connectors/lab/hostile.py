"""The lab as an enemy, for tests: answers that break off, have no end, make no sense, or tell too much."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import asyncssh

from connectors.lab.store import LabStore

_KEYS: Final = {
    "hello": set(), "page": {"cursor", "limit"}, "find": {"words", "limit"}, "view": {"id"}, "devices": {"id"},
    "alter": {"id", "expected", "values"}, "remove": {"id", "expected"}, "reset": {"id", "kind", "secret"},
    "login": set(), "logins": {"since"},
}  # fmt: skip
_ENDLESS: Final = 1 << 30


def named(line: bytes) -> str:
    """The name of a request that the connector has; anything else in its own words."""
    try:
        request = json.loads(line)
        name = str(request["do"])
        if set(request) == {"do", "n"} | _KEYS[name]:
            return name
    except (ValueError, KeyError, TypeError, RecursionError):
        return line.decode("utf-8", "replace")
    return line.decode("utf-8", "replace")


def spoilt(answer: dict[str, Any], faults: set[str], store: LabStore, written: str | None) -> bytes:
    """The bytes of an answer, as they are under these faults. `written`: whom the request wrote, if it did."""
    if "telling-writes" in faults and written is not None:
        answer = answer | {"notice": "written", "person": store.whole(written)}
    data = json.dumps(answer, ensure_ascii=False).encode()
    if "malformed" in faults:
        data = b'{"ok": true, "people": {"a": [7]}, "person": 7' + data
    if "deep-json" in faults:
        data = data[:-1] + b', "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    if "wrong-encoding" in faults:
        data = data.replace(b'"name": "', b'"name": "\xff\xfe\x80')
        data = data if b"\xff" in data else data[:-1] + b', "note": "\xff"}'
    return data + b"\n"


async def say(channel: asyncssh.SSHServerProcess[bytes], data: bytes, faults: set[str]) -> bool:
    """Send it, or what these faults make of it; False when nothing more is to be said on this channel."""
    if "close-mid-answer" in faults:
        channel.stdout.write(data[: len(data) // 2])
        return False
    if "endless" in faults:
        for _ in range(_ENDLESS >> 16):
            channel.stdout.write(b"x" * (1 << 16))
            await channel.stdout.drain()
        return False
    if "slow" in faults:
        for _ in range(100):
            channel.stdout.write(b" ")
            await channel.stdout.drain()
            await asyncio.sleep(0.5)
    channel.stdout.write(data)
    return True
