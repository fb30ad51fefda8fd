"""The light phone system behind every peer: a prompt with an echo, and one long answer, at the cost of a copy.

`python -m bench.target FOLDER MEGABYTES`: prints its port, host key and process id as JSON; ends with its standard
input. Any key is let in, so that each peer pays for a key and no peer for a lookup.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import asyncssh
import uvloop

PROMPT = "target> "
_PIECE = 32 << 10


class _Server(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        """Everybody has to sign."""
        return True

    def public_key_auth_supported(self) -> bool:
        """By a key."""
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Any key."""
        return True


def text(megabytes: int) -> list[bytes]:
    """What a diagnostic command prints, in pieces."""
    line = "      Aor:  %-51s  2\n"
    piece = b"".join((line % number).encode() for number in range(100_000, 100_000 + _PIECE // 66))
    return [piece] * ((megabytes << 20) // len(piece))


async def _bulk(process: asyncssh.SSHServerProcess[bytes], pieces: list[bytes]) -> None:
    for piece in pieces:
        process.stdout.write(piece)
        await process.stdout.drain()


async def _helper(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """What a connection asks at its beginning: how its own login is called. It has no person to tell of."""
    async for line in process.stdin:
        number = json.loads(line)["n"]
        process.stdout.write(json.dumps({"n": number, "ok": True, "login": "1"}).encode() + b"\n")


async def _prompt(process: asyncssh.SSHServerProcess[bytes]) -> None:
    process.stdout.write(PROMPT.encode())
    line = b""
    while data := await process.stdin.read(4096):
        line = (line + data)[-64:]
        if line.rstrip(b"\r\n").endswith(b"exit") and line[-1:] in b"\r\n":
            return
        process.stdout.write(data.replace(b"\x15", b""))


async def _serve(megabytes: int) -> None:
    pieces = text(megabytes)

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        try:
            if process.command == "lab-helper":
                await _helper(process)
            else:
                await (_prompt(process) if process.command is None else _bulk(process, pieces))
            process.exit(0)
        except (OSError, asyncssh.Error):
            process.close()

    host_key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[host_key], server_factory=_Server, process_factory=handle, encoding=None,
        line_editor=False,
    )  # fmt: skip
    about = {"port": server.get_port(), "host_key": host_key.export_public_key().decode().strip(), "pid": os.getpid()}
    print(json.dumps(about), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
