"""The maintainer's own people, who use the operator's commands: an opaque id for each account of the operating system.

The log has the id alone. Whose it is stands in one row and in one sealed field, and both go when they are erased.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from audit.events import OPERATOR_LOG, Event, Personal
from audit.log import AuditLog
from gateway.model import DAY, new_id
from gateway.store.engine import Scope, Store
from gateway.store.tables import staff

PREFIX: Final = "stf_"


class Names(dict[str, str]):
    """Logins by id; whoever was erased, or is none of the maintainer's people, goes by their id."""

    def __missing__(self, key: str) -> str:
        return key


class Staff:
    """The registry. Nobody is added by hand: whoever the kernel lets in is known from their first command on."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit

    async def known(self, login: str) -> str:
        """The id of whoever has this account, made and logged (`staff.added`) when it is the first time."""
        async with self._store.look(OPERATOR_LOG) as scope:
            row = (await scope.execute(select(staff).where(staff.c.login == login))).first()
        now = self._audit.clock.now()
        if row is None:
            return await self._added(login, now)
        if now - row.seen_ms >= DAY:
            async with self._store.operator_log() as scope:
                await scope.execute(update(staff).where(staff.c.id == row.id).values(seen_ms=now))
        return str(row.id)

    async def _added(self, login: str, now: int) -> str:
        made = new_id(PREFIX.removesuffix("_"))
        personal = (Personal("name", login, f"staff:{made}"),)
        try:
            async with self._store.operator_log() as scope:
                await scope.execute(insert(staff).values(id=made, login=login, added_ms=now, seen_ms=now))
                event = Event("staff.added", OPERATOR_LOG, made, data={"staff": made}, personal=personal)
                await self._audit.append(scope.connection, event)
        except IntegrityError:
            # Their other command was first by a moment.
            return await self.known(login)
        return made

    async def names(self) -> Names:
        """Whose account each id is."""
        async with self._store.look(OPERATOR_LOG) as scope:
            return await names(scope)


async def names(scope: Scope) -> Names:
    """As `Staff.names`, within a look."""
    query = select(staff.c.id, staff.c.login).where(staff.c.login.is_not(None))
    return Names({row.id: row.login for row in await scope.execute(query)})
