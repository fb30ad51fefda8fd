"""`frameroom system install-helper`: what stands in a log of it. The command line runs the script itself: with an
administrator's login, which no other process is given."""

from __future__ import annotations

from sqlalchemy import select

from audit.events import OPERATOR_LOG, Event, Personal
from gateway.store.tables import systems
from gateway.wiring.admin.base import Base, Row


class HelperCommands(Base):
    """That a script goes to a machine, before it goes, and what came of it."""

    async def do_system_helper_sent(
        self, actor: str, connector: str, host: str, port: int, login: str, key: str, script: str
    ) -> list[Row]:
        """Into the log of each customer who has a phone system at that address, else into the operator's.

        `key`: fingerprint of the key that is let in there; `script`: SHA-256 of what is run.
        """
        data = {"connector": connector, "key": key, "script": script}
        return await self._written("helper.sent", actor, host, port, data, {"host": host, "login": login})

    async def do_system_helper_ran(
        self, actor: str, connector: str, host: str, port: int, key: str, outcome: str
    ) -> list[Row]:
        """The same of its outcome, "done" or the kind of error."""
        data = {"connector": connector, "key": key, "outcome": outcome}
        return await self._written("helper.ran", actor, host, port, data, {"host": host})

    async def _written(
        self, kind: str, actor: str, host: str, port: int, data: Row, personal: dict[str, str]
    ) -> list[Row]:
        here = (systems.c.host == host) & (systems.c.port == port) & systems.c.removed_ms.is_(None)
        async with self._parts.store.look_at_everyone() as scope:
            query = select(systems.c.customer_id, systems.c.id).where(here).order_by(systems.c.customer_id)
            rows = (await scope.execute(query)).all()
        found: list[tuple[str, str | None]] = [(str(row.customer_id), str(row.id)) for row in rows]
        told = []
        for log, system in found or [(OPERATOR_LOG, None)]:
            key = "helper:hosts" if system is None else f"customer:{log}"
            sealed = tuple(Personal(name, value, key) for name, value in personal.items())
            async with self._parts.store.scope(log) as scope:
                event = Event(kind, log, actor, system=system, data=data, personal=sealed)
                await self._parts.audit.append(scope.connection, event)
            told.append({"log": log, "system": system or ""})
        return told
