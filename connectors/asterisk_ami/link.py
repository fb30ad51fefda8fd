"""The way to Asterisk's manager interface: identity first, then the credential, then nothing but allowed actions.

No answer leaves this module as it came, in an error least of all: what is raised from here is made of fixed words,
outside the handler, so that the error caught is not even its context.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from connectors.asterisk_ami.actions import GUARD, render
from connectors.asterisk_ami.actions import MAX_LINE as MAX_SENT
from connectors.asterisk_ami.answers import MAX_LINE, Answer
from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.contract import Target, Unseal
from connectors.errors import (
    ConnectorError,
    CredentialRefused,
    IdentityMismatch,
    OutcomeUnknown,
    PinUnusable,
    ProtocolViolation,
    Unreachable,
)
from connectors.guard import Allowed
from connectors.transport.identity import not_connected

_OLDEST: Final = 5
"""First number of the interface's version from which a filter is known to be kept (Asterisk 16)."""
_GREETING: Final = re.compile(rb"Asterisk Call Manager/(\d{1,3})\.\d{1,3}\.\d{1,3}")
_CHUNK: Final = 256 << 10
_MOST: Final = 256 << 20
"""Bytes of one answer: 50,000 people are about 25 MiB of sections, or 35 of mailboxes."""
_AT_ONCE: Final = MAX_SENT + 2
"""Bytes that Asterisk takes at once. Then it waits for its socket again, without a look at what TLS still holds for it:
of a larger record the rest would lie there, and nothing be answered (main/manager.c, `get_input`; seen live)."""
_WINDOW: Final = 32
"""Questions that are on their way at once."""
_LOST: Final = "the connection to the phone system was lost"

A = TypeVar("A", bound=Answer)


class Link:
    """An authenticated connection that sends allowed actions and nothing else, one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_ms: int) -> None:
        self._reader, self._writer = reader, writer
        self._timeout = timeout_ms / 1000
        self._lock = asyncio.Lock()
        self._count = 0
        self._half = b""
        self._lines: list[bytes] = []
        self._at = 0
        self._owed: list[Answer] = []
        self.broken = self._late = False

    async def ask(self, request: Allowed, made: Callable[[str], A]) -> A:
        """The answer to one request; `made` makes it for an id. OutcomeUnknown when a write's answer is lost."""
        return (await self.ask_all([(request, made)]))[0]

    async def ask_all(self, questions: Sequence[tuple[Allowed, Callable[[str], A]]]) -> list[A]:
        """The same of several reads, a window of them on their way at once; all within one deadline."""
        async with self._lock:
            return await self._asked(questions)

    async def _asked(self, questions: Sequence[tuple[Allowed, Callable[[str], A]]]) -> list[A]:
        if self.broken:
            raise Unreachable(_LOST)
        written, failure, answers = False, None, list[A]()
        timer = asyncio.get_running_loop().call_later(self._timeout, self._too_late)
        try:
            await self._collect()  # what an operation that was broken off left on the way
            for at in range(0, len(questions), _WINDOW):
                data = []
                for request, made in questions[at : at + _WINDOW]:
                    self._count += 1
                    data.append(render(request, f"f{self._count}"))
                    answers.append(made(f"f{self._count}"))
                    written = written or request.writes
                self._owed += answers[at:]
                for piece in _pieces(b"".join(data)):
                    self._writer.write(piece)
                await self._writer.drain()
                await self._collect()
        except (OSError, EOFError):
            failure = _broken(written, "the phone system took too long" if self._late else _LOST)
        except ConnectorError as error:
            # A request that could not be rendered leaves the connection as good as it was.
            failure = _unknown(error) if written and not isinstance(error, OutcomeUnknown) else error
            if not self._owed:
                raise failure from None
        finally:
            timer.cancel()
            self.broken = self.broken or self._late
        if failure is not None:
            self.abort()
            raise failure
        return answers

    def _too_late(self) -> None:
        """Hanging up is what ends whatever is waited for."""
        self._late = True
        self._writer.transport.abort()

    async def _collect(self) -> None:
        size = 0
        while self._owed:
            answer = self._owed[0]
            if self._at >= len(self._lines):
                data = await self._reader.read(_CHUNK)
                if not data:
                    raise EOFError
                size += len(data)
                if size > _MOST:
                    raise ProtocolViolation("the phone system's answer is too large")
                self._take(answer, self._half + data if self._half else data)
                # A large answer comes faster than it is read: others have their turn in between.
                if size > _CHUNK:
                    await asyncio.sleep(0)
            if not answer.done:
                self._at = answer.feed(self._lines, self._at)
                if answer.whole and self._at < len(self._lines):
                    rest = b"\r\n".join([*self._lines[self._at :], self._half])
                    self._lines, self._half, self._at = [], b"", 0
                    self._take(answer, rest)
            if answer.done:
                del self._owed[0]

    def _take(self, answer: Answer, data: bytes) -> None:
        """Bytes that came: for an answer that keeps the rest of it as it is, or in lines."""
        self._lines, self._at, self._half = [], 0, b""
        rest: bytes | None = data
        if answer.whole:
            rest = answer.take(data)
        if rest:
            self._lines = rest.split(b"\r\n")
            self._half = self._lines.pop()
            if len(self._half) > MAX_LINE:
                raise ProtocolViolation("the phone system's answer is too large")

    async def close(self) -> None:
        """Sign off, as far as that goes at once, and hang up."""
        if not self.broken and not self._owed:
            with contextlib.suppress(OSError):
                self._writer.write(render(GUARD.render("logoff"), "bye"))
                async with asyncio.timeout(1):
                    await self._writer.drain()
        self.abort()

    def abort(self) -> None:
        """Hang up; what was still to come is not looked at."""
        self.broken = True
        self._lines, self._half, self._owed = [], b"", []
        self._writer.transport.abort()


def _pieces(data: bytes) -> Iterator[bytes]:
    """Whole lines, as many at a time as Asterisk takes at once; each of them a TLS record of its own."""
    at = 0
    while len(data) - at > _AT_ONCE:
        end = data.rindex(b"\r\n", at, at + _AT_ONCE) + 2
        yield data[at:end]
        at = end
    yield data[at:]


def _broken(written: bool, words: str) -> ConnectorError:
    return OutcomeUnknown(f"{words} before it answered a change") if written else Unreachable(words)


def _unknown(error: ConnectorError) -> ConnectorError:
    return OutcomeUnknown(f"{error.message}, in the answer to a change")


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _context(pin: str, name: str | None) -> ssl.SSLContext:
    """What trusts the pin alone: a server's own certificate, whoever signed it, or an authority's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = name is not None
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    bad = False
    try:
        context.load_verify_locations(cadata=pin)
    except (ssl.SSLError, ValueError):
        bad = True
    if bad or not context.cert_store_stats()["x509"]:
        raise PinUnusable("the pin of this phone system is not a PEM certificate; nothing was sent")
    return context


async def _dial(target: Target, settings: AsteriskAmiSettings) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """TLS to whoever holds the pinned certificate, or a socket of this machine. Nothing was sent yet."""
    tls: dict[str, Any] = {}
    if settings.tls == "pinned":
        tls = {"ssl": _context(target.pin, settings.server_name), "server_hostname": settings.server_name or ""}
    elif not _is_here(target.host):
        raise PinUnusable("without TLS only a phone system on this machine is spoken to; nothing was sent")
    failure: ConnectorError
    try:
        reader, writer = await asyncio.open_connection(target.host, target.port, limit=_CHUNK, **tls)
    except (OSError, EOFError) as error:
        failure = not_connected(error)
    else:
        if tls and settings.server_name is None and not _is_pin(writer, target.pin):
            writer.transport.abort()
            raise IdentityMismatch(
                "the pin is an authority's certificate, and any that it signed would pass; nothing was sent",
                next_step="Pin the server's own certificate, or say `server_name` in the settings.",
            )
        return reader, writer
    raise failure


def _is_pin(writer: asyncio.StreamWriter, pin: str) -> bool:
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    try:
        return bool(shown == ssl.PEM_cert_to_DER_cert(pin.strip()))
    except ValueError:
        return False


async def _greeted(reader: asyncio.StreamReader) -> None:
    """Asterisk's first line, before it gets the credential. ProtocolViolation for what is none, or too old."""
    line = b""
    with contextlib.suppress(asyncio.LimitOverrunError, ValueError):
        line = await reader.readuntil(b"\r\n")
    greeting = _GREETING.fullmatch(line.rstrip(b"\r\n"))
    if greeting is None:
        raise ProtocolViolation("whatever answers there is not Asterisk's manager interface; nothing was sent")
    if int(greeting[1]) < _OLDEST:
        raise ProtocolViolation(
            "this Asterisk is older than 16, and would answer with passwords that nobody asked for; nothing was sent",
            next_step="Use another connector, or have Asterisk brought up to date.",
        )


async def connect(target: Target, settings: AsteriskAmiSettings, unseal: Unseal) -> Link:
    """Identity, then the credential. Unreachable, IdentityMismatch, ProtocolViolation, CredentialRefused."""
    writer: asyncio.StreamWriter | None = None
    failure: ConnectorError | None = None
    try:
        async with asyncio.timeout(target.connect_timeout_ms / 1000):
            reader, writer = await _dial(target, settings)
            await _greeted(reader)
            link = Link(reader, writer, target.connect_timeout_ms)
            await _login(link, unseal)
            link._timeout = target.answer_timeout_ms / 1000
            return link
    except (OSError, EOFError, TimeoutError):
        failure = Unreachable("the phone system cannot be reached, or does not answer")
    except BaseException:
        if writer is not None:
            writer.transport.abort()
        raise
    if writer is not None:
        writer.transport.abort()
    raise failure


async def _login(link: Link, unseal: Unseal) -> None:
    credential = await unseal()
    if not credential.password:
        raise CredentialRefused("no secret of a manager account is stored for this phone system")
    refused = CredentialRefused(
        "the phone system refused our account, its secret, or our address",
        next_step="The operator compares manager.conf (secret, permit) with docs/connectors/asterisk-ami.md.",
    )
    lost = False
    try:
        request = GUARD.render("login", login=credential.login, secret=credential.password)
        answer = await link.ask(request, Answer)
    except Unreachable:
        lost = True  # Asterisk hangs up on whom it does not know
    if lost or answer.refused is not None:
        link.abort()
        raise refused
