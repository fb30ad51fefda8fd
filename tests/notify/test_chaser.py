"""Nobody answers: a reminder, the next person, the deputy, each once; it stops with the answer. On both databases."""

from __future__ import annotations

import asyncio

import pytest

from gateway.access.asking import Asking
from gateway.errors import InvalidError, NotFoundError, StateError
from gateway.model import DAY, HOUR, MINUTE
from gateway.notify import Chaser, Waits, deliveries_of, rota_of
from gateway.store.tables import outbox
from gateway.store.telling_tables import chases
from tests.support.furnished import Furnished

KATE, OMAR, ZOE = "kate@customer.example", "omar@customer.example", "zoe@customer.example"


@pytest.fixture
async def asking(brook: Furnished) -> Asking:
    """Three approvers, named in this order."""
    for name, email in (("Kate", KATE), ("Omar", OMAR), ("Zoe", ZOE)):
        await brook.approver(name, email)
        brook.clock.at_ms += 1000
    return Asking(brook.store, brook.audit)


async def ids(brook: Furnished) -> dict[str, str]:
    async with brook.store.look(brook.customer) as scope:
        return {one.name: one.id for one in (await rota_of(scope, brook.clock.now())).approvers}


async def asked(brook: Furnished) -> list[tuple[str, str]]:
    """(to whom, what), in the order in which they were written."""
    return [
        (row.address.split("@")[0], row.what.removeprefix("request "))
        for row in await brook.waiting()
        if row.what.startswith("request ")
    ]


def chaser(brook: Furnished) -> Chaser:
    return Chaser(brook.store, brook.audit, Waits(15, 15, 15))


async def test_reminder_next_deputy_rest_each_once_and_by_the_clock(brook: Furnished, asking: Asking) -> None:
    await brook.agree()
    who = await ids(brook)
    await asking.deputy("t", brook.customer, who["Kate"], who["Zoe"])
    await brook.approver("Yan", "yan@customer.example")
    await brook.permission.submit(brook.engineer, brook.system, frozenset({"view"}), 480, "T", "why")  # type: ignore[arg-type]
    expected = [("kate", "waiting")]
    assert await asked(brook) == expected
    for following in (("kate", "reminder"), ("omar", "waiting"), ("zoe", "waiting"), ("yan", "waiting")):
        brook.clock.at_ms += 15 * MINUTE - 1
        assert await chaser(brook).step_due() == 0
        brook.clock.at_ms += 1
        await asyncio.gather(*(chaser(brook).step_due() for _ in range(3)))
        expected.append(following)
        assert await asked(brook) == expected
    assert await brook.rows(chases) == []
    letters = {row.address: row.body for row in await brook.waiting() if row.what == "request waiting"}
    assert letters[ZOE].startswith("You stand in for Kate, who was asked and has not answered.")
    assert letters[OMAR].startswith("You are asked because those before you have not answered.")
    async with brook.store.look(brook.customer) as scope:
        rows = await brook.audit.read(scope.connection, brook.customer, kinds=("request.asked",))
    told = [(row.body["data"]["occasion"], row.body["data"]["approvers"]) for row in rows]
    names = {"Kate": "first", "Omar": "next", "Zoe": "deputy"}
    assert told[1] == ("reminded", [who["Kate"]])
    for name, occasion in names.items():
        assert (occasion, [who[name]]) in told


@pytest.mark.parametrize("how", ["granted", "withdrawn", "expired"])
async def test_it_stops_with_the_answer(brook: Furnished, asking: Asking, how: str) -> None:
    await brook.agree()
    request = await brook.ask()
    if how == "granted":
        assert await brook.say_yes(request, (await ids(brook))["Omar"])
    elif how == "withdrawn":
        await brook.permission.withdraw("t", brook.customer, request.id)
    else:
        brook.clock.at_ms += 2 * HOUR
    brook.clock.at_ms += 16 * MINUTE
    await chaser(brook).step_due()
    assert await asked(brook) == [("kate", "waiting")]
    assert await brook.rows(chases) == []


async def test_one_yes_of_two_leaves_the_other_to_be_reminded(brook: Furnished, asking: Asking) -> None:
    await brook.agree(approvals_needed=2)
    request = await brook.ask()
    assert sorted(await asked(brook)) == [("kate", "waiting"), ("omar", "waiting")]
    await brook.say_yes(request, (await ids(brook))["Kate"])
    brook.clock.at_ms += 15 * MINUTE
    await chaser(brook).step_due()
    assert [one for one in await asked(brook) if one[1] == "reminder"] == [("omar", "reminder")]


async def test_whoever_is_away_is_not_asked_the_deputy_is_and_told_why(brook: Furnished, asking: Asking) -> None:
    await brook.agree()
    who = await ids(brook)
    today = "2026-09-21"
    await asking.away("t", brook.customer, who["Kate"], today, today, who["Zoe"])
    await brook.ask()
    assert await asked(brook) == [("zoe", "waiting")]
    (question,) = [row for row in await brook.waiting() if row.what == "request waiting"]
    assert question.body.startswith("You stand in for Kate, who is away.")
    brook.clock.at_ms += DAY  # tomorrow she is back, by the customer's clock
    await brook.ask()
    assert (await asked(brook))[1:] == [("kate", "waiting")]


async def test_the_operators_order_counts_and_together_is_at_once(brook: Furnished, asking: Asking) -> None:
    await brook.agree()
    who = await ids(brook)
    await asking.order("t", brook.customer, [who["Zoe"], who["Kate"]])
    await brook.ask()
    assert await asked(brook) == [("zoe", "waiting")]
    brook.clock.at_ms += 1000
    await asking.order("t", brook.customer, [who["Omar"], who["Kate"]], together=True)
    await brook.ask()
    assert sorted((await asked(brook))[1:]) == [("kate", "waiting"), ("omar", "waiting")]


async def test_what_is_no_deputy_and_no_absence_is_refused(brook: Furnished, asking: Asking) -> None:
    who = await ids(brook)
    kate = who["Kate"]
    other = await brook.directory.add_customer("t", "Neighbour")
    theirs = await brook.directory.add_approver("t", other, "Nat", "nat@n.example", "")
    with pytest.raises(InvalidError):
        await asking.deputy("t", brook.customer, kate, kate)
    with pytest.raises(NotFoundError):
        await asking.deputy("t", brook.customer, kate, theirs)
    with pytest.raises(NotFoundError):
        await asking.away("t", brook.customer, theirs, "2026-09-21", "2026-09-22")
    for first, last in (("2026-09-22", "2026-09-21"), ("2026-09-01", "2026-09-02"), ("2026-10-01", "2028-01-01"),
                        ("tomorrow", "2026-10-01"), ("2031-01-01", "2031-01-02")):  # fmt: skip
        with pytest.raises(InvalidError):
            await asking.away("t", brook.customer, kate, first, last)
    await asking.away("t", brook.customer, kate, "2026-10-01", "2026-10-05")
    with pytest.raises(StateError):
        await asking.away("t", brook.customer, kate, "2026-10-05", "2026-10-06")
    await asking.away("t", brook.customer, kate, "2026-10-06", "2026-10-06")
    assert await asking.back("t", brook.customer, kate) == 2
    with pytest.raises(NotFoundError):
        await asking.back("t", brook.customer, kate)


async def test_who_is_asked_is_not_changed_behind_anybodys_back(brook: Furnished, asking: Asking) -> None:
    who = await ids(brook)

    async def told() -> set[str]:
        rows = [row for row in await brook.waiting() if row.what == "asking changed"]
        async with brook.store.scope(brook.customer) as scope:
            await scope.execute(outbox.delete())
        return {row.address for row in rows}

    await asking.deputy("an operator", brook.customer, who["Kate"], who["Omar"])
    assert await told() == {KATE, OMAR, ZOE}
    await asking.order("an operator", brook.customer, [who["Zoe"]])
    assert await told() == {KATE, OMAR, ZOE}
    await asking.away("an operator", brook.customer, who["Kate"], "2026-10-01", "2026-10-02")
    assert await told() == {KATE, OMAR, ZOE}
    await asking.notices("an operator", brook.customer, who["Kate"], "none")
    assert await told() == {KATE}
    await asking.away(who["Kate"], brook.customer, who["Kate"], "2026-11-01", "2026-11-02", who["Zoe"])
    assert await told() == {ZOE}  # her own doing: whoever stands in hears of it


async def test_a_removed_approver_is_asked_no_more_and_no_deputy(brook: Furnished, asking: Asking) -> None:
    await brook.agree()
    who = await ids(brook)
    await asking.deputy("t", brook.customer, who["Kate"], who["Omar"])
    await asking.away("t", brook.customer, who["Kate"], "2026-09-21", "2026-09-21")
    await brook.directory.remove_approver("t", brook.customer, who["Omar"])
    request = await brook.ask()
    assert await asked(brook) == [("zoe", "waiting")]
    async with brook.store.look(brook.customer) as scope:
        found = await deliveries_of(scope, request.id)
    assert [(one.name, one.way, one.state) for one in found] == [("Zoe", "mail", "waiting")]
