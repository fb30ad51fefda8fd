"""Who may read a customer's log over HTTP: a token each, kept as its digest, told in the log when made, used, ended."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

from sqlalchemy import insert, select, update

from audit.events import Event, Personal
from audit.log import AuditLog
from gateway.errors import NotFoundError
from gateway.model import DAY, new_id
from gateway.store.engine import Store
from gateway.store.reading import readers

_PREFIX: Final = "frl_"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Readers:
    """Makes and ends tokens, and says whose a token is."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit

    async def add(self, actor: str, customer: str, name: str) -> tuple[str, str]:
        """(id, token). The token is shown to whoever made it, and kept nowhere."""
        reader, token = new_id("rdr"), _PREFIX + secrets.token_urlsafe(32)
        async with self._store.scope(customer) as scope:
            await scope.execute(
                insert(readers).values(
                    customer_id=customer, id=reader, name=name, digest=_digest(token),
                    added_ms=self._audit.clock.now(),
                )
            )  # fmt: skip
            await self._tell(scope.connection, "reader.added", customer, actor, reader, name)
        return reader, token

    async def remove(self, actor: str, customer: str, reader: str) -> None:
        """It opens nothing any more. NotFoundError when there is none that does."""
        here = (readers.c.customer_id == customer) & (readers.c.id == reader) & readers.c.removed_ms.is_(None)
        async with self._store.scope(customer) as scope:
            ended = await scope.execute(update(readers).where(here).values(removed_ms=self._audit.clock.now()))
            if not ended.rowcount:
                raise NotFoundError("there is no such token", next_step="`frameroom audit reader list` shows them.")
            await self._tell(scope.connection, "reader.removed", customer, actor, reader, "")

    async def of(self, customer: str) -> list[Any]:
        """A customer's, oldest first."""
        async with self._store.look(customer) as scope:
            query = select(readers).where(readers.c.customer_id == customer).order_by(readers.c.added_ms)
            return list((await scope.execute(query)).all())

    async def customer_of(self, token: str) -> str | None:
        """Whose log a token opens, None for one that opens nothing. Its first use in a day stands in the log: each
        would make the log grow with whoever reads it."""
        mine = (readers.c.digest == _digest(token)) & readers.c.removed_ms.is_(None)
        async with self._store.look_at_everyone() as scope:
            row = (await scope.execute(select(readers).where(mine))).first()
        if row is None:
            return None
        now = self._audit.clock.now()
        unseen = readers.c.seen_ms.is_(None) | (readers.c.seen_ms < now - now % DAY)
        async with self._store.scope(row.customer_id) as scope:
            here = mine & (readers.c.customer_id == row.customer_id)
            if (row.seen_ms or 0) < now - now % DAY:
                said = await scope.execute(update(readers).where(here, unseen).values(seen_ms=now))
                if said.rowcount:
                    event = Event("looked.log", row.customer_id, row.id, data={"who": row.id})
                    await self._audit.append(scope.connection, event)
        return str(row.customer_id)

    async def _tell(self, connection: Any, kind: str, customer: str, actor: str, reader: str, name: str) -> None:
        personal = (Personal("name", name, f"customer:{customer}"),) if name else ()
        await self._audit.append(connection, Event(kind, customer, actor, data={"reader": reader}, personal=personal))
