"""The operations on the stand-in: what changes, what stays, and what is said instead of done."""

from __future__ import annotations

import pytest

from connectors.asterisk_ami.connector import AmiConnector
from connectors.contract import Change, Operation, Person, Secrecy, Secret, SecretKind
from connectors.errors import Conflict, InvalidValue, NotFound, NotSupported, Refused
from tests.support.ami.site import account

from .conftest import Pbx, everyone, line

NEW = "Kx7mQ2vTz9LpR4wNc8Hd"
CANARIES = ("CANARY-", "9182001", "9182003", "9182020")


@pytest.mark.parametrize("size", [1, 11, 12, 13, 500])
async def test_everyone_once_whatever_the_page(opened: AmiConnector, size: int) -> None:
    people = await everyone(opened, size)
    assert [p.id for p in people][:3] == ["2001", "2002", "2003"], "in the order of the file"
    by_id = {p.id: p for p in people}
    assert len(people) == len(by_id) == 12
    assert "2020-mobile" not in by_id, "one person's two devices are one person"
    assert not {"carrier", "2017"} & set(by_id), "no trunk, and nobody of the wizard's"
    assert by_id["2001"] == Person("2001", "2001", "Grace Okafor", "grace@example.test", None)
    assert (by_id["alice.wong"].extension, by_id["alice.wong"].email) == ("2019", "alice@example.test")
    assert by_id["2012"].name == "ליאת כהן"
    assert [by_id[i].name for i in ("2013", "2014")] == ["John Smith"] * 2, "of an included file"


async def test_a_page_goes_on_where_the_last_one_ended_whatever_came_between(pbx: Pbx, opened: AmiConnector) -> None:
    page = await opened.people(None, 5)
    shown = await opened.view("2014")
    await opened.remove("2014", shown)
    rest = await opened.people(page.cursor, 500)
    assert [p.id for p in (*page.people, *rest.people)] == [p.id for p in await everyone(opened, 500)]
    page = await opened.people(None, 5)
    await opened.remove(page.people[-1].id, page.people[-1])
    with pytest.raises(Conflict, match="gone"):
        await opened.people(page.cursor, 500)
    assert len(await everyone(opened, 4)) == 10


async def test_a_large_directory_comes_whole_whatever_the_page(pbx: Pbx, opened: AmiConnector) -> None:
    """So large that most of it is kept packed between pages."""
    pbx.asterisk.files["pjsip_more.conf"] = "".join(
        account(f"x{n}", f'"Person {n}" <{n}>', f"{n}@default") for n in range(3000)
    )
    pbx.asterisk.__post_init__()
    wanted = [*(p.id for p in (await opened.people(None, 10)).people), *(f"x{n}" for n in range(3000))]
    for size in (7, 499, 500):
        assert [p.id for p in await everyone(opened, size)] == wanted
    first = await opened.people(None, 500)
    assert (await opened.view("x2999")).name == "Person 2999", "another question in between"
    assert (await opened.people(first.cursor, 500)).people[0].id == wanted[500]


async def test_find_is_unicode_and_wildcard_safe(opened: AmiConnector) -> None:
    async def ids(words: str) -> list[str]:
        return [p.id for p in (await opened.find(words, 20)).people]

    assert await ids("TOMÁS") == await ids("toma\u0301s álvarez") == ["2002"]
    assert await ids("李") == ["2011"]
    assert await ids("smith") == ["2013", "2014"]
    assert await ids("john2@example") == ["2014"], "addresses are searched, too"
    assert await ids("2019") == ["alice.wong"]
    assert await ids("fletcher") == ["2020"]
    for wild in ("%", "_", "1_01", ".*", "\\", "<", '"', "CANARY", "9182001"):
        assert await ids(wild) == []
    assert await ids("   ") == []
    assert len((await opened.find("example", 3)).people) == 3


async def test_contexts_keep_telephones_that_are_nobodys_out(pbx: Pbx) -> None:
    connector = await pbx.connect(user_contexts=["elsewhere"])
    assert await everyone(connector, 500) == []
    with pytest.raises(NotFound):
        await connector.view("2001")
    await connector.close()


@pytest.mark.parametrize("who", ["carrier", "2017", "nobody", "2020x"])
async def test_nobody_there(opened: AmiConnector, who: str) -> None:
    with pytest.raises(NotFound):
        await opened.view(who)


async def test_a_name_changes_on_every_device_and_the_mailbox_keeps_its_own(pbx: Pbx, opened: AmiConnector) -> None:
    after = await opened.alter("2020", Change(name="Robert Fletcher"), await opened.view("2020"))
    assert after.name == "Robert Fletcher"
    for device in ("2020", "2020-mobile"):
        section = pbx.asterisk.section(device, "endpoint")
        assert section is not None
        assert section.last("callerid") == '"Robert Fletcher" <2020>'
    assert line(pbx, "2020") == "9182020,Bob Fletcher,bob@example.test"
    assert "mailbox name" in opened.capabilities().cannot


async def test_a_caller_id_that_is_missing_or_doubled(pbx: Pbx) -> None:
    opened = await pbx.connect(one_file=True)
    pbx.asterisk.set("2001", "endpoint", "callerid")
    shown = await opened.view("2001")
    assert shown.name == "Grace Okafor", "of the mailbox"
    assert (await opened.alter("2001", Change(name="Grace Bell"), shown)).name == "Grace Bell"
    pbx.asterisk.set("2001", "endpoint", "callerid", '"Grace First" <2001>', '"Grace Last" <2001>')
    await opened.alter("2001", Change(name="Grace Once"), await opened.view("2001"))
    last = pbx.asterisk.section("2001", "endpoint")
    assert last is not None
    assert [one.value for one in last.lines if one.name == "callerid"] == ['"Grace Once" <2001>']
    await opened.close()


async def test_nothing_is_written_when_it_changed_meanwhile(pbx: Pbx, opened: AmiConnector) -> None:
    shown = await opened.view("2001")
    pbx.asterisk.set("2001", "endpoint", "callerid", '"Grace Else" <2001>')
    with pytest.raises(Conflict):
        await opened.alter("2001", Change(name="Grace Bell"), shown)
    assert not pbx.asked("UpdateConfig")


async def test_asterisk_itself_compares_at_the_moment_of_writing(pbx: Pbx, opened: AmiConnector) -> None:
    """Somebody writes between our last look and our write."""
    shown = await opened.view("2001")

    def meanwhile(headers: dict[str, str], answer: bytes) -> bytes:
        if headers["Action"] == "VoicemailUserStatus":
            pbx.asterisk.set("2001", "endpoint", "callerid", '"Grace Else" <2001>')
        return answer

    pbx.asterisk.twist = meanwhile
    with pytest.raises(Conflict):
        await opened.alter("2001", Change(name="Grace Bell"), shown)
    pbx.asterisk.twist = None
    assert (await opened.view("2001")).name == "Grace Else"


@pytest.mark.parametrize("was", ['"Grace \\"G\\" Okafor" <2001>', '#"Grace" <2001>', ">Grace <2001>"])
async def test_a_caller_id_that_cannot_be_sent_is_replaced_without_being_compared(
    pbx: Pbx, opened: AmiConnector, was: str
) -> None:
    pbx.asterisk.set("2001", "endpoint", "callerid", was)
    assert (await opened.alter("2001", Change(name="Grace Bell"), await opened.view("2001"))).name == "Grace Bell"
    assert "Match-000000" not in pbx.asked("UpdateConfig")[0]


@pytest.mark.parametrize(
    "name",
    [
        'a"b',
        "a\\b",
        "a<1>",
        "a\nb",
        "a\r\nAction: Command",
        "a\x1b[2J",
        "",
        " a",
        "x" * 90,
        "a;b",
        "#a",
        ">a",
        "a,b",
        "a|b",
    ],
)
async def test_names_that_would_break_a_line(pbx: Pbx, opened: AmiConnector, name: str) -> None:
    with pytest.raises(InvalidValue):
        await opened.alter("2001", Change(name=name), await opened.view("2001"))
    assert not pbx.asked("UpdateConfig")


async def test_what_cannot_be_changed_says_why_and_sends_nothing(pbx: Pbx, opened: AmiConnector) -> None:
    shown = await opened.view("2001")
    with pytest.raises(NotSupported, match="dialplan"):
        await opened.alter("2001", Change(ddi="+442079460199"), shown)
    with pytest.raises(NotSupported, match="PIN"):
        await opened.alter("2001", Change(email="g@example.test"), shown)
    with pytest.raises(NotSupported, match="PIN"):
        await opened.reset("2001", SecretKind.VOICEMAIL, Secret("918273"))
    with pytest.raises(NotSupported):
        await opened.secret_rules("2001", SecretKind.PORTAL)
    assert not pbx.asked("UpdateConfig")
    can = opened.capabilities()
    assert {"ddi", "email", "reset-voicemail", "logins", "diag"} <= set(can.cannot)
    assert Operation.RESET_VOICEMAIL not in can.operations
    assert set(can.secrecy.values()) == {Secrecy.SELECTED}
    assert "FULL CONTROL" in can.secrecy_why


@pytest.mark.parametrize("user", ["2001", "2005", "2007", "2008", "alice.wong"])
async def test_a_new_password_works_and_the_old_does_not(pbx: Pbx, user: str) -> None:
    """Plain passwords, md5_cred and password_digest alike, and a password section of another name."""
    opened = await pbx.connect(one_file=True)
    old = f"CANARY-sip-{user}"
    assert pbx.asterisk.accepts(user, old) == 200
    await opened.reset(user, SecretKind.SIP, Secret(NEW))
    assert (pbx.asterisk.accepts(user, NEW), pbx.asterisk.accepts(user, old)) == (200, 401)
    auth = pbx.asterisk.section("2005-auth" if user == "2005" else user, "auth")
    assert auth is not None
    kept = {one.name: one.value for one in auth.lines}
    assert not {"md5_cred", "password_digest"} & set(kept)
    assert (kept["auth_type"], kept["username"]) == ("userpass", user)
    await opened.close()


async def test_a_reset_done_again_leaves_one_line_of_each(pbx: Pbx) -> None:
    opened = await pbx.connect(one_file=True)
    for new in ("a" * 20, "b" * 20):
        await opened.reset("2008", SecretKind.SIP, Secret(new))
    auth = pbx.asterisk.section("2008", "auth")
    assert auth is not None
    assert [one.value for one in auth.lines if one.name == "password"] == ["b" * 20]
    await opened.close()


async def test_both_devices_take_a_new_password(pbx: Pbx, opened: AmiConnector) -> None:
    done = await opened.reset("2020", SecretKind.SIP, Secret(NEW))
    assert pbx.asterisk.accepts("2020", NEW) == pbx.asterisk.accepts("2020-mobile", NEW) == 200
    assert "2 devices" in " ".join(done.notes)


async def test_more_devices_than_one_request_holds(pbx: Pbx, opened: AmiConnector) -> None:
    for number in range(5):
        pbx.asterisk.files["pjsip_more.conf"] += account(f"2020-{number}", '"Bob Fletcher" <2020>', "2020@default")
    pbx.asterisk.__post_init__()
    await opened.reset("2020", SecretKind.SIP, Secret(NEW))
    assert [pbx.asterisk.accepts(f"2020-{n}", NEW) for n in range(5)] == [200] * 5


async def test_the_wrong_way_leaves_the_old_password_working(pbx: Pbx) -> None:
    """22-password-md5-digest-wizard: the reason why every form of it goes in one request."""
    pbx.asterisk.rewrite("pjsip.conf", {
        "Action-000000": "append", "Cat-000000": "2007", "Var-000000": "password", "Value-000000": "new",
        "Options-000000": 'catfilter="type=auth"',
    })  # fmt: skip
    assert (pbx.asterisk.accepts("2007", "CANARY-sip-2007"), pbx.asterisk.accepts("2007", "new")) == (200, 401)


async def test_a_shared_password_or_mailbox_is_not_reset(pbx: Pbx) -> None:
    pbx.asterisk.files["pjsip_more.conf"] += "[2030](phone)\nauth=2001\naors=2030\nmailboxes=2001@default\n"
    pbx.asterisk.__post_init__()
    connector = await pbx.connect(voicemail="rebuilt")
    for kind in (SecretKind.SIP, SecretKind.VOICEMAIL):
        with pytest.raises(Refused):
            await connector.reset("2001", kind, Secret("91827364"))
    removal = await connector.remove("2001", await connector.view("2001"))
    assert any("mailbox" in one and "2030" in one for one in removal.remains)
    assert pbx.asterisk.section("2001", "auth") is not None
    assert pbx.asterisk.section("2001", "endpoint") is None
    assert line(pbx, "2001")
    await connector.close()


@pytest.mark.parametrize("odd", ["a/desk", "o'brien", "x:1", "Zoë.büro", "two words"])
async def test_accounts_of_odd_names(pbx: Pbx, opened: AmiConnector, odd: str) -> None:
    pbx.asterisk.files["pjsip_more.conf"] += account(odd, '"Odd One" <2040>', "2040@default")
    pbx.asterisk.__post_init__()
    shown = await opened.view(odd)
    assert (await opened.alter(odd, Change(name="Even One"), shown)).name == "Even One"
    await opened.reset(odd, SecretKind.SIP, Secret(NEW))
    await opened.remove(odd, await opened.view(odd))
    assert odd not in [p.id for p in await everyone(opened, 500)]


@pytest.mark.parametrize("twin", ["Alice.Wong", "alice.wong"])
async def test_who_bears_anothers_name_but_for_its_case_is_left_alone(
    pbx: Pbx, opened: AmiConnector, twin: str
) -> None:
    """Asterisk finds sections whatever their case: both would be written to."""
    pbx.asterisk.files["pjsip_more.conf"] += account(twin, '"Another One" <2041>', "2041@default")
    pbx.asterisk.__post_init__()
    shown = await opened.view("alice.wong")
    for act in (
        opened.alter("alice.wong", Change(name="Alice Bell"), shown),
        opened.remove("alice.wong", shown),
        opened.reset("alice.wong", SecretKind.SIP, Secret(NEW)),
    ):
        with pytest.raises(Refused, match="case"):
            await act
    assert not pbx.asked("UpdateConfig")


async def test_a_section_that_is_not_there_and_nothing_is_written(pbx: Pbx, opened: AmiConnector) -> None:
    pbx.asterisk.files["pjsip_more.conf"] += (
        '[2031](phone)\nauth=elsewhere\naors=2031\ncallerid="Eve" <2031>\n\n[2031](place)\n'
    )
    pbx.asterisk.__post_init__()
    with pytest.raises(Refused, match="nothing was written"):
        await opened.remove("2031", await opened.view("2031"))
    assert pbx.asterisk.section("2031", "endpoint") is not None


async def test_removal_takes_what_it_said_and_leaves_what_it_said(pbx: Pbx, opened: AmiConnector) -> None:
    shown = await opened.view("2020")
    plan = await opened.plan_removal("2020")
    assert plan == await opened.remove("2020", shown)
    assert any("2020-mobile" in one for one in plan.removed)
    assert any("until they expire" in one for one in plan.remains)
    for name in ("2020", "2020-mobile"):
        for kind in ("endpoint", "auth", "aor"):
            assert pbx.asterisk.section(name, kind) is None
    assert line(pbx, "2020") == ""
    assert pbx.asterisk.box("2020") is None, "loaded, too"
    assert pbx.asterisk.accepts("2020", "CANARY-sip-2020") == 401
    for act in (opened.view("2020"), opened.remove("2020", shown), opened.reset("2020", SecretKind.SIP, Secret(NEW))):
        with pytest.raises(NotFound):
            await act


async def test_someone_else_under_the_same_number_is_not_removed(pbx: Pbx, opened: AmiConnector) -> None:
    shown = await opened.view("2001")
    await opened.alter("2001", Change(name="New Person"), shown)
    with pytest.raises(Conflict):
        await opened.remove("2001", shown)
    assert pbx.asterisk.section("2001", "endpoint") is not None


# --- telephones, rights, what is said ---


async def test_registered_telephones_are_told_only_where_the_account_may_ask(pbx: Pbx, opened: AmiConnector) -> None:
    pbx.asterisk.contacts = [
        ("2020-mobile", "sip:2020:CANARY@x@10.0.0.9:5060;secret=x", 1795471715),
        ("2001", "sip:x@1.2.3.4", 0),
    ]
    (unknown,) = await opened.devices("2020")
    assert unknown.label.startswith("not known")
    pbx.asterisk.accounts["frameroom"].write |= {"system"}
    wider = await pbx.connect()
    assert [(d.label, d.expires_ms) for d in await wider.devices("2020")] == [
        ("2020-mobile at 10.0.0.9:5060", 1795471715000)
    ]
    pbx.asterisk.contacts = []
    assert await wider.devices("2020") == ()
    await wider.close()


async def test_check_says_that_the_account_is_full_control_and_who_is_not_seen(opened: AmiConnector) -> None:
    told = {one.what: one for one in await opened.check()}
    assert [what for what, one in told.items() if not one.ok] == []
    assert "FULL CONTROL" in told["secrets"].words
    assert "GetConfig" in told["secrets"].words
    assert "1 sections of pjsip_wizard.conf" in told["not seen"].words


@pytest.mark.parametrize(
    ("write", "word"), [({"config"}, "VoicemailUsersList"), ({"reporting"}, "UpdateConfig"),
                        ({"config", "reporting", "command"}, "command"),
                        ({"config", "reporting", "originate"}, "originate")],
)  # fmt: skip
async def test_too_few_rights_or_too_many_are_named(pbx: Pbx, write: set[str], word: str) -> None:
    pbx.asterisk.accounts["frameroom"].write = frozenset(write)
    connector = await pbx.connect()
    told = {one.what: one for one in await connector.check()}
    assert not told["rights"].ok
    assert word in told["rights"].words
    await connector.close()


async def test_a_right_that_is_missing_is_a_refusal_in_words(pbx: Pbx) -> None:
    pbx.asterisk.accounts["frameroom"].write = frozenset({"reporting"})
    connector = await pbx.connect()
    with pytest.raises(Refused, match="does not let our account"):
        await connector.people(None, 5)
    await connector.close()


async def test_no_canary_in_anything_returned_and_none_ever_on_the_wire(pbx: Pbx, opened: AmiConnector) -> None:
    sent = bytearray()
    pbx.asterisk.twist = lambda _, answer: sent.extend(answer) or answer  # type: ignore[func-returns-value]
    people = await everyone(opened, 500)
    seen = repr([people, await opened.check(), opened.capabilities(), await opened.find("example", 50)])
    for person in people:
        seen += repr([await opened.devices(person.id), await opened.plan_removal(person.id)])
    await opened.reset("2001", SecretKind.SIP, Secret(NEW))
    for canary in CANARIES:
        assert canary not in seen
        assert canary.encode() not in sent, "not even sent: that is what `selected` means"
    assert NEW.encode() not in sent


async def test_every_request_was_one_of_the_list(pbx: Pbx, opened: AmiConnector) -> None:
    await everyone(opened, 500)
    await opened.check()
    await opened.reset("2001", SecretKind.SIP, Secret(NEW))
    await opened.remove("2002", await opened.view("2002"))
    for headers in pbx.asterisk.heard:
        assert headers["Action"] in {
            "Login", "Ping", "Logoff", "ListCommands", "ListCategories", "GetConfig", "UpdateConfig",
            "VoicemailUsersList", "VoicemailUserStatus", "PJSIPShowContacts",
        }  # fmt: skip
        if headers["Action"] == "GetConfig":
            assert (headers["Filename"], headers["Filter"]) == ("pjsip.conf", "type=endpoint")
    assert pbx.asked("Login")[0]["Events"] == "off"
