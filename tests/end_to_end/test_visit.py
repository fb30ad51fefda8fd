"""The first visit, by a real ssh client, and what an engineer who wants more gets instead."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master

ROOT = Path(__file__).parents[2]
EVERYTHING = "find,view,alter,remove,reset-voicemail,reset-sip,diag"


def test_story_1_plays_by_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", "demo", "--story", "1"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 10


async def test_exit_codes(demo: Demo, ssh: Master) -> None:
    assert (await ssh.run("show 2001")).code == 3
    await permit(demo, "find,view,alter,diag")
    assert (await ssh.run("show 2001")).code == 0
    assert (await ssh.run("nonsense")).code == 2
    assert (await ssh.run("show")).code == 2
    assert (await ssh.run("show 9999")).code == 2
    assert (await ssh.run("set 2001 email=me@evil.example")).code == 3
    assert (await ssh.run("set 2001 ddi=020-CALL-ME")).code == 2
    assert (await ssh.run("set 2001 email=nobody")).code == 2
    assert (await ssh.run("remove 2001 --yes")).code == 3
    assert (await ssh.run("users")).code == 3
    demo.lab.faults.add("refuse")
    assert (await ssh.run("set 2001 name=Grace")).code == 4
    demo.lab.faults.clear()
    demo.lab.faults.add("close-after-write")
    assert (await ssh.run("set 2001 name=Graceful")).code == 5
    demo.lab.faults.clear()
    assert "Graceful" in (await ssh.run("show 2001")).out
    report = await demo.admin("audit verify")
    assert report["ok"], report["faults"]


async def test_json_and_ambiguity(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    found = await ssh.run("find smith --json")
    assert [p["extension"] for p in json.loads(found.out)] == ["2013", "2014"]
    two = await ssh.run("show smith")
    assert two.code == 2
    assert "2013  John Smith" in two.err
    assert "2014  John Smith" in two.err
    assert two.out == ""
    by_number = await ssh.run("show '020 7946 0000' --json")
    assert json.loads(by_number.out)[0]["extension"] == "2001"


async def test_remove_asks_and_removes(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    unasked = await ssh.run("remove 2003")
    assert unasked.code == 2
    assert "--yes" in unasked.err
    assert demo.lab.store.get("2003") is not None
    assert (await ssh.run("remove 2003 --yes")).code == 0
    assert demo.lab.store.get("2003") is None


async def test_2_a_revoked_grant_ends_the_visit_and_nothing_starts_after(demo: Demo, ssh: Master) -> None:
    grant = await permit(demo, EVERYTHING)
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    await demo.admin("grant revoke", grant=grant, reason="enough")
    await visit.over.wait()
    assert (await ssh.run("show 2001")).code == 3
    assert "The permission of Ana Silva" in await demo.mails.wait_for("was ended on")
    summary = await demo.mails.wait_for("What was done")
    assert "1 person was seen" in summary


async def test_an_engineer_switched_off_is_out(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    await demo.admin("engineer enable", login="ana", enabled=False)
    await visit.over.wait()
    assert (await ssh.run("show 2001")).code != 0


async def test_1_no_recording_no_session(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    demo.app.recorder.broken = "No space left on device"
    refused = await ssh.run("show 2001")
    assert refused.code == 1
    assert "No recording, no session" in refused.err
    assert "Grace" not in refused.out
    assert await demo.admin("session list") == []


async def test_9_a_yes_by_telephone_only_where_agreed_and_labelled(demo: Demo) -> None:
    await permit(demo, "view")
    (grant,) = await demo.admin("grant list")
    assert grant["how"] == "by telephone, recorded by the demo"
    terms = {"operations": ["view"], "mail_domains": ["customer.example"]}
    await demo.admin("agreement set", customer=CUSTOMER, terms=terms)
    await demo.admin("agreement confirm", customer=CUSTOMER, by="Kate", how="letter")
    with pytest.raises(RuntimeError, match="does not allow a yes by telephone"):
        await permit(demo, "view")


async def test_the_company_cannot_approve_for_a_customer(demo: Demo) -> None:
    with pytest.raises(RuntimeError, match="cannot approve"):
        await demo.admin("approver add", customer=CUSTOMER, name="X", email="x@company.example", phone="")


async def test_a_new_agreement_is_closed_until_confirmed(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    terms = {"operations": ["view"], "mail_domains": []}
    await demo.admin("agreement set", customer=CUSTOMER, terms=terms)
    refused = await ssh.run("show 2001")
    assert refused.code == 3
    assert "not confirmed" in refused.err


async def test_the_last_event_says_what_was_done_from_what_to_what(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    await ssh.run('set 2001 name="Grace Bell"')
    rows = await demo.admin("audit tail", customer=CUSTOMER, count=50, why="test")
    (done,) = [r for r in rows if r["kind"] == "operation.done" and "Bell" in r["told"]]
    assert "Grace Okonkwo" in done["told"]
    # What becomes of mails is written beside it, whenever that is known.
    assert [r["kind"] for r in rows if not r["kind"].startswith("notice.")][-1] == "looked.audit"
