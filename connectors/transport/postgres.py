"""The way to a phone system's PostgreSQL: identity first, then the credential, then nothing but allowed statements.

A family brings its guard and its statements; what every one of them asks of its role is in `postgres_role`.

A psycopg error can quote a whole row or a bound value. None of them leaves this module: what is raised from here is
made of fixed words, outside the handler, so that the error caught is not even its context.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from connectors.contract import Target, Unseal
from connectors.errors import (
    Conflict,
    ConnectorError,
    CredentialRefused,
    IdentityMismatch,
    OutcomeUnknown,
    PinUnusable,
    ProtocolViolation,
    Refused,
    Unreachable,
)
from connectors.guard import Allowed, Guard
from connectors.transport.postgres_wire import Answer, Statement, TooLarge, Trip
from connectors.transport.postgres_wire import Row as Row

_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)  # PostgreSQL protocol, "SSLRequest"
_MAX_ROWS: Final = 1000
_MAX_BYTES: Final = 8 << 20
_REFUSED: Final = re.compile(r"authentication failed|no pg_hba\.conf entry|role \"|not permitted to log in", re.I)
_IDENTITY: Final = re.compile(r"certificate verify failed|SSL error|does not support SSL|channel binding", re.I)
_OFFERS_LESS: Final = re.compile(r"authentication method requirement", re.I)


def _pin_context(pin: str) -> ssl.SSLContext | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the pin is the identity; the address may be a relay's
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=pin)
    except (ssl.SSLError, ValueError):
        return None
    return context if context.cert_store_stats()["x509"] else None


def _is_here(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def prove_identity(target: Target) -> None:
    """A TLS handshake of our own with the database, checked against the pin, before any credential is unsealed.

    Source: PostgreSQL protocol, "SSL Session Encryption". IdentityMismatch, Unreachable.
    """
    context = _pin_context(target.pin)
    if context is None:
        raise PinUnusable("the pin of this phone system is not a PEM certificate")
    failure: ConnectorError | None = None
    try:
        async with asyncio.timeout(target.connect_timeout_ms / 1000):
            failure = await _handshake(target, context)
    except (ssl.SSLError, ssl.CertificateError):
        failure = IdentityMismatch("the database's certificate is not the pinned one; nothing was sent")
    except (OSError, EOFError, TimeoutError):
        failure = Unreachable("the phone system's database cannot be reached")
    if failure is not None:
        raise failure


async def _handshake(target: Target, context: ssl.SSLContext) -> ConnectorError | None:
    if target.host.startswith("/"):
        reader, writer = await asyncio.open_unix_connection(f"{target.host}/.s.PGSQL.{target.port}")
    else:
        reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        writer.write(_SSL_REQUEST)
        answer = await reader.readexactly(1)
        if answer != b"S":
            return IdentityMismatch("the database offers no TLS, so its identity cannot be checked; nothing was sent")
        await writer.start_tls(context)
        return None
    finally:
        writer.transport.abort()


def _options(target: Target) -> str:
    wait = target.answer_timeout_ms
    return (
        f"-c statement_timeout={wait} -c lock_timeout={wait // 2} -c idle_in_transaction_session_timeout={wait} "
        "-c client_min_messages=error -c search_path=pg_catalog -c jit=off"  # compiling takes longer than a page
    )


@dataclass(frozen=True, slots=True)
class Database:
    """What a family says of the database that it speaks to."""

    name: str
    guard: Guard
    page: str
    """Where it is written which rights our role needs ("docs/connectors/asterisk-realtime.md")."""
    pinned: bool = True
    """False: no TLS, and therefore to this machine alone."""


class _Connection(psycopg.AsyncConnection[Row]):
    """Past a deadline nobody is waited for: psycopg would ask the server, by a connection more, to stop, and wait up to
    ten seconds for a server that is silent or does not end. The server's own `statement_timeout` ends the statement."""

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:  # noqa: ASYNC109 - psycopg's own
        """Hang up."""
        self.pgconn.finish()


class Link:
    """An authenticated connection that sends allowed statements and nothing else."""

    def __init__(self, connection: psycopg.AsyncConnection[Row], target: Target, database: Database) -> None:
        self._connection = connection
        self._guard, self._page = database.guard, database.page
        self._timeout = target.answer_timeout_ms / 1000
        self._texts: Mapping[str, Statement] = {}
        self._lock = asyncio.Lock()

    def use(self, texts: Mapping[str, sql.Composed]) -> None:
        """The statements, once their identifiers are known."""
        self._texts = {name: Statement.of(text, self._connection) for name, text in texts.items()}

    def request(self, name: str, /, **values: object) -> Allowed:
        """A request, if it is on the family's list."""
        return self._guard.render(name, **values)

    async def read(self, name: str, /, **values: object) -> list[Row]:
        """The rows of a read, bounded in number, bytes and time."""
        async with self._lock:
            (answer,) = await self.sent(self._guard.render(name, **values))
            return answer.rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """All or nothing. OutcomeUnknown only if the connection is lost when the commit has been sent."""
        async with self._lock:
            work = Transaction(self)
            try:
                yield work
                await work.commit()
            except BaseException:
                with contextlib.suppress(ConnectorError):  # a lost connection rolls back by itself
                    await work.rollback()
                raise

    async def close(self) -> None:
        """Hang up; an open transaction is rolled back by the server."""
        await self._connection.close()

    def _text(self, request: Allowed) -> Statement:
        text = self._texts.get(self._guard.require(request).name)
        if text is None:
            raise ProtocolViolation("this phone system's settings name no table for that")
        return text

    async def sent(self, *requests: Allowed) -> list[Answer]:
        """The answers to requests of our guard that are sent together. What is wrong with one of them is raised: then
        it was not done, nor was any after it."""
        answers, failure = await self.tried(*requests)
        if failure is not None:
            raise failure
        return answers

    async def tried(self, *requests: Allowed) -> tuple[list[Answer], ConnectorError | None]:
        """The same: the answers of those that were done, and what was wrong with the one after them."""
        asked = [(self._text(request), request.values) for request in requests]
        failure: ConnectorError | None = None
        trip = Trip(self._connection, (_MAX_ROWS, _MAX_BYTES))
        try:
            async with asyncio.timeout(self._timeout):
                await self._connection.wait(trip.run(asked))
            if trip.error is not None:
                failure = self._failure(trip.error, committing=requests[len(trip.answers)].name == "commit")
        except TooLarge:
            failure = ProtocolViolation("the phone system's answer is too large")
        except (psycopg.Error, OSError, TimeoutError, ValueError) as error:
            # Nobody says of which one: a commit that was on its way may have arrived.
            rest = requests[len(trip.answers) :] if trip.sent else ()
            failure = self._failure(error, committing=any(request.name == "commit" for request in rest))
        if failure is not None:
            await self._drop_if_broken(failure)
        return trip.answers, failure

    def _failure(self, error: Exception, *, committing: bool) -> ConnectorError:
        return failure_of(error, self._page, committing=committing)

    async def _drop_if_broken(self, failure: ConnectorError) -> None:
        if isinstance(failure, OutcomeUnknown | Unreachable | ProtocolViolation):
            await self._connection.close()


class Afterwards:
    """A read that goes along with a transaction's commit, and sees what it left."""

    def __init__(self, request: Allowed) -> None:
        self.request = request
        self.answered: Answer | ConnectorError = Unreachable("it was not asked")

    def rows(self) -> list[Row]:
        """Once the transaction has ended. What went wrong with this read alone is raised."""
        if isinstance(self.answered, ConnectorError):
            raise self.answered
        return self.answered.rows


class Transaction:
    """Reads and writes inside one transaction, which begins with the first of them."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: list[Allowed] = [link.request("begin")]
        self._afterwards: Afterwards | None = None

    @property
    def _begun(self) -> bool:
        return not self._waiting or self._waiting[0].name != "begin"

    async def _sent(self, *requests: Allowed) -> list[Answer]:
        before, self._waiting = self._waiting, []
        return (await self._link.sent(*before, *requests))[len(before) :]

    async def read(self, name: str, /, **values: object) -> list[Row]:
        """Rows."""
        (answer,) = await self._sent(self._link.request(name, **values))
        return answer.rows

    async def reads(self, *asked: tuple[str, Mapping[str, object]]) -> list[list[Row]]:
        """The rows of several, asked together: each sees what is there once those before it have their locks."""
        return [answer.rows for answer in await self._sent(*(self._link.request(n, **v) for n, v in asked))]

    async def write(self, name: str, /, **values: object) -> int:
        """How many rows it touched."""
        (answer,) = await self._sent(self._link.request(name, **values))
        return answer.count

    def later(self, name: str, /, **values: object) -> None:
        """A write of which nobody asks how many rows it touched: it goes along with what is sent next."""
        self._waiting.append(self._link.request(name, **values))

    def afterwards(self, name: str, /, **values: object) -> Afterwards:
        """One read of what there is after the commit."""
        self._afterwards = Afterwards(self._link.request(name, **values))
        return self._afterwards

    async def commit(self) -> None:
        """Make it durable, with what waits."""
        if not self._begun and len(self._waiting) == 1 and self._afterwards is None:
            return
        requests, self._waiting = [*self._waiting, self._link.request("commit")], []
        after = self._afterwards
        answers, failure = await self._link.tried(*requests, *((after.request,) if after is not None else ()))
        if failure is not None and len(answers) < len(requests):
            raise failure
        if after is not None:
            after.answered = failure or answers[-1]

    async def rollback(self) -> None:
        """Undo it."""
        if self._begun:
            await self._link.sent(self._link.request("rollback"))


def failure_of(error: Exception, page: str, *, committing: bool) -> ConnectorError:
    """What to say of a database error; by its class and code alone, never by its words."""
    code = getattr(error, "sqlstate", None) or ""
    if committing and (not code or code[:2] in {"08", "57", "58", "XX"}):
        return OutcomeUnknown("the connection was lost at the moment of writing")
    if isinstance(error, TimeoutError) or code == "57014":
        return ProtocolViolation("the phone system's database took too long; nothing was written")
    match code[:2]:
        case "42" if code == "42501":
            return Refused(
                "the database refused our role the right to do that; nothing was written",
                next_step=f"The operator compares the role with {page}.",
            )
        case "23" | "40" | "55":
            return Conflict("somebody else is writing, or the value is taken; nothing was written")
        case "":
            if isinstance(error, psycopg.DataError | UnicodeError | psycopg.ProgrammingError):
                return ProtocolViolation("the phone system's database answered something that makes no sense")
            return Unreachable("the connection to the phone system's database was lost; nothing was written")
        case "08" | "57":
            return Unreachable("the connection to the phone system's database was lost; nothing was written")
        case _:
            return Refused(f"the database refused it (SQLSTATE {code}); nothing was written")


def _connect_failure(error: Exception) -> ConnectorError:
    words = str(error)
    if _IDENTITY.search(words):
        return IdentityMismatch("the database's certificate is not the pinned one; no password was sent")
    if _REFUSED.search(words):
        return CredentialRefused("the phone system's database refused our role or its password")
    if _OFFERS_LESS.search(words):
        return CredentialRefused("the database does not ask for SCRAM-SHA-256; no password was sent")
    return Unreachable("the phone system's database cannot be reached")


async def connect(target: Target, database: Database, unseal: Unseal) -> Link:
    """Identity, then the credential. Unreachable, IdentityMismatch, CredentialRefused."""
    pinned = database.pinned
    if pinned:
        await prove_identity(target)
    elif not _is_here(target.host):
        raise PinUnusable("without TLS only a database on this machine is spoken to; nothing was sent")
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # a certificate, no secret
        file.write(target.pin if pinned else "")
        file.flush()
        root = file.name if pinned else None
        return Link(await _login(target, database, unseal, root), target, database)


async def _login(target: Target, database: Database, unseal: Unseal, root: str | None) -> psycopg.AsyncConnection[Row]:
    tls: dict[str, Any] = (
        {"sslmode": "verify-ca", "sslrootcert": root, "channel_binding": "require", "sslcertmode": "disable"}
        if root
        else {"sslmode": "disable"}
    )
    credential = await unseal()
    failure: ConnectorError | None = None
    try:
        async with asyncio.timeout(target.connect_timeout_ms / 1000):
            return await _Connection.connect(
                host=target.host, port=target.port, dbname=database.name, user=credential.login,
                password=credential.password or "", passfile="/dev/null", autocommit=True,
                # A false server may not ask for the password in clear, nor for a hash of it.
                require_auth="scram-sha-256", gssencmode="disable", application_name=target.mark or "frameroom",
                client_encoding="UTF8", options=_options(target), connect_timeout=0, **tls,
            )  # fmt: skip
    except (psycopg.Error, OSError, TimeoutError) as error:
        failure = _connect_failure(error)
    raise failure
