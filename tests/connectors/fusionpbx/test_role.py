"""The role as our page makes it: what the database refuses it, what we refuse it, and what of other domains it sees."""

from __future__ import annotations

import itertools

import psycopg
import pytest

from connectors.contract import Change, Secrecy
from connectors.errors import Refused, SecretReadable
from connectors.fusionpbx.connector import FusionPbxConnector
from connectors.fusionpbx.rights import READS, UPDATES, grants, policies

from .conftest import Pbx
from .database import BLOCKS, DOMAIN, OTHER, PEOPLE, as_written, uuid

SECRETS = {
    "v_extensions": ("password",), "v_users": ("password", "salt", "api_key", "user_totp_secret"),
    "v_voicemails": ("voicemail_password",), "v_device_lines": ("password",), "v_dialplans": ("dialplan_xml",),
    "v_dialplan_details": ("dialplan_detail_data",), "v_extension_settings": ("extension_setting_value",),
    "v_user_settings": ("user_setting_value",), "v_voicemail_messages": ("message_base64",),
}  # fmt: skip
COLUMNS = [(table, column) for table, columns in SECRETS.items() for column in columns]
SELECTS = (
    "select {c} from {t}", "select * from {t}", "table {t}", "select count(*) from {t} where {c} = 'x'",
    "select count(*) from {t} where {c} like 'C%%'", "select count({c}) from {t}", "select 1 from {t} order by {c}",
    "select 1 from {t} group by {c}", "select row_to_json(x) from {t} x", "select to_jsonb(x) from {t} x",
    "select x from {t} x", "select x.*::text from {t} x", "select md5({c}) from {t}",
    "copy {t} to stdout", "copy {t} ({c}) to stdout", "copy (select {c} from {t}) to stdout",
    "select 1 from {t} a join {t} b on a.{c} = b.{c}", "select max({c}) over () from {t}",
    "create temporary table mine as select {c} from {t}", "delete from {t} where {c} like 'C%%'",
    "with gone as (delete from {t} returning {c}) select * from gone", "delete from {t} returning *",
)  # fmt: skip


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_the_database_refuses_every_way_to_a_secret(still: Pbx, table: str, column: str) -> None:
    attempts = list(SELECTS)
    for readable in sorted(UPDATES.get(table, ())):
        attempts += [
            text.replace("{r}", readable) for text in (
                "update {t} set {r} = {c}", "update {t} set {r} = 'x' returning {c}",
                "update {t} set {r} = 'x' where {c} like 'C%%'",
            )
        ]  # fmt: skip
    with still.as_role() as connection:
        for attempt in attempts:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(attempt.format(t=table, c=column).encode())


@pytest.mark.parametrize(
    "attempt",
    [
        "select * from pg_authid", "set role owner", "alter role frameroom superuser", "create role more",
        "create table public.mine (x text)", "copy v_domains to program 'cat'", "select pg_read_file('/etc/passwd')",
        "select lo_import('/etc/passwd')", "insert into v_extensions (extension) values ('9')",
        "insert into v_users (username) values ('x')", "update v_extensions set user_context = 'x'",
        "update v_user_groups set group_name = 'superadmin'", "insert into v_user_groups (group_name) values ('x')",
        "update v_destinations set destination_actions = '[]'", "truncate v_extensions", "drop table v_extensions",
        "update v_users set user_totp_secret = null", "update v_users set api_key = 'x'",
        "update v_extension_users set user_uuid = null",
        "create function public.f() returns text language sql as 'select 1::text'",
    ],
)  # fmt: skip
def test_the_role_may_nothing_else(still: Pbx, attempt: str) -> None:
    with still.as_role() as connection, pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.DataError)):
        connection.execute(attempt.encode())


def test_the_page_grants_what_the_connector_uses_and_nothing_else() -> None:
    lines = [line for line in BLOCKS[0].splitlines() if line.startswith("grant") and "v_" in line]
    assert lines == grants()
    assert BLOCKS[1].splitlines() == policies("DOMAIN")
    granted = set(itertools.chain(*READS.values()))
    assert not granted & {column for _, column in COLUMNS}


async def test_check_of_a_role_as_documented(pbx: Pbx, opened: FusionPbxConnector) -> None:
    assert [line.what for line in await opened.check() if not line.ok] == []
    pbx.sql("revoke update (password) on v_device_lines from frameroom")
    lines = {line.what: line for line in await opened.check()}
    assert not lines["rights"].ok
    assert "v_device_lines password" in lines["rights"].words


async def test_a_table_that_an_older_fusionpbx_has_not_is_a_right_that_is_missing(pbx: Pbx) -> None:
    connector = await pbx.connect()
    pbx.sql("drop table v_voicemail_greetings")
    pbx.sql("alter table v_voicemail_destinations drop column voicemail_uuid_copy")
    lines = {line.what: line for line in await connector.check()}
    assert "v_voicemail_greetings" in lines["rights"].words
    assert "voicemail_uuid_copy" in lines["rights"].words
    await connector.close()


@pytest.mark.parametrize(("table", "column"), COLUMNS)
async def test_one_readable_secret_and_we_do_not_work(pbx: Pbx, table: str, column: str) -> None:
    pbx.sql(f"grant select ({column}) on {table} to frameroom")
    with pytest.raises(SecretReadable, match=f"{table}.{column}"):
        await pbx.connect()


@pytest.mark.parametrize(
    "grant",
    [
        "grant select on v_extensions to frameroom", "grant select (salt) on v_users to public",
        "create view peek as select password from v_users; grant select on peek to frameroom",
        "create view view_users as select * from v_users; grant select on view_users to frameroom",
        "create table v_default_settings (default_setting_value text); grant select on v_default_settings to frameroom",
        "create table v_pin_numbers (pin_number text); grant select on v_pin_numbers to public",
        "create table v_user_logs (remember_validator text); grant select on v_user_logs to public",
        "alter table v_users owner to frameroom",
    ],
)  # fmt: skip
async def test_ways_around_are_seen(pbx: Pbx, grant: str) -> None:
    for statement in grant.split("; "):
        pbx.sql(statement)
    with pytest.raises(SecretReadable):
        await pbx.connect()


async def test_allowed_to_be_less_than_enforced_it_says_so(pbx: Pbx) -> None:
    assert set((await pbx.connect()).capabilities().secrecy.values()) == {Secrecy.ENFORCED}
    pbx.sql("grant select (voicemail_password) on v_voicemails to frameroom")
    connector = await pbx.connect(allow_selected=True)
    can = connector.capabilities()
    assert set(can.secrecy.values()) == {Secrecy.SELECTED}
    assert "v_voicemails.voicemail_password" in can.secrecy_why
    assert any(not line.ok and line.what == "secrets" for line in await connector.check())
    await connector.close()


async def test_with_the_pages_policies_the_database_itself_shows_one_domain(pbx: Pbx) -> None:
    home = uuid("domain", DOMAIN)
    pbx.sql(as_written(BLOCKS[1]).replace("DOMAIN", home))
    connector = await pbx.connect()
    lines = {line.what: line for line in await connector.check()}
    assert lines["other domains"].words == "the database shows our role this domain alone"
    assert all(line.ok for line in lines.values())
    with pbx.as_role() as connection:
        for table in READS:
            if table not in ("v_user_groups",):
                others = connection.execute(f"select count(*) from {table} where domain_uuid <> %s".encode(), (home,))  # noqa: S608
                assert others.fetchone() == (0,), table
    # FusionPBX itself, which owns the tables, sees both as before.
    assert pbx.sql("select count(*) from v_domains") == [(2,)]
    grace = await connector.view(PEOPLE[0].id)
    after = await connector.alter(grace.id, Change(name="Grace Bell", ddi="+442079460999"), grace)
    assert after.ddis == ("+442079460999",)
    await connector.remove(grace.id, after)
    with pytest.raises(Refused):
        await pbx.connect(domain=OTHER)
    await connector.close()


async def test_a_domain_that_is_not_there(pbx: Pbx) -> None:
    with pytest.raises(Refused, match="no domain nowhere"):
        await pbx.connect(domain="nowhere.example")
    assert (await (await pbx.connect(domain="Brook.Example")).people(None, 5)).people
