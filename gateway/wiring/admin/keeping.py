"""`frameroom backup` and `frameroom drain`."""

from __future__ import annotations

from pathlib import Path

from audit.events import OPERATOR_LOG, Event
from gateway.errors import StateError
from gateway.wiring import backup
from gateway.wiring.admin.base import Base, Row


class KeepingCommands(Base):
    """What keeps a deployment running."""

    async def do_backup(self, actor: str, file: str, to: list[str], parts: list[str], config: str) -> Row:
        """Write a sealed backup; its event is in the operator's log before anybody is told that it is there."""

        async def say(made: backup.Made) -> None:
            data = {"digest": made.digest, "bytes": made.size, "parts": parts, "to": to}
            async with self._parts.store.operator_log() as scope:
                await self._parts.audit.append(scope.connection, Event("backup.made", OPERATOR_LOG, actor, data=data))

        made = await backup.write(self._parts, Path(file), tuple(to), tuple(parts), config, say)
        return {"file": file, "sha256": made.digest, "bytes": made.size, "files": made.files, "parts": parts}

    async def do_drain(self, actor: str) -> Row:
        """Take no new visits and end when the last is over; who is left."""
        if self._app is None:
            raise StateError("nothing is running that could be drained")
        self._app.drain.set()
        left = [
            {"engineer": visit.identity.name, "system": visit.system.name, "visit": visit.id}
            for visit in self._app.visits.all()
        ]
        return {"left": left, "connections": len(self._app.door.connections)}
