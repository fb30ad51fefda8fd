"""The page a month: what stands on it, and that each is mailed once, whenever it is that Frameroom runs."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from audit.events import Event, Personal
from audit.tables import payloads
from connectors.contract import Operation
from gateway.access.month import Month, Months, begins_ms, next_month
from gateway.access.month_letters import MonthLetters, due
from gateway.errors import InvalidError
from gateway.identity.staff import Staff
from gateway.model import DAY, HOUR
from gateway.notify.outbox import is_present
from gateway.store.engine import Store
from gateway.store.month_tables import month_letters
from gateway.store.tables import customers
from tests.session.resets.test_told import GRACE, done
from tests.support.furnished import Furnished, furnish

LONDON = ZoneInfo("Europe/London")


def ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0, zone: ZoneInfo = LONDON) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=zone).timestamp() * 1000)


@pytest.fixture
async def brook(store: Store, tmp_path: Path) -> Furnished:
    """A customer since 3 October 2026, 9:00 in London."""
    made = await furnish(store, tmp_path)
    made.clock.at_ms = ms(2026, 10, 3, 9)
    async with store.everyone() as scope:
        await scope.execute(update(customers).values(added_ms=made.clock.at_ms))
    await made.agree()
    await made.contact("kate@customer.example", "daily")
    await made.contact("none@customer.example", "none")
    return made


async def page(brook: Furnished, month: str) -> Month:
    async with brook.store.look(brook.customer) as scope:
        return await Months(brook.audit).page(scope, month)


def lines(month: Month) -> dict[str, tuple[str, ...]]:
    return {section.title: section.lines for section in month.sections}


async def test_a_month_in_which_nobody_came_in_says_so(brook: Furnished) -> None:
    brook.clock.at_ms = ms(2026, 12, 5)
    told = await page(brook, "2026-11")
    assert all(found == () for found in lines(told).values())
    text = told.text()
    for words in ("nobody came in", "nothing was permitted", "nothing was changed", "no password was reset"):
        assert words in text
    assert "November 2026" in text
    assert "Times are those of Europe/London" in text


async def test_a_month_reads_numbers_as_the_customer_writes_them(brook: Furnished) -> None:
    await brook.agree(zone="Europe/Berlin")
    omar = await brook.approver("Omar", "omar@customer.example")
    brook.clock.at_ms = ms(2026, 10, 20, 14, 3)
    grant = await brook.say_yes(await brook.ask(), omar)
    assert grant is not None
    moved = GRACE | {"ddis": ["+4930123456"]}
    await done(brook, grant, await brook.session(grant), Operation.ALTER, before=GRACE, after=moved)
    brook.clock.at_ms = ms(2026, 12, 5)
    (line,) = lines(await page(brook, "2026-10"))["What was changed"]
    assert "Grace: ddi from +441 to 030 123456" in line


async def test_a_month_tells_of_visits_permissions_changes_resets_and_refusals(brook: Furnished) -> None:
    omar = await brook.approver("Omar", "omar@customer.example")
    brook.clock.at_ms = ms(2026, 10, 20, 14, 3)
    grant = await brook.say_yes(await brook.ask(), omar)
    assert grant is not None
    session = await brook.session(grant)
    await done(brook, grant, session, Operation.FIND, count=4)
    await done(brook, grant, session, Operation.ALTER, before=GRACE, after=GRACE | {"name": "Grace\x1b[2J\nBell"})
    await done(brook, grant, session, Operation.REMOVE, state="refused")
    issued = Event(
        "secret.issued", brook.customer, "e", system=brook.system.id, session=session, grant=grant.id,
        operation=await brook.operation(grant, session, Operation.RESET_SIP), data={"secret": "sip", "to": "user"},
        personal=(Personal("address", "grace@customer.example", "subject:sub_1"),),
    )  # fmt: skip
    failed = Event("notice.failed", brook.customer, "postman", data={"what": "visit closed", "code": "given-up"})
    # Nobody misses these: what they asked was answered already, or their reader is gone.
    needless = [
        Event("notice.failed", brook.customer, "postman", data={"what": "needless", "code": code})
        for code in ("answered", "removed")
    ]
    beside = Event("notice.failed", brook.customer, "courier", data={"what": "request waiting", "channel": "chn_1"})
    tom = await Staff(brook.store, brook.audit).known("tom")
    looked = Event(
        "looked.recording", brook.customer, tom, session=session, data={"who": tom},
        personal=(Personal("why", "training", f"customer:{brook.customer}"),),
    )  # fmt: skip
    async with brook.store.scope(brook.customer) as scope:
        await brook.audit.append_many(scope.connection, (issued, failed, *needless, beside, looked))
    await brook.permission.revoke(omar, brook.customer, grant.id, "enough")
    waiting = await brook.ask()
    await brook.permission.withdraw(brook.engineer, brook.customer, waiting.id)
    told = lines(await page(brook, "2026-10"))
    (visit,) = told["Who came in"]
    assert visit == (
        "Tue 20 Oct 2026, 14:03: Ana Silva in Head office, still going on: looked people up, once; "
        "changed a person's details; reset a telephone password"
    )
    permitted = told["What was permitted"]
    assert any("Ana Silva was let into Head office until Tue 20 Oct 2026, 15:03 (by telephone)" in x for x in permitted)
    assert any(
        "the permission of Ana Silva for Head office was ended (by the customer): enough" in x for x in permitted
    )
    (changed,) = told["What was changed"]
    assert changed.endswith("Grace: name from Grace to Grace [2J Bell (Head office)")
    (reset,) = told["Passwords that were reset"]
    assert reset.endswith("the new one went to the user (g…@customer.example) (Head office)")
    refused = told["What was refused or failed"]
    assert any("remove a person was refused on Head office" in x for x in refused)
    assert any("Ana Silva asked to come into Head office and took it back" in x for x in refused)
    known = told["What you should know"]
    assert any("Omar may say yes for you from now on" in x for x in known)
    assert any("a message to you beside mail could not be delivered (request waiting)" in x for x in known)
    assert not any("needless" in x for x in known)
    assert any("a mail to you could not be delivered (visit closed)" in x for x in known)
    (look,) = told["Who looked at records"]
    assert look.endswith("tom looked at a recording: training")


async def test_a_month_begins_and_ends_at_the_customers_midnights(brook: Furnished) -> None:
    omar = await brook.approver("Omar", "omar@customer.example")
    for at_ms in (ms(2026, 10, 31, 23, 59), ms(2026, 11, 1)):  # the clocks went back a week before
        brook.clock.at_ms = at_ms
        grant = await brook.say_yes(await brook.ask(), omar)
        assert grant is not None
        await brook.session(grant)
    brook.clock.at_ms = ms(2026, 11, 2)
    october, november = await page(brook, "2026-10"), await page(brook, "2026-11")
    assert [x[:22] for x in lines(october)["Who came in"]] == ["Sat 31 Oct 2026, 23:59"]
    assert [x[:22] for x in lines(november)["Who came in"]] == ["Sun 1 Nov 2026, 00:00:"]
    assert len(lines(october)["What was permitted"]) == 3  # and the agreement, drawn up and confirmed
    assert len(lines(november)["What was permitted"]) == 1
    assert (october.ongoing, november.ongoing) == (False, True)
    assert "so far" in november.text()


async def test_a_long_month_is_cut_and_says_by_how_much(brook: Furnished) -> None:
    failed = [Event("notice.failed", brook.customer, "postman", data={"what": "daily", "code": "x"})] * 1100
    async with brook.store.scope(brook.customer) as scope:
        await brook.audit.append_many(scope.connection, failed)
    known = next(s for s in (await page(brook, "2026-10")).sections if s.title == "What you should know")
    assert (len(known.lines), known.more) == (100, 1000)


async def test_a_tampered_entry_is_said_to_be_and_hides_no_other(brook: Furnished) -> None:
    omar = await brook.approver("Omar", "omar@customer.example")
    grant = await brook.say_yes(await brook.ask(), omar)
    assert grant is not None
    await done(brook, grant, await brook.session(grant), Operation.ALTER, before=GRACE, after=GRACE | {"name": "X"})
    async with brook.store.scope(brook.customer) as scope:
        await scope.execute(update(payloads).where(payloads.c.key_id == "subject:sub_1").values(sealed=b"x" * 64))
    told = lines(await page(brook, "2026-10"))
    assert "does not hold" in told["What was changed"][0]
    assert told["Who came in"]


@pytest.mark.parametrize("month", ["", "2026-13", "2026-00", "2026-1", "٢٠٢٦-١٠", "9999-01", "2026-10-01", "x" * 500])
def test_what_is_no_month_is_refused(month: str) -> None:
    with pytest.raises(InvalidError, match="no month"):
        begins_ms(month, LONDON)


async def test_a_month_that_has_not_begun_is_refused(brook: Furnished) -> None:
    with pytest.raises(InvalidError, match="not begun"):
        await page(brook, "2026-11")


def test_months_follow_each_other() -> None:
    assert [next_month("2026-10"), next_month("2026-12")] == ["2026-11", "2027-01"]


@pytest.mark.parametrize(
    ("now", "last", "months"),
    [
        ((2026, 10, 31, 23, 59), None, []),
        ((2026, 11, 1, 6, 59), None, []),
        ((2026, 11, 1, 7, 0), None, ["2026-10"]),
        ((2026, 11, 30, 12, 0), None, ["2026-10"]),
        ((2026, 11, 30, 12, 0), "2026-10", []),
        ((2027, 2, 3, 12, 0), "2026-10", ["2026-11", "2026-12", "2027-01"]),
        ((2030, 1, 1, 8, 0), "2026-10", [f"2029-{n:02d}" for n in range(1, 13)]),
    ],
)
def test_which_months_are_due(now: tuple[int, int, int, int, int], last: str | None, months: list[str]) -> None:
    assert due(ms(2026, 10, 3, 9), last, ms(*now), LONDON) == months


@pytest.mark.parametrize("name", ["Pacific/Kiritimati", "Etc/GMT+12", "America/Sao_Paulo", "UTC"])
async def test_each_is_mailed_on_the_first_by_the_customers_own_clock(brook: Furnished, name: str) -> None:
    zone = ZoneInfo(name)
    await brook.agree(zone=name)
    letters = MonthLetters(brook.store, brook.audit)
    brook.clock.at_ms = ms(2026, 11, 1, 6, 59, zone)
    assert await letters.send_due() == 0
    brook.clock.at_ms = ms(2026, 11, 1, 7, 0, zone)
    assert await letters.send_due() == 1
    assert await letters.send_due() == 0


async def test_it_goes_once_to_everybody_who_is_told_anything(brook: Furnished) -> None:
    await brook.approver("Omar", "omar@customer.example")
    letters = MonthLetters(brook.store, brook.audit)
    brook.clock.at_ms = ms(2027, 1, 15, 12)  # nothing ran since the autumn
    assert await letters.send_due() == 3
    assert await MonthLetters(brook.store, brook.audit).send_due() == 0
    mails = [row for row in await brook.waiting() if row.what == "month"]
    assert {row.address for row in mails} == {"kate@customer.example", "omar@customer.example"}
    assert {row.subject for row in mails} == {
        "Your phone systems in October 2026", "Your phone systems in November 2026",
        "Your phone systems in December 2026",
    }  # fmt: skip
    assert len(mails) == 6
    async with brook.store.look(brook.customer) as scope:
        assert await is_present(scope, "kate@customer.example")


async def test_of_several_nodes_one_sends_it(brook: Furnished) -> None:
    brook.clock.at_ms = ms(2026, 11, 1, 9)
    sent = await asyncio.gather(*(MonthLetters(brook.store, brook.audit).send_due() for _ in range(4)))
    assert sum(sent) == 1
    assert [row.address for row in await brook.waiting() if row.what == "month"] == ["kate@customer.example"]


async def test_a_customer_of_today_is_sent_nothing_about_before(brook: Furnished) -> None:
    brook.clock.at_ms = ms(2026, 11, 1, 7) + 2 * HOUR
    neighbour = await brook.directory.add_customer("t", "Neighbour")
    await MonthLetters(brook.store, brook.audit).send_due()
    brook.clock.at_ms += 20 * DAY
    await MonthLetters(brook.store, brook.audit).send_due()
    async with brook.store.look_at_everyone() as scope:
        rows = (await scope.execute(month_letters.select())).all()
    assert [row.id for row in rows if row.customer_id == neighbour] == []
    assert [row.id for row in rows if row.customer_id == brook.customer] == ["2026-10"]
