"""The exchange with a helper over SSH: which answer is whose, what is too much, what is not known after a loss."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncssh
import pytest

from connectors.asterisk_files.requests import GUARD
from connectors.base import NoSettings
from connectors.contract import Credential, Target
from connectors.errors import (
    CredentialRefused,
    Fault,
    NotFound,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    Refused,
    RequestNotAllowed,
    SecretReadable,
    Unreachable,
)
from connectors.freepbx.requests import GUARD as OTHER
from connectors.guard import Allowed
from connectors.transport.helper import COMMAND, LOGIN, Link, connect, greeted, speech
from connectors.transport.lines import MAX_ANSWER

LOOK = GUARD.render("view", id="1001")
WRITE = GUARD.render("reset", id="1001", kind="sip", secret="Kx7mQ2vTz9Lp")
Answering = Callable[[dict[str, Any], asyncssh.SSHServerProcess[bytes]], Awaitable[None]]


def line(asked: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"n": asked["n"], **more}).encode() + b"\n"


@dataclass
class Side:
    """A phone system with a helper that answers as it is told."""

    port: int = 0
    pin: str = ""
    answering: Answering | None = None
    heard: list[dict[str, Any]] = field(default_factory=list)
    channels: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a channel has ended."""
    shell: bytes | None = None
    """What is said before a shell says what the command comes to; None: there is none, only the helper."""
    hangs: bool = False
    """Whether a command that is not the helper's goes on."""
    forwards: str = "never"
    """never, in vain, or at all."""
    onwards: list[tuple[str, int]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    async def process(self, channel: asyncssh.SSHServerProcess[bytes]) -> None:
        self.channels += 1
        if channel.command != COMMAND:
            if self.hangs:
                channel.stdout.write(b"one moment\n")
                await channel.wait_closed()
            elif self.shell is None:
                channel.stdout.write(f"not that: {channel.command}\n".encode())
            else:
                said = subprocess.run(["/bin/sh", "-c", channel.command or ""], capture_output=True, check=False)
                channel.stdout.write(self.shell + said.stdout)
            channel.exit(0)
            return
        with contextlib.suppress(OSError, asyncssh.Error):  # whoever asked has gone
            async for raw in channel.stdin:
                asked = json.loads(raw)
                self.heard.append(asked)
                if self.answering is None:
                    channel.stdout.write(line(asked, person="Zo\u00eb", secret="CANARY"))
                else:
                    await self.answering(asked, channel)
        self.ended.set()
        channel.exit(0)

    async def open(self, timeout_ms: int = 5_000, patience_ms: int = 0, login: str = LOGIN) -> Link:
        target = Target("sys_1", "127.0.0.1", self.port, self.pin, NoSettings(), 5_000, timeout_ms)

        async def unseal() -> Credential:
            key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
            return Credential(login, private_key=key)

        self.links.append(await connect(target, LOGIN, unseal, speech(GUARD, {}, patience_ms)))
        return self.links[-1]


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    made, host = Side(), asyncssh.generate_private_key("ssh-ed25519")

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return username == LOGIN

        def connection_requested(self, dest_host: str, dest_port: int, *_: object) -> Any:
            made.onwards.append((dest_host, dest_port))
            if made.forwards == "at all":
                return lambda reader, writer: writer.close()
            if made.forwards == "in vain":
                raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "nobody is there")
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")

    async with asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, server_host_keys=[host], process_factory=made.process, encoding=None
    ) as acceptor:
        made.port, made.pin = acceptor.get_port(), host.export_public_key().decode().strip()
        yield made
        for link in made.links:
            link.abort()


async def test_each_answer_is_its_questions_and_of_a_write_only_that_it_was_taken(side: Side) -> None:
    link = await side.open()
    answers = await asyncio.gather(*(link.ask(LOOK) for _ in range(3)))
    assert [one["n"] for one in answers] == [1, 2, 3]
    assert answers[0]["person"] == "Zo\u00eb"
    assert await link.ask(WRITE) == {"ok": True}
    assert side.heard[0] == {"do": "view", "id": "1001", "n": 1}
    assert side.heard[-1] == {"do": "reset", "id": "1001", "kind": "sip", "secret": "Kx7mQ2vTz9Lp", "n": 4}
    assert side.channels == 1


async def test_what_another_guard_let_through_is_not_sent(side: Side) -> None:
    link = await side.open()
    with pytest.raises(RequestNotAllowed):
        await link.ask(OTHER.render("view", id="1001"))
    assert side.heard == []


@pytest.mark.parametrize(
    "answer",
    [b'{"n": 2}\n', b'{"n": 0}\n', b'{"n": "1"}\n', b"{}\n", b"[]\n", b"{\n", b"\n", b"null\n", b"[" * 100_000 + b"\n",
     b'{"n": 1, "x": "\xff"}\n', b'{"n": 1, "x": "' + b"x" * MAX_ANSWER + b'"}\n', b"x" * (MAX_ANSWER + 70_000)],
)  # fmt: skip
@pytest.mark.parametrize("request_", [LOOK, WRITE], ids=["look", "write"])
async def test_an_answer_that_is_none_ends_the_connection(side: Side, answer: bytes, request_: Allowed) -> None:
    async def answering(_: dict[str, Any], channel: asyncssh.SSHServerProcess[bytes]) -> None:
        channel.stdout.write(answer)

    side.answering = answering
    link = await side.open()
    with pytest.raises(OutcomeUnknown if request_.writes else ProtocolViolation) as caught:
        await link.ask(request_)
    assert caught.value.__context__ is None
    if not request_.writes:
        assert "is not the helper" in caught.value.message
    with pytest.raises(Unreachable):
        await link.ask(LOOK)


def test_what_is_the_same_on_every_phone_system() -> None:
    assert (LOGIN, COMMAND, MAX_ANSWER) == ("frameroom", "frameroom-helper", 1 << 20)


async def test_an_answer_may_have_so_many_bytes(side: Side) -> None:
    async def answering(asked: dict[str, Any], channel: asyncssh.SSHServerProcess[bytes]) -> None:
        spare = MAX_ANSWER - len(line(asked, x=""))
        channel.stdout.write(line(asked, x="a" * spare))

    side.answering = answering
    link = await side.open()
    assert len((await link.ask(LOOK))["x"]) == MAX_ANSWER - len(b'{"n": 1, "x": ""}\n')
    assert (await link.ask(LOOK))["n"] == 2


async def test_an_error_is_what_it_means_and_the_connection_stays(side: Side) -> None:
    async def answering(asked: dict[str, Any], channel: asyncssh.SSHServerProcess[bytes]) -> None:
        channel.stdout.write(line(asked, error="not-found" if asked["do"] == "view" else "failed"))

    side.answering = answering
    link = await side.open()
    for request, error in ((LOOK, NotFound), (WRITE, Refused), (LOOK, NotFound)):
        with pytest.raises(error):
            await link.ask(request)
    assert side.channels == 1


async def test_a_helper_that_ends_before_it_is_asked_says_why(side: Side) -> None:
    async def answering(_: dict[str, Any], channel: asyncssh.SSHServerProcess[bytes]) -> None:
        channel.stdout.write(b'{"error": "failed", "reason": "conf-writable"}\n')

    side.answering = answering
    for request in (LOOK, WRITE):
        link = await side.open()
        with pytest.raises(Refused):
            await link.ask(request)


@pytest.mark.parametrize("half", [b"", b'{"n": 1', b'{"n": 1, "secret": "CANARY"}'])
async def test_after_a_loss_a_look_was_lost_and_a_write_is_not_known(side: Side, half: bytes) -> None:
    async def answering(_: dict[str, Any], channel: asyncssh.SSHServerProcess[bytes]) -> None:
        channel.stdout.write(half)
        channel.exit(1)

    side.answering = answering
    for request, error in ((LOOK, Unreachable), (WRITE, OutcomeUnknown)):
        link = await side.open()
        with pytest.raises(error) as caught:
            await link.ask(request)
        assert caught.value.__context__ is None
        with pytest.raises(Unreachable, match="does not answer"):
            await link.ask(WRITE)


async def test_a_write_is_waited_for_longer_where_it_takes_longer(side: Side) -> None:
    """The look is given up first; only then the write is answered."""
    given_up = asyncio.Event()

    async def answering(asked: dict[str, Any], channel: asyncssh.SSHServerProcess[bytes]) -> None:
        await given_up.wait()
        channel.stdout.write(line(asked))

    side.answering = answering
    one, other = await side.open(200, 60_000), await side.open(200, 60_000)
    writing = asyncio.ensure_future(other.ask(WRITE))
    with pytest.raises(Unreachable):
        await one.ask(LOOK)
    given_up.set()
    with pytest.raises(Unreachable):
        await one.ask(LOOK)  # its late answer is nobody's
    assert await writing == {"ok": True}
    given_up.clear()
    impatient = await side.open(200)
    with pytest.raises(OutcomeUnknown):
        await impatient.ask(WRITE)


async def test_an_answer_in_time_leaves_the_connection_as_it_is_when_the_time_is_over(side: Side) -> None:
    link, over = await side.open(timeout_ms=300), asyncio.Event()
    await link.ask(LOOK)
    asyncio.get_running_loop().call_later(0.4, over.set)
    await over.wait()
    assert (await link.ask(LOOK))["n"] == 2
    assert side.channels == 1


async def test_an_answer_that_nobody_waits_for_any_more_is_nobody_elses(side: Side) -> None:
    asked_once, late = asyncio.Event(), asyncio.Event()

    async def answering(asked: dict[str, Any], channel: asyncssh.SSHServerProcess[bytes]) -> None:
        if asked["n"] == 1:
            asked_once.set()
            await late.wait()
        channel.stdout.write(line(asked))

    side.answering = answering
    link = await side.open()
    given_up = asyncio.ensure_future(link.ask(LOOK))
    await asked_once.wait()
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    late.set()
    await side.ended.wait()
    assert (await link.ask(LOOK))["n"] == 2
    assert side.channels == 2


async def test_the_login_is_the_settings(side: Side) -> None:
    with pytest.raises(CredentialRefused) as caught:
        await side.open(login="root")
    assert caught.value.fault is Fault.OPERATOR
    assert "not the one of the settings" in caught.value.message
    assert "--login" in caught.value.next_step
    assert side.channels == 0


# --- is our key bound to the helper?


async def test_a_key_that_reaches_the_helper_alone_is_bound(side: Side) -> None:
    link = await side.open()
    await link.prove_bound()
    assert side.onwards == [("127.0.0.1", 1)]
    assert (await link.ask(LOOK))["n"] == 1


@pytest.mark.parametrize("greeting", [b"", b"Welcome to the phone system\n" * 500])
async def test_a_key_that_reaches_a_shell_is_not(side: Side, greeting: bytes) -> None:
    side.shell = greeting
    with pytest.raises(SecretReadable, match="runs commands") as caught:
        await (await side.open()).prove_bound()
    assert "restrict" in caught.value.next_step


@pytest.mark.parametrize("how", ["in vain", "at all"])
async def test_a_key_that_leads_on_into_the_network_is_not(side: Side, how: str) -> None:
    side.forwards = how
    with pytest.raises(SecretReadable, match="open connections"):
        await (await side.open()).prove_bound()


async def test_what_could_not_be_found_out_is_not_taken_for_bound(side: Side) -> None:
    side.hangs = True
    link = await side.open(200)
    with pytest.raises(Unreachable, match="does not answer"):
        await link.prove_bound()
    with pytest.raises(Unreachable):
        await link.ask(LOOK)


async def test_an_older_helper_is_hung_up_on(side: Side) -> None:
    async def answering(asked: dict[str, Any], channel: asyncssh.SSHServerProcess[bytes]) -> None:
        channel.stdout.write(line(asked, version=2))

    side.answering = answering
    hello = GUARD.render("hello")
    link = await side.open()
    assert (await greeted(link, hello, 2))["version"] == 2
    assert (await link.ask(LOOK))["n"] == 2
    with pytest.raises(NotSupported):
        await greeted(link, hello, 3)
    with pytest.raises(Unreachable):
        await link.ask(LOOK)
    side.forwards = "in vain"
    with pytest.raises(SecretReadable):
        await greeted(await side.open(), hello, 2)
