"""Secrets to hand over: which there are, one opened once with a fresh answer of the approver's own passkey, and the
word that the person has it."""

from __future__ import annotations

from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.responses import JSONResponse, Response

from gateway import notify
from gateway.access.handing import Handing, HandOver, check_opens
from gateway.errors import InvalidError
from gateway.identity.passkeys import Passkeys
from gateway.lifecycle import LinkState
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Store

_OVER: Final = {
    LinkState.EXPIRED: "It ran out: it held for 24 hours, and nobody opened it.",
    LinkState.VOID: "It opens no more: the password was reset again, or its mail was lost.",
}


class HandOvers:
    """The pages. `ring` says whom to ring."""

    def __init__(self, store: Store, handing: Handing, passkeys: Passkeys, ring: str) -> None:
        self._store, self._handing, self._passkeys, self._ring = store, handing, passkeys, ring

    def pages(self) -> list[Page]:
        """All of them."""
        one = "/hand-overs/{link}"
        return [
            Page("GET", "/hand-overs", Who.SIGNED_IN, self.all),
            Page("GET", one, Who.SIGNED_IN, self.show),
            Page("POST", one + "/options", Who.APPROVER, self.options),
            Page("POST", one + "/open", Who.APPROVER, self.open),
            Page("POST", one + "/handed", Who.APPROVER, self.handed),
        ]

    async def all(self, asked: Asked) -> Response:
        """Those of the customer, newest first."""
        async with self._store.look(asked.customer_id) as scope:
            zone, found = await notify.zone_of(scope), await self._handing.all(scope)
        return asked.show("hand_overs.html", rows=[_row(one, zone, asked) for one in found], ring=self._ring)

    async def show(self, asked: Asked) -> Response:
        """One of them; looking uses nothing up."""
        async with self._store.look(asked.customer_id) as scope:
            zone, found = await notify.zone_of(scope), await self._handing.one(scope, asked.path("link"))
        return asked.show("hand_over.html", one=_row(found, zone, asked), ring=self._ring)

    async def options(self, asked: Asked) -> Response:
        """What the passkey is to sign for just this secret, now."""
        me, now = asked.who, self._handing.now
        async with self._store.look(me.customer_id) as scope:
            found = await self._handing.one(scope, asked.path("link"))
            check_opens(found, me.approver_id)
            words = self._handing.words(found, me.approver_id, now)
            told = await self._passkeys.signing_options(scope, me.approver_id, words.digest)
        return JSONResponse(told | {"keep": {"asked": now}})

    async def open(self, asked: Asked) -> Response:
        """The ciphertext, once."""
        me, at_ms = asked.who, asked.sent.get("asked")
        if type(at_ms) is not int:
            raise InvalidError("that is no answer of a passkey", next_step="Load the page again.")
        link = asked.path("link")
        sealed = await self._handing.open(me.customer_id, me.approver_id, link, at_ms, asked.sent.get("answer"))
        return Response(sealed, media_type="application/octet-stream")

    async def handed(self, asked: Asked) -> Response:
        """The person has it."""
        if asked.sent.get("given") != "yes":
            raise InvalidError("Tick that you gave it to them.", next_step="If you did not, do so first.")
        me = asked.who
        await self._handing.handed(me.customer_id, me.approver_id, asked.path("link"))
        return asked.go(f"/hand-overs/{asked.path('link')}")


def _row(found: HandOver, zone: ZoneInfo, asked: Asked) -> dict[str, Any]:
    row, me = found.row, asked.who
    mine = row.approver_id == me.approver_id
    return {
        "id": row.id, "person": notify.plain(found.person), "secret": notify.SECRETS[found.secret],
        "system": notify.plain(row.system), "approver": "you" if mine else notify.plain(row.approver),
        "made": notify.when(row.made_ms, zone), "until": notify.when(row.until_ms, zone),
        "opened": notify.when(row.opened_ms, zone) if row.opened_ms else "",
        "handed": notify.when(row.handed_ms, zone) if row.handed_ms else "",
        "state": found.state.value, "over": _OVER.get(found.state, ""), "mine": mine,
        "opens": mine and me.may_approve and found.state is LinkState.READY,
        "ticks": mine and me.may_approve and found.state in {LinkState.READY, LinkState.OPENED},
    }  # fmt: skip
