"""The one token that a client of a 3CX has: a newer one ends the older, so whoever is connected here shares it.

Another process with the same client still ends ours; then a request is refused with 401, which says that it was not
carried out, and is sent once more with a new token.

Source: 3CX's own example of use (xapi-tutorial, auth.ts, and its notes: "only one active access token"); RFC 6749.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakValueDictionary

from connectors.contract import Target
from connectors.tcx.answers import Token

_AMBIGUOUS_S: Final = 90
"""A life this short is 60 seconds, or 60 minutes of a 3CX before 20.0.9: taken for the shorter."""
_LONGEST_S: Final = 3_600
_MARGIN_S: Final = 30

Make = Callable[[], Awaitable[Token]]


class Tokens:
    """The token of one client. Made by one at a time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._token = ""
        self._until = 0.0

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def good(self) -> str:
        """The token, or "" when there is none, or its time is over."""
        return self._token if self._now() < self._until else ""

    async def get(self, make: Make, *, refused: str = "") -> str:
        """The token, a new one if there is none, if its time is over, or if it is the one that was `refused`."""
        async with self._lock:
            if self.good() in ("", refused):
                self._token = ""
                made = await make()
                # What says nothing of its time is used for a while; if it is refused before, the request is not lost.
                lasts = min(made.expires_in or _AMBIGUOUS_S, _LONGEST_S)
                self._until = self._now() + (lasts - _MARGIN_S if lasts > _AMBIGUOUS_S else lasts / 2)
                self._token = made.access_token
            return self._token


_shared: WeakValueDictionary[tuple[object, ...], Tokens] = WeakValueDictionary()


def of(target: Target, client: str, secret: str) -> Tokens:
    """The same for all connections of this loop to one phone system with one client and key; gone with the last."""
    key = (
        id(asyncio.get_running_loop()), target.system_id, target.pin, client, hashlib.sha256(secret.encode()).digest(),
    )  # fmt: skip
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = Tokens()
    return found
