"""HTTPS to a phone system, over real TLS: allowed requests alone, every answer bounded."""

from __future__ import annotations

import asyncio
import gzip
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.errors import (
    ConnectorError,
    OutcomeUnknown,
    ProtocolViolation,
    RequestNotAllowed,
    Unreachable,
)
from connectors.transport.web import MAX_BODY, Answer, Call, Web, Whole
from tests.connectors.transport.phone_system import (
    GUARD,
    LOOK,
    NAME,
    OTHER,
    TOKEN,
    Answering,
    Server,
    client,
    phone_system,
    read,
    render,
    whole,
    write,
)
from tests.support.certificates import signed

# --- requests ---


async def test_only_what_its_own_guard_let_through_is_sent(server: tuple[Server, str]) -> None:
    running, pem = server
    web = client(running, pem)
    forged: list[object] = [OTHER.render("look", id="x"), "look", None, Call("GET", "/look/x")]
    for request in forged:
        with pytest.raises(RequestNotAllowed):
            await web.ask(request, TOKEN)  # type: ignore[arg-type]
    assert running.heard == []


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [("CONNECT", "/x", {}), ("get", "/x", {}), ("GET", "x", {}), ("GET", "//evil.example/x", {}),
     ("GET", "http://evil.example/", {}), ("GET", "/x y", {}), ("GET", "/x\r\nX: y", {}), ("GET", "/é", {}),
     ("GET", "/x#y", {}), ("GET", '/"', {}), ("GET", "/x", {"A: b\r\nX": "y"}), ("GET", "/x", {"A": "b\r\nX: y"}),
     ("GET", "/x", {"A": "é"}), ("GET", "/x", {"A": ""})],
)  # fmt: skip
def test_a_call_that_is_not_one_line_of_http_cannot_be_made(method: str, path: str, headers: dict[str, str]) -> None:
    with pytest.raises(RequestNotAllowed):
        Call(method, path, headers)


async def test_what_is_sent_is_what_was_rendered(server: tuple[Server, str]) -> None:
    running, pem = server
    web = client(running, pem)
    await read(web)
    await web.ask(write(), TOKEN)
    look, wrote = running.heard
    assert look.startswith(b"GET /look/Grace%20O'Neil HTTP/1.1\r\n")
    assert b"accept-encoding: identity\r\n" in look.lower()
    assert b"authorization: bearer canary-token\r\n" in look.lower()
    assert wrote.endswith(b'\r\n\r\n{"secret": "CANARY-body"}')
    assert running.connections == 1
    await web.close()


async def test_proxies_of_the_environment_are_not_used(
    server: tuple[Server, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    running, pem = server
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert (await read(client(running, pem)))[0].status == 200


# --- answers ---


async def test_the_head_that_is_kept_and_a_body_that_nobody_reads(server: tuple[Server, str]) -> None:
    running, pem = server
    running.answer = whole(b'{"secret": "x"}', b'ETag: W/"7"', b"Retry-After: 30", status=b"429 Slow")
    web = client(running, pem)
    assert await web.ask(LOOK, TOKEN) == Answer(429, 'W/"7"', 30_000)
    running.answer = whole(b"", b"Retry-After: Fri, 27 Nov 2026 20:00:00 GMT", b"ETag: a b")
    assert await web.ask(LOOK, TOKEN) == Answer(200)
    running.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    assert await web.ask(write(), TOKEN) == Answer(204)
    # A page of HTML beside a status that says it all is nothing that anybody reads, whatever its kind.
    running.answer = whole(b"<html>who are you?</html>", status=b"401 Unauthorized", kind=b"text/html")
    assert await web.ask(LOOK, TOKEN) == Answer(401)
    assert running.connections == 1
    await web.close()


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    while not writer.is_closing():
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)  # a wire that is gone takes all at once, and says so only to who waits


async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    never = asyncio.Event()
    writer.write(whole(b"{}")[:-1])
    await writer.drain()
    await never.wait()


async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def broken_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(whole(b'{"a": 1}')[:-3])
    await writer.drain()
    raise EOFError


async def hung_up(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    raise EOFError


async def many_heads(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-Y: " + b"z" * 1000 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)  # a wire that is gone takes all at once, and says so only to who waits


async def go_on(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
        await writer.drain()
        await asyncio.sleep(0)  # a wire that is gone takes all at once, and says so only to who waits


BOMB = whole(gzip.compress(b"\0" * (64 << 20)), b"Content-Encoding: gzip")
ENEMIES: dict[str, bytes | Answering] = {
    "redirect": whole(b"", b"Location: https://evil.example/", status=b"302 Found"),
    "another kind": whole(b"<html>CANARY-answer</html>", kind=b"text/html"), "no kind": whole(b"x", kind=b""),
    "gzip bomb": BOMB, "nonsense": b"\xff\xfe CANARY-answer\r\n\r\n", "half a head": b"HTTP/1.1 2",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "endless": endless, "slow": slow, "silent": silent, "broken off": broken_off, "hung up": hung_up,
    "endless head": many_heads, "goes on": go_on, "switches": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("enemy", list(ENEMIES))
@pytest.mark.parametrize("request_name", ["look", "write"])
@pytest.mark.parametrize("reads", [True, False])
async def test_an_enemy_costs_one_question(
    server: tuple[Server, str], caplog: pytest.LogCaptureFixture, enemy: str, request_name: str, reads: bool
) -> None:
    """In time, bounded, in a typed error; after a write it is the outcome that is unknown; nothing is sent twice, and
    nobody is followed anywhere; nothing of request or answer is in what is raised or logged."""
    caplog.set_level(logging.DEBUG)
    running, pem = server
    how = ENEMIES[enemy]
    running.answer, running.answering = (how, None) if isinstance(how, bytes) else (b"", how)
    if enemy == "half a head":
        running.answering = _then_hang_up(running.answer)
    web = client(running, pem, timeout_ms=700)
    request = LOOK if request_name == "look" else write()
    with pytest.raises(ConnectorError) as caught:
        await (read(web, request) if reads else web.ask(request, TOKEN))
    error = caught.value
    assert isinstance(error, OutcomeUnknown if request_name == "write" else ProtocolViolation | Unreachable)
    assert len(running.heard) == 1
    told = repr(error) + error.message + error.next_step + caplog.text
    for never in ("CANARY", "evil", "/look", "Bearer", "127.0.0.1"):
        assert never not in told
    assert error.__cause__ is None
    assert error.__context__ is None
    # Whoever comes next is served.
    running.answer, running.answering = whole(b"{}"), None
    assert (await read(web))[1] == b"{}"
    await web.close()


def _then_hang_up(answer: bytes) -> Answering:
    async def answering(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        raise EOFError

    return answering


async def test_a_body_is_bounded_by_whoever_reads_it(server: tuple[Server, str]) -> None:
    running, pem = server
    running.answer = whole(b"[" + b"1," * 600 + b"1]")
    web = client(running, pem)
    with pytest.raises(ProtocolViolation):
        await web.ask(LOOK, TOKEN, choose=lambda _: Whole(1000))
    with pytest.raises(OutcomeUnknown):
        await web.ask(write(), TOKEN, choose=lambda _: Whole(1000))
    assert (await read(web))[1].endswith(b"1]")
    assert MAX_BODY < 1 << 26


async def test_a_question_that_is_given_up_never_answers_the_next(server: tuple[Server, str]) -> None:
    running, pem = server
    asked = asyncio.Event()

    async def late(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(running.heard) == 1:
            asked.set()
            await asyncio.Event().wait()
        writer.write(whole(b'"the second"'))
        await writer.drain()

    running.answering = late
    web = client(running, pem)
    given_up = asyncio.ensure_future(read(web))
    await asked.wait()
    given_up.cancel()
    await asyncio.wait([given_up])
    assert (await read(web))[1] == b'"the second"'
    await web.close()


async def test_what_came_before_anything_was_asked_is_no_answer(server: tuple[Server, str]) -> None:
    """A second answer behind the first, or a goodbye before the connection ends, must not be told of the next write."""
    phone_system, pem = server
    pushed = asyncio.Event()

    async def twice(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(b"{}"))
        await writer.drain()
        if not pushed.is_set():
            await asyncio.sleep(0)
            writer.write(whole(b"{}", status=b"408 Request Timeout"))
            await writer.drain()
            pushed.set()

    phone_system.answering = twice
    web = client(phone_system, pem)
    try:
        assert (await read(web))[0].status == 200
        await pushed.wait()
        wire = web._wire
        assert wire is not None
        for _ in range(100):  # until the goodbye is here, however many pieces TLS made of it
            if not wire.is_good(wire.used):
                break
            await asyncio.sleep(0.01)
        assert (await web.ask(write(), TOKEN)).status == 200
        assert phone_system.connections == 2
    finally:
        await web.close()


async def test_after_it_was_closed_nothing_is_asked(server: tuple[Server, str]) -> None:
    running, pem = server
    web = client(running, pem)
    await web.close()
    await web.close()
    with pytest.raises(Unreachable):
        await web.ask(write(), TOKEN)
    assert running.heard == []


async def test_a_relay_changes_neither_name_nor_trust(tmp_path: Path) -> None:
    """A route leads through a loopback port: the name is the phone system's all the same."""
    authority, pem, key = signed()
    async with phone_system(tmp_path, pem, key) as running:
        web = client(running, authority, NAME)
        web = Web(replace(web._target, host="localhost"), GUARD, render, server_name=NAME)
        assert (await read(web))[0].status == 200
        assert b"Host: pbx.customer.example\r\n" in running.heard[0]
        await web.close()
