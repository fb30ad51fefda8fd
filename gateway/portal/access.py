"""Access on and off, and who is on the list of engineers, with a veto for each."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from starlette.responses import Response

from gateway import notify
from gateway.access.directory import Directory
from gateway.access.switch import Switch, in_words
from gateway.errors import InvalidError, NotFoundError
from gateway.model import HOUR, AccessMode
from gateway.policy import access_is_on
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Store
from gateway.store.tables import engineers, roster


def local_ms(text: str, zone: ZoneInfo) -> int:
    """A browser's datetime-local value ("2026-11-27T18:00"), by the customer's clock, as Unix ms. InvalidError."""
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidError("that is no day and time", next_step="Choose one.") from error


class AccessPages:
    """The switch and the list."""

    def __init__(self, store: Store, switch: Switch, directory: Directory) -> None:
        self._store, self._switch, self._directory = store, switch, directory

    def pages(self) -> list[Page]:
        """All of them."""
        return [
            Page("GET", "/access", Who.SIGNED_IN, self.show),
            Page("POST", "/access", Who.APPROVER, self.turn),
            Page("POST", "/engineers/{engineer}/veto", Who.APPROVER, self.veto),
            Page("POST", "/engineers/{engineer}/allow", Who.APPROVER, self.allow),
        ]

    async def show(self, asked: Asked) -> Response:
        """How it stands, and who may ask."""
        value = await self._switch.show(asked.customer_id)
        query = (
            select(roster, engineers.c.name, engineers.c.enabled)
            .join(engineers, engineers.c.id == roster.c.engineer_id)
            .where(roster.c.customer_id == asked.customer_id)
            .order_by(engineers.c.name)
        )
        async with self._store.look(asked.customer_id) as scope:
            zone = await notify.zone_of(scope)
            rows = (await scope.execute(query)).all()
        listed = [
            {
                "id": row.engineer_id, "name": notify.plain(row.name), "vetoed": row.vetoed,
                "state": "struck off your list" if row.vetoed else "may ask" if row.enabled else "switched off by us",
            }
            for row in rows
        ]  # fmt: skip
        on = access_is_on(value, self._switch.now)
        return asked.show("access.html", on=on, words=in_words(value), zone=zone.key, engineers=listed)

    async def turn(self, asked: Asked) -> Response:
        """On, off, until, for, weekly."""
        me, sent = asked.who, {name: str(value) for name, value in asked.sent.items()}
        async with self._store.look(me.customer_id) as scope:
            zone = await notify.zone_of(scope)
        mode, until_ms, spans = sent.get("mode", ""), None, []
        if mode == "for":
            hours = sent.get("hours", "")
            if not (hours.isascii() and hours.isdigit()):
                raise InvalidError("that is no number of hours", next_step="Write a whole number.")
            mode, until_ms = AccessMode.UNTIL, self._switch.now + int(hours) * HOUR
        elif mode == AccessMode.UNTIL:
            until_ms = local_ms(sent.get("until", ""), zone)
        elif mode == AccessMode.WEEKLY:
            spans = [span for span in sent.get("spans", "").split(",") if span.strip()]
        if mode not in set(AccessMode):
            raise InvalidError("that is no way for access to be", next_step="Load the page again.")
        await self._switch.set_by_approver(
            me.customer_id, me.approver_id, me.name, AccessMode(mode), until_ms, spans
        )  # fmt: skip
        return asked.go("/access")

    async def _named(self, asked: Asked) -> str:
        here = (roster.c.customer_id == asked.customer_id) & (roster.c.engineer_id == asked.path("engineer"))
        async with self._store.look(asked.customer_id) as scope:
            if (await scope.execute(select(roster.c.engineer_id).where(here))).first() is None:
                raise NotFoundError("That engineer is not on your list.")
        return asked.path("engineer")

    async def veto(self, asked: Asked) -> Response:
        """Strike one off: they cannot come in, whatever was permitted, and whoever is in is out within a second."""
        me = asked.who
        engineer = await self._named(asked)
        await self._directory.name_engineer(me.approver_id, me.customer_id, engineer, True, me.approver_id)
        return asked.go("/access")

    async def allow(self, asked: Asked) -> Response:
        """Take the veto back."""
        me = asked.who
        engineer = await self._named(asked)
        await self._directory.name_engineer(me.approver_id, me.customer_id, engineer, False, me.approver_id)
        return asked.go("/access")
