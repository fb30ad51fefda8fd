"""Mailboxes on the stand-in: what of a line is written, under which promise, and what is seen without one."""

from __future__ import annotations

import pytest

from connectors.asterisk_ami.connector import AmiConnector
from connectors.contract import Change, Operation, Secret, SecretKind
from connectors.errors import Conflict, InvalidValue, NotSupported, Refused

from .conftest import Pbx, everyone, line


async def test_rebuilt_a_pin_is_reset_and_what_asterisk_shows_is_kept(pbx: Pbx) -> None:
    connector = await pbx.connect(voicemail="rebuilt")
    before = {m: pbx.asterisk.box(m) for m in ("2003", "2005")}
    shown = {m: box.shown() for m, box in before.items() if box}
    for mailbox in before:
        rules = await connector.secret_rules(mailbox, SecretKind.VOICEMAIL)
        assert "in clear" in rules.stored
        done = await connector.reset(mailbox, SecretKind.VOICEMAIL, Secret("773311"))
        assert "shown as before" in " ".join(done.notes)
        assert pbx.asterisk.pin(mailbox) == "773311"
        after = pbx.asterisk.box(mailbox)
        assert after is not None
        assert after.shown() == shown[mailbox]
    assert "tz=uk" in line(pbx, "2003")
    assert "delete=yes" in line(pbx, "2003")
    assert line(pbx, "2005").split(",")[3] == "pager@example.test"
    with pytest.raises(NotSupported):
        await connector.alter("2003", Change(email="p@example.test"), await connector.view("2003"))
    assert Operation.RESET_VOICEMAIL in connector.capabilities().operations
    await connector.close()


async def test_a_mailbox_that_cannot_be_written_back_is_left(pbx: Pbx) -> None:
    pbx.asterisk.again("voicemail.conf", "attach=yes", "attach=yes\nfromstring=The PBX, upstairs")
    connector = await pbx.connect(voicemail="rebuilt")
    with pytest.raises(Refused, match="nothing was written"):
        await connector.reset("2001", SecretKind.VOICEMAIL, Secret("773311"))
    assert pbx.asterisk.pin("2001") == "9182001"
    await connector.close()


async def test_spooled_pins_let_an_address_change_and_stay_as_they_are(pbx: Pbx) -> None:
    pbx.asterisk.again("voicemail.conf", "attach=yes", "attach=yes\npasswordlocation=spooldir")
    pbx.asterisk.spool = {("default", "2003"): "445566"}
    connector = await pbx.connect(voicemail="spooldir")
    shown = await connector.view("2003")
    after = await connector.alter("2003", Change(name="Priya Bell", email="bell@example.test"), shown)
    assert (after.name, after.email) == ("Priya Bell", "bell@example.test")
    assert pbx.asterisk.pin("2003") == "445566"
    assert line(pbx, "2003").startswith("-,Priya Bell,bell@example.test,,")
    assert "tz=uk" in line(pbx, "2003")
    assert (await connector.alter("2003", Change(email=None), after)).email is None
    with pytest.raises(Conflict):
        await connector.alter("2003", Change(email="x@example.test"), after)
    for email in ("nobody", "a@b", "a b@c.de", "a@b.cd,e", "a@b.cd\r\nX: y", "a@b.cd|x=y", "a@b.cd;"):
        with pytest.raises(InvalidValue):
            await connector.alter("2001", Change(email=email), await connector.view("2001"))
    with pytest.raises(NotSupported):
        await connector.reset("2003", SecretKind.VOICEMAIL, Secret("773311"))
    await connector.close()


async def test_voicemail_in_a_database_shows_nobodys_address_and_check_says_so(pbx: Pbx, opened: AmiConnector) -> None:
    pbx.asterisk.files["voicemail.conf"] = "[general]\nformat=wav\n"
    pbx.asterisk.__post_init__()
    assert {p.email for p in await everyone(opened, 500)} == {None}
    assert [p.id for p in (await opened.find("grace", 5)).people] == ["2001"]
    told = {one.what: one for one in await opened.check()}
    assert not told["mailboxes"].ok
    removal = await opened.plan_removal("2001")
    assert any("not in voicemail.conf" in one for one in removal.remains)
