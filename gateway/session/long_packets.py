"""Packets over the usual limit: taken whole from a signed-in client, so that a command far too long gets an answer in
words instead of a dropped line. Few at a time and for seconds, since each is held until its last byte is authentic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import asyncssh

LONGEST: Final = (16 << 20) + 4096
_WITHIN_S: Final = 30
_AT_ONCE: Final = 4


class LongPackets:
    """The one that a connection is sending, if it is. Not before it has signed in, and so many in a process at once."""

    _coming: set[LongPackets] = set()  # noqa: RUF012 - shared by all on purpose

    def __init__(self, too_late: Callable[[str], None]) -> None:
        """`too_late` hangs up, saying why."""
        self._too_late = too_late
        self._pieces: list[bytes] = []
        self._missing = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, missing: int) -> None:
        """One of which so many bytes are still to come. ProtocolError while too many others are coming."""
        if missing <= 0:
            return
        if len(self._coming) >= _AT_ONCE:
            raise asyncssh.ProtocolError("Others are sending commands that are far too long; try again")
        self._coming.add(self)
        self._missing = missing
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_WITHIN_S, self._too_late, "Time is up: a packet did not come to its end")

    def add(self, data: bytes) -> bytes:
        """What can be taken apart now: `data`, or nothing while a long packet is coming, or at its end all of it."""
        if self not in self._coming:
            return data
        self._pieces.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return b""
        whole = b"".join(self._pieces)
        self.over()
        return whole

    def over(self) -> None:
        """It is there, or its connection is gone."""
        self._coming.discard(self)
        self._pieces.clear()
        if self._timer is not None:
            self._timer.cancel()
