"""Restriction (GDPR Article 18): a person whose data is only kept. No engineer sees or changes them until it ends."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import bindparam, insert, select, update

from audit.events import Event, Personal
from audit.log import AuditLog
from gateway.errors import ConflictError, NotFoundError
from gateway.model import new_id
from gateway.store.duties import restrictions
from gateway.store.engine import Scope, Store

_FROZEN: Final = select(restrictions.c.subject).where(  # built once: every operation asks it
    restrictions.c.customer_id == bindparam("of_customer"), restrictions.c.system_id == bindparam("of_system"),
    restrictions.c.ended_ms.is_(None),
)  # fmt: skip


async def restricted(scope: Scope, system_id: str) -> frozenset[str]:
    """Subjects of a phone system who are frozen now."""
    values = {"of_customer": scope.customer_id, "of_system": system_id}
    return frozenset((await scope.execute(_FROZEN, values)).scalars())


class Restricting:
    """Writes each with its event, in one transaction."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit

    async def _log(self, scope: Scope, kind: str, actor: str, system_id: str, subject: str, why: str) -> None:
        personal = (Personal("why", why, f"subject:{subject}"),)
        event = Event(kind, scope.customer_id, actor, system=system_id, subject=subject, personal=personal)
        await self._audit.append(scope.connection, event)

    async def place(self, actor: str, customer: str, system_id: str, subject: str, why: str) -> None:
        """From the next operation on nobody at the door sees this person. ConflictError when it is so already."""
        async with self._store.scope(customer) as scope:
            if subject in await restricted(scope, system_id):
                raise ConflictError("they are restricted already", next_step="`frameroom subject restricted` shows it.")
            await scope.execute(
                insert(restrictions).values(
                    customer_id=customer, id=new_id("res"), system_id=system_id, subject=subject, placed_by=actor,
                    placed_ms=self._audit.clock.now(),
                )
            )  # fmt: skip
            await self._log(scope, "person.restricted", actor, system_id, subject, why)

    async def end(self, actor: str, customer: str, system_id: str, subject: str, why: str) -> None:
        """Engineers with a permission see them again. NotFoundError when they were not restricted."""
        async with self._store.scope(customer) as scope:
            here = (restrictions.c.customer_id == customer) & (restrictions.c.system_id == system_id)
            mine = here & (restrictions.c.subject == subject) & restrictions.c.ended_ms.is_(None)
            ended = await scope.execute(update(restrictions).where(mine).values(ended_ms=self._audit.clock.now()))
            if not ended.rowcount:
                raise NotFoundError("they are not restricted", next_step="`frameroom subject restricted` shows who is.")
            await self._log(scope, "person.unrestricted", actor, system_id, subject, why)

    async def all(self, customer: str | None) -> list[Any]:
        """Everybody who is restricted now."""
        query = select(restrictions).where(restrictions.c.ended_ms.is_(None)).order_by(restrictions.c.placed_ms)
        if customer is not None:
            query = query.where(restrictions.c.customer_id == customer)
        async with self._store.look_at_everyone() as scope:
            return list((await scope.execute(query)).all())
