"""Diagnostics from a fixed list: parsed, rendered again, redacted."""

from __future__ import annotations

from collections.abc import Callable

from connectors.console import ASTERISK, OutputFilter
from connectors.console import parse as parse_diag
from connectors.contract import Operation
from gateway.session.commands.book import Command
from gateway.session.commands.caller import Caller, Listing
from gateway.session.commands.desk import Desk
from gateway.session.session import Did


class Diagnostics:
    """diag."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def commands(self) -> list[Command]:
        """For help."""
        return [
            Command(
                "diag", self.diag, "diag [COMMAND]", "diagnostics from a fixed list; without words, the list",
                "diag voicemail show users",
            )
        ]  # fmt: skip

    async def diag(self, caller: Caller) -> None:
        """Run one, or list them."""
        if not caller.words:
            caller.out([{"command": entry.usage(), "shows": entry.shows} for entry in ASTERISK])
            return
        command = parse_diag(" ".join(caller.words))
        visit = await self._desk.visit(caller, Operation.DIAG)
        listing = caller.listing()
        put = _as_lines(listing) if caller.as_json else caller.channel.write_lines

        async def work(_: str) -> Did:
            strainer, size = OutputFilter(), 0
            async for data in (await self._desk.visits.connector(visit)).diag(command):
                size += len(data)
                put(strainer.feed(data))
                await caller.channel.drain()
                await visit.recording.keep_up()
            put(strainer.flush())
            return Did(None, size, (), (), f"ran the diagnostic `{command.render()}`")

        await self._desk.visits.act(visit, Operation.DIAG, work, fields=(command.entry,))
        if caller.as_json:
            listing.end()


def _as_lines(listing: Listing) -> Callable[[bytes], None]:
    """Output as rows of a listing; the filter gives whole lines."""

    def put(data: bytes) -> None:
        listing.add([{"line": line} for line in data.decode("utf-8", "replace").splitlines()])

    return put
