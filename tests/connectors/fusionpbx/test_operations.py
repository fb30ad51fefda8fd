"""The operations on two domains of one FusionPBX, under the role of our page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.contract import Change, Person, Secret, SecretKind
from connectors.errors import Conflict, InvalidValue, NotFound, NotSupported, Refused
from connectors.fusionpbx.connector import FusionPbxConnector

from .conftest import Pbx
from .database import DOMAIN, OTHER, PEOPLE, rows_of, uuid

GRACE, TOMAS, LI, SIOBHAN, ELSE = PEOPLE
NEW = "Kx7mQ2vTz9LpR4wNc8Hd"


async def everyone(connector: FusionPbxConnector, size: int) -> list[Person]:
    found, cursor = list[Person](), None
    while True:
        page = await connector.people(cursor, size)
        found += page.people
        if (cursor := page.cursor) is None:
            return found


@pytest.mark.parametrize("size", [1, 3, 4, 5, 500])
async def test_everyone_of_our_domain_once(opened: FusionPbxConnector, size: int) -> None:
    people = await everyone(opened, size)
    assert [p.extension for p in people] == ["1001", "1002", "1003", "1004"]
    assert people[0] == Person(GRACE.id, "1001", "Grace Okonkwo", "grace@brook.example", ("+442079460101",))
    assert people[1].ddis == ("+441614960102", "+442079460102")
    assert people[2].email is None


async def test_a_neighbours_person_is_nobody(pbx: Pbx, opened: FusionPbxConnector) -> None:
    before = rows_of(pbx, OTHER)
    theirs = Person(ELSE.id, "1001", ELSE.name, ELSE.email, ELSE.numbers)
    acts: list[Any] = [
        lambda: opened.view(ELSE.id), lambda: opened.alter(ELSE.id, Change(name="X"), theirs),
        lambda: opened.remove(ELSE.id, theirs), lambda: opened.plan_removal(ELSE.id), lambda: opened.devices(ELSE.id),
        lambda: opened.secret_rules(ELSE.id, SecretKind.SIP),
        *(lambda k=k: opened.reset(ELSE.id, k, Secret(NEW)) for k in SecretKind),
    ]  # fmt: skip
    for act in acts:
        with pytest.raises(NotFound):
            await act()
    assert not (await opened.find("Somebody Else", 5)).people
    # The same extension, its mailbox and user name are there too, and are left alone.
    shown = await opened.view(GRACE.id)
    await opened.alter(GRACE.id, Change(name="Grace Bell", email="g@brook.example", ddi="+442079460999"), shown)
    for kind, secret in ((SecretKind.SIP, NEW), (SecretKind.VOICEMAIL, "918273"), (SecretKind.PORTAL, NEW)):
        await opened.reset(GRACE.id, kind, Secret(secret))
    await opened.remove(GRACE.id, await opened.view(GRACE.id))
    assert rows_of(pbx, OTHER) == before


async def test_find(opened: FusionPbxConnector) -> None:
    async def found(words: str) -> list[str]:
        return [p.extension for p in (await opened.find(words, 20)).people]

    assert await found("TOMÁS") == ["1002"]
    assert await found("李") == ["1003"]
    assert await found("o'brien") == ["1004"]
    for number in ("+442079460101", "02079460101", "020-7946-0101", "7946010"):
        assert "1001" in await found(number), number
    assert await found("brook.example 1004") == ["1004"]
    for wild in ("%", "_", "1_01", ".*", "\\"):
        assert await found(wild) == []
    assert await found("  ") == []
    assert len((await opened.find("brook", 2)).people) == 2


async def test_numbers_are_understood_however_they_were_written(pbx: Pbx, opened: FusionPbxConnector) -> None:
    async def shown(**columns: str | None) -> tuple[str, ...] | None:
        sets = ", ".join(f"destination_{name} = %s" for name in columns)
        pbx.sql(f"update v_destinations set {sets} where destination_data = '1001 XML brook.example'",  # noqa: S608
                *columns.values())  # fmt: skip
        return (await opened.view(GRACE.id)).ddis

    assert await shown(prefix=None, number="442079460101") == ("+442079460101",)
    assert await shown(prefix=None, number="+442079460101") == ("+442079460101",)
    assert await shown(prefix="", number="02079460101") == ("+442079460101",)
    assert await shown(prefix="44", area_code="20", number="79460101") == ("+442079460101",)
    assert await shown(prefix="44", area_code=None, number="02079460101") == ("+442079460101",)
    assert await shown(prefix=None, number="^(2079460101)$") == ("^(2079460101)$",)


async def test_old_destinations_without_a_list_of_actions_count(pbx: Pbx, opened: FusionPbxConnector) -> None:
    for empty in (None, "null"):
        pbx.sql("update v_destinations set destination_actions = %s", empty)
        assert (await opened.view(GRACE.id)).ddis == ("+442079460101",)
    pbx.sql("update v_destinations set destination_actions = '{\"odd\": 1}', destination_app = 'bridge'")
    assert (await opened.view(GRACE.id)).ddis == ()


async def test_an_outbound_number_and_a_number_elsewhere_are_not_theirs(pbx: Pbx, opened: FusionPbxConnector) -> None:
    pbx.sql("update v_destinations set destination_type = 'outbound'")
    assert (await opened.view(GRACE.id)).ddis == ()


async def test_a_name_changes_in_the_directory_too(pbx: Pbx, opened: FusionPbxConnector) -> None:
    after = await opened.alter(GRACE.id, Change(name="Grace Ada Bell"), await opened.view(GRACE.id))
    assert after.name == "Grace Ada Bell"
    text = ("select effective_caller_id_name, directory_first_name, directory_last_name from v_extensions "
            "where extension_uuid = %s")  # fmt: skip
    assert pbx.sql(text, GRACE.id) == [("Grace Ada Bell", "Grace", "Ada Bell")]
    pbx.sql("update v_extensions set directory_first_name = null, directory_last_name = ''")
    await opened.alter(GRACE.id, Change(name="Grace"), after)
    assert pbx.sql(text, GRACE.id) == [("Grace", None, "")], "who was in no directory comes into none"


async def test_a_name_that_stands_in_the_directory_alone(pbx: Pbx, opened: FusionPbxConnector) -> None:
    pbx.sql("update v_extensions set effective_caller_id_name = ''")
    shown = await opened.view(GRACE.id)
    assert shown.name == "Grace Okonkwo"
    assert (await opened.alter(GRACE.id, Change(name="Grace Bell"), shown)).name == "Grace Bell"


@pytest.mark.parametrize("name", ['a"b', "a<1>", "a\nb", "", " a", "x" * 90, "${system(id)}", "a{b}", "a\\b"])
async def test_names_that_freeswitch_would_read_otherwise(opened: FusionPbxConnector, name: str) -> None:
    with pytest.raises(InvalidValue):
        await opened.alter(GRACE.id, Change(name=name), await opened.view(GRACE.id))
    assert (await opened.view(GRACE.id)).name == "Grace Okonkwo"


async def test_an_address_goes_to_the_mailbox_and_along_to_the_portal(pbx: Pbx, opened: FusionPbxConnector) -> None:
    after = await opened.alter(GRACE.id, Change(email="gb@brook.example"), await opened.view(GRACE.id))
    assert after.email == "gb@brook.example"
    mail = "select user_email from v_users where user_uuid = %s"
    who = uuid("user", DOMAIN, "1001")
    assert pbx.sql(mail, who) == [("gb@brook.example",)]
    pbx.sql("update v_users set user_email = 'login@brook.example'")
    await opened.alter(GRACE.id, Change(email="new@brook.example"), after)
    assert pbx.sql(mail, who) == [("login@brook.example",)], "another address was not the one that was shown"


async def test_an_address_that_another_portal_user_signs_in_with(pbx: Pbx, opened: FusionPbxConnector) -> None:
    """FusionPBX takes the address for a user name: with it twice, one of the two would be let in as the other."""
    shown = await opened.view(GRACE.id)
    for taken in ("TOMAS@brook.example", "admin@brook.example"):
        pbx.sql(
            "update v_users set username = 'admin@brook.example' where user_uuid = %s", uuid("user", DOMAIN, "1003")
        )
        with pytest.raises(Conflict):
            await opened.alter(GRACE.id, Change(email=taken), shown)
    assert await opened.view(GRACE.id) == shown
    pbx.sql("delete from v_extension_users")
    assert (await opened.alter(GRACE.id, Change(email="tomas@brook.example"), shown)).email == "tomas@brook.example"


async def test_an_odd_extension_hides_nobody_who_comes_after_it(pbx: Pbx, opened: FusionPbxConnector) -> None:
    odd = "1001\n\x1b[2J" + "9" * 80
    pbx.sql("update v_extensions set extension = %s where extension_uuid = %s", odd, TOMAS.id)
    assert [p.extension for p in await everyone(opened, 1)] == ["1001", odd, "1003", "1004"]
    pbx.sql("update v_extensions set extension = null where extension_uuid = %s", TOMAS.id)
    assert [p.id for p in await everyone(opened, 1)] == [TOMAS.id, GRACE.id, LI.id, SIOBHAN.id]


@pytest.mark.parametrize("strange", ["", "x", "1001", "'; drop table v_users; --", "A" * 36, GRACE.id.upper(), "a\nb"])
async def test_an_id_that_is_none_is_nobodys(opened: FusionPbxConnector, strange: str) -> None:
    for act in (opened.view(strange), opened.plan_removal(strange), opened.devices(strange)):
        with pytest.raises(NotFound):
            await act


async def test_without_a_mailbox_the_address_is_the_portal_users(pbx: Pbx, opened: FusionPbxConnector) -> None:
    pbx.sql("delete from v_voicemails")
    shown = await opened.view(GRACE.id)
    assert shown.email == "grace@brook.example"
    assert (await opened.alter(GRACE.id, Change(email="gb@brook.example"), shown)).email == "gb@brook.example"
    with pytest.raises(NotSupported):
        await opened.secret_rules(GRACE.id, SecretKind.VOICEMAIL)
    pbx.sql("delete from v_extension_users")
    shown = await opened.view(GRACE.id)
    assert shown.email is None
    with pytest.raises(Refused):
        await opened.alter(GRACE.id, Change(email="x@brook.example"), shown)


async def test_all_or_nothing(pbx: Pbx, opened: FusionPbxConnector) -> None:
    before, shown = rows_of(pbx, DOMAIN), await opened.view(GRACE.id)
    with pytest.raises(Conflict):
        await opened.alter(GRACE.id, Change(name="X", email="x@brook.example", ddi="+442079460102"), shown)
    with pytest.raises(InvalidValue):
        await opened.alter(GRACE.id, Change(name="X", email="not-an-address"), shown)
    with pytest.raises(Conflict):
        await opened.alter(GRACE.id, Change(name="X", ddi="+442079460901"), shown)
    pbx.sql("update v_voicemails set voicemail_mail_to = 'other@brook.example' where voicemail_id = '1001'")
    with pytest.raises(Conflict):
        await opened.alter(GRACE.id, Change(name="X", email="x@brook.example"), shown)
    pbx.sql("update v_voicemails set voicemail_mail_to = 'grace@brook.example' where voicemail_id = '1001' "
            "and domain_uuid = %s", uuid("domain", DOMAIN))  # fmt: skip
    assert rows_of(pbx, DOMAIN) == before


def _route(pbx: Pbx, number: str) -> tuple[Any, ...]:
    return pbx.sql(
        "select d.destination_prefix, d.destination_number, d.destination_number_regex, p.dialplan_xml, "
        "array(select t.dialplan_detail_data from v_dialplan_details t where t.dialplan_uuid = p.dialplan_uuid "
        "order by t.dialplan_detail_order) from v_destinations d join v_dialplans p using (dialplan_uuid, domain_uuid) "
        "where d.destination_number = %s", number,
    )[0]  # fmt: skip


async def test_a_number_moves_with_its_route_and_keeps_its_settings(pbx: Pbx, opened: FusionPbxConnector) -> None:
    pbx.sql("update v_destinations set destination_hold_music = 'local_stream://default', destination_record = true, "
            "destination_accountcode = 'brook', destination_ringback = '${uk-ring}' "
            "where destination_data like '1001 XML brook%%'")  # fmt: skip
    await opened.alter(GRACE.id, Change(ddi="+442079460999"), await opened.view(GRACE.id))
    prefix, number, regex, xml, details = _route(pbx, "2079460999")
    assert (prefix, number, regex) == ("44", "2079460999", r"^\+?(?:44)?(2079460999)$")
    for wanted in ('hold_music=local_stream://default"', 'accountcode=brook"', 'ringback=${uk-ring}"',
                   '"transfer" data="1001 XML brook.example"/>', "record_session", f'"{regex}"'):  # fmt: skip
        assert wanted in xml
    assert "2079460101" not in xml + "".join(details)
    assert details[0] == regex
    assert details[-1] == "1001 XML brook.example"
    assert pbx.sql("select count(*) from v_destinations where destination_number = '2079460101'") == [(0,)]


async def test_a_number_is_given_and_taken_away_with_its_route(pbx: Pbx, opened: FusionPbxConnector) -> None:
    tables = ("v_destinations", "v_dialplans", "v_dialplan_details")
    before = {table: rows_of(pbx, DOMAIN)[table] for table in tables}
    given = await opened.alter(SIOBHAN.id, Change(ddi="+442079460777"), await opened.view(SIOBHAN.id))
    assert given.ddis == ("+442079460777",)
    xml = _route(pbx, "2079460777")[3]
    assert xml.startswith('<extension name="2079460777" continue="false" uuid="')
    assert "\n\t\t<action application=" in xml
    actions, app, data, context, enabled = pbx.sql(
        "select destination_actions, destination_app, destination_data, destination_context, destination_enabled::text "
        "from v_destinations where destination_number = '2079460777'"
    )[0]
    assert actions == [{"destination_app": "transfer", "destination_data": "1004 XML brook.example"}]
    assert (app, data, context, enabled) == ("transfer", "1004 XML brook.example", "public", "true")
    assert (await opened.alter(SIOBHAN.id, Change(ddi=None), given)).ddis == ()
    assert {table: rows_of(pbx, DOMAIN)[table] for table in tables} == before


async def test_numbers_that_are_not_only_theirs_are_shown_and_left_alone(pbx: Pbx, opened: FusionPbxConnector) -> None:
    with pytest.raises(Refused):
        await opened.alter(TOMAS.id, Change(ddi=None), await opened.view(TOMAS.id))
    one = {"destination_app": "transfer", "destination_data": "1001 XML brook.example"}
    other = {"destination_app": "transfer", "destination_data": "*991001 XML brook.example"}
    for column, value in (
        ("destination_actions", json.dumps([one, other])), ("fax_uuid", uuid("fax")),
        ("destination_conditions", json.dumps([{"condition_field": "caller_id_number"}])),
        ("destination_conditions", json.dumps({"0": {"condition_field": "caller_id_number"}})),
        ("destination_actions", json.dumps([one | {"destination_data": "1001 XML other.example"}])),
        ("destination_accountcode", "${system(id)}"),
    ):  # fmt: skip
        pbx.sql(f"update v_destinations set {column} = %s where destination_number = '2079460101'", value)  # noqa: S608
        shown = await opened.view(GRACE.id)
        assert shown.ddis == ("+442079460101",)
        with pytest.raises(Refused):
            await opened.alter(GRACE.id, Change(ddi="+442079460999"), shown)
        if column != "destination_accountcode":
            with pytest.raises(Refused):
                await opened.alter(GRACE.id, Change(ddi=None), shown)
            assert any("+442079460101" in line for line in (await opened.plan_removal(GRACE.id)).remains)
        pbx.sql("update v_destinations set fax_uuid = null, destination_conditions = null, destination_actions = %s "
                "where destination_number = '2079460101'", json.dumps([one]))  # fmt: skip


async def test_a_dialplan_that_another_number_uses_stays(pbx: Pbx, opened: FusionPbxConnector) -> None:
    plan = uuid("plan", "+442079460101")
    pbx.sql("update v_destinations set dialplan_uuid = %s where destination_number = '1614960102'", plan)
    await opened.alter(GRACE.id, Change(ddi=None), await opened.view(GRACE.id))
    assert pbx.sql("select count(*) from v_dialplans where dialplan_uuid = %s", plan) == [(1,)]
    assert pbx.sql("select count(*) from v_dialplan_details where dialplan_uuid = %s", plan) == [(1,)]


async def test_no_canary_in_anything_returned(opened: FusionPbxConnector) -> None:
    seen = repr([await opened.check(), opened.capabilities()])
    for p in await everyone(opened, 500):
        seen += repr([p, await opened.view(p.id), await opened.devices(p.id), await opened.plan_removal(p.id)])
    assert "CANARY" not in seen


async def test_who_uses_the_role(opened: FusionPbxConnector, pbx: Pbx) -> None:
    with pbx.as_role():
        seen = await opened.logins(0)
    assert await opened.own_login() in {login.id for login in seen.logins}
    assert len(seen.logins) >= 2
