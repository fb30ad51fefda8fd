"""The operations on the captured database of a real Asterisk, under the documented role."""

from __future__ import annotations

import hashlib
import json

import pytest

from connectors.asterisk.connector import AsteriskConnector
from connectors.contract import Change, Person, Secrecy, Secret, SecretKind
from connectors.errors import Conflict, InvalidValue, NotFound, NotSupported, Refused, SecretReadable

from .conftest import SHA256_TOO, VECTORS, Pbx


def accepts(pbx: Pbx, user: str, password: str, algorithm: str = "MD5") -> int:
    """What Asterisk answers a REGISTER with these credentials, from its own rows (91-realtime-live.txt): a digest
    that is there wins over a password; with none of the three it answers 500, and so where an algorithm that it may
    use (MD5 where none is named) has a digest of another algorithm and no password (seen live)."""
    row = pbx.sql("select password, md5_cred, password_digest, coalesce(realm, 'asterisk'), "
                  "coalesce(supported_algorithms_uas, 'MD5') || ',' || coalesce(supported_algorithms_uac, 'MD5') "
                  "from ps_auths where username = %s", user)  # fmt: skip
    if not row:
        return 401
    stored, md5, digest, realm, algorithms = row[0]
    if digest and not stored and {digest.partition(":")[0]} != set(algorithms.split(",")):
        return 500
    plain = f"{user}:{realm}:{password}".encode()
    hashed = hashlib.new("md5" if algorithm == "MD5" else "sha256", plain).hexdigest()
    if digest:
        return 200 if digest == f"{algorithm}:{hashed}" else 401
    if md5:
        return 200 if md5 == hashed else 401
    return 500 if not stored else 200 if stored == password else 401


async def everyone(connector: AsteriskConnector, size: int) -> list[Person]:
    found, cursor = list[Person](), None
    while True:
        page = await connector.people(cursor, size)
        assert len(page.people) <= size
        found += page.people
        if (cursor := page.cursor) is None:
            return found


@pytest.mark.parametrize("size", [1, 18, 19, 20, 500])
async def test_everyone_once_whatever_the_page(opened: AsteriskConnector, size: int) -> None:
    people = await everyone(opened, size)
    assert len(people) == len({p.id for p in people}) == 20
    by_id = {p.id: p for p in people}
    assert "1020-mobile" not in by_id, "one person's two devices are one person"
    assert by_id["1001"] == Person("1001", "1001", "Grace Okonkwo", "grace.okonkwo@example.test", ("+442079460101",))
    assert by_id["alice.wong"].extension == "1019"
    assert by_id["alice.wong"].email == "alice.wong@example.test"
    assert by_id["1020"].ddis == ("+442079460120", "+442079460121")


async def test_find_is_unicode_and_wildcard_safe(opened: AsteriskConnector) -> None:
    async def ids(words: str) -> list[str]:
        return [p.id for p in (await opened.find(words, 20)).people]

    assert await ids("TOMÁS") == ["1002"]
    assert await ids("toma\u0301s álvarez") == ["1002"], "composed or not, the same letter"
    assert await ids("李") == ["1011"]
    assert await ids("smith") == ["1013", "1014"]
    assert await ids("o'brien") == ["1004"]
    assert await ids("+442079460101") == await ids("442079460101") == await ids("02079460101") == ["1001"]
    for wild in ("%", "_", "1_01", "100%", ".*", "\\"):
        assert await ids(wild) == []
    assert await ids("   ") == []


async def test_find_keeps_its_limit(opened: AsteriskConnector) -> None:
    assert len((await opened.find("example", 3)).people) == 3


async def test_a_name_changes_everywhere_and_keeps_its_number(pbx: Pbx, opened: AsteriskConnector) -> None:
    bob = await opened.view("1020")
    after = await opened.alter("1020", Change(name="Robert Fletcher"), bob)
    assert after.name == "Robert Fletcher"
    rows = pbx.sql("select callerid from ps_endpoints where id in ('1020', '1020-mobile')")
    assert rows == [('"Robert Fletcher" <1020>',)] * 2
    assert pbx.sql("select fullname from voicemail where mailbox = '1020'") == [("Robert Fletcher",)]


async def test_an_unquoted_caller_id_stays_unquoted(pbx: Pbx, opened: AsteriskConnector) -> None:
    pbx.sql("update ps_endpoints set callerid = 'Grace <1001>' where id = '1001'")
    await opened.alter("1001", Change(name="Grace Bell"), await opened.view("1001"))
    assert pbx.sql("select callerid from ps_endpoints where id = '1001'") == [("Grace Bell <1001>",)]


async def test_nothing_is_written_when_it_changed_meanwhile(pbx: Pbx, opened: AsteriskConnector) -> None:
    shown = await opened.view("1001")
    pbx.sql("update voicemail set email = 'other@example.test' where mailbox = '1001'")
    with pytest.raises(Conflict):
        await opened.alter("1001", Change(name="X", email="new@example.test"), shown)
    assert (await opened.view("1001")).name == "Grace Okonkwo", "the name was in the same transaction"


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a<1>", "a\nb", "a\x1b[2J", "", " a", "x" * 60])
async def test_names_that_would_break_a_caller_id(opened: AsteriskConnector, name: str) -> None:
    with pytest.raises(InvalidValue):
        await opened.alter("1001", Change(name=name), await opened.view("1001"))


@pytest.mark.parametrize("email", ["nobody", "a@b", "a b@c.d", "a@b.c,evil@d.e", "a@b.c\r\nBcc: x"])
async def test_emails_that_are_none(opened: AsteriskConnector, email: str) -> None:
    with pytest.raises(InvalidValue):
        await opened.alter("1001", Change(email=email), await opened.view("1001"))


async def test_email_is_taken_away_and_needs_a_mailbox(pbx: Pbx, opened: AsteriskConnector) -> None:
    assert (await opened.alter("1001", Change(email=None), await opened.view("1001"))).email is None
    pbx.sql("delete from voicemail where mailbox = '1002'")
    shown = await opened.view("1002")
    assert shown.email is None
    with pytest.raises(Refused):
        await opened.alter("1002", Change(email="t@example.test"), shown)
    with pytest.raises(NotSupported):
        await opened.secret_rules("1002", SecretKind.VOICEMAIL)


async def test_direct_numbers(pbx: Pbx, opened: AsteriskConnector) -> None:
    shown = await opened.view("1001")
    after = await opened.alter("1001", Change(ddi="+442079460199"), shown)
    assert after.ddis == ("+442079460199",)
    with pytest.raises(Conflict):
        await opened.alter("1001", Change(ddi="+442079460198"), shown)
    with pytest.raises(Conflict):
        await opened.alter("1002", Change(ddi="+442079460199"), await opened.view("1002"))
    assert (await opened.alter("1001", Change(ddi=None), after)).ddis == ()
    assert (await opened.alter("1001", Change(ddi="+442079460197"), await opened.view("1001"))).ddis == (
        "+442079460197",
    )
    with pytest.raises(Refused):
        await opened.alter("1020", Change(ddi="+442079460196"), await opened.view("1020"))


async def test_without_a_table_numbers_are_not_available(pbx: Pbx) -> None:
    connector = await pbx.connect(ddi=None)
    shown = await connector.view("1001")
    assert shown.ddis is None
    with pytest.raises(NotSupported):
        await connector.alter("1001", Change(ddi="+442079460199"), shown)
    await connector.close()


async def test_removal_takes_everything_and_says_what_stays(pbx: Pbx, opened: AsteriskConnector) -> None:
    pbx.sql("insert into ps_contacts (id, endpoint, uri, expiration_time) values "
            "('1020;@a', '1020', 'sip:1020@10.0.0.9:5060;secret=x', 1795000000)")  # fmt: skip
    devices = await opened.devices("1020")
    assert [(d.label, d.expires_ms) for d in devices] == [("1020 at 10.0.0.9:5060", 1795000000000)]
    shown = await opened.view("1020")
    plan = await opened.plan_removal("1020")
    assert plan == await opened.remove("1020", shown)
    assert any("1020-mobile" in line for line in plan.removed)
    assert any("disk" in line for line in plan.remains)
    for table in ("ps_endpoints", "ps_auths", "ps_aors"):
        assert pbx.sql(f"select id from {table} where id like '1020%'") == []  # noqa: S608 (names above)
    assert pbx.sql("select id from ps_contacts") == []
    assert pbx.sql("select mailbox from voicemail where mailbox = '1020'") == []
    assert pbx.sql("select number from site_ddi where extension = '1020'") == []
    with pytest.raises(NotFound):
        await opened.view("1020")
    with pytest.raises(NotFound):
        await opened.remove("1020", shown)


async def test_what_colleagues_use_stays(pbx: Pbx, opened: AsteriskConnector) -> None:
    pbx.sql("update ps_endpoints set auth = '1001', mailboxes = '1001@default' where id = '1002'")
    removal = await opened.remove("1001", await opened.view("1001"))
    assert any("mailbox" in line for line in removal.remains)
    assert pbx.sql("select id from ps_auths where id = '1001'") == [("1001",)]
    assert pbx.sql("select mailbox from voicemail where mailbox = '1001'") == [("1001",)]


async def test_a_shared_password_or_mailbox_is_not_reset(pbx: Pbx, opened: AsteriskConnector) -> None:
    pbx.sql("update ps_endpoints set auth = '1001', mailboxes = '1001@default' where id = '1002'")
    for kind in (SecretKind.SIP, SecretKind.VOICEMAIL):
        with pytest.raises(Refused):
            await opened.reset("1001", kind, Secret("91827364"))


async def test_someone_else_under_the_same_number_is_not_removed(pbx: Pbx, opened: AsteriskConnector) -> None:
    shown = await opened.view("1001")
    pbx.sql("""update ps_endpoints set callerid = '"New Person" <1001>' where id = '1001'""")
    with pytest.raises(Conflict):
        await opened.remove("1001", shown)
    assert (await opened.view("1001")).name == "New Person"


@pytest.mark.parametrize("digest", ["md5", "sha256"])
@pytest.mark.parametrize("user", ["1001", "1007", "1008", "alice.wong"])
async def test_a_new_password_works_and_the_old_does_not(pbx: Pbx, user: str, digest: str) -> None:
    """userpass, md5_cred and password_digest rows alike."""
    if digest == "sha256":
        pbx.sql(SHA256_TOO)
    connector = await pbx.connect(digest=digest)
    old, new = f"CANARY-sip-{user}-7f3", "Kx7mQ2vTz9LpR4wNc8Hd"
    assert accepts(pbx, user, old) == 200
    await connector.reset(user, SecretKind.SIP, Secret(new))
    algorithm = "MD5" if digest == "md5" else "SHA-256"
    assert accepts(pbx, user, new, algorithm) == 200
    assert accepts(pbx, user, old, algorithm) == 401
    plain = pbx.sql("select count(*) from ps_auths where concat(password, md5_cred, password_digest) like %s",
                    f"%{new}%")  # fmt: skip
    assert plain == [(0,)], "the password itself never reached the database"
    await connector.close()


async def test_a_sha256_digest_needs_two_rights_more_and_a_check_says_so(pbx: Pbx) -> None:
    connector = await pbx.connect(digest="sha256")
    (line,) = [line for line in await connector.check() if "supported_algorithms_uas" in line.words]
    assert not line.ok
    with pytest.raises(Refused):
        await connector.reset("1001", SecretKind.SIP, Secret("Kx7mQ2vTz9LpR4wNc8Hd"))
    assert accepts(pbx, "1001", "CANARY-sip-1001-7f3") == 200
    pbx.sql(SHA256_TOO)
    assert all(line.ok for line in await connector.check())
    await connector.close()


async def test_the_wrong_way_leaves_the_old_password_working(pbx: Pbx) -> None:
    """91-realtime-live.txt: the reason why all three columns are written at once."""
    pbx.sql("update ps_auths set password = 'new' where id = '1007'")
    assert accepts(pbx, "1007", "CANARY-sip-1007-7f3") == 200
    assert accepts(pbx, "1007", "new") == 401


async def test_both_devices_take_a_new_password(pbx: Pbx, opened: AsteriskConnector) -> None:
    done = await opened.reset("1020", SecretKind.SIP, Secret("Kx7mQ2vTz9LpR4wNc8Hd"))
    assert accepts(pbx, "1020", "Kx7mQ2vTz9LpR4wNc8Hd") == accepts(pbx, "1020-mobile", "Kx7mQ2vTz9LpR4wNc8Hd") == 200
    assert "2 devices" in " ".join(done.notes)


async def test_an_account_whose_password_entry_has_another_name(pbx: Pbx, opened: AsteriskConnector) -> None:
    pbx.sql("update ps_auths set id = 'auth-of-grace' where id = '1001'")
    pbx.sql("update ps_endpoints set auth = 'auth-of-grace' where id = '1001'")
    await opened.reset("1001", SecretKind.SIP, Secret("Kx7mQ2vTz9LpR4wNc8Hd"))
    assert accepts(pbx, "1001", "Kx7mQ2vTz9LpR4wNc8Hd") == 200


async def test_voicemail_pin_of_the_mailbox_that_is_named(pbx: Pbx, opened: AsteriskConnector) -> None:
    rules = await opened.secret_rules("alice.wong", SecretKind.VOICEMAIL)
    assert "in clear" in rules.stored
    await opened.reset("alice.wong", SecretKind.VOICEMAIL, Secret("918273"))
    assert pbx.sql("select password from voicemail where mailbox = '1019'") == [("918273",)]
    assert pbx.sql("select count(*) from voicemail where password = '918273'") == [(1,)]


async def test_with_a_cache_a_reset_says_what_to_do(pbx: Pbx) -> None:
    connector = await pbx.connect(sorcery_cache="operator-expires")
    done = await connector.reset("1001", SecretKind.SIP, Secret("Kx7mQ2vTz9LpR4wNc8Hd"))
    assert "sorcery memory cache expire" in " ".join(done.notes)
    await connector.close()


@pytest.mark.parametrize("column", ["ps_auths.password", "ps_auths.md5_cred", "ps_auths.password_digest",
                                    "ps_auths.refresh_token", "ps_auths.oauth_secret", "voicemail.password",
                                    "voicemail.imappassword"])  # fmt: skip
async def test_one_readable_secret_and_we_do_not_work(pbx: Pbx, column: str) -> None:
    table, name = column.split(".")
    pbx.sql(f"grant select ({name}) on {table} to gateway")
    with pytest.raises(SecretReadable, match=column):
        await pbx.connect()


@pytest.mark.parametrize(
    "grant",
    [
        "grant select on ps_auths to gateway",
        "grant select (md5_cred) on ps_auths to public",
        "create view peek as select password from ps_auths; grant select on peek to gateway",
        "alter table ps_auths owner to gateway",
    ],
)
async def test_ways_around_are_seen(pbx: Pbx, grant: str) -> None:
    pbx.sql(grant)
    with pytest.raises(SecretReadable):
        await pbx.connect()


@pytest.mark.parametrize("right", ["superuser", "createrole", "replication", "bypassrls"])
async def test_a_mighty_role_is_refused(pbx: Pbx, right: str) -> None:
    pbx.sql(f"alter role gateway {right}")
    try:
        with pytest.raises(SecretReadable):
            await pbx.connect()
    finally:
        pbx.sql(f"alter role gateway no{right}")


@pytest.mark.parametrize("role", ["pg_read_all_data", "pg_read_server_files", "owner"])
async def test_membership_counts_although_it_is_not_inherited(pbx: Pbx, role: str) -> None:
    pbx.sql(f"grant {role} to gateway")
    try:
        with pytest.raises(SecretReadable):
            await pbx.connect()
    finally:
        pbx.sql(f"revoke {role} from gateway")


async def test_allowed_to_be_less_than_enforced_it_says_so(pbx: Pbx) -> None:
    assert set((await pbx.connect()).capabilities().secrecy.values()) == {Secrecy.ENFORCED}
    pbx.sql("grant select (password) on voicemail to gateway")
    connector = await pbx.connect(allow_selected=True)
    can = connector.capabilities()
    assert set(can.secrecy.values()) == {Secrecy.SELECTED}
    assert "voicemail.password" in can.secrecy_why
    assert any(not line.ok and line.what == "secrets" for line in await connector.check())
    await connector.close()


async def test_check_of_a_role_as_documented(pbx: Pbx, opened: AsteriskConnector) -> None:
    assert [line.what for line in await opened.check() if not line.ok] == []
    pbx.sql("revoke update (fullname) on voicemail from gateway")
    lines = {line.what: line for line in await opened.check()}
    assert not lines["rights"].ok
    assert "fullname" in lines["rights"].words


async def test_no_canary_in_anything_returned(opened: AsteriskConnector) -> None:
    people = await everyone(opened, 500)
    seen = repr([people, await opened.check(), opened.capabilities()])
    for person in people:
        seen += repr(
            [await opened.view(person.id), await opened.devices(person.id), await opened.plan_removal(person.id)]
        )
    for where, canary in json.loads((VECTORS / "canaries.json").read_text()).items():
        assert canary not in seen, where


async def test_a_person_who_is_gone_between_the_list_and_the_act(pbx: Pbx, opened: AsteriskConnector) -> None:
    page = await opened.people(None, 50)
    person = page.people[0]
    pbx.sql("delete from ps_endpoints where id = %s", person.id)
    acts = (
        opened.view(person.id),
        opened.alter(person.id, Change(name="Anybody"), person),
        opened.plan_removal(person.id),
        opened.remove(person.id, person),
        opened.devices(person.id),
        opened.secret_rules(person.id, SecretKind.SIP),
        opened.reset(person.id, SecretKind.SIP, Secret("a-new-one-of-twenty-x")),
    )
    for act in acts:
        with pytest.raises(NotFound):
            await act
    # The connection is as good as before, and nothing was written for anybody else.
    assert person.id not in [p.id for p in (await opened.people(None, 50)).people]
