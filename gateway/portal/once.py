"""The one-time page of a reset: shows, after a click, what only the link's own fragment can open. Once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import select, update
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Asked

from audit.events import Event
from audit.log import AuditLog
from gateway import notify
from gateway.lifecycle import LinkState, advance
from gateway.portal.guesses import Guesses
from gateway.store.engine import Scope, Store
from gateway.store.tables import links, operations

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}
_HSTS: Final = "max-age=31536000"
_LINK: Final = re.compile(r"lnk_[0-9a-f]{24}")
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="/static/once.css"></head>
<body><main><h1>{title}</h1>{body}</main>{script}</body></html>
"""
_READY: Final = """
<p>A password or PIN of a telephone user was reset. Nobody has seen the new one.
It can be shown once, here, to you.</p>
<p>Have pen and paper, or the telephone itself, at hand first.</p>
<button id="show" type="button" hidden>Show it now</button>
<output id="secret" hidden></output>
<p id="out" role="status" hidden></p>
<p class="ring">Something wrong? <span id="ring">{ring}</span></p>
<noscript><p>This page needs JavaScript, since only your browser has the key.</p></noscript>"""


class _Guarded:
    """Puts the headers on everything that leaves, also on what the framework answers by itself."""

    def __init__(self, app: ASGIApp, is_https: Callable[[], bool]) -> None:
        self._app, self._is_https = app, is_https

    async def __call__(self, asked: Asked, receive: Receive, send: Send) -> None:
        """One request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
                if self._is_https():
                    MutableHeaders(scope=message)["Strict-Transport-Security"] = _HSTS
            await send(message)

        await self._app(asked, receive, guarded)


def _page(title: str, body: str, status: int, *, script: bool = False) -> Response:
    tag = '<script src="/static/once.js"></script>' if script else ""
    return HTMLResponse(_PAGE.format(title=escape(title), body=body, script=tag), status)


async def _nowhere(request: Request, error: Exception) -> Response:
    words = "Nothing is at this address. It may have been cut short: open the link from the mail itself, whole."
    return _page("That page is not here", f'<p>{words}</p><p><a href="/">To the first page</a></p>', 404)


async def _no_such_way(request: Request, error: Exception) -> Response:
    response = _page("That cannot be done here", '<p><a href="/">To the first page</a></p>', 405)
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)  # which ways there are: RFC 9110 section 15.5.6
    return response


class OneTimePages:
    """Serves and uses up one-time links. `ring` says whom to ring; `url` is the address that links begin with."""

    def __init__(self, store: Store, audit: AuditLog, ring: str, url: Callable[[], str]) -> None:
        self._store, self._audit, self._ring, self._url = store, audit, ring, url
        self._guesses = Guesses(audit.clock.now)

    def app(self, more: Sequence[BaseRoute] = ()) -> Starlette:
        """The ASGI application, with `more` under the same headers."""
        routes: list[BaseRoute] = [
            Route("/s/{link}", self.show, methods=["GET"]),
            Route("/s/{link}/open", self.open, methods=["POST"]),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
            *more,
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(_Guarded, is_https=self._is_https)],
            exception_handlers={404: _nowhere, 405: _no_such_way},
        )

    def _is_https(self) -> bool:
        return urlsplit(self._url()).scheme == "https"

    async def _find(self, scope: Scope, link: str, *, lock: bool = False) -> Any:
        if not _LINK.fullmatch(link):
            return None
        # What is addressed to an approver opens with their passkey alone (handing.py), and is not there for a link.
        query = select(links).where(links.c.id == link, links.c.approver_id.is_(None))
        return (await scope.execute(query.with_for_update() if lock else query)).first()

    async def _over(self, scope: Scope, row: Any) -> str:
        """Why a link opens no more, in words; empty when it does."""
        if row is None:
            return f"This link is not valid. {self._ring}"
        state = LinkState(row.state)
        if state is LinkState.READY and row.until_ms > self._audit.clock.now():
            return ""
        if state is LinkState.OPENED:
            at = notify.when(row.opened_ms, await notify.zone_of(Scope(scope.connection, row.customer_id)))
            return f"It was opened already, on {at}. If that was not you, act now. {self._ring}"
        if state in {LinkState.READY, LinkState.EXPIRED}:
            return f"This link has run out: it held for 24 hours. {self._ring}"
        return f"This link is not valid any more: the password was reset again, or its mail was lost. {self._ring}"

    def _caller(self, request: Request) -> str:
        return request.client.host if request.client is not None else ""

    async def show(self, request: Request) -> Response:
        """The page; looking at it uses nothing up, so that mail scanners do no harm."""
        async with self._store.look_at_everyone() as scope:
            row = await self._find(scope, request.path_params["link"])
            over = await self._over(scope, row)
        if row is None and self._guesses.too_many(self._caller(request)):
            return _page("Too many wrong links", f"<p>Wait a while. {escape(self._ring)}</p>", 429)
        if over:
            return _page("No longer here", f"<p>{escape(over)}</p>", 410)
        return _page("Your new password", _READY.format(ring=escape(self._ring)), 200, script=True)

    async def open(self, request: Request) -> Response:
        """The ciphertext, once, and gone with it. Only to the page itself: another site's click opens nothing."""
        if not self._from_the_page(request):
            return PlainTextResponse("Refused.", 403)
        async with self._store.everyone() as scope:
            row = await self._find(scope, request.path_params["link"], lock=True)
            over = await self._over(scope, row)
            if not over:
                await self._mark_opened(scope, row)
        if row is None and self._guesses.too_many(self._caller(request)):
            return PlainTextResponse(f"Too many wrong links. Wait a while. {self._ring}", 429)
        if over:
            return PlainTextResponse(over, 410)
        return Response(row.sealed, media_type="application/octet-stream")

    def _from_the_page(self, request: Request) -> bool:
        # Browsers send Origin with every POST; whoever leaves it out is not this page.
        origin, ours = urlsplit(request.headers.get("origin", "")), urlsplit(self._url())
        return (origin.scheme, origin.netloc.lower()) == (ours.scheme, ours.netloc.lower())

    async def _mark_opened(self, scope: Scope, row: Any) -> None:
        here = (links.c.customer_id == row.customer_id) & (links.c.id == row.id)
        state = advance(LinkState(row.state), LinkState.OPENED)
        await scope.execute(
            update(links).where(here).values(state=state, opened_ms=self._audit.clock.now(), sealed=None)
        )
        done = (operations.c.customer_id == row.customer_id) & (operations.c.id == row.operation_id)
        operation = (await scope.execute(select(operations).where(done))).one()
        event = Event(
            "secret.opened", row.customer_id, "link", system=row.system_id, session=operation.session_id,
            operation=row.operation_id, subject=row.subject, data={"link": row.id},
        )  # fmt: skip
        await self._audit.append(scope.connection, event)
