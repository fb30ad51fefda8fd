"""The loop that sends: nothing is lost, nothing goes to who left, a duplicate can be told; on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import update

from audit.checkpoint import Signer, notes_in, parse
from audit.publisher import object_name
from audit.sequencer import Sequencer
from audit.storage import LocalObjects
from gateway.model import DAY, MINUTE
from gateway.notify import Postman, queue
from gateway.notify.outbox import tell_contacts
from gateway.smtp import MailSettings, Way
from gateway.store.tables import contacts, outbox
from tests.support.furnished import Furnished
from tests.support.post import Post, post_office

KATE, OMAR = "kate@customer.example", "omar@customer.example"


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with post_office() as running:
        yield running


def postman(brook: Furnished, port: int) -> Postman:
    settings = MailSettings("127.0.0.1", port, "frameroom@company.example", "none")
    return Postman(brook.store, brook.audit, settings)


async def put(brook: Furnished, *addresses: str, what: str = "undelivered", subject: str = "S") -> None:
    async with brook.store.scope(brook.customer) as scope:
        await queue(scope, addresses, what, subject, "B\n", brook.clock.now())


async def tell(brook: Furnished, subject: str) -> None:
    async with brook.store.scope(brook.customer) as scope:
        await tell_contacts(scope, ("each",), "visit closed", subject, f"{subject}.\n", brook.clock.now(), daily=True)


async def test_it_is_sent_once_and_gone(brook: Furnished, post: Post) -> None:
    await put(brook, KATE, "Kate@Customer.Example", OMAR)
    await postman(brook, post.port).send_due()
    await postman(brook, post.port).send_due()
    assert sorted(to for (to,) in post.recipients) == ["Kate@Customer.Example", OMAR]
    assert await brook.waiting() == []
    assert (await brook.kinds()).count("notice.sent") == 2


async def test_a_server_that_is_down_for_a_day_loses_nothing(brook: Furnished) -> None:
    async with post_office() as gone:
        port = gone.port
    away = postman(brook, port)
    await put(brook, KATE, OMAR)
    for _ in range(30):
        await away.send_due()
        brook.clock.at_ms += 50 * MINUTE
    rows = await brook.waiting()
    assert len(rows) == 2
    # However long it was away, what waits is tried again within ten minutes; the failure was told once each.
    assert {row.tries for row in rows} == {30}
    assert (await brook.kinds()).count("notice.failed") == 2
    async with post_office(port=port) as back:
        await away.send_due()
    assert sorted(to for (to,) in back.recipients) == [KATE, OMAR]
    assert await brook.waiting() == []


async def test_it_waits_longer_each_time_and_ten_minutes_at_most(brook: Furnished) -> None:
    async with post_office() as gone:
        port = gone.port
    away, waits = postman(brook, port), []
    await put(brook, KATE)
    for _ in range(12):
        await away.send_due()
        (row,) = await brook.waiting()
        waits.append(row.due_ms - brook.clock.now())
        brook.clock.at_ms = row.due_ms
    assert waits[:4] == [5_000, 10_000, 20_000, 40_000]
    assert waits == sorted(waits)
    assert waits[-1] == 10 * MINUTE


async def test_a_refusal_for_good_is_given_up_after_days_and_told(brook: Furnished, post: Post) -> None:
    post.answers = ["554 never"] * 13
    await put(brook, KATE)
    began = brook.clock.now()
    for _ in range(13):
        await postman(brook, post.port).send_due()
        for row in await brook.waiting():
            brook.clock.at_ms = row.due_ms
    assert await brook.waiting() == []
    assert post.answers == []
    assert brook.clock.now() - began > 5 * DAY
    assert (await brook.kinds()).count("notice.failed") == 2


async def test_between_sending_and_forgetting_a_restart_sends_it_again_under_the_same_id(
    brook: Furnished, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(brook, KATE)

    async def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Postman, "_over", killed)
        with pytest.raises(KeyboardInterrupt):
            await postman(brook, post.port).send_due()
    # The next process does not hurry: another node may be sending it at this moment.
    await postman(brook, post.port).send_due()
    assert len(post.kept) == 1
    brook.clock.at_ms += 2 * MINUTE
    await postman(brook, post.port).send_due()
    assert len(post.kept) == 2
    assert len({m["Message-ID"] for m in post.kept}) == 1
    assert await brook.waiting() == []


async def test_an_address_that_is_none_stops_nobody_elses_mail(brook: Furnished, post: Post) -> None:
    await put(brook, "nonsense\nBcc: x@y.example", KATE)
    await postman(brook, post.port).send_due()
    assert post.recipients == [[KATE]]
    assert await brook.waiting() == []
    assert "notice.failed" in await brook.kinds()


async def test_whoever_was_removed_while_it_waited_gets_nothing(brook: Furnished, post: Post) -> None:
    await brook.contact(KATE, "each")
    await brook.contact(OMAR, "each")
    await tell(brook, "Ana left")
    async with brook.store.scope(brook.customer) as scope:
        await scope.execute(update(contacts).where(contacts.c.email == KATE).values(removed_ms=1))
    await postman(brook, post.port).send_due()
    assert post.recipients == [[OMAR]]
    assert await brook.waiting() == []


async def test_each_contact_as_they_wish(brook: Furnished, post: Post) -> None:
    for name, notices in (("each", "each"), ("changes", "changes"), ("daily", "daily"), ("none", "none")):
        await brook.contact(f"{name}@customer.example", notices)
    await brook.contact("gone@customer.example", "each", removed_ms=1)
    await tell(brook, "Ana left")
    await postman(brook, post.port).send_due()
    assert post.recipients == [["each@customer.example"]]
    brook.clock.at_ms += DAY
    await postman(brook, post.port).send_due()
    assert post.recipients[1:] == [["daily@customer.example"]]


async def test_one_mail_a_day_with_each_visit_in_order(brook: Furnished, post: Post) -> None:
    await brook.agree()
    await brook.contact(KATE, "daily")
    for number in range(1, 61):
        await tell(brook, f"Visit {number}")
        brook.clock.at_ms += 1000
    # 15:13 in London: nothing goes out before six, and what comes after belongs to the next day.
    await postman(brook, post.port).send_due()
    assert post.kept == []
    brook.clock.at_ms = 1_790_000_000_000 + 3 * 60 * MINUTE
    await tell(brook, "A late visit")
    await postman(brook, post.port).send_due()
    (mail,) = post.kept
    text = "\n".join(str(mail.get_content()).splitlines()) + "\n"
    assert mail["Subject"] == "Your phone systems: Monday 21 September"
    assert "Monday 21 September 2026, 18:00 (Europe/London)" in text
    places = [text.index(f"Visit {number}.\n") for number in range(1, 61)]
    assert places == sorted(places)
    assert "late" not in text
    assert [row.batch for row in await brook.waiting()] == ["2026-09-22"]
    assert (await brook.kinds()).count("notice.sent") == 1


async def test_a_contact_named_twice_is_told_once(brook: Furnished) -> None:
    await brook.contact(KATE, "daily")
    await brook.contact("KATE@customer.example", "each")
    await tell(brook, "Ana left")
    assert [row.batch for row in await brook.waiting()] == [""]


async def test_two_nodes_do_not_both_send(brook: Furnished, post: Post) -> None:
    await put(brook, *(f"{n}@customer.example" for n in range(10)))
    first, second = postman(brook, post.port), postman(brook, post.port)
    async with brook.store.look(brook.customer) as scope:
        seen = (await scope.execute(outbox.select().order_by(outbox.c.id))).all()
    # The second looked before the first sent: what it saw is taken by the time it comes to it.
    await first.send_due()
    async with Way(MailSettings("127.0.0.1", post.port, "frameroom@company.example", "none")) as way:
        for row in seen:
            await second._attend(row, brook.clock.now(), way)
    assert len(post.kept) == 10


# --- the checkpoint that a customer keeps ---


async def publishing(brook: Furnished, folder: Path) -> tuple[Sequencer, LocalObjects]:
    objects = LocalObjects(folder / "objects")
    return Sequencer(Signer("d.example", Ed25519PrivateKey.generate()), "d.example", objects), objects


async def publish(brook: Furnished, sequencer: Sequencer) -> None:
    async with brook.store.scope(brook.customer) as scope:
        note = await sequencer.integrate(scope.connection, brook.customer)
    assert note is not None
    async with brook.store.look(brook.customer) as scope:
        await sequencer.publish(scope.connection, brook.customer, note)


async def test_the_mail_after_a_visit_ends_with_a_checkpoint_that_covers_it(
    brook: Furnished, post: Post, tmp_path: Path
) -> None:
    await brook.contact(KATE, "each")
    sequencer, objects = await publishing(brook, tmp_path)
    settings = MailSettings("127.0.0.1", post.port, "frameroom@company.example", "none")
    sender = Postman(brook.store, brook.audit, settings, lambda log: objects.get(object_name(log)))
    await tell(brook, "Ana left")
    await sender.send_due()
    assert post.recipients == [], "not before the log that it tells of is published"
    await publish(brook, sequencer)
    await sender.send_due()
    (mail,) = [kept.get_content() for kept in post.kept]
    (note,) = notes_in(mail)
    assert note.encode() == objects.get(object_name(brook.customer))
    async with brook.store.look(brook.customer) as scope:
        rows = await brook.audit.read(scope.connection, brook.customer, kinds=("notice.sent",))
    assert [row.body["data"]["size"] for row in rows] == [parse(note).size]


async def test_a_log_that_cannot_be_published_holds_up_no_mail_for_ever(
    brook: Furnished, post: Post, tmp_path: Path
) -> None:
    await brook.contact(KATE, "each")
    settings = MailSettings("127.0.0.1", post.port, "frameroom@company.example", "none")
    sender = Postman(brook.store, brook.audit, settings, lambda _: None)
    await tell(brook, "Ana left")
    await sender.send_due()
    assert post.recipients == []
    brook.clock.at_ms += MINUTE
    await sender.send_due()
    (mail,) = [kept.get_content() for kept in post.kept]
    assert notes_in(mail) == []
