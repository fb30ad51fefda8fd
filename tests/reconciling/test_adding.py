"""A phone system is tried before it is saved, and the trial is one of our own logins."""

from __future__ import annotations

from typing import Any

import asyncssh
import pytest

from gateway.cli.demo import CUSTOMER, Demo
from tests.end_to_end.conftest import demo as demo
from tests.session.shell.conftest import database_of_demo as database_of_demo


def given(demo: Demo, **changed: Any) -> dict[str, Any]:
    return {
        "customer": CUSTOMER, "name": "Branch", "connector": "lab", "host": "127.0.0.1", "port": demo.lab.ssh_port,
        "pin": demo.lab.host_key, "login": "frameroom", "password": None, "private_key": demo.lab.client_key,
        "settings": "{}",
    } | changed  # fmt: skip


async def test_a_phone_system_is_saved_when_it_was_come_in_to_and_that_is_no_alarm(demo: Demo) -> None:
    await demo.admin("system remove", system="Head office")
    assert (await demo.admin("system add", **given(demo)))["tried"] == "yes"
    (line,) = (row for row in await demo.admin("system check", system="Branch") if row["what"] == "login record")
    assert line["ok"], line


async def test_a_trial_that_signed_in_and_was_refused_is_no_alarm_once_it_is_added(demo: Demo) -> None:
    await demo.admin("system remove", system="Head office")
    before = len(demo.lab.record._kept)
    for fault in ("malformed", "close-mid-answer"):
        demo.lab.faults.add(fault)
        with pytest.raises(RuntimeError, match="it was tried, and nothing was saved"):
            await demo.admin("system add", **given(demo))
        demo.lab.faults.discard(fault)
    assert len(demo.lab.record._kept) == before + 2, "it had signed in"
    await demo.admin("system add", **given(demo))
    (line,) = (row for row in await demo.admin("system check", system="Branch") if row["what"] == "login record")
    assert line["ok"], line


async def test_a_new_credential_is_tried_before_it_takes_the_place_of_the_old_and_that_is_no_alarm(demo: Demo) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    given: dict[str, Any] = {"system": "Head office", "login": "frameroom", "password": None}
    with pytest.raises(RuntimeError, match=r"what was kept stays.*identity held, credential NO") as told:
        await demo.admin("system credential", **given, private_key=other)
    assert other not in str(told.value)
    for wrong, words in (({"password": "x", "private_key": None}, "no key"), ({"password": "x"}, "takes no password")):
        with pytest.raises(RuntimeError, match=words):
            await demo.admin("system credential", **(given | {"private_key": demo.lab.client_key} | wrong))
    assert all(row["ok"] for row in await demo.admin("system check", system="Head office")), "the old one still serves"
    assert (await demo.admin("system credential", **given, private_key=demo.lab.client_key))["tried"] == "yes"
    assert all(row["ok"] for row in await demo.admin("system check", system="Head office"))
    assert (await demo.admin("system credential", **given, private_key=other, untried=True))["tried"] == "no"
    went = [row["ok"] for row in await demo.admin("system check", system="Head office")]
    assert went == [True, True, False, None]


@pytest.mark.parametrize("wrong", ["pin", "private_key"])
async def test_another_identity_or_a_wrong_credential_and_nothing_is_saved(demo: Demo, wrong: str) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    value = {"pin": other.export_public_key().decode(), "private_key": other.export_private_key().decode()}[wrong]
    before = demo.lab.record._kept[:]
    with pytest.raises(RuntimeError, match="it was tried, and nothing was saved") as told:
        await demo.admin("system add", **given(demo, **{wrong: value}))
    assert value not in str(told.value)
    assert [row["name"] for row in await demo.admin("system list")] == ["Head office"]
    assert demo.lab.record._kept == before, "nobody signed in"
