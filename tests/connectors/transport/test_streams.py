"""A protocol of its own over real TLS: identity first, one question at a time, and no answer taken for another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from connectors.base import NoSettings
from connectors.conformance.relay import served
from connectors.contract import Target
from connectors.errors import (
    ConnectorError,
    CredentialRefused,
    IdentityMismatch,
    InvalidValue,
    OutcomeUnknown,
    ProtocolViolation,
    RequestNotAllowed,
    Unreachable,
)
from connectors.guard import Allowed, Guard, Template, text
from connectors.transport import streams
from tests.connectors.transport.phone_system import Server, fingerprint, shows
from tests.support.certificates import certificate

GUARD = Guard(Template("look", False, {"id": text(9)}), Template("write", True, {"id": text(9)}))
LOOK, WRITE = GUARD.render("look", id="1"), GUARD.render("write", id="1")


def render(request: Allowed) -> bytes:
    return f"{request.name} {request.values['id']}\n".encode()


async def read(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readuntil(b"\n")
    if not line.startswith(b"ok "):
        raise ValueError(line)
    return line


Answering = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def phone_system(
    folder: Path, answering: Answering, timeout_ms: int = 5000
) -> AsyncIterator[tuple[streams.Stream[bytes], Target, list[bytes]]]:
    """One that answers as it is told, what it hears, and a connection to it."""
    (pem, key), server, heard = certificate(), Server(), list[bytes]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            heard.append(line)
            await answering(line, writer)

    shows(server.tls, folder, pem, key)
    async with served(handle, server.tls) as port:
        target = Target("sys_1", "127.0.0.1", port, pem, NoSettings(), 20_000, timeout_ms)
        stream = await streams.connect(target, GUARD, render, read)
        yield stream, target, heard
        stream.abort()


async def echo(line: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"ok " + line)


async def test_many_at_once_and_each_gets_its_own_answer(tmp_path: Path) -> None:
    async with phone_system(tmp_path, echo) as (stream, _, _):
        asked = [GUARD.render("look", id=str(n)) for n in range(50)]
        assert await asyncio.gather(*map(stream.ask, asked)) == [f"ok look {n}\n".encode() for n in range(50)]


async def test_only_what_its_own_guard_let_through_is_sent(tmp_path: Path) -> None:
    async with phone_system(tmp_path, echo) as (stream, _, heard):
        other = Guard(Template("look", False, {"id": text(9)}))
        for forged in (other.render("look", id="1"), "look 1", None):
            with pytest.raises(RequestNotAllowed):
                await stream.ask(forged)  # type: ignore[arg-type]
        assert heard == []


async def test_whoever_shows_another_certificate_hears_nothing(tmp_path: Path) -> None:
    async with phone_system(tmp_path, echo) as (_, target, heard):
        for pin in (certificate()[0], fingerprint(certificate()[0]), "no pin"):
            with pytest.raises(IdentityMismatch):
                await streams.connect(_with(target, pin), GUARD, render, read)
        assert heard == []
        again = await streams.connect(_with(target, fingerprint(target.pin)), GUARD, render, read)
        assert await again.ask(LOOK) == b"ok look 1\n"
        again.abort()


def _with(target: Target, pin: str) -> Target:
    return Target("sys_1", target.host, target.port, pin, NoSettings())


async def _nonsense(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"CANARY\n")


async def _cut(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"ok CANA")
    writer.close()


async def _endless(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"CANARY" * streams.MAX_ANSWER)
    await writer.drain()


async def _silent(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"ok CANA")


@pytest.mark.parametrize(
    ("answering", "kind"),
    [(_nonsense, ProtocolViolation), (_cut, Unreachable), (_endless, ProtocolViolation), (_silent, Unreachable)],
)
async def test_an_answer_that_is_none_ends_it_and_is_in_nothing_that_is_raised(
    tmp_path: Path, answering: Answering, kind: type[ConnectorError]
) -> None:
    for request, expected in ((LOOK, kind), (WRITE, OutcomeUnknown)):
        async with phone_system(tmp_path, answering, 300) as (stream, _, heard):
            with pytest.raises(expected) as raised:
                await stream.ask(request)
            assert "CANA" not in repr(raised.value)
            assert raised.value.__context__ is None
            with pytest.raises(Unreachable):
                await stream.ask(LOOK)
            assert len(heard) == 1


async def test_what_was_said_beyond_an_answer_is_not_taken_for_the_next(tmp_path: Path) -> None:
    async def twice(line: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"ok " + line + b"ok write 1\n")

    async with phone_system(tmp_path, twice) as (stream, _, heard):
        assert await stream.ask(LOOK) == b"ok look 1\n"
        with pytest.raises(Unreachable):
            await stream.ask(WRITE)
        assert heard == [b"look 1\n"]


async def test_a_question_that_was_given_up_ends_it(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def late(line: bytes, writer: asyncio.StreamWriter) -> None:
        asked.set()

    async with phone_system(tmp_path, late) as (stream, _, heard):
        task = asyncio.ensure_future(stream.ask(LOOK))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(Unreachable):
            await stream.ask(WRITE)
        assert len(heard) == 1


async def test_a_credential_that_cannot_be_sent_is_the_operators_to_put_right(tmp_path: Path) -> None:
    for wrong, expected in ((InvalidValue("x"), CredentialRefused), (RuntimeError("the vault"), RuntimeError)):
        async with phone_system(tmp_path, echo) as (stream, _, heard):
            with pytest.raises(expected):
                async with stream.signing_in():
                    raise wrong
            with pytest.raises(Unreachable):
                await stream.ask(LOOK)
            assert heard == []
