"""The customer's switch: what it stops, who may turn it for them, who is told; on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Operation
from gateway.access.switch import Switch, in_words, parse_hours
from gateway.errors import FrameroomError, InvalidError, NotPermittedError
from gateway.model import DAY, HOUR, Access, AccessMode
from gateway.store.engine import Store
from tests.support.furnished import Furnished, furnish

KATE = "kate@customer.example"


@pytest.fixture
async def brook(store: Store, tmp_path: Path) -> Furnished:
    return await furnish(store, tmp_path)


async def turn(brook: Furnished, mode: AccessMode, by: str = "Kate", **given: Any) -> Access:
    switch = Switch(brook.store, brook.audit)
    until, spans = given.get("until_ms"), given.get("spans", [])
    return await switch.set_by_staff("t", brook.customer, mode, until, spans, by, "telephone call")


async def says(brook: Furnished) -> str:
    return (await brook.permission.explain(brook.engineer, brook.system, Operation.VIEW, None)).code


async def permitted(brook: Furnished) -> None:
    await brook.agree()
    kate = await brook.approver("Kate", KATE)
    assert await brook.say_yes(await brook.ask(), kate) is not None


async def test_nothing_is_shut_until_somebody_shuts_it(brook: Furnished) -> None:
    await permitted(brook)
    assert await Switch(brook.store, brook.audit).show(brook.customer) == Access()
    assert await says(brook) == "permitted"


async def test_off_stops_what_was_permitted_and_on_lets_it_go_on(brook: Furnished) -> None:
    await permitted(brook)
    await turn(brook, AccessMode.OFF)
    assert await says(brook) == "access-off"
    await turn(brook, AccessMode.ON)
    assert await says(brook) == "permitted"
    assert (await brook.kinds()).count("access.changed") == 2


async def test_until_ends_by_itself(brook: Furnished) -> None:
    await permitted(brook)
    await turn(brook, AccessMode.UNTIL, until_ms=brook.permission.now + 60_000)
    assert await says(brook) == "permitted"
    brook.clock.at_ms += 60_000
    assert await says(brook) == "access-off"


async def test_a_weekly_schedule_is_kept_whole(brook: Furnished) -> None:
    await permitted(brook)
    await turn(brook, AccessMode.WEEKLY, spans=["mon-fri 08:00-18:00", "sat 09:30-12:00"])
    held = await Switch(brook.store, brook.audit).show(brook.customer)
    assert in_words(held) == ("on mon, tue, wed, thu, fri 08:00-18:00; sat 09:30-12:00 (Europe/London), otherwise off")
    assert await says(brook) == "permitted"  # it is a Monday afternoon
    brook.clock.at_ms += 5 * HOUR
    assert await says(brook) == "access-off"


async def test_9_staff_may_always_shut_and_open_only_as_the_agreement_lets_them(brook: Furnished) -> None:
    await brook.agree(consent_by_phone=False)
    await brook.approver("Kate", KATE)
    await turn(brook, AccessMode.OFF, by="somebody at the desk")
    for mode, given in ((AccessMode.ON, {}), (AccessMode.UNTIL, {"until_ms": brook.permission.now + HOUR})):
        with pytest.raises(NotPermittedError, match="does not let you"):
            await turn(brook, mode, **given)
    await brook.agree()
    with pytest.raises(NotPermittedError, match="no approver"):
        await turn(brook, AccessMode.ON, by="Ana Silva")
    assert (await Switch(brook.store, brook.audit).show(brook.customer)).mode is AccessMode.OFF


async def test_9_an_unconfirmed_agreement_opens_nothing(brook: Furnished) -> None:
    await brook.approver("Kate", KATE)
    with pytest.raises(NotPermittedError):
        await turn(brook, AccessMode.ON)


async def test_every_approver_is_told_at_once_who_asked_and_how(brook: Furnished) -> None:
    await brook.approver("Kate", KATE)
    await brook.approver("Omar", "omar@customer.example")
    await turn(brook, AccessMode.OFF, by="Kate\r\nBcc: x@evil.example")
    told = [row for row in await brook.waiting() if row.what == "access changed"]
    assert {row.address for row in told} == {KATE, "omar@customer.example"}
    assert "It is now: off\nAsked for by: Kate Bcc: x@evil.example (telephone call, recorded by staff)" in told[0].body


@pytest.mark.parametrize(
    ("mode", "given"),
    [
        (AccessMode.UNTIL, {}),
        (AccessMode.UNTIL, {"until_ms": 1}),
        (AccessMode.UNTIL, {"until_ms": 1_790_000_000_000 + 367 * DAY}),
        (AccessMode.ON, {"until_ms": 1_790_000_000_000 + HOUR}),
        (AccessMode.WEEKLY, {}),
        (AccessMode.ON, {"spans": ["mon 08:00-09:00"]}),
        (AccessMode.WEEKLY, {"spans": ["mon 08:00-09:00"] * 22}),
        (AccessMode.OFF, {"by": " "}),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    brook: Furnished, mode: AccessMode, given: Any
) -> None:
    await brook.agree()
    await brook.approver("Kate", KATE)
    with pytest.raises(InvalidError):
        await turn(brook, mode, **given)
    assert "access.changed" not in await brook.kinds()


@pytest.mark.parametrize(
    "text",
    ["", "mon", "mon 8-9", "mon 09:00-09:00", "mon 22:00-06:00", "mox 08:00-09:00", "mon 08:60-09:00",
     "mon 08:00-24:01", "mon-fri 08:00-18:00; drop", "mon ٠٨:00-09:00", "x" * 100_000],
)  # fmt: skip
def test_a_span_that_is_none_is_refused_in_words(text: str) -> None:
    with pytest.raises(FrameroomError) as refused:
        parse_hours(text)
    assert len(refused.value.message) < 200


def test_a_span_may_go_round_the_end_of_the_week() -> None:
    assert parse_hours("Sat-Mon 00:00-24:00").weekdays == {6, 7, 1}
