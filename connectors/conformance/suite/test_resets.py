"""New passwords: only the new one counts, nobody else's changes, and one that the phone system makes goes where it was
seen to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.conformance.bench import Bench
from connectors.conformance.people import DOMAIN, generated
from connectors.conformance.suite.trying import (
    needs,
    own,
    refusal,
    renew,
    renewable,
    resettable,
    same_behind,
    tried,
)  # fmt: skip
from connectors.contract import Secret, SecretKind
from connectors.errors import Conflict, InvalidValue, NotFound, NotSupported, Refused

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("kind", list(SecretKind))
async def test_a_new_password_is_the_one_that_counts(bench: Bench, kind: SecretKind) -> None:
    needs(bench, kind.operation)
    if kind in renewable(bench):
        pytest.skip("the phone system makes it")
    async with tried(bench) as (system, connector):
        person, neighbour = own(system), own(system, 1)
        rules = await connector.secret_rules(person.id, kind)
        assert 4 <= rules.min_length <= rules.max_length
        assert len(set(rules.alphabet)) == len(rules.alphabet) >= 10
        assert rules.stored
        assert await system.opens(person.id, kind, person.secrets[kind.value])
        new = generated(rules)
        done = await connector.reset(person.id, kind, Secret(new))
        assert new not in repr(done)
        assert await system.opens(person.id, kind, new)
        assert not await system.opens(person.id, kind, person.secrets[kind.value])
        assert await system.opens(neighbour.id, kind, neighbour.secrets[kind.value])
        for other in set(resettable(bench)) - {kind}:
            assert await system.opens(person.id, other, person.secrets[other.value])
        await same_behind(bench, system)


@pytest.mark.parametrize("kind", list(SecretKind))
async def test_a_password_that_the_phone_system_makes_replaces_that_one_and_none_of_ours_is_written(
    bench: Bench, kind: SecretKind
) -> None:
    needs(bench, kind.operation)
    if kind not in renewable(bench):
        pytest.skip("this connector writes it")
    async with tried(bench) as (system, connector):
        person, neighbour = own(system), own(system, 1)
        assert (await connector.secret_rules(person.id, kind)).made_there
        assert isinstance(await refusal(connector.reset(person.id, kind, Secret("73910284"))), NotSupported)
        assert await system.opens(person.id, kind, person.secrets[kind.value])
        await renew(connector, person, kind)
        assert not await system.opens(person.id, kind, person.secrets[kind.value])
        assert await system.opens(neighbour.id, kind, neighbour.secrets[kind.value])
        for other in set(renewable(bench)) - {kind}:
            assert await system.opens(person.id, other, person.secrets[other.value])
        await same_behind(bench, system)


@pytest.mark.parametrize("kind", list(SecretKind))
async def test_a_password_is_made_for_the_address_that_was_seen_and_for_no_other(
    bench: Bench, kind: SecretKind
) -> None:
    """Altering must not become reading: whoever changed the address meanwhile gets nothing mailed."""
    if kind not in renewable(bench):
        pytest.skip("this connector writes it")
    async with tried(bench) as (system, connector):
        before, nobody = own(system), next(person for person in system.people if person.email is None)
        await system.put(replace(before, email=f"mallory@{DOMAIN}"))
        assert isinstance(await refusal(renew(connector, before, kind)), Conflict)
        assert isinstance(
            await refusal(renew(connector, replace(nobody, email=f"x@{DOMAIN}"), kind)), Refused | Conflict
        )
        assert isinstance(await refusal(renew(connector, nobody, kind)), Refused | Conflict)
        for person in (before, nobody):
            assert await system.opens(person.id, kind, person.secrets[kind.value])
        await system.drop(before.id)
        assert isinstance(await refusal(renew(connector, before, kind)), NotFound)


@pytest.mark.parametrize("kind", list(SecretKind))
async def test_a_password_that_there_is_not_is_not_reset(bench: Bench, kind: SecretKind) -> None:
    if kind in (*resettable(bench), *renewable(bench)):
        pytest.skip("this connector resets it")
    async with tried(bench) as (system, connector):
        assert isinstance(await refusal(connector.secret_rules(own(system).id, kind)), NotSupported)
        assert isinstance(await refusal(connector.reset(own(system).id, kind, Secret("73910284"))), NotSupported)


async def test_a_password_of_another_form_is_not_sent(bench: Bench) -> None:
    async with tried(bench) as (system, connector):
        for kind in resettable(bench):
            for bad in ("", "a\nb" * 8, "12345\x00678", "пароль123", "9" * 5000):
                error = await refusal(connector.reset(own(system).id, kind, Secret(bad)))
                assert isinstance(error, InvalidValue)
                assert not bad or bad not in repr(error)
            assert await system.opens(own(system).id, kind, own(system).secrets[kind.value])
