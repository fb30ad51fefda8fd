"""Whoever answers as an enemy: what is refused before the credential, what ends the connection, what is never told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from connectors.asterisk_ami import answers
from connectors.asterisk_ami.connector import AmiConnector, AsteriskAmiFamily
from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.contract import Change, Credential, Secret, SecretKind, Target
from connectors.errors import (
    ConnectorError,
    CredentialRefused,
    IdentityMismatch,
    OutcomeUnknown,
    ProtocolViolation,
    Refused,
    SecretReadable,
    Unreachable,
)
from tests.support.ami import site as sites
from tests.support.ami.server import running
from tests.support.certificates import certificate, signed

from .conftest import Pbx, everyone, plain

NEW = "Kx7mQ2vTz9LpR4wNc8Hd"
LOOPBACK = AsteriskAmiSettings(tls="loopback")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def told(error: BaseException) -> str:
    """Everything that an error and what it came of could tell."""
    text, one = "", error
    while one is not None:
        text += "".join(traceback.format_exception(one)) + repr(one.args) + str(getattr(one, "next_step", ""))
        one = one.__cause__ or one.__context__  # type: ignore[assignment]
    return text


# --- before the credential ---


async def test_another_certificate_and_the_credential_stays_sealed(pbx: Pbx) -> None:
    other, _ = certificate()
    with pytest.raises(IdentityMismatch):
        await pbx.connect(pin=other)
    assert pbx.unsealed == []


@pytest.mark.parametrize("pin", ["ssh-ed25519 AAAA", " ", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"])
async def test_a_pin_that_is_none(pbx: Pbx, pin: str) -> None:
    with pytest.raises(IdentityMismatch):
        await pbx.connect(pin=pin)
    assert pbx.unsealed == []


async def test_an_authority_as_pin_wants_the_servers_name(tmp_path: Path) -> None:
    """Any certificate that it signed would pass, otherwise."""
    authority, leaf, key = signed()
    (tmp_path / "c.pem").write_text(leaf)
    (tmp_path / "k.pem").write_text(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    async with running(sites.asterisk(), context) as port:
        pbx = Pbx(sites.asterisk(), port, authority)
        with pytest.raises(IdentityMismatch, match="authority"):
            await pbx.connect()
        with pytest.raises(IdentityMismatch):
            await pbx.connect(server_name="other.customer.example")
        assert pbx.unsealed == []
        await (await pbx.connect(server_name="pbx.customer.example")).close()
        await (await pbx.connect(pin=leaf)).close()


async def test_without_tls_only_this_machine_and_nobody_there(pbx: Pbx) -> None:
    away = Target("s", "192.0.2.1", 5038, pbx.pin, LOOPBACK)
    with pytest.raises(IdentityMismatch):
        await AsteriskAmiFamily().connect(away, pbx.unseal)
    with pytest.raises(Unreachable):
        await pbx.connect(port=1)
    assert pbx.unsealed == []


async def test_no_tls_where_tls_is_wanted(pbx: Pbx) -> None:
    async with running(sites.asterisk()) as port:
        with pytest.raises((IdentityMismatch, Unreachable)):
            await pbx.connect(port=port, timeout_ms=500)
    assert pbx.unsealed == []


@pytest.mark.parametrize(
    "greeting",
    [b"SSH-2.0-x\r\n", b"\xff" * 600_000, b"", b"Asterisk Call Manager/\r\n", b"Asterisk Call Manager/x.1\r\n",
     b"Asterisk Call Manager/1.3\r\n", b"Asterisk Call Manager/2.10.4\r\n"],
)  # fmt: skip
async def test_what_is_no_asterisk_or_one_that_keeps_no_filter_gets_no_credential(pbx: Pbx, greeting: bytes) -> None:
    pbx.asterisk.greeting = greeting
    with pytest.raises((ProtocolViolation, Unreachable)):
        await pbx.connect(timeout_ms=1_000)
    assert pbx.unsealed == []


async def test_a_wrong_secret_and_an_address_that_is_not_let_in(pbx: Pbx) -> None:
    async def wrong() -> Credential:
        return Credential(sites.LOGIN, "CANARY-not-this-one")

    with pytest.raises(CredentialRefused) as caught:
        await AsteriskAmiFamily().connect(pbx.target(), wrong)
    assert "CANARY" not in told(caught.value)
    pbx.asterisk.cut = len(pbx.asterisk.greeting)
    with pytest.raises(CredentialRefused, match="address"):
        await pbx.connect()


@pytest.mark.parametrize(("password", "key"), [(None, "k"), ("", None), ("a\r\nAction: Command", None)])
async def test_a_credential_that_cannot_be_sent(pbx: Pbx, password: str | None, key: str | None) -> None:
    async def odd() -> Credential:
        return Credential(sites.LOGIN, password, key)

    with pytest.raises(ConnectorError) as caught:
        await AsteriskAmiFamily().connect(pbx.target(), odd)
    assert "Command" not in told(caught.value).replace("AsteriskAmi", "")
    assert not pbx.asked("Command")


# --- a filter that is not kept ---


async def test_passwords_that_come_unasked_end_the_connection_and_are_told_to_nobody(pbx: Pbx) -> None:
    pbx.asterisk.keeps_filters = False
    for act in (lambda c: c.people(None, 5), lambda c: c.view("2001"), lambda c: c.find("grace", 5)):
        connector = await pbx.connect()
        with pytest.raises(SecretReadable) as caught:
            await act(connector)
        assert "CANARY" not in told(caught.value)
        with pytest.raises(Unreachable):
            await connector.view("2001")
        await connector.close()


async def test_a_new_pin_in_an_event_that_nobody_asked_for_is_dropped(pbx: Pbx, opened: AmiConnector) -> None:
    event = (
        b"Event: VoicemailPasswordChange\r\nContext: default\r\nMailbox: 2001\r\nNewPassword: CANARY-new-pin\r\n\r\n"
    )
    pbx.asterisk.twist = lambda _, answer: event + answer + event
    people = await everyone(opened, 3)
    assert "CANARY" not in repr(people)
    assert len(people) == 12


# --- answers ---


def _head(headers: dict[str, str]) -> bytes:
    return b"Response: Success\r\nActionID: " + headers["ActionID"].encode() + b"\r\n"


TWISTS: dict[str, Callable[[dict[str, str], bytes], bytes]] = {
    "nonsense": lambda _, a: b"\x00\xff" * 400 + b"\r\n\r\n",
    "half of it": lambda _, a: a[: len(a) // 2],
    "another's": lambda _, a: a.replace(b"ActionID: f", b"ActionID: g"),
    "nobody's": lambda _, a: a.replace(b"ActionID: ", b"X: "),
    "a long line": lambda h, a: _head(h) + b"X: " + b"x" * (answers.MAX_LINE + 400_000),
    "many lines": lambda h, a: _head(h)[: -2 if h["Action"] == "GetConfig" else None] + b"\r\nx: y" * 9_000,
    "json": lambda _, a: b'{"' * 50_000 + b"\r\n\r\n",
    "xml": lambda _, a: b'<!DOCTYPE x [<!ENTITY a "b">]>\r\n\r\n',
}


LOOKS: dict[str, Callable[[AmiConnector], Awaitable[object]]] = {
    "people": lambda c: c.people(None, 5),
    "view": lambda c: c.view("2001"),
    "check": lambda c: c.check(),
}


@pytest.mark.parametrize("kind", TWISTS)
@pytest.mark.parametrize("act", LOOKS)
async def test_answers_that_make_no_sense(pbx: Pbx, kind: str, act: str) -> None:
    connector = await pbx.connect(timeout_ms=500)
    pbx.asterisk.twist = TWISTS[kind]
    with pytest.raises((ProtocolViolation, Unreachable)):
        await LOOKS[act](connector)
    with pytest.raises(Unreachable):
        await connector.view("2001")
    await connector.close()


@pytest.mark.parametrize("kind", TWISTS)
async def test_answers_to_a_change_that_make_no_sense(pbx: Pbx, kind: str) -> None:
    connector = await pbx.connect(timeout_ms=500)
    person = await connector.view("2001")
    pbx.asterisk.twist = lambda h, a: TWISTS[kind](h, a) if h["Action"] == "UpdateConfig" else a
    with pytest.raises(OutcomeUnknown):
        await connector.alter("2001", Change(name="Grace Bell"), person)
    await connector.close()


async def test_what_a_change_is_answered_is_dropped(pbx: Pbx, opened: AmiConnector) -> None:
    pbx.asterisk.twist = lambda h, a: (
        a[:-2] + b"Password: CANARY-told\r\nMessage: CANARY-said\r\n\r\n" if h["Action"] == "UpdateConfig" else a
    )
    assert "CANARY" not in repr(await opened.reset("2001", SecretKind.SIP, Secret(NEW)))
    pbx.asterisk.twist = lambda h, a: (
        f"Response: Error\r\nActionID: {h['ActionID']}\r\nMessage: CANARY-said\r\n\r\n".encode()
        if h["Action"] == "UpdateConfig" else a
    )  # fmt: skip
    with pytest.raises(Refused) as caught:
        await opened.reset("2001", SecretKind.SIP, Secret(NEW))
    assert "CANARY" not in told(caught.value)
    assert NEW not in told(caught.value).replace(f'NEW = "{NEW}"', "")


@pytest.mark.parametrize("shape", ["sections", "events", "lines", "one section", "shared"])
async def test_an_answer_without_end_ends_in_time(shape: str) -> None:
    piece = {
        "sections": b"".join(b"Category-%06d: u\r\nLine-%06d-000000: type=endpoint\r\n" % (n, n) for n in range(900)),
        "events": b"Event: Other\r\nActionID: other\r\nNewPassword: CANARY\r\n\r\n" * 900,
        "lines": b"Line-000000-000000: x=y\r\n" * 2_000,
        "one section": b"Line-000000-000000: type=endpoint\r\n" * 2_000,
        "shared": b"Category-000000: u\r\nLine-000000-000000: type=endpoint\r\nLine-000000-000000: auth=a\r\n" * 900,
    }[shape]  # fmt: skip

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"Response: Success\r\nActionID: f1\r\nMessage: Authentication accepted\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        if shape != "events":
            writer.write(b"Response: Success\r\nActionID: f2\r\n")
        if shape == "shared":  # the person's own section first, and then everybody's
            section = b"Category-000000: u\r\nLine-000000-000000: type=endpoint\r\nLine-000000-000000: auth=a\r\n"
            writer.write(section + b"Line-000000-000000: callerid=U <1>\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"Response: Success\r\nActionID: f3\r\n")
        while True:
            writer.write(piece)
            await writer.drain()

    async with serving(serve) as port:
        connector = await plain(port, timeout_ms=700)
        with pytest.raises((ProtocolViolation, Unreachable)):
            await (connector.people(None, 5) if shape != "shared" else connector.devices("u"))
        with pytest.raises(Unreachable):
            await connector.view("2001")


async def test_a_silent_one_ends_in_time_and_what_was_written_is_not_known(pbx: Pbx) -> None:
    connector = await pbx.connect(timeout_ms=500)
    person = await connector.view("2001")

    def hush(headers: dict[str, str], answer: bytes) -> bytes:
        return b"" if headers["Action"] == "UpdateConfig" else answer

    pbx.asterisk.twist = hush
    with pytest.raises(OutcomeUnknown):
        await connector.alter("2001", Change(name="Grace Bell"), person)
    pbx.asterisk.silent = True
    with pytest.raises(Unreachable):
        await pbx.connect(timeout_ms=500)


async def test_names_that_are_no_text_are_shown_as_far_as_they_are(pbx: Pbx, opened: AmiConnector) -> None:
    pbx.asterisk.twist = lambda _, answer: answer.replace(b"Grace Okafor", b"Gr\xff\xfe\x1b]0;x\x07 \x00O")
    assert "\ufffd" in (await opened.view("2001")).name
    assert len(await everyone(opened, 5)) == 12


async def test_a_look_that_was_broken_off_leaves_the_connection_usable(pbx: Pbx, opened: AmiConnector) -> None:
    came = asyncio.Event()

    def slow(headers: dict[str, str], answer: bytes) -> bytes:
        came.set()
        return answer

    pbx.asterisk.twist = slow
    task = asyncio.ensure_future(opened.people(None, 5))
    await came.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (await opened.view("2002")).name == "Tomás Álvarez"
