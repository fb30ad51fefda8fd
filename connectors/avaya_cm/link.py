"""The programs' terminal of one Communication Manager: one request at a time, each answer read to its end.

What was typed at the prompt and nobody waits for any more is read to its end too, and dropped: the terminal has no way
to take a command back that is known.

After a question that was given up, or an answer that makes no sense, the connection ends: a late answer must not be
taken for the next one's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Final

import asyncssh

from connectors.avaya_cm.answers import MAX_LINE, Answer
from connectors.avaya_cm.messages import GUARD, render
from connectors.avaya_cm.settings import AvayaCmSettings
from connectors.avaya_cm.shown import Shown
from connectors.contract import Credential, Target, Unseal
from connectors.errors import CredentialRefused, OutcomeUnknown, ProtocolViolation, Refused, Unreachable
from connectors.guard import Allowed
from connectors.transport import ssh

MAX_ANSWER: Final = 4 << 20
"""Bytes of one answer: a thousand stations are a twentieth of it."""
_MAX_GREETING: Final = 64 << 10
_PIECE: Final = 32 << 10
"""Bytes of an answer that are shown at once."""
_LOGOFF: Final = b"clogoff\nt\ny\n"
_LOST: Final = "the connection to the phone system was lost"


class Link:
    """An open terminal."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        process: asyncssh.SSHClientProcess[bytes],
        timeout_ms: int,
    ) -> None:
        self._connection = connection
        self._process = process
        self._timeout_s = timeout_ms / 1000
        self._lock = asyncio.Lock()
        self._gone = False
        self._rest = b""
        self._dropping: asyncio.Task[None] | None = None

    async def ready(self, terminal: str) -> None:
        """Say which terminal this is, and wait until it takes commands. ProtocolViolation, Unreachable."""
        await self._until(lambda: self._asked(terminal))

    async def _asked(self, terminal: str) -> None:
        seen = 0
        while b"Terminal Type" not in self._rest or b"]" not in self._rest.partition(b"Terminal Type")[2]:
            seen += await self._more()
            if seen > _MAX_GREETING:
                raise ProtocolViolation("the phone system does not ask which terminal this is")
        self._rest = b""
        self._process.stdin.write(f"{terminal}\n".encode())
        while await self._line() != b"t":
            seen += 1
            if seen > _MAX_GREETING:
                raise ProtocolViolation("the phone system does not become ready")

    async def _more(self) -> int:
        data = await self._process.stdout.read(65_536)
        if not data:
            raise EOFError
        self._rest += data
        return len(data)

    async def _line(self) -> bytes:
        """The next line; ends of lines are the terminal's, `\\r\\n` or `\\n`."""
        while b"\n" not in self._rest:
            if len(self._rest) > MAX_LINE:
                raise ProtocolViolation("the phone system's answer has a line without an end")
            await self._more()
        line, _, self._rest = self._rest.partition(b"\n")
        return line.rstrip(b"\r")

    async def ask(self, request: Allowed, most: int = 0) -> Answer:
        """Send what the guard let through, and read the answer to its end; at most so many stations.

        Unreachable, ProtocolViolation; OutcomeUnknown in their place after a write was sent.
        """
        request, answer = GUARD.require(request), Answer(most)
        lines = render(request)
        async with self._lock:
            if self._gone:
                raise Unreachable(_LOST)
            failure: Unreachable | ProtocolViolation | None = None
            try:
                await self._until(lambda: self._exchange(lines, answer))
            except (Unreachable, ProtocolViolation) as error:
                failure = error
        if failure is None:
            return answer
        if request.writes:
            raise OutcomeUnknown(f"{failure.message}, before it was clear whether the change was made")
        raise failure

    async def _exchange(self, lines: bytes, answer: Answer) -> None:
        if self._rest:
            raise ProtocolViolation("the phone system said something that it was not asked")
        self._process.stdin.write(lines)
        size = 0
        while not answer.ended:
            line = await self._line()
            size += len(line) + 1
            if size > MAX_ANSWER:
                raise ProtocolViolation("the phone system's answer is too large")
            answer.line(line)

    async def typed(self, request: Allowed) -> AsyncGenerator[bytes]:
        """What is shown of the answer to a line of the prompt, as it comes. Unreachable, ProtocolViolation, Refused."""
        lines, shown = render(request), Shown()
        await self._lock.acquire()
        try:
            if self._gone:
                raise Unreachable(_LOST)
            if self._rest:
                self._abort()
                raise ProtocolViolation("the phone system said something that it was not asked")
            self._process.stdin.write(lines)
            size, loop = 0, asyncio.get_running_loop()
            end = loop.time() + ssh.MAX_SECONDS
            while not shown.ended:
                size += await self._some(shown)
                if size > ssh.MAX_OUTPUT or loop.time() > end:
                    self._abort()
                    raise ProtocolViolation("the phone system's answer was too long; the rest was left out")
                if told := shown.take():
                    held = loop.time()
                    yield told
                    end += loop.time() - held  # whoever reads it page by page is not the phone system's delay
        finally:
            if shown.ended or self._gone:
                self._lock.release()
            else:
                self._dropping = asyncio.ensure_future(self._drop(shown))
        if shown.refused is not None:
            raise Refused(
                f"the phone system refused it (code {shown.refused})",
                next_step="Its own terminal says what the code means; the login may also lack the right.",
            )

    async def _some(self, shown: Shown) -> int:
        """At least one line, and all that are here; how many bytes. The connection ends where there is none in time."""
        failure: Unreachable | ProtocolViolation | None = None
        try:
            size = 0
            async with asyncio.timeout(self._timeout_s):
                while not shown.ended and (not size or (b"\n" in self._rest and size < _PIECE)):
                    line = await self._line()
                    size += len(line) + 1
                    shown.line(line)
            return size
        except ProtocolViolation as error:
            failure = error
        except TimeoutError:
            failure = Unreachable("the phone system took too long")
        except (OSError, EOFError, asyncssh.Error):
            failure = Unreachable(_LOST)
        self._abort()
        raise failure

    async def _drop(self, shown: Shown) -> None:
        """The rest of an answer that nobody waits for; the terminal is free again, or the connection ends."""

        async def rest() -> None:
            size = 0
            while not shown.ended:
                size += await self._some(shown)
                shown.take()
                if size > ssh.MAX_OUTPUT:
                    raise ProtocolViolation("the phone system's answer is too large")

        try:
            with suppress(Unreachable, ProtocolViolation):
                await self._until(rest)
        finally:
            self._lock.release()

    async def _until(self, doing: Callable[[], Awaitable[None]]) -> None:
        """Within the deadline, and to its end: otherwise the connection ends, also when it was given up."""
        whole = False
        failure: Unreachable | ProtocolViolation | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                await doing()
            whole = True
        except ProtocolViolation as error:
            failure = error
        except TimeoutError:
            failure = Unreachable("the phone system took too long")
        except (OSError, EOFError, asyncssh.Error):
            failure = Unreachable(_LOST)
        finally:
            if not whole:
                self._abort()
        if failure is not None:
            raise failure

    def _abort(self) -> None:
        self._gone = True
        self._process.channel.abort()
        self._connection.abort()

    async def close(self) -> None:
        """Log off, if anybody still listens, and let go."""
        if self._gone:
            return
        self._gone = True
        if self._dropping is not None and not self._dropping.done():
            self._dropping.cancel()
            await asyncio.gather(self._dropping, return_exceptions=True)
        with suppress(OSError, TimeoutError, asyncssh.Error):
            async with asyncio.timeout(0.5):
                self._process.stdin.write(_LOGOFF)
                await self._process.stdin.drain()
        self._process.close()
        self._connection.close()


async def connect(target: Target, settings: AvayaCmSettings, unseal: Unseal) -> Link:
    """Pinned host key first, the password after, and then the programs' terminal."""

    async def opened() -> Credential:
        credential = await unseal()
        if credential.login != settings.login:
            raise CredentialRefused(f"the stored credential is not for the login {settings.login} of the settings")
        return credential

    connection = await ssh.connect(target, opened, settings.login, interactive=True, profile=settings.ssh)
    failure: str | None = None
    try:
        async with asyncio.timeout(target.connect_timeout_ms / 1000):
            process: asyncssh.SSHClientProcess[bytes] = await connection.create_process(
                term_type="vt100", term_size=(81, 25), term_modes={asyncssh.PTY_ECHO: 0}, encoding=None,
                stderr=asyncssh.STDOUT,
            )  # fmt: skip
    except (OSError, TimeoutError, asyncssh.Error) as error:
        failure = type(error).__name__
    except BaseException:
        connection.abort()
        raise
    if failure is not None:
        connection.abort()
        raise Unreachable(f"the phone system gives no terminal ({failure})")
    link = Link(connection, process, target.connect_timeout_ms)
    await link.ready(settings.terminal)
    link._timeout_s = target.answer_timeout_ms / 1000
    return link
