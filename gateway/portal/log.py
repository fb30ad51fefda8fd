"""A customer's log, read-only, for a plain HTTP client with a token: C2SP tlog-tiles below `/log/<customer>/`.

    curl -H "Authorization: Bearer frl_…" https://frameroom.example/log/cus_…/checkpoint

`checkpoint`, `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`, `handovers`. A token opens one customer's log; of
everything else it is told that it is not there.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from audit.publisher import object_name, tile_of
from audit.storage import Objects, StorageError
from audit.tiles import TileError, parse_name
from gateway.access.readers import Readers
from gateway.portal.guesses import Guesses

_SCHEME: Final = "bearer "
_LONGEST: Final = 200


class LogPages:
    """Serves logs. `handovers` are the notes of changes of the signing key."""

    def __init__(self, readers: Readers, objects: Objects, guesses: Guesses, handovers: tuple[str, ...]) -> None:
        self._readers, self._objects, self._guesses, self._handovers = readers, objects, guesses, handovers

    def routes(self) -> list[BaseRoute]:
        """What the portal's application mounts."""
        return [Route("/log/{customer}/{name:path}", self.read, methods=["GET"])]

    async def read(self, request: Request) -> Response:
        """One object: 401 without a token, 404 for whatever the token does not open, 503 while the store is away."""
        given = request.headers.get("authorization", "")
        token = given[len(_SCHEME) :].strip() if given.lower().startswith(_SCHEME) else ""
        owner = await self._readers.customer_of(token) if 0 < len(token) <= _LONGEST else None
        if owner is None:
            address = request.client.host if request.client is not None else ""
            if self._guesses.too_many(address):
                return PlainTextResponse("Too many wrong tokens. Wait a while.\n", 429)
            return PlainTextResponse("A token is needed.\n", 401, {"WWW-Authenticate": 'Bearer realm="log"'})
        if request.path_params["customer"] != owner:
            return PlainTextResponse("It is not here.\n", 404)
        name = request.path_params["name"]
        if name == "handovers":
            return PlainTextResponse("\n".join(self._handovers))
        try:
            data = await asyncio.to_thread(self._find, owner, name)
        except StorageError:
            return PlainTextResponse("The log cannot be read just now.\n", 503, {"Retry-After": "5"})
        if data is None:
            return PlainTextResponse("It is not here.\n", 404)
        kind = "text/plain; charset=utf-8" if name == "checkpoint" else "application/octet-stream"
        return Response(data, media_type=kind)

    def _find(self, log: str, name: str) -> bytes | None:
        if name == "checkpoint":
            return self._objects.get(object_name(log))
        try:
            return tile_of(self._objects, log, *parse_name(name))
        except TileError:
            return None
