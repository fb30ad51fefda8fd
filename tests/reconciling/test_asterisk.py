"""A real PostgreSQL, our role's stolen password, and the looks that notice: on each kind of database of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import select, update

from connectors.contract import ReadsLogins
from gateway.access.dials import Dials
from gateway.access.reconciling import Verdict, watching
from gateway.model import PhoneSystem
from gateway.store.login_tables import dials, login_looks
from gateway.store.tables import outbox
from gateway.wiring.admin import Admin
from gateway.wiring.admin.base import Base
from gateway.wiring.duties import readings_of
from gateway.wiring.login_watch import LoginWatch
from gateway.wiring.parts import Parts, parts
from tests.connectors.asterisk.conftest import DDI, PASSWORD, Pbx
from tests.connectors.asterisk.conftest import pbx as pbx
from tests.connectors.asterisk.conftest import server as server
from tests.keeping.deployment import make

BROOK = "Brook & Sons"


@pytest.fixture
async def opened(tmp_path: Path, database: tuple[str, str], pbx: Pbx) -> AsyncIterator[Parts]:
    """A deployment with one customer, two people to be told, and their Asterisk."""
    deployment = await asyncio.to_thread(make, tmp_path / "fr", database)
    async with parts(deployment.settings()) as found:
        admin = Admin(found)
        for name, given in (
            ("customer add", {"name": BROOK}),
            ("approver add", {"customer": BROOK, "name": "Kate", "email": "kate@customer.example", "phone": ""}),
            ("contact add", {"customer": BROOK, "name": "Omar", "email": "omar@customer.example", "position": "",
                             "phone": "", "notices": "changes"}),
            ("system add", {"customer": BROOK, "name": "Exchange", "connector": "asterisk-realtime",
                            "host": "127.0.0.1", "port": pbx.port, "pin": pbx.pin, "login": "gateway",
                            "password": PASSWORD, "private_key": None, "site": "", "asset": "", "untried": True,
                            "settings": json.dumps({"database": pbx.database, "ddi": DDI})}),
        ):  # fmt: skip
            await admin.call(name, "t", given)
        yield found


@pytest.fixture
async def system(opened: Parts) -> PhoneSystem:
    return await Base(opened)._system("Exchange")


async def alarms(opened: Parts) -> tuple[list[dict[str, Any]], list[str]]:
    """Events, and to whom mail waits."""
    rows = await Admin(opened).call("audit search", "t", {"why": "t", "kinds": ["login.foreign"]})
    async with opened.store.look_at_everyone() as scope:
        to = (await scope.execute(select(outbox.c.address).where(outbox.c.what == "foreign login"))).scalars()
        return rows, sorted(to)


async def test_nobody_but_us_is_no_alarm(opened: Parts, system: PhoneSystem) -> None:
    watch = LoginWatch(opened)
    for _ in range(3):
        assert await watch.look(system) == Verdict((), (), ())
    assert await alarms(opened) == ([], [])


async def test_the_stolen_password_used_from_outside_is_told_to_everybody_once(
    opened: Parts, system: PhoneSystem, pbx: Pbx
) -> None:
    watch = LoginWatch(opened)
    with pbx.as_gateway():
        (login,) = (await watch.look(system)).foreign
        assert login.address == "127.0.0.1"
        # However often, by whomever, and after a restart.
        await watch.look(system)
        await LoginWatch(opened).step()
        check = await Admin(opened).call("system check", "t", {"system": "Exchange"})
        assert [row["ok"] for row in check if row["what"] == "login record"] == [False]
        rows, to = await alarms(opened)
        assert len(rows) == 1
        assert "address=127.0.0.1" in rows[0]["told"]
        assert to == ["kate@customer.example", "omar@customer.example"]
        with pbx.as_gateway():
            await watch.look(system)
    rows, to = await alarms(opened)
    assert len(rows) == 2
    assert len(to) == 4
    async with opened.store.look_at_everyone() as scope:
        mine = (outbox.c.what == "foreign login") & (outbox.c.address == to[0])
        body = (await scope.execute(select(outbox.c.body).where(mine).limit(1))).scalar_one()
    assert "Exchange" in body
    assert "from 127.0.0.1" in body
    assert PASSWORD not in body
    shown = await Admin(opened).call("system show", "t", {"system": "Exchange"})
    assert any("NOT OURS: 2 logins" in words for words in shown["login record"])


async def test_the_role_used_in_another_database_of_the_server_is_seen_too(
    opened: Parts, system: PhoneSystem, pbx: Pbx
) -> None:
    with psycopg.connect(
        host="127.0.0.1", port=pbx.port, dbname="postgres", user="gateway", password=PASSWORD,
        application_name="frameroom",
    ):  # fmt: skip
        assert len((await LoginWatch(opened).look(system)).foreign) == 1


async def test_the_name_of_a_live_connection_copied_by_the_thief_hides_nothing(
    opened: Parts, system: PhoneSystem, pbx: Pbx
) -> None:
    watch = LoginWatch(opened)
    ours = await watch.connect(system, "check")
    with pbx.as_gateway() as thief:
        seen = thief.execute("select application_name from pg_stat_activity where usename = 'gateway'").fetchall()
        (mark,) = {str(name) for (name,) in seen if str(name).startswith("frameroom-")}
        thief.execute("select set_config('application_name', %s, false)", (mark,))
        assert len((await watch.look(system)).foreign) == 1
    await ours.close()


async def test_a_dial_that_broke_before_it_knew_its_own_name_is_ours_by_its_mark(
    opened: Parts, system: PhoneSystem
) -> None:
    watch = LoginWatch(opened)
    ours = await watch.connect(system, "check")
    async with opened.store.scope(system.customer_id) as scope:
        await scope.execute(dials.update().values(login=None))
    assert (await watch.look(system)).foreign == ()
    async with opened.store.look(system.customer_id) as scope:
        named = (await scope.execute(select(dials.c.login).where(dials.c.why == "check"))).scalar_one()
    assert isinstance(ours, ReadsLogins)
    assert named == await ours.own_login()
    await ours.close()


async def test_however_close_to_a_dials_beginning_or_end_the_look_comes_it_is_no_alarm(
    opened: Parts, system: PhoneSystem
) -> None:
    watch, over = LoginWatch(opened), asyncio.Event()

    async def comes_and_goes() -> None:
        while not over.is_set():
            connector = await watch.connect(system, "check")
            await connector.close()

    async def looks() -> None:
        for _ in range(12):
            assert (await watch.look(system)).foreign == ()
        over.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(looks())
        group.create_task(comes_and_goes())
        group.create_task(comes_and_goes())
    assert await alarms(opened) == ([], [])


async def test_a_reading_for_the_customer_to_confirm_addresses_is_no_alarm(opened: Parts, system: PhoneSystem) -> None:
    watch = LoginWatch(opened)
    pages = readings_of(opened)._reader.pages(system)
    assert await anext(pages)
    assert (await watch.look(system)).foreign == ()
    async for _ in pages:
        pass
    assert (await watch.look(system)).foreign == ()
    assert await alarms(opened) == ([], [])


async def test_two_who_look_at_once_tell_of_it_once(opened: Parts, system: PhoneSystem, pbx: Pbx) -> None:
    with pbx.as_gateway():
        await asyncio.gather(*(LoginWatch(opened).look(system) for _ in range(4)))
    assert len((await alarms(opened))[0]) == 1


async def test_what_cannot_be_looked_at_is_said_and_asked_less_often(
    opened: Parts, system: PhoneSystem, pbx: Pbx
) -> None:
    watch = LoginWatch(opened)
    await watch.step()
    pbx.sql("alter role gateway password 'another'")
    try:
        watch._due[system.customer_id, system.id].at = 0
        await watch.step()
        async with opened.store.look(system.customer_id) as scope:
            seen = await watching(scope, system)
        assert seen.failed == "credential-refused"
        assert seen.looked_ms is not None
        shown = await Admin(opened).call("system show", "t", {"system": "Exchange"})
        assert any("cannot be looked at since" in words for words in shown["login record"])
        # A quarter of an hour later it stands in the customer's log, once.
        for _ in range(3):
            async with opened.store.scope(system.customer_id) as scope:
                await scope.execute(update(login_looks).values(failed_ms=login_looks.c.failed_ms - 900_000))
            await watch.reconciler.could_not(system, "credential-refused")
        rows = await Admin(opened).call("audit search", "t", {"why": "t", "kinds": ["login.unread"]})
        assert len(rows) == 1
        assert "code=credential-refused" in rows[0]["told"]
        due = watch._due[system.customer_id, system.id]
        assert due.at - asyncio.get_running_loop().time() > 60
    finally:
        pbx.sql(f"alter role gateway password '{PASSWORD}'")
    due.at = 0
    await watch.step()
    async with opened.store.look(system.customer_id) as scope:
        assert (await watching(scope, system)).failed == ""


async def test_a_credential_is_never_presented_without_its_row(
    opened: Parts, system: PhoneSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the moment that the vault opens it, another connection to our database already sees the dial."""
    seen: list[int] = []
    watch, opening = LoginWatch(opened), opened.vault.open_credential

    def counted(*given: Any) -> Any:
        seen.append(len(seen))
        return opening(*given)

    monkeypatch.setattr(opened.vault, "open_credential", counted)
    noted = Dials.note

    async def checked(self: Dials, *given: Any, **rest: Any) -> None:
        assert len(seen) == calls[0]
        await noted(self, *given, **rest)
        calls[0] += 1

    calls = [0]
    monkeypatch.setattr(Dials, "note", checked)
    await watch.look(system)
    assert seen == [0]
    assert calls == [1]


async def test_a_customers_report_says_it_in_plain_words(opened: Parts, system: PhoneSystem, pbx: Pbx) -> None:
    with pbx.as_gateway():
        await LoginWatch(opened).look(system)
    given = {"why": "t", "customer": BROOK, "since_ms": 0, "session": None, "grant": None, "held": []}
    pieces = await Admin(opened).call("audit report", "t", given | {"recording": False})
    text = "".join(piece["text"] for piece in pieces)
    assert "WAS USED, AND NOT BY US" in text
    assert "from 127.0.0.1" in text
