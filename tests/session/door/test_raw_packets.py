"""What a stranger may try before signing in, by raw packets, after the lessons of the field."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import asyncssh
import pytest
from asyncssh.packet import Boolean, Byte, String, UInt32

from gateway.session.ssh_server import DoorSettings
from tests.session.door.raw import (
    FAILURE,
    INFO_REQUEST,
    OPEN_CONFIRMED,
    SUCCESS,
    auth,
    kexinit,
    offered,
    packets,
    plain,
    raw_client,
    rest_of,
    signed,
    socket_to,
    until,
)  # fmt: skip
from tests.session.door.world import LOGIN, World, world

HELLO = b"SSH-2.0-raw\r\n"
OPEN_SESSION = Byte(90) + String(b"session") + UInt32(0) + UInt32(65536) + UInt32(32768)


def own_key(here: World) -> asyncssh.SSHKey:
    return asyncssh.read_private_key(here.key())


def nobody_is_in(here: World) -> bool:
    return not here.handler.visits and not here.door.connections


PLAIN_ATTACKS = {
    "success from the client (CVE-2018-10933)": plain(Byte(52)),
    "a channel before any key exchange (CVE-2018-7750)": plain(OPEN_SESSION),
    "a service before any key exchange": plain(Byte(5) + String(b"ssh-connection")),
    "authentication before any key exchange": plain(auth(LOGIN, "none")),
    "extensions before new keys (CVE-2023-46445)": plain(Byte(7) + UInt32(0)),
    "new keys out of nothing": plain(Byte(21)),
    "a global request": plain(Byte(80) + String(b"tcpip-forward") + Boolean(True)),
    "a packet of length nought": UInt32(0) * 8,
    "a packet of length two": UInt32(2) + bytes(28),
    "a packet of four gigabytes": b"\xff" * 64,
    "a packet over the limit": UInt32(40_000) + bytes(64),
    "padding longer than the packet": UInt32(12) + b"\xff" + bytes(11),
}


@pytest.mark.parametrize("attack", PLAIN_ATTACKS.values(), ids=PLAIN_ATTACKS)
async def test_a_packet_out_of_turn_ends_the_connection(here: World, attack: bytes) -> None:
    async with socket_to(here) as (reader, writer):
        writer.write(HELLO + plain(kexinit()) + attack)
        answers = [payload[0] for payload in packets(await rest_of(reader)) if payload]
    assert not {SUCCESS, OPEN_CONFIRMED, 6} & set(answers)
    assert nobody_is_in(here)


@pytest.mark.parametrize("early", [Byte(2) + String(b""), Byte(4) + b"\0" + String(b"") * 2], ids=["ignore", "debug"])
async def test_strict_key_exchange_takes_nothing_in_between(here: World, early: bytes) -> None:
    for stream in (plain(early) + plain(kexinit()), plain(kexinit()) + plain(early)):
        async with socket_to(here) as (reader, writer):
            writer.write(HELLO + stream)
            answers = [payload[0] for payload in packets(await rest_of(reader))]
        assert answers[-1] == 1, "a disconnect: Terrapin needs a packet slipped in here"


async def test_a_wrongly_guessed_first_packet_is_passed_over_by_the_rule_of_rfc_4253(here: World) -> None:
    # Our first host key is Ed25519 and the client's first is another, so its guess counts as wrong although the key
    # exchange is the one agreed on. Garbage in the guessed packet must not matter, and a right one must be taken.
    good = plain(Byte(30) + String(os.urandom(32)))
    async with socket_to(here) as (reader, writer):
        init = kexinit([b"curve25519-sha256"], [b"ecdsa-sha2-nistp256", b"ssh-ed25519"], guess=True)
        writer.write(HELLO + plain(init) + plain(Byte(30) + String(b"guess")) + good)
        answers = await until(reader, 31)
    assert 31 in answers, "the second packet was answered: the guess had been passed over"


NO_SSH = [b"GET / HTTP/1.1\r\n\r\n", b"SSH-1.5-old\r\n", b"A" * 20_000, b"SSH-2.0-" + b"x" * 300 + b"\n"]


@pytest.mark.parametrize("banner", NO_SSH)
async def test_what_is_no_ssh_is_hung_up_on(here: World, banner: bytes) -> None:
    async with socket_to(here) as (reader, writer):
        writer.write(banner)
        await rest_of(reader)
    assert nobody_is_in(here)


async def test_random_bytes_never_get_further(here: World) -> None:
    dice = random.Random(20261124)  # noqa: S311 - a fixed sequence on purpose
    for _ in range(60):
        async with socket_to(here) as (reader, writer):
            noise = dice.randbytes(dice.randrange(1, 400))
            start = HELLO if dice.random() < 0.7 else b""
            writer.write(start + (plain(kexinit()) if dice.random() < 0.5 else b"") + noise)
            writer.write_eof()
            await rest_of(reader)
    assert nobody_is_in(here)
    assert not here.door.all


async def test_a_slow_stranger_runs_out_of_time(tmp_path: Path, template: Path) -> None:
    async with world(tmp_path, DoorSettings(login_grace_s=0.3), template=template) as here:
        async with socket_to(here) as (reader, writer):
            writer.write(b"SSH-2.0-slo")
            assert b"Time is up" in await rest_of(reader)
        async with raw_client(here) as client:
            assert await client.hung_up()


async def test_a_second_factor_that_does_not_come_runs_out_of_time_and_is_logged(
    tmp_path: Path, template: Path
) -> None:
    async with world(tmp_path, DoorSettings(factor_grace_s=0.3), template=template) as here:
        async with raw_client(here) as client:
            client.send(signed(client, LOGIN, own_key(here)))
            assert (await client.answer())[0] == FAILURE
            assert await client.hung_up()
        async with asyncio.timeout(10):
            while not (failed := await here.events("auth.failed")):
                continue
        assert failed[0]["data"]["factor"] == "none"


AFTER_KEYS = {
    "success from the client": Byte(52),
    "a channel before authentication": OPEN_SESSION,
    "a global request before authentication": Byte(80) + String(b"keepalive@openssh.com") + Boolean(True),
    "channel data for a channel that is none": Byte(94) + UInt32(0) + String(b"x"),
    "the connection service at once": Byte(5) + String(b"ssh-connection"),
    "authentication for another service": auth(LOGIN, "none", service=b"ssh-userauth"),
    "an answer to a question nobody asked": Byte(61) + UInt32(1) + String(b"123456"),
    "a name of ten thousand letters": auth("x" * 10_000, "none"),
    "a name that is no UTF-8": Byte(50) + String(b"\xff\xfe") + String(b"ssh-connection") + String(b"none"),
}


@pytest.mark.parametrize("attack", AFTER_KEYS.values(), ids=AFTER_KEYS)
async def test_after_the_key_exchange_nothing_gets_past_authentication(here: World, attack: bytes) -> None:
    async with raw_client(here) as client:
        client.send(attack)
        assert await client.hung_up()
        got = [client.got.get_nowait()[0] for _ in range(client.got.qsize())]
    assert not {SUCCESS, OPEN_CONFIRMED, 81} & set(got)
    assert nobody_is_in(here)


async def test_authentication_needs_its_service_first(here: World) -> None:
    async with raw_client(here, asks_service=False) as client:
        client.send(signed(client, LOGIN, own_key(here)))
        assert await client.hung_up()
    assert nobody_is_in(here)


@pytest.mark.parametrize("method", ["none", "password", "hostbased", "gssapi-with-mic", "keyboard-interactive"])
async def test_no_method_but_a_public_key_opens_the_first_step(here: World, method: str) -> None:
    async with raw_client(here) as client:
        client.send(auth(LOGIN, method, Boolean(False), String(b""), String(b"")))
        answer = await client.answer()
    assert answer[0] == FAILURE
    assert answer[5:14] == b"publickey"


async def test_an_offered_key_is_answered_alike_for_everyone_and_proves_nothing(here: World) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    async with raw_client(here) as client:
        answers = []
        for login, key in ((LOGIN, own_key(here)), (LOGIN, stranger), ("nobody.here", stranger)):
            client.send(offered(login, key))
            answers.append((await client.answer())[0])
        client.send(auth(LOGIN, "keyboard-interactive", String(b""), String(b"")))
        answers.append((await client.answer())[0])
    assert answers == [INFO_REQUEST, INFO_REQUEST, INFO_REQUEST, FAILURE], "60 is PK_OK for an offered key"
    assert nobody_is_in(here)


async def test_a_signature_for_another_user_session_or_message_is_none(here: World) -> None:
    key = own_key(here)
    async with raw_client(here) as client:
        right = signed(client, LOGIN, key)
        stolen = right.replace(LOGIN.encode(), b"kim.enginee2")
        broken = right[:-1] + bytes([right[-1] ^ 1])
        head = auth(LOGIN, "publickey", Boolean(True), String(key.algorithm), String(key.public_data))
        elsewhere = head + String(key.sign(String(os.urandom(32)) + head, key.algorithm))
        for forged in (stolen, broken, elsewhere):
            client.send(forged)
            answer = await client.answer()
            assert answer[0] == FAILURE
            assert answer[-1] == 0, "no partial success"


async def test_the_user_cannot_change_between_the_steps(here: World) -> None:
    await here.enrol("lee.other", asyncssh.generate_private_key("ssh-ed25519"), "other")
    async with raw_client(here) as client:
        client.send(signed(client, LOGIN, own_key(here)))
        assert (await client.answer())[-1] == 1, "partial success"
        client.send(auth("lee.other", "keyboard-interactive", String(b""), String(b"")))
        assert await client.hung_up()
    assert nobody_is_in(here)


async def test_sixty_codes_in_one_go_are_one_code(here: World) -> None:
    async with raw_client(here) as client:
        client.send(signed(client, LOGIN, own_key(here)))
        await client.answer()
        client.send(auth(LOGIN, "keyboard-interactive", String(b""), String(b"")))
        assert (await client.answer())[0] == INFO_REQUEST
        for guess in range(60):
            client.send(Byte(61) + UInt32(1) + String(f"{guess:06}"))
        assert await client.hung_up()
    failed = await here.events("auth.failed")
    assert sum(event["data"]["factor"] == "code" for event in failed) <= 1
    assert nobody_is_in(here)


async def test_requests_and_bytes_before_authentication_are_bounded(here: World) -> None:
    async with raw_client(here) as client:
        for _ in range(100):
            client.send(auth(LOGIN, "none"))
        assert await client.hung_up()
    async with raw_client(here) as client:
        for _ in range(20):
            client.send(Byte(2) + String(bytes(30_000)))
        assert await client.hung_up()
    assert nobody_is_in(here)


async def test_key_exchange_again_before_authentication_is_refused(here: World) -> None:
    async with raw_client(here) as client:
        client._send_kexinit()
        assert await client.hung_up()


async def test_strangers_are_counted_without_their_names(here: World) -> None:
    async with raw_client(here) as client:
        client.send(auth("hunter2-typed-here", "none"))
        await client.answer()
    async with socket_to(here) as (reader, writer):
        writer.write(b"nonsense\r\n")
        await rest_of(reader)
    await here.engineers.flush_refused()
    (event,) = await here.events("auth.refused")
    assert event["data"]["count"] >= 1
    assert b"hunter2" not in (here.folder / "state.db").read_bytes() + (here.folder / "state.db-wal").read_bytes()
