"""TLS as Asterisk's manager interface reads it (main/manager.c, `get_input`; seen on a live 22.10.1).

It waits for its socket, and then takes what its buffer has room for, at most 1,024 bytes. What it has not taken of a
record it does not look at before something more comes: a larger record than that is not read to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl

BUFFER = 1024


class Front:
    """One client's connection, on whose other side is `port` without TLS."""

    def __init__(self, tls: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._reader, self._writer = reader, writer
        self._held = bytearray()
        """What the socket has, and nobody has read."""

    async def serve(self, port: int) -> None:
        """Until one side hangs up."""
        there: asyncio.StreamWriter | None = None
        pumps = list[asyncio.Task[None]]()
        try:
            with contextlib.suppress(OSError, EOFError, ssl.SSLError):
                await self._shake_hands()
                answers, there = await asyncio.open_connection("127.0.0.1", port)
                pumps = [asyncio.ensure_future(self._asks(there)), asyncio.ensure_future(self._tells(answers))]
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            with contextlib.suppress(OSError, ssl.SSLError):
                self._tls.unwrap()
            with contextlib.suppress(OSError, ssl.SSLError):
                await self._flush()
            self._writer.close()
            if there is not None:
                there.close()

    async def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._record()
            else:
                return await self._flush()

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            self._writer.write(data)
            await self._writer.drain()

    async def _more(self) -> None:
        data = await self._reader.read(1 << 16)
        if not data:
            raise EOFError
        self._held += data

    async def _record(self) -> None:
        """One, from the socket."""
        while len(self._held) < 5 or len(self._held) < 5 + int.from_bytes(self._held[3:5], "big"):
            await self._more()
        size = 5 + int.from_bytes(self._held[3:5], "big")
        self._incoming.write(self._held[:size])
        del self._held[:size]

    async def _asks(self, there: asyncio.StreamWriter) -> None:
        of_a_line = 0
        while True:
            if not self._held:
                await self._more()  # it waits for the socket, whatever it has of a record
            if not self._tls.pending():
                await self._record()
            try:
                data = self._tls.read(BUFFER - of_a_line)
            except ssl.SSLWantReadError:
                continue
            if not data:
                return
            there.write(data)
            await there.drain()
            end = data.rfind(b"\n") + 1
            of_a_line = len(data) - end if end else of_a_line + len(data)
            of_a_line = of_a_line if of_a_line < BUFFER else 1

    async def _tells(self, answers: asyncio.StreamReader) -> None:
        while data := await answers.read(1 << 16):
            self._tls.write(data)
            await self._flush()
