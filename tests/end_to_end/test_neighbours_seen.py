"""Invariant 8 from outside: a neighbour with a row in every table, and nothing of theirs in what anybody is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gateway.cli.demo import CUSTOMER, LOGIN, SYSTEM, Demo, permit
from gateway.cli.story import Master
from tests.support.planted import plant, planted_id

B = "cus_neighbour"
_COMMANDS = (
    "help", "whoami", "systems", "systems neighbour", "requests", "grants", "find neighbour", "find a", "users",
    "show 2001", "changes", "changes --all", "notes", "handover", f"use {planted_id('systems', B)}",
    f'use "{B} name"', f"show 2001 --system {planted_id('systems', B)}", f'request "{B} name" --ops view --reason x',
    "undo 1", 'note "hello"', "diag",
)  # fmt: skip


@pytest.fixture
async def furnished(demo: Demo) -> Demo:
    """The demo with its permission, and a neighbour of whom no engineer of ours is told."""
    async with demo.app.parts.store.everyone() as scope:
        await plant(scope, B)
    await permit(demo, "find,view")
    return demo


def mentions(answer: str) -> list[str]:
    """Lines that tell of the neighbour, but for what the question itself said."""
    return [line for line in answer.splitlines() if B in line and "There is no such" not in line]


async def test_8_nothing_an_engineer_can_say_shows_a_neighbour(furnished: Demo, ssh: Master) -> None:
    for command in _COMMANDS:
        for more in ("", " --json"):
            ran = await ssh.run(command + more)
            assert mentions(ran.out + ran.err) == [], command
    opened = {visit.system.customer_id for visit in furnished.app.visits.all()}
    assert B not in opened


def _reads(grant: str, session: str) -> Iterator[tuple[str, dict[str, object]]]:
    for name in ("contact list", "approver list", "customer show", "agreement show", "agreement list"):
        yield name, {"customer": CUSTOMER}
    for name in ("system list", "request list", "grant list", "session list", "recording list"):
        yield name, {"customer": CUSTOMER}
    yield "system show", {"system": SYSTEM}
    yield "engineer show", {"login": LOGIN}
    yield "grant show", {"grant": grant}
    yield "session show", {"session": session, "why": "t"}
    yield "audit tail", {"customer": CUSTOMER, "count": 100, "why": "t"}
    yield "audit search", {"customer": CUSTOMER, "why": "t"}
    yield "explain", {"engineer": LOGIN, "system": SYSTEM, "operation": "view", "at_ms": None}


async def test_8_nothing_asked_for_one_customer_tells_of_another(furnished: Demo, ssh: Master) -> None:
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = furnished.app.visits.all()
    asked = 0
    for name, given in _reads(visit.grant.id, visit.id):
        try:
            answer = await furnished.admin(name, **given)
        except RuntimeError as error:
            assert "no such command" in str(error), (name, str(error))
            continue
        asked += 1
        assert B not in json.dumps(answer, ensure_ascii=False), name
    assert asked > 12


async def test_8_a_neighbours_people_have_no_say(furnished: Demo) -> None:
    """An approver, a contact, a grant of one customer are nobody and nothing to another."""
    with pytest.raises(RuntimeError, match="approver"):
        await furnished.admin("approver remove", customer=CUSTOMER, approver=planted_id("approvers", B))
    with pytest.raises(RuntimeError, match="contact"):
        await furnished.admin("contact remove", customer=CUSTOMER, contact=planted_id("contacts", B))
    before = await furnished.admin("grant list", customer=CUSTOMER)
    await furnished.admin("grant revoke", grant=planted_id("grants", B), reason="t")
    assert await furnished.admin("grant list", customer=CUSTOMER) == before
