"""What ends with a phone system or an agreement that is over: its requests, its permissions, their visits."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select

from gateway.errors import StateError
from gateway.lifecycle import RequestState
from gateway.store.tables import grants, requests
from gateway.wiring.admin.base import Base


class EndingCommands(Base):
    """Mixed into what ends permissions."""

    async def _end_permissions(self, actor: str, which: ColumnElement[bool], reason: str, how: str) -> int:
        """Revoke every open permission of these, each with its own event and mail; how many there were.

        Live visits end within a second on every node, by their watch.
        """
        async with self._parts.store.look_at_everyone() as scope:
            query = select(grants.c.customer_id, grants.c.id).where(which, grants.c.state == "open")
            found = (await scope.execute(query)).all()
        ended = 0
        for row in found:
            try:
                await self._parts.permission.revoke(actor, row.customer_id, row.id, reason, how)
                ended += 1
            except StateError:
                # It ended by itself since it was looked up, which is all that is wanted of it.
                continue
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
