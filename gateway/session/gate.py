"""In front of SSH: who knocks, told by a balancer where one stands before us, and whether they are let in at all."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from gateway.session.asyncssh_seam import DoorConnection
from gateway.session.limits import Admission, address_block, plain_address
from gateway.session.proxy_header import ProxyHeaderError, read_header

log = structlog.get_logger()
_PROXY_HEADER_S = 5


class Counting(Protocol):
    """Takes note of who was turned away."""

    def refused(self, address: str, what: str, engineer: str = "") -> None:
        """One more."""


class Doorway(Protocol):
    """What a gate needs of its door (ssh_server.Door)."""

    balancers: list[ipaddress.IPv4Network | ipaddress.IPv6Network]
    admission: Admission

    @property
    def authenticator(self) -> Counting:
        """Where refusals are counted."""

    def now_ms(self) -> int:
        """The clock of limits."""


class Gate(asyncio.Protocol):
    """The first word with a peer: its address (told by a balancer, where one stands before us) and admission."""

    def __init__(self, door: Doorway, make: Callable[[tuple[str, int]], DoorConnection]) -> None:
        self._door, self._make = door, make
        self._data = b""
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A socket."""
        peer = transport.get_extra_info("peername")
        if not peer:
            transport.abort()
            return
        self._transport = transport
        address = ipaddress.ip_address(plain_address(peer[0]))
        if any(address in network for network in self._door.balancers):
            self._timer = asyncio.get_running_loop().call_later(_PROXY_HEADER_S, transport.abort)
        else:
            self._admit((peer[0], peer[1]), b"")

    def data_received(self, data: bytes) -> None:
        """A balancer's header, and what came with it."""
        self._data += data
        try:
            header = read_header(self._data)
        except ProxyHeaderError as error:
            log.warning("a balancer sent no PROXY v2 header that is taken", reason=str(error))
            self._transport.abort()
            return
        if header is not None:
            peer = header.source or self._transport.get_extra_info("peername")[:2]
            self._admit(peer, self._data[header.size :])

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone before admission."""
        if self._timer is not None:
            self._timer.cancel()

    def _admit(self, peer: tuple[str, int], rest: bytes) -> None:
        if self._timer is not None:
            self._timer.cancel()
        block = address_block(peer[0])
        why = self._door.admission.ask(block, self._door.now_ms())
        if why is not None:
            self._door.authenticator.refused(block, why)
            self._transport.abort()
            return
        made = self._make((plain_address(peer[0]), peer[1]))
        self._transport.set_protocol(made)
        made.connection_made(self._transport)
        if rest:
            made.data_received(rest)
