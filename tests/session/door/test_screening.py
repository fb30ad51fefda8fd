"""What a signed-in engineer may ask of the door, and what is refused, answered and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest
from asyncssh.packet import String

from gateway.session.ssh_server import DoorSettings
from tests.session.door.test_traps import Client, own_key
from tests.session.door.world import LOGIN, World, run, world
from tests.support.need import need_tool


@asynccontextmanager
async def signed_in(
    here: World, key: asyncssh.SSHKey | None = None, **options: object
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A connection with both factors done."""
    client = Client(key or own_key(here), [here.totp()])
    known = {"known_hosts": None, "username": LOGIN, "config": None, "agent_path": None} | options
    connection, _ = await asyncssh.create_connection(lambda: client, "127.0.0.1", here.port, **known)
    async with connection:
        yield connection


async def refused(here: World) -> dict[str, int]:
    """What was counted, by kind."""
    await here.engineers.flush_refused()
    return {event["data"]["what"]: event["data"]["count"] for event in await here.events("door.refused")}


async def test_forwards_of_every_kind_are_refused_and_counted_and_the_connection_lives_on(here: World) -> None:
    async with signed_in(here) as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", here.port)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_unix_connection("/run/any.sock")
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("", 0, "127.0.0.1", 9)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_path("/tmp/never.sock", "/tmp/never.sock")
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_tun(0)
        assert (await connection.run("code 0")).exit_status == 0
    counted = await refused(here)
    for what in ("direct-tcpip", "direct-streamlocal@openssh.com", "tcpip-forward", "streamlocal-forward@openssh.com",
                 "tun@openssh.com"):  # fmt: skip
        assert counted.get(what) == 1, counted


async def test_cancelling_a_forward_that_is_none_does_not_kill_the_connection(here: World) -> None:
    async with signed_in(here) as connection:
        answer, _ = await connection._make_global_request(b"cancel-tcpip-forward", String(b""), bytes(4))
        assert answer == 82
        assert (await connection.run("code 0")).exit_status == 0
    assert await refused(here) == {"cancel-tcpip-forward": 1}


async def test_subsystems_agent_x11_and_unknown_requests_are_refused_and_counted(here: World) -> None:
    async with signed_in(here) as connection:
        with pytest.raises(asyncssh.Error):
            await connection.start_sftp_client()
        channel, _ = await connection.create_session(asyncssh.SSHClientSession, "wait")
        for name in (b"auth-agent-req@openssh.com", b"x11-req", b"made-up@here.example"):
            assert not await channel._make_request(name)
        for quiet in (b"keepalive@openssh.com", b"winadj@putty.projects.tartarus.org"):
            assert not await channel._make_request(quiet)
        channel.close()
    counted = await refused(here)
    assert counted == {
        "subsystem": 1, "auth-agent-req@openssh.com": 1, "x11-req": 1, "channel request": 1,
    }  # fmt: skip


async def test_unknown_global_requests_are_counted_and_known_harmless_ones_are_not(here: World) -> None:
    async with signed_in(here) as connection:
        for _ in range(500):
            answer, _ = await connection._make_global_request(b"made-up@here.example")
            assert answer == 82
        assert (await connection._make_global_request(b"keepalive@openssh.com"))[0] == 81
    assert await refused(here) == {"global request": 500}, "one event for a flood"


async def test_environment_but_for_language_is_refused(here: World) -> None:
    async with signed_in(here) as connection:
        env = {"LANG": "en_GB.UTF-8", "LC_TIME": "C", "LD_PRELOAD": "/tmp/x.so", "LC_ALL": "x" * 65}
        assert (await connection.run("code 0", env=env)).exit_status == 0
    assert await refused(here) == {"env": 2}


async def test_channels_over_the_limit_are_refused_and_their_neighbours_live(tmp_path: Path, template: Path) -> None:
    async with world(tmp_path, DoorSettings(max_channels=3), template=template) as here, signed_in(here) as connection:
        held = [await connection.create_session(asyncssh.SSHClientSession, "wait") for _ in range(3)]
        with pytest.raises(asyncssh.ChannelOpenError) as over:
            await connection.run("whoami")
        assert over.value.code == asyncssh.OPEN_RESOURCE_SHORTAGE
        held[0][0].close()
        await held[0][0].wait_closed()
        assert (await connection.run("code 0")).exit_status == 0
        assert await refused(here) == {"channel over the limit": 1}


async def test_an_engineer_holds_so_many_connections_and_a_colleague_none_of_them(
    tmp_path: Path, template: Path
) -> None:
    async with world(tmp_path, DoorSettings(per_engineer=2), template=template) as here:
        colleagues = asyncssh.generate_private_key("ssh-ed25519")
        secret = await here.enrol("lee.other", colleagues, "other")
        async with signed_in(here) as first, signed_in(here):
            with pytest.raises(asyncssh.Error, match="You have 2 connections open already; close one first"):
                async with signed_in(here):
                    pass
            client = Client(colleagues, [here.totp(secret)])
            connection, _ = await asyncssh.create_connection(
                lambda: client, "127.0.0.1", here.port, known_hosts=None, username="lee.other", config=None,
                agent_path=None,
            )  # fmt: skip
            connection.close()
            first.close()
            async with asyncio.timeout(10):
                await here.handler.left.get()
            async with signed_in(here) as again:
                assert (await again.run("code 0")).exit_status == 0


async def test_a_connection_ends_when_its_hours_are_over_and_says_so(tmp_path: Path, template: Path) -> None:
    async with world(tmp_path, DoorSettings(max_connection_s=0.5), template=template) as here, signed_in(here) as mine:
        process = await mine.create_process("wait")
        async with asyncio.timeout(10):
            assert "sign in again" in await process.stderr.read()
            await mine.wait_closed()


async def test_no_more_sessions_is_honoured(here: World) -> None:
    async with signed_in(here) as connection:
        assert (await connection.run("code 0")).exit_status == 0
        assert (await connection._make_global_request(b"no-more-sessions@openssh.com"))[0] == 81
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("whoami")


async def test_a_client_learns_and_can_check_a_new_host_key(tmp_path: Path, template: Path) -> None:
    need_tool("ssh", "openssh-client")
    following = asyncssh.generate_private_key("ssh-ed25519")
    async with world(tmp_path, template=template, more_host_keys=[following]) as here:
        command = here.ssh("-o", "UpdateHostKeys=yes", f"{LOGIN}@127.0.0.1", "code 0")
        done = await run(command, here.askpass(here.totp()))
        assert done.code == 0, done
        assert following.export_public_key().decode().split()[1] in (here.folder / "known_hosts").read_text()


async def test_ending_one_connection_tells_its_visits_why(here: World) -> None:
    async with signed_in(here) as connection:
        process = await connection.create_process("wait")
        await process.stdout.readline()
        here.door.end_connection(here.handler.visits[0].connection_id, "The customer withdrew the permission.")
        async with asyncio.timeout(5):
            assert "withdrew the permission" in await process.stderr.read()
            await connection.wait_closed()
            await here.handler.left.get()


async def test_a_key_taken_away_on_another_node_ends_its_connections_here_and_no_other(here: World) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    await here.engineers.add_key("op", LOGIN, other.export_public_key().decode())
    async with signed_in(here) as connection, signed_in(here, other) as neighbour:
        process = await connection.create_process("wait")
        await process.stdout.readline()
        # As another node's command does it: in the database alone.
        await here.engineers.remove_key("op", LOGIN, own_key(here).get_fingerprint())
        async with asyncio.timeout(5):
            assert "was taken away" in await process.stderr.read()
            await connection.wait_closed()
        assert (await neighbour.run("code 0")).exit_status == 0


async def test_draining_lets_visits_finish_and_takes_nobody_new(here: World) -> None:
    async with signed_in(here) as connection, asyncio.TaskGroup() as group:
        process = await connection.create_process()
        draining = group.create_task(here.door.drain())
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", here.port)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("whoami")
        process.stdin.write("still here\n")
        assert "you said still here" in await process.stdout.readuntil("here\n")
        assert not draining.done()
        process.stdin.write("exit\n")
        async with asyncio.timeout(5):
            await draining


async def test_a_flooding_visit_waits_for_its_reader_and_a_choked_client_is_cut_at_once(here: World) -> None:
    async with signed_in(here) as connection:
        process = await connection.create_process("wait")
        await process.stdout.readline()
        connection._transport.pause_reading()
        channel = here.handler.channels[0]
        for _ in range(100):
            channel.write("x" * 65536)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await channel.drain()
        here.door.end_connection(here.handler.visits[0].connection_id, "over")
        async with asyncio.timeout(5):
            await channel.closed.wait()


async def test_stopping_hangs_up_and_every_visit_hears_of_it(tmp_path: Path, template: Path) -> None:
    async with world(tmp_path, template=template) as here:
        client = Client(own_key(here), [here.totp()])
        connection, _ = await asyncssh.create_connection(
            lambda: client, "127.0.0.1", here.port, known_hosts=None, username=LOGIN, config=None, agent_path=None
        )
        process = await connection.create_process("wait")
        await process.stdout.readline()
        visit = here.handler.visits[0]
    assert here.handler.left.get_nowait() == visit.connection_id
    async with asyncio.timeout(5):
        assert "Frameroom is stopping" in await process.stderr.read()
        await connection.wait_closed()


@pytest.mark.parametrize("terminal", [None, "xterm"])
async def test_what_is_said_on_a_channel_that_was_just_closed_goes_nowhere_and_harms_nobody(
    here: World, terminal: str | None
) -> None:
    async with signed_in(here) as connection:
        process = await connection.create_process("wait", term_type=terminal)
        await process.stdout.readline()
        (channel,) = here.handler.channels
        channel.exit(3)
        assert not channel.closed.is_set(), "the other end has not confirmed it"
        channel.write("too late\n")
        channel.write_lines(b"too late\n")
        channel.write_err("too late\n")
        channel.notify_line("The visit has ended: too late.")
        channel.exit(1)
        async with asyncio.timeout(10):
            assert "too late" not in await process.stdout.read() + await process.stderr.read()
            await process.wait_closed()
        assert process.exit_status == 3
        assert (await connection.run("code 0")).exit_status == 0
