"""Visits that are not recorded here, on both databases: ended once and told of once, whoever tries at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Operation
from gateway.access.outside import OutsideVisits, SignedInBy
from gateway.errors import ConflictError, StateError
from gateway.model import MINUTE, Grant
from gateway.store.engine import Store
from gateway.store.outside_tables import outside_visits
from tests.support.furnished import Furnished, furnish

VISIT = frozenset({Operation.VISIT})


class World:
    """A customer who permits a visit, and an engineer who makes it."""

    def __init__(self, brook: Furnished, grant: Grant) -> None:
        self.brook, self.grant = brook, grant
        self.visits = self.again()

    def again(self) -> OutsideVisits:
        """As another process has them, or this one after a restart."""
        return OutsideVisits(self.brook.store, self.brook.audit, self.brook.permission)

    async def start(self) -> Any:
        who = SignedInBy(self.brook.engineer, "totp", "SHA256:x", "192.0.2.1")
        return await self.visits.start(who, self.brook.system, self.grant)

    async def count(self, kind: str) -> int:
        return (await self.brook.kinds()).count(kind)


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> World:
    brook = await furnish(store, tmp_path)
    await brook.agree(operations=VISIT)
    kate = await brook.approver("Kate", "kate@customer.example")
    request = await brook.permission.submit(brook.engineer, brook.system, VISIT, 60, "T-7", "The card is broken")
    grant = await brook.say_yes(request, kate)
    assert grant is not None
    return World(brook, grant)


async def test_two_who_end_it_at_once_end_it_once(world: World) -> None:
    await world.start()
    world.brook.clock.at_ms += 61 * MINUTE
    assert sorted(await asyncio.gather(*(world.again().settle() for _ in range(2)))) == [0, 1]
    assert await world.count("visit.ended") == 1
    (row,) = await world.brook.rows(outside_visits)
    assert (row.state, row.reason) == ("ended", "the permitted time is over")
    assert len([mail for mail in await world.brook.waiting() if mail.what == "own visit ended"]) == 1
    assert await world.again().settle() == 0


async def test_it_goes_on_while_it_is_permitted_and_outlives_a_restart(world: World) -> None:
    visit = await world.start()
    assert await world.again().settle() == 0
    (left,) = await world.again().not_told(world.brook.engineer)
    assert (left.id, left.state, left.system) == (visit.id, "open", world.brook.system.name)


async def test_two_accounts_of_one_visit_at_once_are_one(world: World) -> None:
    visit = await world.start()
    told = await asyncio.gather(*(world.visits.done(visit, f"word {n}") for n in range(2)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in told) == ["StateError", "ToldOf"]
    assert await world.count("visit.told") == await world.count("visit.ended") == 1
    with pytest.raises(StateError, match="told of already"):
        await world.visits.done(visit, "something else")


async def test_nobody_is_on_two_visits_to_one_phone_system(world: World) -> None:
    visit = await world.start()
    with pytest.raises(ConflictError, match="already"):
        await world.start()
    await world.visits.done(visit, "all well")
    assert (await world.start()).id != visit.id, "under the same permission there may be another"


async def test_a_neighbour_ends_nothing_of_ours(world: World) -> None:
    await world.start()
    other = await world.brook.directory.add_customer("t", "Neighbour")
    world.brook.clock.at_ms += 61 * MINUTE
    assert await world.visits.settle(other) == 0
    assert await world.visits.settle(world.brook.customer) == 1
