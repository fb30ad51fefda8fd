"""How many wrong links an address may ask for: a limit on guessing, which the size of a link's id makes idle anyway."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from gateway.model import MINUTE

_WINDOW_MS: Final = 10 * MINUTE
_WRONG: Final = 20
_ADDRESSES: Final = 10_000


class Guesses:
    """Counts in memory, for `_ADDRESSES` addresses at most. A right link is never held up by others' wrong ones."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._seen: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def too_many(self, address: str) -> bool:
        """Count one wrong link; True once there were more than `_WRONG` of them in ten minutes."""
        place, now = _place(address), self._now()
        began, count = self._seen.pop(place, (now, 0))
        if now - began >= _WINDOW_MS:
            began, count = now, 0
        self._seen[place] = (began, count + 1)
        if len(self._seen) > _ADDRESSES:
            self._seen.popitem(last=False)
        return count >= _WRONG


def _place(address: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 one: whoever has one address of those has them all."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((int(found), 64), strict=False))
