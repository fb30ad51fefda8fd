"""The SSH door: listens, limits, signs in, and hands each channel on. Everything not named here is refused."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import asyncssh
import structlog

from gateway.errors import FrameroomError
from gateway.model import new_id
from gateway.session.asyncssh_seam import connection
from gateway.session.channel import Channel, ChannelHandler, Identity
from gateway.session.door_keys import parse_ca_key
from gateway.session.gate import Gate
from gateway.session.limits import Admission, Limits, address_block, plain_address

log = structlog.get_logger()
_FAREWELL_S = 5
_BACKLOG = 512

KEX = ["curve25519-sha256", "mlkem768x25519-sha256", "curve25519-sha256@libssh.org"]
CIPHERS = ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr"]
MACS = ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"]
SIGNATURES = [
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-256", "rsa-sha2-512",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Where it listens and its limits; seconds as named.

    `login_grace_s` is to the first valid signature, `factor_grace_s` from there to the second factor. `proxy_from`
    names the balancers (networks) from which, and only from which, a PROXY v2 header is taken, and must come.
    `user_ca_keys` are lines of OpenSSH .pub files whose user certificates count as keys.
    """

    host: str = "127.0.0.1"
    port: int = 0
    login_grace_s: float = 20
    factor_grace_s: float = 90
    max_connection_s: float = 8 * 3600
    unproven_per_address: int = 10
    unproven: int = 200
    per_address: int = 256
    failures_per_minute: int = 30
    per_engineer: int = 16
    max_channels: int = 10
    proxy_from: tuple[str, ...] = ()
    user_ca_keys: tuple[str, ...] = ()


SignedInBy: TypeAlias = tuple[str, str]
"""An engineer's id, and the fingerprint of the key, or the name of the certificate, that signed them in."""


class Authenticator(Protocol):
    """Who has which key and code (gateway/identity). An exception from any of these refuses the sign-in."""

    async def key_known(self, login: str, fingerprint: str) -> bool:
        """True when this enabled engineer has this key."""

    async def certificate_known(self, login: str) -> bool:
        """True when this login is an enabled engineer's."""

    async def code_right(self, login: str, code: str, fingerprint: str) -> str | None:
        """The factor ("totp", "backup-code") that the code was and that is now used up, or None.

        None as well when the key that was proven a while before (`fingerprint`) counts no more.
        """

    async def signed_in(self, login: str, factor: str, fingerprint: str, address: str) -> tuple[str, str]:
        """(engineer id, name); logs the sign-in."""

    async def failed(self, login: str, factor: str, address: str) -> None:
        """After a proven key the second factor was wrong."""

    def refused(self, address: str, what: str, engineer: str = "") -> None:
        """Count something refused; `engineer` is empty before sign-in, and `address` then an IPv4 address or /64."""

    async def must_leave(self, here: frozenset[SignedInBy]) -> Mapping[SignedInBy, str]:
        """Who of these may be here no longer, and why, in words."""


class _Owner(asyncssh.SSHServer):
    """One connection's decisions: a DoorPolicy."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._conn: Any = None
        self._login = self._fingerprint = self._factor = ""
        self._timer: asyncio.TimerHandle | None = None
        self._admitted = False
        self.identity: Identity | None = None
        self.address = ""
        self.network = ""
        self.user_ca_keys = door.user_ca_keys
        self.channels: set[Channel] = set()

    def connection_made(self, conn: Any) -> None:
        """A peer that admission let in."""
        self._conn = conn
        conn.policy, conn.on_first_step = self, self._first_step
        self.address = plain_address(conn.peer_address)
        self.network = address_block(self.address)
        self._door.admission.enter(self.network, self._door.now_ms())
        self._admitted = True
        self._door.all.add(self)
        self._until(self._door.settings.login_grace_s, "no valid signature in time")

    def _until(self, seconds: float, why: str) -> None:
        end = self._conn.refuse if self.identity is None else self.end
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, end, f"Time is up: {why}")

    def _first_step(self) -> None:
        self._until(self._door.settings.factor_grace_s, "no second factor in time")

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._admitted:
            self._door.admission.leave(self.network, self._door.now_ms(), signed_in=self.identity is not None)
        self._door.gone(self)
        self._door.connections.pop(id(self), None)
        if self.identity is not None:
            self._door.hung_up(self.identity)
        elif self._fingerprint:
            self._door.spawn(self._door.authenticator.failed(self._login, "none", self.address))
        else:
            self.refused("gone before signing in")

    def begin_auth(self, username: str) -> bool:
        """Everybody has to."""
        return True

    async def key_known(self, login: str, fingerprint: str) -> bool:
        """DoorPolicy."""
        return await self._door.authenticator.key_known(login, fingerprint)

    async def certificate_known(self, login: str) -> bool:
        """DoorPolicy."""
        return await self._door.authenticator.certificate_known(login)

    async def key_proven(self, login: str, fingerprint: str, verified_fido: bool) -> None:
        """DoorPolicy."""
        here = sum(o.identity is not None and o.identity.login == login for o in self._door.all)
        if here >= self._door.settings.per_engineer:
            raise asyncssh.PermissionDenied(f"You have {here} connections open already; close one first")
        self._login, self._fingerprint = login, fingerprint
        self._factor = "fido2" if verified_fido else ""

    async def code_right(self, login: str, code: str) -> bool:
        """DoorPolicy."""
        factor = await self._door.authenticator.code_right(login, code, self._fingerprint)
        if factor is None:
            await self._door.authenticator.failed(login, "code", self.address)
            return False
        self._factor = factor
        return True

    def refused(self, what: str) -> None:
        """DoorPolicy."""
        if self.identity is None:
            self._door.authenticator.refused(self.network, what)
        else:
            self._door.authenticator.refused(self.address, what, self.identity.engineer_id)

    async def sign_in(self) -> None:
        """DoorPolicy: the event is durable before the client hears of its success."""
        engineer_id, name = await self._door.authenticator.signed_in(
            self._login, self._factor, self._fingerprint, self.address
        )
        if self._conn.is_closed():
            return
        self.identity = Identity(
            engineer_id, self._login, name, self._factor, self._fingerprint, self.address, new_id("con")
        )
        self._door.admission.signed_in(self.network)
        self._door.connections[id(self)] = self
        hours = self._door.settings.max_connection_s / 3600
        self._until(3600 * hours, f"a connection lasts {hours:.3g} h and no longer; sign in again")

    def opens_session(self) -> bool:
        """DoorPolicy."""
        return self._conn.channels_open < self._door.settings.max_channels and not self._door.draining

    def session_requested(self) -> Any:
        """A channel for a shell or a command; no other kind exists."""
        if self.identity is None:
            return False
        return Channel(lambda started: self._door.begin(self, started, self.identity))

    def end(self, message: str) -> None:
        """Hang up, telling every visit why."""
        for channel in tuple(self.channels):
            with suppress(OSError, asyncssh.Error):  # the peer may be gone or choked: it is hung up on all the same
                channel.notify_line(message, last=True)
        self._conn.disconnect(asyncssh.DISC_BY_APPLICATION, message)


class Door:
    """The listener. `run` serves until cancelled; `ready` is set when `port` is known."""

    def __init__(
        self, settings: DoorSettings, host_keys: Sequence[Any], authenticator: Authenticator, handler: ChannelHandler
    ) -> None:
        self.settings = settings
        self.authenticator = authenticator
        self.user_ca_keys = frozenset(parse_ca_key(line) for line in settings.user_ca_keys)
        self.balancers = [ipaddress.ip_network(n) for n in settings.proxy_from]
        limits = Limits(
            pending_begin=settings.unproven // 2, pending_full=settings.unproven,
            pending_per_address=settings.unproven_per_address, connections_per_address=settings.per_address,
            failures_per_minute=settings.failures_per_minute,
        )  # fmt: skip
        self.admission = Admission(limits, random.SystemRandom().random)
        self.all: set[_Owner] = set()
        self.connections: dict[int, _Owner] = {}
        self.port = 0
        self.ready = asyncio.Event()
        self.draining = False
        self._visit_over = asyncio.Event()
        self._moved = asyncio.Event()
        self._leaving: set[asyncio.Task[None]] = set()
        self._handler = handler
        self._host_keys = host_keys
        self._group: asyncio.TaskGroup | None = None
        self._server: asyncio.Server | None = None

    def now_ms(self) -> int:
        """A clock for limits: it runs on, whatever the wall clock does."""
        return int(asyncio.get_running_loop().time() * 1000)

    def _options(self) -> asyncssh.SSHServerConnectionOptions:
        """Built once: it costs as much as a key exchange. Every host key is announced (hostkeys-00@openssh.com)."""
        return asyncssh.SSHServerConnectionOptions(
            server_factory=lambda: _Owner(self), server_host_keys=self._host_keys, send_server_host_keys=True,
            login_timeout=0, kex_algs=KEX, encryption_algs=CIPHERS, mac_algs=MACS, signature_algs=SIGNATURES,
            compression_algs=None, password_auth=False, host_based_auth=False, gss_host=None,
            agent_forwarding=False, x11_forwarding=False, allow_scp=False, x509_trusted_certs=None,
            server_version="Frameroom", keepalive_interval=30, window=256 << 10, max_line_length=65536,
        )  # fmt: skip

    def _socket(self) -> socket.socket:
        """Where it listens: `::` means IPv6 and IPv4, as everywhere else; asyncio would make it IPv6 alone."""
        host = self.settings.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server(
            (host, self.settings.port), family=family, backlog=_BACKLOG, dualstack_ipv6=host == "::"
        )

    async def run(self) -> None:
        """Listen and serve."""
        options = self._options()
        # asyncssh tells user names at INFO, and people type passwords where a name belongs.
        asyncssh.set_log_level("WARNING")
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._server = await loop.create_server(
                lambda: Gate(self, lambda peer: connection(loop, options, peer)), sock=self._socket(), backlog=_BACKLOG
            )
            self.port = self._server.sockets[0].getsockname()[1]
            self.ready.set()
            try:
                await self._look_after()
            finally:
                self._server.close()
                await self._farewell()
                self._group = None

    async def _farewell(self) -> None:
        """Hang up on everybody, and let what follows a hang-up finish, for a few seconds at most."""
        for owner in tuple(self.all):
            owner.end("Frameroom is stopping.")
        with suppress(TimeoutError):  # what is not over by then is cancelled with the group
            async with asyncio.timeout(_FAREWELL_S):
                while self.all or self._leaving:
                    self._moved.clear()
                    await self._moved.wait()

    async def _look_after(self) -> None:
        """Each second: hang up on whoever was disabled, or lost the key that they signed in with, on whatever node."""
        while True:
            await asyncio.sleep(1)
            with suppress(FrameroomError):  # the store does not answer: asked again in a second
                await self._end_unwanted()

    async def _end_unwanted(self) -> None:
        here = {o: (o.identity.engineer_id, o.identity.fingerprint) for o in self.connections.values() if o.identity}
        if here:
            unwanted = await self.authenticator.must_leave(frozenset(here.values()))
            for owner, signed_in_by in here.items():
                if signed_in_by in unwanted:
                    owner.end(unwanted[signed_in_by])

    async def drain(self) -> None:
        """Take no new connections or channels; return when the last visit is over."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        while any(owner.channels for owner in self.connections.values()):
            self._visit_over.clear()
            await self._visit_over.wait()
        for owner in tuple(self.all):
            owner.end("Frameroom is stopping.")

    def end_connection(self, connection_id: str, message: str) -> None:
        """Hang up one connection; nothing when it is gone."""
        for owner in tuple(self.connections.values()):
            if owner.identity is not None and owner.identity.connection_id == connection_id:
                owner.end(message)

    def end_engineer(self, engineer_id: str, message: str) -> None:
        """Hang up everything of one engineer."""
        for owner in tuple(self.connections.values()):
            if owner.identity is not None and owner.identity.engineer_id == engineer_id:
                owner.end(message)

    def gone(self, owner: _Owner) -> None:
        """A connection is no more."""
        self.all.discard(owner)
        self._moved.set()

    def hung_up(self, identity: Identity) -> None:
        """A signed-in connection is gone: its visits end."""
        self.spawn(self._handler.hung_up(identity))

    def spawn(self, work: Any) -> None:
        """Run it in the door's own group; its failure is logged and ends nothing else."""
        if self._group is None:
            work.close()
        else:
            task = self._group.create_task(_guarded(work))
            self._leaving.add(task)
            task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._leaving.discard(task)
        self._moved.set()

    def begin(self, owner: _Owner, channel: Channel, identity: Identity | None) -> None:
        """Serve a channel in a task of the door's own group."""
        if self._group is None or identity is None:
            channel.exit(1)
            return
        owner.channels.add(channel)
        self._group.create_task(self._serve(owner, channel, identity))

    async def _serve(self, owner: _Owner, channel: Channel, identity: Identity) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._handle(channel, identity))
            closed = group.create_task(channel.closed.wait())
            await asyncio.wait({task, closed}, return_when=asyncio.FIRST_COMPLETED)
            task.cancel()
            closed.cancel()
        owner.channels.discard(channel)
        self._visit_over.set()

    async def _handle(self, channel: Channel, identity: Identity) -> None:
        try:
            code = await self._handler.run(channel, identity)
        except Exception as error:
            if channel.closed.is_set():
                return
            incident = new_id("inc")
            log.error("session crashed", incident=incident, exc_info=error)
            with suppress(OSError, asyncssh.Error):
                channel.write_err(f"Something went wrong on our side. Tell the operator: {incident}\n")
            code = 1
        channel.exit(code)


async def _guarded(work: Any) -> None:
    try:
        await work
    except Exception as error:
        log.error("after a hang-up", exc_info=error)
