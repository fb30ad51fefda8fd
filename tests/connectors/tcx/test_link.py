"""The token, and what a status means: nothing is sent twice but what was not carried out."""

from __future__ import annotations

import asyncio
import logging

import pytest

from connectors.contract import Change, Credential, SecretKind, Target
from connectors.errors import (
    Conflict,
    ConnectorError,
    CredentialRefused,
    NotFound,
    OutcomeUnknown,
    ProtocolViolation,
    RateLimited,
    Refused,
    Unreachable,
)
from connectors.tcx.connector import TcxConnector, TcxFamily
from connectors.tcx.settings import TcxSettings
from tests.connectors.tcx.bench import template
from tests.connectors.tcx.conftest import Dial
from tests.support.tcx.pbx import CLIENT, KEY, Pbx, Reply
from tests.support.tcx.server import Server


def heard(server: Server) -> list[str]:
    names = [template(one) for one in server.heard]
    server.heard.clear()
    return names


async def test_one_token_serves_all_connections_to_a_phone_system(server: Server, dial: Dial) -> None:
    connectors = [await dial() for _ in range(4)]
    await asyncio.gather(*(one.view("u1") for one in connectors for _ in range(5)))
    assert server.pbx.tokens == 1
    assert heard(server).count("token") == 1


async def test_a_token_that_somebody_else_ended_is_made_anew_once_and_nothing_is_lost(
    server: Server, tcx: TcxConnector
) -> None:
    before = await tcx.view("u1")
    server.pbx.token = "another's"
    after = await tcx.alter("u1", Change(name="Grace Bell"), before)
    assert after.name == "Grace Bell"
    names = heard(server)
    assert names.count("set-name") == 1
    assert server.pbx.tokens == 2


async def test_a_write_that_was_refused_for_its_token_is_sent_again_and_done_once(
    server: Server, tcx: TcxConnector
) -> None:
    answer, seen = server.pbx.answer, list[str]()

    def ends_it(method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        if method == "POST" and "Regenerate" in target and not seen:
            seen.append(target)
            server.pbx.token = "another's"
        return answer(method, target, headers, body)

    server.pbx.answer = ends_it  # type: ignore[method-assign,assignment]
    await tcx.renew("u1", SecretKind.VOICEMAIL, "grace@customer.example")
    assert heard(server).count("regenerate") == 2
    assert len(server.pbx.mails) == 1


async def test_a_token_that_is_never_taken_is_said_so(server: Server, tcx: TcxConnector) -> None:
    server.pbx.refusing["GET Users"] = Reply(401)
    with pytest.raises(CredentialRefused) as caught:
        await tcx.view("u1")
    assert "ours alone" in caught.value.next_step
    assert heard(server).count("user") == 2


@pytest.mark.parametrize(("lifetime", "until_s"), [(0, 45), (60, 30), (3600, 3570), (10**12, 3570)])
async def test_minutes_of_an_older_build_are_not_taken_for_a_long_life(
    server: Server, dial: Dial, monkeypatch: pytest.MonkeyPatch, lifetime: int, until_s: int
) -> None:
    """60 may be minutes, and is taken for seconds: a token is made anew before the shorter of them is over."""
    server.pbx.lifetime = lifetime
    connector = await dial()
    loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
    for after, tokens in ((until_s - 5, 1), (until_s + 5, 2)):
        monkeypatch.setattr(connector._link._tokens, "_now", lambda after=after: began + after)
        await connector.view("u1")
        assert server.pbx.tokens == tokens
    assert loop.time() - began < until_s


@pytest.mark.parametrize(
    ("reply", "error"),
    [(Reply(401, {"error": "unauthorized"}), CredentialRefused), (Reply(400, {"error": "x"}), CredentialRefused),
     (Reply(404), ProtocolViolation), (Reply(429, None, {"Retry-After": "7"}), RateLimited), (Reply(502), Refused),
     (Reply(204), Unreachable), (Reply(200, {"access_token": "a b", "expires_in": 1}), ProtocolViolation),
     (Reply(200, {"access_token": "x" * 9_000}), ProtocolViolation), (Reply(200, []), ProtocolViolation)],
)  # fmt: skip
async def test_what_gives_no_token_is_told_in_our_words(
    server: Server, dial: Dial, reply: Reply, error: type[ConnectorError]
) -> None:
    server.pbx._signed_in = lambda *_: reply  # type: ignore[method-assign]
    with pytest.raises(error) as caught:
        await dial()
    assert KEY not in caught.value.message + caught.value.next_step


@pytest.mark.parametrize("password", [None, "", "a\nb", "x" * 600])
async def test_a_key_that_cannot_be_one_is_never_sent(server: Server, password: str | None) -> None:
    async def unseal() -> Credential:
        return Credential(CLIENT, password)

    target = Target("sys_1", "127.0.0.1", server.port, server.pem, TcxSettings())
    with pytest.raises(CredentialRefused):
        await TcxFamily().connect(target, unseal)
    assert server.heard == []


async def test_neither_token_nor_key_nor_address_is_logged_or_raised(
    server: Server, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connector = await dial()
    server.pbx.refusing["GET Users"] = Reply(500, {"error": {"code": "x", "message": "CANARY-body"}})
    with pytest.raises(Refused) as caught:
        await connector.view("u1")
    for never in ("CANARY", "ey.", "/xapi", "Users"):
        assert never not in caplog.text + repr(caught.value) + repr(connector) + repr(vars(caught.value))


_LOOKS = {
    400: Refused, 401: CredentialRefused, 403: Refused, 404: NotFound, 405: Refused, 409: Conflict, 410: NotFound,
    412: Conflict, 415: Refused, 429: RateLimited, 500: Refused, 503: Refused,
}  # fmt: skip


@pytest.mark.parametrize("status", sorted(_LOOKS))
async def test_what_a_status_means(server: Server, tcx: TcxConnector, status: int) -> None:
    before = await tcx.view("u1")
    server.pbx.refusing["PATCH Users(1)"] = Reply(status)
    with pytest.raises(ConnectorError) as caught:
        await tcx.alter("u1", Change(name="Grace Bell"), before)
    assert isinstance(caught.value, _LOOKS[status] if status < 500 else OutcomeUnknown)
    assert caught.value.next_step
    if status < 500 and status not in (401, 404, 410):
        assert "nothing was written" in caught.value.message
    assert heard(server).count("set-name") == (2 if status == 401 else 1)
    server.pbx.refusing.clear()
    server.pbx.refusing["GET Users(1)"] = Reply(status)
    with pytest.raises(_LOOKS[status]):
        await tcx.view("u1")


async def test_a_busy_phone_system_says_for_how_long(server: Server, tcx: TcxConnector) -> None:
    server.pbx.refusing["GET Users"] = Reply(429, None, {"Retry-After": "12"})
    with pytest.raises(RateLimited) as caught:
        await tcx.view("u1")
    assert caught.value.retry_after_ms == 12_000


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_failure_after_it_was_done_is_an_unknown_outcome_and_done_once(
    server: Server, tcx: TcxConnector, status: int
) -> None:
    before = await tcx.view("u1")
    for beginning in ("PATCH Users(1)", "POST Users(1)", "DELETE Users(1)"):
        server.pbx.failing[beginning] = Reply(status)
    with pytest.raises(OutcomeUnknown):
        await tcx.alter("u1", Change(name="Grace Bell"), before)
    with pytest.raises(OutcomeUnknown):
        await tcx.renew("u1", SecretKind.PORTAL, "grace@customer.example")
    with pytest.raises(OutcomeUnknown):
        await tcx.remove("u1", await tcx.view("u1"))
    assert len(server.pbx.mails) == 1
    names = heard(server)
    assert [names.count(name) for name in ("set-name", "regenerate", "remove-user")] == [1, 1, 1]


@pytest.mark.parametrize(
    "body",
    [[], {"Id": 1}, {"Id": "1", "Number": "201"}, {"Id": 1, "Number": ""}, {"Id": 2, "Number": "202"}, {"Id": -1},
     {"Id": 1, "Number": "2" * 100}, {"Id": 1, "Number": "201", "FirstName": {"x": 1}}, "x", 7],
)  # fmt: skip
async def test_an_answer_that_is_none_is_told_and_not_shown(server: Server, tcx: TcxConnector, body: object) -> None:
    server.pbx.refusing["GET Users(1)"] = Reply(200, body)
    with pytest.raises(ProtocolViolation) as caught:
        await tcx.view("u1")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_more_than_was_asked_for_is_not_taken(server: Server, tcx: TcxConnector) -> None:
    rows = [{"Id": n, "Number": str(n)} for n in range(1, 30)]
    server.pbx.refusing["GET Users"] = Reply(200, {"value": rows, "@odata.count": 29})
    with pytest.raises(ProtocolViolation):
        await tcx.people(None, 10)


async def test_a_pbx_of_another_loop_or_key_has_a_token_of_its_own(server: Server, dial: Dial) -> None:
    await dial()
    with pytest.raises(CredentialRefused):
        await dial("another key")
    assert server.pbx.tokens == 1
    assert isinstance(server.pbx, Pbx)
