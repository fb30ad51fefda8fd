"""Removals and new passwords: every row of that person, and nobody else's."""

from __future__ import annotations

import re

import pytest

from connectors.contract import Change, Secret, SecretKind
from connectors.errors import Conflict, NotFound, NotSupported, Refused
from connectors.fusionpbx.connector import FusionPbxConnector

from .conftest import Pbx
from .database import DOMAIN, OTHER, PEOPLE, rows_of, uuid

GRACE, TOMAS, LI, SIOBHAN, ELSE = PEOPLE
NEW = "Kx7mQ2vTz9LpR4wNc8Hd"


async def test_removal_takes_every_row_and_says_what_stays(pbx: Pbx, opened: FusionPbxConnector) -> None:
    home, box, follow = uuid("domain", DOMAIN), uuid("box", GRACE.id), uuid("follow")
    pbx.sql("insert into v_follow_me values (%s, %s)", home, follow)
    pbx.sql("insert into v_follow_me_destinations (follow_me_destination_uuid, domain_uuid, follow_me_uuid) "
            "values (%s, %s, %s)", uuid("fd"), home, follow)  # fmt: skip
    pbx.sql("update v_extensions set follow_me_uuid = %s where extension_uuid = %s", follow, GRACE.id)
    pbx.sql("insert into v_ring_group_destinations (ring_group_destination_uuid, domain_uuid, destination_number) "
            "values (%s, %s, '1001'), (%s, %s, '1002')", uuid("r1"), home, uuid("r2"), home)  # fmt: skip
    pbx.sql("insert into v_extension_settings (extension_setting_uuid, domain_uuid, extension_uuid) "
            "values (%s, %s, %s)", uuid("s"), home, GRACE.id)  # fmt: skip
    for table in ("messages", "options"):
        pbx.sql(f"insert into v_voicemail_{table} (voicemail_{table[:-1]}_uuid, domain_uuid, voicemail_uuid) "  # noqa: S608
                "values (%s, %s, %s)", uuid(table), home, box)  # fmt: skip
    pbx.sql("insert into v_voicemail_destinations (voicemail_destination_uuid, domain_uuid, voicemail_uuid, "
            "voicemail_uuid_copy) values (%s, %s, %s, %s)", uuid("c"), home, uuid("box", TOMAS.id), box)  # fmt: skip
    pbx.sql("insert into v_voicemail_greetings (voicemail_greeting_uuid, domain_uuid, voicemail_id) "
            "values (%s, %s, '1001')", uuid("g"), home)  # fmt: skip
    pbx.sql("insert into v_user_settings (user_setting_uuid, domain_uuid, user_uuid) values (%s, %s, %s)",
            uuid("us"), home, uuid("user", DOMAIN, "1001"))  # fmt: skip
    plan = await opened.plan_removal(GRACE.id)
    assert plan == await opened.remove(GRACE.id, await opened.view(GRACE.id))
    left = " ".join(str(row) for table in rows_of(pbx, DOMAIN).values() for row in table)
    for gone in (GRACE.id, box, follow, uuid("user", DOMAIN, "1001"), uuid("plan", "+442079460101"), uuid("r1"),
                 uuid("c"), uuid("g"), uuid("us"), uuid("s"), "2079460101", "+442079460101"):  # fmt: skip
        assert gone not in left
    assert uuid("r2") in left
    assert any("u1001" in line for line in plan.removed)
    assert any("registrations" in line for line in plan.remains)
    assert any("Flush Cache" in line for line in plan.remains)
    with pytest.raises(NotFound):
        await opened.view(GRACE.id)


async def test_somebody_else_under_the_same_extension_is_not_removed(pbx: Pbx, opened: FusionPbxConnector) -> None:
    shown = await opened.view(GRACE.id)
    pbx.sql("update v_extensions set effective_caller_id_name = 'New Person' where extension_uuid = %s", GRACE.id)
    with pytest.raises(Conflict):
        await opened.remove(GRACE.id, shown)
    assert (await opened.view(GRACE.id)).name == "New Person"


async def test_what_another_extension_shares_is_neither_reset_nor_removed(pbx: Pbx, opened: FusionPbxConnector) -> None:
    pbx.sql("update v_extensions set number_alias = '1001' where extension_uuid = %s", SIOBHAN.id)
    for act in (
        opened.reset(GRACE.id, SecretKind.VOICEMAIL, Secret("918273")),
        opened.alter(GRACE.id, Change(email="x@brook.example"), await opened.view(GRACE.id)),
    ):
        with pytest.raises(Refused, match="1004"):
            await act
    removal = await opened.remove(GRACE.id, await opened.view(GRACE.id))
    assert any("mailbox 1001" in line for line in removal.remains)
    assert any("+442079460101" in line for line in removal.remains)
    assert pbx.sql("select count(*) from v_voicemails where voicemail_id = '1001'") == [(2,)]


ADMIN = "insert into v_user_groups (user_group_uuid, domain_uuid, user_uuid, group_name) values (%s, %s, %s, %s)"


@pytest.mark.parametrize("group", ["superadmin", "admin", "supervisor", None])
async def test_who_is_more_than_a_user_keeps_the_portal_password(
    pbx: Pbx, opened: FusionPbxConnector, group: str | None
) -> None:
    """Else a maintainer who may reset one telephone's password would be administrator of the whole phone system."""
    who = uuid("user", DOMAIN, "1001")
    pbx.sql(ADMIN, uuid("more"), uuid("domain", OTHER), who, group)
    with pytest.raises(Refused):
        await opened.reset(GRACE.id, SecretKind.PORTAL, Secret(NEW))
    assert pbx.opens(GRACE.id, SecretKind.PORTAL, GRACE.secret("portal"))
    # Nor is their address changed, to which FusionPBX would send a forgotten password, and they stay.
    await opened.alter(GRACE.id, Change(email="evil@brook.example"), await opened.view(GRACE.id))
    removal = await opened.remove(GRACE.id, await opened.view(GRACE.id))
    assert pbx.sql("select user_email from v_users where user_uuid = %s", who) == [("grace@brook.example",)]
    assert any("u1001" in line for line in removal.remains)


async def test_a_user_of_two_extensions_is_nobodys(pbx: Pbx, opened: FusionPbxConnector) -> None:
    link = "insert into v_extension_users values (%s, %s, %s, %s)"
    pbx.sql(link, uuid("l2"), uuid("domain", DOMAIN), TOMAS.id, uuid("user", DOMAIN, "1001"))
    for somebody in (GRACE, TOMAS):
        with pytest.raises((Refused, NotSupported)):
            await opened.reset(somebody.id, SecretKind.PORTAL, Secret(NEW))
        assert pbx.opens(GRACE.id, SecretKind.PORTAL, GRACE.secret("portal"))


async def test_each_password_is_written_where_it_counts(pbx: Pbx, opened: FusionPbxConnector) -> None:
    for kind, secret in ((SecretKind.SIP, NEW), (SecretKind.VOICEMAIL, "918273"), (SecretKind.PORTAL, NEW)):
        assert pbx.opens(GRACE.id, kind, GRACE.secret(kind.value))
        done = await opened.reset(GRACE.id, kind, Secret(secret))
        assert secret not in repr(done)
        assert pbx.opens(GRACE.id, kind, secret)
        assert not pbx.opens(GRACE.id, kind, GRACE.secret(kind.value))
        for other in (TOMAS, SIOBHAN):
            assert pbx.opens(other.id, kind, other.secret(kind.value))
    lines = pbx.sql("select user_id, password from v_device_lines where server_address = %s order by 1", DOMAIN)
    assert dict(lines)["1001"] == NEW
    assert dict(lines)["1002"] == TOMAS.secret("sip")
    ((stored, salt),) = pbx.sql("select password, salt from v_users where user_uuid = %s", uuid("user", DOMAIN, "1001"))
    assert re.fullmatch(r"\$2y\$10\$[./A-Za-z0-9]{53}", stored)
    assert salt is None


async def test_a_mailbox_of_the_alias(pbx: Pbx, opened: FusionPbxConnector) -> None:
    pbx.sql("update v_extensions set extension = 'grace', number_alias = '1001' where extension_uuid = %s", GRACE.id)
    pbx.sql("update v_extension_settings set extension_uuid = extension_uuid")
    assert (await opened.view(GRACE.id)).email == "grace@brook.example"
    assert (await opened.view(GRACE.id)).ddis == ("+442079460101",)
    await opened.reset(GRACE.id, SecretKind.VOICEMAIL, Secret("918273"))
    assert pbx.sql("select voicemail_password from v_voicemails where voicemail_uuid = %s", uuid("box", GRACE.id)) == [
        ("918273",)
    ]
