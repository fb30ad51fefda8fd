"""HTTPS to a phone system: identity first, nothing but what a guard let through, every answer bounded.

Reading order: `Call` (the bytes of one request, made by a family's `render` out of an `Allowed`), `Answer` (what is
kept of an answer's head), `Web` (one client for one phone system); `identity` says whom a pin trusts.

A family hands over its guard and its `render`; what that guard did not make is not sent, whoever asks. A body goes
piece by piece to whoever the family names for the status that came, or is dropped. Redirects are never followed,
proxies of the environment never used, compression never accepted, nothing is sent twice. No address, header or body is
in an exception or a log: what is raised is made of fixed words, outside the handler, so that the error caught is not
even its context.

Sources: RFC 9110, RFC 9112, of which h11 makes and reads the bytes. A client above it (httpx2) was tried: pooling,
tracing and its own streams took ten times the CPU of the exchange itself, and nothing else of it is wanted here.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, SupportsIndex

import h11

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

MAX_BODY: Final = 16 << 20
"""Bytes of one answer's body, unless the family says less."""
MAX_DROPPED: Final = 32 << 10
"""Bytes of a body that nobody reads; past it the answer is none that makes sense."""
_IDLE_S: Final = 20.0
"""How long a connection is kept: less than phone systems do, so that a write seldom meets one that was just ended."""
_HEAD: Final = 64 << 10
"""Bytes of an answer's head, and of what may come before it."""
_CHUNK: Final = 256 << 10
_REST: Final = 256 << 10
_SWITCHING: Final = 101
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_PATH: Final = re.compile(r"/(?!/)[!$&-;=?-\[\]_a-z~%]*")
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_KEEP: Final = re.compile(r"[!-~]{1,200}")
_LOST: Final = "the connection to the phone system was lost"
_REDIRECTS: Final = range(300, 400)
_ERRORS: Final = 400
"""From here on a status says it all, and a body that nobody reads is often a page of HTML."""

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


class _Reader(asyncio.StreamReader):
    """Knows how much came: what nobody has asked for is seen before the next request goes out."""

    came = 0

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """From the transport."""
        whole = bytes(data)
        self.came += len(whole)
        super().feed_data(whole)


class _Wire:
    """One connection, proven; `used` when it last answered (the loop's clock)."""

    def __init__(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self._read = reader, writer, 0
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        self.used = 0.0
        self.ended = False
        """Whether the phone system ended it: what h11 finds wrong then is that it broke off."""

    def abort(self) -> None:
        self.writer.transport.abort()

    def is_good(self, now: float) -> bool:
        # What came unasked (a second answer, a goodbye before it hangs up) must not be taken for the next one's answer.
        unasked = self.reader.came != self._read or self.reader.at_eof()
        return now - self.used < _IDLE_S and not unasked and not self.writer.transport.is_closing()

    def send(self, call: Call, headers: list[tuple[str, str]]) -> None:
        request = h11.Request(method=call.method, target=call.path, headers=headers)
        parts = [self.http.send(request)]
        if call.body is not None:
            parts.append(self.http.send(h11.Data(data=call.body)))
        parts.append(self.http.send(h11.EndOfMessage()))
        self.writer.write(b"".join(part or b"" for part in parts))

    async def next(self) -> h11.Response | bytes | None:
        """The answer's head, then its body in pieces, then None. h11.RemoteProtocolError, OSError."""
        size = 0
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                data = await self.reader.read(_CHUNK)
                self.ended = not data
                self._read += len(data)
                self.http.receive_data(data)
                size += len(data)
            elif isinstance(event, h11.Response):
                return event
            elif isinstance(event, h11.Data):
                return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return None
            elif not isinstance(event, h11.InformationalResponse) or event.status_code == _SWITCHING or size > _HEAD:
                raise ProtocolViolation("the phone system's answer makes no sense")

    def goes_on(self) -> bool:
        """Ready for the next request; False when it cannot be, or when something came that nobody asked for."""
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE or self.http.trailing_data[0]:
            return False
        self.http.start_next_cycle()
        return True


class Web:
    """One HTTPS client for one phone system, one request at a time. `server_name` is the name in its certificate."""

    def __init__(
        self, target: Target, guard: Guard, render: Render, *, server_name: str | None = None, user_agent: str = ""
    ) -> None:
        """IdentityMismatch for a pin that is none; InvalidValue for one that wants a `server_name`."""
        self._target, self._guard, self._render = target, guard, render
        self._name = server_name
        self._tls = identity(target.pin, server_name)
        self._usual = (("Host", server_name or _authority(target)), ("User-Agent", user_agent or "Frameroom"))
        self._lock = asyncio.Lock()
        self._wire: _Wire | None = None
        self._closed = False

    async def prove(self) -> None:
        """The phone system's identity, and nothing else: not one byte of HTTP is sent. Unreachable, IdentityMismatch.

        To be called before the credential is unsealed. The connection is kept for the first request; every later one is
        proven the same way.
        """
        async with self._lock:
            await self._connected()

    async def _connected(self) -> _Wire:
        if self._closed:
            raise Unreachable(_LOST)
        now = asyncio.get_running_loop().time()
        if self._wire is not None and self._wire.is_good(now):
            return self._wire
        self._hang_up()
        caught: BaseException | None = None
        try:
            async with asyncio.timeout(self._target.connect_timeout_ms / 1000):
                wire = await self._opened()
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            caught = error
        if caught is not None:
            raise _not_connected(caught)
        wire.used = now
        self._wire = wire
        return wire

    async def _opened(self) -> _Wire:
        loop = asyncio.get_running_loop()
        reader = _Reader(limit=_CHUNK, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(
            lambda: protocol, self._target.host, self._target.port, ssl=self._tls,
            server_hostname=self._name or self._target.host,
        )  # fmt: skip
        return _Wire(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    async def ask(self, request: Allowed, token: str = "", *, choose: Choose = nobody) -> Answer:
        """Send what the guard let through, and read the answer within `answer_timeout_ms`.

        Unreachable, IdentityMismatch: nothing was sent, or (Unreachable) the answer to a look was lost.
        ProtocolViolation: an answer to a look that is none. OutcomeUnknown: either of them after a write was sent.
        What a sink raises passes, as OutcomeUnknown after a write. The status is the caller's to judge.
        """
        allowed = self._guard.require(request)
        call = self._render(allowed, token)
        async with self._lock:
            wire = await self._connected()
            done = False
            try:
                answer = await self._asked(wire, call, allowed.writes, choose)
                done = wire.goes_on()
            finally:
                # Also when it was given up: a late answer must not be taken for the next one's.
                if not done:
                    self._hang_up()
            wire.used = asyncio.get_running_loop().time()
            return answer

    async def _asked(self, wire: _Wire, call: Call, writes: bool, choose: Choose) -> Answer:
        answer: Answer | None = None
        failure: ConnectorError | None = None
        try:
            async with asyncio.timeout(self._target.answer_timeout_ms / 1000):
                answer = await self._exchanged(wire, call, choose)
        except TimeoutError:
            failure = Unreachable("the phone system took too long")
        except h11.RemoteProtocolError:
            makes_none = ProtocolViolation("the phone system's answer makes no sense")
            failure = Unreachable(_LOST) if wire.ended else makes_none
        except (OSError, EOFError):
            failure = Unreachable(_LOST)
        except ConnectorError as error:
            failure = error
        if answer is not None:
            return answer
        failure = failure or Unreachable(_LOST)
        if writes and not isinstance(failure, OutcomeUnknown):
            raise OutcomeUnknown(f"{failure.message}, before it was clear whether the change was made")
        raise failure

    async def _exchanged(self, wire: _Wire, call: Call, choose: Choose) -> Answer:
        headers = [*self._usual, ("Accept", ", ".join(call.takes)), ("Accept-Encoding", "identity")]
        headers += call.headers.items()
        if call.body is not None:
            headers.append(("Content-Length", str(len(call.body))))
        wire.send(call, headers)
        await wire.writer.drain()
        head = await wire.next()
        if not isinstance(head, h11.Response):
            raise ProtocolViolation("the phone system's answer makes no sense")
        told = {name: value.decode("latin-1").strip() for name, value in head.headers}
        answer = _judged(head.status_code, told)
        sink, size, rested = choose(answer.status), 0, 0
        while isinstance(piece := await wire.next(), bytes):
            if not size and (sink is not None or answer.status < _ERRORS):
                _is_taken(told.get(b"content-type", ""), call.takes)
            size += len(piece)
            if size > (MAX_DROPPED if sink is None else MAX_BODY):
                raise ProtocolViolation("the phone system's answer is too large")
            if sink is not None:
                sink(piece)
            if size - rested > _REST:
                # A large answer comes faster than it is read: others have their turn in between.
                rested = size
                await asyncio.sleep(0)
        return answer

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    async def close(self) -> None:
        """Let go of the connection; nothing is asked afterwards."""
        self._closed = True
        self._hang_up()


def _judged(status: int, told: Mapping[bytes, str]) -> Answer:
    if status in _REDIRECTS:
        raise ProtocolViolation("the phone system sends us elsewhere, and nobody is followed there")
    if told.get(b"content-encoding", "identity").lower() != "identity":
        # What is squeezed could be a thousand times larger than what was counted.
        raise ProtocolViolation("the phone system's answer is compressed, which was not asked for")
    etag, after = told.get(b"etag", ""), told.get(b"retry-after", "")
    wait = int(after) * 1000 if re.fullmatch(r"[0-9]{1,5}", after, re.ASCII) else None
    return Answer(status, etag if _KEEP.fullmatch(etag) else None, wait)


def _is_taken(kind: str, takes: tuple[str, ...]) -> None:
    if kind.partition(";")[0].strip().lower() not in takes:
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
