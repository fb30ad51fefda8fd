"""What the connector says when the phone system misbehaves; a write is never repeated."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connectors.contract import Change
from connectors.errors import OutcomeUnknown, Refused, Unreachable
from connectors.lab.connector import LabConnector
from connectors.lab.server import Lab


@pytest.mark.parametrize("fault", ["close-after-write", "close-mid-answer"])
async def test_a_write_whose_answer_is_lost_is_unknown_and_not_repeated(lab: Lab, dial: Any, fault: str) -> None:
    connector = await dial(lab)
    before = await connector.view("2001")
    lab.faults.add(fault)
    with pytest.raises(OutcomeUnknown):
        await connector.alter("2001", Change(name="Once"), before)
    lab.faults.clear()
    # Nothing was sent this time, and the error says so: not unknown, but unreachable.
    with pytest.raises(Unreachable):
        await connector.alter("2001", Change(name="Twice"), before)
    assert (await (await dial(lab)).view("2001")).name == "Once"


async def test_a_silent_phone_system_costs_one_deadline(lab: Lab, dial: Any) -> None:
    connector = await dial(lab, answer_timeout_ms=200)
    before = await connector.view("2001")
    lab.faults.add("silent")
    with pytest.raises(OutcomeUnknown):
        await connector.alter("2001", Change(name="Once"), before)
    with pytest.raises(Unreachable):
        await (await dial(lab, answer_timeout_ms=200)).view("2001")


async def test_a_refusal_is_a_refusal(lab: Lab, connector: LabConnector) -> None:
    before = await connector.view("2001")
    lab.faults.add("refuse")
    with pytest.raises(Refused):
        await connector.alter("2001", Change(name="Once"), before)
    assert await connector.view("2001") == before


async def test_a_cancelled_question_never_answers_the_next(lab: Lab, connector: LabConnector) -> None:
    """Ctrl-C while an answer is on its way: the next question gets its own answer or none."""
    await connector.view("2001")
    for turns in range(20):
        asking = asyncio.ensure_future(connector.view("2001"))
        for _ in range(turns % 4 + 1):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        assert (await connector.view("2002")).id == "2002"


async def test_many_at_once_each_get_their_own_answer(connector: LabConnector) -> None:
    ids = [person.id for person in (await connector.people(None, 100)).people]
    assert [person.id for person in await asyncio.gather(*map(connector.view, ids))] == ids


async def test_a_channel_that_is_dropped_leaves_the_labs_others_alone(lab: Lab, dial: Any) -> None:
    one, other = await dial(lab), await dial(lab)
    await other.view("2001")
    await one.view("2001")
    await one.close()
    assert (await other.view("2002")).id == "2002"
