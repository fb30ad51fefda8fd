"""The way to a 3CX: its certificate first, then a token for our client, then nothing but allowed requests.

What a status means is decided here, by its number alone: no body of a refusal is read. A request that was refused with
401 was not carried out, and is the only one that is sent again (`tokens`).
"""

from __future__ import annotations

from typing import Final, TypeVar

from connectors.contract import Credential, Target, Unseal
from connectors.errors import (
    Conflict,
    ConnectorError,
    CredentialRefused,
    InvalidValue,
    NotFound,
    OutcomeUnknown,
    ProtocolViolation,
    RateLimited,
    Refused,
    Unreachable,
)
from connectors.guard import Allowed
from connectors.tcx.answers import MAX_ANSWER, Token, _Kept, read
from connectors.tcx.requests import GUARD, render
from connectors.tcx.settings import TcxSettings
from connectors.tcx.tokens import Tokens, of
from connectors.transport.web import Answer, Choose, Sink, Web, Whole, nobody

OK: Final = 200
UNAUTHORIZED: Final = 401
_DONE: Final = frozenset({OK, 201, 204})
_TOKEN_BYTES: Final = 1 << 16
_CLIENT: Final = (
    "The operator looks at Integrations → API of this 3CX (client, key, department and role), and stores the current "
    "key (`frameroom system credential`)."
)
_PAUSE_MS: Final = 5_000

A = TypeVar("A", bound=_Kept)


class NotThere(NotFound):
    """The address itself is not there (404): the person, or on older builds the whole kind of thing."""


class NotTaken(Refused):
    """The phone system does not take the request as it stands (400)."""


def judged(status: int, answer: Answer, *, writes: bool) -> ConnectorError | None:
    """What a status means; None for a request that was carried out. Bodies are no part of it."""
    nothing = "; nothing was written" if writes else ""
    if status in _DONE:
        return None
    match status:
        case 404 | 410:
            return NotThere("there is no such person on the phone system")
        case 401:
            return CredentialRefused(
                "the phone system does not take our token, not even a new one; nothing was done",
                next_step=f"Whoever else signs in with this client ends our token: it has to be ours alone. {_CLIENT}",
            )
        case 403:
            return Refused(f"our client may not do that on the phone system{nothing}", next_step=_CLIENT)
        case 409 | 412:
            return Conflict(f"it changed since it was shown{nothing}")
        case 429:
            wait = _PAUSE_MS if answer.retry_after_ms is None else answer.retry_after_ms
            return RateLimited(f"the phone system asks us to slow down{nothing}", retry_after_ms=wait)
        case _ if 400 <= status < 500:
            return NotTaken(
                f"the phone system refused it (status {status}){nothing}",
                next_step="Compare with the phone system's own web page: the value may be taken, or not permitted.",
            )
        case _ if writes:
            return OutcomeUnknown(f"the phone system failed (status {status}) before it was clear what was done")
        case _:
            return Refused(f"the phone system failed (status {status})", next_step="Try again in a minute.")


class Link:
    """An identified phone system with a client of ours."""

    def __init__(self, web: Web, tokens: Tokens, client: str, secret: str) -> None:
        self._web, self._tokens = web, tokens
        self._client, self._secret = client, secret

    async def look(self, model: type[A], name: str, **values: object) -> A:
        """The answer to a look, as the model keeps it. NotThere, NotTaken, Refused, RateLimited, CredentialRefused."""
        return (await self.look_with_tag(model, name, **values))[0]

    async def look_with_tag(self, model: type[A], name: str, **values: object) -> tuple[A, str | None]:
        """The same, with the ETag, where the phone system gives one."""
        request, sink = GUARD.render(name, **values), Whole(MAX_ANSWER)
        answer = await self._asked(request, _into(sink))
        if (failure := judged(answer.status, answer, writes=False)) is not None:
            raise failure
        return read(model, sink.take()), answer.etag

    async def write(self, request: Allowed) -> None:
        """One change; its answer is dropped but for the status. OutcomeUnknown when that is lost, or 5xx."""
        answer = await self._asked(request, nobody)
        if (failure := judged(answer.status, answer, writes=True)) is not None:
            raise failure

    async def _asked(self, request: Allowed, choose: Choose) -> Answer:
        token = self._tokens.good() or await self.sign_in()
        answer = await self._web.ask(request, token, choose=choose)
        if answer.status == UNAUTHORIZED:
            answer = await self._web.ask(request, await self.sign_in(refused=token), choose=choose)
        return answer

    async def sign_in(self, *, refused: str = "") -> str:
        """The token. CredentialRefused, RateLimited, Refused, ProtocolViolation, Unreachable."""
        if not self._secret:
            raise Unreachable("the connection to the phone system was closed")
        return await self._tokens.get(self._made, refused=refused)

    async def _made(self) -> Token:
        request, sink = GUARD.render("token", client=self._client, secret=self._secret), Whole(_TOKEN_BYTES)
        answer = await self._web.ask(request, choose=_into(sink))
        match answer.status:
            case 200:
                return read(Token, sink.take())
            case 400 | 401 | 403:
                raise CredentialRefused("the phone system refused our client, or its key", next_step=_CLIENT)
            case 404 | 405:
                raise ProtocolViolation(
                    "whatever answers there is no 3CX with a configuration interface (XAPI)",
                    next_step="It needs version 20 and an Enterprise licence; the port is that of its web page.",
                )
            case status:
                raise judged(status, answer, writes=False) or Unreachable("the phone system gave no token")

    async def close(self) -> None:
        """Let go of the connection, and of the token: it runs out by itself, for 3CX has no way to give one back."""
        self._secret, self._tokens = "", Tokens()
        await self._web.close()


def _into(sink: Whole) -> Choose:
    def choose(status: int) -> Sink | None:
        return sink if status == OK else None

    return choose


def _is_sendable(credential: Credential) -> bool:
    try:
        GUARD.render("token", client=credential.login, secret=credential.password or "")
    except InvalidValue:
        return False
    return True


async def connect(target: Target, settings: TcxSettings, unseal: Unseal) -> Link:
    """Identity, then the credential. Unreachable, IdentityMismatch, CredentialRefused, ProtocolViolation."""
    web = Web(target, GUARD, render, server_name=settings.server_name)
    try:
        await web.prove()
        credential = await unseal()
        if not _is_sendable(credential):
            raise CredentialRefused("no key of an API client is stored for this phone system", next_step=_CLIENT)
        secret = credential.password or ""
        link = Link(web, of(target, credential.login, secret), credential.login, secret)
        await link.sign_in()
    except BaseException:
        await web.close()
        raise
    return link
