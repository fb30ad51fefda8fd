"""What became of each message is seen, approvers find the portal in their mail, and each is told as they wish."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.access.asking import Asking
from gateway.model import MINUTE
from gateway.notify import Postman, by_person, deliveries_of, queue, zone_of
from gateway.notify.outbox import anybody_wishes, tell_contacts
from gateway.smtp import MailSettings
from tests.support.furnished import Furnished
from tests.support.post import Post, post_office

KATE, OMAR, ANA = "kate@customer.example", "omar@customer.example", "ana@company.example"
PORTAL = "https://portal.example"


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with post_office() as running:
        yield running


def postman(brook: Furnished, port: int, portal: str = PORTAL) -> Postman:
    settings = MailSettings("127.0.0.1", port, "frameroom@company.example", "none")
    return Postman(brook.store, brook.audit, settings, portal=lambda: portal)


async def told(brook: Furnished, request: str) -> list[tuple[str, str]]:
    async with brook.store.look(brook.customer) as scope:
        return by_person(await deliveries_of(scope, request), await zone_of(scope))


async def test_an_approvers_mail_says_where_to_answer_and_nobody_elses_does(brook: Furnished, post: Post) -> None:
    await brook.agree()
    await brook.approver("Kate", KATE)
    await brook.ask()
    async with brook.store.scope(brook.customer) as scope:
        await queue(scope, [ANA, KATE], "undelivered", "S", "B\n", brook.clock.now())
        await queue(scope, [KATE], "invitation", "I", f"{PORTAL}/its/own\n", brook.clock.now())
    await postman(brook, post.port).send_due()
    bodies = {(str(mail["to"]), str(mail["subject"])): str(mail.get_content()) for mail in post.kept}
    assert f"Answer here: {PORTAL}" in bodies[KATE, "Waiting for your answer: Ana Silva"]
    assert f"Your portal: {PORTAL}" in bodies[KATE, "S"]
    assert PORTAL not in bodies[ANA, "S"]
    assert bodies[KATE, "I"].count(PORTAL) == 1


async def test_without_an_address_no_mail_names_one(brook: Furnished, post: Post) -> None:
    await brook.agree()
    await brook.approver("Kate", KATE)
    await brook.ask()
    await postman(brook, post.port, "").send_due()
    assert "Answer here" not in "".join(str(mail.get_content()) for mail in post.kept)


async def test_a_mail_waits_is_tried_again_and_is_sent_and_each_is_seen(brook: Furnished, post: Post) -> None:
    await brook.agree()
    await brook.approver("Kate", KATE)
    post.answers = ["451 not now"]
    request = await brook.ask()
    assert await told(brook, request.id) == [("Kate", "mail waiting 15:13")]
    await postman(brook, post.port).send_due()
    assert await told(brook, request.id) == [("Kate", "mail waiting 15:13 (no answer; it is tried again)")]
    brook.clock.at_ms += MINUTE
    await postman(brook, post.port).send_due()
    assert await told(brook, request.id) == [("Kate", "mail sent 15:14")]


async def test_a_question_that_was_answered_is_not_mailed_any_more(brook: Furnished, post: Post) -> None:
    await brook.agree()
    kate = await brook.approver("Kate", KATE)
    request = await brook.ask()
    assert await brook.say_yes(request, kate)
    await postman(brook, post.port).send_due()
    assert [str(mail["subject"]) for mail in post.kept] == ["A yes by telephone was entered: Ana Silva"]
    assert await told(brook, request.id) == [("Kate", "mail not needed 15:13 (answered)")]


async def test_approvers_are_told_of_visits_as_they_wish(brook: Furnished) -> None:
    asking = Asking(brook.store, brook.audit)
    people = {name: await brook.approver(name, f"{name}@customer.example") for name in ("a", "b", "c", "d", "e")}
    for name, wish in (("b", "changes"), ("c", "daily"), ("d", "none")):
        await asking.notices("t", brook.customer, people[name], wish)
    await brook.contact("E@customer.example", "none")  # e is a contact too, and wishes nothing as that
    for wishes, what in ((("each",), "visit opened"), (("each", "changes"), "visit closed")):
        async with brook.store.scope(brook.customer) as scope:
            await tell_contacts(scope, wishes, what, "S", "B\n", brook.clock.now(), daily=what == "visit closed")
    visits = [row for row in await brook.waiting() if row.what.startswith("visit")]
    rows = [(row.address[0], row.what, bool(row.batch)) for row in visits]
    assert sorted(rows) == [
        ("a", "visit closed", False), ("a", "visit opened", False), ("b", "visit closed", False),
        ("c", "visit closed", True),
    ]  # fmt: skip


@pytest.mark.parametrize("standing", ["prospective", "former"])
async def test_who_is_no_current_contact_is_told_of_no_visit(brook: Furnished, standing: str) -> None:
    values = {"name": "Pat", "email": "pat@customer.example", "standing": standing}
    await brook.directory.contacts.add("t", brook.customer, values)
    async with brook.store.scope(brook.customer) as scope:
        assert not await anybody_wishes(scope, "each")
        await tell_contacts(scope, ("each",), "visit opened", "S", "B\n", brook.clock.now())
    assert await brook.waiting() == []
