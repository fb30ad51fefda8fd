"""`frameroom console …`."""

from __future__ import annotations

from connectors.console import Entry, catalogue
from connectors.registry import families
from gateway.access.console import ConsoleLists
from gateway.model import PhoneSystem
from gateway.wiring.admin.base import Base, Row
from gateway.wiring.duties import passkeys_of


class ConsoleCommands(Base):
    """What may be typed at a phone system's prompt."""

    @property
    def _lists(self) -> ConsoleLists:
        return ConsoleLists(self._parts.store, self._parts.audit, passkeys_of(self._parts))

    @staticmethod
    def _entry_row(entry: Entry, on: frozenset[str]) -> Row:
        standing = "where a visit names it" if not entry.extra else "switched on" if entry.name in on else "off"
        return {
            "name": entry.name, "command": entry.usage(), "needs": entry.kind.operation.value, "on": standing,
            "does": entry.shows,
        }  # fmt: skip

    def _rows(self, system: PhoneSystem, on: frozenset[str]) -> list[Row]:
        operations = families()[system.connector].capabilities().operations
        return [self._entry_row(e, on) for e in catalogue(system.connector) if e.kind.operation in operations]

    async def do_console_list(self, actor: str, system: str, customer: str | None = None) -> list[Row]:
        """Every command, and whether it is on."""
        where = await self._system(system, customer)
        async with self._parts.store.look(where.customer_id) as scope:
            listed, _ = await self._lists.standing(scope, where.id)
        return self._rows(where, listed.entries)

    async def do_console_on(
        self, actor: str, system: str, commands: list[str], by: str, how: str, customer: str | None = None
    ) -> list[Row]:
        """Switch some on, as an approver asked by telephone."""
        where = await self._system(system, customer)
        listed = await self._lists.more_by_staff(where.customer_id, actor, where.id, commands, by, how)
        return [row for row in self._rows(where, listed.entries) if row["on"] == "switched on"]

    async def do_console_off(
        self, actor: str, system: str, commands: list[str], by: str, how: str, customer: str | None = None
    ) -> Row:
        """Switch some off, or all."""
        where = await self._system(system, customer)
        listed = await self._lists.fewer_by_staff(where.customer_id, actor, where.id, commands, by, how)
        return {"system": where.name, "still on": ", ".join(sorted(listed.entries)) or "none"}
