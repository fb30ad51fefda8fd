"""Bad days: the phone system, the client, the clock or our own code does what it should not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import asyncssh
import pytest
from sqlalchemy import select, update

from audit.steps import Step
from connectors.contract import Target
from connectors.lab.store import _person
from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.session.visit import Visit
from gateway.store.tables import operations, systems

EVERYTHING = "find,view,alter,remove,diag"


async def states(demo: Demo) -> list[str]:
    """Of all operations, as they came."""
    async with demo.app.parts.store.look_at_everyone() as scope:
        found = await scope.execute(select(operations.c.state).order_by(operations.c.intended_ms))
        return [str(state) for state in found.scalars()]


async def point(demo: Demo, **values: Any) -> None:
    """Another address or pin for the phone system, as the operator would write it."""
    async with demo.app.parts.store.everyone() as scope:
        await scope.execute(update(systems).values(**values))


async def whole(demo: Demo) -> None:
    """The log holds."""
    report = await demo.admin("audit verify")
    assert report["ok"], report["faults"]


def hasty(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Phone systems have a third of a second to answer."""
    usual = demo.app.visits.target

    def target(visit: Visit) -> Target:
        return replace(usual(visit), answer_timeout_ms=300)

    monkeypatch.setattr(demo.app.visits, "target", target)


# --- the phone system ---


async def test_a_phone_system_that_is_down_costs_one_command(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    await point(demo, port=1)
    down = await ssh.run("show 2001")
    assert down.code == 1
    assert "cannot be reached" in down.err
    assert "Traceback" not in down.err
    assert await states(demo) == ["failed"]
    await whole(demo)


async def test_another_host_key_and_the_credential_stays_sealed(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    await permit(demo, EVERYTHING)
    await point(demo, pin=asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip())
    unsealed: list[str] = []
    usual = demo.app.visits.unseal

    async def unseal(visit: Visit) -> Any:
        unsealed.append(visit.id)
        return await usual(visit)

    monkeypatch.setattr(demo.app.visits, "unseal", unseal)
    wrong = await ssh.run("show 2001")
    assert wrong.code == 1
    assert "not the pinned one" in wrong.err
    assert unsealed == []
    assert await states(demo) == ["failed"]


@pytest.mark.parametrize(
    ("fault", "command", "code", "state"),
    [
        ("silent", "show 2001", 1, "failed"),
        ("close-mid-answer", "show 2001", 1, "failed"),
        ("close-after-write", "set 2001 name=Nova", 5, "unknown"),
    ],
)
async def test_a_slow_or_broken_answer_has_its_outcome_and_the_next_dials_again(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch, fault: str, command: str, code: int, state: str
) -> None:
    hasty(demo, monkeypatch)
    await permit(demo, EVERYTHING)
    demo.lab.faults.add(fault)
    bad = await ssh.run(command)
    assert bad.code == code, bad
    assert (await states(demo))[-1] == state
    demo.lab.faults.clear()
    good = await ssh.run("show 2001")
    assert good.code == 0, good.err
    await whole(demo)


async def test_a_client_that_stops_reading_holds_up_itself_alone(demo: Demo, ssh: Master) -> None:
    terms = {"operations": ["view", "list-all"], "mail_domains": [], "consent_by_phone": True}
    await demo.admin("agreement set", customer=CUSTOMER, terms=terms)
    await demo.admin("agreement confirm", customer=CUSTOMER, by="Kate", how="letter")
    await permit(demo, "view,list-all")
    # More than the client's window and the sockets between take: names that fill a line.
    people = {str(2001 + n): _person(n) | {"name": f"{n} " + "x" * 1000} for n in range(40, 10_000)}
    demo.lab.store._people |= people
    reader = await ssh.start_process("users --json")
    assert reader.stdout is not None
    await reader.stdout.readexactly(1)
    while not (channels := [c for v in demo.app.visits.all() for c in v.channels if not c._writable.is_set()]):  # noqa: ASYNC110 - asyncssh sets no event when its window is used up
        await asyncio.sleep(0.02)
    shown = demo.app.visits.all()[0].recording.total
    assert (await ssh.run("show 2001")).code == 0
    assert channels
    assert not channels[0]._writable.is_set(), "it went on although nobody reads"
    assert shown < 8 << 20
    rest, _ = await reader.communicate()
    assert reader.returncode == 0
    assert all(f'"{number} '.encode() in rest for number in range(40, 10_000, 997)), "something was lost"


# --- permission ---


class Gate:
    """Holds whoever comes to a step until it is opened, or the block ends: a test that fails inside ends, too."""

    def __init__(self, demo: Demo, monkeypatch: pytest.MonkeyPatch, at: Step) -> None:
        self.there, self.open, self._at = asyncio.Event(), asyncio.Event(), at
        monkeypatch.setattr(demo.app.parts.steps, "reached", self.reached)

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()

    async def reached(self, step: Step) -> None:
        """In place of the hook that does nothing."""
        if step is self._at:
            self.there.set()
            await self.open.wait()


async def test_an_exception_in_policy_opens_nothing(demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    await permit(demo, EVERYTHING)
    assert (await ssh.run("show 2001")).code == 0

    def broken(*_: object) -> Any:
        raise ZeroDivisionError("a bug in policy")

    monkeypatch.setattr("gateway.session.performing.decide", broken)
    refused = await ssh.run("set 2001 name=Evil")
    assert refused.code == 1
    assert "ZeroDivisionError" in refused.err
    assert "a bug in policy" not in refused.err
    assert demo.lab.store.get("2001")["name"] == "Grace Okonkwo"  # type: ignore[index]
    assert await states(demo) == ["done"]


async def test_a_clock_that_is_set_back_prolongs_nothing(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = await permit(demo, EVERYTHING)
    assert (await ssh.run("show 2001")).code == 0
    clock = demo.app.parts.audit.clock
    before = clock.now()
    usual = clock._wall
    monkeypatch.setattr(clock, "_wall", lambda: usual() - 3_600_000)
    assert (await ssh.run("show 2002")).code == 0
    (visit,) = demo.app.visits.all()
    customer = visit.system.customer_id
    async with demo.app.parts.store.look(customer) as scope:
        times = [row.body["time"] for row in await demo.app.parts.audit.read(scope.connection, customer)]
    assert times == sorted(times)
    assert times[-1] >= before
    assert clock.now() > before  # it goes on, as fast as the machine's steady counter
    assert clock.behind_ms() > 3_500_000
    # The watch works all the same.
    await demo.admin("grant revoke", grant=grant, reason="enough")
    await visit.over.wait()
    assert (await ssh.run("show 2001")).code == 3
    await whole(demo)
