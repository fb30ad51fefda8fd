"""Packets over the usual limit: a command may come in one, so that it gets an answer; nothing else, and not long."""

from __future__ import annotations

import asyncio

import asyncssh
import pytest
from asyncssh.packet import String

from gateway.session import long_packets
from gateway.session.channel import LONGEST_LINE
from gateway.session.long_packets import LongPackets
from tests.session.door.raw import raw_client
from tests.session.door.test_screening import signed_in
from tests.session.door.world import World

IGNORE, DATA = 2, 94


async def test_a_command_of_ten_megabytes_reaches_the_session_cut_but_still_too_long(here: World) -> None:
    async with signed_in(here) as connection:
        for letter in ("x", "\u96fb"):
            done = await connection.run("show " + letter * ((10 << 20) // len(letter.encode())))
            assert done.exit_status == 2
            kept = here.handler.channels[-1].command
            assert kept is not None
            assert LONGEST_LINE < len(kept) <= 4 * (LONGEST_LINE + 1)
        assert (await connection.run("code 0")).exit_status == 0
    assert not LongPackets._coming


async def test_before_signing_in_no_packet_is_long(here: World) -> None:
    async with raw_client(here) as client:
        client.send(bytes([IGNORE]) + String(bytes(40_000)))
        assert await client.hung_up()
    assert not LongPackets._coming


async def test_nothing_but_a_command_comes_in_a_long_packet(here: World) -> None:
    async with signed_in(here) as connection:
        channel, _ = await connection.create_session(asyncssh.SSHClientSession, "wait")
        assert not await channel._make_request(b"env", String(b"LANG"), String(bytes(100_000)))
        assert not await channel._make_request(b"window-change", bytes(100_000))
        assert (await connection.run("code 0")).exit_status == 0
        channel.send_packet(DATA, String(bytes(100_000)))
        await connection.wait_closed()
    async with signed_in(here) as connection:
        connection.send_packet(IGNORE, String(bytes(100_000)))
        await connection.wait_closed()


async def test_a_packet_longer_than_any_is_hung_up_on_before_it_is_there(here: World) -> None:
    async with signed_in(here) as connection:
        with pytest.raises((asyncssh.Error, OSError)):
            await connection.run("x" * (20 << 20))
        await connection.wait_closed()
    assert not LongPackets._coming


def only_half_of_what_is_long(connection: asyncssh.SSHClientConnection) -> None:
    send = connection._send  # what has been encrypted already

    def half(data: bytes) -> None:
        send(data if len(data) < 100_000 else data[: len(data) // 2])

    connection._send = half  # type: ignore[method-assign]


async def coming(count: int) -> None:
    async with asyncio.timeout(20):
        while len(LongPackets._coming) != count:  # noqa: ASYNC110 - a turn of the loop that the door runs in too
            await asyncio.sleep(0)


async def test_one_that_does_not_come_to_its_end_runs_out_of_time(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_packets, "_WITHIN_S", 0.3)
    async with signed_in(here) as connection:
        channel, _ = await connection.create_session(asyncssh.SSHClientSession, "wait")
        only_half_of_what_is_long(connection)
        channel.send_packet(98, String(b"exec"), b"\0", String(bytes(1 << 20)))
        await connection.wait_closed()
    await coming(0)


async def test_few_are_held_at_once_and_none_of_whoever_is_gone(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_packets, "_AT_ONCE", 1)
    async with signed_in(here) as first, signed_in(here) as second:
        channel, _ = await first.create_session(asyncssh.SSHClientSession, "wait")
        only_half_of_what_is_long(first)
        channel.send_packet(98, String(b"exec"), b"\0", String(bytes(1 << 20)))
        await coming(1)
        assert (await second.run("code 7")).exit_status == 7, "what is not too long does not wait"
        with pytest.raises((asyncssh.Error, OSError)):
            await second.run("x" * (1 << 20))
        await second.wait_closed()
        first.abort()
        await coming(0)
    async with signed_in(here) as third:
        assert (await third.run("x" * (1 << 20))).exit_status == 2
