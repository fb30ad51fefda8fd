"""The command line's way to a serving process: a Unix socket, JSON lines, callers named by the kernel.

One line asks: {name, given}. Any number of lines {rows} and {progress} may follow, and one ends it: {result}, or
{error, matches, next, exit}.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import struct
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from audit.publisher import LogForked
from audit.sealing import SealingError
from audit.sequencer import LogBehind
from audit.storage import StorageError
from connectors.errors import ConnectorError
from gateway.errors import EXIT_FAILED, AmbiguousError, FrameroomError, UnavailableError
from gateway.wiring.admin import Admin, Gathered, Row, Stream

log = structlog.get_logger()

_LIMIT: Final = 64 << 20
_LAST_WORD_S: Final = 5
_LONGEST_PATH: Final = 107
"""Bytes of a Unix socket's name (unix(7))."""


def login_of(uid: int) -> str:
    """The operating system's name of a user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def failure(error: BaseException) -> Row:
    """An error as it travels: {error, matches, next, exit}."""
    matches: list[str] = []
    if isinstance(error, FrameroomError):
        matches = list(error.matches) if isinstance(error, AmbiguousError) else []
        message, following, code = error.message, error.next_step, error.exit_code
    elif isinstance(error, ConnectorError):
        message, following, code = error.message, error.next_step, EXIT_FAILED
    elif isinstance(error, LogBehind | LogForked | SealingError | StorageError):
        message, following, code = str(error), "", EXIT_FAILED
    elif isinstance(error, SQLAlchemyError):
        message, code = f"the database does not do what it should ({type(error).__name__})", EXIT_FAILED
        following = "`frameroom db status` shows whether it has the newest schema."
    elif isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        message, following, code = f"{error.strerror or type(error).__name__}{place}", "", EXIT_FAILED
    else:
        # The type alone: a message could carry what must not be shown.
        message, code = f"something went wrong on our side ({type(error).__name__})", EXIT_FAILED
        following = "Tell the maintainer."
    return {"error": message, "matches": matches, "next": following, "exit": code}


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
        if len(os.fsencode(self._path)) > _LONGEST_PATH:
            raise UnavailableError(
                "the path of the deployment's folder is too long for its control socket",
                next_step=f"Put storage.data_dir where {self._path.name} has at most {_LONGEST_PATH} bytes in all.",
            )
        self._path.unlink(missing_ok=True)
        async with asyncio.TaskGroup() as group:

            def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                group.create_task(self._serve(reader, writer))

            old = os.umask(0o177)
            try:
                server = await asyncio.start_unix_server(begin, str(self._path), limit=_LIMIT)
            finally:
                os.umask(old)
            async with server:
                await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            _, uid, _ = struct.unpack("3i", raw)
            answer = await self._answer(reader, _Wire(writer), login_of(uid))
            if answer is not None:
                async with asyncio.timeout(_LAST_WORD_S):
                    await _Wire(writer).send(answer)
        except (OSError, TimeoutError) as error:
            # Whoever asked is gone or does not read: what was done stays done.
            log.debug("an answer was not taken", kind=type(error).__name__)
        except Exception as error:
            log.error("a control connection crashed", kind=type(error).__name__)
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


async def ask(path: Path, name: str, given: Row, stream: Stream | None = None) -> Row | None:
    """Ask a serving process; None when there is none.

    `stream` gets what it tells on the way; without one its rows are the result. UnavailableError when the process
    ends before it has answered, answers nonsense, or may not be asked by this user.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        return None  # none can serve there
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=_LIMIT)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except PermissionError as error:
        raise UnavailableError(
            "you may not ask the Frameroom that serves here", next_step="Do it as the user that runs it (`sudo -u`)."
        ) from error
    gathered = Gathered()
    try:
        writer.write(json.dumps({"name": name, "given": given}).encode() + b"\n")
        while "result" not in (said := _said(await _line(reader), path)) and "error" not in said:
            if "rows" in said:
                await (stream or gathered).rows(said["rows"])
            else:
                await (stream or gathered).progress(said["progress"])
    finally:
        writer.close()
    return {"result": gathered.all} if said.get("result", "") is None else said


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except (OSError, EOFError, asyncio.LimitOverrunError) as error:
        raise UnavailableError(
            "the serving process ended before it had answered",
            next_step="Look whether it was done before you do it again.",
        ) from error


def _said(line: bytes, path: Path) -> Row:
    """One line of an answer, its shape checked: what stands at the socket may be anything."""
    try:
        said = json.loads(line)
        if "error" in said:
            return {
                "error": str(said["error"]), "matches": [str(match) for match in said.get("matches", [])],
                "next": str(said.get("next", "")), "exit": int(said.get("exit", EXIT_FAILED)),
            }  # fmt: skip
        if "rows" in said and all(isinstance(row, dict) for row in said["rows"]):
            return {"rows": list(said["rows"])}
        if "progress" in said:
            return {"progress": dict(said["progress"])}
        return {"result": said["result"]}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UnavailableError(
            "what answers at the control socket is no Frameroom, or another version of it",
            next_step=f"It is {path}; restart `frameroom serve`.",
        ) from error
