"""Invariant 5: who may receive a new secret, on both databases. Altering never becomes reading."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert, update

from connectors.contract import Person
from gateway.errors import NotFoundError, NotPermittedError
from gateway.model import DAY, Grant, new_id
from gateway.session.recipients import Recipient, Recipients, masked
from gateway.store.portal_tables import passkeys
from gateway.store.tables import agreements, approvers, directory, systems
from tests.support.furnished import Furnished

GRACE = Person("2001", "2001", "Grace Okonkwo", "grace@customer.example", ())


async def granted(brook: Furnished, **terms: object) -> tuple[Grant, str]:
    """Omar said yes; the grant and his id. Nobody else is an approver yet."""
    await brook.agree(**terms)
    omar = await brook.approver("Omar", "omar@customer.example")
    grant = await brook.say_yes(await brook.ask(), omar)
    assert grant is not None
    return grant, omar


async def seen(brook: Furnished, email: str, days: int, confirmed_by: str | None = None) -> None:
    """Frameroom's snapshot of Grace: this address, unchanged for so many days."""
    async with brook.store.scope(brook.customer) as scope:
        await scope.execute(
            insert(directory).values(
                customer_id=brook.customer, id=new_id("dir"), system_id=brook.system.id,
                subject=brook.vault.subject(brook.customer, brook.system.id, GRACE.id),
                email_digest=brook.vault.digest("email", email), since_ms=brook.clock.now() - days * DAY,
                confirmed_by=confirmed_by,
            )
        )  # fmt: skip


async def chosen(brook: Furnished, grant: Grant, person: Person = GRACE) -> Recipient:
    async with brook.store.look(brook.customer) as scope:
        return await Recipients(brook.audit, brook.vault).choose(scope, brook.system.id, grant, person)


async def test_5_an_address_that_stood_for_30_days_and_not_one_day_less(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    kate = await brook.approver("Kate", "kate@customer.example")
    await seen(brook, "grace@customer.example", 29)
    assert (await chosen(brook, grant)).logged == kate
    brook.clock.at_ms += DAY
    assert (await chosen(brook, grant)) == Recipient("grace@customer.example", "the user", "user")


async def test_5_another_address_than_the_one_that_stood_gets_nothing(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    kate = await brook.approver("Kate", "kate@customer.example")
    await seen(brook, "old@customer.example", 90)
    assert (await chosen(brook, grant)).logged == kate


async def test_5_an_address_that_an_approver_confirmed_need_not_have_stood(brook: Furnished) -> None:
    grant, omar = await granted(brook)
    await seen(brook, "grace@customer.example", 0, confirmed_by=omar)
    assert (await chosen(brook, grant)).is_user


async def test_5_a_confirmation_by_nobody_known_counts_for_nothing(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    await brook.approver("Kate", "kate@customer.example")
    await seen(brook, "grace@customer.example", 0, confirmed_by=brook.engineer)
    assert not (await chosen(brook, grant)).is_user


@pytest.mark.parametrize(
    "address",
    [
        "grace@elsewhere.example",
        "grace@customer.example.evil.example",
        "grace@sub.customer.example",
        "evil@evil.example,grace@customer.example",
        "evil@evil.example\n@customer.example",
        '"evil@evil.example "@customer.example',
        "grace@customer.example\r\nBcc: evil@evil.example",
        "<evil@evil.example>grace@customer.example",
        "grâce@customer.example",
        "grace@cu\u017ftomer.example",  # folds to the very address that stood, and is another domain, or could be
        "@customer.example",
    ],
)
async def test_5_only_one_plain_address_in_an_agreed_domain(brook: Furnished, address: str) -> None:
    grant, _ = await granted(brook)
    await brook.approver("Kate", "kate@customer.example")
    await seen(brook, address.casefold(), 90)
    person = Person("2001", "2001", "Grace", address, ())
    assert not (await chosen(brook, grant, person)).is_user


async def test_5_capital_letters_make_no_other_address(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    await seen(brook, "grace@customer.example", 31)
    assert (await chosen(brook, grant, Person("2001", "2001", "Grace", "Grace@Customer.Example", ()))).is_user


async def test_5_whoever_said_yes_does_not_receive(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    with pytest.raises(NotPermittedError, match="Nobody may receive"):
        await chosen(brook, grant)


async def test_5_the_same_person_under_a_second_name_does_not_receive_either(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    await brook.namesake("O. Aziz", "Omar@customer.example")
    with pytest.raises(NotPermittedError, match="Nobody may receive"):
        await chosen(brook, grant)


async def test_5_whoever_asked_for_the_reset_does_not_receive(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    async with brook.store.scope(brook.customer) as scope:
        # The directory takes no such approver; a row that came about otherwise must not help.
        await scope.execute(
            insert(approvers).values(
                customer_id=brook.customer, id="apr_1", name="Ana", email="ANA@company.example", phone="", added_ms=0
            )
        )
    with pytest.raises(NotPermittedError, match="Nobody may receive"):
        await chosen(brook, grant)


async def test_5_the_only_approver_may_where_the_agreement_says_so(brook: Furnished) -> None:
    grant, omar = await granted(brook, only_approver_may_receive=True)
    assert (await chosen(brook, grant)).logged == omar
    # With a second one he is not the only one any more, and she did not say yes.
    kate = await brook.approver("Kate", "kate@customer.example")
    assert (await chosen(brook, grant)).logged == kate


async def test_5_a_removed_approver_receives_nothing(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    kate = await brook.approver("Kate", "kate@customer.example")
    async with brook.store.scope(brook.customer) as scope:
        await scope.execute(update(approvers).where(approvers.c.id == kate).values(removed_ms=1))
    with pytest.raises(NotPermittedError, match="Nobody may receive"):
        await chosen(brook, grant)


async def test_5_a_neighbours_approver_and_snapshot_count_for_nothing(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    neighbour = await brook.directory.add_customer("t", "Neighbour")
    nell = await brook.directory.add_approver("t", neighbour, "Nell", "nell@customer.example", "")
    async with brook.store.scope(neighbour) as scope:  # no newcomer there
        await scope.execute(update(approvers).where(approvers.c.id == nell).values(added_ms=0))
    with pytest.raises(NotPermittedError, match="Nobody may receive"):
        await chosen(brook, grant)


def test_an_address_is_shown_masked() -> None:
    assert masked("kate@customer.example") == "k…@customer.example"


async def test_5_an_address_that_stood_for_somebody_else_has_not_stood_for_this_person(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    kate = await brook.approver("Kate", "kate@customer.example")
    await seen(brook, "grace@customer.example", 90)
    somebody = Person("2002", "2002", "Tom", "grace@customer.example", ())
    assert (await chosen(brook, grant, somebody)).logged == kate


async def test_5_a_neighbours_approver_confirms_nothing(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    kate = await brook.approver("Kate", "kate@customer.example")
    neighbour = await brook.directory.add_customer("t", "Neighbour")
    nell = await brook.directory.add_approver("t", neighbour, "Nell", "nell@neighbour.example", "")
    await seen(brook, "grace@customer.example", 0, confirmed_by=nell)
    assert (await chosen(brook, grant)).logged == kate


async def test_5_an_approver_without_one_plain_address_receives_nothing(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    async with brook.store.scope(brook.customer) as scope:
        await scope.execute(
            insert(approvers).values(
                customer_id=brook.customer,
                id="apr_1",
                name="A",
                email="k@customer.example,e@evil.example",
                phone="",
                added_ms=0,
            )
        )
    with pytest.raises(NotPermittedError, match="Nobody may receive"):
        await chosen(brook, grant)


async def test_5_of_two_who_both_said_yes_neither_is_the_only_one(brook: Furnished) -> None:
    grant, omar = await granted(brook, only_approver_may_receive=True)
    kate = await brook.approver("Kate", "kate@customer.example")
    both = replace(grant, approver_ids=(omar, kate))
    with pytest.raises(NotPermittedError, match="Nobody may receive"):
        await chosen(brook, both)


async def test_5_a_newly_named_approver_receives_nothing_for_30_days(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    nell = await brook.directory.add_approver("t", brook.customer, "Nell", "nell@customer.example", "")
    with pytest.raises(NotPermittedError, match="Nobody may receive"):
        await chosen(brook, grant)
    kate = await brook.approver("Zoe", "zoe@customer.example")
    assert (await chosen(brook, grant)).logged == kate
    brook.clock.at_ms += 30 * DAY
    assert (await chosen(brook, grant)).logged == nell


async def test_5_an_approver_whom_another_one_confirmed_is_no_newcomer(brook: Furnished) -> None:
    grant, omar = await granted(brook)
    nell = await brook.directory.add_approver("t", brook.customer, "Nell", "nell@customer.example", "")
    for nobody in (nell, brook.engineer):
        with pytest.raises((NotPermittedError, NotFoundError)):
            await brook.directory.confirm_approver("t", brook.customer, nell, nobody, "Bo", "yes")
    await brook.directory.confirm_approver("t", brook.customer, nell, omar, "Bo", "yes")
    assert (await chosen(brook, grant)).logged == nell
    assert "approver.confirmed" in await brook.kinds()


async def test_5_who_stood_when_the_first_agreement_was_confirmed_is_no_newcomer_and_later_ones_are(
    brook: Furnished,
) -> None:
    await brook.directory.add_approver("t", brook.customer, "Nell", "nell@customer.example", "")
    grant, _ = await granted(brook)
    assert (await chosen(brook, grant)).address == "nell@customer.example"
    await brook.directory.add_approver("t", brook.customer, "Anna", "anna@customer.example", "")
    await brook.agree()  # a second confirmation founds nobody
    assert (await chosen(brook, grant)).address == "nell@customer.example"


async def test_5_an_address_confirmed_by_telephone_may_receive_at_once(brook: Furnished) -> None:
    grant, omar = await granted(brook)
    await seen(brook, "grace@customer.example", 0)
    with pytest.raises(NotFoundError):
        await brook.directory.confirm_address("t", brook.system, "2001", "other@customer.example", omar, "Bo", "yes")
    await brook.directory.confirm_address("t", brook.system, "2001", "Grace@customer.example", omar, "Bo", "yes")
    assert (await chosen(brook, grant)).is_user
    assert "address.confirmed" in await brook.kinds()
    assert "address confirmed" in {row.what for row in await brook.waiting()}
    await brook.agree(consent_by_phone=False)
    with pytest.raises(NotPermittedError, match="by telephone"):
        await brook.directory.confirm_address("t", brook.system, "2001", "grace@customer.example", omar, "Bo", "yes")


async def test_9_a_new_approver_is_told_to_the_others_and_not_to_themselves(brook: Furnished) -> None:
    await brook.approver("Omar", "omar@customer.example")
    await brook.directory.add_approver("t", brook.customer, "Nell", "nell@customer.example", "")
    assert [(row.what, row.address) for row in await brook.waiting()] == [("approver added", "omar@customer.example")]


async def hold(brook: Furnished, approver: str, removed_ms: int | None = None) -> None:
    """A passkey of the approver's."""
    async with brook.store.scope(brook.customer) as scope:
        await scope.execute(
            insert(passkeys).values(
                customer_id=brook.customer, id=new_id("pk"), approver_id=approver, credential=new_id("c"),
                public_key="k", fingerprint="f", counter=0, added_ms=0, removed_ms=removed_ms,
            )
        )  # fmt: skip


async def test_5_where_there_are_passkeys_only_who_holds_one_receives_and_opens_with_it(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    anna = await brook.approver("Anna", "anna@customer.example")
    kate = await brook.approver("Kate", "kate@customer.example")
    assert await chosen(brook, grant) == Recipient("anna@customer.example", "approver Anna", anna)
    await hold(brook, kate)
    assert await chosen(brook, grant) == Recipient("kate@customer.example", "approver Kate", kate, by_passkey=True)
    await hold(brook, anna, removed_ms=1)  # one that was lost counts for nothing
    assert (await chosen(brook, grant)).logged == kate


async def test_5_after_the_last_passkey_is_gone_a_mailed_link_alone_does_not_come_back(brook: Furnished) -> None:
    grant, omar = await granted(brook, only_approver_may_receive=True)
    await hold(brook, omar, removed_ms=1)
    with pytest.raises(NotPermittedError, match="Nobody may receive") as refused:
        await chosen(brook, grant)
    assert "who holds a passkey" in refused.value.next_step
    await hold(brook, omar)
    assert (await chosen(brook, grant)).by_passkey


async def test_5_a_user_whose_address_stands_needs_no_passkey(brook: Furnished) -> None:
    grant, omar = await granted(brook)
    await hold(brook, omar)
    await seen(brook, "grace@customer.example", 31)
    assert await chosen(brook, grant) == Recipient("grace@customer.example", "the user", "user")


async def test_5_a_neighbours_passkey_changes_nothing(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    kate = await brook.approver("Kate", "kate@customer.example")
    neighbour = await brook.directory.add_customer("t", "Neighbour")
    nell = await brook.directory.add_approver("t", neighbour, "Nell", "nell@neighbour.example", "")
    async with brook.store.scope(neighbour) as scope:
        values = {"credential": "c", "public_key": "k", "fingerprint": "f", "counter": 0, "added_ms": 0}
        await scope.execute(insert(passkeys).values(customer_id=neighbour, id="pk_n", approver_id=nell, **values))
    assert await chosen(brook, grant) == Recipient("kate@customer.example", "approver Kate", kate)


async def test_8_a_neighbours_snapshot_of_the_same_ids_counts_for_nothing(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    kate = await brook.approver("Kate", "kate@customer.example")
    neighbour = await brook.directory.add_customer("t", "Neighbour")
    (mine,) = await brook.rows(systems)
    async with brook.store.scope(neighbour) as scope:
        # Ids are a customer's own: a neighbour's phone system may be called by the same one.
        await scope.execute(insert(systems).values(**{**mine._asdict(), "customer_id": neighbour, "site_id": None}))
        await scope.execute(
            insert(directory).values(
                customer_id=neighbour, id=new_id("dir"), system_id=brook.system.id, since_ms=0,
                subject=brook.vault.subject(brook.customer, brook.system.id, GRACE.id),
                email_digest=brook.vault.digest("email", "grace@customer.example"),
            )
        )  # fmt: skip
    assert (await chosen(brook, grant)).logged == kate


async def test_8_a_neighbours_passkey_of_the_same_ids_makes_nobody_a_holder(brook: Furnished) -> None:
    grant, omar = await granted(brook)
    kate = await brook.approver("Kate", "kate@customer.example")
    await hold(brook, omar)
    neighbour = await brook.directory.add_customer("t", "Neighbour")
    async with brook.store.scope(neighbour) as scope:
        person = {"name": "Nell", "email": "nell@neighbour.example", "phone": "", "added_ms": 0}
        await scope.execute(insert(approvers).values(customer_id=neighbour, id=kate, **person))
        values = {"credential": "c", "public_key": "k", "fingerprint": "f", "counter": 0, "added_ms": 0}
        await scope.execute(insert(passkeys).values(customer_id=neighbour, id="pk_n", approver_id=kate, **values))
    with pytest.raises(NotPermittedError, match="Nobody may receive"):
        await chosen(brook, grant)


async def test_5_the_only_approver_under_two_names_is_still_the_only_one(brook: Furnished) -> None:
    grant, _ = await granted(brook, only_approver_may_receive=True)
    await brook.namesake("O. Aziz", "Omar@customer.example")
    assert (await chosen(brook, grant)).address.casefold() == "omar@customer.example"


async def test_5_a_newcomer_makes_the_only_approver_one_of_two(brook: Furnished) -> None:
    grant, _ = await granted(brook, only_approver_may_receive=True)
    await brook.directory.add_approver("t", brook.customer, "Nell", "nell@customer.example", "")
    with pytest.raises(NotPermittedError, match="Nobody may receive"):
        await chosen(brook, grant)


async def test_5_of_several_the_first_by_name_receives(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    await brook.approver("Zoe", "zoe@customer.example")
    for name in ("Kate", "Ben", "Anna"):
        await brook.approver(name, f"{name.lower()}@customer.example")
        assert (await chosen(brook, grant)).address == f"{name.lower()}@customer.example"


async def test_5_without_any_agreement_nobody_receives(brook: Furnished) -> None:
    grant, _ = await granted(brook)
    async with brook.store.scope(brook.customer) as scope:
        await scope.execute(agreements.delete())
    with pytest.raises(NotPermittedError, match="no agreement"):
        await chosen(brook, grant)
