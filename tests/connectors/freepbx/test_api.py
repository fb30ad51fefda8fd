"""Names by FreePBX's own API, beside the helper: what is asked, what is believed, and what when it is not so."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.conformance.bench import Hostile
from connectors.contract import Change, Credential, Target
from connectors.errors import (
    CredentialRefused,
    Fault,
    IdentityMismatch,
    InvalidValue,
    Refused,
    RequestNotAllowed,
)
from connectors.freepbx.connector import FreePbxConnector, FreePbxFamily
from connectors.freepbx.requests import GUARD, call, line
from connectors.freepbx.settings import Api as ApiSettings
from connectors.freepbx.settings import FreePbxSettings
from connectors.transport.helper import LOGIN
from tests.connectors.freepbx.bench import enemy_of
from tests.connectors.freepbx.conftest import Makes
from tests.support.certificates import certificate
from tests.support.freepbx.api import CLIENT, SECRET, Api, answering
from tests.support.freepbx.pbx import FreePbx
from tests.support.freepbx.wire import Wire, listening


@dataclass
class Site:
    """A FreePBX with its API, and who looks at it."""

    pbx: FreePbx
    api: Api
    wire: Wire
    where: dict[str, Any]
    secret: str | None = SECRET
    open: list[FreePbxConnector] = field(default_factory=list)

    async def connect(self, **settings: Any) -> FreePbxConnector:
        """As the settings say, or changed."""
        assert self.wire.acceptor is not None
        made = FreePbxSettings(apply_seconds=3, api=ApiSettings.model_validate(self.where | settings))
        pin = self.wire.host.export_public_key().decode().strip()
        target = Target("sys_1", "127.0.0.1", self.wire.acceptor.get_port(), pin, made, 5_000, 4_000)
        self.open.append(await FreePbxFamily().connect(target, self._unseal))
        return self.open[-1]

    async def _unseal(self) -> Credential:
        return Credential(LOGIN, self.secret, self.wire.key.export_private_key().decode())

    def heard(self) -> list[str]:
        """What the API was asked since."""
        heard, self.api.heard = self.api.heard, []
        return heard


@asynccontextmanager
async def standing(pbx: FreePbx, **api: Any) -> AsyncIterator[Site]:
    """Open as long as it is needed."""
    made = Api(pbx, **api)
    async with answering(made, pbx.folder / "web") as (port, _, pem), listening(pbx.command()) as wire:
        site = Site(pbx, made, wire, {"host": "127.0.0.1", "port": port, "pin": pem, "client": CLIENT})
        yield site
        for one in site.open:
            await one.close()


@pytest.fixture
async def site(pbx: FreePbx) -> AsyncIterator[Site]:
    """The usual people; a client that is held to its scope."""
    async with standing(pbx) as made:
        yield made


async def test_a_name_comes_from_both_and_the_rest_from_the_helper(site: Site) -> None:
    connector = await site.connect()
    assert site.heard() == [], "nobody is asked before somebody looks"
    person = await connector.view("20001")
    assert (person.name, person.email, person.ddis) == ("Grace Okonkwo", "grace@customer.example", ("+442079460001",))
    assert site.heard() == ["api-token", "api-person"]
    page = await connector.people(None, 2)
    assert [one.id for one in page.people] == ["0100", "20001"]
    rest = await connector.people(page.cursor, 2)
    assert [one.id for one in rest.people] == ["20002", "20003"]
    assert rest.cursor is None
    assert site.heard() == ["api-people", "api-people"], "one token for a visit"


async def test_a_search_is_the_helpers_for_the_api_knows_neither_address_nor_number(site: Site) -> None:
    connector = await site.connect()
    assert [one.id for one in (await connector.find("zoe@customer.example", 5)).people] == ["20002"]
    assert site.heard() == []


async def test_what_is_written_is_shown_as_the_helper_wrote_it_and_then_by_both(site: Site) -> None:
    connector = await site.connect()
    before = await connector.view("20001")
    site.heard()
    after = await connector.alter("20001", Change(name="Grace Bell"), before)
    assert after == replace(before, name="Grace Bell")
    await connector.remove("20003", await connector.view("20003"))
    assert site.heard() == ["api-person"], "writes are the helper's"
    assert await connector.view("20001") == after


async def test_an_api_that_is_another_phone_systems_is_found_out(site: Site) -> None:
    connector = await site.connect()
    site.api.names["20001"] = "Somebody Else"
    for doing in (connector.view("20001"), connector.people(None, 10)):
        with pytest.raises(Refused, match="another phone system's") as caught:
            await doing
        assert caught.value.fault is Fault.OPERATOR
        assert "Somebody" not in str(caught.value) + caught.value.next_step
    lines = {one.what: one for one in await connector.check()}
    assert not lines["api names"].ok
    assert "take it out" in lines["api names"].words


async def test_a_name_that_changes_in_between_is_no_such_case(site: Site) -> None:
    connector = await site.connect()

    class Once(dict[str, str]):
        def get(self, key: str, usual: Any = None) -> Any:
            return self.pop(key, usual)

    site.api.names = Once({"20001": "Grace Before"})
    assert (await connector.view("20001")).name == "Grace Okonkwo"
    site.api.names = Once({"20002": "Zoë Before"})
    assert [one.name for one in (await connector.people(None, 10)).people][2] == "Zoë de Vries"


async def test_who_has_no_telephone_of_their_own_is_told_by_the_helper(site: Site) -> None:
    site.pbx.sql("DELETE FROM devices WHERE id = '20001'")
    site.pbx.sql("UPDATE devices SET devicetype = 'adhoc' WHERE id = '20002'")
    connector = await site.connect()
    assert (await connector.view("20001")).name == "Grace Okonkwo"
    assert (await connector.view("20002")).name == "Zoë de Vries"
    assert site.heard().count("api-person") == 2


async def test_nobody_is_passed_over_when_people_come_and_go_between_two_pages(site: Site) -> None:
    connector = await site.connect()
    first = await connector.people(None, 2)
    site.pbx.sql("DELETE FROM users WHERE extension = '0100'")
    second = await connector.people(first.cursor, 1)
    assert [one.id for one in second.people] == ["20002"]
    third = await connector.people(second.cursor, 1)
    assert [one.id for one in third.people] == ["20003"]
    assert third.cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "1.2.3", "20001.", "20001.9999999", "20001\n", "-1"])
async def test_a_place_that_is_none_is_said_to_be_none(site: Site, cursor: str) -> None:
    connector = await site.connect()
    with pytest.raises(InvalidValue):
        await connector.people(cursor, 5)


_ENEMIES = [how for how in Hostile if how not in (
    Hostile.XML_BOMB, Hostile.XML_ENTITY, Hostile.IDENTITY_SWAPPED, Hostile.TELLING_WRITES, Hostile.ESCAPES,
)]  # fmt: skip


@pytest.mark.parametrize("how", _ENEMIES)
async def test_an_api_that_is_an_enemy_costs_no_answer_and_is_asked_no_more(site: Site, how: Hostile) -> None:
    connector = await site.connect()
    site.api.enemy = enemy_of(how, 1)
    assert (await connector.view("20001")).name == "Grace Okonkwo"
    site.heard()
    assert len((await connector.people(None, 10)).people) == 4
    assert site.heard() == []
    lines = {one.what: one for one in await connector.check()}
    assert not lines["api"].ok
    assert "names are the helper's alone" in lines["api"].words
    site.api.enemy = None
    assert all(one.ok for one in await connector.check())
    site.heard()
    await connector.view("20001")
    assert site.heard() == ["api-person"], "after a check that was well it is asked again"


async def test_another_certificate_is_never_passed_over(site: Site) -> None:
    connector = await site.connect(pin=certificate()[0])
    for doing in (connector.view("20001"), connector.people(None, 5), connector.view("20001")):
        with pytest.raises(IdentityMismatch):
            await doing
    assert site.heard() == []


@pytest.mark.parametrize("how", ["a token that ran out", "one that ran out, on version 17"])
async def test_a_token_that_ran_out_is_replaced(site: Site, how: str) -> None:
    site.api.holds = "17" not in how
    connector = await site.connect()
    await connector.view("20001")
    site.api.tokens.clear()
    site.heard()
    site.api.names["20001"] = "Somebody Else"  # or nobody would see whether it was asked
    with pytest.raises(Refused, match="other names"):
        await connector.view("20001")
    assert site.heard()[:2] == ["api-token", "api-person"]


@pytest.mark.parametrize("wrong", ["secret", "client", "scope"])
async def test_a_client_that_is_refused_is_told_by_check_and_keeps_nobody_out(
    site: Site, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    caplog.set_level(logging.DEBUG)
    if wrong == "scope":
        site.api.allowed = "gql:voicemail"
    site.secret = "CANARY-not-this-one" if wrong == "secret" else SECRET
    connector = await site.connect(**({"client": "deadbeef" * 8} if wrong == "client" else {}))
    assert (await connector.view("20001")).email == "grace@customer.example"
    told = {one.what: one for one in await connector.check()}["api"]
    assert not told.ok
    assert "gql:core:read" in told.words
    assert "CANARY" not in caplog.text + told.words


@pytest.mark.parametrize("secret", [None, "", "short", "with space in", "two\nlines-of-it"])
async def test_settings_with_an_api_and_a_credential_without_its_secret(site: Site, secret: str | None) -> None:
    site.secret = secret
    with pytest.raises(CredentialRefused, match="no secret of its client") as caught:
        await site.connect()
    assert "--password-file" in caught.value.next_step
    assert site.heard() == []


async def test_check_says_what_the_client_could_do(made: Makes) -> None:
    async with standing(made()) as held:
        lines = {one.what: one for one in await (await held.connect()).check()}
        assert all(one.ok for one in lines.values()), lines
        assert "no more than gql:core:read" in lines["api rights"].words
        assert "SIP passwords" in lines["api rights"].words
    async with standing(made(), holds=False) as free:
        lines = {one.what: one for one in await (await free.connect()).check()}
        assert "EVERY RIGHT" in lines["api rights"].words
        given = [scope for scope in free.api.tokens.values() if scope == "gql"]
        assert given == ["gql"], "it was tried"
        assert free.heard().count("api-wider") == 1


def test_settings_that_trust_nobody_are_told_when_they_are_said(tmp_path: Path) -> None:
    usual = {"host": "pbx.customer.example", "client": CLIENT}
    for pin in ("", "no pin", "system-cas"):
        with pytest.raises(ValidationError, match="api"):
            FreePbxSettings.model_validate({"api": usual | {"pin": pin}})
    FreePbxSettings.model_validate({"api": usual | {"pin": "system-cas", "server_name": "pbx.customer.example"}})
    for wrong in ({"host": "a b"}, {"client": "a"}, {"client": "x&scope=gql&y=12345"}, {"port": 0}, {"scope": "gql"}):
        with pytest.raises(ValidationError):
            FreePbxSettings.model_validate({"api": usual | {"pin": "sha256:" + "a" * 64} | wrong})


def test_what_it_costs_is_said_wherever_the_phone_system_is_shown() -> None:
    family = FreePbxFamily()
    assert family.weakens(FreePbxSettings()) == ""
    with_api = FreePbxSettings(api=ApiSettings(host="pbx", pin="sha256:" + "a" * 64, client=CLIENT))
    assert "SELECTED HERE, NOT ENFORCED" in family.weakens(with_api)


def test_neither_way_takes_what_is_the_others() -> None:
    secret = GUARD.render("api-token", client=CLIENT, secret=SECRET)
    with pytest.raises(RequestNotAllowed):
        line(secret)
    reset = GUARD.render("reset", id="20001", kind="sip", secret="Abcdefgh23456789")
    with pytest.raises(RequestNotAllowed):
        call(reset, "a.b.c")
    with pytest.raises(RequestNotAllowed):
        call(GUARD.render("api-person", id="20001"), "a.b.c\r\nX: y")
