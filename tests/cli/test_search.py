"""A search gives what reading every entry would give, whatever leads it, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, text, update

from audit.events import OPERATOR_LOG, Event, Personal
from audit.log import parse_entry
from audit.tables import entries, known_by
from config import load as loading
from gateway.errors import InvalidError, NotFoundError
from gateway.wiring.admin import Admin, searching
from gateway.wiring.parts import Parts, parts
from tests.cli.conftest import BROOK, NORTH, Closed

GRACE = {
    "id": "2001",
    "extension": "2001",
    "name": "Grace Bell",
    "email": "grace@customer.example",
    "ddis": ["+442079460123"],
}


def a_visit(log: str, system: str, engineer: str, number: int, name: str, end: str) -> list[Event]:
    """A request with its ticket, its grant, and a visit of one operation under it."""
    request, grant, visit, operation = (
        f"req_{log}{number}",
        f"grt_{log}{number}",
        f"ses_{log}{number}",
        f"op_{log}{number}",
    )
    asked: dict[str, Any] = {"system": system, "request": request}
    under: dict[str, Any] = {"system": system, "session": visit, "grant": grant}
    ticket = Personal("ticket", f"T-{number % 4}", f"customer:{log}")
    seen = (Personal("before", GRACE, f"customer:{log}"),) if end == "done" else ()
    subject = f"sub_{number % 3}"
    listed = {"engineer": engineer, "operations": sorted({name, "view"})}
    given = {"operations": [name, "view"], "until_ms": 4_000_000_000_000}
    return [
        Event("request.submitted", log, engineer, data=listed, personal=(ticket,), **asked),
        Event("request.granted", log, "apr_1", grant=grant, data=given, **asked),
        Event("session.opened", log, engineer, data={"engineer": engineer, "factor": "fido2"}, **under),
        Event("operation.intended", log, engineer, operation=operation, subject=subject, data={"name": name}, **under),
        Event(f"operation.{end}", log, engineer, operation=operation, subject=subject, data={"name": name},
              personal=seen, **under),
        Event("recording.closed", log, "recorder", session=visit, data={"segments": 0}),
        Event("session.closed", log, engineer, data={"reason": "left"}, **under),
    ]  # fmt: skip


async def filled(opened: Parts) -> tuple[list[str], str]:
    """Two customers' visits, one after another; (their ids, the engineer's)."""
    (ana,) = await opened.engineers.all()
    logs = [await opened.directory.customer_id(name) for name in (BROOK, NORTH)]
    chance = random.Random(5)  # noqa: S311 - no secret
    for number in range(24):
        log = logs[number % 3 // 2]
        events = a_visit(
            log, f"sys_{log}{number % 2}", ana.id if number % 4 else "eng_other", number,
            chance.choice(("view", "alter", "remove")), chance.choice(("done", "done", "failed", "unknown")),
        )  # fmt: skip
        async with opened.store.scope(log) as scope:
            await opened.audit.append_many(scope.connection, events)
    return logs, ana.id


async def every(opened: Parts) -> list[tuple[int, dict[str, Any]]]:
    """Every entry that there is, as (cursor, what it says)."""
    async with opened.store.look_at_everyone() as scope:
        rows = await scope.execute(select(entries.c.seq, entries.c.entry).order_by(entries.c.seq))
        return [(row.seq, parse_entry(row.entry)) for row in rows]


def named(body: dict[str, Any]) -> tuple[Any, ...]:
    data = body.get("data", {})
    listed = data.get("operations", ())
    return (data.get("name"), *(listed if isinstance(listed, list) else ()))


def naive(log: str, ana: str, tickets: dict[str, set[str]]) -> dict[str, tuple[Any, Callable[[dict[str, Any]], bool]]]:
    """Each condition: how it is asked, and what it means said without an index."""
    return {
        "customer": (BROOK, lambda b: b["log"] == log),
        "engineer": ("ana", lambda b: b.get("data", {}).get("engineer", b["actor"]) == ana),
        "operation": ("alter", lambda b: "alter" in named(b)),
        "outcome": ("failed", lambda b: b["kind"].partition(".")[2] == "failed"),
        "kinds": (["operation.done", "request.granted"], lambda b: b["kind"] in ("operation.done", "request.granted")),
        "ticket": ("t-2", lambda b: bool({b.get("request"), b.get("grant"), b.get("session")} & tickets["T-2"])),
    }  # fmt: skip


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that some hundred entries are many steps."""
    monkeypatch.setattr(searching, "_FIRST", 3)
    monkeypatch.setattr(searching, "_MOST", 7)
    monkeypatch.setattr(searching, "_COUNTED", 5)


def run(closed: Closed, work: Callable[[Parts], Any]) -> Any:
    async def go() -> Any:
        async with parts(loading.load(closed.config, {})) as opened:
            return await work(opened)

    return asyncio.run(go())


def test_every_combination_gives_what_reading_everything_gives(furnished: Closed, small_steps: None) -> None:
    async def work(opened: Parts) -> None:
        (log, _), ana = await filled(opened)
        admin = Admin(opened)
        kept = await every(opened)
        tickets: dict[str, set[str]] = {
            f"T-{n}": {f"{what}_{body['log']}{m}" for _, body in kept for m in range(24) if m % 4 == n
                       for what in ("req", "grt", "ses")} for n in range(4)
        }  # fmt: skip
        conditions = naive(log, ana, tickets)
        for count in range(len(conditions) + 1):
            for names in itertools.combinations(conditions, count):
                given = {name: conditions[name][0] for name in names}
                found = await admin.call("audit search", "tom", {"why": "t", "limit": 10_000, **given})
                # Each search is an entry itself, of those that come after what is compared.
                wanted = [seq for seq, body in kept if all(conditions[name][1](body) for name in names)]
                assert [row["cursor"] for row in found if row["cursor"] <= kept[-1][0]] == wanted, names

    run(furnished, work)


def test_a_cursor_goes_on_where_the_answer_stopped(furnished: Closed, small_steps: None) -> None:
    async def work(opened: Parts) -> None:
        (log, _), _ = await filled(opened)
        admin, seen, after = Admin(opened), [], 0
        given = {"why": "t", "customer": BROOK, "kinds": ["operation.intended", "request.submitted"], "limit": 4}
        while page := await admin.call("audit search", "tom", given | {"after": after}):
            seen += [row["cursor"] for row in page]
            after = seen[-1]
        kinds = {"operation.intended", "request.submitted"}
        assert seen == [seq for seq, body in await every(opened) if body["log"] == log and body["kind"] in kinds]

    run(furnished, work)


def test_a_time_is_found_in_the_order_of_writing(furnished: Closed) -> None:
    async def work(opened: Parts) -> None:
        await filled(opened)
        # As if they had been written a minute apart, days ago.
        step, began = 60_000, 1_700_000_000_000
        async with opened.store.everyone() as scope:
            await scope.execute(update(entries).values(time_ms=began + entries.c.seq * step))
        rows = [seq for seq, _ in await every(opened)]
        admin = Admin(opened)
        for first, last in ((rows[0], rows[3]), (rows[20], rows[-9]), (rows[-3], rows[-1] + 5), (rows[5], rows[5])):
            given = {"since_ms": began + first * step, "until_ms": began + last * step, "limit": 1000, "why": "t"}
            found = [row["cursor"] for row in await admin.call("audit search", "tom", given)]
            assert found == [seq for seq in rows if first <= seq < last]

    run(furnished, work)


def test_a_time_is_found_by_steps_in_an_index_where_rows_are_kept_apart(furnished: Closed) -> None:
    """A log of a million is not read from its beginning for each step."""

    async def counted(opened: Parts) -> None:
        if opened.store.is_sqlite:
            pytest.skip("rows are kept apart by PostgreSQL")
        await filled(opened)
        read = text("select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'entries'")
        async with opened.store.look_at_everyone() as scope:
            for way in ("seqscan", "bitmapscan", "sort"):  # which are right for a log as short as this one
                await scope.execute(text(f"set local enable_{way} = off"))
            size = len((await scope.execute(select(entries.c.seq))).all())
            before = (await scope.execute(read)).scalar_one()
            await searching.place_at(scope, opened.audit.clock.now() + 1)
            assert (await scope.execute(read)).scalar_one() - before < size

    run(furnished, counted)


def test_a_person_is_found_by_any_of_their_words_and_none_of_them_stands_anywhere(furnished: Closed) -> None:
    async def work(opened: Parts) -> None:
        (log, _), _ = await filled(opened)
        admin = Admin(opened)
        async with opened.store.scope(log) as scope:
            about = {"system": "sys_x", "session": "ses_x", "grant": "grt_x", "operation": "op_x", "subject": "sub_zed"}
            zed = {
                "id": "9",
                "extension": "2999",
                "name": "Zed Moon",
                "email": "zed@customer.example",
                "ddis": ["+44123", "+442079460777"],
            }
            personal = (Personal("before", zed, f"customer:{log}"),)
            await opened.audit.append(
                scope.connection, Event("operation.done", log, "eng_1", personal=personal, **about)
            )
        for word in ("sub_zed", "zed moon", "ZED@customer.example", "2999", "+44123", "+442079460777", "020 7946 0777"):
            given = {"why": "t", "customer": BROOK, "subject": word}
            kinds = [row["kind"] for row in await admin.call("audit search", "tom", given)]
            # And whoever looked for this very person before.
            assert (kinds[0], set(kinds[1:]) <= {"looked.audit"}) == ("operation.done", True), word
        with pytest.raises(NotFoundError):
            await admin.call("audit search", "tom", {"why": "t", "customer": NORTH, "subject": "Zed Moon"})
        async with opened.store.look_at_everyone() as scope:
            kept = str([tuple(row) for row in await scope.execute(select(known_by))])
            tickets = set((await scope.execute(select(entries.c.ticket))).scalars())
        assert "zed" not in kept.lower().replace("sub_zed", "")
        assert not any(one is not None and one.startswith("T-") for one in tickets)

    run(furnished, work)


def test_who_alters_what_a_search_finds_by_is_found(furnished: Closed) -> None:
    async def work(opened: Parts) -> Any:
        (log, _), _ = await filled(opened)
        await opened.sequence()
        before = (await Admin(opened).call("audit verify", "tom", {}))["faults"]
        assert before == []
        async with opened.store.scope(log) as scope:
            hidden = (entries.c.log_id == log) & (entries.c.kind == "operation.unknown")
            await scope.execute(update(entries).where(hidden).values(engineer_id=None, kind="heartbeat"))
        return await Admin(opened).call("audit verify", "tom", {})

    told = run(furnished, work)
    assert "a search would not find it" in told["faults"][0]


def test_what_cannot_be_searched_for_is_said(furnished: Closed) -> None:
    async def work(opened: Parts) -> None:
        admin = Admin(opened)
        for wrong in ({"kinds": ["no.such"]}, {"outcome": "fine"}, {"why": " "}):
            with pytest.raises(InvalidError):
                await admin.call("audit search", "tom", {"why": "t"} | wrong)
        assert await admin.call("audit search", "tom", {"why": "t", "operation": "dance"}) == []
        async with opened.store.look(OPERATOR_LOG) as scope:
            looks = (await scope.execute(text("select count(*) from entries where kind = 'looked.audit'"))).scalar_one()
        assert looks == 1

    run(furnished, work)
