"""The bytes of HTTP/1.1: where an answer ends, what is no answer, and what nobody asked for."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from connectors.errors import InvalidValue, ProtocolViolation, RequestNotAllowed, Unreachable
from connectors.transport.web import Answer, Call
from tests.connectors.transport.phone_system import LOOK, Answering, Server, client, read, whole

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
PIECES = b"".join(b"1\r\n%c\r\n" % one for one in b'{"a": 1}')


def sends(*parts: bytes, hangs_up: bool = False) -> Answering:
    """These bytes, each by itself."""

    async def answering(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if hangs_up:
            raise EOFError

    return answering


@pytest.mark.parametrize(
    "parts",
    [
        [CHUNKED + b"\r\n" + PIECES + b"0\r\n\r\n"],
        [CHUNKED, b"\r\n", *(b"%c" % one for one in PIECES), b"0\r\n", b"\r\n"],
        [CHUNKED + b"\r\n8;name=value\r\n" + b'{"a": 1}' + b"\r\n0\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nETag: x\r\n\r\n", whole(b'{"a": 1}')],
        [b"%c" % one for one in whole(b'{"a": 1}')],
    ],
)
async def test_an_answer_is_whole_however_it_is_cut(server: tuple[Server, str], parts: list[bytes]) -> None:
    running, pem = server
    running.answering = sends(*parts)
    web = client(running, pem)
    for _ in range(3):
        assert await read(web) == (Answer(200), b'{"a": 1}')
    assert running.connections == 1
    await web.close()


async def test_a_body_without_a_length_ends_with_the_connection(server: tuple[Server, str]) -> None:
    running, pem = server
    running.answering = sends(HEAD + b"\r\n", b'{"a"', b": 1}", hangs_up=True)
    web = client(running, pem)
    for _ in range(2):
        assert (await read(web))[1] == b'{"a": 1}'
    assert running.connections == 2
    running.answering = sends(CHUNKED + b"\r\n" + PIECES, hangs_up=True)
    with pytest.raises(Unreachable):
        await read(web)


async def test_what_follows_a_body_is_no_part_of_its_head(server: tuple[Server, str]) -> None:
    running, pem = server
    running.answering = sends(CHUNKED + b"\r\n" + PIECES + b'0\r\nETag: "late"\r\nContent-Encoding: gzip\r\n\r\n')
    web = client(running, pem)
    assert await read(web) == (Answer(200), b'{"a": 1}')
    await web.close()


@pytest.mark.parametrize(
    "stray", [whole(b'"nobody asked"'), b"CANARY \xff\r\n\r\n", b"HTTP/1.1 ", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
async def test_what_nobody_asked_for_answers_nobody(server: tuple[Server, str], stray: bytes) -> None:
    """Whether it comes along with an answer or after it: the next question goes over a connection of its own."""
    running, pem = server
    running.answer = whole(b'"asked"') + stray
    web = client(running, pem)
    for count in (1, 2):
        assert (await read(web))[1] == b'"asked"'
        assert running.connections == count
    await web.close()


async def test_who_speaks_unasked_is_hung_up_on_at_once(server: tuple[Server, str]) -> None:
    running, pem = server
    answered, hung_up = asyncio.Event(), asyncio.Event()

    async def talks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(b"{}"))
        await answered.wait()
        with contextlib.suppress(OSError):
            writer.write(whole(b'"nobody asked"'))
            await writer.drain()
            await reader.read()
        hung_up.set()

    running.answering = talks
    web = client(running, pem)
    assert (await read(web))[1] == b"{}"
    answered.set()
    await hung_up.wait()
    running.answering = None
    assert (await read(web))[1] == b"{}"
    assert running.connections == 2
    await web.close()


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"Content-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"Content-Length: -2\r\n\r\n{}",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
        HEAD + b"Content-Length : 2\r\n\r\n{}",
        HEAD + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"X: a\0b\r\nContent-Length: 2\r\n\r\n{}",
        HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 2\n\n{}",
        whole(b"{}").replace(b"HTTP/1.1", b"HTTP/2.0"),
        whole(b"{}", status=b"099 Odd"),
        whole(b"{}", status=b"1200 OK"),
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        CHUNKED + b"\r\n2\r\n{}X\r\n0\r\n\r\n",
        CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"\r\n2;" + b"x" * (600 << 10) + b"\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"\r\n2\r\n{}\r\n0\r\n" + b"X: y\r\n" * (100 << 10) + b"\r\n",
    ],
)  # fmt: skip
async def test_what_is_no_answer_makes_no_sense(server: tuple[Server, str], answer: bytes) -> None:
    running, pem = server
    running.answer = answer
    web = client(running, pem)
    with pytest.raises(ProtocolViolation):
        await read(web)
    running.answer = whole(b"{}")
    assert (await read(web))[1] == b"{}"
    await web.close()


async def test_others_have_their_turn_while_a_large_answer_comes(server: tuple[Server, str]) -> None:
    running, pem = server
    running.answer = whole(b"[" + b"1," * (4 << 20) + b"1]")
    web = client(running, pem)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    meanwhile = asyncio.ensure_future(others())
    assert len((await read(web))[1]) == len(running.answer) - len(whole(b"")) - len(str(8 << 20)) + 1
    meanwhile.cancel()
    assert turns > 8
    await web.close()


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection", "Accept-Encoding"])
def test_where_a_request_ends_and_to_whom_it_goes_is_no_familys_to_say(name: str) -> None:
    with pytest.raises(RequestNotAllowed):
        Call("GET", "/x", {name: "1"})


@pytest.mark.parametrize("name", ["pbx.example\r\nX: y", "pbx é", " "])
async def test_a_name_that_no_request_can_hold_is_refused_before_anything_is_sent(
    server: tuple[Server, str], name: str
) -> None:
    running, pem = server
    with pytest.raises(InvalidValue):
        client(running, pem, name)
    assert running.connections == 0


async def test_a_body_that_is_given_up_costs_one_connection(server: tuple[Server, str]) -> None:
    running, pem = server
    running.answer = whole(b"{}")
    web = client(running, pem)

    def breaks(_: bytes) -> None:
        raise RuntimeError("a mistake of a family's own")

    with pytest.raises(RuntimeError):
        await web.ask(LOOK, "t", choose=lambda _: breaks)
    assert (await read(web))[1] == b"{}"
    assert running.connections == 2
    await web.close()
