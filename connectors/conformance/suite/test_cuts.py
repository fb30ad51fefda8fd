"""The connection is cut at every byte of an answer: what is said of the outcome is true, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from connectors.conformance.bench import Bench, Planted, System
from connectors.conformance.people import DOMAIN, generated, planted
from connectors.conformance.relay import Relay, relayed
from connectors.conformance.suite.trying import (
    LONGEST_S,
    needs,
    renew,
    renewable,
    resettable,
    shown,
)
from connectors.contract import UNSET, Change, Connector, Operation, Person, Secret, Target
from connectors.errors import ConnectorError, OutcomeUnknown

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(900)]
_PLACES = 120
_AT_ONCE = 4


@dataclass
class _Write:
    """One write that is cut: what is done, and whether it happened, as seen from behind."""

    operation: Operation
    do: Callable[[Connector, Person], Awaitable[object]]
    happened: Callable[[Planted], Awaitable[bool]]


def _writes(bench: Bench, system: System) -> dict[str, _Write]:
    async def renamed(person: Planted) -> bool:
        now = await system.now(person.id)
        assert now is not None
        assert now.name in (person.name, "Another Name"), "half a change is there"
        return now.name != person.name

    async def removed(person: Planted) -> bool:
        return await system.now(person.id) is None

    def everything(person: Person) -> Change:
        fields = bench.traits.alters
        email = f"new-{person.extension}@{DOMAIN}" if "email" in fields else UNSET
        return Change("Another Name", email, None if "ddi" in fields else UNSET)

    async def touched(person: Planted) -> bool:
        now = await system.now(person.id)
        assert now is not None
        return shown(bench, now) != shown(bench, person)

    found = {
        # Where each field is a request of its own, half of it may be done.
        "alter everything": _Write(Operation.ALTER, lambda c, p: c.alter(p.id, everything(p), p), touched),
        "alter": _Write(Operation.ALTER, lambda c, p: c.alter(p.id, Change(name="Another Name"), p), renamed),
        "remove": _Write(Operation.REMOVE, lambda c, p: c.remove(p.id, p), removed),
    }
    if kinds := resettable(bench):
        kind, secrets = kinds[0], dict[str, str]()

        async def reset(connector: Connector, person: Person) -> object:
            secrets[person.id] = generated(await connector.secret_rules(person.id, kind))
            return await connector.reset(person.id, kind, Secret(secrets[person.id]))

        async def counts(person: Planted) -> bool:
            return person.id in secrets and await system.opens(person.id, kind, secrets[person.id])

        found["reset"] = _Write(kind.operation, reset, counts)
    elif kinds := renewable(bench):
        kind = kinds[0]

        async def old_is_gone(person: Planted) -> bool:
            return not await system.opens(person.id, kind, person.secrets[kind.value])

        # Of those who have an address: without one nothing is made.
        found["reset"] = _Write(kind.operation, lambda c, p: renew(c, p, kind), old_is_gone)
    return found


def _places(bench: Bench, total: int, every: bool) -> list[int]:
    """Where to cut. Of a long answer its beginning and end byte by byte, and places spread over the rest."""
    if every or total <= _PLACES:
        return list(range(total + 1))
    edge = _PLACES // 3
    step = max(1, (total - 2 * edge) // edge)
    # A write's own answer need not be the last: what was written may be looked at again.
    last = range(max(edge, total - 30 * edge), total - edge, 10)
    return sorted({*range(edge), *range(edge, total - edge, step), *last, *range(total - edge, total + 1)})


async def _undisturbed(bench: Bench, system: System, write: _Write) -> tuple[int, Counter[str]]:
    """How many bytes of answers one write has, and what is asked for it; the first person is used up."""
    async with relayed(system.target.host, system.target.port) as relay:
        connector = await bench.family.connect(_through(system, relay), system.unseal)
        person = await connector.view(system.people[0].id)
        await system.heard()
        relay.arm(None)
        await write.do(connector, person)
        total = relay.passed
        asked = Counter(await system.heard())
        await connector.close()
    return total, asked


def _through(system: System, relay: Relay) -> Target:
    return replace(system.target, host="127.0.0.1", port=relay.port)


async def _cut(bench: Bench, system: System, write: _Write, person: Planted, place: int) -> str:
    """What was said of the outcome ("ok" or the error's name), once it was seen to be true."""
    async with relayed(system.target.host, system.target.port) as relay:
        connector = await bench.family.connect(_through(system, relay), system.unseal)
        before = await connector.view(person.id)
        relay.arm(place)
        said = "ok"
        try:
            async with asyncio.timeout(LONGEST_S):
                await write.do(connector, before)
        except ConnectorError as error:
            said = type(error).__name__
            unknown = isinstance(error, OutcomeUnknown)
        await connector.close()
    happened = await write.happened(person)
    if said == "ok":
        assert happened, f"cut after {place} bytes: it said that it was done, and it was not"
    elif not unknown:
        assert not happened, f"cut after {place} bytes: it said {said}, as if nothing had happened, and it was done"
    return said if not happened or said == "ok" else f"{said}, and it was done"


@pytest.mark.parametrize("name", ["alter", "alter everything", "remove", "reset"])
async def test_what_is_said_of_the_outcome_is_true_wherever_the_answer_is_cut(
    bench: Bench, name: str, request: pytest.FixtureRequest
) -> None:
    # Of some phone systems an answer is as long as the directory: both are of one size, unless every byte is cut.
    size = 2 * _PLACES + len(planted(bench))
    async with bench.running(planted(bench, size)) as probe:
        found = _writes(bench, probe)
        if name not in found:
            pytest.skip(f"{bench.family.name} resets no password")
        needs(bench, found[name].operation)
        total, asked = await _undisturbed(bench, probe, found[name])
    places = _places(bench, total, bool(request.config.getoption("every_byte")))
    people = planted(bench, max(size, len(places) + len(planted(bench))))
    async with bench.running(people) as system:
        write = _writes(bench, system)[name]
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(number: int, place: int) -> str:
            async with slots:
                return await _cut(bench, system, write, system.people[-1 - number], place)

        said = await asyncio.gather(*(one(number, place) for number, place in enumerate(places)))
        heard = Counter(await system.heard())
    for request_name, times in asked.items():
        if bench.guard.writes(request_name):
            assert heard[request_name] <= times * len(places), f"{request_name} writes, and was sent again"
    assert "OutcomeUnknown" in {words.partition(",")[0] for words in said}, f"no cut was unknown: {set(said)}"
    assert "OutcomeUnknown, and it was done" in said, f"no cut came between the writing and its answer: {set(said)}"
    print(f"{name}: {total} bytes of answers, cut at {len(places)} places: {sorted(set(said))}")
