"""Visits by a real ssh client on the lab, whose record keeps every login: none of them an alarm, a thief's each one."""

from __future__ import annotations

import asyncio

import asyncssh
import pytest
from sqlalchemy import func, select, update

from gateway.access.reconciling import Reconciler
from gateway.cli.demo import CUSTOMER, SYSTEM, Demo, permit
from gateway.cli.story import Master
from gateway.store.login_tables import dials, foreign_logins
from gateway.wiring.admin.base import Base
from tests.end_to_end.conftest import demo as demo
from tests.end_to_end.conftest import ssh as ssh
from tests.session.shell.conftest import BOTH
from tests.session.shell.conftest import database_of_demo as database_of_demo


async def told(demo: Demo) -> int:
    async with demo.app.parts.store.look_at_everyone() as scope:
        return int((await scope.execute(select(func.count()).select_from(foreign_logins))).scalar_one())


async def age(demo: Demo) -> None:
    """A minute later: what became of every dial is known."""
    async with demo.app.parts.store.everyone() as scope:
        await scope.execute(update(dials).values(begun_ms=dials.c.begun_ms - 61_000))
    for login in demo.lab.record._kept:
        login["at"] -= 61_000


async def look(demo: Demo) -> None:
    system = await Base(demo.app.parts)._system(SYSTEM)
    await demo.app.logins.look(system)


@BOTH
async def test_visits_and_resets_are_ours_and_a_thief_with_the_key_is_not(demo: Demo, ssh: Master) -> None:
    await permit(demo, "find,view,alter,reset-voicemail,diag")
    # Before, after each step, and in the moment in which a visit ends and the next one begins.
    await look(demo)
    assert (await ssh.run("show 2001")).code == 0
    await look(demo)
    assert (await ssh.run("reset 2001 voicemail --yes")).code == 0
    await look(demo)
    (visit,) = demo.app.visits.all()
    demo.app.visits.end(visit, "so that the next dials again")
    again = asyncio.ensure_future(look(demo))
    await visit.over.wait()
    assert (await ssh.run("show 2002")).code == 0
    await again
    await look(demo)
    async with demo.app.parts.store.look_at_everyone() as scope:
        found = (await scope.execute(select(dials.c.why, dials.c.login, dials.c.session_id))).all()
    assert {row.why for row in found} == {"visit", "reset", "watch"}
    assert all(row.session_id for row in found if row.why in {"visit", "reset"})
    assert all(row.login for row in found if row.why in {"visit", "reset"})
    await age(demo)
    await look(demo)
    assert await told(demo) == 0
    # The key alone, from outside, in and out between two looks: the lab's record keeps it.
    known = asyncssh.import_known_hosts(f"[127.0.0.1]:{demo.lab.ssh_port} {demo.lab.host_key}")
    key = asyncssh.import_private_key(demo.lab.client_key)
    async with asyncssh.connect(
        "127.0.0.1", demo.lab.ssh_port, username="frameroom", client_keys=[key], known_hosts=known
    ) as thief:
        assert (await thief.run("rx pjsip show endpoints")).exit_status == 0
    await look(demo)
    await age(demo)
    await look(demo)
    assert await told(demo) == 1
    mail = await demo.mails.wait_for("it was none of our visits", count=2)
    assert "from 127.0.0.1" in mail
    assert (await demo.admin("audit verify"))["ok"]


async def test_visits_of_before_it_was_removed_and_added_again_are_no_alarm(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    await demo.admin("system remove", system=SYSTEM)
    await demo.admin(
        "system add", customer=CUSTOMER, name=SYSTEM, connector="lab", host="127.0.0.1", port=demo.lab.ssh_port,
        pin=demo.lab.host_key, login="frameroom", password=None, private_key=demo.lab.client_key, settings="{}",
    )  # fmt: skip
    (line,) = (row for row in await demo.admin("system check", system=SYSTEM) if row["what"] == "login record")
    assert line["ok"], line
    assert await told(demo) == 0


async def test_more_logins_than_one_answer_holds_are_all_told_of(demo: Demo) -> None:
    for number in range(1_203):
        demo.lab.record.add("203.0.113.9", number)
    demo.lab.record._kept[:] = [one | {"at": one["at"] - 200_000 + n} for n, one in enumerate(demo.lab.record._kept)]
    for _ in range(4):
        await look(demo)
    assert await told(demo) == 1_203
    mail = await demo.mails.wait_for("it was none of our visits")
    assert "and 4" in mail


async def test_a_lab_that_is_away_is_said_in_words(demo: Demo) -> None:
    await look(demo)
    demo.lab.faults.add("close-mid-answer")
    rows = await demo.admin("system check", system=SYSTEM)
    assert [row["ok"] for row in rows] == [True, True, False, None]
    demo.lab.faults.clear()
    system = await Base(demo.app.parts)._system(SYSTEM)
    await Reconciler(demo.app.parts.store, demo.app.parts.audit).could_not(system, "unreachable")
    shown = await demo.admin("system show", system=SYSTEM)
    assert any("unreachable" in words for words in shown["login record"])
    await look(demo)
    shown = await demo.admin("system show", system=SYSTEM)
    assert not any("unreachable" in words for words in shown["login record"])


async def test_it_may_be_switched_off(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.app.logins, "_every_s", 0.0)
    async with asyncio.timeout(30):
        await demo.app.logins.run()
