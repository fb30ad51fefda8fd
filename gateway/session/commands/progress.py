"""How far something long has come, told now and then."""

from __future__ import annotations

import time
from typing import Final

from gateway.session.commands.caller import Caller

_EVERY_S: Final = 2.0


class Progress:
    """One line of talk every two seconds at most."""

    def __init__(self, caller: Caller, total: int, what: str) -> None:
        self._caller, self._total, self._what = caller, total, what
        self._told = time.monotonic()

    def at(self, number: int) -> None:
        """So many of them by now."""
        now = time.monotonic()
        if now - self._told >= _EVERY_S:
            self._told = now
            self._caller.say(f"{number:,} of {self._total:,} rows {self._what}")
