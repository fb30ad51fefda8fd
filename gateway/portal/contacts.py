"""The customer's own contacts: who is told of visits. Seen by whoever is signed in, corrected by approvers."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from gateway import notify
from gateway.access.contacts import TEXTS, Contacts
from gateway.errors import FrameroomError, NotFoundError
from gateway.model import STANDINGS
from gateway.portal.notices import CHOICES, field, known_id
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Store

_STANDING: Final = {
    "prospective": "Not yet with the company, or not yet a customer",
    "current": "With the company now",
    "former": "Has left",
}
_EMPTY: Final[dict[str, Any]] = {
    **dict.fromkeys(TEXTS, ""), "notices": "each", "standing": "current", "marketing_out": False,
}  # fmt: skip
_TOLD: Final = {**CHOICES, "none": "No visits"}
_DONE: Final = {
    "added": "Added. Every approver was told by mail.",
    "changed": "Kept. Every approver was told by mail.",
    "same": "Nothing was different, so nothing was changed.",
    "removed": "Removed. Every approver was told by mail.",
}


class ContactPages:
    """The list, and one of them."""

    def __init__(self, store: Store, contacts: Contacts) -> None:
        self._store, self._contacts = store, contacts

    def pages(self) -> list[Page]:
        """All of them."""
        return [
            Page("GET", "/contacts", Who.SIGNED_IN, self.show),
            Page("GET", "/contacts/new", Who.SIGNED_IN, self.new),
            Page("POST", "/contacts", Who.APPROVER, self.add),
            Page("GET", "/contacts/{contact}", Who.SIGNED_IN, self.one),
            Page("POST", "/contacts/{contact}", Who.APPROVER, self.change),
            Page("POST", "/contacts/{contact}/remove", Who.APPROVER, self.remove),
        ]

    async def show(self, asked: Asked) -> Response:
        """All of them."""
        async with self._store.look(asked.customer_id) as scope:
            found = await self._contacts.all(scope)
            zone = await notify.zone_of(scope)
        rows = [
            {
                "id": row.id, **{name: notify.plain(getattr(row, name)) for name in TEXTS},
                "told": _TOLD[row.notices] if row.standing == "current" else "No visits, since they are not current",
                "standing": _STANDING[row.standing], "current": row.standing == "current",
                "opted_out": notify.when(row.marketing_ms, zone) if row.marketing_ms is not None else "",
            }
            for row in found
        ]  # fmt: skip
        done = _DONE.get(asked.request.query_params.get("done", ""), "")
        return asked.show("contacts.html", rows=rows, done=done)

    async def new(self, asked: Asked) -> Response:
        """An empty form."""
        return self._form(asked, "", _EMPTY)

    async def one(self, asked: Asked) -> Response:
        """One, as a form."""
        contact_id = known_id(asked, "contact")
        async with self._store.look(asked.customer_id) as scope:
            row = await self._contacts.one(scope, contact_id)
        return self._form(asked, contact_id, {name: getattr(row, name) for name in _EMPTY})

    @staticmethod
    def _form(asked: Asked, contact_id: str, values: dict[str, Any], error: FrameroomError | None = None) -> Response:
        trouble = " ".join(filter(None, (error.message, error.next_step))) if error else ""
        return asked.show(
            "contact.html", 422 if error else 200, id=contact_id, values=values, told=_TOLD, standings=_STANDING,
            trouble=trouble,
        )  # fmt: skip

    @staticmethod
    def _sent(asked: Asked) -> dict[str, Any]:
        values: dict[str, Any] = {name: field(asked, name) for name in (*TEXTS, "notices", "standing")}
        if values["standing"] not in STANDINGS:
            values["standing"] = "current"
        return values | {"marketing_out": field(asked, "marketing_out") == "yes"}

    async def add(self, asked: Asked) -> Response:
        """One more; what cannot be taken stays in the form."""
        values = self._sent(asked)
        try:
            await self._contacts.add(asked.who.approver_id, asked.customer_id, values, asked.who.name)
        except FrameroomError as error:
            return self._form(asked, "", values, error)
        return asked.go("/contacts?done=added")

    async def change(self, asked: Asked) -> Response:
        """Correct one."""
        contact_id, values, me = known_id(asked, "contact"), self._sent(asked), asked.who
        try:
            changed = await self._contacts.change(me.approver_id, me.customer_id, contact_id, values, me.name)
        except NotFoundError:
            raise
        except FrameroomError as error:
            return self._form(asked, contact_id, values, error)
        return asked.go(f"/contacts?done={'changed' if changed else 'same'}")

    async def remove(self, asked: Asked) -> Response:
        """Told of nothing any more."""
        me = asked.who
        await self._contacts.remove(me.approver_id, me.customer_id, known_id(asked, "contact"), me.name)
        return asked.go("/contacts?done=removed")
