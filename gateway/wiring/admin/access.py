"""`frameroom access …`."""

from __future__ import annotations

from gateway.access.switch import Switch, in_words
from gateway.errors import InvalidError
from gateway.model import Access, AccessMode
from gateway.policy import access_is_on
from gateway.wiring.admin.base import Base, Row, when


class AccessCommands(Base):
    """The customer's own switch, above every permission."""

    @property
    def _switch(self) -> Switch:
        return Switch(self._parts.store, self._parts.audit)

    def _standing(self, customer: str, access: Access) -> Row:
        on = access_is_on(access, self._parts.permission.now)
        return {
            "customer": customer, "now": "on" if on else "off", "mode": access.mode.value, "in words": in_words(access),
            "until": when(access.until_ms),
        }  # fmt: skip

    async def do_access_show(self, actor: str, customer: str) -> Row:
        """How it stands."""
        return self._standing(customer, await self._switch.show(await self._customer(customer)))

    async def do_access_set(
        self, actor: str, customer: str, mode: str, by: str, how: str, until_ms: int | None = None,
        hours: list[str] | None = None,
    ) -> Row:  # fmt: skip
        """Turn it, as somebody of the customer's asked."""
        if mode not in set(AccessMode):
            raise InvalidError(f"{mode} is no way for access to be", next_step=f"There are {', '.join(AccessMode)}.")
        access = await self._switch.set_by_staff(
            actor, await self._customer(customer), AccessMode(mode), until_ms, hours or [], by, how
        )
        if self._app is not None:
            self._app.visits.look_now()
        return self._standing(customer, access)
