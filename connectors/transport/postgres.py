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

_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)  # PostgreSQL protocol, "SSLRequest"
_MAX_ROWS: Final = 1000
_MAX_BYTES: Final = 8 << 20
_REFUSED: Final = re.compile(r"authentication failed|no pg_hba\.conf entry|role \"|not permitted to log in", re.I)
_IDENTITY: Final = re.compile(r"certificate verify failed|SSL error|does not support SSL|channel binding", re.I)
_OFFERS_LESS: Final = re.compile(r"authentication method requirement", re.I)

Row = tuple[Any, ...]


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
        self._texts: Mapping[str, sql.Composed] = {}
        self._lock = asyncio.Lock()

    def use(self, texts: Mapping[str, sql.Composed]) -> None:
        """The statements, once their identifiers are known."""
        self._texts = texts

    def request(self, name: str, /, **values: object) -> Allowed:
        """A request, if it is on the family's list."""
        return self._guard.render(name, **values)

    async def read(self, name: str, /, **values: object) -> list[Row]:
        """The rows of a read, bounded in number, bytes and time."""
        async with self._lock:
            return await self.rows(self._guard.render(name, **values))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """All or nothing. OutcomeUnknown only if the connection is lost at the commit itself."""
        async with self._lock:
            await self.send(self._guard.render("begin"))
            try:
                yield Transaction(self)
            except BaseException:
                with contextlib.suppress(ConnectorError):  # a lost connection rolls back by itself
                    await self.send(self._guard.render("rollback"))
                raise
            await self.send(self._guard.render("commit"))

    async def close(self) -> None:
        """Hang up; an open transaction is rolled back by the server."""
        await self._connection.close()

    def _text(self, request: Allowed) -> sql.Composed:
        text = self._texts.get(self._guard.require(request).name)
        if text is None:
            raise ProtocolViolation("this phone system's settings name no table for that")
        return text

    async def rows(self, request: Allowed) -> list[Row]:
        """The rows that a request of our guard brings, row by row."""
        text, rows, size = self._text(request), list[Row](), 0
        failure: ConnectorError | None = None
        try:
            async with asyncio.timeout(self._timeout), self._connection.cursor() as cursor:
                # Row by row, so that an answer without end is noticed and not collected.
                async for row in cursor.stream(text, request.values):
                    rows.append(row)
                    size += sum(len(str(value)) for value in row)
                    if len(rows) > _MAX_ROWS or size > _MAX_BYTES:
                        failure = ProtocolViolation("the phone system's answer is too large")
                        break
                if failure is not None:
                    await self._connection.close()
        except (psycopg.Error, OSError, TimeoutError, ValueError) as error:
            failure = failure or self._failure(error, committing=False)
        if failure is not None:
            await self._drop_if_broken(failure)
            raise failure
        return rows

    async def send(self, request: Allowed) -> int:
        """A write: its answer is dropped but for the number of rows."""
        text, count = self._text(request), 0
        failure: ConnectorError | None = None
        try:
            async with asyncio.timeout(self._timeout), self._connection.cursor() as cursor:
                await cursor.execute(text, request.values or None, prepare=False)
                count = cursor.rowcount
        except (psycopg.Error, OSError, TimeoutError, ValueError) as error:
            failure = self._failure(error, committing=request.name == "commit")
        if failure is not None:
            await self._drop_if_broken(failure)
            raise failure
        return count

    def _failure(self, error: Exception, *, committing: bool) -> ConnectorError:
        return failure_of(error, self._page, committing=committing)

    async def _drop_if_broken(self, failure: ConnectorError) -> None:
        if isinstance(failure, OutcomeUnknown | Unreachable | ProtocolViolation):
            await self._connection.close()


class Transaction:
    """Reads and writes inside one transaction."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def read(self, name: str, /, **values: object) -> list[Row]:
        """Rows."""
        return await self._link.rows(self._link.request(name, **values))

    async def write(self, name: str, /, **values: object) -> int:
        """How many rows it touched."""
        return await self._link.send(self._link.request(name, **values))


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
