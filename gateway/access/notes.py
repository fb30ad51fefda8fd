"""Notes that engineers leave about a phone system for whoever comes next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Integer, bindparam, func, insert, select

from audit.events import Event, Personal
from audit.log import AuditLog
from gateway.model import PhoneSystem, new_id
from gateway.store.engine import Store
from gateway.store.tables import engineers, notes, staff


@dataclass(frozen=True, slots=True)
class Note:
    """One note: who wrote it (a name), when (Unix ms), and what it says."""

    author: str
    at_ms: int
    text: str


async def write(
    store: Store, audit: AuditLog, system: PhoneSystem, session_id: str | None, author: str, text: str
) -> str:
    """Leave a note; its id. `author` is an engineer's id, or that of one of the staff; both commit together."""
    note_id = new_id("not")
    async with store.scope(system.customer_id) as scope:
        await scope.execute(
            insert(notes).values(
                customer_id=system.customer_id, id=note_id, system_id=system.id, session_id=session_id,
                author=author, text=text, at_ms=audit.clock.now(),
            )
        )  # fmt: skip
        personal = (Personal("text", text, f"customer:{system.customer_id}"),)
        event = Event(
            "note.written", system.customer_id, author, system=system.id, session=session_id, data={"note": note_id},
            personal=personal,
        )  # fmt: skip
        await audit.append(scope.connection, event)
    return note_id


_NEWEST: Final = (
    select(notes, func.coalesce(engineers.c.name, staff.c.login, notes.c.author).label("by"))
    .join(engineers, engineers.c.id == notes.c.author, isouter=True)
    .join(staff, staff.c.id == notes.c.author, isouter=True)
    .where(notes.c.customer_id == bindparam("of_customer"), notes.c.system_id == bindparam("of_system"))
    .order_by(notes.c.at_ms.desc(), notes.c.id)
    .limit(bindparam("newest", type_=Integer))
)


async def read(store: Store, customer_id: str, system_id: str, limit: int) -> list[Note]:
    """The newest notes about a phone system, the newest first."""
    values = {"of_customer": customer_id, "of_system": system_id, "newest": limit}
    async with store.look(customer_id) as scope:
        return [Note(row.by, row.at_ms, row.text) for row in await scope.execute(_NEWEST, values)]
