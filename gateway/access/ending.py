"""What ends with something that is over: every permission of it, each with its own event and mail."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select

from gateway.access.permission import Permission
from gateway.errors import StateError
from gateway.store.engine import Store
from gateway.store.tables import grants


async def end_permissions(
    store: Store, permission: Permission, actor: str, which: ColumnElement[bool], reason: str, how: str
) -> int:
    """Revoke every open permission of these; how many there were. Live visits end within a second, by their watch."""
    async with store.look_at_everyone() as scope:
        query = select(grants.c.customer_id, grants.c.id).where(which, grants.c.state == "open")
        found = (await scope.execute(query)).all()
    ended = 0
    for row in found:
        try:
            await permission.revoke(actor, row.customer_id, row.id, reason, how)
            ended += 1
        except StateError:
            # It ended by itself since it was looked up, which is all that is wanted of it.
            continue
    return ended
