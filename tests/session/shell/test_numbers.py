"""Direct numbers: as the customer writes them where a person reads them, E.164 for programs and the phone system."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import update

from gateway.cli.demo import Demo, permit
from gateway.cli.story import Master
from gateway.store.tables import systems
from tests.session.shell.conftest import Send, Sit

EVERYTHING = "find,view,alter,remove"
BERLIN, LONDON, ODD = "+4930123456", "+442079460001", "4711"


@pytest.fixture
async def german(demo: Demo) -> Demo:
    """A customer in Berlin, whose Grace has a number there, one in London, and one that is none."""
    await _move(demo, "Europe/Berlin")
    demo.lab.store._people["2001"]["ddis"] = [BERLIN, LONDON, ODD]
    demo.lab.store._people["2002"]["ddis"] = [BERLIN[:-1] + "7"]
    return demo


async def _move(demo: Demo, zone: str) -> None:
    terms = {
        "operations": EVERYTHING.split(","), "mail_domains": ["customer.example"], "consent_by_phone": True,
        "zone": zone,
    }  # fmt: skip
    await demo.admin("agreement set", customer="Brook & Sons", terms=terms)
    await demo.admin("agreement confirm", customer="Brook & Sons", by="Kate Brook", how="letter")


def numbers_of(demo: Demo, extension: str) -> Any:
    """As the phone system has them."""
    return (demo.lab.store.get(extension) or {})["ddis"]


async def test_own_numbers_are_read_without_their_country_and_others_with_it(german: Demo, ssh: Master) -> None:
    await permit(german, EVERYTHING)
    for command in ("show 2001", "find grace okonkwo"):
        assert "030 123456, +44 20 7946 0001, 4711" in (await ssh.run(command)).out
        (row,) = json.loads((await ssh.run(f"{command} --json")).out)
        assert row["ddi"] == f"{BERLIN}, {LONDON}, {ODD}"


async def test_what_is_typed_without_a_country_is_of_the_customers(german: Demo, ssh: Master) -> None:
    await permit(german, EVERYTHING)
    for typed in ("030 123456", "(030) 12 34 56", "+49 30 123456", "'+44 20 7946 0001'"):
        for command in ("show", "find"):
            found = await ssh.run(f"{command} {typed} --json")
            assert [row["extension"] for row in json.loads(found.out)] == ["2001"], (command, typed, found.err)
    assert (await ssh.run("show 020 7946 0001")).code != 0, "of nobody in Germany"
    told = await ssh.run("set 2002 ddi='030 654321' --json")
    assert numbers_of(german, "2002") == ["+4930654321"]
    assert json.loads(told.out)[0]["ddi"] == "+4930654321"
    assert "ddi: 030 123457 → 030 654321" in told.err
    refused = await ssh.run("set 2002 ddi=030-CALL-ME")
    assert refused.code == 2
    assert "Write it like 030 123456 or +4930123456." in refused.err


async def test_plans_lists_and_mails_read_as_the_customer_writes(german: Demo, ssh: Master, send: Send) -> None:
    grant = await permit(german, EVERYTHING)
    file = b"user,ddi\n2002,030 654321\n"
    assert "ddi from 030 123457 to 030 654321" in (await send("apply - --plan", file)).out
    planned = json.loads((await send("apply - --plan --json", file)).out)
    assert planned[0]["changes"] == "ddi from +4930123457 to +4930654321"
    ran = json.loads((await send("apply - --yes --json", file)).out)
    assert ran[0]["about"] == "ddi from +4930123457 to +4930654321"
    await ssh.run("set 2002 ddi=+442079460900")
    changed = (await ssh.run("changes")).out
    assert "ddi: 030 654321" in changed
    assert "ddi: +44 20 7946 0900" in changed
    listed = json.loads((await ssh.run("changes --json")).out)
    assert (listed[1]["from"], listed[1]["to"]) == ("ddi: +4930654321", "ddi: +442079460900")
    assert "ddi: +44 20 7946 0900 → 030 654321" in (await ssh.run("undo 2 --yes")).err
    assert numbers_of(german, "2002") == ["+4930654321"]
    told = await german.mails.wait_for("ddi from 030 654321 to +44 20 7946 0900")
    assert "+4930654321" not in told
    await german.admin("grant revoke", grant=grant, reason="enough")
    closing = await german.mails.wait_for("left Head office")
    assert "ddi from 030 654321 to +44 20 7946 0900" in closing


async def test_the_question_on_a_terminal_reads_so_too(german: Demo, sit: Sit) -> None:
    await permit(german, EVERYTHING)
    async with sit() as terminal:
        await terminal.line("use 'Head office'")
        asked = await terminal.line("set 2002 ddi='030 654321'", "[y/N] ")
        assert "ddi: 030 123457 → 030 654321" in asked


async def test_a_customer_here_reads_the_same_number_at_home(demo: Demo, ssh: Master) -> None:
    demo.lab.store._people["2001"]["ddis"] = [BERLIN, LONDON, ODD]
    await permit(demo, EVERYTHING)
    assert "+49 30 123456, 020 7946 0001, 4711" in (await ssh.run("show 2001")).out
    (row,) = json.loads((await ssh.run("show 2001 --json")).out)
    assert row["ddi"] == f"{BERLIN}, {LONDON}, {ODD}"


async def test_a_new_agreement_moves_the_country_of_a_visit_that_goes_on(demo: Demo, ssh: Master) -> None:
    demo.lab.store._people["2001"]["ddis"] = [BERLIN]
    await permit(demo, EVERYTHING)
    assert "+49 30 123456" in (await ssh.run("show 2001")).out
    await _move(demo, "Europe/Berlin")
    shown = (await ssh.run("show 2001")).out
    assert "030 123456" in shown
    assert "+49" not in shown


async def test_a_phone_system_is_found_by_a_number_of_its_range_in_its_own_country(demo: Demo, ssh: Master) -> None:
    async with demo.app.parts.store.everyone() as scope:
        await scope.execute(update(systems).values(ddi_range="+4930123400-99"))
    assert "Head office" not in (await ssh.run("systems 030 123456")).out
    await _move(demo, "Europe/Berlin")
    assert "Head office" in (await ssh.run("systems 030 123456")).out
    assert "Head office" not in (await ssh.run("systems 030 123556")).out
    await permit(demo, EVERYTHING)
    assert "Grace" in (await ssh.run("show 2001 --system '030 123456'")).out
