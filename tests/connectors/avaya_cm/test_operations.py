"""On the terminal of a Communication Manager, over real SSH."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncssh
import pytest

from connectors.avaya_cm.connector import AvayaCmConnector, AvayaCmFamily
from connectors.avaya_cm.settings import AvayaCmSettings
from connectors.contract import Change, Credential, Secret, SecretKind, Target
from connectors.errors import (
    Conflict,
    ConnectorError,
    CredentialRefused,
    InvalidValue,
    NotFound,
    NotSupported,
    ProtocolViolation,
    Refused,
    Unreachable,
)
from connectors.registry import weakens
from connectors.transport.ssh import PROFILES
from tests.support.avaya import cm as cms
from tests.support.avaya.cm import LOGIN, PASSWORD, Cm, Station, running


@dataclass
class Site:
    """One phone system, as the connector is told of it."""

    cm: Cm
    port: int
    pin: str

    @asynccontextmanager
    async def open(
        self, login: str = LOGIN, password: str | None = PASSWORD, **more: Any
    ) -> AsyncIterator[AvayaCmConnector]:
        async def unseal() -> Credential:
            return Credential(login, password)

        target = Target("s", "127.0.0.1", self.port, self.pin, AvayaCmSettings.model_validate(more), 5_000, 3_000)
        connector = await AvayaCmFamily().connect(target, unseal)
        try:
            yield connector
        finally:
            await connector.close()


def stations() -> dict[str, Station]:
    found = (Station("2001", "Okonkwo, Grace", lamps=True), Station("2002", "Smith, John"), Station("20011", ""))
    return {one.extension: one for one in found}


@asynccontextmanager
async def site_of(key: asyncssh.SSHKey, **options: Any) -> AsyncIterator[Site]:
    cm = Cm(stations())
    async with running(cm, key, **options) as server:
        yield Site(cm, server.get_port(), key.export_public_key().decode().strip())


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with site_of(asyncssh.generate_private_key("ssh-ed25519")) as made:
        yield made


@pytest.mark.parametrize("terminal", ["ossi4", "ossie"])
async def test_names_and_extensions_are_shown_and_what_is_not_stored_is_not_guessed(site: Site, terminal: str) -> None:
    async with site.open(terminal=terminal) as connector:
        grace = await connector.view("2001")
        assert (grace.extension, grace.name, grace.email, grace.ddis) == ("2001", "Okonkwo, Grace", None, None)
        assert [one.extension for one in (await connector.people(None, 50)).people] == ["2001", "20011", "2002"]
        assert (await connector.view("20011")).name == ""
        for nobody in ("2", "2003", "99999", "2001 count 9", "", "x"):
            with pytest.raises(NotFound):
                await connector.view(nobody)
        assert "not known" in (await connector.devices("2001"))[0].label


@pytest.mark.parametrize("values_a_line", [1, 2, 3, 8])
async def test_however_the_phone_system_cuts_its_lines(site: Site, values_a_line: int) -> None:
    site.cm.a_line = values_a_line
    site.cm.stations["20011"].kind = ""
    async with site.open() as connector:
        names = [one.name for one in (await connector.people(None, 50)).people]
        assert names == ["Okonkwo, Grace", "", "Smith, John"]


async def test_a_name_is_changed_and_the_lamps_are_cleared_before_a_removal(site: Site) -> None:
    async with site.open() as connector:
        grace = await connector.view("2001")
        grace = await connector.alter("2001", Change(name="Lee, Grace"), grace)
        assert site.cm.stations["2001"] == Station("2001", "Lee, Grace", lamps=True)
        assert (await connector.remove("2001", grace)) == await connector.plan_removal("2002")
        assert "2001" not in site.cm.stations
        with pytest.raises(NotFound):
            await connector.view("2001")
    wrote = [one for one in site.cm.heard if not one.startswith("stations")]
    assert wrote == ["rename", "clear-messages", "remove"]


async def test_a_refused_removal_says_so_with_its_code_and_in_our_words(site: Site) -> None:
    site.cm.in_use.add("2001")
    async with site.open() as connector:
        with pytest.raises(Refused, match=r"still there.*2a31") as caught:
            await connector.remove("2001", await connector.view("2001"))
        assert "Object in use" not in caught.value.message
        assert (await connector.view("2001")).name == "Okonkwo, Grace"


async def test_who_changed_meanwhile_is_neither_renamed_nor_removed(site: Site) -> None:
    async with site.open() as connector:
        grace = await connector.view("2001")
        site.cm.stations["2001"].name = "Somebody Else"
        with pytest.raises(Conflict):
            await connector.alter("2001", Change(name="Lee, Grace"), grace)
        with pytest.raises(Conflict):
            await connector.remove("2001", grace)
    assert site.cm.stations["2001"].name == "Somebody Else"


@pytest.mark.parametrize("name", ["", " ", " Lee", "Lee ", "x" * 28, "Zoë", "a\tb", "a\nt", "a\r"])
async def test_a_name_that_it_could_not_hold_is_not_sent(site: Site, name: str) -> None:
    async with site.open() as connector:
        with pytest.raises(InvalidValue, match=r"27 (ASCII )?characters|control character"):
            await connector.alter("2001", Change(name=name), await connector.view("2001"))
    assert "rename" not in site.cm.heard


async def test_what_it_cannot_it_says_and_sends_nothing(site: Site) -> None:
    async with site.open() as connector:
        grace = await connector.view("2001")
        site.cm.heard.clear()
        for change, why in ((Change(email="a@b.example"), "keeps no addresses"), (Change(ddi="+44207"), "not stored")):
            with pytest.raises(NotSupported, match=why):
                await connector.alter("2001", change, grace)
        for kind, why in (
            (SecretKind.VOICEMAIL, "another system"), (SecretKind.SIP, "not public"), (SecretKind.PORTAL, "no portal"),
        ):  # fmt: skip
            with pytest.raises(NotSupported, match=why):
                await connector.reset("2001", kind, Secret("739102"))
        with pytest.raises(NotSupported):
            await connector.alter("2001", Change(name="New", email=None), grace)
    assert site.cm.heard == []


async def test_a_wrong_password_is_tried_once_and_a_login_of_the_settings_must_be_the_stored_one(site: Site) -> None:
    with pytest.raises(CredentialRefused):
        async with site.open(password="CANARY-wrong"):
            pass
    with pytest.raises(CredentialRefused, match="settings"):
        async with site.open(login="another"):
            pass


async def test_a_terminal_that_is_refused_is_no_connection(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cms, "TERMINALS", "Something else: ")
    with pytest.raises(ConnectorError):
        async with site.open():
            pass


async def test_what_was_not_asked_ends_the_connection_before_it_is_taken_for_an_answer(site: Site) -> None:
    async with site.open() as connector:
        grace = await connector.view("2001")
        site.cm.twist = lambda kind, said: said + said
        await connector.view("2001")
        site.cm.twist = None
        with pytest.raises((ProtocolViolation, Unreachable, ConnectorError)):
            await connector.alter("2001", Change(name="Lee, Grace"), grace)
    assert site.cm.stations["2001"].name == "Okonkwo, Grace"


async def test_a_list_that_goes_in_circles_ends(site: Site) -> None:
    async with site.open() as connector:
        page = await connector.people(None, 1)
        line = f"f8005ff00\t8003ff00\t004fff00\r\nd9\tA\r\nn\r\nd{page.cursor}\tB\r\n".encode()
        site.cm.twist = lambda kind, said: b"clist\r\n" + line + b"t\r\n"
        with pytest.raises(ProtocolViolation):
            await connector.people(page.cursor, 1)


@pytest.mark.parametrize("profile", ["sha1", "group1"])
async def test_old_algorithms_only_by_the_profile_that_names_them(profile: str) -> None:
    old: dict[str, Any] = {
        "sha1": {"kex_algs": "diffie-hellman-group14-sha1", "encryption_algs": "aes128-cbc", "mac_algs": "hmac-sha1"},
        "group1": {"kex_algs": "diffie-hellman-group1-sha1", "encryption_algs": "3des-cbc", "mac_algs": "hmac-md5"},
    }[profile]  # fmt: skip
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    async with site_of(key, **old, signature_algs="ssh-rsa") as made:
        with pytest.raises(ConnectorError):
            async with made.open():
                pass
        async with made.open(ssh=profile) as connector:
            assert (await connector.view("2001")).name == "Okonkwo, Grace"
            lines = {line.what: line for line in await connector.check()}
        assert all(line.ok for line in lines.values()), "what the operator chose is a warning, and no failure for good"
        assert lines["algorithms"].words == f"WEAKENED: {PROFILES[profile].weakens}"


async def test_a_profile_takes_no_modern_algorithm_away(site: Site) -> None:
    async with site.open(ssh="group1") as connector:
        assert (await connector.view("2001")).name == "Okonkwo, Grace"


def test_what_settings_weaken_is_said_and_of_others_nothing() -> None:
    assert "SHA-1" in weakens("avaya-cm", '{"ssh": "sha1"}')
    assert "1024 bits" in weakens("avaya-cm", '{"ssh": "group1"}')
    for connector, given in (("avaya-cm", "{}"), ("avaya-cm", '{"ssh": "none"}'), ("lab", "{}"), ("not-there", "{}")):
        assert weakens(connector, given) == ""
