"""Asterisk's cache of accounts is emptied through a real sshd, by a key that does nothing else there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.asterisk.connector import AsteriskConnector, AsteriskRealtimeFamily
from connectors.contract import Change, Credential, Secret, SecretKind
from tests.connectors.asterisk.database import PASSWORD, Pbx
from tests.support.flat_pbx import USER, Door, door

NEW = "Kx7mQ2vTz9LpR4wNc8Hd"
# What Asterisk's console says (res_sorcery_memory_cache.c).
_EMPTIED = "All objects have been removed from cache 'res_pjsip/{}'"
_NONE = "Specified sorcery memory cache 'res_pjsip/{}' does not exist"


class Console:
    """Stands where `asterisk -rx` does: says what it is told to, and counts how often it was run."""

    def __init__(self, folder: Path) -> None:
        self.said, self._runs = folder / "said", folder / "runs"
        self.command = f"echo run >> {self._runs}; cat {self.said}"
        self.says(*map(_EMPTIED.format, ("auth", "endpoint")))

    def says(self, *lines: str) -> None:
        """From now on."""
        self.said.write_text("".join(f"{line}\n" for line in lines))

    @property
    def runs(self) -> int:
        """So far."""
        return len(self._runs.read_text().splitlines()) if self._runs.exists() else 0


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return Console(tmp_path)


@pytest.fixture
def bound(tmp_path: Path, console: Console) -> Iterator[Door]:
    with door(tmp_path / "ssh", f'command="{console.command}",restrict') as made:
        yield made


async def connected(pbx: Pbx, there: Door, *, key: str | None = None, **more: Any) -> AsteriskConnector:
    way = {"port": there.port, "pin": there.pin, "login": USER} | more

    async def unseal() -> Credential:
        return Credential("gateway", PASSWORD, key if key is not None else there.key)

    return await AsteriskRealtimeFamily().connect(pbx.target(sorcery_cache="expires", expiry=way), unseal)


async def test_a_new_password_counts_at_once(pbx: Pbx, console: Console, bound: Door) -> None:
    connector = await connected(pbx, bound)
    done = await connector.reset("1001", SecretKind.SIP, Secret(NEW))
    assert done.notes == ()
    assert console.runs == 1
    await connector.reset("1001", SecretKind.VOICEMAIL, Secret("918273"))
    assert console.runs == 1, "mailboxes are in no such cache"
    await connector.close()


async def test_a_new_name_and_a_removal_count_at_once_too(pbx: Pbx, console: Console, bound: Door) -> None:
    connector = await connected(pbx, bound)
    shown = await connector.view("1002")
    shown = await connector.alter("1002", Change(name="Tom Alvarez"), shown)
    assert console.runs == 1
    plan = await connector.plan_removal("1002")
    removal = await connector.remove("1002", shown)
    assert console.runs == 2
    assert plan.remains == removal.remains
    assert not any("cache" in words for words in removal.remains)
    await connector.close()


@pytest.mark.parametrize(
    "lines", [(_NONE.format("auth"),), (_EMPTIED.format("endpoint"),), ("No such command",), (), ("y" * 100_000,)]
)
async def test_a_cache_that_was_not_emptied_is_told(
    pbx: Pbx, console: Console, bound: Door, lines: tuple[str, ...]
) -> None:
    """The password is written all the same: what became of the old one is said, and what to type."""
    console.says(*lines)
    connector = await connected(pbx, bound)
    (note,) = (await connector.reset("1001", SecretKind.SIP, Secret(NEW))).notes
    assert "old password goes on working" in note
    assert "sorcery memory cache expire res_pjsip/auth" in note
    assert "yyy" not in note
    removed = await connector.remove("1002", await connector.view("1002"))
    assert any("removed account goes on working" in words for words in removed.remains)
    (line,) = [line for line in await connector.check() if line.what == "cache"]
    assert not line.ok
    await connector.close()


@pytest.mark.parametrize("wrong", ["key", "pin", "port", "no key"])
async def test_whoever_cannot_be_reached_keeps_no_reset_from_being_done(
    pbx: Pbx, console: Console, bound: Door, tmp_path: Path, wrong: str
) -> None:
    with door(tmp_path / "other", 'command="true",restrict') as other:
        more: dict[str, Any] = {"pin": other.pin} if wrong == "pin" else {"port": 1} if wrong == "port" else {}
        if wrong == "no key":
            connector = await keyless(pbx, bound)
        else:
            connector = await connected(pbx, bound, key=other.key if wrong == "key" else None, **more)
        (note,) = (await connector.reset("1001", SecretKind.SIP, Secret(NEW))).notes
    assert "could not be emptied from here" in note
    assert console.runs == 0
    await connector.close()


async def keyless(pbx: Pbx, there: Door) -> AsteriskConnector:
    way = {"port": there.port, "pin": there.pin, "login": USER}
    return await pbx.connect(sorcery_cache="expires", expiry=way)


async def test_a_check_says_which_caches_are_emptied(pbx: Pbx, bound: Door) -> None:
    connector = await connected(pbx, bound)
    (line,) = [line for line in await connector.check() if line.what == "cache"]
    assert line.ok
    assert "res_pjsip/auth, res_pjsip/endpoint" in line.words
    await connector.close()


async def test_a_key_that_reaches_more_than_the_command_empties_nothing(pbx: Pbx, tmp_path: Path) -> None:
    with door(tmp_path / "unbound", "") as free:
        connector = await connected(pbx, free)
        (note,) = (await connector.reset("1001", SecretKind.SIP, Secret(NEW))).notes
        assert "could not be emptied from here" in note
        await connector.close()
