"""Each trap of a two-step sign-in on this library, from the side of somebody who wants in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.packet import String, UInt32

from gateway.session.ssh_server import DoorSettings
from tests.session.door.world import LOGIN, World, world
from tests.support.fido import SoftwareFido


class Client(asyncssh.SSHClient):
    """Offers one key, then answers codes from a list; notes what it was asked."""

    def __init__(self, key: Any, codes: Sequence[str]) -> None:
        self._keys, self._codes = [key], list(codes)
        self.prompts: list[str] = []

    def public_key_auth_requested(self) -> Any:
        """The key, once."""
        return self._keys.pop() if self._keys else None

    def kbdint_auth_requested(self) -> str | None:
        """While there are codes."""
        return "" if self._codes else None

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> Any:
        """The next code."""
        self.prompts += [prompt for prompt, _ in prompts]
        return [self._codes.pop(0) for _ in prompts]


async def sign_in(here: World, key: Any, codes: Sequence[str] = (), login: str = LOGIN) -> str:
    """Sign in and ask who we are. asyncssh.Error when refused."""
    options = {"known_hosts": None, "username": login, "config": None, "agent_path": None, "password_auth": False}
    connection, _ = await asyncssh.create_connection(lambda: Client(key, codes), "127.0.0.1", here.port, **options)
    async with connection:
        return str((await connection.run("whoami")).stdout)


def own_key(here: World) -> asyncssh.SSHKey:
    """The engineer's key."""
    return asyncssh.read_private_key(here.key())


async def enrolled_fido(here: World, flags: int) -> SoftwareFido:
    fido = SoftwareFido(flags)
    await here.engineers.add_key("op", LOGIN, fido.line())
    return fido


async def test_fido2_with_touch_and_verification_counts_as_both_factors(here: World) -> None:
    assert " fido2 " in await sign_in(here, await enrolled_fido(here, 1 | 4))


async def test_fido2_with_a_touch_alone_still_wants_a_code(here: World) -> None:
    fido = await enrolled_fido(here, 1)
    with pytest.raises(asyncssh.PermissionDenied):
        await sign_in(here, fido)
    assert " totp " in await sign_in(here, fido, [here.totp()])


async def test_fido2_without_a_touch_proves_nothing(here: World) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await sign_in(here, await enrolled_fido(here, 4), [here.totp()])
    assert await here.events("auth.succeeded") == []


async def test_a_key_alone_does_not_sign_in(here: World) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await sign_in(here, own_key(here))
    assert here.handler.visits == []


async def test_a_code_is_taken_once(here: World) -> None:
    code = here.totp()
    assert " totp " in await sign_in(here, own_key(here), [code])
    with pytest.raises(asyncssh.PermissionDenied):
        await sign_in(here, own_key(here), [code])


async def test_the_third_wrong_code_ends_the_connection_and_each_is_logged(here: World) -> None:
    with pytest.raises(asyncssh.Error):
        await sign_in(here, own_key(here), ["000000"] * 3 + [here.totp()])
    assert here.handler.visits == []
    assert len(await here.events("auth.failed")) >= 3


async def test_codes_are_delayed_over_connections_and_a_right_one_does_not_help_meanwhile(here: World) -> None:
    for _ in range(3):
        with pytest.raises(asyncssh.Error):
            await sign_in(here, own_key(here), ["000000"] * 3)
    code = here.totp()
    here.clock.ahead_ms -= 30_000  # the code is of the next step, which is taken; the delay is not over
    with pytest.raises(asyncssh.Error):
        await sign_in(here, own_key(here), [code])
    here.clock.ahead_ms += 3_600_000
    assert " totp " in await sign_in(here, own_key(here), [here.totp()])


async def test_the_key_of_one_user_and_then_the_codes_of_another_do_not_mix(here: World) -> None:
    other = await here.enrol("lee.other", asyncssh.generate_private_key("ssh-ed25519"), "other")
    with pytest.raises(asyncssh.PermissionDenied):
        await sign_in(here, own_key(here), [here.totp(other)])
    assert await here.events("auth.succeeded") == []


async def test_another_engineers_key_does_not_sign_in(here: World) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    await here.enrol("lee.other", stranger, "other")
    with pytest.raises(asyncssh.PermissionDenied):
        await sign_in(here, stranger, [here.totp()])


async def test_a_disabled_engineer_is_hung_up_and_stays_out(here: World) -> None:
    client = Client(own_key(here), [here.totp()])
    connection, _ = await asyncssh.create_connection(
        lambda: client, "127.0.0.1", here.port, known_hosts=None, username=LOGIN, config=None, agent_path=None
    )
    await here.engineers.set_enabled("op", LOGIN, False)
    async with asyncio.timeout(10):
        await connection.wait_closed()
    with pytest.raises(asyncssh.PermissionDenied):
        await sign_in(here, own_key(here), [here.totp()])


async def test_a_small_rsa_key_and_a_sha1_signature_are_not_taken(here: World) -> None:
    from gateway.session.door_keys import read_proof

    key = asyncssh.generate_private_key("ssh-rsa", key_size=3072)
    here.door.address = "192.0.2.1"  # type: ignore[attr-defined]
    for algorithm, taken in ((b"rsa-sha2-256", True), (b"ssh-rsa", False)):
        request = _request(LOGIN, algorithm, key.public_data)
        signature = key.sign(String(b"session") + request, algorithm)
        proof = read_proof(LOGIN, key.public_data, b"session", request, signature, here.door)  # type: ignore[arg-type]
        assert (proof is not None) is taken


def _request(login: str, algorithm: bytes, key: bytes) -> bytes:
    head = bytes([50]) + String(login) + String(b"ssh-connection") + String(b"publickey") + b"\1"
    return head + String(algorithm) + String(key)


class _Policy:
    def __init__(self, authority: asyncssh.SSHKey, address: str = "192.0.2.1") -> None:
        self.address, self.user_ca_keys = address, frozenset({authority.public_data})


def _certified(policy: _Policy, authority: asyncssh.SSHKey, **options: Any) -> Any:
    from gateway.session.door_keys import read_proof

    key = asyncssh.generate_private_key("ssh-ed25519")
    certificate = authority.generate_user_certificate(key, "c", **options)
    request = _request(LOGIN, b"ssh-ed25519-cert-v01@openssh.com", certificate.public_data)
    signature = key.sign(String(b"session") + request, b"ssh-ed25519")
    return read_proof(LOGIN, certificate.public_data, b"session", request, signature, policy)


def test_a_certificate_counts_only_for_its_principals_its_time_and_its_addresses() -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    policy = _Policy(authority)
    mine = {"principals": [LOGIN]}
    assert _certified(policy, authority, **mine) is not None
    assert _certified(policy, authority) is None, "no principals: for anybody"
    assert _certified(policy, authority, principals=["root"]) is None
    assert _certified(policy, authority, **mine, valid_before="-1h", valid_after="-2h") is None
    assert _certified(policy, authority, **mine, valid_after="+1h", valid_before="+2h") is None
    assert _certified(policy, authority, **mine, source_address=["198.51.100.0/24"]) is None
    assert _certified(policy, authority, **mine, source_address=["192.0.2.0/24"]) is not None
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    assert _certified(policy, stranger, **mine) is None, "an authority nobody configured"


def test_a_hosts_certificate_of_the_same_authority_lets_nobody_in() -> None:
    authority, key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    certificate = authority.generate_host_certificate(key, "c", principals=[LOGIN])
    request = _request(LOGIN, b"ssh-ed25519-cert-v01@openssh.com", certificate.public_data)
    from gateway.session.door_keys import read_proof

    signature = key.sign(String(b"session") + request, b"ssh-ed25519")
    assert read_proof(LOGIN, certificate.public_data, b"session", request, signature, _Policy(authority)) is None


def test_a_certificate_with_a_critical_option_that_is_not_known_is_refused() -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    key = asyncssh.generate_private_key("ssh-ed25519")
    body = (
        String(b"ssh-ed25519-cert-v01@openssh.com") + String(os.urandom(32)) + key.public_data[19:]
        + bytes(8) + UInt32(1) + String(b"c") + String(String(LOGIN)) + bytes(8) + b"\xff" * 8
        + String(String(b"verify-required") + String(b"")) + String(b"") + String(b"")
        + String(authority.public_data)
    )  # fmt: skip
    data = body + String(authority.sign(body, b"ssh-ed25519"))
    request = _request(LOGIN, b"ssh-ed25519-cert-v01@openssh.com", data)
    from gateway.session.door_keys import read_proof

    signature = key.sign(String(b"session") + request, b"ssh-ed25519")
    assert read_proof(LOGIN, data, b"session", request, signature, _Policy(authority)) is None


async def test_a_certificates_force_command_survives_the_second_step(tmp_path: Path, template: Path) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    settings = DoorSettings(user_ca_keys=(authority.export_public_key().decode(),))
    async with world(tmp_path, settings, template=template) as here:
        key = asyncssh.generate_private_key("ssh-ed25519")
        certificate = authority.generate_user_certificate(key, "c", principals=[LOGIN], force_command="code 4")
        client = Client(asyncssh.load_keypairs([(key, certificate)])[0], [here.totp()])
        connection, _ = await asyncssh.create_connection(
            lambda: client, "127.0.0.1", here.port, known_hosts=None, username=LOGIN, config=None, agent_path=None
        )
        async with connection:
            assert (await connection.run("whoami")).exit_status == 4


async def test_a_certificate_without_permit_pty_gets_commands_and_no_terminal(tmp_path: Path, template: Path) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    settings = DoorSettings(user_ca_keys=(authority.export_public_key().decode(),))
    async with world(tmp_path, settings, template=template) as here:
        key = asyncssh.generate_private_key("ssh-ed25519")
        certificate = authority.generate_user_certificate(key, "c", principals=[LOGIN], permit_pty=False)
        client = Client(asyncssh.load_keypairs([(key, certificate)])[0], [here.totp()])
        connection, _ = await asyncssh.create_connection(
            lambda: client, "127.0.0.1", here.port, known_hosts=None, username=LOGIN, config=None, agent_path=None
        )
        async with connection:
            assert (await connection.run("code 4")).exit_status == 4
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_process(term_type="xterm")
