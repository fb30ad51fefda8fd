"""A connection that is cut at every byte of an answer: what may have been written is never told as not written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from connectors.asterisk_ami.connector import AmiConnector
from connectors.contract import Change, Secret, SecretKind
from connectors.errors import OutcomeUnknown, Unreachable
from tests.support.ami import site as sites
from tests.support.ami.server import Asterisk, running

from .conftest import plain

NEW = "Kx7mQ2vTz9LpR4wNc8Hd"


async def _answer_sizes(act: Callable[[AmiConnector], Awaitable[object]]) -> tuple[int, int]:
    """How many bytes an act is answered, and how many of them come before its first write's answer."""
    asterisk = sites.asterisk()
    sizes, before = list[int](), list[int]()

    def count(headers: dict[str, str], answer: bytes) -> bytes:
        if headers["Action"] == "UpdateConfig" and not before:
            before.append(sum(sizes))
        sizes.append(len(answer))
        return answer

    async with running(asterisk) as port:
        connector = await plain(port)
        asterisk.twist = count
        await act(connector)
        await connector.close()
    return sum(sizes), (before or [sum(sizes)])[0]


ACTS: dict[str, Callable[[AmiConnector], Awaitable[object]]] = {
    "reset": lambda c: c.reset("2001", SecretKind.SIP, Secret(NEW)),
    "alter": lambda c: _altered(c),
    "remove": lambda c: _removed(c),
}


async def _altered(connector: AmiConnector) -> None:
    await connector.alter("2001", Change(name="Grace Bell"), await connector.view("2001"))


async def _removed(connector: AmiConnector) -> None:
    await connector.remove("2001", await connector.view("2001"))


def _state(asterisk: Asterisk) -> tuple[object, ...]:
    endpoint = asterisk.section("2001", "endpoint")
    name = endpoint.last("callerid") if endpoint else None
    return asterisk.accepts("2001", NEW), name, asterisk.box("2001") is None


@pytest.mark.parametrize("name", ACTS)
async def test_cut_at_every_byte_what_may_have_been_written_is_never_told_as_not_written(name: str) -> None:
    """Before the write is sent: lost, and nothing was written. From then on: not known. Whole: done."""
    whole, first = await _answer_sizes(ACTS[name])
    untouched = _state(sites.asterisk())
    places = sorted(
        {*range(first - 40, first + 60), *range(first + 60, whole, 97), *range(0, first - 40, 131), whole - 1}
    )
    asterisk = sites.asterisk()
    async with running(asterisk) as port:
        for place in (p for p in places if 0 <= p < whole):
            asterisk.__post_init__()
            asterisk.cut = None
            connector = await plain(port)
            asterisk.cut = place
            outcome = "done"
            try:
                await ACTS[name](connector)
            except OutcomeUnknown:
                outcome = "unknown"
            except Unreachable:
                outcome = "lost"
            await connector.close()
            changed = _state(asterisk) != untouched
            if place < first:
                assert (outcome, changed) == ("lost", False), place
            elif outcome == "done":
                assert changed, place
            elif outcome == "lost":
                pytest.fail(f"cut at {place} of {whole}, first write answered at {first}: told as lost, was written")
