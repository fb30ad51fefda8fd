"""Accounts in a file that pjsip.conf includes: Asterisk adds no line there, so what stands there is changed."""

from __future__ import annotations

import pytest

from connectors.asterisk_ami.connector import AmiConnector
from connectors.contract import Change, Secret, SecretKind
from connectors.errors import Refused

from .conftest import Pbx

NEW = "Kx7mQ2vTz9LpR4wNc8Hd"


@pytest.mark.parametrize(
    "beside", ["", "md5_cred=x", "password_digest=MD5:x\nauth_type=digest", "md5_cred=x\npassword_digest=MD5:x"]
)
async def test_a_password_in_a_file_that_is_included_is_changed_where_it_stands(pbx: Pbx, beside: str) -> None:
    """And every form of the old one goes along; a line that is added would go to another file, and section."""
    line = "password=CANARY-sip-2013"
    pbx.asterisk.again("pjsip_more.conf", line, f"{line}\n{beside}")
    connector = await pbx.connect()
    await connector.reset("2013", SecretKind.SIP, Secret(NEW))
    assert pbx.asterisk.accepts("2013", NEW) == 200
    assert pbx.asterisk.accepts("2020-mobile", "CANARY-sip-2020-mobile") == 200
    auth, last = pbx.asterisk.section("2013", "auth"), pbx.asterisk.section("2020-mobile", "aor")
    assert auth is not None
    assert last is not None
    assert {one.name for one in auth.lines} == {"type", "auth_type", "username", "password"}
    assert {one.name for one in last.lines} == {"type", "max_contacts"}, "the last section before the include"
    await connector.close()


async def test_no_line_is_added_where_it_is_not_known_to_which_file(pbx: Pbx, opened: AmiConnector) -> None:
    for user in ("2007", "2008"):
        with pytest.raises(Refused, match="one_file"):
            await opened.reset(user, SecretKind.SIP, Secret(NEW))
        assert pbx.asterisk.accepts(user, f"CANARY-sip-{user}") == 200
    for lines in ((), ('"Grace First" <2001>', '"Grace Last" <2001>')):
        pbx.asterisk.set("2001", "endpoint", "callerid", *lines)
        before = len(pbx.asked("UpdateConfig"))
        with pytest.raises(Refused, match="one_file"):
            await opened.alter("2001", Change(name="Grace Bell"), await opened.view("2001"))
        assert len(pbx.asked("UpdateConfig")) == before
