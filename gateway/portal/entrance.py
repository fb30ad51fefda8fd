"""Invitation, signing in and out, and where one is signed in."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import JSONResponse, Response

from audit.assertions import to_text
from audit.log import AuditLog
from gateway import notify
from gateway.errors import InvalidError, NotFoundError
from gateway.identity.passkeys import Passkeys
from gateway.identity.sign_ins import ACCOUNT, CODE, PASSKEY, SignIns
from gateway.portal.devices import device_words
from gateway.portal.guesses import Guesses
from gateway.portal.page import Asked, Page, Who, known_customer, own_path
from gateway.portal.site import COOKIE
from gateway.store.engine import Store

_HOW: Final = {
    PASSKEY: "with a passkey", ACCOUNT: "with your organisation's account, to read",
    CODE: "with a one-time code, to read",
}  # fmt: skip


class Entrance:
    """The pages of who somebody is."""

    def __init__(self, store: Store, audit: AuditLog, passkeys: Passkeys, sign_ins: SignIns, ring: str) -> None:
        self._store, self._passkeys, self._sign_ins, self._ring = store, passkeys, sign_ins, ring
        self._guesses = Guesses(audit.clock.now)

    def pages(self) -> list[Page]:
        """All of them."""
        there, link = Who.SIGNED_IN, "/invitation/{customer}/{secret}"
        return [
            Page("GET", "/sign-in", Who.PUBLIC, self.sign_in_page),
            Page("POST", "/sign-in/options", Who.PUBLIC, self.sign_in_options),
            Page("POST", "/sign-in", Who.PUBLIC, self.sign_in),
            Page("GET", link, Who.PUBLIC, self.invitation),
            Page("POST", link + "/options", Who.PUBLIC, self.enrol_options),
            Page("POST", link, Who.PUBLIC, self.enrol),
            Page("GET", "/sign-ins", there, self.my_sign_ins),
            Page("POST", "/sign-out", there, self.sign_out),
            Page("POST", "/sign-out-everywhere", there, self.sign_out),
        ]

    async def sign_in_page(self, asked: Asked) -> Response:
        """The passkey's button; who comes without one says who they are first."""
        following = own_path(asked.request.query_params.get("next"))
        return asked.show("sign_in.html", ring=self._ring, ways=[], following=following)

    async def sign_in_options(self, asked: Asked) -> Response:
        """What the passkey is to answer."""
        options = {
            "challenge": to_text(self._sign_ins.challenge()), "rpId": self._passkeys.host,
            "userVerification": "required", "allowCredentials": [],
        }  # fmt: skip
        return JSONResponse(options)

    async def sign_in(self, asked: Asked) -> Response:
        """The answer."""
        client = asked.request.client.host if asked.request.client is not None else ""
        device = asked.request.headers.get("user-agent", "")
        answer, challenge = asked.sent.get("answer"), asked.sent.get("challenge")
        if not isinstance(answer, dict) or not isinstance(challenge, str):
            raise InvalidError("that is no answer of a passkey", next_step="Load the page again.")
        cookie = await self._sign_ins.sign_in(answer, challenge, device, client)
        response = JSONResponse({"go": own_path(asked.sent.get("next"))})
        response.set_cookie(COOKIE, cookie, path="/", secure=True, httponly=True, samesite="lax")
        return response

    async def invitation(self, asked: Asked) -> Response:
        """Whom it is for; looking uses nothing up."""
        try:
            invited = await self._passkeys.invitation(known_customer(asked), asked.path("secret"))
        except NotFoundError:
            client = asked.request.client.host if asked.request.client is not None else ""
            if self._guesses.too_many(client):
                return asked.show("trouble.html", 429, words="Too many wrong links.", next_step="Wait a while.")
            raise
        return asked.show("invitation.html", invited=invited, ring=self._ring)

    async def enrol_options(self, asked: Asked) -> Response:
        """What the browser makes the passkey with."""
        return JSONResponse(await self._passkeys.enrolment_options(known_customer(asked), asked.path("secret")))

    async def enrol(self, asked: Asked) -> Response:
        """The new passkey; its fingerprint, to be written down."""
        key = await self._passkeys.enrol(known_customer(asked), asked.path("secret"), asked.sent.get("answer"))
        return JSONResponse({"fingerprint": key.fingerprint})

    async def my_sign_ins(self, asked: Asked) -> Response:
        """Where I am signed in."""
        async with self._store.look(asked.customer_id) as scope:
            zone = await notify.zone_of(scope)
        rows: list[dict[str, Any]] = [
            {
                "began": notify.when(r.began_ms, zone), "device": device_words(r.device), "here": r.id == asked.who.id,
                "how": _HOW.get(r.factor, r.factor),
            }
            for r in await self._sign_ins.of(asked.who)
        ]  # fmt: skip
        return asked.show("sign_ins.html", rows=rows)

    async def sign_out(self, asked: Asked) -> Response:
        """Here, or everywhere."""
        await self._sign_ins.end(asked.who, everywhere=asked.request.url.path.endswith("everywhere"))
        response = asked.go("/sign-in")
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
        return response
