"""The closing mail of a visit whose process is gone: what its log knows, on both databases."""

from __future__ import annotations

from typing import Any

from audit.events import Event, Personal
from connectors.contract import Operation, SecretKind
from gateway import notify
from gateway.access.told import Counting, prepared_in, told_by_log
from gateway.model import Grant, new_id
from gateway.session.links import Links, Reset
from gateway.session.recipients import Recipient
from tests.support.furnished import Furnished

GRACE = {"id": "2001", "extension": "2001", "name": "Grace", "email": "old@customer.example", "ddis": ["+441"]}


async def done(
    brook: Furnished, grant: Grant, session: str, name: Operation, *, count: int = 1, state: str = "done", **fields: Any
) -> None:
    """An operation with its outcome, as performing.py writes it."""
    operation = await brook.operation(grant, session, name, state)
    data = {"name": name.value} | ({"count": count} if state == "done" else {"code": "crashed"})
    event = Event(
        f"operation.{state}", brook.customer, "e", system=brook.system.id, session=session, grant=grant.id,
        operation=operation, data=data,
        personal=tuple(Personal(field, value, "subject:sub_1") for field, value in fields.items()),
    )  # fmt: skip
    async with brook.store.scope(brook.customer) as scope:
        await brook.audit.append(scope.connection, event)


async def test_everything_that_was_done_for_certain_and_what_cannot_be_told(brook: Furnished) -> None:
    await brook.agree()
    omar = await brook.approver("Omar", "omar@customer.example")
    await brook.contact("kate@customer.example", "changes")
    grant = await brook.say_yes(await brook.ask(), omar)
    assert grant is not None
    session = await brook.session(grant)
    await done(brook, grant, session, Operation.FIND, count=4)
    await done(brook, grant, session, Operation.VIEW)
    await done(brook, grant, session, Operation.ALTER, before=GRACE, after=GRACE | {"email": None, "ddis": ["+442"]})
    await done(brook, grant, session, Operation.ALTER, state="unknown")
    operation = await brook.operation(grant, session, Operation.RESET_SIP)
    reset = Reset(
        brook.customer, brook.system.id, session, grant.id, "e", operation, "sub_1", SecretKind.SIP, new_id("lnk")
    )
    async with brook.store.scope(brook.customer) as scope:
        to = Recipient("kate@customer.example", "Kate", omar)
        await Links(brook.store, brook.audit).prepare(scope, reset, b"x", to)
        await Links(brook.store, brook.audit).ready(scope, reset, to)
    async with brook.store.scope(brook.customer) as scope:
        told = await told_by_log(brook.audit, scope, session)
        await notify.visit_closed(scope, session, told, brook.clock.now())
    closed = {row.address: row.body for row in await brook.waiting() if row.what == "visit closed"}
    assert set(closed) == {"kate@customer.example", "omar@customer.example"}
    body = closed["kate@customer.example"]
    assert "  - at most 5 people were seen\n" in body
    assert body.partition("What was done:\n")[2].partition("It left ")[0] == (
        "  - Grace: email from old@customer.example to nothing; ddi from +441 to +442\n"
        "  - change a person's name, email or direct number: tried, and it cannot be told whether it happened\n"
        "  - a telephone password was reset; the new one went to an approver (k…@customer.example)\n\n"
        "The visit ended because Frameroom stopped in the middle of it.\n"
    )


async def test_a_visit_in_which_nothing_was_done_is_no_change(brook: Furnished) -> None:
    await brook.agree()
    grant = await brook.say_yes(await brook.ask(), await brook.approver("Omar", "omar@customer.example"))
    assert grant is not None
    session = await brook.session(grant)
    await done(brook, grant, session, Operation.VIEW)
    async with brook.store.look(brook.customer) as scope:
        told = await told_by_log(brook.audit, scope, session)
    assert (list(told.lines), told.changed) == ([], False)


async def test_a_diagnostic_and_whose_password_are_named_by_what_was_intended(brook: Furnished) -> None:
    await brook.agree()
    grant = await brook.say_yes(await brook.ask(), await brook.approver("Omar", "omar@customer.example"))
    assert grant is not None
    session = await brook.session(grant)
    ids: dict[str, Any] = {"system": brook.system.id, "session": session, "grant": grant.id}
    diag, reset = {"name": "diag", "fields": ["core show channels"]}, {"name": "reset-sip", "fields": []}
    whose, to = Personal("person", "2002", "subject:sub_1"), Personal("address", "g@b.example", "subject:sub_1")
    events = (
        Event("operation.intended", brook.customer, "e", operation="op_1", data=diag, **ids),
        Event("operation.done", brook.customer, "e", operation="op_1", data={"name": "diag", "count": 0}, **ids),
        Event("operation.intended", brook.customer, "e", operation="op_2", data=reset, personal=(whose,), **ids),
        Event(
            "secret.issued", brook.customer, "e", operation="op_2", data={"secret": "sip", "to": "user"},
            personal=(to,), **ids,
        ),
    )  # fmt: skip
    async with brook.store.scope(brook.customer) as scope:
        await brook.audit.append_many(scope.connection, events)
        told = await told_by_log(brook.audit, scope, session)
    assert list(told.lines) == [
        "the diagnostic `core show channels` was run",
        "a telephone password of 2002 was reset; the new one went to the user (g…@b.example)",
    ]


async def test_whoever_was_looked_up_to_plan_a_change_was_seen_and_not_changed(brook: Furnished) -> None:
    await brook.agree()
    grant = await brook.say_yes(await brook.ask(), await brook.approver("Omar", "omar@customer.example"))
    assert grant is not None
    session = await brook.session(grant)
    operation = await brook.operation(grant, session, Operation.ALTER)
    ids: dict[str, Any] = {"system": brook.system.id, "session": session, "grant": grant.id, "operation": operation}
    planned = (
        Event("operation.intended", brook.customer, "e", data={"name": "alter", "fields": ["plan"]}, **ids),
        Event("operation.done", brook.customer, "e", data={"name": "alter", "count": 500}, **ids),
    )
    async with brook.store.scope(brook.customer) as scope:
        await brook.audit.append_many(scope.connection, planned)
        told = await told_by_log(brook.audit, scope, session)
        assert (list(told.lines), told.seen, told.changed) == ([], 500, False)
        counting = Counting(brook.audit)
        for _ in range(2):
            assert await counting.told(scope, [session, "ses_none"]) == {
                session: "looked at what a change would do, once", "ses_none": "",
            }  # fmt: skip
        # Counted once, and again when its log has grown.
        await brook.audit.append_many(scope.connection, planned)
        assert (await counting.told(scope, [session]))[session] == "looked at what a change would do, twice"
        assert await prepared_in(brook.audit, scope, session) == {operation}
