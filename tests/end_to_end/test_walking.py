"""`system check` where a phone system cannot be come in to: what held, what did not and why, what was not tried."""

from __future__ import annotations

import json
from typing import Any

import asyncssh
import pytest

from gateway.cli.demo import Demo
from tests.end_to_end.conftest import demo as demo
from tests.end_to_end.test_operator import typed
from tests.reconciling.test_adding import given
from tests.session.shell.conftest import database_of_demo as database_of_demo


def changed(how: str) -> dict[str, Any]:
    other = asyncssh.generate_private_key("ssh-ed25519")
    match how:
        case "nobody there":
            return {"port": 9}
        case "another identity":
            return {"pin": other.export_public_key().decode()}
        case "another key":
            return {"private_key": other.export_private_key().decode()}
    return {}


@pytest.mark.parametrize(
    ("how", "went", "words"),
    [
        ("nobody there", [False, None, None, None], "that its host and port are right"),
        ("another identity", [True, False, None, None], "Ask the customer whether the phone system was replaced"),
        ("another key", [True, True, False, None], "refused our credential. Give the current"),
        ("no answer that makes sense", [True, True, False, None], "it was presented, and then"),
    ],
)
async def test_what_held_what_did_not_and_what_was_not_tried(
    demo: Demo, how: str, went: list[bool | None], words: str
) -> None:
    await demo.admin("system add", untried=True, **given(demo, **changed(how)))
    if how.startswith("no answer"):
        demo.lab.faults.add("malformed")
    code, out, err = await typed(demo, "system", "check", "Branch", "--json")
    rows = json.loads(out)
    assert (code, [row["what"] for row in rows]) == (1, ["reach", "identity", "credential", "secrets"]), err
    assert [row["ok"] for row in rows] == went
    assert words in rows[went.index(False)]["in words"]
    assert [row["in words"] for row in rows if row["ok"] is None] == ["not tried"] * went.count(None)
    _, table, _ = await typed(demo, "system", "check", "Branch")
    assert len(table.splitlines()) == 5, table


@pytest.mark.parametrize(
    ("how", "short"),
    [
        ("nobody there", "(reach NO, identity not tried, credential not tried, secrets not tried)"),
        ("another key", "(reach held, identity held, credential NO, secrets not tried)"),
    ],
)
async def test_a_trial_before_saving_tells_the_same(demo: Demo, how: str, short: str) -> None:
    with pytest.raises(RuntimeError) as refused:
        await demo.admin("system add", **given(demo, **changed(how)))
    assert short in str(refused.value)
