"""Signed in once, renewed by the phone system's own renewal, signed out at the end; nothing of it in logs or errors."""

from __future__ import annotations

import asyncio
import logging
import traceback

import pytest

from connectors.contract import Change, Secret, SecretKind
from connectors.errors import ConnectorError, CredentialRefused, NotSupported, RateLimited, Refused, Unreachable
from connectors.yeastar.requests import TOKEN
from tests.connectors.yeastar.conftest import Site
from tests.support.yeastar import server as servers
from tests.support.yeastar.pbx import SECRET, no

GRACE = "2001.70"


async def test_one_token_for_a_visit_and_it_is_given_back(site: Site) -> None:
    connector = await site.connect()
    for _ in range(3):
        await connector.view(GRACE)
    assert (site.pbx.sign_ins, len(site.pbx.tokens)) == (1, 1)
    await connector.close()
    await connector.close()
    assert (site.pbx.goodbyes, len(site.pbx.tokens)) == (1, 0)
    with pytest.raises(Unreachable):
        await connector.view(GRACE)


async def test_many_visits_one_after_the_other_never_run_out_of_tokens(site: Site) -> None:
    for _ in range(20):
        async with site.open() as connector:
            await connector.view(GRACE)
    assert site.pbx.sign_ins == 20


async def test_the_ninth_at_once_is_told_why_and_what_to_do(site: Site) -> None:
    open_ = [await site.connect() for _ in range(8)]
    with pytest.raises(RateLimited, match="8") as caught:
        await site.connect()
    assert "Client ID" in caught.value.next_step
    assert site.pbx.sign_ins == 9
    for connector in open_:
        await connector.close()


async def test_a_token_that_is_about_to_run_out_is_renewed_without_the_credential(site: Site) -> None:
    site.pbx.life_s = 60
    async with site.open() as connector:
        await connector.view(GRACE)
        assert site.heard()["refresh"] >= 1
        assert len(site.pbx.tokens) == 1
    assert site.pbx.sign_ins == 1


async def test_a_token_that_ran_out_is_renewed_once_and_the_look_repeated(site: Site) -> None:
    async with site.open(direct_numbers="none") as connector:
        await connector.view(GRACE)
        site.heard()
        site.pbx.now = lambda: 1801.0
        assert (await connector.view(GRACE)).id == GRACE
        assert site.heard() == {"search": 2, "refresh": 1}
    assert site.pbx.sign_ins == 1


async def test_a_write_whose_token_ran_out_is_not_repeated(site: Site) -> None:
    async with site.open(direct_numbers="none") as connector:
        grace = await connector.view(GRACE)
        site.heard()
        site.server.twist = lambda path, said: no(10004, "TOKEN EXPIRED") if path == "extension/delete" else said
        with pytest.raises(Refused, match="nothing was written"):
            await connector.remove(GRACE, grace)
        assert site.heard()["remove"] == 1


async def test_a_renewal_that_is_refused_never_becomes_a_sign_in(site: Site) -> None:
    async with site.open() as connector:
        await connector.view(GRACE)
        site.pbx.refreshes.clear()
        site.pbx.now = lambda: 1801.0
        for _ in range(3):
            with pytest.raises(Refused) as caught:
                await connector.view(GRACE)
            assert "begin it again" in caught.value.next_step
        assert site.heard()["refresh"] == 1
    assert site.pbx.sign_ins == 1


async def test_a_renewal_that_was_lost_is_tried_by_whoever_asks_next(site: Site) -> None:
    async with site.open() as connector:
        site.pbx.now = lambda: 1801.0
        serve = site.server._answer
        site.server._answer = lambda line, *rest: b"" if "refresh" in line else serve(line, *rest)  # type: ignore[method-assign]
        with pytest.raises(Unreachable):
            await connector.view(GRACE)
        site.server._answer = serve  # type: ignore[method-assign]
        assert (await connector.view(GRACE)).id == GRACE


async def test_a_secret_that_is_refused_is_tried_once(site: Site) -> None:
    site.secret = "CANARY-wrong"
    with pytest.raises(CredentialRefused) as caught:
        await site.connect()
    assert site.pbx.sign_ins == 1
    assert "five refusals" in caught.value.next_step
    assert "CANARY" not in repr(caught.value)


async def test_a_blocked_address_is_not_called_a_wrong_secret(site: Site) -> None:
    site.pbx.refused = 5
    with pytest.raises(Refused, match="our address"):
        await site.connect()


@pytest.mark.parametrize("secret", ["", "two words", "line\nend", "пароль", "x" * 300])
async def test_a_secret_that_is_none_never_leaves(site: Site, secret: str) -> None:
    site.secret = secret
    with pytest.raises(CredentialRefused):
        await site.connect()
    assert site.pbx.sign_ins == 0


async def test_a_phone_system_without_this_api_is_named_and_the_older_one_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "BASE", "/api/v2.0.0/")
    with pytest.raises(NotSupported, match="S-Series") as caught:
        await site.connect()
    assert "Integrations > API" in caught.value.next_step
    assert len(site.server.lines) == 1


async def test_the_older_ones_way_to_say_no_is_no_sign_in(site: Site) -> None:
    site.server.twist = lambda path, said: {"status": "Failed", "errno": "10003"}
    with pytest.raises(ConnectorError):
        await site.connect()


@pytest.mark.parametrize("token", ["", "short", "two words of it", "a&id=71&access_token=b", "x" * 5000, None, 7])
async def test_a_token_that_would_be_more_than_one_is_not_used(site: Site, token: object) -> None:
    site.server.twist = lambda path, said: said | {"access_token": token} if path == "get_token" else said
    with pytest.raises(ConnectorError):
        await site.connect()
    assert site.heard() == {"sign-in": 1}


async def test_neither_token_nor_secret_nor_address_is_in_a_log_or_an_error(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the HTTP library says of itself, at its most talkative."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    async def nonsense(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write(servers.response("200 OK", b'{"errcode": '))

    async with site.open() as connector:
        (token,) = site.pbx.tokens
        grace = await connector.view(GRACE)
        await connector.check()
        new = Secret("Abcdefgh23456789")
        await connector.reset(GRACE, SecretKind.SIP, new)
        for enemy in (nonsense, None):
            site.server.enemy = enemy
            site.server.twist = lambda path, said: no(
                40002, "NO", invalid_param_list=[{"field": token, "value": token}]
            )
            for doing in (
                connector.view(GRACE), connector.people(None, 5), connector.alter(GRACE, Change(name="X"), grace),
                connector.reset(GRACE, SecretKind.PORTAL, Secret("Abcdefgh23456789")), connector.remove(GRACE, grace),
            ):  # fmt: skip
                with pytest.raises(ConnectorError) as caught:
                    await doing
                told.append("".join(traceback.format_exception(caught.value)))
                one: BaseException | None = caught.value
                while one is not None:
                    told.append(repr((one, one.args, vars(one))))
                    one = one.__cause__ or one.__context__
        site.server.enemy = site.server.twist = None
    said = caplog.text + "".join(told)
    assert TOKEN.fullmatch(token)
    for needle in (token, SECRET, "access_token", "Abcdefgh23456789", "/openapi/", "extension/"):
        assert needle not in said, needle
