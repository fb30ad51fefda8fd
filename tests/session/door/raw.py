"""Raw packets at the door: plain ones on a socket, encrypted ones after a key exchange by asyncssh's client."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncssh
from asyncssh.packet import Boolean, Byte, NameList, SSHPacket, String, UInt32

from tests.session.door.world import World

FAILURE, SUCCESS, INFO_REQUEST, OPEN_CONFIRMED, OPEN_FAILED = 51, 52, 60, 91, 92


def plain(payload: bytes) -> bytes:
    """An unencrypted packet (RFC 4253 section 6)."""
    padding = 8 - (5 + len(payload)) % 8
    padding += 8 if padding < 4 else 0
    return UInt32(1 + len(payload) + padding) + Byte(padding) + payload + bytes(padding)


def kexinit(kex: list[bytes] | None = None, host_keys: list[bytes] | None = None, *, guess: bool = False) -> bytes:
    """A client's KEXINIT; strict key exchange unless `kex` is given."""
    lists = [
        kex or [b"curve25519-sha256", b"kex-strict-c-v00@openssh.com"], host_keys or [b"ssh-ed25519"],
        *[[b"aes128-gcm@openssh.com"]] * 2, *[[b"hmac-sha2-256-etm@openssh.com"]] * 2, *[[b"none"]] * 2, [], [],
    ]  # fmt: skip
    return Byte(20) + os.urandom(16) + b"".join(NameList(x) for x in lists) + Boolean(guess) + UInt32(0)


@asynccontextmanager
async def socket_to(here: World) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare TCP connection to the door."""
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):  # the door may have reset it
            await writer.wait_closed()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the door closes; TimeoutError when it does not."""
    got = b""
    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                got += piece
    return got


async def until(reader: asyncio.StreamReader, kind: int) -> list[int]:
    """The kinds of the plain packets that come, up to one of this kind or the door's hanging up."""
    got, kinds = b"", []
    async with asyncio.timeout(10):
        while kind not in kinds and (piece := await reader.read(65536)):
            got += piece
            kinds = [payload[0] for payload in packets(got) if payload]
    return kinds


def packets(stream: bytes) -> list[bytes]:
    """The payloads of plain packets behind the version line."""
    data, found = stream.partition(b"\n")[2], []
    while len(data) > 5:
        length = int.from_bytes(data[:4], "big")
        found.append(data[5 : 4 + length - data[4]])
        data = data[4 + length :]
    return found


class _Recorder:
    """Takes the place of the client's authentication: keeps every packet."""

    def __init__(self, queue: asyncio.Queue[bytes]) -> None:
        self._queue = queue

    def log_received_packet(self, *args: Any) -> None:
        """Nothing."""

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> bool:
        """Keep it."""
        self._queue.put_nowait(packet.get_full_payload())
        return True

    def cancel(self) -> None:
        """Nothing to stop."""


class RawClient(asyncssh.SSHClientConnection):
    """A client that has exchanged keys and been accepted for authentication, and then does as the test says."""

    def __init__(self, loop: asyncio.AbstractEventLoop, options: Any, asks_service: bool) -> None:
        super().__init__(loop, options, wait="auth")
        self.got: asyncio.Queue[bytes] = asyncio.Queue()
        self.ready = asyncio.Event()
        self.lost = asyncio.Event()
        self._asks_service = asks_service

    def send_service_request(self, service: bytes) -> None:
        """As the test wants."""
        if self._asks_service:
            super().send_service_request(service)
        else:
            self._loop.call_soon(self.ready.set)

    def try_next_auth(self, *, next_method: bool = False) -> None:
        """The door is ready for authentication."""
        self._auth = _Recorder(self.got)  # type: ignore[assignment]
        self.ready.set()

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> Any:
        """Keep what answers, pass what makes the connection."""
        if pkttype in (1, 2, 4, 5, 6, 7, 20, 21):
            return super().process_packet(pkttype, pktid, packet)
        self.got.put_nowait(packet.get_full_payload())
        return True

    def connection_lost(self, exc: Exception | None = None) -> None:
        """The door hung up."""
        self.lost.set()
        super().connection_lost(exc)

    def _force_close(self, exc: Exception | None) -> None:
        self.lost.set()
        super()._force_close(exc)

    def send(self, payload: bytes) -> None:
        """Send a payload as it is, whatever the client library thinks of its state."""
        self._auth_in_progress = self._auth_complete = True
        self.send_packet(payload[0], payload[1:])

    async def answer(self) -> bytes:
        """The next packet, or b"" when the door hung up."""
        async with asyncio.timeout(10):
            getting, losing = asyncio.ensure_future(self.got.get()), asyncio.ensure_future(self.lost.wait())
            await asyncio.wait({getting, losing}, return_when=asyncio.FIRST_COMPLETED)
            losing.cancel()
            if getting.done():
                return getting.result()
            getting.cancel()
            return b""

    async def hung_up(self) -> bool:
        """True when the door closes; answers are kept in `got`."""
        async with asyncio.timeout(10):
            return await self.lost.wait()


@asynccontextmanager
async def raw_client(here: World, *, asks_service: bool = True) -> AsyncIterator[RawClient]:
    """A RawClient after its key exchange."""
    loop = asyncio.get_running_loop()
    options = asyncssh.SSHClientConnectionOptions(
        username="nobody", known_hosts=None, client_keys=None, agent_path=None, config=None,
        kex_algs=["curve25519-sha256"],
    )  # fmt: skip
    options.waiter = loop.create_future()
    _, client = await loop.create_connection(lambda: RawClient(loop, options, asks_service), "127.0.0.1", here.port)
    async with asyncio.timeout(10):
        await client.ready.wait()
    try:
        yield client
    finally:
        options.waiter.cancel()
        client.abort()


def auth(login: str, method: str, *fields: bytes, service: bytes = b"ssh-connection") -> bytes:
    """A USERAUTH_REQUEST."""
    return Byte(50) + String(login) + String(service) + String(method) + b"".join(fields)


def signed(client: RawClient, login: str, key: asyncssh.SSHKey) -> bytes:
    """A publickey request with its signature."""
    head = auth(login, "publickey", Boolean(True), String(key.algorithm), String(key.public_data))
    return head + String(key.sign(String(client._session_id) + head, key.algorithm))


def offered(login: str, key: asyncssh.SSHKey) -> bytes:
    """A publickey request without one."""
    return auth(login, "publickey", Boolean(False), String(key.algorithm), String(key.public_data))
