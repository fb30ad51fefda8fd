"""The customer's pages as one application: every request is checked here, once, before a page sees it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Called

from gateway.errors import (
    ConflictError,
    FrameroomError,
    InvalidError,
    NotFoundError,
    NotPermittedError,
    StateError,
    UnavailableError,
)
from gateway.identity.sign_ins import SignedIn, SignIns
from gateway.portal.page import Asked, Page, Who, sentence

COOKIE: Final = "__Host-frameroom"
_LARGEST: Final = 64 << 10
_USE_PASSKEY: Final = (
    "Sign out under Sign-ins, and use your passkey to sign in. Without one, an approver of yours can invite you."
)
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'",
    "Cache-Control": "no-store",
    # Not "no-referrer": with that, browsers send "Origin: null" with a form, and whose form it was could not be told.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
    "Strict-Transport-Security": "max-age=31536000",
}
_STATUS: Final[Mapping[type[FrameroomError], int]] = {
    NotFoundError: 404, NotPermittedError: 403, InvalidError: 422, StateError: 409, ConflictError: 409,
    UnavailableError: 503,
}  # fmt: skip


class _Guarded:
    """Puts the headers on whatever leaves without headers of its own. Browsers heed HSTS over https alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, called: Called, receive: Receive, send: Send) -> None:
        """One request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "Content-Security-Policy" not in headers:
                    headers.update(HEADERS)
            await send(message)

        await self._app(called, receive, guarded)


class Portal:
    """Routes each page to its function. `once`: the one-time pages, which also serve /static."""

    def __init__(self, pages: list[Page], sign_ins: SignIns, url: Callable[[], str], once: ASGIApp) -> None:
        self.pages, self._sign_ins, self._url, self._once = pages, sign_ins, url, once

    def app(self) -> Starlette:
        """The ASGI application."""
        routes: list[Route | Mount] = [
            Route(page.path, partial(self._answer, page), methods=[page.method]) for page in self.pages
        ]
        return Starlette(
            routes=[*routes, Mount("/", self._once)], middleware=[Middleware(_Guarded)],
            exception_handlers={Exception: _broken},
        )  # fmt: skip

    async def _answer(self, page: Page, request: Request) -> Response:
        wants_json = request.headers.get("content-type", "").startswith("application/json")
        asked = Asked(request, None, {})
        try:
            # Browsers send Origin with every POST; whoever leaves it out is not one of these pages.
            if page.method != "GET" and not self._is_ours(request):
                raise NotPermittedError("That did not come from this site.", next_step="Open the page again.")
            if "\0" in request.url.path:  # no id has one, and PostgreSQL takes no text with one
                raise NotFoundError("There is no such page.")
            me = await self._sign_ins.who(request.cookies.get(COOKIE, ""))
            asked = Asked(request, me, {})
            if page.who is not Who.PUBLIC and me is None and page.method == "GET":
                return asked.go(f"/sign-in?next={quote(request.url.path)}")
            asked = Asked(request, me, await _sent(request, wants_json) if page.method != "GET" else {})
            self._check(page, asked)
            return await page.handle(asked)
        except FrameroomError as error:
            status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
            if wants_json:
                return JSONResponse({"error": sentence(error.message), "next": _for_customers(error.next_step)}, status)
            return asked.show("trouble.html", status, words=error.message, next_step=_for_customers(error.next_step))

    def _check(self, page: Page, asked: Asked) -> None:
        if page.who is Who.PUBLIC:
            return
        me = asked.who
        if page.who is Who.APPROVER and not me.may_approve:
            raise NotPermittedError("You signed in to read. That takes your passkey.", next_step=_USE_PASSKEY)
        if page.method != "GET" and not self._has_token(asked, me):
            raise NotPermittedError("The page was too old.", next_step="Open it again and try once more.")

    @staticmethod
    def _has_token(asked: Asked, me: SignedIn) -> bool:
        given = asked.request.headers.get("x-csrf-token") or asked.sent.get("csrf")
        return given == me.csrf

    def _is_ours(self, request: Request) -> bool:
        origin, ours = urlsplit(request.headers.get("origin", "")), urlsplit(self._url())
        return (origin.scheme, origin.netloc.lower()) == (ours.scheme, ours.netloc.lower())


async def _broken(request: Request, error: Exception) -> Response:
    # Outside of everything else, also of what puts the headers on. What broke is logged, and told to nobody here.
    words, then = "Something broke on our side. Nothing was decided by it.", "Try once more; if it stays, ring us."
    response = Asked(request, None, {}).show("trouble.html", 500, words=words, next_step=then)
    response.headers.update(HEADERS)
    return response


def _for_customers(next_step: str) -> str:
    """What to do next, said to somebody who has no command line: steps that name a command are for staff."""
    return "" if "`" in next_step else sentence(next_step)


async def _sent(request: Request, is_json: bool) -> dict[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST:
            raise InvalidError("that is too long")
    try:
        if is_json:
            found = json.loads(body or b"{}")
        else:
            found = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200))
    except (ValueError, RecursionError) as error:
        raise InvalidError("that could not be read") from error
    if not isinstance(found, dict) or "\\u0000" in json.dumps(found):
        raise InvalidError("that could not be read")
    return found
