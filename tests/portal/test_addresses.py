"""Mail addresses: read, looked at, confirmed with the approver's own key; what differs from them counts as changed."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, update

from connectors.contract import Credential, Person
from gateway.access.baseline import Baseline, Standing, forget
from gateway.access.reading import PAGE
from gateway.errors import NotPermittedError, UnavailableError
from gateway.model import DAY, MINUTE, Grant
from gateway.session.recipients import Recipient, Recipients
from gateway.store.address_tables import baseline_rows, baselines, reading_rows, readings
from gateway.store.tables import directory
from tests.portal.approver import Approver, approver
from tests.portal.conftest import Site


def person(number: int, email: str | None = "", name: str = "") -> Person:
    extension = str(2000 + number)
    given = f"user{extension}@customer.example" if email == "" else email
    return Person(extension, extension, name or f"Person {extension}", given, ())


GRACE = person(1, "grace@customer.example", "Grace Okonkwo")


async def read(site: Site, who: Approver, *people: Person) -> str:
    """The phone system read; the page's address."""
    site.phones.people = list(people)
    path = f"/addresses/{site.brook.system.id}"
    answer = await who.send(f"{path}/read")
    assert answer.status_code == 303, answer.text
    return path


async def shown(who: Approver, path: str, **query: str) -> str:
    return (await who.site.ask("GET", path, who.cookie, params=query)).text


async def confirmed(who: Approver, path: str) -> int:
    """Sign what the page shows, as its script does."""
    found = re.search(r'name="reading" value="(\w+)"', await shown(who, path))
    return (await who.sign(path, reading=found[1] if found else "")).status_code


async def stands(site: Site, whom: Person) -> Standing:
    brook = site.brook
    subject = brook.vault.subject(brook.customer, brook.system.id, whom.id)
    async with brook.store.look(brook.customer) as scope:
        return (await Baseline(brook.audit).stands(scope, brook.system.id, subject, whom.email or "")).standing


async def chosen(site: Site, grant: Grant, whom: Person) -> Recipient:
    brook = site.brook
    async with brook.store.look(brook.customer) as scope:
        return await Recipients(brook.audit, brook.vault).choose(scope, brook.system.id, grant, whom)


async def permitted(site: Site, said_yes: str) -> Grant:
    grant = await site.brook.say_yes(await site.brook.ask(), said_yes)
    assert grant is not None
    return grant


async def seen(site: Site, whom: Person, days: int) -> None:
    """Frameroom has known this address for so many days."""
    brook = site.brook
    async with brook.store.scope(brook.customer) as scope:
        subject = brook.vault.subject(brook.customer, brook.system.id, whom.id)
        values = {
            "customer_id": brook.customer, "id": f"dir_{whom.id}", "system_id": brook.system.id, "subject": subject,
            "email_digest": brook.vault.digest("email", whom.email or ""), "since_ms": brook.clock.now() - days * DAY,
        }  # fmt: skip
        await scope.execute(delete(directory).where(directory.c.subject == subject))
        await scope.execute(directory.insert().values(**values))


async def test_what_an_approver_confirmed_receives_at_once_and_what_differs_counts_as_changed(site: Site) -> None:
    kate = await approver(site)
    carol = await approver(site, "Carol", kate.id)
    grant = await permitted(site, kate.id)
    path = await read(site, kate, GRACE, person(2), person(3, None))
    assert (await chosen(site, grant, GRACE)).logged == carol.id  # nothing is confirmed by being read
    page = await shown(kate, path)
    assert "grace@customer.example" in page
    assert "2 to confirm: 2 as right" in page
    assert "has no address" in page
    assert await confirmed(kate, path) == 200
    to = await chosen(site, grant, GRACE)
    assert (to.is_user, to.proof is not None) == (True, True)
    assert (await chosen(site, grant, replace(GRACE, email="Grace@Customer.example"))).is_user
    moved = replace(GRACE, email="mine@customer.example")
    # However long Frameroom has seen it: it is another one than was confirmed, and 30 days count from then.
    await seen(site, moved, 90)
    assert (await chosen(site, grant, moved)).logged == carol.id
    site.brook.clock.at_ms += 30 * DAY - 1
    assert (await chosen(site, grant, moved)).logged == carol.id
    site.brook.clock.at_ms += 1
    assert (await chosen(site, grant, moved)).is_user
    assert (await chosen(site, grant, moved)).proof is None


async def test_somebody_who_was_not_there_waits_30_days_from_the_confirmation(site: Site) -> None:
    kate = await approver(site)
    carol = await approver(site, "Carol", kate.id)
    grant = await permitted(site, kate.id)
    await confirmed(kate, await read(site, kate, GRACE))
    late = person(9)
    await seen(site, late, 90)
    assert await stands(site, late) is Standing.NEW
    assert (await chosen(site, grant, late)).logged == carol.id
    site.brook.clock.at_ms += 30 * DAY
    assert (await chosen(site, grant, late)).is_user


async def test_what_is_new_or_changed_since_is_shown_apart_and_confirmed_alone(site: Site) -> None:
    kate = await approver(site)
    await confirmed(kate, await read(site, kate, GRACE, person(2)))
    moved = replace(GRACE, email="bell@customer.example")
    path = await read(site, kate, moved, person(2), person(3))
    apart = await shown(kate, path, show="new")
    assert "2 to confirm: 2 as right" in apart
    assert "another one than you confirmed" in apart
    assert "new: not confirmed yet" in apart
    assert "user2002" not in apart
    assert "user2002" in await shown(kate, path, show="all")
    assert await stands(site, moved) is Standing.CHANGED
    assert await confirmed(kate, path) == 200
    for whom in (moved, person(2), person(3)):
        assert await stands(site, whom) is Standing.SAME
    assert await stands(site, GRACE) is Standing.CHANGED  # the address that she had before is hers no more
    assert sorted(row.position for row in await site.brook.rows(baseline_rows)) == [0, 0, 1, 1]
    path = await read(site, kate, moved, person(2), person(3))
    assert "every address is as you confirmed it" in await shown(kate, path)
    assert await confirmed(kate, path) == 409


async def test_an_address_that_is_marked_as_wrong_receives_nothing_however_old(site: Site) -> None:
    kate = await approver(site)
    carol = await approver(site, "Carol", kate.id)
    grant = await permitted(site, kate.id)
    path = await read(site, kate, GRACE, person(2))
    rows = re.findall(r"/addresses/rows/(\w+)/wrong", await shown(kate, path))
    assert (await kate.send(f"/addresses/rows/{rows[0]}/wrong")).status_code == 303
    assert "1 as right, 1 as wrong" in await shown(kate, path)
    assert await confirmed(kate, path) == 200
    await seen(site, GRACE, 90)
    site.brook.clock.at_ms += 60 * DAY
    assert await stands(site, GRACE) is Standing.WRONG
    assert (await chosen(site, grant, GRACE)).logged == carol.id
    kate.cookie = await site.cookie(kate.key)
    path = await read(site, kate, GRACE, person(2))
    assert "you said that it is wrong" in await shown(kate, path, show="new")
    (row,) = re.findall(r"/addresses/rows/(\w+)/right", await shown(kate, path))
    await kate.send(f"/addresses/rows/{row}/right")
    assert await confirmed(kate, path) == 200
    assert (await chosen(site, grant, GRACE)).is_user


async def test_a_signature_holds_for_just_the_list_that_was_looked_at(site: Site) -> None:
    kate = await approver(site)
    omar = await approver(site, "Omar", kate.id)
    path = await read(site, kate, GRACE, person(2))
    page = await shown(kate, path)
    reading = re.findall(r'name="reading" value="(\w+)"', page)[0]
    told = (await kate.post(f"{path}/options", {"reading": reading})).json()
    sent = told["keep"] | {"reading": reading, "answer": kate.key.get(told["challenge"])}
    assert (await omar.post(f"{path}/yes", sent)).status_code == 403
    assert (await kate.post(f"{path}/yes", sent | {"at_ms": sent["at_ms"] - 1})).status_code == 403
    assert (await kate.post(f"{path}/yes", sent | {"at_ms": None})).status_code == 422
    row = re.findall(r"/addresses/rows/(\w+)/wrong", page)[0]
    await omar.send(f"/addresses/rows/{row}/wrong")  # somebody marks one meanwhile: it is another list now
    assert (await kate.post(f"{path}/yes", sent)).status_code == 403
    await omar.send(f"/addresses/rows/{row}/right")
    site.brook.clock.at_ms += 10 * MINUTE + 1
    assert (await kate.post(f"{path}/yes", sent)).status_code == 422
    await read(site, kate, GRACE)
    assert (await kate.post(f"{path}/options", {"reading": reading})).status_code == 409
    assert await site.brook.rows(baselines) == []
    assert "addresses.confirmed" not in await site.brook.kinds()


async def test_a_reader_looks_and_confirms_nothing(site: Site) -> None:
    kate = await approver(site)
    path = await read(site, kate, GRACE)
    page = (await site.ask("GET", path, await site.reader(kate.id))).text
    assert "grace@customer.example" in page
    assert "sign in with your passkey" in page
    assert "<button" not in page.partition('role="search"')[0].partition("<main")[2]


async def altered(site: Site, how: Any) -> None:
    async with site.brook.store.scope(site.brook.customer) as scope:
        await scope.execute(how)


@pytest.mark.parametrize(
    "how",
    [
        update(baseline_rows).where(baseline_rows.c.position == 0).values(leaf="0" * 64),
        update(baseline_rows).where(baseline_rows.c.position == 0).values(position=7),
        delete(baseline_rows).where(baseline_rows.c.position == 1),
        update(baselines).values(canonical="{}"),
        update(baselines).values(system_id="sys_x"),
        "swapped", "added", "taken away",
    ],
    ids=["leaf", "place", "row gone", "words", "system", "swapped", "added", "taken away"],
)  # fmt: skip
async def test_an_operator_who_edits_it_in_the_database_is_found(site: Site, how: Any) -> None:
    kate = await approver(site)
    await approver(site, "Carol", kate.id)
    grant = await permitted(site, kate.id)
    await confirmed(kate, await read(site, kate, GRACE, person(2)))
    kept = await site.brook.rows(baseline_rows)
    if how == "swapped":
        # Grace's row is made to say what suits the operator, leaf and salt together.
        subject = site.brook.vault.subject(site.brook.customer, site.brook.system.id, GRACE.id)
        here = baseline_rows.c.subject == subject
        other = next(row for row in kept if row.subject != subject)
        await altered(site, update(baseline_rows).where(here).values(leaf=other.leaf, salt=other.salt))
    elif how == "added":
        (row,) = await site.brook.rows(baselines)
        await altered(site, baselines.insert().values(**{**row._asdict(), "id": "bas_made_up"}))
    elif how == "taken away":
        await altered(site, delete(baseline_rows))
        await altered(site, delete(baselines))
    elif "sys_x" in str(how.compile().params.values()):
        other_system = await site.brook.directory.add_system(
            "t", site.brook.customer,
            {"name": "Other", "connector": "lab", "host": "h", "port": 1, "pin": "p", "settings": "{}", "site": ""},
            Credential("x", "y"), [],
        )  # fmt: skip
        await altered(site, update(baselines).values(system_id=other_system))
    else:
        await altered(site, how)
    with pytest.raises(NotPermittedError, match="altered in the database"):
        await chosen(site, grant, GRACE)
    async with site.brook.store.look(site.brook.customer) as scope:
        assert await Baseline(site.brook.audit).faults(scope)


async def test_an_erased_person_goes_and_the_rest_still_holds(site: Site) -> None:
    kate = await approver(site)
    await confirmed(kate, await read(site, kate, GRACE, person(2)))
    await read(site, kate, replace(GRACE, email="x@customer.example"), person(2))
    subject = site.brook.vault.subject(site.brook.customer, site.brook.system.id, GRACE.id)
    async with site.brook.store.scope(site.brook.customer) as scope:
        await forget(scope, subject)
    assert await stands(site, GRACE) is Standing.NEW
    assert await stands(site, person(2)) is Standing.SAME
    assert all(row.subject != subject for row in await site.brook.rows(baseline_rows))
    assert all(row.subject != subject for row in await site.brook.rows(reading_rows))


async def test_what_is_read_is_sealed_and_goes_after_a_day_or_with_the_confirmation(site: Site) -> None:
    kate = await approver(site)
    path = await read(site, kate, GRACE)
    for row in await site.brook.rows(reading_rows):
        assert b"grace" not in row.sealed.lower()
    site.brook.clock.at_ms += DAY
    kate.cookie = await site.cookie(kate.key)
    assert "grace" not in await shown(kate, path)
    await site.readings.tidy()
    assert await site.brook.rows(reading_rows) == []
    assert await site.brook.rows(readings) == []
    path = await read(site, kate, GRACE)
    await confirmed(kate, path)
    assert await site.brook.rows(reading_rows) == []
    told = [row.body for row in await site.brook.waiting() if row.what == "addresses confirmed"]
    assert "1 as right, 0 as wrong" in told[0]


async def test_many_people_are_paged_and_found(site: Site) -> None:
    kate = await approver(site)
    people = [person(number) for number in range(1, 2 * PAGE + 11)] + [person(900, name="Zoë <b>Quill</b>")]
    path = await read(site, kate, *people)
    first = await shown(kate, path)
    assert f"{len(people)} people, page 1 of 3" in first
    assert first.count("<tr><td>") == PAGE
    assert (await shown(kate, path, page="3")).count("<tr><td>") == 11
    found = await shown(kate, path, q="zoë quill")
    assert "1 person, page 1 of 1" in found
    assert "<b>Quill" not in found
    for odd in ("0", "-1", "x", "99999", "9" * 40, "²"):
        answer = await site.ask("GET", path, kate.cookie, params={"page": odd, "q": "%\x00_", "show": "?"})
        assert answer.status_code == 200, odd


async def test_a_phone_system_that_does_not_answer_is_said_and_keeps_the_list(site: Site) -> None:
    kate = await approver(site)
    path = await read(site, kate, GRACE)

    async def broken(_: Any) -> Any:
        raise UnavailableError("The phone system could not be read: no answer.", next_step="Try again in a while.")
        yield

    usual = site.phones.pages
    site.phones.pages = broken  # type: ignore[method-assign]
    answer = await kate.send(f"{path}/read")
    assert (answer.status_code, "could not be read: no answer" in answer.text) == (503, True)
    assert "grace@customer.example" in await shown(kate, path)
    site.phones.pages = usual  # type: ignore[method-assign]
    assert (await kate.send(f"{path}/read")).status_code == 303  # the one before is not in the way
