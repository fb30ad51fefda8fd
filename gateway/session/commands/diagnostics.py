"""Diagnostics from a fixed list: parsed, rendered again, redacted."""

from __future__ import annotations

from connectors.console import Catalogue, diagnostics, understood
from connectors.contract import Operation
from gateway.errors import UsageError
from gateway.session.commands.book import Command
from gateway.session.commands.caller import Caller
from gateway.session.commands.desk import Desk
from gateway.session.commands.prompting import offered, run_line


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
        listed = await self._catalogue(caller)
        if not caller.words:
            caller.out([{"command": entry.usage(), "shows": entry.shows} for entry in listed])
            return
        entry, command = understood(" ".join(caller.words), listed)
        visit = await self._desk.visit(caller, Operation.DIAG)
        if not await run_line(self._desk, caller, visit, Operation.DIAG, entry, command):
            caller.say("Stopped.")

    async def _catalogue(self, caller: Caller) -> Catalogue:
        """Of the phone system that is meant; without one, of those that most have."""
        try:
            system = (await self._desk.here(caller)).system
        except UsageError:
            return diagnostics("lab")
        offered(system, Operation.DIAG)
        return diagnostics(system.connector)
