"""The command line's way to a serving process: a Unix socket, one JSON line each way, callers named by the kernel."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import struct
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from connectors.errors import ConnectorError
from gateway.errors import FrameroomError
from gateway.wiring.admin import Admin

_LIMIT = 64 << 20


def login_of(uid: int) -> str:
    """The operating system's name of a user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def failure(error: Exception) -> dict[str, Any]:
    """An error as it travels: {error, next, exit}."""
    if isinstance(error, FrameroomError):
        return {"error": error.message, "next": error.next_step, "exit": error.exit_code}
    if isinstance(error, ConnectorError):
        return {"error": error.message, "next": error.next_step, "exit": 1}
    if isinstance(error, ValidationError):
        return {"error": str(error), "next": "", "exit": 2}
    # The type alone: a message could carry what must not be shown.
    return {
        "error": f"something went wrong on our side ({type(error).__name__})",
        "next": "Tell the maintainer.",
        "exit": 1,
    }


class Control:
    """Serves Admin on `path` (mode 0600)."""

    def __init__(self, admin: Admin, path: Path) -> None:
        self._admin, self._path = admin, path

    async def run(self) -> None:
        """Serve until cancelled."""
        self._path.unlink(missing_ok=True)
        old = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._serve, str(self._path), limit=_LIMIT)
        finally:
            os.umask(old)
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            _, uid, _ = struct.unpack("3i", raw)
            asked = json.loads(await reader.readline())
            try:
                answer = {"result": await self._admin.call(asked["name"], login_of(uid), asked["given"])}
            except Exception as error:
                answer = failure(error)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        finally:
            writer.close()


async def ask(path: Path, name: str, given: dict[str, Any]) -> dict[str, Any] | None:
    """Ask a serving process; None when there is none."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=_LIMIT)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    writer.write(json.dumps({"name": name, "given": given}).encode() + b"\n")
    line = await reader.readline()
    writer.close()
    answer: dict[str, Any] = json.loads(line)
    return answer
