"""A shell through the door: the line editor, and a tap that sees exactly what the terminal was shown."""

from __future__ import annotations

import asyncio
import os
import pty
from contextlib import suppress

import asyncssh
import pytest

from tests.session.door.test_screening import signed_in
from tests.session.door.world import LOGIN, World
from tests.support.need import need_tool


async def shown_until(process: asyncssh.SSHClientProcess[bytes], end: bytes) -> bytes:
    async with asyncio.timeout(10):
        return bytes(await process.stdout.readuntil(end))


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (b"plain", "plain"), (b"helo\x1b[Dl", "hello"), ("na\u00efve \u7535".encode(), "na\u00efve \u7535"),
        (b"wrong\x15right", "right"), (b"ab\x7fc", "ac"), (b"\xff\xfeodd", "\ufffd\ufffdodd"),
        (b"x\x1b]0;t\x07y", None),
    ],
)  # fmt: skip
async def test_a_line_is_edited_and_the_tap_sees_what_the_terminal_saw(
    here: World, keys: bytes, line: str | None
) -> None:
    async with signed_in(here) as connection:
        process = await connection.create_process(term_type="xterm-256color", term_size=(40, 10), encoding=None)
        seen = await shown_until(process, b"echo> ")
        process.stdin.write(keys + b"\r")
        seen += await shown_until(process, b"you said ")
        said = await shown_until(process, b"\n")
        seen += said + await shown_until(process, b"echo> ")
        process.stdin.write(b"exit\r")
        seen += await process.stdout.read()
        assert process.exit_status == 0
    if line is not None:
        assert said.decode().strip() == line
    assert bytes(here.handler.shown) == seen


async def test_a_terminal_of_no_name_has_its_lines_read_and_its_neighbours_live(here: World) -> None:
    # What OpenSSH asks for where TERM is not set, as in a container or under cron.
    async with signed_in(here) as connection:
        neighbour = await connection.create_process("wait")
        await neighbour.stdout.readline()
        process = await connection.create_process(request_pty="force", term_type="", encoding=None)
        await shown_until(process, b"echo> ")
        process.stdin.write(b"hullo\x7f\x7fo\r")
        assert (await shown_until(process, b"echo> ")).rstrip().endswith(b"you said hulo\r\necho>")
        here.handler.channels[1].notify_line("An answer has come.")
        assert b"\x07An answer has come.\r\necho> " in await shown_until(process, b"echo> ")
        process.stdin.write(b"exit\r")
        await process.wait_closed()
        assert process.exit_status == 0
        assert neighbour.exit_status is None


async def test_ctrl_c_gives_up_the_line_and_ctrl_d_leaves(here: World) -> None:
    async with signed_in(here) as connection:
        process = await connection.create_process(term_type="xterm", encoding=None)
        await shown_until(process, b"echo> ")
        process.stdin.write(b"never sent\x03")
        assert b"you said" not in await shown_until(process, b"echo> ")
        process.stdin.write(b"\x04")
        async with asyncio.timeout(10):
            await process.wait_closed()
        assert process.exit_status == 0


async def test_a_resize_reaches_the_visit(here: World) -> None:
    async with signed_in(here) as connection:
        process = await connection.create_process(term_type="xterm", term_size=(80, 24), encoding=None)
        await shown_until(process, b"echo> ")
        sizes: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        here.handler.channels[0].on_resize = lambda columns, rows: sizes.put_nowait((columns, rows))
        process.change_terminal_size(132, 50)
        async with asyncio.timeout(10):
            assert await sizes.get() == (132, 50)


async def test_openssh_on_a_real_terminal(here: World) -> None:
    need_tool("ssh", "openssh-client")
    ours, theirs = pty.openpty()
    command = here.ssh("-tt", f"{LOGIN}@127.0.0.1")
    process = await asyncio.create_subprocess_exec(
        *command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **here.askpass(here.totp())}
    )
    os.close(theirs)
    loop, screen, arrived = asyncio.get_running_loop(), bytearray(), asyncio.Event()

    def readable() -> None:
        try:
            screen.extend(os.read(ours, 65536))
        except OSError:  # the other end of a terminal closes with EIO
            loop.remove_reader(ours)
        arrived.set()

    async def wait_for(text: bytes) -> None:
        async with asyncio.timeout(15):
            while text not in screen:
                arrived.clear()
                await arrived.wait()

    loop.add_reader(ours, readable)
    try:
        await wait_for(b"echo> ")
        os.write(ours, b"first\r")
        await wait_for(b"you said first")
        os.write(ours, b"\x1b[A\r")
        await wait_for(b"you said first\r\necho> first\r\nyou said first")
        os.write(ours, b"exit\r")
        async with asyncio.timeout(15):
            assert await process.wait() == 0
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it may have ended in this very moment
                process.kill()
