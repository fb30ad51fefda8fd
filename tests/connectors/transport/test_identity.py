"""Whom a client trusts: one certificate, one authority's for one name, or this machine's authorities for one name."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from connectors.conformance.relay import served
from connectors.errors import (
    ConnectorError,
    IdentityMismatch,
    InvalidValue,
    Unreachable,
)
from connectors.transport.identity import SYSTEM, fingerprint_of, identity, identity_line, not_connected
from gateway.errors import InvalidError
from gateway.wiring.admin.systems import pin_of
from tests.connectors.transport.phone_system import (
    LOOK,
    NAME,
    TOKEN,
    Server,
    client,
    fingerprint,
    phone_system,
    read,
    shows,
    whole,
    write,
)
from tests.support.certificates import certificate, signed


async def test_a_certificate_of_ones_own_is_trusted_by_itself_or_by_its_fingerprint(
    server: tuple[Server, str],
) -> None:
    running, pem = server
    digest = fingerprint(pem)
    colons = "SHA256:" + ":".join(digest[7:][at : at + 2] for at in range(0, 64, 2)).upper()
    for pin in (pem, digest, colons, f" {digest}\n"):
        web = client(running, pin)
        await web.prove()
        assert (await read(web))[1] == b"{}"
        await web.close()


async def test_an_authority_vouches_for_the_name_that_the_operator_said_and_no_other(tmp_path: Path) -> None:
    authority, pem, key = signed()
    async with phone_system(tmp_path, pem, key) as running:
        web = client(running, authority, NAME)
        await web.prove()
        assert (await read(web))[0].status == 200
        assert b"Host: pbx.customer.example\r\n" in running.heard[0]
        await web.close()
        for pin, name in ((authority, "other.example"), (authority, None), (SYSTEM, NAME), (certificate()[0], NAME)):
            running.heard.clear()
            other = client(running, pin, name)
            for doing in (other.prove(), other.ask(LOOK, TOKEN)):
                with pytest.raises(IdentityMismatch, match="nothing was sent"):
                    await doing
            assert running.heard == []
            await other.close()


async def test_authorities_of_the_system_want_a_name(server: tuple[Server, str]) -> None:
    with pytest.raises(InvalidValue) as caught:
        client(server[0], SYSTEM)
    assert "server_name" in caught.value.next_step
    assert "vouch for names" in caught.value.message


def test_a_pinned_session_is_made_where_its_certificate_is_compared_and_nowhere_else() -> None:
    with pytest.raises(ssl.SSLError):
        identity("sha256:" + "0" * 64, None).wrap_socket(None)


@pytest.mark.parametrize(
    "pin", ["", " ", "no pin at all", "sha256:", "sha256:" + "0" * 63, "sha256:" + "0" * 65, "sha256:" + "zz" * 32,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "ssh-ed25519 AAAA"],
)  # fmt: skip
@pytest.mark.parametrize("name", [None, NAME])
async def test_what_is_no_pin_trusts_nobody(server: tuple[Server, str], pin: str, name: str | None) -> None:
    assert fingerprint_of(pin) is None
    with pytest.raises(IdentityMismatch, match="nothing was sent") as caught:
        client(server[0], pin, name)
    assert "Pin the certificate (PEM)" in caught.value.next_step
    assert "system-cas with `server_name`" in caught.value.next_step


@pytest.mark.parametrize("how", ["fingerprint", "own"])
async def test_a_certificate_that_is_swapped_between_two_calls_gets_nothing(
    server: tuple[Server, str], tmp_path: Path, how: str
) -> None:
    running, pem = server
    running.answer = whole(b"{}", b"Connection: close")
    web = client(running, fingerprint(pem) if how == "fingerprint" else pem)
    await read(web)
    shows(running.tls, tmp_path, *certificate())
    running.heard.clear()
    for request in (LOOK, write()):
        with pytest.raises(IdentityMismatch):
            await web.ask(request, TOKEN)
    with pytest.raises(IdentityMismatch):
        await web.prove()
    assert running.heard == []
    await web.close()


async def test_an_expired_certificate_of_an_authority_is_said_to_be_expired(tmp_path: Path) -> None:
    authority, pem, key = signed(days_ago=3)
    async with phone_system(tmp_path, pem, key) as running:
        with pytest.raises(IdentityMismatch, match="expired"):
            await client(running, authority, NAME).prove()


async def test_nobody_there_and_no_tls_there(server: tuple[Server, str]) -> None:
    running, pem = server

    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(b"{}"))
        await writer.drain()

    async with served(plain) as port:
        running.port = port
        web = client(running, pem)
        for doing in (web.prove(), web.ask(write(), TOKEN)):
            with pytest.raises((Unreachable, IdentityMismatch)):
                await doing
    web = client(running, pem)
    for doing in (web.prove(), web.ask(write(), TOKEN)):
        with pytest.raises(Unreachable):
            await doing


async def test_proving_sends_no_request(server: tuple[Server, str]) -> None:
    running, pem = server
    await client(running, pem).prove()
    assert running.heard == []


def test_an_operator_gives_a_fingerprint_however_it_is_printed_and_it_is_kept_in_one_form() -> None:
    digest = "ab" * 32
    for given in (f"sha256:{digest}", f"SHA256:{':'.join(['AB'] * 32)}\n", f"  sha256:{digest.upper()}"):
        assert pin_of(given) == f"sha256:{digest}"
    assert pin_of(" system-cas\n") == SYSTEM
    for wrong in ("sha256:abcd", "sha256:", "system", digest):
        with pytest.raises(InvalidError):
            pin_of(wrong)


def test_to_do_without_tls_on_one_machine_is_a_warning_and_no_fault() -> None:
    """Else `system check` would end with exit code 1 for good, and nobody would see when something fails."""
    pinned, chosen = identity_line(pinned=True), identity_line(pinned=False)
    assert (pinned.what, pinned.ok, pinned.words) == ("identity", True, "its certificate is the pinned one")
    assert (chosen.what, chosen.ok) == ("identity", True)
    assert "WEAKENED: not checked" in chosen.words


def caused(first: BaseException, *others: BaseException) -> BaseException:
    """An error with what it came of, and that of, and so on."""
    one = first
    for other in others:
        one.__cause__ = other
        one = other
    return first


UNTRUSTED = ssl.SSLCertVerificationError(1, "self-signed certificate")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (UNTRUSTED, IdentityMismatch, "the phone system's certificate is not the one that is trusted"),
        (caused(OSError("x"), ValueError("y"), UNTRUSTED), IdentityMismatch, "is not the one that is trusted"),
        (ssl.SSLError(1, "wrong version number"), IdentityMismatch, "does not speak TLS there, or none that is safe"),
        (caused(OSError("x"), ssl.SSLError(1, "no protocols")), IdentityMismatch, "does not speak TLS there"),
        (ssl.SSLEOFError(8, "EOF occurred"), Unreachable, "the phone system cannot be reached"),
        (caused(ssl.SSLZeroReturnError(6, "closed"), ssl.SSLError(1, "x")), Unreachable, "cannot be reached"),
        (ConnectionRefusedError(111, "refused"), Unreachable, "the phone system cannot be reached"),
    ],
)
def test_why_there_is_no_connection(error: BaseException, kind: type[ConnectorError], words: str) -> None:
    told = not_connected(error)
    assert type(told) is kind
    assert words in told.message


def test_what_came_of_one_another_in_a_circle_is_looked_at_once() -> None:
    first, second = OSError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    assert "cannot be reached" in not_connected(first).message


def test_what_happened_before_counts_where_nothing_is_said_to_be_the_cause() -> None:
    error = OSError("x")
    error.__context__ = UNTRUSTED
    assert isinstance(not_connected(error), IdentityMismatch)


def test_a_certificate_that_has_expired_is_said_to_have_and_no_other() -> None:
    expired = ssl.SSLCertVerificationError(1, "certificate has expired")
    expired.verify_code = 10
    assert "is trusted (it has expired); nothing was sent" in not_connected(expired).message
    assert "expired" not in not_connected(UNTRUSTED).message
