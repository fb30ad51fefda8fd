"""One connection of HTTP/1.1: a request's bytes out, one answer in, handed over as it comes. `web` is what uses it.

The parser is llhttp (httptools) in its strict way; what it lets through and we do not is refused here. What came is
never more than a piece ahead of whoever reads it, and whoever refuses a piece ends the connection. Nothing of an answer
is in what is raised.

Source: RFC 9112, sections 4 (status line), 6 (how long a body is), 7 (chunks), 9 (connections).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

import httptools

from connectors.errors import ProtocolViolation, Unreachable

_HEAD: Final = 64 << 10
"""Bytes of an answer's head, and of what may come before it."""
_FRAMES: Final = 8
"""Bytes around each byte of a body that comes in pieces, at most: pieces of a single one have five."""
_AHEAD: Final = 256 << 10
"""Bytes that wait for whoever reads them, before no more are taken from the phone system."""
_FIRST: Final = 100
_FINAL: Final = 200
_SWITCHING: Final = 101
_VERSIONS: Final = frozenset({"1.1", "1.0"})
LOST: Final = "the connection to the phone system was lost"


def no_sense() -> ProtocolViolation:
    """What is raised of an answer that is none."""
    return ProtocolViolation("the phone system's answer makes no sense")


class Reading(Protocol):
    """Whoever reads an answer. Raises a ConnectorError to have no more of it."""

    def headed(self, status: int, told: Mapping[bytes, bytes]) -> None:
        """Its head: names in small letters."""

    def piece(self, data: bytes) -> None:
        """Some of its body."""


class _Parsed:
    """What llhttp makes of an answer's bytes: it calls the methods that begin with `on_`."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.stray = False
        """Whether something came that nobody asked for."""
        self.begin()

    def begin(self) -> None:
        """Another answer is expected."""
        self.status = 0
        """Of the answer itself: what only announces one has none."""
        self.told: dict[bytes, bytes] = {}
        self.pieces: list[bytes] = []
        self.whole = self.wrong = self.keeps = self._until_end = False

    def feed(self, data: bytes) -> None:
        """Some bytes."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            # After an answer that is whole it was more than was asked for.
            self.stray = self.stray or self.whole
            self.wrong = self.wrong or not self.whole

    def ended(self) -> None:
        """There is no more: that is the end of a body whose length was not told."""
        self.whole = self.whole or self._until_end

    def on_message_begin(self) -> None:
        """An answer, or one too many."""
        self.stray = self.stray or self.whole
        if not self.status:
            self.told = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """One line of the head; those after a body are dropped."""
        if not self.status:
            self.told[name.lower()] = value.strip()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        status = self._parser.get_status_code()
        if self.status or (_FIRST <= status < _FINAL and status != _SWITCHING):
            return
        length, coding = b"content-length" in self.told, self.told.get(b"transfer-encoding")
        good = status >= _FINAL and self._parser.get_http_version() in _VERSIONS
        self.wrong = self.wrong or not good or (coding is not None and coding.lower() != b"chunked")
        self.status = status
        self.keeps = self._parser.should_keep_alive()
        self._until_end = not length and coding is None

    def on_body(self, data: bytes) -> None:
        """Some of its body."""
        if not self.whole:
            self.pieces.append(data)

    def on_message_complete(self) -> None:
        """All of it came, unless it only announced another."""
        self.whole = self.whole or self.status > 0


class Wire(asyncio.Protocol):
    """One connection, proven by whoever made it. One question at a time is the caller's duty."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parsed = _Parsed()
        self._waiter: asyncio.Future[None] | None = None
        self._asking = self._paused = self._late = self._lost = False
        self._came = self._waiting = 0
        self.used = 0.0
        """When it last answered (the loop's clock)."""

    async def ask(self, data: bytes, reading: Reading, within_s: float) -> None:
        """Send a request and have its answer read. Unreachable, ProtocolViolation, and what `reading` raises; whatever
        is raised, and `goes_on` being False, wants `abort`."""
        if self._transport is None or self._lost:
            raise Unreachable(LOST)
        self._parsed.begin()
        self._came = self._waiting = 0
        self._asking, self._late = True, False
        timer = self._loop.call_later(within_s, self._too_late)
        try:
            self._transport.write(data)
            await self._answered(reading)
        finally:
            timer.cancel()
            self._asking = False
            self._resume()

    async def _answered(self, reading: Reading) -> None:
        parsed, headed, body = self._parsed, False, 0
        while True:
            over = parsed.whole or parsed.wrong or self._lost or self._late
            if not headed and parsed.status:
                headed = True
                reading.headed(parsed.status, parsed.told)
            pieces, parsed.pieces, self._waiting = parsed.pieces, [], 0
            for piece in pieces:
                body += len(piece)
                reading.piece(piece)
            if parsed.wrong or self._came - body > _HEAD + _FRAMES * body:
                raise no_sense()
            if over:
                break
            self._waiter = self._loop.create_future()
            self._resume()
            await self._waiter
        if not parsed.whole:
            raise Unreachable("the phone system took too long" if self._late else LOST)

    def goes_on(self) -> bool:
        """Ready for the next request."""
        return self._parsed.whole and self._parsed.keeps and self.is_open()

    def is_open(self) -> bool:
        """Whether the phone system has not ended it, as far as is known, nor said a word unasked."""
        open_ = self._transport is not None and not self._transport.is_closing()
        return open_ and not (self._lost or self._parsed.stray)

    def abort(self) -> None:
        """Hang up at once; nothing that still comes is looked at."""
        self._lost = True
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _too_late(self) -> None:
        self._late = True
        self._wake()

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._lost:
            self._paused = False
            self._transport.resume_reading()

    # --- what the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there; with TLS, once its handshake is over."""
        self._transport = transport  # type: ignore[assignment]  # of a stream, which is what was asked for

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        if not self._asking or self._lost:
            # Nobody asked: whoever sends without end would be listened to until the next question.
            self._parsed.stray = True
            self.abort()
            return
        self._came += len(data)
        self._waiting += len(data)
        self._parsed.feed(data)
        if self._waiting > _AHEAD and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """The phone system has nothing more to say."""
        self._over(None)

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        self._over(error)

    def _over(self, error: Exception | None) -> None:
        if error is None and not self._lost:
            self._parsed.ended()
        self._lost = True
        self._wake()
