"""What the customer reads: who, why, what was looked at and changed, in plain words; on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from connectors.contract import Operation, Person
from gateway import notify
from gateway.errors import ConflictError, NotPermittedError, StateError
from gateway.model import MINUTE, Grant
from gateway.notify import Told
from gateway.store.tables import outbox
from tests.support.furnished import Furnished

KATE, OMAR, ANA = "kate@customer.example", "omar@customer.example", "ana@company.example"


async def granted(brook: Furnished, reason: str = "Grace married", ticket: str = "T-7") -> Grant:
    await brook.agree()
    await brook.approver("Kate", KATE)
    omar = await brook.approver("Omar", OMAR)
    grant = await brook.say_yes(await brook.ask(reason, ticket), omar)
    assert grant is not None
    return grant


async def letters(brook: Furnished, what: str) -> dict[str, tuple[str, str]]:
    """Subject and body by address, of the messages of one kind."""
    return {row.address: (row.subject, row.body) for row in await brook.waiting() if row.what == what}


async def test_a_waiting_request_is_told_to_whose_turn_it_is_and_carries_no_link(brook: Furnished) -> None:
    await granted(brook)
    told = await letters(brook, "request waiting")
    assert set(told) == {KATE}
    subject, body = told[KATE]
    assert subject == "Waiting for your answer: Ana Silva"
    assert "Ana Silva (engineer of your telephone maintainer) asks to come into Head office (Brook)" in body
    assert "Why: Grace married\nTicket: T-7\n" in body
    assert "Until: Monday 21 September 2026, 16:13 (Europe/London)" in body
    assert "reset a voicemail PIN (without seeing it)" in body
    assert "http" not in body


async def test_9_a_yes_by_telephone_is_told_to_every_approver_at_once(brook: Furnished) -> None:
    await granted(brook)
    told = await letters(brook, "consent by telephone")
    assert set(told) == {KATE, OMAR}
    body = told[KATE][1]
    assert "(by telephone, recorded by Bo). It is permitted now." in body
    assert "Said yes: Omar, Monday 21 September 2026, 15:13 (Europe/London)" in body


async def test_a_removed_approver_is_told_nothing(brook: Furnished) -> None:
    await brook.agree()
    kate = await brook.approver("Kate", KATE)
    await brook.approver("Omar", OMAR)
    await brook.directory.remove_approver("t", brook.customer, kate)
    await brook.ask()
    assert set(await letters(brook, "request waiting")) == {OMAR}


async def test_a_visit_from_opening_to_closing(brook: Furnished) -> None:
    grant = await granted(brook)
    await brook.contact(KATE, "each")
    session = await brook.session(grant)
    for name in (Operation.FIND, Operation.FIND, Operation.VIEW):
        await brook.operation(grant, session, name)
    await brook.operation(grant, session, Operation.VIEW, "failed")
    told = Told(
        ["Grace: email from nothing to g@customer.example", "telephone password of Grace was reset; the new one went "
         "to approver Kate (k…@customer.example)"], 3, True, "the engineer left",
    )  # fmt: skip
    async with brook.store.scope(brook.customer) as scope:
        await notify.visit_opened(scope, grant, brook.clock.now())
        brook.clock.at_ms += 5 * 60_000
        await notify.visit_closed(scope, session, told, brook.clock.now())
    subject, body = (await letters(brook, "visit opened"))[KATE]
    assert subject == "Ana Silva is in Head office"
    assert "Why: Grace married\nTicket: T-7\nPermission: by telephone, recorded by Bo; it ends on Monday" in body
    subject, body = (await letters(brook, "visit closed"))[KATE]
    assert subject == "Ana Silva left Head office"
    assert body == (
        "Ana Silva (engineer of your telephone maintainer) left Head office (Brook) on Monday 21 September 2026, "
        "15:18 (Europe/London).\n\n"
        "Came in: Monday 21 September 2026, 15:13 (Europe/London)\nWhy: Grace married\nTicket: T-7\n"
        "Permission: by telephone, recorded by Bo; Omar said yes\n\n"
        "What was looked at:\n  - people were looked up by name, number or email, twice\n"
        "  - one person's details were looked at, once\n  - 3 people were seen\n\n"
        "What was done:\n  - Grace: email from nothing to g@customer.example\n"
        "  - telephone password of Grace was reset; the new one went to approver Kate (k…@customer.example)\n\n"
        "The visit ended because the engineer left.\n"
        f"It left 0 entries in your log, under {session}.\n"
    )


async def test_nothing_done_is_said_and_told_to_whoever_wants_each_visit(brook: Furnished) -> None:
    grant = await granted(brook)
    await brook.contact(KATE, "each")
    await brook.contact(OMAR, "changes")
    session = await brook.session(grant)
    async with brook.store.scope(brook.customer) as scope:
        await notify.visit_closed(scope, session, Told([], 0, False, "the engineer left"), brook.clock.now())
    told = await letters(brook, "visit closed")
    assert set(told) == {KATE}
    assert "looked at:\n  - nobody's details\n\nWhat was done:\n  - nothing was changed\n" in told[KATE][1]


async def test_a_long_list_is_cut_and_says_how_much_more(brook: Furnished) -> None:
    grant = await granted(brook)
    await brook.contact(KATE, "each")
    session = await brook.session(grant)
    lines = [f"Person {n} was removed" for n in range(1000)]
    async with brook.store.scope(brook.customer) as scope:
        await notify.visit_closed(scope, session, Told(lines, 0, True, "the engineer left"), brook.clock.now())
    body = (await letters(brook, "visit closed"))[KATE][1]
    assert "Person 199 was removed\n  - and 800 more, each in the visit's log\n" in body


async def test_hostile_words_break_neither_layout_nor_header(brook: Furnished) -> None:
    evil = "x\r\n\r\nWhat was done:\n  - nothing\u202e https://evil.example/ \x1b[2J"
    seen = "What was done: - nothing https://evil.example/"  # a request takes one line, without what cannot be seen
    grant = await granted(brook, reason=seen, ticket=seen)
    await brook.contact(KATE, "each")
    session = await brook.session(grant)
    async with brook.store.scope(brook.customer) as scope:
        await notify.revoked(scope, grant, evil, brook.clock.now())
        await notify.visit_closed(scope, session, Told([evil], 1, True, evil), brook.clock.now())
        person = Person("1", evil, evil, KATE, ())
        await notify.person_changed(scope, person, evil, email_changed=True, now=brook.clock.now())
    for row in await brook.waiting():
        for text in (row.subject, row.body):
            assert not {"\r", "\x1b", "\u202e"} & set(text)
            assert "https://" not in text
        assert "\n" not in row.subject
        assert row.body.count("\nWhat was done:\n") == (row.what == "visit closed")


async def test_6_a_changed_address_is_told_to_the_old_one_and_to_approvers(brook: Furnished) -> None:
    await granted(brook)
    grace = Person("2001", "2001", "Grace", "old@customer.example", ())
    async with brook.store.scope(brook.customer) as scope:
        told = "email from old@customer.example to new@customer.example"
        await notify.person_changed(scope, grace, told, email_changed=True, now=brook.clock.now())
    assert set(await letters(brook, "address changed")) == {KATE, OMAR, "old@customer.example"}


async def test_6_a_changed_number_is_told_to_approvers(brook: Furnished) -> None:
    await granted(brook)
    grace = Person("2001", "2001", "Grace", "old@customer.example", ())
    async with brook.store.scope(brook.customer) as scope:
        told = "ddi from +441 to +442"
        await notify.person_changed(scope, grace, told, email_changed=False, now=brook.clock.now())
    assert set(await letters(brook, "address changed")) == {KATE, OMAR}


async def test_6_a_file_that_never_comes_to_its_end_is_told_to_approvers_all_the_same(brook: Furnished) -> None:
    grant, now = await granted(brook), brook.clock.now()
    held = None
    for line in ("Grace: ddi from +441 to +442", "Ned: ddi from +443 to +444"):
        async with brook.store.scope(brook.customer) as scope:
            held = await notify.hold_for_approvers(scope, held, grant, line, now)
    waiting = [row for row in await brook.waiting() if row.what == "file applied"]
    assert sorted(row.address for row in waiting) == [KATE, OMAR], "one mail each, whatever the file's length"
    for row in waiting:
        assert row.due_ms == now + 10 * MINUTE
        assert "Grace: ddi from +441 to +442\n  - Ned: ddi from +443 to +444\n" in row.body
    # One that is on its way is left alone, and what follows it is a mail of its own.
    async with brook.store.scope(brook.customer) as scope:
        await scope.execute(update(outbox).where(outbox.c.what == "file applied").values(due_ms=now + 1))
    async with brook.store.scope(brook.customer) as scope:
        held = await notify.hold_for_approvers(scope, held, grant, "Zoe: ddi from +445 to +446", now)
    later = [r.body for r in await brook.waiting() if r.what == "file applied" and r.due_ms != now + 1]
    assert len(later) == 2
    assert all("Zoe" in body and "Grace" not in body for body in later)
    async with brook.store.scope(brook.customer) as scope:
        await notify.let_go(scope, held)
    assert [r.due_ms for r in await brook.waiting() if r.what == "file applied"] == [now + 1] * 2


async def test_a_whole_file_is_one_mail_to_each_contact_as_they_wish(brook: Furnished) -> None:
    grant = await granted(brook)
    for email, notices in (
        (KATE, "each"),
        ("c@x.example", "changes"),
        ("d@x.example", "daily"),
        ("n@x.example", "none"),
    ):
        await brook.contact(email, notices)
    told = notify.FileApplied(grant, {"done": 2, "refused": 1}, ["Grace: name from A to B"] * 2, 7, addresses=True)
    async with brook.store.scope(brook.customer) as scope:
        await notify.file_applied(scope, told, brook.clock.now())
    found = await letters(brook, "file applied")
    assert set(found) == {KATE, OMAR, "c@x.example", "d@x.example"}
    subject, body = found[KATE]
    assert subject == "Ana Silva applied a file of changes to Head office"
    for words in ("Why: Grace married\nTicket: T-7\n", "  - 2 done\n  - 1 refused, nothing was changed\n",
                  "and 7 more, each in the visit's log"):  # fmt: skip
        assert words in body
    (daily,) = [row for row in await brook.waiting() if row.address == "d@x.example"]
    assert daily.batch, "into the mail of the day"


@pytest.mark.parametrize("certain", [True, False])
async def test_an_undelivered_secret_is_told_with_what_to_do(brook: Furnished, certain: bool) -> None:
    await granted(brook)
    async with brook.store.scope(brook.customer) as scope:
        await notify.reset_undelivered(
            scope, brook.engineer, brook.system.id, "voicemail", "Grace (extension 2001)", "g…@customer.example",
            certain=certain, now=brook.clock.now(),
        )  # fmt: skip
    told = await letters(brook, "undelivered")
    assert set(told) == {KATE, OMAR, ANA}
    assert "Ask Ana Silva to reset it once more." in told[KATE][1]
    assert "Reset it once more; see first that mail to g…@customer.example arrives." in told[ANA][1]
    assert ("its link opens no more" in told[KATE][1]) is certain


# --- more than one yes ---


async def test_two_persons_have_to_say_yes_where_it_is_agreed(brook: Furnished) -> None:
    await brook.agree(approvals_needed=2)
    kate, omar = await brook.approver("Kate", KATE), await brook.approver("Omar", OMAR)
    request = await brook.ask()
    assert await brook.say_yes(request, kate, "Bo") is None
    assert "It is not permitted yet: 1 more must say yes." in (await letters(brook, "consent by telephone"))[OMAR][1]
    grant = await brook.say_yes(request, omar, "Cy")
    assert grant is not None
    assert set(grant.approver_ids) == {kate, omar}
    assert grant.how == "by telephone, recorded by Bo, Cy"
    kinds = await brook.kinds()
    assert (kinds.count("consent.recorded"), kinds.count("request.granted")) == (2, 1)
    with pytest.raises(StateError):
        await brook.say_yes(request, kate)


async def test_one_person_says_yes_once_under_however_many_names(brook: Furnished) -> None:
    await brook.agree(approvals_needed=2)
    kate, again = await brook.approver("Kate", KATE), await brook.namesake("K. Brook", "KATE@customer.example")
    await brook.approver("Omar", OMAR)
    request = await brook.ask()
    assert await brook.say_yes(request, kate) is None
    for same in (kate, again):
        with pytest.raises(ConflictError, match="has said yes to this request already"):
            await brook.say_yes(request, same)
    assert "request.granted" not in await brook.kinds()


async def test_the_yes_of_somebody_removed_since_counts_no_more(brook: Furnished) -> None:
    await brook.agree(approvals_needed=2)
    kate, omar = await brook.approver("Kate", KATE), await brook.approver("Omar", OMAR)
    request = await brook.ask()
    await brook.say_yes(request, kate)
    await brook.directory.remove_approver("t", brook.customer, kate)
    assert await brook.say_yes(request, omar) is None


async def test_more_yeses_than_there_are_people_is_refused_before_anybody_is_asked(brook: Furnished) -> None:
    await brook.agree(approvals_needed=2)
    await brook.approver("Kate", KATE)
    await brook.namesake("K. Brook", "KATE@customer.example")
    with pytest.raises(NotPermittedError, match="wants 2 people to say yes, and has 1 who may"):
        await brook.ask()
    assert [row.what for row in await brook.waiting() if row.what != "approver added"] == []


async def test_what_was_withdrawn_cannot_be_granted(brook: Furnished) -> None:
    await brook.agree()
    kate = await brook.approver("Kate", KATE)
    request = await brook.ask()
    await brook.permission.withdraw("t", brook.customer, request.id)
    with pytest.raises(StateError, match="withdrawn"):
        await brook.say_yes(request, kate)
    assert (await brook.kinds()).count("request.withdrawn") == 1
