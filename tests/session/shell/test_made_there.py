"""A reset where the phone system makes the new password and mails it itself: a whole visit, on a 3CX's stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connectors.contract import Credential, SecretKind, Target
from connectors.errors import NotFound
from connectors.tcx.connector import TcxFamily
from connectors.tcx.settings import TcxSettings
from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.session.frozen import Frozen
from tests.support.tcx.pbx import CLIENT, KEY, Pbx, Reply
from tests.support.tcx.server import Server, running

TCX = "Depot"
OPERATIONS = "find,view,alter,reset-voicemail,reset-sip,reset-portal"
GRACE = "grace@customer.example"


@pytest.fixture
async def depot(demo: Demo, tmp_path: Path) -> AsyncIterator[Server]:
    """A second phone system, and a permission for it."""
    pbx = Pbx(make=lambda field: f"CANARY-new-{field}")
    pbx.add(7, "201", "Grace", "Okonkwo", GRACE, ["442079460123"])
    pbx.users[7] |= {"VMPIN": "CANARY-old-pin", "AuthPassword": "CANARY-old-sip", "AccessPassword": "CANARY-old-web"}
    pbx.add(8, "202", "Sam", "Elsewhere", "sam@elsewhere.example")
    (tmp_path / "3cx").mkdir()
    async with running(pbx, tmp_path / "3cx") as server:
        terms = {"operations": OPERATIONS.split(","), "mail_domains": ["customer.example"], "consent_by_phone": True}
        await demo.admin("agreement set", customer=CUSTOMER, terms=terms)
        await demo.admin("agreement confirm", customer=CUSTOMER, by="Kate Brook", how="letter")
        await demo.admin(
            "system add", customer=CUSTOMER, name=TCX, connector="3cx", host="127.0.0.1", port=server.port,
            pin=server.pem, login=CLIENT, password=KEY, private_key=None, settings="{}", site="", town="", postcode="",
            asset="", ddi_range="",
        )  # fmt: skip
        await permit(demo, OPERATIONS, system=TCX)
        yield server


async def confirmed(demo: Demo, ssh: Master) -> None:
    """The customer vouches for Grace's address, once it was seen."""
    assert (await ssh.run(f"show 201 --system {TCX}")).code == 0
    await demo.admin(
        "system confirm-address", system=TCX, user="u7", email=GRACE, by="Kate Brook", recorded_by="Tom Hill", words=""
    )


async def test_the_words_say_that_the_phone_system_mails_it_and_nothing_of_ours_was_made(
    demo: Demo, ssh: Master, depot: Server
) -> None:
    await confirmed(demo, ssh)
    done = await ssh.run(f"reset 201 voicemail --yes --system {TCX}")
    assert done.code == 0, done.err
    assert "The phone system makes the new one and mails it to the user" in done.err
    assert "A link" not in done.err
    assert "the phone system mails it to" in done.out
    assert depot.pbx.users[7]["VMPIN"] == "CANARY-new-VMPIN"
    assert depot.pbx.users[7]["AuthPassword"] == "CANARY-old-sip"
    assert depot.pbx.mails == [(GRACE, "CANARY-new-VMPIN")]
    listed = await ssh.run("changes --json")
    assert "reset voicemail" in listed.out
    told = repr(await demo.admin("audit search", why="t", customer=CUSTOMER, kinds=["secret.issued"]))
    assert "secret.issued" in told
    assert "CANARY" not in done.out + done.err + told
    assert "/s/" not in str(demo.mails.caught)


async def test_an_address_that_is_not_known_to_be_right_gets_nothing_mailed(
    demo: Demo, ssh: Master, depot: Server
) -> None:
    """What holds before we mail holds before the phone system is told to; an approver cannot stand in."""
    for user in ("201", "202"):
        refused = await ssh.run(f"reset {user} portal --yes --system {TCX}")
        assert refused.code == 3, refused.err
        assert "mails them to the user's own address" in refused.err
        assert "confirms the address first" in refused.err
    assert depot.pbx.mails == []
    assert depot.pbx.users[7]["AccessPassword"] == "CANARY-old-web"


async def test_an_address_that_changes_after_the_question_gets_nothing_mailed(
    demo: Demo, ssh: Master, depot: Server
) -> None:
    await confirmed(demo, ssh)
    depot.pbx.users[7]["EmailAddress"] = "mallory@customer.example"
    refused = await ssh.run(f"reset 201 portal --yes --system {TCX}")
    assert refused.code != 0
    assert depot.pbx.mails == []


async def test_a_form_that_the_customer_asks_for_cannot_be_promised(demo: Demo, ssh: Master, depot: Server) -> None:
    await confirmed(demo, ssh)
    terms = {
        "operations": OPERATIONS.split(","), "mail_domains": ["customer.example"], "consent_by_phone": True,
        "secret_lengths": {"voicemail": 8},
    }  # fmt: skip
    await demo.admin("agreement set", customer=CUSTOMER, terms=terms)
    await demo.admin("agreement confirm", customer=CUSTOMER, by="Kate Brook", how="letter")
    await permit(demo, OPERATIONS, system=TCX)
    refused = await ssh.run(f"reset 201 voicemail --yes --system {TCX}")
    assert refused.code == 3, refused.err
    assert "makes its own" in refused.err
    assert depot.pbx.mails == []


async def test_an_answer_that_is_lost_is_an_unknown_outcome_and_is_not_repeated(
    demo: Demo, ssh: Master, depot: Server
) -> None:
    await confirmed(demo, ssh)
    depot.pbx.failing["POST Users(7)/Pbx.Regenerate"] = Reply(502)
    unknown = await ssh.run(f"reset 201 voicemail --yes --system {TCX}")
    assert unknown.code == 5, unknown.err
    assert len(depot.pbx.mails) == 1


async def test_telephones_drop_after_a_new_telephone_password_here_too(demo: Demo, ssh: Master, depot: Server) -> None:
    await confirmed(demo, ssh)
    depot.pbx.users[7]["IsRegistered"] = True
    refused = await ssh.run(f"reset 201 sip --yes --system {TCX}")
    assert refused.code == 2
    assert "Registered now" in refused.err
    assert depot.pbx.mails == []
    assert (await ssh.run(f"reset 201 sip --yes --phones-will-drop --system {TCX}")).code == 0
    assert depot.pbx.users[7]["AuthPassword"] == "CANARY-new-AuthPassword"


async def test_a_restricted_person_is_not_there_for_a_phone_systems_own_reset_either(tmp_path: Path) -> None:
    pbx = Pbx()
    pbx.add(7, "201", "Grace", "Okonkwo", GRACE)
    async with running(pbx, tmp_path) as server:

        async def unseal() -> Credential:
            return Credential(CLIENT, KEY)

        inner = await TcxFamily().connect(Target("s", "127.0.0.1", server.port, server.pem, TcxSettings()), unseal)
        for hidden, mails in ((True, 0), (False, 1)):
            frozen = Frozen(inner, lambda _, hidden=hidden: hidden, lambda: False)  # type: ignore[misc]
            if hidden:
                with pytest.raises(NotFound):
                    await frozen.renew("u7", SecretKind.SIP, GRACE)
            else:
                await frozen.renew("u7", SecretKind.SIP, GRACE)
            assert len(pbx.mails) == mails
        await inner.close()
