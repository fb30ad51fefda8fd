"""How an approver is told: of which visits, where beside mail, who is asked while they are away. Of oneself alone."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.responses import Response

from gateway import notify
from gateway.access.asking import Asking
from gateway.access.channels import Channels
from gateway.access.contacts import Contacts
from gateway.errors import FrameroomError, InvalidError, NotFoundError, NotPermittedError
from gateway.model import NOTICES, same_address
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Scope, Store

_ID: Final = re.compile(r"(chn|abs|apr|con)_[0-9a-f]{24}")
CHOICES: Final = {
    "each": "Each visit",
    "changes": "Only visits in which something was changed",
    "daily": "One mail a day, with all of it",
    "none": "No visits (you are still asked, and warned)",
}
_DONE: Final = {
    "notices": "Kept. This is what you are told from now on.",
    "added": "Added. Try it now: press Test.",
    "tested": "The service took the test. Look whether it arrived.",
    "removed": "Taken away.",
    "away": "Kept. You are not asked on those days.",
    "back": "Kept. You are asked again.",
    "deputy": "Kept.",
}


def field(asked: Asked, name: str) -> str:
    """What was sent under a name, as text. InvalidError when it is none."""
    value = asked.sent.get(name, "")
    if not isinstance(value, str):
        raise InvalidError("that could not be read")
    return value.strip()


def known_id(asked: Asked, name: str) -> str:
    """An id out of the address. NotFoundError when it cannot be one."""
    given = asked.path(name)
    if not _ID.fullmatch(given):
        raise NotFoundError("That is not here.")
    return given


class NoticesPages:
    """One page, and what its forms do."""

    def __init__(self, store: Store, asking: Asking, channels: Channels, contacts: Contacts, texts: bool) -> None:
        self._store, self._asking, self._channels, self._contacts = store, asking, channels, contacts
        self._texts = texts

    def pages(self) -> list[Page]:
        """All of them."""
        mine = Who.APPROVER
        return [
            Page("GET", "/notices", Who.SIGNED_IN, self.show),
            Page("POST", "/notices", mine, self.wish),
            Page("POST", "/notices/channels", mine, self.add),
            Page("POST", "/notices/channels/{channel}/test", mine, self.test),
            Page("POST", "/notices/channels/{channel}/remove", mine, self.remove),
            Page("POST", "/notices/away", mine, self.away),
            Page("POST", "/notices/away/{absence}/end", mine, self.back),
            Page("POST", "/notices/deputy", mine, self.deputy),
        ]

    async def show(self, asked: Asked) -> Response:
        """The page."""
        if asked.who.is_contact:
            raise NotPermittedError(
                "This page is an approver's.", next_step="What you are told of stands under Contacts."
            )
        return await self._page(asked, done=_DONE.get(asked.request.query_params.get("done", ""), ""))

    async def _page(self, asked: Asked, *, done: str = "", error: FrameroomError | None = None) -> Response:
        me = asked.who
        async with self._store.look(me.customer_id) as scope:
            zone = await notify.zone_of(scope)
            hows = await self._asking.of(scope)
            rota = await notify.rota_of(scope, 0)
            wishes = await notify.wishes_of(scope)
        mine = hows[me.approver_id]
        names = {one.id: notify.plain(one.name) for one in rota.approvers}
        own = next(one for one in rota.approvers if one.id == me.approver_id)
        away = [
            {
                "id": one.id, "first": _day(one.from_ms, zone), "last": _day(one.until_ms - 1, zone),
                "deputy": names.get(one.deputy_id or mine.deputy_id or "", ""),
            }
            for one in mine.away
        ]  # fmt: skip
        channels = [
            {"id": one.id, "name": notify.plain(one.name), "service": notify.plain(one.service)}
            for one in await self._channels.of(me.customer_id, me.approver_id)
        ]
        trouble = " ".join(filter(None, (error.message, error.next_step))) if error else ""
        return asked.show(
            "notices.html", 422 if error else 200, wish=wishes[own.email.casefold()][1], choices=CHOICES, zone=zone.key,
            email=own.email, channels=channels, texts=self._texts, away=away, deputy=mine.deputy_id, done=done,
            trouble=trouble, others={id_: name for id_, name in names.items() if id_ != me.approver_id},
        )  # fmt: skip

    async def _done(self, asked: Asked, what: str, act: Any) -> Response:
        """Do it and show the page again, with what came of it."""
        try:
            await act
        except NotFoundError:
            raise
        except FrameroomError as error:
            return await self._page(asked, error=error)
        return asked.go(f"/notices?done={what}")

    async def wish(self, asked: Asked) -> Response:
        """Of which visits; where the same person is a contact too, there as well."""
        return await self._done(asked, "notices", self._wish(asked, field(asked, "notices")))

    async def _wish(self, asked: Asked, wish: str) -> None:
        me = asked.who
        if wish not in NOTICES:
            raise InvalidError("Choose one of them.")
        await self._asking.notices(me.approver_id, me.customer_id, me.approver_id, wish)
        for contact_id in await self._same_person(me.customer_id, me.approver_id):
            await self._contacts.change(me.approver_id, me.customer_id, contact_id, {"notices": wish}, me.name)

    async def _same_person(self, customer_id: str, approver_id: str) -> list[str]:
        async with self._store.look(customer_id) as scope:
            email = await self._email(scope, approver_id)
            return [row.id for row in await self._contacts.all(scope) if same_address(row.email, email)]

    @staticmethod
    async def _email(scope: Scope, approver_id: str) -> str:
        rota = await notify.rota_of(scope, 0)
        return next(one.email for one in rota.approvers if one.id == approver_id)

    async def add(self, asked: Asked) -> Response:
        """A way beside mail."""
        me = asked.who
        name, address = field(asked, "name"), field(asked, "address")
        act = self._channels.add(me.approver_id, me.customer_id, me.approver_id, name, address)
        return await self._done(asked, "added", act)

    async def test(self, asked: Asked) -> Response:
        """Send a line there now."""
        me = asked.who
        act = self._channels.test(me.approver_id, me.customer_id, known_id(asked, "channel"), me.approver_id)
        return await self._done(asked, "tested", act)

    async def remove(self, asked: Asked) -> Response:
        """Nothing goes there any more."""
        me = asked.who
        act = self._channels.remove(me.approver_id, me.customer_id, known_id(asked, "channel"), me.approver_id)
        return await self._done(asked, "removed", act)

    async def away(self, asked: Asked) -> Response:
        """Not asked on those days."""
        me, deputy = asked.who, field(asked, "deputy") or None
        first, last = field(asked, "first"), field(asked, "last")
        act = self._asking.away(me.approver_id, me.customer_id, me.approver_id, first, last, deputy)
        return await self._done(asked, "away", act)

    async def back(self, asked: Asked) -> Response:
        """There again."""
        me = asked.who
        act = self._asking.back(me.approver_id, me.customer_id, me.approver_id, known_id(asked, "absence"))
        return await self._done(asked, "back", act)

    async def deputy(self, asked: Asked) -> Response:
        """Who stands in, whenever one is away or does not answer."""
        me, deputy = asked.who, field(asked, "deputy") or None
        act = self._asking.deputy(me.approver_id, me.customer_id, me.approver_id, deputy)
        return await self._done(asked, "deputy", act)


def _day(at_ms: int, zone: Any) -> str:
    """Thursday 24 December 2026."""
    return notify.when(at_ms, zone).partition(",")[0]
