"""No password is ever readable: known ones are planted in every field, new ones are followed, and all is searched."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from connectors.conformance.bench import Bench, Hostile, System
from connectors.conformance.people import DIGITS, DOMAIN, NAMES, TAG, all_secrets, generated, planted
from connectors.conformance.suite.trying import (
    against,
    applies,
    in_a_child,
    lines_of,
    own,
    renew,
    renewable,
    resettable,
    shown,
    tried,
)
from connectors.contract import Change, Credential, Operation, Secrecy, Secret, SecretKind
from connectors.errors import ConnectorError
from connectors.guard import Guard

pytestmark = pytest.mark.asyncio


def _nothing(found: dict[str, Any], needles: list[str], *places: str) -> None:
    """None of the needles was found, in any of these places."""
    for place in places:
        names = [int(number) for number in found["found"].get(place, []) if int(number) < len(needles)]
        assert not names, f"{len(names)} secrets are in its {place}: {[needles[n][:10] + '…' for n in names]}"
    assert TAG not in found["stderr"], "a secret is on the standard error"


def _searched(bench: Bench, needles: list[str]) -> list[str]:
    """With what must be found: what was shown of the first. A search that finds nothing proves nothing."""
    return [*needles, f"user0@{DOMAIN}" if bench.traits.emails else NAMES[0]]


async def _resets(bench: Bench, system: System) -> dict[str, str]:
    """A new secret for each kind that we write."""
    connector = await bench.family.connect(system.target, system.unseal)
    made = {
        kind.value: generated(await connector.secret_rules(own(system).id, kind)) for kind in resettable(bench)
    }  # fmt: skip
    await connector.close()
    return made


def _with_those_made_there(bench: Bench, resets: dict[str, str]) -> dict[str, str | None]:
    """For a child: a secret, or None where the phone system makes one, which then bears the tag of planted ones."""
    return {**resets, **{kind.value: None for kind in renewable(bench)}}


def _parts(credential: Credential) -> list[str]:
    """What of our own credential may be nowhere but in the memory of who uses it: the password, a line of the key."""
    lines = (credential.private_key or "").splitlines()[1:2]
    return [one for one in (credential.password, *lines) if one]


def _discards(bench: Bench) -> bool:
    return Secrecy.DISCARDED in bench.family.capabilities().secrecy.values()


async def test_nothing_that_can_be_looked_at_holds_a_secret_nor_does_the_memory_of_who_looked(bench: Bench) -> None:
    """Planted secrets by their tag, in every encoding. The memory is not searched where a connector says itself that
    the phone system sends secrets regardless (`discarded`): what was dropped may lie there until it is overwritten."""
    needles = [TAG, DIGITS]
    async with bench.running(planted(bench)) as system:
        assert all(any(tag in one for tag in needles) for one in all_secrets(system.people))
        credential = await system.unseal()
        found = await in_a_child(
            bench, system.target, credential, [*_searched(bench, needles), *_parts(credential)], do="look", memory=True,
            ids=[person.id for person in system.people], diag=lines_of(bench),
        )  # fmt: skip
    for outcome in found["outcomes"]:
        assert outcome["outcome"] in {"ok", "NotFound", "NotSupported"}, outcome
    _nothing(found, needles, "results", "errors", "logs", "objects")
    ours = {str(len(needles) + 1 + number) for number in range(len(_parts(credential)))}
    for place in ("results", "errors", "logs"):
        assert not ours & set(found["found"].get(place, [])), f"our own credential is in its {place}"
    assert str(len(needles)) in found["found"]["memory"], "the search found not even what was shown"
    if not _discards(bench):
        _nothing(found, needles, "memory")


async def test_new_passwords_are_in_nothing_that_a_reset_leaves_and_never_come_back(bench: Bench) -> None:
    async with bench.running(planted(bench)) as system:
        resets = await _resets(bench, system)
        if not resets and not renewable(bench):
            pytest.skip(f"{bench.family.name} resets no password")
        needles = [*resets.values(), TAG, DIGITS]
        wrote = await in_a_child(
            bench, system.target, await system.unseal(), needles, do="write", ids=[p.id for p in system.people],
            resets=_with_those_made_there(bench, resets),
        )  # fmt: skip
        assert {outcome["outcome"] for outcome in wrote["outcomes"]} <= {"ok", "NotSupported"}, wrote["outcomes"]
        _nothing(wrote, needles, "results", "errors", "logs", "objects")
        for kind in resettable(bench):
            assert await system.opens(own(system).id, kind, resets[kind.value])
        for kind in renewable(bench):
            assert not await system.opens(own(system).id, kind, own(system).secrets[kind.value])
        looked = await in_a_child(
            bench, system.target, await system.unseal(), _searched(bench, needles), do="look", memory=True,
            ids=[person.id for person in system.people[:3]], diag=lines_of(bench),
        )  # fmt: skip
    _nothing(looked, needles, "results", "errors", "logs", "objects", *([] if _discards(bench) else ["memory"]))


async def test_what_the_answer_to_a_write_tells_is_dropped(bench: Bench) -> None:
    applies(bench, Hostile.TELLING_WRITES)
    async with bench.running(planted(bench)) as system:
        resets = await _resets(bench, system)
        needles = [*resets.values(), TAG, DIGITS]
        async with system.misbehave(Hostile.TELLING_WRITES, 0):
            found = await in_a_child(
                bench, system.target, await system.unseal(), needles, do="write", ids=[p.id for p in system.people],
                resets=_with_those_made_there(bench, resets),
            )  # fmt: skip
    _nothing(found, needles, "results", "errors", "logs", "objects")


@pytest.mark.parametrize("how", [Hostile.TRUNCATED, Hostile.MALFORMED, Hostile.WRONG_ENCODING])
async def test_a_reset_that_fails_tells_nothing_of_what_was_to_be_written(bench: Bench, how: Hostile) -> None:
    """The connection stands, and then the phone system turns into an enemy: nothing of the error holds the secret."""
    applies(bench, how)
    async with bench.running(planted(bench)) as system:
        resets = await _resets(bench, system)
        if not resets and not renewable(bench):
            pytest.skip(f"{bench.family.name} resets no password")
        secret = next(iter(resets.values()), TAG)
        needles = [secret, TAG, DIGITS]
        found = await against(bench, system, how, ["reset"], needles=needles, secret=secret)
    assert "reset" in [one["what"] for one in found["outcomes"]]
    _nothing(found, needles, "results", "errors", "logs", "objects")


async def test_every_request_that_the_phone_system_heard_was_let_through_by_the_guard(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of the phone system itself: what it heard is counted against what the guard made."""
    made: Counter[str] = Counter()
    render = Guard.render

    def counted(guard: Guard, name: str, /, **values: object) -> Any:
        request = render(guard, name, **values)
        if guard is bench.guard:
            made[name] += 1
        return request

    monkeypatch.setattr(Guard, "render", counted)
    can = bench.family.capabilities().operations
    async with tried(bench) as (system, connector):
        person = await connector.view(own(system).id)
        await connector.check()
        await connector.find("smith", 10)
        await connector.people(None, 5)
        await connector.plan_removal(person.id)
        await connector.devices(person.id)
        # Of a prompt's commands some have nothing to say (no queue, no call), but not all of them.
        said = [[data async for data in connector.diag(command)] for command in bench.traits.diag]
        assert any(said) or not said
        looked = Counter(await system.heard())
        assert looked, "the phone system heard nothing: the bench is deaf"
        assert not looked - made, f"sent past the guard: {dict(looked - made)}"
        writing = [name for name in looked if bench.guard.writes(name)]
        assert not writing, f"a look sent what writes: {writing}"
        if Operation.ALTER in can:
            await connector.alter(person.id, Change(name="Another Name"), person)
        for kind in resettable(bench):
            rules = await connector.secret_rules(person.id, kind)
            await connector.reset(person.id, kind, Secret(generated(rules)))
        for kind in renewable(bench):
            await renew(connector, shown(bench, own(system, 2)), kind)
        if Operation.REMOVE in can:
            other = own(system, 1)
            await connector.remove(other.id, shown(bench, other))
        wrote = Counter(await system.heard())
        assert not looked + wrote - made, f"sent past the guard: {dict(looked + wrote - made)}"
        if can & {Operation.ALTER, Operation.REMOVE, *(kind.operation for kind in SecretKind)}:
            assert any(bench.guard.writes(name) for name in wrote), "a write was sent as if it were none"


async def test_the_errors_of_a_phone_system_are_told_in_our_words(bench: Bench) -> None:
    """Whatever an operation is asked that is not there: codes and what to do next, never a request or an answer."""
    async with tried(bench) as (system, connector):
        for doing in (connector.view("K7-nobody-of-that-id"), connector.devices("K7-nobody-of-that-id")):
            try:
                await doing
            except ConnectorError as error:
                assert "K7-nobody" not in error.message + error.next_step
                assert error.code
        assert system.people
