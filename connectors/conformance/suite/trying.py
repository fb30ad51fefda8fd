"""What the kit's tests share: a phone system with a connection to it, and what must hold whatever happened."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

import pytest

from connectors.conformance.bench import Bench, Hostile, Planted, System
from connectors.conformance.memory import masked
from connectors.conformance.people import planted
from connectors.contract import (
    Connector,
    Credential,
    DiagCommand,
    MakesSecrets,
    Operation,
    Person,
    ResetDone,
    SecretKind,
    Target,
)
from connectors.errors import ConnectorError

ANSWER_MS = 1_500
"""How long an enemy may take for one answer."""
LONGEST_S = 150
"""No answer of a phone system may keep us longer, whatever it is."""


@asynccontextmanager
async def tried(bench: Bench, people: Sequence[Planted] | None = None) -> AsyncIterator[tuple[System, Connector]]:
    """A phone system with the kit's people, and an open connection."""
    async with bench.running(planted(bench) if people is None else people) as system:
        connector = await bench.family.connect(system.target, system.unseal)
        try:
            yield system, connector
        finally:
            await connector.close()


def shown(bench: Bench, person: Planted) -> Person:
    """As a connector has to show a planted person."""
    ddis = tuple(sorted(person.ddis)) if bench.traits.max_ddis else None
    return Person(person.id, person.extension, person.name, person.email, ddis)


def sorted_ddis(person: Person) -> Person:
    """The order of somebody's numbers is the phone system's own."""
    return person if person.ddis is None else replace(person, ddis=tuple(sorted(person.ddis)))


async def same_behind(bench: Bench, system: System, *but: str) -> None:
    """Everybody but these is as they were planted."""
    for person in system.people:
        if person.id not in but:
            now = await system.now(person.id)
            assert now is not None, f"{person.id} is gone, whom nobody removed"
            assert shown(bench, now) == shown(bench, person), f"{person.id} changed, whom nobody altered"


def needs(bench: Bench, *operations: Operation) -> None:
    """Skip aloud where a connector says that it cannot."""
    can = bench.family.capabilities()
    for operation in operations:
        if operation not in can.operations:
            pytest.skip(f"{bench.family.name} cannot {operation.value}: {can.cannot.get(operation.value, 'no reason')}")


def applies(bench: Bench, how: Hostile) -> None:
    """Skip aloud what its transport cannot do to us."""
    if how in bench.traits.inapplicable:
        pytest.skip(f"{how.value} does not apply to {bench.family.name}: {bench.traits.inapplicable[how]}")


async def refusal(doing: Awaitable[object]) -> ConnectorError:
    """The error that this must end in, in time. Anything else, or none, fails the test."""
    result: object
    try:
        async with asyncio.timeout(LONGEST_S):
            result = await doing
    except ConnectorError as error:
        assert error.message
        assert error.next_step
        return error
    except TimeoutError:
        return pytest.fail("it went on and on instead of ending in an error")
    return pytest.fail(f"it answered {result!r} where it had to say no")


def resettable(bench: Bench) -> list[SecretKind]:
    """The kinds of password that this connector writes."""
    can = bench.family.capabilities()
    return [kind for kind in SecretKind if kind.operation in can.operations and kind not in can.made_there]


def renewable(bench: Bench) -> list[SecretKind]:
    """The kinds whose new passwords the phone system makes and mails itself."""
    can = bench.family.capabilities()
    return [kind for kind in SecretKind if kind.operation in can.operations and kind in can.made_there]


async def renew(connector: Connector, person: Person | Planted, kind: SecretKind) -> ResetDone:
    """Have the phone system make a new one, for the address that the person is shown with."""
    assert isinstance(connector, MakesSecrets)
    return await connector.renew(person.id, kind, person.email or "")


def own(system: System, number: int = 0) -> Planted:
    """One of the planted."""
    return system.people[number]


class Child:
    """A connector in a process of its own (see `connectors.conformance.child`)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(
        cls, bench: Bench, target: Target, credential: Credential, needles: Sequence[str], **job: Any
    ) -> Child:
        """Start it with its job."""
        kind = type(bench.family)
        made = job | {
            "family": f"{kind.__module__}:{kind.__qualname__}",
            "target": {k: getattr(target, k) for k in Target.__dataclass_fields__ if k != "settings"},
            "settings": json.loads(target.settings.model_dump_json(by_alias=True)),
            "credential": asdict(credential),
            "needles": masked(needles),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "connectors.conformance.child", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, limit=1 << 26, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        child = cls(process)
        child._say(json.dumps(made))
        return child

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    async def said(self, word: str) -> None:
        """Wait until it says so."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line == word.encode() + b"\n", (line, (await self._process.communicate())[1])

    def go_on(self) -> None:
        """What it waits for."""
        self._say("go on")

    async def done(self) -> dict[str, Any]:
        """What it found."""
        out, err = await self._process.communicate()
        assert self._process.returncode == 0, err.decode(errors="replace")
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        found["stderr"] = err.decode(errors="replace")
        return found

    def end(self) -> None:
        """Whatever it does."""
        if self._process.returncode is None:
            self._process.kill()


async def in_a_child(
    bench: Bench, target: Target, credential: Credential, needles: Sequence[str] = (), **job: Any
) -> dict[str, Any]:
    """A job, from beginning to end."""
    child = await Child.start(bench, target, credential, needles, **job)
    try:
        return await child.done()
    finally:
        child.end()


async def against(
    bench: Bench, system: System, how: Hostile, each: Sequence[str], *, needles: Sequence[str] = (), elsewhere: int = 0,
    secret: str = "73910284",
) -> dict[str, Any]:  # fmt: skip
    """What each operation does against the enemy, each about a person of its own, in a child that was connected
    before the phone system became one. A reset is of the first kind that can be reset, with this secret (or without
    one, where the phone system makes it)."""
    kinds = resettable(bench) or renewable(bench)
    jobs = [(name, asdict(shown(bench, own(system, number)))) for number, name in enumerate(each)]
    target = replace(system.target, answer_timeout_ms=ANSWER_MS)
    child = await Child.start(
        bench, target, await system.unseal(), needles, do="each", each=jobs, kind=kinds[0].value if kinds else "",
        secret=secret if resettable(bench) else None,
    )  # fmt: skip
    try:
        for _ in jobs:
            await child.said("connected")
            async with system.misbehave(how, elsewhere):
                child.go_on()
                await child.said("did")
        return await child.done()
    finally:
        child.end()


def lines_of(bench: Bench) -> list[dict[str, Any]]:
    """The console's commands that look, for a child."""
    return [as_job(command) for command in bench.traits.diag]


def as_job(command: DiagCommand) -> dict[str, Any]:
    """A command, for a child."""
    return {"words": command.words, "name": command.entry}
