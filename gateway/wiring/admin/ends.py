"""What ends with a phone system or an agreement that is over: its requests, its permissions, their visits."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select

from gateway.access.ending import end_permissions
from gateway.errors import StateError
from gateway.lifecycle import RequestState
from gateway.store.tables import requests
from gateway.wiring.admin.base import Base


class EndingCommands(Base):
    """Mixed into what ends permissions."""

    async def _end_permissions(self, actor: str, which: ColumnElement[bool], reason: str, how: str) -> int:
        """Revoke every open permission of these, and end live visits at once; how many there were."""
        ended = await end_permissions(self._parts.store, self._parts.permission, actor, which, reason, how)
        if self._app is not None:
            self._app.visits.look_now()
        return ended

    async def _withdraw_requests(self, actor: str, which: ColumnElement[bool]) -> int:
        """Take back every request of these that still waits, each with its own event; how many there were."""
        async with self._parts.store.look_at_everyone() as scope:
            query = select(requests.c.customer_id, requests.c.id).where(which, requests.c.state == RequestState.WAITING)
            found = (await scope.execute(query)).all()
        withdrawn = 0
        for row in found:
            try:
                await self._parts.permission.withdraw(actor, row.customer_id, row.id)
                withdrawn += 1
            except StateError:
                # Answered since it was looked up. A grant that came of it is ended by whoever calls this.
                continue
        return withdrawn
