"""The one-time page of a reset: shows, after a click, what only the link's own fragment can open. Once."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from audit.events import Event
from audit.log import AuditLog
from gateway.lifecycle import LinkState, advance
from gateway.store.engine import Scope, Store
from gateway.store.tables import links, operations

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000",
}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Your new password</title>
<link rel="stylesheet" href="/static/once.css"><main><h1>{title}</h1>{body}</main>{script}</html>"""
_READY = """<p>A password or PIN of yours was reset. Nobody has seen the new one.
It can be shown once, here, to you.</p>
<p>Have pen and paper, or your telephone, at hand first.</p>
<button id="show" hidden>Show it now</button><output id="secret" hidden></output>
<p id="out" role="status" hidden></p>
<noscript><p>This page needs JavaScript, since only your browser has the key.</p></noscript>"""


def _page(title: str, body: str, status: int, *, script: bool = False) -> Response:
    tag = '<script src="/static/once.js"></script>' if script else ""
    return HTMLResponse(_PAGE.format(title=escape(title), body=body, script=tag), status, headers=_HEADERS)


class OneTimePages:
    """Serves and uses up one-time links. `ring` says whom to ring when something is wrong."""

    def __init__(self, store: Store, audit: AuditLog, ring: str) -> None:
        self._store, self._audit, self._ring = store, audit, ring

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/s/{link}", self.show),
            Route("/s/{link}/open", self.open, methods=["POST"]),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ]
        return Starlette(routes=routes)

    async def _find(self, scope: Scope, link: str) -> Any:
        return (await scope.execute(select(links).where(links.c.id == link).with_for_update())).first()

    def _over(self, row: Any) -> str:
        if row is None or row.state == LinkState.VOID:
            return f"This link is not valid. {self._ring}"
        if row.state == LinkState.OPENED:
            at = datetime.fromtimestamp(row.opened_ms / 1000, UTC).strftime("%d %B %Y at %H:%M UTC")
            return f"It was opened already, on {at}. If that was not you, act now. {self._ring}"
        if row.state == LinkState.EXPIRED or row.until_ms <= self._audit.clock.now():
            return f"This link has run out. {self._ring}"
        return "" if row.state == LinkState.READY else f"This link is not valid. {self._ring}"

    async def show(self, request: Request) -> Response:
        """The page; looking at it uses nothing up, so that mail scanners do no harm."""
        async with self._store.everyone() as scope:
            over = self._over(await self._find(scope, request.path_params["link"]))
        if over:
            return _page("No longer here", f"<p>{escape(over)}</p>", 410)
        return _page("Your new password", _READY, 200, script=True)

    async def open(self, request: Request) -> Response:
        """The ciphertext, once, and gone with it."""
        origin = request.headers.get("origin")
        if origin is not None and origin.split("://")[-1] != request.headers.get("host"):
            return PlainTextResponse("Refused.", 403, headers=_HEADERS)
        async with self._store.everyone() as scope:
            row = await self._find(scope, request.path_params["link"])
            over = self._over(row)
            if over:
                return PlainTextResponse(over, 410, headers=_HEADERS)
            here = (links.c.customer_id == row.customer_id) & (links.c.id == row.id)
            now = self._audit.clock.now()
            state = advance(LinkState(row.state), LinkState.OPENED)
            await scope.execute(update(links).where(here).values(state=state, opened_ms=now, sealed=None))
            done = (operations.c.customer_id == row.customer_id) & (operations.c.id == row.operation_id)
            operation = (await scope.execute(select(operations).where(done))).one()
            event = Event(
                "secret.opened", row.customer_id, "link", system=row.system_id, session=operation.session_id,
                operation=row.operation_id, subject=row.subject, data={"link": row.id},
            )  # fmt: skip
            await self._audit.append(scope.connection, event)
        return Response(row.sealed, media_type="application/octet-stream", headers=_HEADERS)
