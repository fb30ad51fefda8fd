"""Other ways than mail, to a real HTTP server: what is said there, what never is, and where nothing goes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.access.channels import Channels, address_of
from gateway.access.contacts import Contacts
from gateway.errors import ConflictError, InvalidError, NotFoundError, StateError, UnavailableError
from gateway.model import MINUTE
from gateway.notify import Carrier, Courier, Ways, by_person, deliveries_of, zone_of
from gateway.notify.apprise_child import Guard, may_reach
from gateway.notify.outbox import tell_contacts
from gateway.store.tables import outbox
from gateway.store.telling_tables import channels
from tests.support.furnished import Furnished
from tests.support.receiver import receiving

KATE = "kate@customer.example"
PORTAL = "https://portal.example"
HERE = Ways(("json", "jsons"), ("127.0.0.0/8",))


def ways(brook: Furnished, how: Ways = HERE) -> tuple[Channels, Courier]:
    carrier = Carrier(how)
    courier = Courier(brook.store, brook.audit, brook.vault, carrier, lambda: PORTAL)
    return Channels(brook.store, brook.audit, brook.vault, carrier), courier


async def kate(brook: Furnished) -> str:
    await brook.agree()
    return await brook.approver("Kate", KATE)


async def told(brook: Furnished, request: str) -> str:
    async with brook.store.look(brook.customer) as scope:
        (found,) = by_person(await deliveries_of(scope, request), await zone_of(scope))
    return f"{found[0]}: {found[1]}"


async def test_it_says_who_waits_and_where_to_answer_and_nothing_more(brook: Furnished, tmp_path: Path) -> None:
    approver = await kate(brook)
    there, courier = ways(brook)
    async with receiving() as hook:
        await there.add("t", brook.customer, approver, "Kate's hook", hook.url)
        request = await brook.ask("Grace Bell, extension 2001, is locked out", "T-7")
        await courier.send_due()
        await courier.send_due()
        ((path, came),) = hook.kept
    assert path == "/hook/canary-3f2a"
    assert came["message"] == f"Ana Silva waits for an answer about Head office. Open the portal: {PORTAL}"
    assert "Grace" not in str(came)
    assert (await told(brook, request.id)) == "Kate: mail waiting 15:13; webhook sent 15:13"
    assert [row for row in await brook.waiting() if row.channel_id] == []
    assert "notice.sent" in await brook.kinds()
    # The address is a secret: sealed in the table, and nowhere in what is listed or logged.
    (row,) = await brook.rows(channels)
    assert b"canary" not in row.sealed
    assert "canary" not in str([row._mapping for row in await brook.waiting()])
    assert "canary" not in str(await there.of(brook.customer))
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"canary-3f2a" not in file.read_bytes(), file


async def test_a_service_that_fails_is_tried_again_then_given_up_and_seen(brook: Furnished) -> None:
    approver = await kate(brook)
    there, courier = ways(brook)
    async with receiving(status=500) as hook:
        await there.add("t", brook.customer, approver, "hook", hook.url)
        request = await brook.ask()
        await courier.send_due()
        assert "webhook waiting 15:13 (refused; it is tried again)" in await told(brook, request.id)
        (row,) = [row for row in await brook.waiting() if row.channel_id]
        assert row.due_ms == brook.clock.now() + 10_000
        async with brook.store.scope(brook.customer) as scope:
            await scope.execute(outbox.update().where(outbox.c.id == row.id).values(tries=8))
        brook.clock.at_ms += MINUTE
        await courier.send_due()
    assert "webhook failed 15:14 (refused)" in await told(brook, request.id)
    assert (await brook.kinds()).count("notice.failed") == 2
    assert [row for row in await brook.waiting() if row.channel_id] == []


async def test_what_was_answered_meanwhile_is_not_said_any_more(brook: Furnished) -> None:
    approver = await kate(brook)
    there, courier = ways(brook)
    async with receiving() as hook:
        await there.add("t", brook.customer, approver, "hook", hook.url)
        request = await brook.ask()
        await brook.permission.withdraw("t", brook.customer, request.id)
        await courier.send_due()
        assert hook.kept == []
    assert "webhook not needed" in await told(brook, request.id)


@pytest.mark.parametrize("target", ["json://127.0.0.1:{port}/x", "json://localhost:{port}/x", "json://[::1]:{port}/x",
                                    "json://0.0.0.0:{port}/x"])  # fmt: skip
async def test_nothing_inside_our_own_network_is_reached(brook: Furnished, target: str) -> None:
    approver = await kate(brook)
    there, courier = ways(brook, Ways(("json",)))
    async with receiving() as hook:
        await there.add("t", brook.customer, approver, "hook", target.format(port=hook.port))
        request = await brook.ask()
        await courier.send_due()
        assert hook.asked == 0
    assert "webhook failed" in await told(brook, request.id)
    assert "(internal)" in await told(brook, request.id)


async def test_a_redirect_leads_nowhere(brook: Furnished) -> None:
    async with receiving() as inside, receiving(status=302) as hook:
        hook.location = f"http://127.0.0.2:{inside.port}/x"
        only = Carrier(Ways(("json",), ("127.0.0.1/32",)))
        assert (await only.send(hook.url, "x")).code != ""
        assert (hook.asked, inside.asked) == (1, 0)


@pytest.mark.parametrize(
    ("host", "may"),
    [("8.8.8.8", True), ("10.0.0.1", False), ("169.254.169.254", False), ("::ffff:10.0.0.1", False), ("fe80::1%eth0",
     False), ("64:ff9b::a00:1", False), ("2002:a00:1::", False), ("2606:4700::1111", True), ("::ffff:8.8.8.8", True),
     ("224.0.0.1", False), ("example.org", False), ("100.64.0.1", False), ("", False), ("0.0.0.0", False)],  # noqa: S104
)  # fmt: skip
def test_what_is_reached_is_public(host: str, may: bool) -> None:
    assert may_reach(host, []) is may
    assert may_reach("10.0.0.1", ["10.0.0.0/24"])


@pytest.mark.parametrize(
    ("event", "args"),
    [("os.system", ("x",)), ("subprocess.Popen", ("x",)), ("os.exec", ("x",)), ("socket.connect", (None, "/run/x")),
     ("socket.connect", (None, ("127.0.0.1", 80))), ("socket.sendto", (None, ("10.0.0.1", 53)))],
)  # fmt: skip
def test_the_process_that_sends_starts_nothing_and_reaches_nothing_here(event: str, args: tuple[object, ...]) -> None:
    guard = Guard([])
    guard("socket.connect", (None, ("8.8.8.8", 443)))
    assert not guard.refused
    with pytest.raises(PermissionError):
        guard(event, args)
    assert guard.refused


async def test_a_service_that_never_answers_is_ended(brook: Furnished) -> None:
    slow = Carrier(Ways(("json",), ("127.0.0.0/8",), seconds=6))
    async with receiving(silent=True) as hook:
        begun = time.monotonic()
        assert (await slow.send(hook.url, "x")).code in {"deadline", "refused"}
        assert time.monotonic() - begun < 60


@pytest.mark.parametrize(
    "given", ["", "nonsense", "http://x y", "file:///etc/passwd", "mailto://a:b@c.example", "syslog://", "x" * 3000,
              "json://h/\x00", "12", "dbus://",
              "tel:+447700900123/../../x?to=evil", "tel:+44@evil.example", "+44 7700 900123@evil"],
)  # fmt: skip
async def test_what_is_no_address_or_not_allowed_is_refused(brook: Furnished, given: str) -> None:
    approver = await kate(brook)
    there, _ = ways(brook)
    with pytest.raises(InvalidError) as caught:
        await there.add("t", brook.customer, approver, "hook", given)
    assert given == "" or given not in caught.value.message
    assert await brook.rows(channels) == []


async def test_a_text_goes_by_the_operators_gateway_wherever_it_is(brook: Furnished) -> None:
    approver = await kate(brook)
    assert address_of("07700 900123") == address_of("+44 7700 900123") == "tel:+447700900123"
    async with receiving() as gateway:
        text = f"json://127.0.0.1:{gateway.port}/sms/{{number}}"
        there, _ = ways(brook, Ways((), (), text))
        one = await there.add("t", brook.customer, approver, "mobile", "07700 900123")
        assert one.service == "text message"
        await there.test("t", brook.customer, one.id)
        assert gateway.kept[0][0] == "/sms/+447700900123"
        none, _ = ways(brook, Ways(()))
        with pytest.raises(InvalidError, match="no gateway"):
            await none.add("t", brook.customer, approver, "mobile", "07700 900124")


async def test_a_number_without_its_country_is_one_of_the_customers(brook: Furnished) -> None:
    approver = await kate(brook)
    await brook.agree(zone="Europe/Berlin")
    async with receiving() as gateway:
        there, _ = ways(brook, Ways((), (), f"json://127.0.0.1:{gateway.port}/sms/{{number}}"))
        one = await there.add("t", brook.customer, approver, "mobile", "0151 23456789")
        await there.test("t", brook.customer, one.id)
        assert gateway.kept[0][0] == "/sms/+4915123456789"


async def test_a_test_says_what_came_of_it_and_is_not_repeated_at_once(brook: Furnished) -> None:
    approver = await kate(brook)
    there, _ = ways(brook)
    async with receiving(status=500) as hook:
        one = await there.add("t", brook.customer, approver, "hook", hook.url)
        with pytest.raises(UnavailableError, match="did not take it"):
            await there.test("t", brook.customer, one.id)
        with pytest.raises(StateError):
            await there.test("t", brook.customer, one.id)
        hook.status = 200
        brook.clock.at_ms += MINUTE
        await there.test("t", brook.customer, one.id)
        assert len(hook.kept) == 1
    assert (await brook.kinds())[-2:] == ["notice.failed", "notice.sent"]


async def test_a_channel_is_its_owners_and_goes_with_them(brook: Furnished) -> None:
    approver, omar = await kate(brook), await brook.approver("Omar", "omar@customer.example")
    there, courier = ways(brook)
    other = await brook.directory.add_customer("t", "Neighbour")
    async with receiving() as hook:
        one = await there.add("t", brook.customer, approver, "hook", hook.url)
        with pytest.raises(ConflictError):
            await there.add("t", brook.customer, approver, "again", hook.url)
        with pytest.raises(NotFoundError):
            await there.add("t", other, approver, "theirs", hook.url)
        for customer, person in ((other, None), (brook.customer, omar)):
            with pytest.raises(NotFoundError):
                await there.test("t", customer, one.id, person)
            with pytest.raises(NotFoundError):
                await there.remove("t", customer, one.id, person)
        await brook.ask()
        await brook.directory.remove_approver("t", brook.customer, approver)
        await courier.send_due()
        assert hook.kept == []
    assert await brook.rows(channels) == []
    assert "channel.removed" in await brook.kinds()


async def test_contacts_hear_by_theirs_that_there_is_news_and_no_more(brook: Furnished) -> None:
    there, courier = ways(brook)
    values = {"name": "Pat", "email": "pat@customer.example", "notices": "changes"}
    contact = await Contacts(brook.store, brook.audit).add("t", brook.customer, values)
    async with receiving() as hook:
        await there.add("t", brook.customer, contact, "hook", hook.url)
        for wishes in (("each",), ("each", "changes")):
            async with brook.store.scope(brook.customer) as scope:
                await tell_contacts(scope, wishes, "visit closed", "S", "Grace was seen.\n", brook.clock.now())
        await courier.send_due()
        assert [came["message"] for _, came in hook.kept] == [
            "There is news about your phone systems. Look into your mail."
        ]


async def test_damage_to_a_sealed_address_costs_that_message_alone(brook: Furnished, tmp_path: Path) -> None:
    approver = await kate(brook)
    there, courier = ways(brook)
    async with receiving() as hook:
        broken = await there.add("t", brook.customer, approver, "one", hook.url)
        await there.add("t", brook.customer, approver, "two", hook.url + "/2")
        async with brook.store.scope(brook.customer) as scope:
            await scope.execute(channels.update().where(channels.c.id == broken.id).values(sealed=b"x" * 40))
        request = await brook.ask()
        await courier.send_due()
        assert len(hook.kept) == 1
    assert "(unreadable)" in await told(brook, request.id)
