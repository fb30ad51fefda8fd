"""What is kept of the answers of FreePBX's API, and what they mean: any server that speaks HTTPS will do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Target
from connectors.errors import (
    ConnectorError,
    CredentialRefused,
    Fault,
    InvalidValue,
    ProtocolViolation,
    RateLimited,
    Refused,
    Unreachable,
)
from connectors.freepbx.api import ApiLink, Names
from connectors.freepbx.reading import _passed, _Place
from connectors.freepbx.requests import GUARD
from connectors.freepbx.settings import Api, FreePbxSettings
from tests.connectors.transport.phone_system import Server, phone_system, whole
from tests.support.certificates import certificate

SECRET = "CANARY-secret-of-the-client"
TOKEN = whole(b'{"access_token": "aa.bb.cc", "expires_in": 3600}')
STATUS = {400: b"400 Bad Request", 401: b"401 Unauthorized", 404: b"404 Not Found", 429: b"429 Too Many Requests",
          403: b"403 Forbidden", 500: b"500 Internal Server Error"}  # fmt: skip


@dataclass
class Side:
    """An API that gives these answers, one after the other."""

    link: ApiLink
    server: Server
    answers: list[bytes] = field(default_factory=list)

    def asked(self) -> list[str]:
        """What since: "token", "wider", or the question's field."""
        names = {b"allCoreUsers": "people", b"fetchExtension": "person", b"scope=gql%3Acore%3Aread": "token"}
        heard, self.server.heard = self.server.heard, []
        return [next((name for mark, name in names.items() if mark in one), "wider") for one in heard]


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[Side]:
    pem, key = certificate()
    async with phone_system(tmp_path, pem, key) as server:
        settings = Api.model_validate({"host": "127.0.0.1", "port": server.port, "pin": pem, "client": "c0ffee01"})
        target = Target("sys_1", "elsewhere.invalid", 1, "", FreePbxSettings(), 60_000, 60_000)
        made = Side(ApiLink(target, settings, SECRET), server)

        async def answering(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(made.answers.pop(0))
            await writer.drain()

        server.answering = answering
        yield made
        await made.link.close()


def said(**data: Any) -> bytes:
    return whole(json.dumps({"data": data, "extensions": "CANARY"}).encode())


def no(status: int, *headers: bytes) -> bytes:
    return whole(b'{"message": "CANARY"}', *headers, status=STATUS[status])


def person(name: object = "Zo\u00eb") -> bytes:
    return said(fetchExtension={"extensionId": "1", "user": {"name": name, "extPassword": "CANARY"}})


def page(*rows: object, more: object = False) -> bytes:
    return said(allCoreUsers={"coreUser": list(rows), "pageInfo": {"hasNextPage": more}})


async def test_a_name_is_asked_for_with_a_token_that_serves_until_it_is_refused(side: Side) -> None:
    side.answers += [TOKEN, person(), person(None), said(fetchExtension={"user": None}), person("")]
    assert await side.link.name("1") == "Zo\u00eb"
    assert b"Authorization: Bearer aa.bb.cc\r\n" in side.server.heard[-1]
    assert [await side.link.name("1") for _ in range(3)] == [None, None, ""]
    assert side.asked() == ["token", "person", "person", "person", "person"]
    for status in (401, 500):
        side.answers += [no(status), TOKEN, person("Grace")]
        assert await side.link.name("1") == "Grace"
        assert side.asked() == ["person", "token", "person"]
        side.answers += [no(status), TOKEN, no(status)]
        with pytest.raises(Refused, match=f"HTTP {status}"):
            await side.link.name("1")
        assert side.asked() == ["person", "token", "person"]
    side.answers.append(no(403))
    with pytest.raises(Refused, match="HTTP 403"):
        await side.link.name("1")
    assert side.asked() == ["person"]


async def test_a_token_that_was_just_given_is_not_asked_for_again(side: Side) -> None:
    side.answers += [TOKEN, no(401)]
    with pytest.raises(Refused, match="HTTP 401"):
        await side.link.name("1")
    assert side.asked() == ["token", "person"]


async def test_people_are_extensions_and_names(side: Side) -> None:
    rows = ({"extension": "1", "name": "Zo\u00eb", "password": "CANARY"}, {"extension": "2", "name": None},
            {"extension": "3"})  # fmt: skip
    side.answers += [TOKEN, page(*rows), page(*rows, more=True), page()]
    assert await side.link.people(0, 3) == Names((("1", "Zo\u00eb"), ("2", ""), ("3", "")), False)
    assert (await side.link.people(3, 3)).more is True
    assert await side.link.people(6, 3) == Names((), False)


_ROW = {"extension": "1", "name": "Zoe"}


@pytest.mark.parametrize(
    "answer",
    [page(*[_ROW] * 4), page(_ROW, more=None), page(_ROW, more="yes"), page("x"), page({"name": "x"}),
     page({"extension": 1}),
     page({"extension": "1" * 1025}), page(_ROW | {"name": 7}), page(_ROW | {"name": "a" * 1025}),
     said(allCoreUsers={"coreUser": None, "pageInfo": {"hasNextPage": False}}), said(allCoreUsers={"coreUser": []}),
     said(allCoreUsers=None), said(), whole(b"[]"), whole(b"{"), whole(b'{"data": []}'), whole(b"[" * 100_000),
     whole(b'{"data": "' + b"x" * (1 << 20) + b'"}'), whole(b"")],
)  # fmt: skip
async def test_what_makes_no_sense_is_not_believed(side: Side, answer: bytes) -> None:
    side.answers += [TOKEN, answer]
    with pytest.raises(ProtocolViolation) as caught:
        await side.link.people(0, 3)
    assert caught.value.__context__ is None
    assert "CANARY" not in repr(vars(caught.value)) + repr(vars(side.link)).replace(SECRET, "")


async def test_as_much_as_an_answer_may_hold_is_read(side: Side) -> None:
    row = _ROW | {"name": "a" * 1024}
    small = page(row).partition(b"\r\n\r\n")[2]
    large = small[:-1] + b" " * ((1 << 20) - len(small)) + small[-1:]
    side.answers += [TOKEN, whole(large), whole(large[:-1] + b" " + large[-1:])]
    assert (await side.link.people(0, 1)).rows == (("1", "a" * 1024),)
    with pytest.raises(ProtocolViolation, match="too large"):
        await side.link.people(0, 1)


async def test_half_a_surrogate_can_be_shown(side: Side) -> None:
    side.answers += [TOKEN, person("Zo\ud800")]
    assert await side.link.name("1") == "Zo?"


async def test_an_error_in_an_answer_is_one(side: Side) -> None:
    side.answers += [TOKEN, whole(b'{"errors": [{"message": "CANARY"}], "data": {"fetchExtension": {"user": null}}}'),
                     whole(b'{"errors": [], "data": {"fetchExtension": {"user": null}}}')]  # fmt: skip
    with pytest.raises(Refused, match="could not answer"):
        await side.link.name("1")
    assert await side.link.name("1") is None


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [(no(400), CredentialRefused, "gives our client no token"),
     (no(401), CredentialRefused, "gives our client no token"),
     (no(404), Refused, "not at this address"), (no(500), Refused, "HTTP 500"), (no(429), RateLimited, "slow down"),
     (whole(b"{}"), ProtocolViolation, "no sense"), (whole(b'{"access_token": 7}'), ProtocolViolation, "no sense"),
     (whole(b'{"access_token": "a b.c.d"}'), ProtocolViolation, "no sense"),
     (whole(b'{"access_token": "a.b"}'), ProtocolViolation, "no sense"),
     (whole(b'{"access_token": "aa.bb.cc dd"}'), ProtocolViolation, "no sense")],
)  # fmt: skip
async def test_what_gives_no_token_is_told_in_our_words(
    side: Side, answer: bytes, error: type[ConnectorError], words: str
) -> None:
    side.answers += [answer, TOKEN, person("Grace")]
    with pytest.raises(error, match=words) as caught:
        await side.link.name("1")
    assert SECRET not in caught.value.message + caught.value.next_step
    assert caught.value.next_step
    if error is CredentialRefused:
        assert "freepbx.md" in caught.value.next_step
    if b"404" in answer[:20]:
        assert caught.value.fault is Fault.OPERATOR
        assert "module `api`" in caught.value.next_step
    assert await side.link.name("1") == "Grace", "asked anew, with a token"


async def test_for_how_long_it_wants_to_be_left_alone(side: Side) -> None:
    side.answers += [TOKEN, no(429, b"Retry-After: 7"), no(429)]
    for wait_ms in (7_000, 60_000):
        with pytest.raises(RateLimited) as caught:
            await side.link.name("1")
        assert caught.value.retry_after_ms == wait_ms


async def test_whether_more_would_be_given_is_asked_and_what_comes_is_dropped(side: Side) -> None:
    side.answers += [TOKEN, no(400), no(401)]
    assert [await side.link.wider() for _ in range(3)] == [True, False, False]
    assert side.asked() == ["wider"] * 3
    assert "aa.bb.cc" not in repr(vars(side.link))
    side.answers.append(no(500))
    with pytest.raises(Refused) as caught:
        await side.link.wider()
    assert caught.value.message == "FreePBX's API said no (HTTP 500)"


async def test_nothing_is_waited_for_longer_than_a_helper_would_take(side: Side) -> None:
    target = side.link._web._target
    assert (target.connect_timeout_ms, target.answer_timeout_ms) == (3_000, 3_000)
    assert (target.host, target.port) == ("127.0.0.1", side.server.port)


async def test_after_the_end_nothing_of_the_secret_is_left(side: Side) -> None:
    side.answers += [TOKEN, person()]
    await side.link.name("1")
    await side.link.close()
    side.answers.append(person())
    with pytest.raises(Unreachable):
        await side.link._web.ask(GUARD.render("api-person", id="1"), "aa.bb.cc")
    assert SECRET not in repr(vars(side.link))
    assert "aa.bb.cc" not in repr(vars(side.link))


# --- where a list has got to


def test_a_place_in_the_list() -> None:
    for cursor in ("1", "1.2", f"{'1' * 20}.{'9' * 6}"):
        assert str(_Place.of(cursor)) == cursor
    assert _Place.of(None) == _Place(None, 0)
    assert _Place.of("7.50") == _Place("7", 50)
    assert _Place.of("7") == _Place("7", None)
    for wrong in ("", "a", "1.", ".1", f"{'1' * 21}", f"1.{'9' * 7}", "1.2.3", "1 ", "\u0661", "1.2\n"):
        with pytest.raises(InvalidValue) as caught:
            _Place.of(wrong)
        assert "first page" in caught.value.next_step


def test_how_many_were_passed_where_that_can_be_told() -> None:
    told = Names((("1", "a"), ("2", "b"), ("3", "c")), True)
    assert [_passed(_Place("0", 50), told, last) for last in ("1", "2", "3")] == [51, 52, 53]
    assert _passed(_Place("0", 50), told, "4") is None
    assert _passed(_Place("0", None), told, "1") is None
    assert _passed(_Place("0", 50), None, "1") is None
