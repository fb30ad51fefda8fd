"""What a phone system, or whoever took it over, may answer: typed errors, flat memory, and no word of it repeated."""

from __future__ import annotations

import asyncio
import json
import traceback
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncssh
import pytest

from connectors.asterisk_files.connector import AsteriskFilesConnector, AsteriskFilesFamily
from connectors.asterisk_files.settings import AsteriskFilesSettings
from connectors.contract import Change, Credential, Person, Secret, SecretKind, Target
from connectors.errors import ConnectorError, OutcomeUnknown, ProtocolViolation, Unreachable

HELLO = {"helper": "frameroom-helper", "version": 1, "digest": "0" * 64, "python": "3.6"}
PERSON = {"id": "1001", "extension": "1001", "name": "Grace", "email": None, "ddis": []}
SHOWN = Person("1001", "1001", "Grace", None, ())
Turn = Callable[[dict[str, Any], "asyncssh.SSHServerProcess[bytes]"], Awaitable[bytes | None]]


class Server(asyncssh.SSHServer):
    """Forwards nothing, in the words of an OpenSSH whose key is under `restrict`."""

    def connection_requested(self, *_: object) -> bool:
        """Never."""
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")


@asynccontextmanager
async def answering(turn: Turn, timeout_ms: int = 2000) -> AsyncIterator[AsteriskFilesConnector]:
    """A connector whose helper says hello rightly, and then what `turn` says."""
    key = asyncssh.generate_private_key("ssh-ed25519")

    async def process(channel: asyncssh.SSHServerProcess[bytes]) -> None:
        if channel.command != "frameroom-helper":
            channel.stdout.write(b'{"error": "bound"}\n')
            channel.exit(3)
            return
        async for line in channel.stdin:
            asked = json.loads(line)
            answer = (
                json.dumps(HELLO | {"n": asked["n"]}).encode() + b"\n"
                if asked["do"] == "hello"
                else await turn(asked, channel)
            )
            if answer is None:
                return
            channel.stdout.write(answer)

    server = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[key], server_factory=Server, process_factory=process, encoding=None,
        authorized_client_keys=asyncssh.import_authorized_keys(key.export_public_key().decode()),
    )  # fmt: skip

    async def unseal() -> Credential:
        return Credential("frameroom", private_key=key.export_private_key().decode())

    pin = key.export_public_key().decode()
    target = Target("sys_1", "127.0.0.1", server.get_port(), pin, AsteriskFilesSettings(), 5000, timeout_ms)
    connector = await AsteriskFilesFamily().connect(target, unseal)
    yield connector
    await connector.close()
    server.close()


def saying(answer: Any) -> Turn:
    async def turn(asked: dict[str, Any], _: Any) -> bytes:
        return answer if isinstance(answer, bytes) else json.dumps(answer | {"n": asked["n"]}).encode() + b"\n"

    return turn


@pytest.mark.parametrize(
    "answer",
    [b"\n", b"nonsense\n", b"[]\n", b'{"ok":true}\n', b'{"n":99}\n', b"\xff\xfe\n", b"[" * 100_000 + b"\n",
     b"{" + b'"a":{' * 50_000 + b"\n", {}, {"person": 7}, {"person": {"id": 1}}, {"person": PERSON | {"name": 5}},
     {"person": PERSON | {"ddis": {}}}, {"person": PERSON | {"name": "x" * 5000}}, {"error": {"a": 1}}],
)  # fmt: skip
async def test_what_makes_no_sense_is_a_typed_error(answer: Any) -> None:
    async with answering(saying(answer)) as connector:
        with pytest.raises(ConnectorError) as caught:
            await connector.view("1001")
    assert isinstance(caught.value, ConnectorError)


async def test_more_people_than_asked_for_are_not_taken() -> None:
    async with answering(saying({"people": [PERSON] * 6, "more": False})) as connector:
        with pytest.raises(ProtocolViolation):
            await connector.people(None, 5)


async def test_an_answer_about_somebody_else_is_none() -> None:
    async with answering(saying({"person": PERSON | {"id": "1002", "extension": "1002"}})) as connector:
        with pytest.raises(ProtocolViolation, match="somebody else"):
            await connector.view("1001")


async def test_half_a_surrogate_in_a_name_is_shown_as_what_can_be_written_down() -> None:
    """JSON can say it, and no log, terminal or page can hold it: one such name must not end a visit."""
    async with answering(saying({"person": PERSON | {"name": "Gr\udce9ta", "ddis": ["\ud800"]}})) as connector:
        person = await connector.view("1001")
    assert (person.name, person.ddis) == ("Gr?ta", ("?",))


async def test_an_endless_answer_is_cut_at_the_cap() -> None:
    async def flood(_: Any, channel: asyncssh.SSHServerProcess[bytes]) -> None:
        while True:
            channel.stdout.write(b"x" * 65536)
            await channel.stdout.drain()

    async with answering(flood, 20_000) as connector:
        tracemalloc.start()
        with pytest.raises(ConnectorError):
            await connector.view("1001")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 32 << 20


async def test_silence_and_a_cut_are_unknown_after_a_write_and_unreachable_after_a_look() -> None:
    async def silence(_: Any, __: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def cut(_: Any, channel: asyncssh.SSHServerProcess[bytes]) -> None:
        channel.channel.get_connection().abort()

    for turn in (silence, cut):
        async with answering(turn, 500) as connector:
            with pytest.raises(OutcomeUnknown):
                await connector.alter("1001", Change(name="X"), SHOWN)
        async with answering(turn, 500) as connector:
            with pytest.raises(Unreachable):
                await connector.view("1001")


async def test_what_was_written_and_cannot_be_shown_again_is_not_told_as_if_nothing_had_happened() -> None:
    async def turn(asked: dict[str, Any], channel: asyncssh.SSHServerProcess[bytes]) -> bytes | None:
        if asked["do"] == "alter":
            return json.dumps({"ok": True, "n": asked["n"]}).encode() + b"\n"
        channel.channel.get_connection().abort()
        return None

    async with answering(turn, 1000) as connector:
        with pytest.raises(OutcomeUnknown, match="it was written"):
            await connector.alter("1001", Change(name="X"), SHOWN)


async def test_a_write_cut_at_every_byte_of_its_answer_is_unknown() -> None:
    whole = b'{"ok": true, "n": 2}\n'
    for length in range(0, len(whole), 3):

        async def turn(_: Any, channel: asyncssh.SSHServerProcess[bytes], length: int = length) -> None:
            channel.stdout.write(whole[:length])
            await channel.stdout.drain()
            channel.channel.get_connection().close()

        async with answering(turn, 1000) as connector:
            with pytest.raises(OutcomeUnknown):
                await connector.alter("1001", Change(name="X"), SHOWN)


async def test_half_an_answer_is_in_nothing_that_an_error_carries_along() -> None:
    async def half(_: Any, channel: asyncssh.SSHServerProcess[bytes]) -> None:
        channel.stdout.write(b'{"ok": true, "was": "CANARY-in-half-an-answer')
        await channel.stdout.drain()
        channel.channel.get_connection().close()

    async with answering(half, 1000) as connector:
        with pytest.raises(ConnectorError) as caught:
            await connector.alter("1001", Change(name="X"), SHOWN)
    error: BaseException | None = caught.value
    while error is not None:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        product = [frame for frame in frames if "/tests/" not in frame.f_code.co_filename]
        assert product
        assert all("CANARY" not in repr(frame.f_locals) for frame in product)
        error = error.__cause__ or error.__context__


async def test_no_word_of_an_answer_is_repeated_and_a_writes_answer_is_dropped() -> None:
    lie = "CANARY-in-an-answer"
    for error in ("refused", "invalid", "unknown", "unsupported", "conflict", "not-found", "taken", "failed", lie):
        answer = {"error": error, "reason": lie, "file": f"{lie}\x1b[2J", "line": 1, "message": lie, "secret": lie}
        async with answering(saying(answer)) as connector:
            with pytest.raises(ConnectorError) as caught:
                await connector.view("1001")
            assert lie not in repr(caught.value) + caught.value.message + caught.value.next_step

    async def turn(asked: dict[str, Any], _: Any) -> bytes:
        told = {"stored": "md5", "accounts": 1} if asked["do"] == "rules" else {"ok": True, "secret": lie, "notes": lie}
        return json.dumps(told | {"n": asked["n"]}).encode() + b"\n"

    async with answering(turn) as connector:
        done = await connector.reset("1001", SecretKind.SIP, Secret("NewSecretOfTheTest23456"))
    assert lie not in repr(done)


async def test_unknown_keys_are_dropped_with_their_values() -> None:
    person = PERSON | {"password": "CANARY-extra", "email": "grace@customer.example"}
    async with answering(saying({"person": person, "secret": "CANARY-extra"})) as connector:
        assert "CANARY" not in repr(await connector.view("1001"))
