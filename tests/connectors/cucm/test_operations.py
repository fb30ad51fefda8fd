"""The operations on an invented site, in every version that is spoken, and what is said when they cannot be done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Change, Operation, Secret, SecretKind
from connectors.cucm.capabilities import capabilities
from connectors.cucm.connector import CucmConnector
from connectors.cucm.people import Own, e164, parts
from connectors.cucm.settings import CucmSettings
from connectors.errors import Conflict, InvalidValue, NotFound, NotSupported, ProtocolViolation, Refused
from tests.connectors.cucm.conftest import Pbx, served
from tests.support.cucm import schema
from tests.support.cucm.site import MODEL, site

NEW, PIN = "Abcdefgh23456789", "73910284"


@pytest.mark.parametrize("version", schema.VERSIONS)
async def test_a_round_of_everything_in_each_version(tmp_path: Path, version: str) -> None:
    """The stand-in refuses elements that the version does not have, or has in another place."""
    async with served(site(f"{version}.1.1-1", (version,)), tmp_path) as pbx:
        connector = await pbx.connect(voicemail="synchronised")
        people = (await connector.people(None, 50)).people
        assert [one.id for one in people] == ["gokonkwo", "zoe.devries", "xiaolong", "m.lopez", "bare"]
        assert [await connector.view(one.id) for one in people] == list(people)
        grace = people[0]
        assert (grace.extension, grace.name, grace.email) == ("2001", "Grace Okonkwo", "grace@customer.example")
        assert grace.ddis == ("+442079460001",)
        after = await connector.alter(
            grace.id, Change(name="Grace de Vries", email=None, ddi="+442079460999"), grace
        )  # fmt: skip
        assert after == replace(grace, name="Grace de Vries", email=None, ddis=("+442079460999",))
        for kind in SecretKind:
            await connector.reset(grace.id, kind, Secret(PIN if kind is SecretKind.VOICEMAIL else NEW))
        user = pbx.user("gokonkwo")
        assert user.secrets == MODEL | {"pin": PIN, "password": NEW, "digestCredentials": NEW}
        assert user.must_change == {"passwordCredentials", "pinCredentials"}
        assert bool(user.unlocked) == (float(version) >= 11)
        assert all(line.ok for line in await connector.check())
        await connector.remove(grace.id, after)
        assert pbx.cucm.user("gokonkwo") is None
        await connector.close()


# --- looking ---


async def test_a_person_is_shown_with_what_there_is(opened: CucmConnector) -> None:
    lobby, long = await opened.view("bare"), await opened.view("xiaolong")
    assert (lobby.name, lobby.extension, lobby.email, lobby.ddis) == ("Lobby", "bare", None, ())
    assert long.extension == "+442079460003"


async def test_a_number_is_e164_however_the_directory_has_it_and_found_however_typed(opened: CucmConnector) -> None:
    assert (await opened.view("zoe.devries")).ddis == ("+442079460002",)
    for typed in ("+442079460002", "02079460002", "020 7946 0002", "+44 (20) 7946-0002", "460002", "DE VRIES zoë"):
        assert [one.id for one in (await opened.find(typed, 10)).people] == ["zoe.devries"], typed
    assert [one.id for one in (await opened.find("zoe.devries@", 10)).people] == []
    assert (await opened.find("  ", 10)).people == ()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("020 7946 0002", "+442079460002"), ("+442079460002", "+442079460002"), ("+44 20 7946 0002", "+442079460002"),
        ("2002", "2002"), ("20002", "20002"), ("620002", "620002"), ("0044 20 7946 0002", "+442079460002"),
        ("ext. 2002", "ext. 2002"), ("", ""), ("  ", ""), ("0", "0"), ("12345678901234567890", None),
    ],
)  # fmt: skip
def test_what_is_no_number_is_shown_as_it_is(written: str, shown: str | None) -> None:
    assert e164(written, "GB") == (written if shown is None else shown)


async def test_a_user_id_is_taken_as_it_is_and_nobody_else_answers_to_it(pbx: Pbx, opened: CucmConnector) -> None:
    pbx.user("bare").userid = "BARE"
    with pytest.raises(NotFound):
        await opened.view("bare")
    for pattern in ("%", "gok%", "*", "g?konkwo", "[g]okonkwo", "gokonkwo ", " gokonkwo"):
        with pytest.raises(InvalidValue):
            await opened.view(pattern)


async def test_whoever_came_or_went_between_two_pages_is_told(pbx: Pbx, opened: CucmConnector) -> None:
    page = await opened.people(None, 2)
    assert page.cursor is not None
    del pbx.cucm.users[0]
    with pytest.raises(Conflict) as caught:
        await opened.people(page.cursor, 2)
    assert "again" in caught.value.next_step
    page = await opened.people(None, 10)
    assert page.cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "0:a", "-1:a", "1", "1:", "99999999:a", "٣:a"])
async def test_a_place_that_is_none_is_refused(opened: CucmConnector, cursor: str) -> None:
    with pytest.raises(InvalidValue):
        await opened.people(cursor, 5)


async def test_a_page_that_is_too_large_for_the_phone_system_comes_smaller(pbx: Pbx, opened: CucmConnector) -> None:
    pbx.cucm.fits = 3
    seen, cursor = list[str](), None
    while True:
        page = await opened.people(cursor, 100)
        assert page.people
        seen += [one.id for one in page.people]
        if (cursor := page.cursor) is None:
            break
    assert seen == [one.userid for one in pbx.cucm.users]
    assert [one.id for one in (await opened.find("customer.example", 10)).people] == [
        "gokonkwo",
        "zoe.devries",
        "m.lopez",
    ]


async def test_a_phone_system_that_sends_not_even_one_is_refused(pbx: Pbx, opened: CucmConnector) -> None:
    pbx.cucm.fits = 0
    with pytest.raises(Refused):
        await opened.people(None, 100)


async def test_a_list_without_an_end_is_ended(pbx: Pbx, opened: CucmConnector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page begins with the last person of the page before, as it has to, and there is always one more."""
    monkeypatch.setattr("connectors.cucm.connector._MOST_PEOPLE", 3_000)
    lists = type(pbx.cucm)._list

    def again(self: Any, asked: Any, version: str) -> str:
        self.users = [self.users[0]] * int(asked.findtext("first"))
        asked.find("skip").text = "0"
        return lists(self, asked, version)

    monkeypatch.setattr(type(pbx.cucm), "_list", again)
    with pytest.raises(ProtocolViolation):
        await opened.find("nobody", 5)
    assert len(pbx.asked()) < 10


# --- altering ---


def own(first: str, last: str) -> Own:
    return Own("", "x", first, last, "", "", "", "", False)


@pytest.mark.parametrize(
    ("now", "name", "first", "last"),
    [
        (("Zoë", "de Vries"), "Zoe de Vries", "Zoe", "de Vries"),
        (("Zoë", "de Vries"), "Zoë van Dijk", "Zoë", "van Dijk"),
        (("Zoë", "de Vries"), "Mary Kate Doyle", "Mary Kate", "Doyle"), (("", "李小龍"), "X", "", "X"),
        (("", "Lobby"), "Front Lobby", "Front", "Lobby"), (("Anna", ""), "Anna Bell", "Anna", "Bell"),
    ],
)  # fmt: skip
def test_a_new_name_keeps_the_part_that_stays(now: tuple[str, str], name: str, first: str, last: str) -> None:
    assert parts(name, own(*now)) == (first, last)


@pytest.mark.parametrize(
    "name", ["", " ", "a  b", "x" * 65, f"a {'x' * 65}", f"{'x' * 65} a", "a <b>", 'a "b"', "a\nb"]
)
async def test_a_name_that_cannot_be_kept_is_not_sent(pbx: Pbx, opened: CucmConnector, name: str) -> None:
    before = await opened.view("gokonkwo")
    with pytest.raises(InvalidValue):
        await opened.alter("gokonkwo", Change(name=name), before)
    assert (await opened.view("gokonkwo")) == before
    assert "set-person" not in pbx.asked()


async def test_the_display_name_follows_where_there_is_one_and_none_is_made(pbx: Pbx, opened: CucmConnector) -> None:
    for userid, display in (("gokonkwo", "Grace Doyle"), ("zoe.devries", "")):
        before = await opened.view(userid)
        await opened.alter(userid, Change(name=f"{before.name.split()[0]} Doyle"), before)
        assert pbx.user(userid).display == display
        assert pbx.user(userid).last == "Doyle"


async def test_markup_in_a_name_is_a_name(pbx: Pbx, opened: CucmConnector) -> None:
    before = await opened.view("gokonkwo")
    after = await opened.alter("gokonkwo", Change(name="Tom & Jerry's &amp; ]]> O'Neil".replace(">", "")), before)
    assert after.name == "Tom & Jerry's &amp; ]] O'Neil"
    assert pbx.user("gokonkwo").name == after.name


async def test_whoever_comes_from_a_directory_is_changed_there(pbx: Pbx, opened: CucmConnector) -> None:
    before = await opened.view("m.lopez")
    pbx.asked()
    for change in (Change(name="Maria Doyle"), Change(email=None), Change(ddi=None)):
        with pytest.raises(Refused) as caught:
            await opened.alter("m.lopez", change, before)
        assert "directory" in caught.value.next_step
        assert "customer AD" not in caught.value.message + caught.value.next_step
    for doing in (opened.plan_removal("m.lopez"), opened.remove("m.lopez", before)):
        with pytest.raises(Refused) as caught:
            await doing
        assert "directory" in caught.value.next_step
    with pytest.raises(Refused) as caught:
        await opened.reset("m.lopez", SecretKind.PORTAL, Secret(NEW))
    assert "directory" in caught.value.next_step
    assert set(pbx.asked()) == {"user"}
    # Digest credentials are the phone system's own, whoever its people are.
    await opened.reset("m.lopez", SecretKind.SIP, Secret(NEW))
    assert pbx.user("m.lopez").secrets["digestCredentials"] == NEW


async def test_passwords_of_a_directory_that_is_only_copied_are_reset_here(pbx: Pbx) -> None:
    connector = await pbx.connect(directory_passwords="local")
    await connector.reset("m.lopez", SecretKind.PORTAL, Secret(NEW))
    assert pbx.user("m.lopez").secrets["password"] == NEW
    await connector.close()


async def test_before_schema_10_the_phone_system_itself_refuses_what_is_the_directorys(tmp_path: Path) -> None:
    async with served(site("9.1.2", ("9.1",)), tmp_path) as pbx:
        connector = await pbx.connect()
        before = await connector.view("m.lopez")
        with pytest.raises(Refused) as caught:
            await connector.alter("m.lopez", Change(name="CANARY Doyle"), before)
        assert "nothing was written" in caught.value.message
        assert "CANARY" not in repr(caught.value) + caught.value.next_step
        assert "does not say who comes from LDAP" in " ".join(line.words for line in await connector.check())
        await connector.close()


async def test_somebody_elses_number_is_not_given_away_however_it_is_written(pbx: Pbx, opened: CucmConnector) -> None:
    before = await opened.view("gokonkwo")
    with pytest.raises(Refused):
        await opened.alter("gokonkwo", Change(ddi="+442079460002"), before)
    assert pbx.user("gokonkwo").telephone == "+442079460001"
    assert await opened.alter("gokonkwo", Change(ddi="+442079460001"), before) == before


async def test_a_user_who_was_replaced_by_another_of_the_same_id_is_not_written_to(
    pbx: Pbx, opened: CucmConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write goes to the key that was looked at."""
    before, old = await opened.view("gokonkwo"), pbx.user("gokonkwo").uuid
    get = type(pbx.cucm)._get

    def replaced(self: Any, asked: Any, version: str) -> str:
        told = get(self, asked, version)
        self.user("gokonkwo").uuid = old.replace(old[1:9], "AAAAAAAA")
        return told

    monkeypatch.setattr(type(pbx.cucm), "_get", replaced)
    with pytest.raises(NotFound):
        await opened.alter("gokonkwo", Change(email=None), before)
    assert pbx.user("gokonkwo").mail == "grace@customer.example"


async def test_a_higher_rank_is_told_as_one_and_what_was_asked_is_not_repeated(pbx: Pbx, opened: CucmConnector) -> None:
    pbx.cucm.lower_rank = {"gokonkwo"}
    before = await opened.view("gokonkwo")
    for doing in (
        opened.alter("gokonkwo", Change(email="canary@customer.example"), before), opened.remove("gokonkwo", before),
        opened.reset("gokonkwo", SecretKind.PORTAL, Secret(NEW)),
    ):  # fmt: skip
        with pytest.raises(Refused) as caught:
            await doing
        assert "rank" in caught.value.next_step
        for told in ("canary", NEW, "gokonkwo", "privilege"):
            assert (
                told
                not in f"{caught.value!r}{caught.value.next_step}{caught.value.__cause__}{caught.value.__context__}"
            )


# --- removing ---


async def test_a_removal_says_what_stays(pbx: Pbx) -> None:
    connector = await pbx.connect(voicemail="unity", unity={})
    plan = await connector.plan_removal("gokonkwo")
    assert "gokonkwo" in plan.removed[0]
    stays = "; ".join(plan.remains)
    for words in ("SEP001122334455", "CSFGOKONKWO", "the line 2001", "mailbox in Unity Connection with", "translation"):
        assert words in stays
    assert "if there is one" not in stays
    bare = await connector.plan_removal("bare")
    assert "mailbox" not in "; ".join(bare.remains)
    assert await connector.remove("gokonkwo", await connector.view("gokonkwo")) == plan
    assert pbx.cucm.mailbox("gokonkwo") is not None
    await connector.close()


async def test_without_unity_a_mailbox_is_not_known_of(opened: CucmConnector) -> None:
    assert "the mailbox in Unity Connection, if there is one" in (await opened.plan_removal("bare")).remains


async def test_devices_are_named_and_hostile_names_are_not(pbx: Pbx, opened: CucmConnector) -> None:
    pbx.user("gokonkwo").devices = ("SEP001122334455", "x\x9b2J", "y" * 60)
    labels = [device.label for device in await opened.devices("gokonkwo")]
    assert labels[0].startswith("SEP001122334455 ")
    assert all(label.startswith("a device ") for label in labels[1:])
    with pytest.raises(NotFound):
        await opened.devices("nobody")


# --- passwords ---


async def test_a_pin_goes_to_the_mailbox_of_exactly_that_alias_and_unlocks_it(pbx: Pbx) -> None:
    connector = await pbx.connect(voicemail="unity", unity={})
    await connector.reset("gokonkwo", SecretKind.VOICEMAIL, Secret(PIN))
    mailbox = pbx.cucm.mailbox("gokonkwo")
    assert mailbox is not None
    assert (mailbox.pin, mailbox.hack_count, mailbox.must_change) == (PIN, 0, True)
    assert pbx.user("gokonkwo").secrets["pin"] == MODEL["pin"]
    other = pbx.cucm.mailbox("xiaolong")
    assert other is not None
    other.alias = "Xiaolong2"
    for userid in ("bare", "xiaolong"):
        with pytest.raises(NotSupported):
            await connector.reset(userid, SecretKind.VOICEMAIL, Secret(PIN))
        assert other.pin == "CANARY-mailbox"
    await connector.close()


async def test_a_look_alike_of_an_alias_is_another_mailbox(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that compares leniently answers with whoever's alias only folds to the one that was asked for."""
    connector, other = await pbx.connect(voicemail="unity", unity={}), pbx.cucm.mailbox("xiaolong")
    assert other is not None
    other.alias = "go\N{KELVIN SIGN}onkwo"
    monkeypatch.setattr(pbx.cucm, "mailbox", lambda _: other)
    with pytest.raises(NotSupported):
        await connector.reset("gokonkwo", SecretKind.VOICEMAIL, Secret(PIN))
    assert other.pin == "CANARY-mailbox"
    await connector.close()


async def test_a_pin_that_unity_refuses_is_told_without_it(pbx: Pbx) -> None:
    connector = await pbx.connect(voicemail="unity", unity={})
    with pytest.raises(Refused) as caught:
        await connector.reset("gokonkwo", SecretKind.VOICEMAIL, Secret("4711"))
    assert "nothing was written" in caught.value.message
    assert "4711" not in f"{caught.value!r}{caught.value.next_step}"
    await connector.close()


async def test_a_voicemail_pin_is_nobodys_until_the_settings_say_whose(pbx: Pbx, opened: CucmConnector) -> None:
    for doing in (opened.secret_rules("gokonkwo", SecretKind.VOICEMAIL),
                  opened.reset("gokonkwo", SecretKind.VOICEMAIL, Secret(PIN))):  # fmt: skip
        with pytest.raises(NotSupported) as caught:
            await doing
        assert "voicemail" in caught.value.next_step
    assert pbx.user("gokonkwo").secrets == MODEL
    assert Operation.RESET_VOICEMAIL not in opened.capabilities().operations
    assert Operation.RESET_VOICEMAIL in capabilities(CucmSettings(voicemail="synchronised")).operations


async def test_a_synchronised_pin_says_what_else_it_opens(pbx: Pbx) -> None:
    connector = await pbx.connect(voicemail="synchronised")
    done = await connector.reset("gokonkwo", SecretKind.VOICEMAIL, Secret(PIN))
    assert "Extension Mobility" in " ".join(done.notes)
    mailbox = pbx.cucm.mailbox("gokonkwo")
    assert mailbox is not None
    assert mailbox.pin == "CANARY-mailbox"
    await connector.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"voicemail": "unity"}, {"unity": {}}, {"voicemail": "none", "unity": {}}, {"region": "XX"}, {"region": "gb"},
        {"voicemail": "unity", "unity": {"host": "192.0.2.1"}}, {"voicemail": "unity", "unity": {"pin": "sha256:00"}},
        {"voicemail": "unity", "unity": {"host": "192.0.2.1", "pin": "sha256:00"}},
        {"voicemail": "unity", "unity": {"host": "192.0.2.1", "pin": "system-cas"}},
        {"version": "15.0"}, {"verify": False}, {"unity": {"host": "a b", "pin": "x"}, "voicemail": "unity"},
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_told(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        CucmSettings.model_validate(settings)
