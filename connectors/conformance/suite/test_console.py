"""The phone system's own prompt, where a connector offers it: the catalogue and nothing else, streamed, and stopped."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.conformance.bench import Bench, Hostile
from connectors.conformance.people import planted
from connectors.conformance.suite.trying import applies, as_job, in_a_child, own, refusal, same_behind, tried
from connectors.console import Class, OutputFilter, catalogue, find
from connectors.contract import CONSOLE, Connector, DiagCommand, Operation
from connectors.errors import InvalidValue, NotSupported, RequestNotAllowed

_LINES = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_GROWTH = 20 << 20


def _offers(bench: Bench) -> set[Operation]:
    return set(bench.family.capabilities().operations & CONSOLE)


def _needs_console(bench: Bench) -> None:
    if not _offers(bench):
        pytest.skip(f"{bench.family.name} has no console: {bench.family.capabilities().cannot.get('diag')}")


def _commands(bench: Bench) -> list[DiagCommand]:
    return [*bench.traits.diag, *bench.traits.acts]


async def _whole(connector: Connector, command: DiagCommand) -> bytes:
    return b"".join([data async for data in connector.diag(command)])


@pytest.mark.asyncio
async def test_without_a_console_no_line_is_sent(bench: Bench) -> None:
    if _offers(bench):
        pytest.skip(f"{bench.family.name} has a console: the others try it")
    assert not _commands(bench)
    async with tried(bench) as (system, connector):
        await system.heard()
        command = DiagCommand(("core", "show", "version"), "core-show-version")
        assert isinstance(await refusal(_whole(connector, command)), NotSupported)
        assert not await system.heard()


def test_the_bench_tries_every_command_of_its_catalogue(bench: Bench) -> None:
    """A command that is added tomorrow is tried too, or this fails."""
    _needs_console(bench)
    listed = {entry.name: entry.kind for entry in catalogue(bench.traits.console)}
    assert listed, "the bench does not say whose catalogue it is"
    tried_ = {command.entry: Class.ACT if command.acts else Class.LOOK for command in _commands(bench)}
    wanted = {name: kind for name, kind in listed.items() if kind.operation in _offers(bench)}
    assert tried_ == wanted


@pytest.mark.asyncio
async def test_each_command_is_answered_and_changes_nobody(bench: Bench) -> None:
    _needs_console(bench)
    async with tried(bench) as (system, connector):
        for command in _commands(bench):
            await _whole(connector, command)
        await same_behind(bench, system)
        assert (await connector.view(own(system).id)).id == own(system).id


@_LINES
@given(data=st.data())
def test_no_line_outside_the_catalogue_can_be_expressed(bench: Bench, data: st.DataObject) -> None:
    _needs_console(bench)
    listed = catalogue(bench.traits.console)
    words = sorted({word for entry in listed for word in entry.sample().split()} | {"auth", "!", "all", "-x", ";id"})
    line = data.draw(st.lists(st.sampled_from(words), max_size=6).map(" ".join) | st.text(max_size=50))
    for name, values in bench.examples.items():
        if set(values) != {"line"}:
            continue
        found = find(line, listed)
        example = find(str(values["line"]), listed)
        assert example is not None, f"{name} has an example that is in no catalogue"
        if found is not None and found[0].kind is example[0].kind:
            assert bench.guard.render(name, line=line).values["line"] == line
            assert bench.guard.writes(name) == (found[0].kind is Class.ACT), "what acts is a write, and nothing else is"
        else:
            with pytest.raises((InvalidValue, RequestNotAllowed)):
                bench.guard.render(name, line=line)


@pytest.mark.asyncio
async def test_a_command_that_was_made_by_hand_is_refused(bench: Bench) -> None:
    """What a connector is handed is checked again below it."""
    _needs_console(bench)
    async with tried(bench) as (system, connector):
        await system.heard()
        first = bench.traits.diag[0]
        for command in (
            DiagCommand((*first.words, "x"), first.entry), DiagCommand(first.words, first.entry, acts=True),
            DiagCommand((first.words[0], *first.words[1:-1], first.words[-1] + "\n!id"), first.entry),
            DiagCommand((), first.entry), DiagCommand(("!id",), "x", acts=True),
        ):  # fmt: skip
            assert isinstance(await refusal(_whole(connector, command)), InvalidValue | RequestNotAllowed)
        assert not await system.heard()


@pytest.mark.asyncio
async def test_nothing_of_a_secret_is_in_any_output(bench: Bench) -> None:
    """As the gateway shows it: what a command withholds is withheld."""
    _needs_console(bench)
    entries = {entry.name: entry for entry in catalogue(bench.traits.console)}
    async with tried(bench) as (system, connector):
        secrets = [value for person in system.people for value in person.secrets.values() if value]
        for command in _commands(bench):
            strainer = OutputFilter(fields=entries[command.entry].withheld, shown=entries[command.entry].shown)
            shown = strainer.feed(await _whole(connector, command)) + strainer.flush()
            assert not [secret for secret in secrets if secret.encode() in shown], f"{command.render()} shows a secret"


def _long(bench: Bench) -> DiagCommand:
    _needs_console(bench)
    if bench.traits.long is None:
        pytest.skip(f"{bench.family.name} has no command whose output grows with the directory")
    return bench.traits.long


@pytest.mark.asyncio
async def test_a_long_output_is_streamed_with_flat_memory(bench: Bench) -> None:
    command, count = _long(bench), min(50_000, bench.traits.most_people)
    async with bench.running(planted(bench, count, plain=True)) as system:
        told = await in_a_child(bench, system.target, await system.unseal(), do="output", **as_job(command))
    found: dict[str, Any] = told["outcomes"][-2]
    assert found["bytes"] > count * 20, "the output does not grow with the directory"
    assert found["grown"] <= _GROWTH, f"memory grew by {found['grown'] >> 20} MiB over {found['bytes'] >> 20} MiB"


@pytest.mark.asyncio
async def test_whoever_stops_listening_ends_it_and_the_connection_goes_on(bench: Bench) -> None:
    command = _long(bench)
    count = min(5_000, bench.traits.most_people)
    async with bench.running(planted(bench, count, plain=True)) as system:
        connector = await bench.family.connect(system.target, system.unseal)
        for _ in range(3):
            output = connector.diag(command)
            assert await anext(aiter(output))
            async with asyncio.timeout(20), aclosing(output):  # type: ignore[type-var]
                pass
            assert (await connector.view(own(system).id)).id == own(system).id
        assert await _whole(connector, bench.traits.diag[0])
        await connector.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("how", [Hostile.IDENTITY_SWAPPED])
async def test_no_line_goes_to_another_s_prompt(bench: Bench, how: Hostile) -> None:
    applies(bench, how)
    _needs_console(bench)
    async with bench.running(planted(bench)) as system, system.misbehave(how, 0):
        await refusal(bench.family.connect(system.target, system.unseal))
        assert not [name for name in await system.heard() if name in bench.examples]
