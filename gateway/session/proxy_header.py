"""The PROXY protocol, version 2 (haproxy's proxy-protocol.txt §2.2): who really knocked, told by a named balancer.

Only TCP over IPv4 and IPv6 and LOCAL (a balancer's own health check) are taken. Invariant, fuzzed in
tests/session/door/test_proxy_header.py: any bytes give a header, a wish for more (never more than MAX_HEADER), or
ProxyHeaderError; a header never depends on bytes behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
FIXED: Final = 16
MAX_HEADER: Final = FIXED + 1024
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_ADDRESS_BYTES: Final = {_TCP4: 12, _TCP6: 36}


class ProxyHeaderError(Exception):
    """Not a PROXY v2 header that this door takes."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """The client's address and port, or None for the balancer's own connection; `size` is the header's length."""

    source: tuple[str, int] | None
    size: int


def read_header(data: bytes) -> ProxyHeader | None:
    """The header at the beginning of `data`; None while it is incomplete. Raises ProxyHeaderError."""
    if data[: len(SIGNATURE)] != SIGNATURE[: len(data)]:
        raise ProxyHeaderError("no PROXY v2 signature")
    if len(data) < FIXED:
        return None
    command, family = data[12], data[13]
    size = FIXED + int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError(f"version or command {command:#04x} is not known")
    if size > MAX_HEADER:
        raise ProxyHeaderError(f"a header of {size} bytes is over {MAX_HEADER}")
    if command == _PROXY and size - FIXED < _ADDRESS_BYTES.get(family, MAX_HEADER):
        raise ProxyHeaderError(f"no whole TCP address (family {family:#04x}, {size - FIXED} bytes)")
    if len(data) < size:
        return None
    if command == _LOCAL:
        return ProxyHeader(None, size)
    if family == _TCP4:
        return ProxyHeader((str(IPv4Address(data[16:20])), int.from_bytes(data[24:26], "big")), size)
    return ProxyHeader((str(IPv6Address(data[16:32])), int.from_bytes(data[48:50], "big")), size)
