"""A customer's contacts: who is told of visits, and what else they may be sent. Added, corrected, removed, exported.

No advertising (`marketing_out`) is kept with the time it was said, and goes with every export. What a customer has to
be told, operational notices and notices of prices, does not depend on it.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import insert, select, update

from audit.events import Event, Personal
from audit.log import AuditLog
from gateway import notify
from gateway.access.channels import forget_all
from gateway.access.leaving import forget_ways_in
from gateway.errors import InvalidError, NotFoundError
from gateway.model import NOTICES, STANDINGS, is_address, new_id
from gateway.store.engine import Scope, Store
from gateway.store.tables import contacts, customers

Values = dict[str, Any]
TEXTS: Final = ("name", "position", "email", "phone", "mobile")
FIELDS: Final = (*TEXTS, "notices", "standing", "marketing_out")
_LONGEST: Final = 200
_DEFAULTS: Final[Values] = {
    "position": "", "phone": "", "mobile": "", "notices": "each", "standing": "current", "marketing_out": False,
}  # fmt: skip
_IN_WORDS: Final = {"marketing_out": "no advertising", "notices": "told of visits", "phone": "telephone"}


def checked(name: str, email: str, notices: str = "each", standing: str = "current") -> None:
    """InvalidError for a person that nobody could be told of by mail, or by name."""
    if not name.strip():
        raise InvalidError("a person has a name")
    if not is_address(email):
        raise InvalidError(f"{email} is no mail address", next_step="It looks like kate@customer.example.")
    if notices not in NOTICES:
        raise InvalidError(f"{notices} is no choice of notices", next_step=f"There are {', '.join(NOTICES)}.")
    if standing not in STANDINGS:
        raise InvalidError(f"{standing} is no standing", next_step=f"There are {', '.join(STANDINGS)}.")


def _word(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "nothing"


class Contacts:
    """Writes each change with its event and its notice, in one transaction. `by`: an approver's name, "" for staff."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit

    async def _log(self, scope: Scope, kind: str, actor: str, contact_id: str, row: Values) -> None:
        key = f"subject:{contact_id}"
        personal = tuple(Personal(name, row[name], key) for name in TEXTS)
        data = {"contact": contact_id, **{name: row[name] for name in ("notices", "standing", "marketing_out")}}
        await self._audit.append(scope.connection, Event(kind, scope.customer_id, actor, data=data, personal=personal))

    def _said(self, row: Values) -> Values:
        """Since when somebody wants no advertising."""
        return {"marketing_ms": self._audit.clock.now() if row["marketing_out"] else None}

    async def add(self, actor: str, customer_id: str, values: Values, by: str = "") -> str:
        """A person who is told of visits. InvalidError for values that cannot be."""
        row = _DEFAULTS | values
        self._check(row)
        contact_id = new_id("con")
        async with self._store.scope(customer_id) as scope:
            await scope.execute(
                insert(contacts).values(customer_id=customer_id, id=contact_id, **row, **self._said(row))
            )
            await self._log(scope, "contact.added", actor, contact_id, row)
            lines = [f"email: {row['email']}", f"told of visits: {row['notices']}"]
            await notify.contact_changed(scope, row["name"], "added", lines, by, self._audit.clock.now())
        return contact_id

    @staticmethod
    def _check(row: Values) -> None:
        checked(row["name"], row["email"], row["notices"], row["standing"])
        for name in TEXTS:
            if len(row[name]) > _LONGEST or any(not c.isprintable() for c in row[name]):
                raise InvalidError(f"{name}: at most {_LONGEST} characters, on one line")

    async def one(self, scope: Scope, contact_id: str) -> Any:
        """NotFoundError when the customer has no such contact."""
        here = (contacts.c.customer_id == scope.customer_id) & (contacts.c.id == contact_id)
        row = (await scope.execute(select(contacts).where(here, contacts.c.removed_ms.is_(None)))).first()
        if row is None:
            raise NotFoundError("there is no such contact", next_step="`frameroom contact list` shows them.")
        return row

    async def all(self, scope: Scope) -> list[Any]:
        """The customer's, by name."""
        here = (contacts.c.customer_id == scope.customer_id) & contacts.c.removed_ms.is_(None)
        return list((await scope.execute(select(contacts).where(here).order_by(contacts.c.name, contacts.c.id))).all())

    async def change(self, actor: str, customer_id: str, contact_id: str, values: Values, by: str = "") -> list[str]:
        """Change some of a contact's values; what became what, in words: [] when it was so already."""
        async with self._store.scope(customer_id) as scope:
            row = await self.one(scope, contact_id)
            was: Values = {name: getattr(row, name) for name in FIELDS}
            becomes = was | values
            self._check(becomes)
            changed = [name for name in FIELDS if was[name] != becomes[name]]
            if not changed:
                return []
            said = self._said(becomes) if "marketing_out" in changed else {}
            here = (contacts.c.customer_id == customer_id) & (contacts.c.id == contact_id)
            await scope.execute(update(contacts).where(here).values(**{n: becomes[n] for n in changed}, **said))
            await self._log(scope, "contact.changed", actor, contact_id, becomes)
            lines = [
                f"{_IN_WORDS.get(n, n)}: from {_word(n, was[n])} to {_word(n, becomes[n])}" for n in changed
            ]  # fmt: skip
            also = [was["email"]] if {"email", "notices", "standing"} & set(changed) else []
            now = self._audit.clock.now()
            await notify.contact_changed(scope, becomes["name"], "changed", lines, by, now, also)
        return lines

    async def remove(self, actor: str, customer_id: str, contact_id: str, by: str = "") -> None:
        """Tell a contact of nothing any more. NotFoundError when there is none, or none any more."""
        async with self._store.scope(customer_id) as scope:
            row, now = await self.one(scope, contact_id), self._audit.clock.now()
            here = (contacts.c.customer_id == customer_id) & (contacts.c.id == contact_id)
            await scope.execute(update(contacts).where(here).values(removed_ms=now))
            await forget_all(scope, self._audit, actor, contact_id)
            await forget_ways_in(scope, contact_id)
            event = Event("contact.removed", customer_id, actor, data={"contact": contact_id})
            await self._audit.append(scope.connection, event)
            await notify.contact_changed(scope, row.name, "removed", [], by, now, [row.email])

    async def export(
        self, actor: str, customer_id: str, kind: str | None, standing: str | None
    ) -> list[Values]:  # fmt: skip
        """A customer's contacts who may be sent notices of a kind; None: all of them. The look is logged first.

        Marketing leaves out whoever wants none, operational and pricing notices leave nobody out for it. Without a
        `standing`, marketing goes to every contact, and what a customer must be told to those who are current.
        """
        here = (contacts.c.customer_id == customer_id) & contacts.c.removed_ms.is_(None)
        if kind == "marketing":
            here &= contacts.c.marketing_out.is_(False)
        elif kind is not None and standing is None:
            standing = "current"
        if standing is not None:
            here &= contacts.c.standing == standing
        async with self._store.scope(customer_id) as scope:
            query = select(contacts, customers.c.name.label("customer"))
            query = query.join(customers, customers.c.id == contacts.c.customer_id).where(here)
            rows = (await scope.execute(query.order_by(contacts.c.name, contacts.c.id))).all()
            data = {"who": actor, "kind": kind or "all", "count": len(rows)}
            await self._audit.append(scope.connection, Event("contacts.exported", customer_id, actor, data=data))
        return [
            {"customer": row.customer, **{name: getattr(row, name) for name in FIELDS}, "said_ms": row.marketing_ms}
            for row in rows
        ]
