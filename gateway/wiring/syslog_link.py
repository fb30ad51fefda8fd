"""One TLS connection to a receiver of the log. It only sends; what it learns is whether the receiver read.

Syslog over TLS has no acknowledgement (RFC 5425 section 4.4). The end of a connection is one, though: when all was
sent, our kernel holds nothing that the receiver's has not taken, we have said that no more comes, and the receiver
then closes in its turn, it has read what came before. One that is killed with something unread makes its kernel answer
with a reset, and one that hangs does not answer at all.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import ssl
import struct
import termios
from enum import Enum
from typing import Final

from config.settings import Receiver

_CONNECT_S: Final = 10.0
_STUCK_S: Final = 30.0
_END_S: Final = 10.0
_POLL_S: Final = 0.05


def context_of(receiver: Receiver) -> ssl.SSLContext:
    """Its TLS as the settings say it. ssl.SSLError, OSError or ValueError for files that are none of what they should
    be."""
    context = ssl.create_default_context(cafile=str(receiver.ca_file) if receiver.ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if receiver.pin is not None and receiver.ca_file is None:
        # RFC 5425 section 4.2.2: the fingerprint of the very certificate takes the place of an authority.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if receiver.certificate is not None:
        context.load_cert_chain(receiver.certificate, receiver.key, password=lambda: "")
    return context


class Ended(Enum):
    """What the end of a connection showed: the receiver read everything; its kernel took everything, and it does not
    close (it hangs, or never does); or neither."""

    READ = 1
    TAKEN = 2
    BROKEN = 3


class _Sending(asyncio.Protocol):
    """Room to write, and the end: what the receiver says is not listened to."""

    def __init__(self) -> None:
        self.room, self.over = asyncio.Event(), asyncio.Event()
        self.room.set()
        self.error: BaseException | None = None
        self.hung_up = False

    def pause_writing(self) -> None:
        """It does not read as fast as we write."""
        self.room.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.room.set()

    def eof_received(self) -> None:
        """It closes, and had not been asked to unless `finish` was called."""
        self.hung_up = True

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end, orderly or not."""
        self.error = exc
        self.over.set()
        self.room.set()


class Link:
    """An open connection. OSError (ssl.SSLError and TimeoutError among them) whenever it does not work."""

    def __init__(self, transport: asyncio.Transport, protocol: _Sending) -> None:
        self._transport, self._protocol = transport, protocol

    @property
    def is_broken(self) -> bool:
        """True once the receiver is gone."""
        return self._protocol.over.is_set() or self._protocol.hung_up or self._transport.is_closing()

    async def send(self, data: bytes) -> None:
        """Hand over; waits while the receiver is behind, but not for ever."""
        if self.is_broken:
            raise ConnectionResetError("the receiver hung up")
        self._transport.write(data)
        async with asyncio.timeout(_STUCK_S):
            await self._protocol.room.wait()
        if self.is_broken:
            raise ConnectionResetError("the receiver hung up")

    async def finish(self) -> Ended:
        """End it, and what that showed."""
        taken = False
        try:
            async with asyncio.timeout(_END_S):
                # Twice nothing: between our buffers and the kernel's, something may be on its way.
                empty = 0
                while empty < 2:
                    if self.is_broken:
                        return Ended.BROKEN
                    empty = 0 if self._left() else empty + 1
                    await asyncio.sleep(_POLL_S)
                taken = True
                self._transport.close()
                await self._protocol.over.wait()
                return Ended.READ if self._protocol.error is None else Ended.BROKEN
        except TimeoutError:
            return Ended.TAKEN if taken else Ended.BROKEN
        except OSError:
            return Ended.BROKEN
        finally:
            self.abort()

    def _left(self) -> int:
        """Bytes that the receiver's kernel has not taken."""
        if waiting := self._transport.get_write_buffer_size():
            return waiting
        file = self._transport.get_extra_info("socket").fileno()
        # SIOCOUTQ of tcp(7) is the terminals' request of another name.
        raw = fcntl.ioctl(file, termios.TIOCOUTQ, struct.pack("i", 0))
        return int(struct.unpack("i", raw)[0])

    def abort(self) -> None:
        """Drop it."""
        self._transport.abort()


async def connect(receiver: Receiver, context: ssl.SSLContext) -> Link:
    """Nothing is sent before the receiver has proven who it is."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_CONNECT_S):
        transport, protocol = await loop.create_connection(
            _Sending, receiver.host, receiver.port, ssl=context,
            server_hostname=receiver.server_name or receiver.host, ssl_shutdown_timeout=_END_S,
        )  # fmt: skip
    link = Link(transport, protocol)
    if receiver.pin is not None:
        seen = transport.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
        if hashlib.sha256(seen).hexdigest() != receiver.pin.partition(":")[2].replace(":", "").lower():
            link.abort()
            raise ssl.SSLCertVerificationError("its certificate is not the pinned one")
    return link
