"""`frameroom staff …`: whose ids stand in the log."""

from __future__ import annotations

from sqlalchemy import select

from audit.events import OPERATOR_LOG
from gateway.store.tables import staff
from gateway.wiring.admin.base import Base, Row, when


class StaffCommands(Base):
    """The maintainer's own people."""

    async def do_staff_list(self, actor: str) -> list[Row]:
        """Whoever used a command, in the order in which they came."""
        async with self._parts.store.look(OPERATOR_LOG) as scope:
            rows = (await scope.execute(select(staff).order_by(staff.c.added_ms, staff.c.id))).all()
        return [
            {
                "id": r.id, "login": "(erased)" if r.login is None else r.login, "since": when(r.added_ms),
                "last seen": when(r.seen_ms)[:10],
            }
            for r in rows
        ]  # fmt: skip
