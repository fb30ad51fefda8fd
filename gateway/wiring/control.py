"""The command line's way to a serving process: a Unix socket, JSON lines, callers named by the kernel.

One line asks: {name, given}. Any number of lines {rows} and {progress} may follow, and one ends it: {result}, or
{error, matches, next, exit}.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from pathlib import Path
from typing import Final

import structlog

from gateway.errors import UnavailableError
from gateway.wiring.admin import Admin
from gateway.wiring.asking import LIMIT, LONGEST_PATH, Row, failure, login_of

log = structlog.get_logger()

_LAST_WORD_S: Final = 5


class _Wire:
    """A Stream to whoever asked. It waits while they do not read."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, message: Row) -> None:
        """One line."""
        self._writer.write(json.dumps(message).encode() + b"\n")
        await self._writer.drain()

    async def rows(self, rows: list[Row]) -> None:
        """More of the result."""
        await self.send({"rows": rows})

    async def progress(self, told: Row) -> None:
        """How far it came."""
        await self.send({"progress": told})


class Control:
    """Serves Admin on `path` (mode 0600)."""

    def __init__(self, admin: Admin, path: Path) -> None:
        self._admin, self._path = admin, path

    async def run(self) -> None:
        """Serve until cancelled; what is being answered then is cancelled too. UnavailableError for too long a path."""
        if len(os.fsencode(self._path)) > LONGEST_PATH:
            raise UnavailableError(
                "the path of the deployment's folder is too long for its control socket",
                next_step=f"Put storage.data_dir where {self._path.name} has at most {LONGEST_PATH} bytes in all.",
            )
        self._path.unlink(missing_ok=True)
        async with asyncio.TaskGroup() as group:

            def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                group.create_task(self._serve(reader, writer))

            old = os.umask(0o177)
            try:
                server = await asyncio.start_unix_server(begin, str(self._path), limit=LIMIT)
            finally:
                os.umask(old)
            async with server:
                await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            pid, uid, _ = struct.unpack("3i", raw)
            answer = await self._answer(reader, _Wire(writer), login_of(uid, pid))
            if answer is not None:
                async with asyncio.timeout(_LAST_WORD_S):
                    await _Wire(writer).send(answer)
        except (OSError, TimeoutError) as error:
            # Whoever asked is gone or does not read: what was done stays done.
            log.debug("an answer was not taken", kind=type(error).__name__)
        except Exception as error:
            log.error("a control connection crashed", exc_info=error)
        finally:
            if not writer.transport.is_closing() and writer.transport.get_write_buffer_size():
                writer.transport.abort()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, wire: _Wire, actor: str) -> Row | None:
        try:
            asked = json.loads(await reader.readline())
            name, given = str(asked["name"]), dict(asked["given"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return failure(UnavailableError("that was no question of the command line"))
        if not self._admin.streams(name):
            return await self._call(name, actor, given, wire)
        # What goes on for a while ends when whoever asked is gone; anything else is done to its end.
        async with asyncio.TaskGroup() as group:
            work = group.create_task(self._call(name, actor, given, wire))
            gone = group.create_task(reader.read(1))
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            answered = work.done()
            work.cancel()
            gone.cancel()
        return work.result() if answered else None

    async def _call(self, name: str, actor: str, given: Row, wire: _Wire) -> Row:
        try:
            result = await self._admin.call(name, actor, given, wire)
        except Exception as error:
            return failure(error)
        # None: what was streamed is all there is, and is not sent again.
        return {"result": result}
