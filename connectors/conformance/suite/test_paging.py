"""A directory of five thousand, and of fifty thousand: everybody once, and memory as flat as with a hundred."""

from __future__ import annotations

import pytest

from connectors.conformance.bench import Bench
from connectors.conformance.people import planted
from connectors.conformance.suite.trying import in_a_child

pytestmark = pytest.mark.asyncio
_GROWTH = 20 << 20


@pytest.mark.parametrize("count", [5_000, 50_000])
async def test_everybody_once_and_memory_stays_flat(bench: Bench, count: int) -> None:
    if count > bench.traits.most_people:
        pytest.skip(f"the bench holds at most {bench.traits.most_people} people")
    async with bench.running(planted(bench, count, plain=True)) as system:
        expected = sum(int.from_bytes(person.id.encode(), "big") for person in system.people) % (1 << 512)
        told = await in_a_child(bench, system.target, await system.unseal(), do="page", limit=500)
    paged = told["outcomes"][-2]
    assert paged["count"] == count
    assert paged["sum"] == str(expected), "somebody came twice and another never"
    assert paged["largest"] <= 500
    assert paged["grown"] <= _GROWTH, f"memory grew by {paged['grown'] >> 20} MiB over {paged['pages']} pages"
