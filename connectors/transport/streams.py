"""A protocol over one TLS connection: identity first, nothing but what a guard let through, one question at a time.

For phone systems that speak neither HTTP (`web`) nor SSH (`ssh`, `lines`), and only when they are asked. A family hands
over its guard, how a request is written, and how an answer is read. What is raised from here is made of fixed words,
outside the handler, so that the error caught, which may hold half an answer, is not even its context.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Generic, TypeVar

from connectors.contract import Target
from connectors.errors import ConnectorError, CredentialRefused, InvalidValue, OutcomeUnknown, Unreachable
from connectors.guard import Allowed, Guard
from connectors.transport.identity import identity, not_connected
from connectors.transport.wire import LOST, no_sense

MAX_ANSWER: Final = 1 << 20
"""Bytes of one answer, for a reader that looks for where it ends (`readuntil`)."""

A = TypeVar("A")
Render = Callable[[Allowed], bytes]
"""The bytes of a request that the guard let through."""
Read = Callable[[asyncio.StreamReader], Awaitable[A]]
"""Reads one answer to its end. ValueError for one that makes no sense."""


class _Reader(asyncio.StreamReader):
    """A reader that can be asked whether there is anything to read, without waiting for it."""

    def holds_something(self) -> bool:
        """Whether something came that nobody has read."""
        return bool(self._buffer)  # type: ignore[attr-defined]  # there is no public way


class Stream(Generic[A]):
    """An open connection to whoever holds the pinned certificate."""

    def __init__(self, guard: Guard, render: Render, read: Read[A]) -> None:
        self._guard, self._render, self._read = guard, render, read
        self._reader = _Reader(limit=MAX_ANSWER)
        self._lock = asyncio.Lock()

    async def dial(self, target: Target, server_name: str | None) -> None:
        """Nothing is sent yet. Unreachable, IdentityMismatch; InvalidValue for a pin that wants a `server_name`."""
        loop = asyncio.get_running_loop()
        self._within_s = target.answer_timeout_ms / 1000
        tls, name, caught = identity(target.pin, server_name), server_name or target.host, None
        try:
            async with asyncio.timeout(target.connect_timeout_ms / 1000):
                transport, protocol = await loop.create_connection(
                    lambda: asyncio.StreamReaderProtocol(self._reader), target.host, target.port,
                    ssl=tls, server_hostname=name,
                )  # fmt: skip
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            caught = error
        if caught is not None:
            raise not_connected(caught)
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, loop)

    async def ask(self, request: Allowed) -> A:
        """Send what the guard let through, and read the answer within `answer_timeout_ms`.

        Unreachable, ProtocolViolation: the answer to a look was lost, or was none. OutcomeUnknown: either of them after
        a write was sent. Nothing is sent twice.
        """
        allowed = self._guard.require(request)
        data = self._render(allowed)
        async with self._lock:
            if self._reader.holds_something():
                self.abort()  # said unasked, or too much: it would be taken for the answer
            if self._writer.is_closing():
                raise Unreachable(LOST)
            answer = await self._asked(data)
        if isinstance(answer, ConnectorError):
            if allowed.writes:
                raise OutcomeUnknown(f"{answer.message}, before it was clear whether the change was made")
            raise answer
        return answer

    async def _asked(self, data: bytes) -> A | ConnectorError:
        whole = False
        try:
            async with asyncio.timeout(self._within_s):
                self._writer.write(data)
                await self._writer.drain()
                answer = await self._read(self._reader)
            whole = True
            return answer
        except TimeoutError:
            return Unreachable("the phone system took too long")
        except (OSError, EOFError):
            return Unreachable(LOST)
        except (ValueError, RecursionError, asyncio.LimitOverrunError):
            return no_sense()
        finally:
            # Also when it was given up: a late answer must not be taken for the next one's.
            if not whole:
                self.abort()

    @asynccontextmanager
    async def signing_in(self) -> AsyncGenerator[None]:
        """Around presenting the credential: whatever goes wrong there ends the connection. One that the guard does not
        let through is a CredentialRefused, for the operator to put right."""
        try:
            yield
        except InvalidValue:
            self.abort()
            raise CredentialRefused("the stored credential cannot be sent to this phone system") from None
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Hang up; what was still to come is not looked at."""
        self._writer.transport.abort()


async def connect(
    target: Target, guard: Guard, render: Render, read: Read[A], *, server_name: str | None = None
) -> Stream[A]:
    """Dial and prove the identity, before the credential is unsealed."""
    stream = Stream(guard, render, read)
    await stream.dial(target, server_name)
    return stream
