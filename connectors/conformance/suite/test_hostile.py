"""The phone system as an enemy. What it cannot do to a connector is skipped aloud, with the bench's reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from connectors.conformance.bench import Bench, Hostile
from connectors.conformance.people import DOMAIN, planted
from connectors.conformance.suite.trying import (
    against,
    applies,
    own,
    refusal,
    renewable,
    resettable,
    shown,
    tried,
)
from connectors.contract import Change, Operation
from connectors.errors import InvalidValue

pytestmark = pytest.mark.asyncio
_ANSWERS = (
    Hostile.TRUNCATED, Hostile.ENDLESS, Hostile.SLOW, Hostile.SILENT, Hostile.MALFORMED, Hostile.WRONG_ENCODING,
    Hostile.XML_BOMB, Hostile.XML_ENTITY, Hostile.DEEP_JSON, Hostile.REDIRECT,
)  # fmt: skip
_NEVER_OK = set(_ANSWERS) - {Hostile.WRONG_ENCODING, Hostile.XML_ENTITY, Hostile.REDIRECT}
_GROWTH = 64 << 20
_REFUSED = {"ProtocolViolation", "Unreachable", "OutcomeUnknown", "Refused", "IdentityMismatch", "Conflict"}


@asynccontextmanager
async def _elsewhere() -> AsyncIterator[tuple[int, list[str]]]:
    """A port that nobody may be sent to, and who came."""
    came: list[str] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append("somebody")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()


def _operations(bench: Bench) -> list[str]:
    can = bench.family.capabilities().operations
    writes = {"alter": Operation.ALTER, "remove": Operation.REMOVE}
    found = ["people", "find", "view", *(name for name, operation in writes.items() if operation in can)]
    return found + (["reset"] if resettable(bench) or renewable(bench) else [])


@pytest.mark.parametrize("how", _ANSWERS)
async def test_an_enemy_costs_one_operation(bench: Bench, how: Hostile) -> None:
    """It ends in time, in an error of ours, within bounded memory; and what is said of a write is true."""
    applies(bench, how)
    async with bench.running(planted(bench)) as system, _elsewhere() as (port, came):
        told = await against(bench, system, how, _operations(bench), elsewhere=port)
        outcomes = [one for one in told["outcomes"] if one["what"] not in ("connect", "close")]
        assert [one["what"] for one in outcomes] == _operations(bench), told
        for number, outcome in enumerate(outcomes):
            doing, said, person = outcome["what"], outcome["outcome"], own(system, number)
            assert said in _REFUSED | {"ok"}, (doing, said, told["errors"])
            assert said != "ok" or how not in _NEVER_OK, f"{doing} took {how.value} for an answer"
            assert outcome["grown"] <= _GROWTH, f"{doing}: memory grew by {outcome['grown'] >> 20} MiB"
            if said not in ("OutcomeUnknown", "ok"):
                now = await system.now(person.id)
                assert now is not None, f"{doing} said {said}, and it was done"
                assert shown(bench, now) == shown(bench, person), f"{doing} said {said}, and it was done"
                if doing == "reset":
                    kind = (resettable(bench) or renewable(bench))[0]
                    assert await system.opens(person.id, kind, person.secrets[kind.value])
        assert came == [], "it went where the phone system sent it"
        assert not any("\x1b" in error for error in told["errors"])
        # Who comes next, when it is over, is served.
        connector = await bench.family.connect(system.target, system.unseal)
        assert (await connector.view(system.people[-1].id)).id == system.people[-1].id
        await connector.close()


@pytest.mark.parametrize("name", ["\x1b]0;owned\x07Eve", "\x9b2JEve", "Eve\r\nMallory", "Eve\u202emoc.live", "A" * 300])
async def test_escape_sequences_in_a_name_stay_text(bench: Bench, name: str) -> None:
    """Whoever else has written it: it is shown as it is (the gateway cleans what a terminal gets), others are shown,
    an address can still be corrected, and nothing of it is ever sent back."""
    applies(bench, Hostile.ESCAPES)
    async with tried(bench) as (system, connector):
        person = own(system)
        try:
            await system.put(replace(person, name=name))
        except ValueError as error:
            pytest.skip(f"this phone system cannot hold such a name: {error}")
        hostile = await connector.view(person.id)
        assert hostile.id == person.id
        assert len((await connector.people(None, 50)).people) == len(system.people)
        if "email" in bench.traits.alters:
            after = await connector.alter(person.id, Change(email=f"other@{DOMAIN}"), hostile)
            assert (after.email, after.name) == (f"other@{DOMAIN}", hostile.name)
        if Operation.ALTER in bench.family.capabilities().operations and len(name) < 300:
            assert isinstance(await refusal(connector.alter(person.id, Change(name=name), hostile)), InvalidValue)
        if Operation.REMOVE in bench.family.capabilities().operations:
            hostile = await connector.view(person.id)
            await connector.remove(person.id, hostile)
            assert await system.now(person.id) is None
