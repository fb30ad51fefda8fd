"""Identity before credential, deadlines and caps: over real SSH."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncssh
import pytest

from connectors.base import NoSettings
from connectors.contract import Credential, Target
from connectors.errors import (
    ConnectorError,
    CredentialRefused,
    IdentityMismatch,
    InvalidValue,
    ProtocolViolation,
    Unreachable,
)
from connectors.lab.connector import LabFamily
from connectors.transport import ssh


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
async def test_another_host_key_is_refused_before_the_credential_is_opened(lab: Any, target: Any, kind: str) -> None:
    async def unseal() -> Credential:
        raise AssertionError("the credential was opened")

    other = asyncssh.generate_private_key(kind).export_public_key().decode()
    with pytest.raises(IdentityMismatch):
        await LabFamily().connect(target(lab, pin=other), unseal)


async def test_a_pin_that_is_no_key_is_said_so(lab: Any, dial: Any) -> None:
    with pytest.raises(InvalidValue):
        await dial(lab, pin="nonsense")


async def test_another_key_is_refused(lab: Any, target: Any) -> None:
    async def unseal() -> Credential:
        other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
        return Credential("frameroom", private_key=other)

    with pytest.raises(CredentialRefused):
        await LabFamily().connect(target(lab), unseal)


async def test_a_key_that_cannot_be_read_is_refused_without_quoting_it(lab: Any, target: Any) -> None:
    async def unseal() -> Credential:
        return Credential("frameroom", private_key="CANARY-key")

    with pytest.raises(CredentialRefused) as caught:
        await LabFamily().connect(target(lab), unseal)
    assert "CANARY" not in repr(caught.value)
    assert caught.value.__cause__ is None


async def test_what_goes_wrong_while_unsealing_comes_out_as_it_is(lab: Any, target: Any) -> None:
    class VaultShutError(Exception):
        pass

    async def unseal() -> Credential:
        raise VaultShutError

    with pytest.raises(VaultShutError):
        await LabFamily().connect(target(lab), unseal)


async def test_nobody_there_and_somebody_silent_are_unreachable(lab: Any, dial: Any) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unreachable):
        await dial(lab, port=port, connect_timeout_ms=300)
    server.close()
    with pytest.raises(Unreachable):
        await dial(lab, port=port)


@asynccontextmanager
async def phone_system(process: Any) -> AsyncIterator[tuple[Target, Any]]:
    """One that answers as `process` does."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    public = key.export_public_key().decode()
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[key], process_factory=process, encoding=None,
        authorized_client_keys=asyncssh.import_authorized_keys(public),
    )  # fmt: skip

    async def unseal() -> Credential:
        return Credential("frameroom", private_key=key.export_private_key().decode())

    yield Target("sys_1", "127.0.0.1", server.get_port(), public, NoSettings(), 5000, 1000), unseal
    server.close()


async def test_a_password_is_presented_where_no_key_is_stored() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    given = []

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            given.append((username, password))
            return password == "right"

    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key], server_factory=Server)
    pin = key.export_public_key().decode()
    target = Target("sys_1", "127.0.0.1", server.get_port(), pin, NoSettings())
    for password in ("right", "wrong"):

        async def unseal(password: str = password) -> Credential:
            return Credential("console", password=password)

        if password == "right":
            (await ssh.connect(target, unseal, "console")).abort()
        else:
            with pytest.raises(CredentialRefused):
                await ssh.connect(target, unseal, "console")
    server.close()
    assert given == [("console", "right"), ("console", "wrong")]


@pytest.mark.parametrize(
    "answer",
    [b"\n", b"nonsense\n", b"[]\n", b'{"ok":true}\n', b'{"n":1}\n', b'{"n":1,"person":7}\n', b"\xff\xfe\n",
     b'{"n":1,"person":{"id":1}}\n', b'{"n":2,"person":{}}\n', b"[" * 100_000 + b"\n", b"x" * 3_000_000, b""],
)  # fmt: skip
async def test_an_answer_that_makes_no_sense_is_a_typed_error(answer: bytes) -> None:
    async def process(channel: asyncssh.SSHServerProcess[bytes]) -> None:
        await channel.stdin.readline()
        channel.stdout.write(answer)
        channel.exit(0)

    async with phone_system(process) as (target, unseal):
        connector = await LabFamily().connect(target, unseal)
        with pytest.raises(ConnectorError) as caught:
            await connector.view("2001")
        assert isinstance(caught.value, ProtocolViolation | Unreachable)


async def collect(target: Target, unseal: Any, max_bytes: int) -> int:
    connection = await ssh.connect(target, unseal, "frameroom")
    return sum([len(data) async for data in ssh.stream(connection, "x", 1000, max_bytes=max_bytes)])


async def test_an_endless_answer_ends_at_the_cap() -> None:
    async def process(channel: asyncssh.SSHServerProcess[bytes]) -> None:
        while True:
            channel.stdout.write(b"x" * 65536)
            await channel.stdout.drain()

    async with phone_system(process) as (target, unseal):
        with pytest.raises(ProtocolViolation, match="too long"):
            await collect(target, unseal, 1 << 20)


async def test_an_answer_that_stalls_or_breaks_off_is_not_taken_for_whole() -> None:
    async def stall(channel: asyncssh.SSHServerProcess[bytes]) -> None:
        channel.stdout.write(b"half")
        await asyncio.Event().wait()

    async def break_off(channel: asyncssh.SSHServerProcess[bytes]) -> None:
        channel.stdout.write(b"half")
        await channel.stdout.drain()
        channel.channel.get_connection().abort()

    for process in (stall, break_off):
        async with phone_system(process) as (target, unseal):
            with pytest.raises(ProtocolViolation):
                await collect(target, unseal, 1 << 20)
