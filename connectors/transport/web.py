"""HTTPS to a phone system: identity first, nothing but what a guard let through, every answer bounded.

Reading order: `Call` (the bytes of one request, made by a family's `render` out of an `Allowed`), `Answer` (what is
kept of an answer's head), `Web` (one client for one phone system); `identity` says whom a pin trusts.

A family hands over its guard and its `render`; what that guard did not make is not sent, whoever asks. A body goes
piece by piece to whoever the family names for the status that came, or is dropped. Redirects are never followed,
proxies of the environment never used, compression never accepted, nothing is sent twice. No address, header or body is
in an exception or a log: what is raised is made of fixed words, outside the handler, so that the error caught is not
even its context.

Sources: RFC 9110, RFC 9112. A whole client (httpx2) was tried: pooling, tracing and its own streams took ten times the
CPU of the exchange itself, and nothing else of it is wanted here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from connectors.contract import Target
from connectors.errors import (
    ConnectorError,
    InvalidValue,
    OutcomeUnknown,
    ProtocolViolation,
    RequestNotAllowed,
    Unreachable,
)
from connectors.guard import Allowed, Guard
from connectors.transport.identity import identity, not_connected
from connectors.transport.wire import LOST, Wire

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
_OURS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te", "trailer", "accept",
     "accept-encoding"}
)  # fmt: skip
"""Headers that say where a request ends, to whom it goes and how it is answered: no family's to say."""
_KEEP: Final = re.compile(rb"[!-~]{1,200}")
_SECONDS: Final = re.compile(rb"[0-9]{1,5}")
_REDIRECTS: Final = range(300, 400)
_ERRORS: Final = 400
"""From here on a status says it all, and a body that nobody reads is often a page of HTML."""

# Names and types are few, and the same in every request: looked at once. Values are looked at each time, and not kept.


@lru_cache(maxsize=64)
def _is_a_familys(header: str) -> bool:
    return _HEADER.fullmatch(header) is not None and header.lower() not in _OURS


@lru_cache(maxsize=64)
def _are_types(takes: tuple[str, ...]) -> bool:
    return all(map(_VALUE.fullmatch, takes))


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
        whole = self.method in _METHODS and _PATH.fullmatch(self.path) is not None and _are_types(self.takes)
        for name, value in self.headers.items():
            whole = whole and _is_a_familys(name) and _VALUE.fullmatch(value) is not None
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


class _Read:
    """An answer as it is read: what its head says is judged first, and every piece of its body counted."""

    def __init__(self, takes: tuple[str, ...], choose: Choose) -> None:
        self._takes, self._choose = takes, choose
        self._sink: Sink | None = None
        self._kind, self._size = b"", 0
        self.answer: Answer | None = None

    def headed(self, status: int, told: Mapping[bytes, bytes]) -> None:
        """ProtocolViolation for one that sends us elsewhere, or is compressed."""
        self.answer = _judged(status, told)
        self._kind = told.get(b"content-type", b"")
        self._sink = self._choose(status)

    def piece(self, data: bytes) -> None:
        """ProtocolViolation for a body of another kind, or too large a one."""
        if not self._size and (self._sink is not None or (self.answer is not None and self.answer.status < _ERRORS)):
            _is_taken(self._kind, self._takes)
        self._size += len(data)
        if self._size > (MAX_DROPPED if self._sink is None else MAX_BODY):
            raise ProtocolViolation("the phone system's answer is too large")
        if self._sink is not None:
            self._sink(data)


class Web:
    """One HTTPS client for one phone system, one request at a time. `server_name` is the name in its certificate."""

    def __init__(
        self, target: Target, guard: Guard, render: Render, *, server_name: str | None = None, user_agent: str = ""
    ) -> None:
        """IdentityMismatch for a pin that is none; InvalidValue for one that wants a `server_name`."""
        self._target, self._guard, self._render = target, guard, render
        self._name = server_name
        self._tls = identity(target.pin, server_name)
        host, agent = server_name or _authority(target), user_agent or "Frameroom"
        if not (_VALUE.fullmatch(host) and _VALUE.fullmatch(agent)):
            raise InvalidValue("the name of this phone system is none that a request can hold")
        self._usual = f"Host: {host}\r\nUser-Agent: {agent}\r\nAccept-Encoding: identity"
        self._lock = asyncio.Lock()
        self._wire: Wire | None = None
        self._closed = False

    async def prove(self) -> None:
        """The phone system's identity, and nothing else: not one byte of HTTP is sent. Unreachable, IdentityMismatch.

        To be called before the credential is unsealed. The connection is kept for the first request; every later one is
        proven the same way.
        """
        async with self._lock:
            await self._connected()

    async def _connected(self) -> Wire:
        if self._closed:
            raise Unreachable(LOST)
        loop = asyncio.get_running_loop()
        if self._wire is not None and self._wire.is_open() and loop.time() - self._wire.used < _IDLE_S:
            return self._wire
        self._hang_up()
        caught: BaseException | None = None
        try:
            async with asyncio.timeout(self._target.connect_timeout_ms / 1000):
                _, wire = await loop.create_connection(
                    Wire, self._target.host, self._target.port, ssl=self._tls,
                    server_hostname=self._name or self._target.host,
                )  # fmt: skip
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            caught = error
        if caught is not None:
            raise not_connected(caught)
        wire.used = loop.time()
        self._wire = wire
        return wire

    async def ask(self, request: Allowed, token: str = "", *, choose: Choose = nobody) -> Answer:
        """Send what the guard let through, and read the answer within `answer_timeout_ms`.

        Unreachable, IdentityMismatch: nothing was sent, or (Unreachable) the answer to a look was lost.
        ProtocolViolation: an answer to a look that is none. OutcomeUnknown: either of them after a write was sent.
        What a sink raises passes, as OutcomeUnknown after a write. The status is the caller's to judge.
        """
        allowed = self._guard.require(request)
        call = self._render(allowed, token)
        data, read = self._bytes(call), _Read(call.takes, choose)
        async with self._lock:
            wire = await self._connected()
            failure: ConnectorError | None = None
            done = False
            try:
                await wire.ask(data, read, self._target.answer_timeout_ms / 1000)
                done = wire.goes_on()
                wire.used = asyncio.get_running_loop().time()
            except ConnectorError as error:
                failure = error
            finally:
                # Also when it was given up: a late answer must not be taken for the next one's.
                if not done:
                    self._hang_up()
        if failure is None and read.answer is not None:
            return read.answer
        failure = failure or Unreachable(LOST)
        if allowed.writes and not isinstance(failure, OutcomeUnknown):
            raise OutcomeUnknown(f"{failure.message}, before it was clear whether the change was made")
        raise failure

    def _bytes(self, call: Call) -> bytes:
        """RFC 9112 section 3; `Call` takes nothing that could end a line."""
        lines = [f"{call.method} {call.path} HTTP/1.1", self._usual, f"Accept: {', '.join(call.takes)}"]
        lines += [f"{name}: {value}" for name, value in call.headers.items()]
        if call.body is None:
            return "\r\n".join((*lines, "", "")).encode("ascii")
        return "\r\n".join((*lines, f"Content-Length: {len(call.body)}", "", "")).encode("ascii") + call.body

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    async def close(self) -> None:
        """Let go of the connection; nothing is asked afterwards."""
        self._closed = True
        self._hang_up()


def _judged(status: int, told: Mapping[bytes, bytes]) -> Answer:
    if status in _REDIRECTS:
        raise ProtocolViolation("the phone system sends us elsewhere, and nobody is followed there")
    if told.get(b"content-encoding", b"identity").lower() != b"identity":
        # What is squeezed could be a thousand times larger than what was counted.
        raise ProtocolViolation("the phone system's answer is compressed, which was not asked for")
    etag, after = told.get(b"etag"), told.get(b"retry-after")
    if etag is None and after is None:
        return Answer(status)
    tag = etag.decode("latin-1") if etag is not None and _KEEP.fullmatch(etag) else None
    return Answer(status, tag, int(after) * 1000 if after is not None and _SECONDS.fullmatch(after) else None)


def _is_taken(kind: bytes, takes: tuple[str, ...]) -> None:
    if kind.decode("latin-1").partition(";")[0].strip().lower() not in takes:
        raise ProtocolViolation("the phone system's answer is of another kind than was asked for")


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == 443 else f"{host}:{target.port}"
