"""FreePBX's own API as a second witness of names: signed in when it is first needed, two questions, names kept.

Whoever may read extensions there may read their passwords too; what keeps them from us is `requests.call`, which knows
no text that asks for one. Of an answer everything but numbers and names is dropped while it is parsed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from connectors.contract import Target
from connectors.errors import ConnectorError, CredentialRefused, Fault, ProtocolViolation, RateLimited, Refused
from connectors.freepbx.requests import GUARD, SCOPE, TOKEN, call
from connectors.freepbx.settings import Api
from connectors.guard import Allowed
from connectors.transport.web import Answer, Sink, Web, Whole

_MOST: Final = 1 << 20
"""Bytes of one answer; a page of people is a tenth of that."""
_PATIENCE_MS: Final = 3_000
"""How long it is waited for: the helper knows the name, too."""
_KEPT: Final = frozenset({
    "data", "allCoreUsers", "pageInfo", "hasNextPage", "coreUser", "extension", "name", "fetchExtension", "user",
    "access_token", "errors",
})  # fmt: skip
_NONSENSE: Final = "FreePBX's API answered something that makes no sense"
_BAD_REQUEST, _UNAUTHORIZED, _NOT_FOUND, _BUSY, _FAILED = 400, 401, 404, 429, 500


@dataclass(frozen=True, slots=True)
class Names:
    """A part of the list: extension and name of each, in the list's order."""

    rows: tuple[tuple[str, str], ...]
    more: bool


class ApiLink:
    """One client of one FreePBX's API. Requests go one after the other."""

    def __init__(self, target: Target, settings: Api, secret: str) -> None:
        self._settings, self._secret, self._token = settings, secret, ""
        where = replace(
            target, host=settings.host, port=settings.port, pin=settings.pin,
            connect_timeout_ms=min(target.connect_timeout_ms, _PATIENCE_MS),
            answer_timeout_ms=min(target.answer_timeout_ms, _PATIENCE_MS),
        )  # fmt: skip
        self._web = Web(where, GUARD, call, server_name=settings.server_name)

    async def people(self, skip: int, first: int) -> Names:
        """So many after so many. Errors of ours."""
        answer = await self._look(GUARD.render("api-people", skip=skip, first=first))
        found = _inside(answer, "allCoreUsers")
        rows, more = found.get("coreUser"), _mapping(found.get("pageInfo")).get("hasNextPage")
        if not isinstance(rows, list) or len(rows) > first or type(more) is not bool:
            raise ProtocolViolation(_NONSENSE)
        return Names(tuple((_text(_mapping(row).get("extension")), _name(_mapping(row))) for row in rows), more)

    async def name(self, person_id: str) -> str | None:
        """One extension's; None where the API does not tell it: it knows extensions by their telephone."""
        found = _inside(await self._look(GUARD.render("api-person", id=person_id)), "fetchExtension")
        user = found.get("user")
        return None if user is None or _mapping(user).get("name") is None else _name(_mapping(user))

    async def wider(self) -> bool:
        """Whether FreePBX would give this client the right to everything. What it gives is dropped unread."""
        answer = await self._web.ask(GUARD.render("api-wider", client=self._settings.client, secret=self._secret))
        if answer.status in (200, _BAD_REQUEST, _UNAUTHORIZED):
            return answer.status == 200
        raise _refusal(answer)

    async def _look(self, request: Allowed) -> Mapping[str, Any]:
        """The answer. A token that ran out, or was taken away, is replaced once."""
        fresh = not self._token
        if fresh:
            await self._sign_in()
        answer, told = await self._exchange(request)
        # Version 17 does not catch what its library throws about a token that ran out, and says 500.
        if answer.status in (_UNAUTHORIZED, _FAILED) and not fresh:
            await self._sign_in()
            answer, told = await self._exchange(request)
        if answer.status != 200:
            raise _refusal(answer)
        return told

    async def _sign_in(self) -> None:
        self._token = ""
        request = GUARD.render("api-token", client=self._settings.client, secret=self._secret)
        answer, told = await self._exchange(request)
        if answer.status in (_BAD_REQUEST, _UNAUTHORIZED):
            raise CredentialRefused(
                f"FreePBX's API gives our client no token for {SCOPE}",
                next_step="The operator compares client, secret and allowed scopes with docs/connectors/freepbx.md.",
            )
        if answer.status != 200:
            raise _refusal(answer)
        token = told.get("access_token")
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            raise ProtocolViolation(_NONSENSE)
        self._token = token

    async def _exchange(self, request: Allowed) -> tuple[Answer, Mapping[str, Any]]:
        whole = Whole(_MOST)

        def choose(status: int) -> Sink | None:
            return whole if status == 200 else None

        answer = await self._web.ask(request, self._token, choose=choose)
        return answer, _parsed(whole.take()) if answer.status == 200 else {}

    async def close(self) -> None:
        """Let go; the token runs out by itself, for FreePBX has no way to give one back."""
        self._secret = self._token = ""
        await self._web.close()


def _refusal(answer: Answer) -> ConnectorError:
    if answer.status == _BUSY:
        return RateLimited("FreePBX's API asks us to slow down", retry_after_ms=answer.retry_after_ms or 60_000)
    if answer.status == _NOT_FOUND:
        wrong = Refused(
            "FreePBX's API is not at this address",
            next_step="Enable the module `api`, and check `api` in the phone system's settings.",
        )
        wrong.fault = Fault.OPERATOR
        return wrong
    return Refused(f"FreePBX's API said no (HTTP {answer.status})")


def _parsed(data: bytes) -> Mapping[str, Any]:
    found: object = None
    try:
        found = json.loads(data, object_pairs_hook=lambda pairs: {k: v for k, v in pairs if k in _KEPT})
    except (ValueError, RecursionError):
        # Raised below: the parser's own error holds the whole answer.
        found = None
    return _mapping(found)


def _mapping(raw: object) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise ProtocolViolation(_NONSENSE)
    return raw


def _inside(answer: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    if answer.get("errors"):
        raise Refused("FreePBX's API could not answer")
    return _mapping(_mapping(answer.get("data")).get(field))


def _text(raw: object) -> str:
    if not isinstance(raw, str) or len(raw) > 1024:
        raise ProtocolViolation(_NONSENSE)
    # Half a surrogate can be written in JSON, and in nothing that this text goes into later.
    return raw.encode("utf-8", "replace").decode("utf-8")


def _name(row: Mapping[str, Any]) -> str:
    return "" if row.get("name") is None else _text(row["name"])
