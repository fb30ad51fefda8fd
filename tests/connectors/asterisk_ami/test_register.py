"""A new SIP password proven by a real REGISTER, against registrars that know what the stand-in has loaded."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from connectors.asterisk_ami.register import proven, status
from connectors.contract import Secret, SecretKind
from connectors.lab.sip import Registrar
from tests.support.ami.server import Asterisk

from .conftest import Pbx

NEW = "Kx7mQ2vTz9LpR4wNc8Hd"


class Loaded:
    """The lab's registrar asks this for passwords."""

    def __init__(self, asterisk: Asterisk) -> None:
        self.asterisk = asterisk
        self.registered: list[str] = []

    def sip_secret(self, user: str) -> str | None:
        known = (NEW, f"CANARY-sip-{user}")
        return next((secret for secret in known if self.asterisk.accepts(user, secret) == 200), None)

    def register(self, user: str, address: str, expires: int) -> None:
        self.registered.append(user)


@asynccontextmanager
async def registrar(made: Any) -> AsyncIterator[int]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: made, ("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def test_a_reset_says_that_it_was_proven(pbx: Pbx) -> None:
    async with registrar(Registrar(Loaded(pbx.asterisk))) as port:  # type: ignore[arg-type]
        assert await status("127.0.0.1", port, "2001", "CANARY-sip-2001") == 200
        connector = await pbx.connect(sip_port=port)
        done = await connector.reset("2001", SecretKind.SIP, Secret(NEW))
        assert any(note.startswith("proven") for note in done.notes)
        assert NEW not in repr(done)
        assert await status("127.0.0.1", port, "2001", "CANARY-sip-2001") == 401
        await connector.close()


async def test_a_password_that_is_not_taken_is_not_told_as_proven(pbx: Pbx) -> None:
    async with registrar(Registrar(Loaded(pbx.asterisk))) as port:  # type: ignore[arg-type]
        assert (await proven("127.0.0.1", port, "2001", "wrong-one")).startswith("NOT PROVEN")
        assert (await proven("127.0.0.1", port, 'x" y', "wrong-one")).startswith("not tried")
    assert (await proven("127.0.0.1", 1, "2001", "x")).startswith("not proven")


class Digest(asyncio.DatagramProtocol):
    """RFC 7616 with qop, reckoned here by the RFC's own words; its first challenge is one that nobody knows."""

    def __init__(self, algorithm: str, password: str) -> None:
        self.algorithm, self.password = algorithm, password
        self.seen: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        text = data.decode()
        self.seen.append(text)
        given = dict(re.findall(r'(\w+)="?([^",\r]+)"?', text.partition("Authorization: ")[2].partition("\r\n")[0]))
        number = re.search(r"CSeq: (\d+)", text)
        assert number is not None
        ok = bool(given) and given["response"] == self._wanted(given)
        extra = (
            'WWW-Authenticate: Digest realm="r", nonce="n0", algorithm=SHA-512-256, qop="auth"\r\n'
            f'WWW-Authenticate: Digest realm="r,1", nonce="n1", opaque="o", algorithm={self.algorithm}, '
            'qop="auth,auth-int"\r\n'
        )
        line = "SIP/2.0 200 OK" if ok else "SIP/2.0 401 Unauthorized"
        self.transport.sendto(b"nonsense", addr)
        self.transport.sendto(f"{line}\r\nCSeq: {number[1]} REGISTER\r\n{'' if ok else extra}\r\n".encode(), addr)

    def _wanted(self, given: dict[str, str]) -> str:
        hashed = hashlib.md5 if self.algorithm == "MD5" else hashlib.sha256
        a1 = hashed(f"2001:r,1:{self.password}".encode()).hexdigest()
        a2 = hashed(f"REGISTER:{given['uri']}".encode()).hexdigest()
        return hashed(f"{a1}:n1:{given['nc']}:{given['cnonce']}:auth:{a2}".encode()).hexdigest()


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_digests_with_quality_of_protection(algorithm: str) -> None:
    made = Digest(algorithm, "right")
    async with registrar(made) as port:
        assert await status("127.0.0.1", port, "2001", "right") == 200
        assert await status("127.0.0.1", port, "2001", "wrong") == 401
    assert not any("Contact" in text for text in made.seen), "nothing is registered"
    assert not any("right" in text for text in made.seen), "the password is not sent"
