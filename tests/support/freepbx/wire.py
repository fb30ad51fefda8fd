"""An SSH server before the helper, as OpenSSH is under `restrict` and a forced command, that can turn into an enemy.

The answers come from the helper itself; what an enemy makes of them is made here. The real OpenSSH is in the tests of
the way out, where it cannot be made to lie.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import asyncssh

from connectors.conformance.bench import Hostile
from connectors.console import FREEPBX, find
from connectors.transport.helper import COMMAND, LOGIN

_WRITES = ("alter", "remove", "reset")
_GIGABYTE = 1 << 30


class _Server(asyncssh.SSHServer):
    def connection_requested(self, *_: object) -> bool:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")


class Wire:
    """`heard`: the requests since somebody last looked; `how`: the enemy, while there is one; `told`: every secret."""

    named: Callable[[dict[str, object]], str]
    """What a request is heard as."""

    def __init__(self, command: Sequence[str], told: str) -> None:
        self.named = _words_of
        self.heard: list[str] = []
        self.how: Hostile | None = None
        self.host, self.key, self.other = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))
        self.acceptor: asyncssh.SSHAcceptor | None = None
        self._command, self._told = command, told
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Until no helper works on anything."""
        await self._idle.wait()

    async def process(self, channel: asyncssh.SSHServerProcess[bytes]) -> None:
        """One channel."""
        if channel.command != COMMAND:
            channel.stdout.write(b'{"error":"bound","reason":"forced-command"}\n')
            channel.exit(3)
            return
        with self._at_work():
            helper = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24
            )
        try:
            with suppress(OSError, asyncssh.Error):  # whoever asked has gone; what was asked is done nevertheless
                await self._serve(channel, helper)
        finally:
            with self._at_work():
                assert helper.stdin is not None
                assert helper.stdout is not None
                helper.stdin.close()
                await helper.stdout.read()
                await helper.wait()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self._busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def _serve(
        self, channel: asyncssh.SSHServerProcess[bytes], helper: asyncio.subprocess.Process
    ) -> None:  # fmt: skip
        assert helper.stdin is not None
        assert helper.stdout is not None
        async for line in channel.stdin:
            with self._at_work():
                asked = json.loads(line)
                self.heard.append(self.named(asked))
                helper.stdin.write(line)
                if asked.get("do") == "console":
                    await self._stream(channel, helper)
                    return  # a line has a channel of its own
                answer = await helper.stdout.readline()
            await self._answer(channel, asked, answer)

    async def _stream(self, channel: asyncssh.SSHServerProcess[bytes], helper: asyncio.subprocess.Process) -> None:
        """Output as it comes; that whoever asked has gone, the helper sees by its standard input, as under sshd."""
        assert helper.stdin is not None
        assert helper.stdout is not None
        gone = asyncio.ensure_future(channel.wait_closed())
        gone.add_done_callback(lambda _: helper.stdin and helper.stdin.close())
        try:
            while answer := await helper.stdout.readline():
                if not gone.done():
                    channel.stdout.write(answer)
                    await channel.stdout.drain()
                if b'"out"' not in answer:
                    return
        finally:
            gone.cancel()

    async def _answer(self, channel: asyncssh.SSHServerProcess[bytes], asked: dict[str, object], answer: bytes) -> None:
        match self.how:
            case None:
                channel.stdout.write(answer)
            case Hostile.TRUNCATED:
                channel.stdout.write(answer[: len(answer) // 2])
                channel.exit(0)
            case Hostile.ENDLESS:
                for _ in range(_GIGABYTE >> 16):
                    channel.stdout.write(b"x" * (1 << 16))
                    await channel.stdout.drain()
            case Hostile.SLOW:
                for at in range(len(answer)):
                    channel.stdout.write(answer[at : at + 1])
                    await asyncio.sleep(0.5)
            case Hostile.SILENT:
                pass
            case Hostile.MALFORMED:
                channel.stdout.write(b"PHP Warning:  Undefined array key in /var/www/html on line 7\n")
            case Hostile.WRONG_ENCODING:
                spoilt = re.sub(rb'("name": ?")', rb"\1\xff\xfe", answer)
                channel.stdout.write(spoilt.replace(b'{"ok"', b'{"\xff":1,"ok"'))
            case Hostile.DEEP_JSON:
                channel.stdout.write(b"[" * 100_000 + b"\n")
            case Hostile.TELLING_WRITES:
                more = {"secret": self._told, "person": {"name": self._told}} if asked["do"] in _WRITES else {}
                channel.stdout.write(json.dumps(json.loads(answer) | more).encode() + b"\n")
            case _:
                raise ValueError(self.how)


def _words_of(asked: dict[str, object]) -> str:
    """The guard's name for a request; of a line at the prompt that is none of the catalogue, the line."""
    if asked.get("do") != "console":
        return str(asked.get("do"))
    found = find(str(asked.get("line")), FREEPBX)
    return str(asked.get("line")) if found is None else "act" if found[1].acts else "look"


@asynccontextmanager
async def listening(command: Sequence[str], told: str = "") -> AsyncIterator[Wire]:
    """The helper that this command starts, on a loopback port (`acceptor.get_port()`)."""
    wire = Wire(command, told)
    trusted = asyncssh.import_authorized_keys(wire.key.export_public_key().decode())
    wire.acceptor = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[wire.host], server_factory=_Server, process_factory=wire.process,
        encoding=None, authorized_client_keys=trusted, login_timeout=30,
    )  # fmt: skip
    try:
        yield wire
    finally:
        wire.acceptor.close()
        await wire.acceptor.wait_closed()
        await wire.idle()


__all__ = ["LOGIN", "Wire", "listening"]
