"""The operations on the captured files, through a real OpenSSH server and the helper."""

from __future__ import annotations

import hashlib
import re

import pytest

from connectors.asterisk_files.connector import AsteriskFilesConnector
from connectors.contract import Change, Person, Secret, SecretKind
from connectors.errors import Conflict, InvalidValue, NotFound, NotSupported, Refused
from tests.support.flat_pbx import CANARIES, CAPTURED, FlatPbx

NEW = "NewSecretOfTheTest23456"


async def everyone(connector: AsteriskFilesConnector, size: int) -> list[Person]:
    found, cursor = list[Person](), None
    while True:
        page = await connector.people(cursor, size)
        assert len(page.people) <= size
        found += page.people
        if (cursor := page.cursor) is None:
            return found


def differences(pbx: FlatPbx) -> dict[str, tuple[list[str], list[str]]]:
    """By file: lines that went, lines that came."""
    found = {}
    for path in CAPTURED.iterdir():
        was, now = path.read_text(encoding="utf-8").splitlines(), pbx.text(path.name).splitlines()
        went, came = [line for line in was if line not in now], [line for line in now if line not in was]
        if was != now:
            found[path.name] = (went, came)
    return found


@pytest.mark.parametrize("size", [1, 19, 20, 21, 500])
async def test_everyone_once_whatever_the_page(opened: AsteriskFilesConnector, size: int) -> None:
    people = await everyone(opened, size)
    assert len(people) == len({p.id for p in people}) == 20
    by_id = {p.id: p for p in people}
    assert "1020-mobile" not in by_id, "one person's two devices are one person"
    assert "itsp" not in by_id, "a trunk is nobody"
    assert by_id["1001"] == Person("1001", "1001", "Grace Okonkwo", "grace.okonkwo@example.test", ("+442079460101",))
    assert by_id["alice.wong"].extension == "1019"
    assert by_id["1013"].name == by_id["1014"].name == "John Smith"
    assert by_id["1017"] == Person("1017", "1017", "Carlos Mendes", "carlos.mendes@example.test", ("+442079460117",))
    assert by_id["1011"].name == "李 小龍"
    assert by_id["1015"].ddis == ()


async def test_find_is_unicode_safe_and_takes_numbers_however_typed(opened: AsteriskFilesConnector) -> None:
    async def ids(words: str) -> list[str]:
        return [p.id for p in (await opened.find(words, 20)).people]

    assert await ids("TOMÁS") == await ids("toma\u0301s álvarez") == ["1002"]
    assert await ids("smith") == ["1013", "1014"]
    assert await ids("+442079460101") == await ids("02079460101") == await ids("020-7946-0101") == ["1001"]
    assert await ids("   ") == await ids("%") == await ids(".*") == []
    assert len((await opened.find("example", 3)).people) == 3


async def test_a_name_changes_on_every_device_and_nothing_else_moves(
    pbx: FlatPbx, opened: AsteriskFilesConnector
) -> None:
    after = await opened.alter("1020", Change(name="Róbert Fletcher"), await opened.view("1020"))
    assert after.name == "Róbert Fletcher"
    assert differences(pbx) == {
        "pjsip.conf": (['callerid="Bob Fletcher" <1020>'] * 2, ['callerid="Róbert Fletcher" <1020>'] * 2),
        "voicemail.conf": (
            ["1020 => 2262791020,Bob Fletcher,bob.fletcher@example.test"],
            ["1020 => 2262791020,Róbert Fletcher,bob.fletcher@example.test"],
        ),
    }
    assert set(pbx.asked()) == {"module reload res_pjsip.so", "module reload app_voicemail.so"}


async def test_a_wizards_user_is_changed_where_it_is_written(pbx: FlatPbx, opened: AsteriskFilesConnector) -> None:
    await opened.alter("1017", Change(name="Carla Mendes"), await opened.view("1017"))
    assert differences(pbx)["pjsip_wizard.conf"] == (
        ["endpoint/callerid = Carlos Mendes <1017>"], ["endpoint/callerid = Carla Mendes <1017>"],
    )  # fmt: skip


async def test_an_included_file_is_changed_where_it_is(pbx: FlatPbx, opened: AsteriskFilesConnector) -> None:
    await opened.alter("1013", Change(name="Jon Smith"), await opened.view("1013"))
    assert "pjsip.conf" not in differences(pbx)
    assert differences(pbx)["pjsip_users.conf"][1] == ['callerid="Jon Smith" <1013>']


async def test_pin_pager_and_options_of_a_mailbox_survive_an_email(
    pbx: FlatPbx, opened: AsteriskFilesConnector
) -> None:
    await opened.alter("1003", Change(name="Priya Rao", email="p.rao@example.test"), await opened.view("1003"))
    await opened.alter("1009", Change(email=None), await opened.view("1009"))
    assert "1003 => 2262791003,Priya Rao,p.rao@example.test,,attach=yes|tz=uk|delete=no\n" in pbx.text("voicemail.conf")
    assert "1009 => 2262791009,Ana Beatriz da Silva,,ana.pager@example.test,attach=no|tz=uk\n" in pbx.text(
        "voicemail.conf"
    )
    assert (await opened.view("1009")).email is None


async def test_a_number_moves_comes_and_goes(pbx: FlatPbx, opened: AsteriskFilesConnector) -> None:
    after = await opened.alter("1005", Change(ddi="+442079460999"), await opened.view("1005"))
    assert after.ddis == ("+442079460999",)
    assert differences(pbx)["extensions.conf"] == (
        ["exten => +442079460105,1,NoOp(DID for Jürgen Weiß)"], ["exten => +442079460999,1,NoOp(DID for Jürgen Weiß)"],
    )  # fmt: skip
    gone = await opened.alter("1005", Change(ddi=None), after)
    assert gone.ddis == ()
    assert "Goto(internal,1005,1)" not in pbx.text("extensions.conf")
    new = await opened.alter("1005", Change(ddi="+442079460105"), gone)
    assert new.ddis == ("+442079460105",)
    assert " same => n,Goto(internal,1020,1)\nexten => +442079460105,1,Goto(internal,1005,1)\n\n[disa]\n" in pbx.text(
        "extensions.conf"
    ), "at the end of the inbound context"


async def test_a_number_that_rings_somebody_else_is_refused(pbx: FlatPbx, opened: AsteriskFilesConnector) -> None:
    with pytest.raises(Refused, match="already rings"):
        await opened.alter("1005", Change(ddi="+442079460101"), await opened.view("1005"))
    pbx.swap("extensions.conf", "Goto(internal,1001,1)", "Dial(PJSIP/1001&PJSIP/1002)")
    with pytest.raises(Refused, match="does more"):
        await opened.alter("1001", Change(ddi=None), await opened.view("1001"))
    pbx.swap("extensions.conf", "NoOp(DID for Priya Raghunathan)", "Queue(support)")
    with pytest.raises(Refused, match="does more"):
        await opened.alter("1003", Change(ddi=None), await opened.view("1003"))


async def test_a_number_with_a_line_that_cannot_be_read_is_not_touched(
    pbx: FlatPbx, opened: AsteriskFilesConnector
) -> None:
    goto = " same => n,Goto(internal,1004,1)"
    pbx.swap("extensions.conf", goto, f"{goto}\n same => n,Dial(PJSIP/1002")
    before = pbx.all_text()
    for number in (None, "+442079460999"):
        with pytest.raises(Refused, match=r"extensions\.conf.*written in a way|written in a way.*extensions\.conf"):
            await opened.alter("1004", Change(ddi=number), await opened.view("1004"))
    assert pbx.all_text() == before
    plan = await opened.plan_removal("1004")
    assert any("+442079460104" in one and "more than ring" in one for one in plan.remains)


async def test_a_person_with_several_numbers_is_shown_them_and_refused(
    pbx: FlatPbx, opened: AsteriskFilesConnector
) -> None:
    pbx.swap("extensions.conf", "[disa]", "exten => +442079460155,1,Goto(internal,1001,1)\n[disa]")
    shown = await opened.view("1001")
    assert shown.ddis == ("+442079460101", "+442079460155")
    with pytest.raises(Refused, match="several numbers"):
        await opened.alter("1001", Change(ddi=None), shown)


async def test_nothing_is_written_when_it_changed_meanwhile(pbx: FlatPbx, opened: AsteriskFilesConnector) -> None:
    shown = await opened.view("1001")
    pbx.swap("voicemail.conf", "grace.okonkwo@", "other@")
    before = pbx.all_text()
    with pytest.raises(Conflict):
        await opened.alter("1001", Change(name="X", email="new@example.test"), shown)
    with pytest.raises(Conflict):
        await opened.remove("1001", Person("1001", "1001", "Somebody Else", None, ()))
    assert pbx.all_text() == before


async def test_a_removal_takes_what_is_the_persons_and_says_what_stays(
    pbx: FlatPbx, opened: AsteriskFilesConnector
) -> None:
    planned = await opened.plan_removal("1002")
    assert differences(pbx) == {}
    assert await opened.remove("1002", await opened.view("1002")) == planned
    assert planned.removed == (
        "the telephone accounts 1002", "the mailbox 1002@default", "the direct numbers +442079460102",
    )  # fmt: skip
    assert any("registrations" in words for words in planned.remains)
    with pytest.raises(NotFound):
        await opened.view("1002")
    went = {name: went for name, (went, came) in differences(pbx).items() if not came}
    assert went["pjsip.conf"] == [
        "; Tomás Álvarez", "[1002](endpoint-internal)", "auth=1002", "aors=1002",
        'callerid="Tomás Álvarez" <1002>', "mailboxes=1002@default", "[1002](auth-userpass)", "username=1002",
        "password=CANARY-sip-1002-7f3", "[1002](aor-single)",
    ]  # fmt: skip
    assert went["voicemail.conf"] == ["1002 => 2262791002,Tomás Álvarez,tomas.alvarez@example.test"]
    assert went["extensions.conf"] == [
        "exten => +442079460102,1,NoOp(DID for Tomás Álvarez)", " same => n,Goto(internal,1002,1)",
    ]  # fmt: skip
    assert len(await everyone(opened, 100)) == 19


@pytest.mark.parametrize("person", ["1005", "1014", "1018", "1020", "alice.wong"])
async def test_every_style_of_person_can_be_removed_and_no_secret_of_theirs_stays(
    pbx: FlatPbx, opened: AsteriskFilesConnector, person: str
) -> None:
    await opened.remove(person, await opened.view(person))
    assert len(await everyone(opened, 100)) == 19
    mine = [value for key, value in CANARIES.items() if key.split(":")[-1] in (person, f"{person}-mobile")]
    assert mine
    assert not [value for value in mine if value in pbx.all_text()]


async def test_what_others_share_stays(pbx: FlatPbx, opened: AsteriskFilesConnector) -> None:
    pbx.swap("pjsip.conf", "mailboxes=1002@default", "mailboxes=1001@default")
    pbx.swap("pjsip.conf", "auth=1002\n", "auth=1001\n")
    removal = await opened.remove("1002", await opened.view("1002"))
    assert "the mailbox, which other people also use" in removal.remains
    assert "a SIP password that other accounts share" in removal.remains
    assert "password=CANARY-sip-1001-7f3" in pbx.text()
    assert "1001 => 2262791001" in pbx.text("voicemail.conf")


def accepts(pbx: FlatPbx, user: str, password: str) -> bool:
    """Whether Asterisk takes this password, from its own files (transcripts 21 and 22): the last value of each key in
    the auth section counts, a digest wins over a password, and auth_type says which of them is looked at."""
    text = pbx.text() + pbx.text("pjsip_users.conf") + pbx.text("pjsip_wizard.conf")
    for section in re.split(r"(?m)^(?=\[)", text):
        values = {
            key.strip().removeprefix("inbound_auth/"): value.split(";")[0].strip()
            for key, eq, value in (line.partition("=") for line in section.splitlines()[1:])
            if eq
        }
        if values.get("username") == user:
            kind = values.get("auth_type", "userpass")
            digest = hashlib.md5(f"{user}:asterisk:{password}".encode(), usedforsecurity=False).hexdigest()
            if "password_digest" in values:
                return values["password_digest"] == f"MD5:{digest}"
            return values.get("md5_cred") == digest if kind == "md5" else values.get("password") == password
    return False


STYLES = ["1001", "1005", "1007", "1008", "1013", "1017", "alice.wong"]


@pytest.mark.parametrize("person", STYLES)
async def test_a_sip_reset_in_every_style_takes_the_new_and_ends_the_old(
    pbx: FlatPbx, opened: AsteriskFilesConnector, person: str
) -> None:
    old = CANARIES[f"sip:{person}"]
    assert accepts(pbx, person, old)
    rules = await opened.secret_rules(person, SecretKind.SIP)
    assert "digest" in rules.stored
    await opened.reset(person, SecretKind.SIP, Secret(NEW))
    assert accepts(pbx, person, NEW)
    assert not accepts(pbx, person, old)
    assert NEW not in pbx.all_text(), "the phone system gets a digest alone"


async def test_both_devices_take_the_new_password_and_it_is_said(pbx: FlatPbx, opened: AsteriskFilesConnector) -> None:
    done = await opened.reset("1020", SecretKind.SIP, Secret(NEW))
    assert done.notes == ("all 2 devices of this person take the new password",)
    assert accepts(pbx, "1020", NEW)
    assert accepts(pbx, "1020-mobile", NEW)


async def test_a_site_that_wants_its_passwords_in_clear_has_them(pbx: FlatPbx, opened: AsteriskFilesConnector) -> None:
    await opened.close()
    pbx.configure(sip_form="plain")
    answers = pbx.talk({"do": "reset", "id": "1007", "kind": "sip", "secret": NEW})
    assert answers == [{"ok": True, "n": 1}]
    assert accepts(pbx, "1007", NEW)
    assert "md5_cred=1372" not in pbx.text()


async def test_a_pin_is_replaced_and_its_mark_and_options_stay(pbx: FlatPbx, opened: AsteriskFilesConnector) -> None:
    pbx.swap("voicemail.conf", "1003 => 2262791003", "1003 => -2262791003")
    await opened.reset("1003", SecretKind.VOICEMAIL, Secret("493817"))
    assert "1003 => -493817,Priya Raghunathan,priya.r@example.test,,attach=yes|tz=uk|delete=no\n" in pbx.text(
        "voicemail.conf"
    )
    assert pbx.asked() == ["module reload app_voicemail.so"]


async def test_a_pin_in_the_spool_is_replaced_there(pbx: FlatPbx, opened: AsteriskFilesConnector) -> None:
    pbx.swap("voicemail.conf", "[general]\n", "[general]\npasswordlocation=spooldir\n")
    kept = pbx.folder / "spool" / "voicemail" / "default" / "1001" / "secret.conf"
    kept.parent.mkdir(parents=True)
    kept.write_text(";!\n;! Automatically generated\n;!\n\n[general]\npassword = 2262791001\n")
    await opened.reset("1001", SecretKind.VOICEMAIL, Secret("493817"))
    assert kept.read_text() == ";!\n;! Automatically generated\n;!\n\n[general]\npassword = 493817\n"
    assert "1001 => 2262791001" in pbx.text("voicemail.conf")


async def test_a_password_that_others_depend_on_is_not_reset(pbx: FlatPbx, opened: AsteriskFilesConnector) -> None:
    pbx.swap("pjsip.conf", "auth=1002\n", "auth=1001\n")
    pbx.swap("pjsip.conf", "[auth-userpass](!)\n", "[shared](!)\ntype=auth\npassword=x\n[auth-userpass](!)\n")
    pbx.swap("pjsip.conf", "[1009](auth-userpass)", "[1009](auth-userpass,shared)")
    before = pbx.all_text()
    for person in ("1001", "1002"):
        with pytest.raises(Refused, match="shared"):
            await opened.reset(person, SecretKind.SIP, Secret(NEW))
    with pytest.raises(Refused, match="template"):
        await opened.secret_rules("1009", SecretKind.SIP)
    with pytest.raises(NotSupported):
        await opened.secret_rules("1001", SecretKind.PORTAL)
    assert pbx.all_text() == before


@pytest.mark.parametrize(
    "name", ['a"b', "a\\b", "a<1>", "a\nb", "a\r\nb", "a;b", "a,b", "a|b", "a\x1b[2J", "", " a", "x" * 61, "a\u202eb"]
)
async def test_names_that_would_break_a_file_are_never_sent(opened: AsteriskFilesConnector, name: str) -> None:
    with pytest.raises(InvalidValue):
        await opened.alter("1001", Change(name=name), await opened.view("1001"))


@pytest.mark.parametrize("email", ["nobody", "a@b", "a b@c.d", "a@b.c,d@e.f", "a@b.c|d@e.f", "a@b.c;x", "a@b.c\nB: x"])
async def test_emails_that_would_break_a_file_are_never_sent(opened: AsteriskFilesConnector, email: str) -> None:
    with pytest.raises(InvalidValue):
        await opened.alter("1001", Change(email=email), await opened.view("1001"))


async def test_registered_telephones_are_told_without_what_else_a_contact_says(
    opened: AsteriskFilesConnector,
) -> None:
    assert [device.label for device in await opened.devices("1001")] == ["1001 at 127.0.0.1:34442"]
    assert await opened.devices("1002") == ()


async def test_a_person_without_a_mailbox_has_no_email_and_no_pin(pbx: FlatPbx, opened: AsteriskFilesConnector) -> None:
    pbx.write("voicemail.conf", re.sub(r"(?m)^1001 =>.*\n", "", pbx.text("voicemail.conf")))
    shown = await opened.view("1001")
    assert shown.email is None
    with pytest.raises(Refused, match="no mailbox"):
        await opened.alter("1001", Change(email="g@example.test"), shown)
    with pytest.raises(Refused, match="no mailbox"):
        await opened.secret_rules("1001", SecretKind.VOICEMAIL)
