"""HTTPS to a phone system: identity first, nothing but what a guard let through, every answer bounded.

Reading order: `Call` (the bytes of one request, made by a family's `render` out of an `Allowed`), `Answer` (what is
kept of an answer's head), `Web` (one client for one phone system), `identity` (whom a pin trusts).

A family hands over its guard and its `render`; what that guard did not make is not sent, whoever asks. A body goes
piece by piece to whoever the family names for the status that came, or is dropped. Redirects are never followed,
proxies of the environment never used, compression never accepted. No address, header or body is in an exception or a
log: what is raised is made of fixed words, outside the handler, so that the error caught is not even its context.

Sources: RFC 9110, RFC 9112; `httpx2`, whose transport is used without its client (no redirects, cookies, logs).
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, cast

import httpx2

from connectors.contract import Target
from connectors.errors import (
    ConnectorError,
    IdentityMismatch,
    OutcomeUnknown,
    ProtocolViolation,
    RequestNotAllowed,
    Unreachable,
)
from connectors.guard import Allowed, Guard
from connectors.transport.identity import identity

# What these write at DEBUG and INFO are the addresses and headers of requests and answers: tokens among them.
for _talkative in ("httpx2", "httpcore2"):
    logging.getLogger(_talkative).setLevel(logging.WARNING)

MAX_BODY: Final = 16 << 20
"""Bytes of one answer's body, unless the family says less."""
MAX_DROPPED: Final = 32 << 10
"""Bytes of a body that nobody reads; past it the answer is none that makes sense."""
_IDLE_S: Final = 20.0
"""How long a connection is kept: less than phone systems do, so that a write seldom meets one that was just ended."""
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_PATH: Final = re.compile(r"/(?!/)[!$&-;=?-\[\]_a-z~%]*")
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_KEEP: Final = re.compile(r"[!-~]{1,200}")
_LOST: Final = "the connection to the phone system was lost"
_REDIRECTS: Final = range(300, 400)

Sink = Callable[[bytes], None]
"""Takes a body, piece by piece; raises a ConnectorError to have no more of it."""
Choose = Callable[[int], Sink | None]
"""Who reads the body of an answer with that status; None: nobody."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it goes out: `path` with its query, quoted already; `takes`: media types of a body."""

    method: str
    path: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    takes: tuple[str, ...] = ("application/json",)

    def __post_init__(self) -> None:
        whole = self.method in _METHODS and _PATH.fullmatch(self.path) is not None
        whole = whole and all(_HEADER.fullmatch(n) and _VALUE.fullmatch(v) for n, v in self.headers.items())
        if not whole:
            raise RequestNotAllowed("a request that cannot be one line of HTTP was made")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is kept of an answer's head. `retry_after_ms` only where it was said in seconds."""

    status: int
    etag: str | None = field(default=None, repr=False)
    retry_after_ms: int | None = None


Render = Callable[[Allowed, str], Call]
"""The bytes of a request that the guard let through; the text is a token or the like, "" before there is one."""


class Whole:
    """A sink that keeps a body of at most `most` bytes, for a parser that wants it in one piece."""

    def __init__(self, most: int = MAX_BODY) -> None:
        self._most = most
        self._data = bytearray()

    def __call__(self, data: bytes) -> None:
        """One piece. ProtocolViolation past the bound."""
        if len(self._data) + len(data) > self._most:
            raise ProtocolViolation("the phone system's answer is too large")
        self._data += data

    def take(self) -> bytes:
        """All that came, once: nothing of it stays here."""
        data, self._data = bytes(self._data), bytearray()
        return data


def nobody(_: int) -> Sink | None:
    """Drops every body, as is due to the answer to a write."""
    return None


class Web:
    """One HTTPS client for one phone system, one request at a time. `server_name` is the name in its certificate."""

    def __init__(
        self, target: Target, guard: Guard, render: Render, *, server_name: str | None = None, user_agent: str = ""
    ) -> None:
        """IdentityMismatch for a pin that is none."""
        self._target, self._guard, self._render = target, guard, render
        self._name = server_name
        self._agent = user_agent or "Frameroom"
        self._tls = identity(target.pin, server_name)
        self._transport = httpx2.AsyncHTTPTransport(
            verify=self._tls,
            trust_env=False,
            retries=0,
            limits=httpx2.Limits(max_connections=2, max_keepalive_connections=1, keepalive_expiry=_IDLE_S),
        )
        self._lock = asyncio.Lock()
        self._closed = False

    async def prove(self) -> None:
        """The phone system's identity, and nothing else: not one byte of HTTP is sent. Unreachable, IdentityMismatch.

        To be called before the credential is unsealed; every later connection is proven the same way.
        """
        caught: BaseException | None = None
        try:
            async with asyncio.timeout(self._target.connect_timeout_ms / 1000):
                _, writer = await asyncio.open_connection(
                    self._target.host, self._target.port, ssl=self._tls, server_hostname=self._name or self._target.host
                )
                writer.transport.abort()
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            caught = error
        if caught is not None:
            raise _not_connected(caught)

    async def ask(self, request: Allowed, token: str = "", *, choose: Choose = nobody) -> Answer:
        """Send what the guard let through, and read the answer within `answer_timeout_ms`.

        Unreachable, IdentityMismatch: nothing was sent, or (Unreachable) the answer to a look was lost.
        ProtocolViolation: an answer to a look that is none. OutcomeUnknown: either of them after a write was sent.
        What a sink raises passes, as OutcomeUnknown after a write. The status is the caller's to judge.
        """
        allowed = self._guard.require(request)
        call = self._render(allowed, token)
        async with self._lock:
            if self._closed:
                raise Unreachable(_LOST)
            return await self._asked(self._made(call), call, allowed.writes, choose)

    def _made(self, call: Call) -> httpx2.Request:
        target = self._target
        url = httpx2.URL(scheme="https", host=target.host, port=target.port, raw_path=call.path.encode("ascii"))
        headers = {
            "Host": self._name or _authority(target), "Accept": ", ".join(call.takes), "Accept-Encoding": "identity",
            "User-Agent": self._agent, **call.headers,
        }  # fmt: skip
        if call.body is not None:
            headers["Content-Length"] = str(len(call.body))
        extensions = {"timeout": {"connect": target.connect_timeout_ms / 1000}}
        if self._name:
            extensions["sni_hostname"] = self._name  # type: ignore[assignment]
        return httpx2.Request(call.method, url, headers=headers, content=call.body, extensions=extensions)

    async def _asked(self, made: httpx2.Request, call: Call, writes: bool, choose: Choose) -> Answer:
        answer: Answer | None = None
        caught: BaseException | None = None
        failure: ConnectorError | None = None
        sent = True
        try:
            async with asyncio.timeout(self._target.answer_timeout_ms / 1000):
                answer = await self._exchanged(made, call, choose)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            caught, sent = error, False
        except TimeoutError:
            failure = Unreachable("the phone system took too long")
        except (httpx2.RemoteProtocolError, httpx2.DecodingError) as error:
            # A connection that ends before an answer began is a lost one, and no nonsense.
            lost = "disconnected" in str(error) or "closed" in str(error)
            failure = Unreachable(_LOST) if lost else ProtocolViolation("the phone system's answer makes no sense")
        except (httpx2.HTTPError, httpx2.StreamError, OSError, EOFError):
            failure = Unreachable(_LOST)
        except ConnectorError as error:
            failure = error
        if caught is not None:
            failure = _not_connected(caught)
        if answer is not None:
            return answer
        assert failure is not None  # noqa: S101  one of them is, by the shape of the above
        if writes and sent and not isinstance(failure, OutcomeUnknown):
            raise OutcomeUnknown(f"{failure.message}, before it was clear whether the change was made")
        raise failure

    async def _exchanged(self, made: httpx2.Request, call: Call, choose: Choose) -> Answer:
        raw = await self._transport.handle_async_request(made)
        try:
            answer = _head(raw)
            sink = choose(answer.status)
            body = cast("AsyncIterator[bytes]", raw.stream.__aiter__())  # type: ignore[union-attr]
            size = 0
            async with aclosing(body) as pieces:  # type: ignore[type-var]
                async for data in pieces:
                    if data and not size:
                        _is_taken(raw, call.takes)
                    size += len(data)
                    if size > (MAX_DROPPED if sink is None else MAX_BODY):
                        raise ProtocolViolation("the phone system's answer is too large")
                    if sink is not None:
                        sink(data)
            return answer
        finally:
            await raw.aclose()

    async def close(self) -> None:
        """Let go of the connection; nothing is asked afterwards."""
        self._closed = True
        await self._transport.aclose()


def _head(raw: httpx2.Response) -> Answer:
    if raw.status_code in _REDIRECTS:
        raise ProtocolViolation("the phone system sends us elsewhere, and nobody is followed there")
    if raw.headers.get("content-encoding", "identity").strip().lower() != "identity":
        # What is squeezed could be a thousand times larger than what was counted.
        raise ProtocolViolation("the phone system's answer is compressed, which was not asked for")
    etag, after = raw.headers.get("etag", ""), raw.headers.get("retry-after", "")
    wait = int(after) * 1000 if re.fullmatch(r"[0-9]{1,5}", after, re.ASCII) else None
    return Answer(raw.status_code, etag if _KEEP.fullmatch(etag) else None, wait)


def _is_taken(raw: httpx2.Response, takes: tuple[str, ...]) -> None:
    kind = raw.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in takes:
        raise ProtocolViolation("the phone system's answer is of another kind than was asked for")


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == 443 else f"{host}:{target.port}"


def _not_connected(error: BaseException) -> ConnectorError:
    """Why there is no connection, in fixed words. Nothing was sent."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, ssl.SSLCertVerificationError):
            expired = " (it has expired)" if getattr(one, "verify_code", 0) == 10 else ""  # X509_V_ERR_CERT_HAS_EXPIRED
            return IdentityMismatch(
                f"the phone system's certificate is not the one that is trusted{expired}; nothing was sent"
            )
        if isinstance(one, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            break  # cut off in the handshake: that says nothing of who is there
        if isinstance(one, ssl.SSLError):
            return IdentityMismatch("the phone system does not speak TLS there, or none that is safe; nothing was sent")
        one = one.__cause__ or one.__context__
    return Unreachable("the phone system cannot be reached")
