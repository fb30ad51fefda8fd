"""Who may knock, and how often: asked before a byte of SSH is spent. Pure: time and chance are parameters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import islice
from typing import Final

MINUTE_MS: Final = 60_000
ADDRESS_BLOCKS: Final = 16_384
_LOOKED_AT: Final = 64


def plain_address(address: str) -> str:
    """An IP address as text without zone, IPv4-mapped IPv6 as IPv4. ValueError when it is none."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return str(ip)


def address_block(address: str) -> str:
    """What limits and reports count by: the IPv4 address, or the IPv6 /64 (one subscriber has all of it)."""
    ip: IPv4Address | IPv6Address = ip_address(plain_address(address))
    if isinstance(ip, IPv4Address):
        return str(ip)
    return str(ip_network((int(ip) >> 64 << 64, 64)))


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of one door. "Pending" are connections that have not signed in yet."""

    pending_begin: int = 64
    """From here on new connections are dropped at random …"""
    pending_rate: float = 0.3
    """… beginning with this share of them …"""
    pending_full: int = 256
    """… and all of them from here."""
    pending_per_address: int = 16
    connections_per_address: int = 256
    failures_per_minute: int = 30
    """Connections of an address that end without signing in; past them it waits. A sign-in wipes the slate."""


@dataclass(slots=True)
class _Block:
    pending: int = 0
    open: int = 0
    failures: float = 0.0
    at_ms: int = 0

    @property
    def idle(self) -> bool:
        return not self.pending and not self.open


class Admission:
    """Counts connections per address block and overall. Bounded: idle blocks are forgotten, oldest first."""

    def __init__(self, limits: Limits, chance: Callable[[], float]) -> None:
        self._limits = limits
        self._chance = chance
        self._blocks: OrderedDict[str, _Block] = OrderedDict()
        self.pending = 0

    def ask(self, block: str, now_ms: int) -> str | None:
        """None to let the connection in (then `enter` it), else why not."""
        limits = self._limits
        if self._drops_early():
            return "too-many-pending"
        known = self._blocks.get(block)
        if known is None:
            return None
        self._leak(known, now_ms)
        if known.pending >= limits.pending_per_address:
            return "too-many-pending-from-address"
        if known.open >= limits.connections_per_address:
            return "too-many-from-address"
        if known.failures >= limits.failures_per_minute:
            return "too-many-failures-from-address"
        return None

    def _drops_early(self) -> bool:
        """Random early drop, as OpenSSH's MaxStartups: linear from `pending_rate` to certainty."""
        limits = self._limits
        if self.pending < limits.pending_begin:
            return False
        if self.pending >= limits.pending_full:
            return True
        span = limits.pending_full - limits.pending_begin
        share = limits.pending_rate + (1 - limits.pending_rate) * (self.pending - limits.pending_begin) / span
        return self._chance() < share

    def enter(self, block: str, now_ms: int) -> None:
        """A connection has come in, not signed in yet."""
        known = self._blocks.pop(block, None) or _Block(at_ms=now_ms)
        self._blocks[block] = known
        known.pending += 1
        known.open += 1
        self.pending += 1
        if len(self._blocks) > ADDRESS_BLOCKS:
            self._forget()

    def signed_in(self, block: str) -> None:
        """A pending connection has signed in."""
        known = self._blocks[block]
        known.pending -= 1
        known.failures = 0.0
        self.pending -= 1

    def leave(self, block: str, now_ms: int, *, signed_in: bool) -> None:
        """A connection has gone; one that never signed in counts as a failure of its address."""
        known = self._blocks[block]
        known.open -= 1
        if not signed_in:
            known.pending -= 1
            self.pending -= 1
            self._leak(known, now_ms)
            known.failures += 1
        elif known.idle and known.failures <= 0:
            del self._blocks[block]

    def _leak(self, known: _Block, now_ms: int) -> None:
        passed = max(0, now_ms - known.at_ms)
        known.at_ms = max(known.at_ms, now_ms)
        known.failures = max(0.0, known.failures - passed * self._limits.failures_per_minute / MINUTE_MS)

    def _forget(self) -> None:
        """Idle blocks, longest unseen first; a few at a time, so that a flood of addresses costs each no more."""
        for block in list(islice(self._blocks, _LOOKED_AT)):
            if len(self._blocks) <= ADDRESS_BLOCKS:
                return
            if self._blocks[block].idle:
                del self._blocks[block]
            else:
                self._blocks.move_to_end(block)
