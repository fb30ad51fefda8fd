"""The command line's end of the control socket (control.py serves the other): asks, and says what went wrong.

What a command needs to ask a gateway that runs, and no more: it imports nothing of what a gateway is made of.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
from pathlib import Path
from typing import Any, Final, Protocol

from connectors.errors import ConnectorError
from gateway.errors import EXIT_FAILED, AmbiguousError, FrameroomError, UnavailableError

Row = dict[str, Any]
LIMIT: Final = 64 << 20
"""Bytes of a line."""
_NOBODY_CAME_IN: Final = 2**32 - 1
LONGEST_PATH: Final = 107
"""Bytes of a Unix socket's name (unix(7))."""


class Stream(Protocol):
    """Where a command that goes on for a while puts what it has so far. Both may wait for whoever reads."""

    async def rows(self, rows: list[Row]) -> None:
        """More of the result."""

    async def progress(self, told: Row) -> None:
        """How far it came: no part of the result."""


class Gathered:
    """A Stream that keeps the rows, for whoever wants the whole result at once."""

    def __init__(self) -> None:
        self.all: list[Row] = []

    async def rows(self, rows: list[Row]) -> None:
        """Keep them."""
        self.all += rows

    async def progress(self, told: Row) -> None:
        """Nobody looks."""


def login_of(uid: int, pid: int) -> str:
    """The login of whoever is behind a process: the account with which they came into this machine, which `sudo` and
    `su` leave as it is (pam_loginuid(8), proc_pid_loginuid(5)); without one, as in a container, the process's user."""
    try:
        came_in = int(Path(f"/proc/{pid}/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        came_in = _NOBODY_CAME_IN
    person = uid if came_in == _NOBODY_CAME_IN else came_in
    try:
        return pwd.getpwuid(person).pw_name
    except KeyError:
        return f"uid {person}"


def own_login() -> str:
    """That of whoever runs this command."""
    return login_of(os.getuid(), os.getpid())


def failure(error: BaseException) -> Row:
    """An error as it travels: {error, matches, next, exit}."""
    matches: list[str] = []
    if isinstance(error, FrameroomError):
        matches = list(error.matches) if isinstance(error, AmbiguousError) else []
        message, following, code = error.message, error.next_step, error.exit_code
    elif isinstance(error, ConnectorError):
        message, following, code = error.message, error.next_step, EXIT_FAILED
    elif isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        message, following, code = f"{error.strerror or type(error).__name__}{place}", "", EXIT_FAILED
    else:
        message, following, code = *_of_the_gateway(error), EXIT_FAILED
    return {"error": message, "matches": matches, "next": following, "exit": code}


def _of_the_gateway(error: BaseException) -> tuple[str, str]:
    """Words, and what to do next, for an error of what a gateway is made of: imported only when there is one."""
    from sqlalchemy.exc import SQLAlchemyError

    from audit.publisher import LogForked
    from audit.sealing import MasterKeyAway, SealingError
    from audit.sequencer import LogBehind
    from audit.storage import StorageError

    if isinstance(error, LogBehind | LogForked | SealingError | StorageError):
        return str(error), ""
    if isinstance(error, MasterKeyAway):
        return str(error), "`frameroom config check` tries the master key."
    if isinstance(error, SQLAlchemyError):
        following = "`frameroom db status` shows whether it has the newest schema."
        return f"the database does not do what it should ({type(error).__name__})", following
    # The type alone: a message could carry what must not be shown.
    return f"something went wrong on our side ({type(error).__name__})", "Tell the maintainer."


async def ask(path: Path, name: str, given: Row, stream: Stream | None = None) -> Row | None:
    """Ask a serving process; None when there is none.

    `stream` gets what it tells on the way; without one its rows are the result. UnavailableError when the process
    ends before it has answered, answers nonsense, or may not be asked by this user.
    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        return None  # none can serve there
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=LIMIT)
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
