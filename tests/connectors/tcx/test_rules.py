"""Inbound rules as they are looked through: no more than was asked for, none twice, and an end to it."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.errors import ProtocolViolation, Refused
from connectors.tcx import rules as module
from connectors.tcx.connector import TcxConnector
from connectors.tcx.rules import InboundRules
from tests.support.tcx.pbx import Reply
from tests.support.tcx.server import Server

RULE: dict[str, Any] = {"Id": 9, "Data": "442079460123", "Condition": "BasedOnDID",
                        "OfficeHoursDestination": {"To": "Extension", "Number": "201"}}  # fmt: skip


def asked(server: Server) -> list[str]:
    heard = [one.target for one in server.heard if "InboundRules" in one.target]
    server.heard.clear()
    return heard


async def test_a_page_larger_than_was_asked_for_is_not_taken(server: Server, tcx: TcxConnector) -> None:
    rules = InboundRules(tcx._link, "GB")
    server.pbx.refusing["GET InboundRules"] = Reply(200, {"value": [RULE] * 501})
    for doing in (rules.of(["201"]), rules.naming("201"), rules.holding("2079")):
        with pytest.raises(ProtocolViolation, match="larger"):
            await doing


async def test_rules_without_an_end_come_to_one(
    server: Server, tcx: TcxConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module._MOST_RULES == 200_000
    monkeypatch.setattr(module, "_MOST_RULES", 1_000)
    server.pbx.refusing["GET InboundRules"] = Reply(200, {"value": [RULE] * 500})
    server.heard.clear()
    with pytest.raises(ProtocolViolation, match="more inbound rules"):
        await InboundRules(tcx._link, "GB").of(["201"])
    assert [target.rpartition("=")[2] for target in asked(server)] == ["0", "500", "1000"]


async def test_a_way_to_ask_that_is_refused_in_the_middle_is_not_left_for_another(
    server: Server, tcx: TcxConnector
) -> None:
    """Another order would tell some twice, and others not at all."""
    answer = server.pbx.answer

    def half(method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        if "InboundRules" not in target:
            return answer(method, target, headers, body)
        return Reply(200, {"value": [RULE] * 500}) if target.endswith("skip=0") else Reply(400)

    server.pbx.answer = half  # type: ignore[method-assign,assignment]
    server.heard.clear()
    with pytest.raises(Refused):
        await InboundRules(tcx._link, "GB").of(["201"])
    assert all("filter" in target for target in asked(server))


async def test_enough_is_enough(server: Server, tcx: TcxConnector) -> None:
    for number in range(3):
        server.pbx.rule(f"44207100000{number}", "900")
    rules = InboundRules(tcx._link, "GB")
    assert len(await rules.holding("207100000", 2)) == 2
    assert len(await rules.holding("207100000")) == 3


async def test_of_a_build_that_is_asked_for_all_rules_once_those_that_were_wanted(
    server: Server, tcx: TcxConnector
) -> None:
    server.pbx.filters_paths = False
    rules = InboundRules(tcx._link, "GB")
    found = await rules.of([*(str(n) for n in range(190, 210)), "HOL-1"])
    assert {extension: len(held) for extension, held in found.items()} == {"201": 1, "203": 2}
    assert set(await rules.of(["203"])) == {"203"}
