"""The connector on a live Asterisk, over its TLS: what it then goes by is asked of its console and by REGISTER.

FRAMEROOM_ASTERISK names its program; skipped aloud without one. The stand-in is compared with it, answer by answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.asterisk_ami.actions import FORMS, GUARD, CallerId, render
from connectors.contract import Change, Secret, SecretKind
from connectors.errors import Conflict, CredentialRefused, IdentityMismatch, NotFound, Refused
from tests.support.ami import site
from tests.support.ami.server import Account, Asterisk
from tests.support.ami.server import running as standing_in
from tests.support.certificates import certificate

from .conftest import Pbx, everyone
from .live import MORE, LivePbx, Wire, files, running

NEW = "Kx7mQ2vTz9LpR4wNc8Hd"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[LivePbx]:
    with running(tmp_path) as made:
        yield made


async def test_everyone_is_who_the_stand_in_says(here: LivePbx, pbx: Pbx) -> None:
    connector, other = await here.connect(), await pbx.connect()
    people = await everyone(connector, 5)
    assert people == await everyone(other, 500)
    assert len(people) == 12
    assert all(line.ok for line in await connector.check()), await connector.check()
    assert {line.what: line.words for line in await connector.check()}["rights"] == "as documented"
    for words in ("TOMÁS", "李", "smith", "john2@example", "2019", "CANARY", "9182001"):
        assert (await connector.find(words, 20)).people == (await other.find(words, 20)).people
    assert await connector.view("2020") == await other.view("2020")
    for who in ("carrier", "2017", "nobody"):
        with pytest.raises(NotFound):
            await connector.view(who)
    await connector.close()
    await other.close()


async def test_another_certificate_or_secret_is_not_taken(here: LivePbx) -> None:
    here.pin = certificate()[0]
    with pytest.raises(IdentityMismatch):
        await here.connect()
    here.pin = here.text("ami.pem")
    with pytest.raises(CredentialRefused):
        await here.connect(login="nobody")


@pytest.mark.parametrize(
    ("one_file", "users"),
    [(False, ("2001", "2005", "2013", "alice.wong", "2020")), (True, ("2001", "2005", "2007", "2008", "2020"))],
)
async def test_a_reset_counts_at_once(here: LivePbx, one_file: bool, users: tuple[str, ...]) -> None:
    connector = await here.connect(one_file=one_file)
    for user in users:
        old = f"CANARY-sip-{user}"
        assert here.live.register(user, old) == 200
        done = await connector.reset(user, SecretKind.SIP, Secret(NEW))
        assert (here.live.register(user, NEW), here.live.register(user, old)) == (200, 401), user
        assert any(note.startswith("proven") for note in done.notes), done.notes
    assert here.live.register("2020-mobile", NEW) == 200, "both devices of one person"
    assert here.live.register("2002", "CANARY-sip-2002") == 200, "nobody else"
    await connector.close()


@pytest.mark.parametrize(
    "beside", ["md5_cred=x", "password_digest=MD5:x\nauth_type=digest", "md5_cred=x\npassword_digest=MD5:x"]
)
async def test_every_form_of_an_old_password_goes_along(tmp_path: Path, beside: str) -> None:
    line = "password=CANARY-sip-2013"
    with running(tmp_path, {"pjsip_more.conf": (line, f"{line}\n{beside}")}) as here:
        connector = await here.connect()
        await connector.reset("2013", SecretKind.SIP, Secret(NEW))
        assert here.live.register("2013", NEW) == 200
        assert here.live.register("2020-mobile", "CANARY-sip-2020-mobile") == 200, "the last in the file before it"
        for gone in ("md5_cred", "password_digest", NEW):
            assert gone not in here.text("pjsip_more.conf").replace(f"password = {NEW}", "").partition("[2014]")[0]
        assert NEW not in here.text("pjsip.conf")
        await connector.close()


async def test_no_line_is_added_where_it_is_not_known_to_which_file(here: LivePbx) -> None:
    connector = await here.connect()
    before = here.text("pjsip.conf")
    for user in ("2007", "2008"):
        with pytest.raises(Refused, match="one_file"):
            await connector.reset(user, SecretKind.SIP, Secret(NEW))
        assert here.live.register(user, f"CANARY-sip-{user}") == 200
    assert here.text("pjsip.conf") == before
    await connector.close()


async def test_a_name_is_on_every_device_and_compared_by_asterisk_itself(here: LivePbx) -> None:
    connector = await here.connect(one_file=True)
    here.edit("pjsip.conf", 'callerid="Grace Okafor" <2001>', "callerid=One <2001>\ncallerid=Two <2001>")
    shown = await connector.view("2001")
    assert (await connector.alter("2001", Change(name="Siobhán Kelly"), shown)).name == "Siobhán Kelly"
    assert here.text("pjsip.conf").count("<2001>") == 1, "a delete takes every line of a name"
    assert '"Siobhán Kelly" <2001>' in here.live.ask("pjsip show endpoint 2001")
    await connector.alter("2020", Change(name="Robert Fletcher"), await connector.view("2020"))
    for device in ("2020", "2020-mobile"):
        assert '"Robert Fletcher" <2020>' in here.live.ask(f"pjsip show endpoint {device}")
    await connector.alter("2014", Change(name="Joan Smith"), await connector.view("2014"))
    assert '"Joan Smith" <2014>' in here.live.ask("pjsip show endpoint 2014"), "of an included file"
    before = here.text("pjsip.conf")
    late = CallerId("2002", '"Somebody Else" <2002>', '"Too Late" <2002>', "one")
    with pytest.raises(Conflict):
        await connector._write([GUARD.render("set-callerids", callerids=(late,))])
    assert here.text("pjsip.conf") == before
    await connector.close()


async def test_a_pin_is_reset_and_the_rest_of_its_line_kept(here: LivePbx) -> None:
    connector = await here.connect(voicemail="rebuilt")
    whats = ("fullname", "email", "pager", "tz", "exists")
    for mailbox in ("2001", "2003", "2005", "2011"):
        before = [here.mailbox(mailbox, what) for what in whats]
        done = await connector.reset(mailbox, SecretKind.VOICEMAIL, Secret("773311"))
        assert "shown as before" in " ".join(done.notes)
        assert here.pin_of(mailbox) == "773311"
        assert [here.mailbox(mailbox, what) for what in whats] == before
    assert here.mailbox("2003", "tz") == "uk"
    assert here.pin_of("2002") == "9182002"
    await connector.close()


async def test_spooled_pins_let_an_address_change_and_stay_as_they_are(tmp_path: Path) -> None:
    box = tmp_path / "spool" / "voicemail" / "default" / "2003"
    box.mkdir(parents=True)
    (box / "secret.conf").write_text("[general]\npassword=445566\n")
    with running(tmp_path, {"voicemail.conf": ("attach=yes", "attach=yes\npasswordlocation=spooldir")}) as here:
        assert here.pin_of("2003") == "445566"
        connector = await here.connect(voicemail="spooldir")
        change = Change(name="Priya Bell", email="bell@example.test")
        after = await connector.alter("2003", change, await connector.view("2003"))
        assert (after.name, after.email) == ("Priya Bell", "bell@example.test")
        assert (here.mailbox("2003", "email"), here.mailbox("2003", "fullname")) == ("bell@example.test", "Priya Bell")
        assert here.pin_of("2003") == "445566"
        await connector.close()


async def test_who_is_removed_is_gone_and_the_others_go_on(here: LivePbx) -> None:
    connector = await here.connect()
    for person in ("2020", "2014", "2005", "2008"):
        await connector.remove(person, await connector.view(person))
        with pytest.raises(NotFound):
            await connector.view(person)
        assert here.live.register(person, f"CANARY-sip-{person}") == 401
        assert "Unable to find object" in here.live.ask(f"pjsip show endpoint {person}")
    assert "8 voicemail users" in here.live.ask("voicemail show users")
    for person in ("2001", "2007", "2013", "alice.wong"):
        assert here.live.register(person, f"CANARY-sip-{person}") == 200
    await connector.close()


async def test_registered_telephones_are_told_where_the_account_may_ask(here: LivePbx) -> None:
    connector = await here.connect(login=MORE)
    assert await connector.devices("2001") == ()
    assert here.live.register("2001", "CANARY-sip-2001", expires=600) == 200
    (device,) = await connector.devices("2001")
    assert device.label.startswith("2001 at 127.0.0.1:")
    await connector.close()
    connector = await here.connect()
    (device,) = await connector.devices("2001")
    assert device.label.startswith("not known")
    await connector.close()


BOX = {"context": "default", "mailbox": "2003"}
EDGE = CallerId("2002", '"Somebody Else" <2002>', '"Too Late" <2002>', "one")
ASKED: list[tuple[str, dict[str, object]]] = [
    ("login", {"login": site.LOGIN, "secret": site.SECRET}), ("endpoints", {}), ("endpoint", {"id": "2001"}),
    ("endpoint", {"id": "carrier"}), ("endpoint", {"id": "nobody"}), ("wizards", {}), ("mailboxes", {}),
    ("mailbox", BOX), ("mailbox", BOX | {"mailbox": "1"}), ("contacts", {}), ("set-callerids", {"callerids": (EDGE,)}),
    ("set-callerids", {"callerids": (CallerId("2002", '"Tomás Álvarez" <2002>', '"T. Á." <2002>', "one"),)}),
    ("set-callerids", {"callerids": (CallerId("2001", "", '"Grace" <2001>', "several"),)}),
    ("set-callerids", {"callerids": (CallerId("nobody", "", '"N" <1>', "none"),)}),
    ("set-secret", {"auths": ("2007", "2005-auth"), "secret": NEW}), ("set-secret", {"auths": ("x",), "secret": NEW}),
    *(("put-secret", {"auth": auth, "forms": forms, "secret": NEW}) for auth in ("2001", "2013") for forms in FORMS),
    ("set-callerids", {"callerids": (CallerId("2013", "", '"J" <2013>', "several"),)}), ("endpoints", {}),
    ("set-mailbox", BOX | {"pin": "773311", "name": "P", "email": "", "pager": "", "options": ("tz=uk",)}),
    ("mailbox", BOX), ("remove-mailbox", BOX), ("remove-mailbox", BOX), ("mailboxes", {}),
    ("remove-accounts", {"endpoints": ("2001", "2020"), "auths": ("2001",), "aors": ("nobody",)}),
    ("remove-accounts", {"endpoints": ("2001", "2020"), "auths": ("2001",), "aors": ("2001", "2020")}),
    ("endpoints", {}), ("endpoint", {"id": "2020-mobile"}),
]  # fmt: skip


async def test_the_stand_in_answers_each_request_of_ours_as_it_does(here: LivePbx) -> None:
    """Byte for byte, one after the other, on the same files: what a write leaves shows in the reads after it."""
    asterisk = Asterisk(files(here.live.sip_port), {site.LOGIN: Account(site.SECRET, site.RIGHTS)})
    async with standing_in(asterisk) as port:
        live, ours = await Wire.to(here.plain), await Wire.to(port)
        for number, (name, values) in enumerate(ASKED):
            request = render(GUARD.render(name, **values), f"t{number}")
            assert await ours.ask(request) == await live.ask(request), (name, values)
        live.close()
        ours.close()
