"""Output a screen at a time, held here: nothing of it is ever sent to the phone system."""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len

from gateway.session.channel import Channel

_ASK: Final = "-- more: space for the next page, a for all, q to stop --"


class Pager:
    """Of one command's output, on a terminal that can write over a line."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._all = False
        self._free = self._height

    @property
    def _height(self) -> int:
        return max(2, self._channel.rows - 1)

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Whole lines: what still fits on the screen, and the rest, before which `turn` is asked."""
        at = 0
        while at < len(data) and not self._all:
            end = data.find(b"\n", at) + 1 or len(data)
            rows = self._rows(data[at:end])
            if rows > self._free and self._free < self._height:
                return data[:at], data[at:]
            self._free -= rows
            at = end
        return data, b""

    def _rows(self, line: bytes) -> int:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        return max(1, -(-cell_len(text) // max(1, self._channel.columns)))

    async def turn(self) -> bool:
        """Wait for a key; False when the engineer has seen enough."""
        key = await self._channel.ask_key(_ASK, " aq")
        self._all = key == "a"
        self._free = self._height
        return key != "q"
