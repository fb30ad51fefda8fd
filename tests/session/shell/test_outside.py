"""Visits that Frameroom is not in between at: begun, ended and told of over a real ssh, and never called recorded."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from audit.verify import main as verify
from gateway.access.outside import LONGEST
from gateway.cli.demo import CUSTOMER, SYSTEM, Demo, permit
from gateway.cli.story import Master
from gateway.store.outside_tables import outside_visits
from tests.session.shell.conftest import BOTH, Send, Sit
from tests.session.shell.test_console import entries

WORDS = "Changed the line card of extension 2001; the old one is with me."


async def rows(demo: Demo) -> list:
    async with demo.app.parts.store.look_at_everyone() as scope:
        return list((await scope.execute(select(outside_visits))).all())


async def ended(demo: Demo) -> None:
    """Until no visit goes on any more."""
    async with asyncio.timeout(10):
        while any(row.state == "open" for row in await rows(demo)):
            demo.mails.arrived.clear()
            await demo.mails.arrived.wait()


@BOTH
async def test_asked_for_permitted_begun_told_and_reported(demo: Demo, ssh: Master) -> None:
    grant = await permit(demo, "visit")
    began = await ssh.run(f"visit start '{SYSTEM}'")
    assert began.code == 0, began.err
    assert "not recorded here" in began.err
    mail = await demo.mails.wait_for("began a visit to Head office")
    assert "Not recorded here" in mail
    assert "Why: The demo" in mail
    listed = await ssh.run("visit")
    assert "going on" in listed.out
    again = await ssh.run(f"visit start '{SYSTEM}'")
    assert (again.code, "already" in again.err) == (1, True)
    done = await ssh.run(f'visit done "{WORDS}"')
    assert done.code == 0, done.err
    told = await demo.mails.wait_for("says what was done")
    assert f"  | {WORDS}" in told
    assert "Not recorded here" in told
    assert "because the engineer is done" in told
    assert (await ssh.run("visit")).out.strip() == ""
    (row,) = await rows(demo)
    assert (row.state, row.grant_id, row.reason) == ("told", grant, "the engineer is done")
    for kind in ("visit.started", "visit.ended", "visit.told"):
        (entry,) = await entries(demo, kind)
        assert (entry["session"], entry["grant"]) == (row.id, grant)
        assert WORDS not in str(entry["data"]), "what an engineer writes may tell of persons: it is sealed"
    (entry,) = await entries(demo, "visit.told")
    assert entry["clear"]["words"] == WORDS
    assert await entries(demo, "session.opened") == [], "nothing was opened, and so nothing seems to be recorded"
    found = await demo.admin("audit search", why="test", operation="visit", engineer="ana", system=SYSTEM)
    assert [one["kind"] for one in found if one["kind"].startswith("visit.")] == [
        "visit.started", "visit.ended", "visit.told",
    ]  # fmt: skip
    verified = await demo.admin("audit verify")
    assert verified["ok"]
    shown = await demo.admin("visit show", visit=row.id, why="test")
    assert (shown["in the engineer's own words"], shown["permission"]) == (WORDS, grant)
    assert "Not recorded here" in shown["recorded"]
    (told_of,) = await demo.admin("visit list", state="told", customer=CUSTOMER)
    assert (told_of["id"], told_of["recorded"]) == (row.id, "not here")
    (beside,) = (await demo.admin("grant show", grant=grant))["visits not recorded here"]
    assert beside["id"] == row.id
    made = demo.folder / "report.txt"
    pieces = await demo.admin("audit report", why="test", grant=grant)
    made.write_text("".join(piece["text"] for piece in pieces), encoding="utf-8")
    assert f"NOT RECORDED HERE and proof of nothing, what was done ({row.id}): {WORDS}" in made.read_text()
    assert verify([str(made), "--vkey", verified["vkey"]]) == 0
    pieces = await demo.admin("audit report", why="test", session=row.id)
    made.write_text("".join(piece["text"] for piece in pieces), encoding="utf-8")
    assert WORDS in made.read_text()
    assert verify([str(made), "--vkey", verified["vkey"]]) == 0
    with pytest.raises(RuntimeError, match="no recording"):
        await demo.admin("audit report", why="test", session=row.id, recording=True)
    held = await demo.admin("hold place", basis="claim", session=row.id)
    assert held["target"] == row.id


async def test_without_a_permission_that_names_it_nothing_begins(demo: Demo, ssh: Master) -> None:
    none = await ssh.run("visit start")
    assert (none.code, "permission for a visit" in none.err) == (3, True)
    await permit(demo, "find,view")
    refused = await ssh.run(f"visit start '{SYSTEM}'")
    assert refused.code == 3
    assert "does not include visit" in refused.err
    (entry,) = await entries(demo, "session.refused")
    assert entry["data"]["reason"] == "not-in-grant"
    assert await rows(demo) == []


async def test_a_permission_for_a_visit_opens_nothing_else(demo: Demo, ssh: Master) -> None:
    await permit(demo, "visit")
    refused = await ssh.run("show 2001")
    assert refused.code == 3
    assert "does not include view" in refused.err
    assert list(demo.lab.heard) == []
    assert await entries(demo, "session.opened") == []


@BOTH
async def test_it_outlives_the_connection_and_ends_with_the_permission(demo: Demo, ssh: Master, send: Send) -> None:
    grant = await permit(demo, "visit")
    assert (await ssh.run(f"visit start '{SYSTEM}'")).code == 0
    await ssh.stop()
    (row,) = await rows(demo)
    assert row.state == "open"
    await demo.admin("grant revoke", grant=grant, reason="they have gone")
    over = await demo.mails.wait_for("The visit of Ana")
    assert "because the permission was ended by staff" in over
    assert "Not told yet" in over
    assert "stop what you are doing" in await demo.mails.wait_for("Your visit to Head office")
    (row,) = await rows(demo)
    assert row.state == "ended"
    assert (await demo.admin("audit verify"))["ok"]


async def test_told_after_the_end_and_reminded_until_then(demo: Demo, ssh: Master, sit: Sit, send: Send) -> None:
    grant = await permit(demo, "visit")
    assert (await ssh.run(f"visit start '{SYSTEM}'")).code == 0
    await demo.admin("grant revoke", grant=grant, reason="they have gone")
    await demo.mails.wait_for("The visit of Ana")
    assert "still waits to read what was done" in (await ssh.run("whoami")).err
    assert "still waits" not in (await ssh.run("whoami")).err, "once, where a script works"
    async with sit() as terminal:
        assert "still waits to read what was done" in terminal.seen
        assert SYSTEM in terminal.seen
    done = await send("visit done -", "Came in at nine.\nGrüße\r\nleft at ten.\n".encode())
    assert done.code == 0, done.err
    assert "had ended before" in done.err
    mail = (await demo.mails.wait_for("told after the end")).replace("\r\n", "\n")
    assert "  | Came in at nine.\n  | Grüße\n  | left at ten.\n" in mail
    (entry,) = await entries(demo, "visit.told")
    assert entry["data"]["late"] is True
    twice = await ssh.run("visit done again")
    assert twice.code == 2
    assert "nothing is left to be told" in twice.err


@pytest.mark.parametrize("how", ["off", "vetoed", "expired"])
async def test_it_ends_whatever_ends_the_right_to_be_there(demo: Demo, ssh: Master, how: str) -> None:
    grant = await permit(demo, "visit")
    assert (await ssh.run(f"visit start '{SYSTEM}'")).code == 0
    if how == "off":
        await demo.admin("access set", customer=CUSTOMER, mode="off", by="Kate", how="a call", until_ms=None, hours=[])
    elif how == "vetoed":
        await demo.admin("customer engineer", customer=CUSTOMER, login="ana", veto=True)
    else:
        from sqlalchemy import update

        from gateway.store.tables import grants

        async with demo.app.parts.store.everyone() as scope:
            now = demo.app.parts.permission.now
            await scope.execute(update(grants).where(grants.c.id == grant).values(until_ms=now - 1))
    reasons = {
        "off": "the customer switched access off", "vetoed": "the customer struck the engineer off its list",
        "expired": "the permitted time is over",
    }  # fmt: skip
    assert reasons[how] in await demo.mails.wait_for("The visit of Ana")
    (row,) = await rows(demo)
    assert (row.state, row.reason) == ("ended", reasons[how])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "Say what was done"), (b" \n \n", "Say what was done"), (b"a\x1b[2Jb", "Control characters"),
        ("\u202eevil".encode(), "Control characters"), (b"x" * (LONGEST + 1), "at most 4,000"),
        (b"x" * 200_000, "at most 4,000"),
    ],
)  # fmt: skip
async def test_words_that_are_none_leave_the_visit_as_it_is(
    demo: Demo, ssh: Master, send: Send, data: bytes, why: str
) -> None:
    await permit(demo, "visit")
    assert (await ssh.run(f"visit start '{SYSTEM}'")).code == 0
    refused = await send("visit done -", data)
    assert refused.code != 0
    assert why in refused.err
    (row,) = await rows(demo)
    assert row.state == "open"


async def test_a_phone_system_without_a_connector_can_be_visited_and_nothing_else(demo: Demo, ssh: Master) -> None:
    await demo.admin(
        "system add", customer=CUSTOMER, name="Old exchange", connector="none", host=None, port=None, pin=None,
        login=None, password=None, private_key=None, settings="{}", site="York", asset="",
    )  # fmt: skip
    for more in ({"host": "pbx.example"}, {"login": "root"}, {"password": "x"}, {"port": 22}):
        nothing = dict.fromkeys(("host", "port", "pin", "login", "password", "private_key"))
        given = {"customer": CUSTOMER, "name": "Another", "connector": "none", "settings": "{}", "site": ""} | nothing
        with pytest.raises(RuntimeError, match="takes no"):
            await demo.admin("system add", **(given | more))
    with pytest.raises(RuntimeError, match="takes no credential"):
        await demo.admin("system credential", system="Old exchange", login="root", password="x", private_key=None)
    lines = await demo.admin("system check", system="Old exchange")
    assert all(line["ok"] for line in lines)
    assert "does not reach" in lines[0]["in words"]
    asked = await ssh.run("request 'Old exchange' --ops find,visit --ticket T --reason why")
    assert asked.code != 0
    assert "What can be permitted is visit" in asked.err
    await permit(demo, "visit", system="Old exchange")
    found = await ssh.run("find grace --system 'Old exchange'")
    assert found.code == 3
    assert "does not reach this phone system" in found.err
    assert (await ssh.run("visit start 'Old exchange'")).code == 0
    assert (await ssh.run("visit done 'Rebooted it with the customer beside me'")).code == 0
    assert "Rebooted it" in await demo.mails.wait_for("says what was done")


async def test_words_go_to_the_visit_that_is_meant(demo: Demo, ssh: Master) -> None:
    await demo.admin(
        "system add", customer=CUSTOMER, name="Old exchange", connector="none", host=None, port=None, pin=None,
        login=None, password=None, private_key=None, settings="{}", site="York", asset="",
    )  # fmt: skip
    for system in (SYSTEM, "Old exchange"):
        await permit(demo, "visit", system=system)
        assert (await ssh.run(f"visit start '{system}'")).code == 0
    which = await ssh.run("visit done 'all well'")
    assert which.code != 0
    assert "Several visits" in which.err
    assert {row.state for row in await rows(demo)} == {"open"}
    assert (await ssh.run("visit done 'all well' --system 'Old exchange'")).code == 0
    wrong = await ssh.run("visit done 'all well' --system 'Old exchange'")
    assert wrong.code == 2
    assert SYSTEM in wrong.err
    (left,) = [row for row in await rows(demo) if row.state == "open"]
    assert (await ssh.run(f"visit done 'all well' --visit {left.id}")).code == 0
