"""The child of a reset, on a real lab and a real SMTP server: what it does, how it ends, what its death means."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connectors.errors import ConnectorError, NotFound, NotSupported, OutcomeUnknown, Refused, Unreachable
from connectors.lab import server as lab_server
from connectors.lab.server import LOGIN, Lab
from gateway.errors import UnavailableError
from gateway.session.deliver import ResetServer
from tests.support.children import kill, no_child, the_child, until

ROOT = Path(__file__).parents[3]


class Post:
    """A mail server that answers as the test wants: "250 kept", or a refusal; or that says nothing yet."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.stalled: asyncio.Event | None = None
        self.asked = asyncio.Event()
        self.kept: list[bytes] = []
        self.port = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """aiosmtpd's hook."""
        self.asked.set()
        if self.stalled is not None:
            await self.stalled.wait()
        answer = self.answers.pop(0) if self.answers else "250 kept"
        if answer.startswith("250"):
            self.kept.append(envelope.content or b"")  # type: ignore[arg-type]
        return answer


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    kept = Post()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(kept, hostname="localhost"), "127.0.0.1", 0)
    kept.port = server.sockets[0].getsockname()[1]
    yield kept
    if kept.stalled is not None:
        kept.stalled.set()
    server.close()


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with lab_server.start(tmp_path / "lab") as running:
        yield running


@pytest.fixture
async def server() -> AsyncIterator[ResetServer]:
    running = ResetServer()
    # While it starts, a library it loads runs programs of its own: from here on its children are ours.
    first = running.child()
    with pytest.raises(UnavailableError):
        await first.start({})
    first.close()
    await no_child(running.pid)
    yield running
    running.stop()


@pytest.fixture
def job(lab: Lab, post: Post) -> dict[str, Any]:
    return {
        "connector": "lab", "system": "sys_1", "host": "127.0.0.1", "port": lab.ssh_port, "pin": lab.host_key,
        "settings": "{}", "mark": "frameroom-t",
        "person": "2001", "kind": "sip", "link": "lnk_" + "a" * 24, "retry_s": 5,
        "message_id": "msg_1", "shape": {"alphabet": "abcdefghij", "length": 20, "classes": [], "avoid": []},
        "credential": {"login": LOGIN, "password": None, "private_key": lab.client_key},
        "mail": {"host": "127.0.0.1", "port": post.port, "sender": "f@company.example", "tls": "none"},
        "url": "https://once.example", "path": "/s/", "to": "grace@customer.example", "subject": "S",
        "body": ["before ", " after"],
    }  # fmt: skip


async def test_the_sealed_bytes_open_with_the_mails_own_key_to_what_was_written(
    server: ResetServer, lab: Lab, post: Post, job: dict[str, Any]
) -> None:
    child = server.child()
    sealed = await child.start(job)
    before = lab.store.sip_secret("2001")
    assert await child.write() == ()
    assert await child.mail(5)
    child.close()
    (mail,) = post.kept
    key = re.search(rb"before https://once\.example/s/lnk_a{24}#([\w-]{43}) after", mail.replace(b"=\r\n", b""))
    assert key
    plain = AESGCM(base64.urlsafe_b64decode(key[1] + b"=")).decrypt(sealed[:12], sealed[12:], job["link"].encode())
    assert json.loads(plain)["secret"] == lab.store.sip_secret("2001") != before
    await no_child(server.pid)


async def test_killed_before_it_wrote_nothing_was_written(server: ResetServer, lab: Lab, job: dict[str, Any]) -> None:
    before = lab.store.sip_secret("2001")
    child = server.child()
    await child.start(job)
    await kill(await the_child(server.pid))
    with pytest.raises(Unreachable, match="before anything was written"):
        await child.write()
    child.close()
    assert lab.store.sip_secret("2001") == before


async def test_killed_before_it_was_made_nothing_was_written(server: ResetServer, job: dict[str, Any]) -> None:
    child = server.child()
    await kill(await the_child(server.pid))
    with pytest.raises(UnavailableError, match="nothing was written"):
        await child.start(job)
    child.close()


async def test_killed_while_it_wrote_nobody_can_tell(server: ResetServer, lab: Lab, job: dict[str, Any]) -> None:
    lab.faults.add("silent")
    child = server.child()
    await child.start(job)
    victim = await the_child(server.pid)
    writing = asyncio.ensure_future(child.write())
    await until(lambda: _is_connected(victim))
    await kill(victim)
    with pytest.raises(OutcomeUnknown, match="while it wrote"):
        await writing
    child.close()


def _is_connected(pid: int) -> bool:
    """The child has asked the phone system: it holds a TCP connection besides its socket to us."""
    links = [os.readlink(f) for f in Path(f"/proc/{pid}/fd").iterdir()]
    return sum(link.startswith("socket:") for link in links) >= 2


async def test_killed_while_it_mailed_it_is_undelivered(server: ResetServer, post: Post, job: dict[str, Any]) -> None:
    post.stalled = asyncio.Event()
    child = server.child()
    await child.start(job)
    await child.write()
    mailing = asyncio.ensure_future(child.mail(5))
    await post.asked.wait()
    await kill(await the_child(server.pid))
    assert await mailing is False
    child.close()


async def test_a_mail_server_that_is_down_for_a_moment_gets_it_later(
    server: ResetServer, post: Post, job: dict[str, Any]
) -> None:
    post.answers = ["451 not now", "250 kept"]
    child = server.child()
    await child.start(job)
    await child.write()
    assert await child.mail(5)
    child.close()
    assert len(post.kept) == 1


async def test_what_is_not_taken_in_time_is_undelivered(server: ResetServer, post: Post, job: dict[str, Any]) -> None:
    post.answers = ["451 not now"] * 9
    child = server.child()
    await child.start(job | {"retry_s": 1})
    await child.write()
    assert await child.mail(1) is False
    child.close()
    assert post.kept == []
    await no_child(server.pid)


async def test_a_refusal_for_good_is_not_tried_for_ten_minutes(
    server: ResetServer, post: Post, job: dict[str, Any]
) -> None:
    post.answers = ["554 never", "250 kept"]
    child = server.child()
    await child.start(job | {"retry_s": 600})
    await child.write()
    assert await child.mail(600) is False
    child.close()
    assert post.kept == []


async def test_what_the_phone_system_says_comes_through_in_its_own_words(
    server: ResetServer, lab: Lab, job: dict[str, Any]
) -> None:
    lab.faults.add("refuse")
    child = server.child()
    await child.start(job)
    with pytest.raises(Refused):
        await child.write()
    child.close()
    lab.faults.clear()
    other = server.child()
    await other.start(job | {"person": "9999"})
    with pytest.raises(NotFound) as missing:
        await other.write()
    assert "find" in missing.value.next_step
    other.close()


async def test_an_answer_that_was_lost_is_an_unknown_outcome(
    server: ResetServer, lab: Lab, job: dict[str, Any]
) -> None:
    lab.faults.add("close-after-write")
    child = server.child()
    await child.start(job)
    with pytest.raises(OutcomeUnknown):
        await child.write()
    child.close()


_BY_TYPE = (Unreachable, r"could not begin \(\w+\); nothing was written")


@pytest.mark.parametrize(
    ("wrong", "told_as"),
    [
        ({"settings": '{"nonsense": 1}'}, _BY_TYPE), ({"settings": "]"}, _BY_TYPE),
        ({"connector": "nonsense"}, (NotSupported, "connector, nonsense, is not there")),
    ],
)  # fmt: skip
async def test_what_no_connector_expects_is_told_by_its_type_and_prints_nothing(
    job: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    wrong: dict[str, str],
    told_as: tuple[type[ConnectorError], str],
) -> None:
    server = ResetServer()
    child = server.child()
    await child.start(job | wrong)
    with pytest.raises(told_as[0], match=told_as[1]):
        await child.write()
    child.close()
    await no_child(server.pid)
    server.stop()
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")


async def test_a_server_that_was_to_start_later_is_there_for_the_first_who_asks(job: dict[str, Any]) -> None:
    ResetServer(later=True).stop()
    server = ResetServer(later=True)
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.pid
    child = server.child()
    try:
        assert await child.start(job)
    finally:
        child.close()
        server.stop()


@pytest.mark.filterwarnings("error")  # a socket that is left open is one
async def test_where_no_process_can_be_started_it_is_said_and_the_next_one_who_asks_tries_again(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ResetServer(later=True)
    with monkeypatch.context() as patched:
        patched.setattr("sys.executable", "/nowhere/python")
        with pytest.raises(UnavailableError, match="nothing was written"):
            server.child()
        server.stop()
    child = server.child()
    try:
        assert await child.start(job)
    finally:
        child.close()
        server.stop()


async def test_a_child_ends_when_the_gateway_is_gone(server: ResetServer, job: dict[str, Any]) -> None:
    child = server.child()
    await child.start(job)
    child.close()
    await no_child(server.pid)


async def test_neither_it_nor_its_server_can_be_dumped(server: ResetServer, job: dict[str, Any]) -> None:
    child = server.child()
    await child.start(job)
    for pid in (server.pid, await the_child(server.pid)):
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)
        # What is not dumpable belongs to root in /proc, whoever runs it.
        assert Path(f"/proc/{pid}/mem").stat().st_uid == 0
    child.close()


async def test_an_alarm_ends_it_wherever_it_hangs(server: ResetServer, job: dict[str, Any]) -> None:
    child = server.child()
    await child.start(job)
    pid = await the_child(server.pid)
    status = Path(f"/proc/{pid}/status").read_text()
    handled = [int(re.search(rf"{name}:\s*([0-9a-f]+)", status)[1], 16) for name in ("SigBlk", "SigIgn", "SigCgt")]  # type: ignore[index]
    bit = 1 << (signal.SIGALRM - 1)
    assert not any(mask & bit for mask in handled), "SIGALRM has to end the process by itself"
    os.kill(pid, signal.SIGALRM)
    await no_child(server.pid)
    with pytest.raises(Unreachable):
        await child.write()
    child.close()


async def test_the_server_is_started_again_when_it_was_ended(server: ResetServer, job: dict[str, Any]) -> None:
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitid, os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    child = server.child()
    assert await child.start(job)
    child.close()


async def test_a_message_that_is_too_long_is_refused_before_anything_happens(
    server: ResetServer, job: dict[str, Any]
) -> None:
    child = server.child()
    with pytest.raises(UnavailableError, match="too long"):
        await child.start(job | {"settings": "x" * 200_000})
    child.close()
    await no_child(server.pid)


def test_the_server_ends_with_the_gateway() -> None:
    """Also when that was killed: its end of the socket is closed then, whoever closed it."""
    code = "import os,sys; from gateway.session.deliver import ResetServer; print(ResetServer().pid, flush=True); "
    gateway = subprocess.Popen(
        [sys.executable, "-c", code + "sys.stdin.read()"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert gateway.stdout is not None
    pid = int(gateway.stdout.readline())
    watch = os.pidfd_open(pid)
    gateway.kill()
    gateway.communicate()
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    assert poll.poll(30_000), "the fork server outlived its gateway"
    os.close(watch)
