"""What somebody may sign in to read with: their account at the customer's provider, and one-time codes."""

from __future__ import annotations

from typing import Final

import segno
from markupsafe import Markup
from starlette.responses import Response

from gateway import notify
from gateway.errors import InvalidError
from gateway.identity import totp
from gateway.identity.codes import Codes
from gateway.identity.providers import Providers
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Store

_PICTURE: Final = {"scale": 5, "border": 4, "light": "#fff", "dark": "#000", "svgclass": "qr", "lineclass": None}


def picture(address: str) -> Markup:
    """The QR code of an otpauth: address, as SVG within the page: no request, no file, black on white in the dark too.

    segno writes numbers and colours alone; nothing of the address stands in it as text.
    """
    svg = segno.make(address, error="m", micro=False).svg_inline(**_PICTURE)
    return Markup(svg.replace("<svg ", '<svg role="img" aria-label="QR code for your authenticator" ', 1))  # noqa: S704


class OwnWays:
    """One page, under Sign-ins."""

    def __init__(self, store: Store, providers: Providers, codes: Codes) -> None:
        self._store, self._providers, self._codes = store, providers, codes

    def pages(self) -> list[Page]:
        """All of them."""
        return [
            Page("GET", "/reading", Who.SIGNED_IN, self.show),
            Page("POST", "/reading/account/forget", Who.APPROVER, self.forget),
            Page("POST", "/reading/codes", Who.APPROVER, self.offer),
            Page("POST", "/reading/codes/confirm", Who.APPROVER, self.confirm),
            Page("POST", "/reading/codes/remove", Who.APPROVER, self.remove),
        ]

    async def show(self, asked: Asked) -> Response:
        """What there is."""
        me = asked.who
        found = await self._providers.of(me.customer_id)
        bound = await self._providers.bound_ms(me.customer_id, me.approver_id)
        since = await self._codes.since_ms(me.customer_id, me.approver_id)
        async with self._store.look(me.customer_id) as scope:
            zone = await notify.zone_of(scope)
        return asked.show(
            "reading.html", provider=None if found is None else notify.plain(found.name),
            bound=None if bound is None else notify.when(bound, zone),
            codes=None if since is None else notify.when(since, zone),
        )  # fmt: skip

    async def forget(self, asked: Asked) -> Response:
        """The account is theirs no more; the next of their address is."""
        me = asked.who
        await self._providers.forget(me.approver_id, me.customer_id, me.approver_id)
        return asked.go("/reading")

    async def offer(self, asked: Asked) -> Response:
        """A new secret, to be taken over by an authenticator and proven with a code."""
        me = asked.who
        return self._picture(asked, await self._codes.offer(me.customer_id, me.approver_id), None)

    def _picture(self, asked: Asked, secret: str, wrong: InvalidError | None) -> Response:
        me = asked.who
        address = totp.address_of(secret, f"{me.customer}: {me.email}", "Frameroom")
        groups = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
        status = 200 if wrong is None else 422
        return asked.show(
            "new_code.html", status, address=address, picture=picture(address), groups=groups, wrong=wrong
        )

    async def confirm(self, asked: Asked) -> Response:
        """The first code; a wrong one shows the same picture again."""
        me, code = asked.who, str(asked.sent.get("code", ""))[:20]
        try:
            await self._codes.confirm(me.customer_id, me.approver_id, code)
        except InvalidError as error:
            return self._picture(asked, await self._codes.offered(me.customer_id, me.approver_id), error)
        return asked.go("/reading")

    async def remove(self, asked: Asked) -> Response:
        """No code counts any more."""
        me = asked.who
        await self._codes.remove(me.approver_id, me.customer_id, me.approver_id)
        return asked.go("/reading")
