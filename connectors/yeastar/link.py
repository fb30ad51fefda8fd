"""The way to one phone system: signed in once, a token that is renewed, outcomes by `errcode`, signed out at the end.

The credential is used for one request. No sign-in is ever repeated by itself: five refusals, and the phone system
blocks our address. A token lives for half an hour and is renewed by the phone system's own renewal; at the end it is
given back, for a phone system gives eight.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from connectors.contract import Credential, Target, Unseal
from connectors.errors import ConnectorError, CredentialRefused, InvalidValue, OutcomeUnknown, ProtocolViolation
from connectors.guard import Allowed
from connectors.transport.web import Sink, Web, Whole
from connectors.yeastar.answers import (
    OUTCOME,
    TOKENS,
    Expired,
    code_of,
    fields_of,
    no_sign_in,
    parsed,
    refusal,
    wrong_status,
)
from connectors.yeastar.requests import GUARD, TOKEN, render
from connectors.yeastar.settings import YeastarSettings

MOST: Final = 8 << 20
"""Bytes of one answer: a thousand people with their telephones are less than one."""
_MOST_OUTCOME: Final = 32 << 10
_AHEAD_S: Final = 90.0
"""How long before a token runs out it is renewed."""
_GOODBYE_S, _GOODBYE_LOST_S = 2.0, 0.5
_AGAIN: Final = "End the visit and begin it again."


class Link:
    """An open way to one phone system. Requests go one after the other."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._token = ""
        self._refresh = ""
        self._until = 0.0
        self._renewing = asyncio.Lock()
        self._closed = False
        self._lost = False

    async def sign_in(self, credential: Credential) -> None:
        """Once. CredentialRefused; NotSupported where there is no P-Series; Unreachable."""
        wrong = False
        request: Allowed | None = None
        try:
            request = GUARD.render("sign-in", client=credential.login, secret=credential.password)
        except InvalidValue:
            wrong = True
        if wrong or request is None:
            raise CredentialRefused("the stored Client ID or Client Secret is none that a phone system gives")
        self._took(await self._tokens(request))

    async def _tokens(self, request: Allowed) -> dict[str, Any]:
        answer = await self._exchange(request, TOKENS)
        code = code_of(answer)
        if code:
            if request.name == "sign-in":
                raise no_sign_in(code)
            raise Expired("the phone system does not renew our token", next_step=_AGAIN)
        return answer

    def _took(self, answer: dict[str, Any]) -> None:
        token, refresh = answer.get("access_token"), answer.get("refresh_token")
        life = answer.get("access_token_expire_time")
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            raise ProtocolViolation("the phone system gave no token that can be used")
        self._token = token
        self._refresh = refresh if isinstance(refresh, str) and TOKEN.fullmatch(refresh) else ""
        seconds = life if type(life) is int and 0 < life <= 86_400 else 1800
        self._until = asyncio.get_running_loop().time() + seconds

    async def ask(self, request: Allowed, kept: frozenset[str]) -> dict[str, Any]:
        """The answer to a look, without what is not `kept`. A token that ran out is renewed, once."""
        used = await self._current()
        answer = await self._exchange(request, kept | OUTCOME, used)
        failure = self._failure(answer, request)
        if isinstance(failure, Expired):
            answer = await self._exchange(request, kept | OUTCOME, await self._renewed(used))
            failure = self._failure(answer, request)
        if failure is not None:
            raise failure
        return answer

    async def write(self, request: Allowed) -> None:
        """Done when it returns. Never sent twice: OutcomeUnknown where it is not clear whether it was done."""
        token = await self._current()
        failure: ConnectorError | None = None
        try:
            failure = self._failure(await self._exchange(request, OUTCOME, token), request)
        except ProtocolViolation:
            failure = OutcomeUnknown("the phone system's answer makes no sense: whether it wrote is not known")
        if failure is not None:
            raise failure

    @staticmethod
    def _failure(answer: dict[str, Any], request: Allowed) -> ConnectorError | None:
        code = code_of(answer)
        return refusal(code, writes=request.writes, fields=fields_of(answer)) if code else None

    async def _exchange(self, request: Allowed, kept: frozenset[str], token: str = "") -> dict[str, Any]:
        whole = Whole(_MOST_OUTCOME if request.writes else MOST)

        def choose(status: int) -> Sink | None:
            return whole if status == 200 else None

        self._lost = True
        head = await self._web.ask(request, token, choose=choose)
        self._lost = False
        if head.status != 200:
            raise wrong_status(head.status, head.retry_after_ms, writes=request.writes)
        return parsed(whole.take(), kept)

    async def _current(self) -> str:
        """The token, renewed where it is about to run out."""
        if self._refresh and asyncio.get_running_loop().time() > self._until - _AHEAD_S:
            return await self._renewed(self._token)
        return self._token

    async def _renewed(self, used: str) -> str:
        """Another token than `used`. Nothing of the credential is needed for it, or used."""
        async with self._renewing:
            if self._token == used:
                refresh, self._refresh = self._refresh, ""
                if not refresh:
                    raise Expired("the phone system takes our token no more", next_step=_AGAIN)
                try:
                    self._took(await self._tokens(GUARD.render("refresh", refresh=refresh)))
                except Expired:
                    raise
                except BaseException:
                    self._refresh = refresh  # it was not refused: whoever asks next may try again
                    raise
        return self._token

    async def close(self) -> None:
        """Give the token back, if that can be done soon, and let go."""
        closed, self._closed = self._closed, True
        try:
            if self._token and not closed:
                with suppress(ConnectorError, TimeoutError):
                    async with asyncio.timeout(_GOODBYE_LOST_S if self._lost else _GOODBYE_S):
                        await self._exchange(GUARD.render("sign-out"), OUTCOME, self._token)
        finally:
            self._token = self._refresh = ""
            await self._web.close()


async def connect(target: Target, settings: YeastarSettings, unseal: Unseal) -> Link:
    """Prove the identity, only then unseal, and sign in."""
    web = Web(target, GUARD, render, server_name=settings.server_name, user_agent="OpenAPI")
    link = Link(web)
    try:
        await web.prove()
        await link.sign_in(await unseal())
    except BaseException:
        await web.close()
        raise
    return link
