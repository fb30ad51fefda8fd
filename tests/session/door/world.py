"""A door on loopback with the real registry of engineers behind it, and clients as processes of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pyotp

from audit.clock import LogClock, wall_ms
from audit.log import AuditLog
from audit.sealing import FileKeyStore, FileMasterKey
from gateway.identity.engineers import Engineers
from gateway.session.channel import Channel, Identity, Interrupted
from gateway.session.ssh_server import Door, DoorSettings
from gateway.store import schema
from gateway.store.engine import Store
from gateway.vault import Vault

LOGIN = "kim.engineer"


class Clock:
    """A wall clock that a test moves on, so that each sign-in has a one-time code of its own."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return wall_ms() + self.ahead_ms


@dataclass
class EchoHandler:
    """A session layer of a few words, which keeps what a test wants to know."""

    visits: list[Identity] = field(default_factory=list)
    left: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    shown: bytearray = field(default_factory=bytearray)
    channels: list[Channel] = field(default_factory=list)

    async def run(self, channel: Channel, identity: Identity) -> int:
        """One visit."""
        channel.tap = self.shown.extend
        self.visits.append(identity)
        self.channels.append(channel)
        if channel.command is None:
            return await self._shell(channel)
        word, _, rest = channel.command.partition(" ")
        if word == "whoami":
            channel.write(f"{identity.login} {identity.factor} {identity.address} {identity.fingerprint}\n")
            return 0
        if word == "code":
            return int(rest)
        if word == "boom":
            raise RuntimeError("canary-in-an-exception")
        if word == "wait":
            channel.write("waiting\n")
            await channel.closed.wait()
        return 2

    async def _shell(self, channel: Channel) -> int:
        while True:
            try:
                line = await channel.read_line("echo> ")
            except Interrupted:
                continue
            line = line.rstrip("\n") if line is not None else None
            if line is None or line == "exit":
                return 0
            channel.write(f"you said {line}\n")

    async def hung_up(self, identity: Identity) -> None:
        """Noted."""
        self.left.put_nowait(identity.connection_id)


@dataclass
class World:
    """What a test has in hand."""

    folder: Path
    door: Door
    engineers: Engineers
    audit: AuditLog
    store: Store
    handler: EchoHandler
    clock: Clock
    host_key: asyncssh.SSHKey
    secret: str = ""
    codes: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where the door listens."""
        return self.door.port

    def totp(self, login_secret: str | None = None) -> str:
        """A code that was not used before: the clock goes on by one step."""
        self.clock.ahead_ms += 30_000
        return pyotp.TOTP(login_secret or self.secret).at(self.clock() // 1000)

    def key(self, name: str = "id") -> Path:
        """The path of a client's private key."""
        return self.folder / name

    async def enrol(self, login: str, key: asyncssh.SSHKey | None, name: str = "id") -> str:
        """An engineer with a key (written for OpenSSH) and TOTP; returns the secret."""
        await self.engineers.add("op", login, login.title(), f"{login}@maintainer.example", frozenset())
        if key is not None:
            await self.engineers.add_key("op", login, key.export_public_key().decode())
            self.key(name).write_bytes(key.export_private_key("openssh"))
            self.key(name).chmod(0o600)
        return await self.engineers.enrol_totp("op", login)

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """The bodies of the operator's log's events of one kind."""
        async with self.store.operator_log() as scope:
            rows = await self.audit.read(scope.connection, "_operator", limit=10_000)
        return [row.body for row in rows if row.body["kind"] == kind]

    def ssh(self, *words: str) -> list[str]:
        """The command line of an OpenSSH client."""
        known = self.folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {self.host_key.export_public_key().decode()}")
        options = [
            "-F", "none", "-p", str(self.port), "-i", str(self.key()), "-o", "IdentitiesOnly=yes",
            "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR",
        ]  # fmt: skip
        return ["ssh", *options, *words]

    def askpass(self, code: str) -> dict[str, str]:
        """The environment in which OpenSSH answers every question with `code`."""
        script = self.folder / "askpass"
        script.write_text('#!/bin/sh\nprintf "%s\\n" "$FRAMEROOM_TEST_CODE"\n')
        script.chmod(0o700)
        return {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force", "FRAMEROOM_TEST_CODE": code}


@dataclass(frozen=True)
class Done:
    """How a client ended."""

    code: int
    out: str
    err: str


async def run(command: list[str], env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Done:
    """Run a client to its end (60 s at most)."""
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **(env or {})},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it may have ended in this very moment
                process.kill()
    return Done(process.returncode or 0, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


@asynccontextmanager
async def world(
    folder: Path, settings: DoorSettings | None = None, *, template: Path, more_host_keys: Sequence[Any] = ()
) -> AsyncIterator[World]:
    """A door with one engineer, `LOGIN`, whose key is at `World.key()`."""
    shutil.copy(template, folder / "state.db")
    clock = Clock()
    master = FileMasterKey.create(folder / "master.key")
    audit = AuditLog(FileKeyStore(folder / "keyring", master), LogClock(clock))
    store = Store(f"sqlite:///{folder}/state.db")
    engineers = Engineers(store, audit, Vault(audit.keys))
    handler = EchoHandler()
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    settings = settings or DoorSettings(unproven_per_address=50, failures_per_minute=1000)
    door = Door(settings, [host_key, *more_host_keys], engineers, handler)
    here = World(folder, door, engineers, audit, store, handler, clock, host_key)
    here.secret = await here.enrol(LOGIN, asyncssh.generate_private_key("ssh-ed25519"))
    here.codes = await engineers.issue_codes("op", LOGIN)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(door.run())
        await door.ready.wait()
        try:
            yield here
        finally:
            serving.cancel()
    await store.close()


def make_template(path: Path) -> Path:
    """A database with the schema, to be copied for each test."""
    schema.upgrade(f"sqlite:///{path}")
    return path
