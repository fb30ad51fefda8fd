"""The registrar over real UDP, against what a telephone, and somebody hostile, may send."""

from __future__ import annotations

import asyncio
import socket

import pytest

from connectors.lab.server import Lab
from connectors.lab.sip import register

HEAD = b"REGISTER sip:127.0.0.1 SIP/2.0\r\n"


def exchange(port: int, data: bytes) -> bytes | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(0.3)
        link.sendto(data, ("127.0.0.1", port))
        try:
            return link.recv(4096)
        except TimeoutError:
            return None


async def ring(lab: Lab, user: str, secret: str, expires: int = 60) -> int:
    return await asyncio.to_thread(register, "127.0.0.1", lab.sip_port, user, secret, expires)


async def test_right_wrong_and_unknown(lab: Lab) -> None:
    secret = lab.store.sip_secret("alice.wong") or ""
    assert await ring(lab, "alice.wong", secret) == 200
    assert await ring(lab, "alice.wong", secret + "x") == 401
    assert await ring(lab, "alice.wong", "") == 401
    assert await ring(lab, "2001", secret) == 401
    assert await ring(lab, "nobody", secret) == 401
    assert await ring(lab, "nobody", "") == 401


async def test_two_devices_of_one_person_and_expires_zero(lab: Lab) -> None:
    secret = lab.store.sip_secret("2001") or ""
    assert [await ring(lab, "2001", secret) for _ in range(2)] == [200, 200]
    assert len(lab.store.contacts("2001")) == 2
    assert await ring(lab, "2002", lab.store.sip_secret("2002") or "", 0) == 200
    assert lab.store.contacts("2002") == {}


@pytest.mark.parametrize("expires", ["abc", "-1", "\u00b2", "9" * 400, ""])
async def test_nonsense_for_a_lifetime_is_an_hour_at_most(lab: Lab, expires: str) -> None:
    data = HEAD + f"Expires: {expires}\r\nCall-ID: 1\r\n\r\n".encode()
    answer = await asyncio.to_thread(exchange, lab.sip_port, data)
    assert answer is not None
    assert answer.startswith(b"SIP/2.0 401")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x00" * 100, b"REGISTER", b"INVITE sip:x SIP/2.0\r\n\r\n", b"x" * 60_000,
        HEAD + b"Authorization: " + b"=," * 1000, HEAD + b"Authorization: Digest username=\"\xff\"\r\n\r\n",
        HEAD + b"Authorization: Digest username=\"2001\", nonce=\"\", response=\"\"\r\n\r\n",
    ],
)  # fmt: skip
async def test_hostile_packets_get_no_registration_and_leave_it_running(lab: Lab, data: bytes) -> None:
    answer = await asyncio.to_thread(exchange, lab.sip_port, data)
    assert answer is None or answer.startswith(b"SIP/2.0 401")
    assert await ring(lab, "2001", lab.store.sip_secret("2001") or "") == 200
