"""A command that stays off until the customer switches it on: forged, widened or invented lists are found."""

from __future__ import annotations

from typing import Any

import pytest

from audit import canonical
from audit.events import Event, Personal
from tests.support.passkey import Passkey

from .conftest import House
from .reported import ENGINEER, GRANT, SESSION, SYSTEM, Story
from .test_approvals import agreed, signature
from .test_report import Desk, desk

__all__ = ["desk"]
MORE = ["core-reload"]
OTHER = "op_" + "8" * 24


def text(entries: list[str] = MORE, version: int = 1, system: str = SYSTEM) -> str:
    told = {
        "v": 1, "customer": "c", "system": system, "system_name": "Head office", "list": version, "entries": entries,
    }  # fmt: skip
    return canonical.encode(told).decode()


def signed(story: Story, entries: list[str] = MORE, version: int = 1, words: str = "", **more: Any) -> Event:
    return signature(story, "console.signed", words or text(entries, version), list=version, entries=entries, **more)


def changed(story: Story, entries: list[str] = MORE, version: int = 1, how: str = "signed") -> Event:
    by = Personal("by", "Kate Brook", "customer:x")
    return story.event("console.changed", {"list": version, "entries": entries, "how": how}, by, system=SYSTEM)


def typed(story: Story, version: int = 1, entry: str = "core-reload") -> Event:
    """An operation under the story's permission that needs the list."""
    ids = {"system": SYSTEM, "session": SESSION, "grant": GRANT, "operation": OTHER}
    line = Personal("line", "core reload", f"session:{SESSION}")
    data = {"name": "alter", "fields": [entry], "list": version}
    return story.event("operation.intended", data, line, actor=ENGINEER, **ids)


def over(story: Story) -> Event:
    ids = {"system": SYSTEM, "session": SESSION, "grant": GRANT, "operation": OTHER}
    return story.event("operation.done", {"name": "alter", "count": 1}, actor=ENGINEER, **ids)


async def heard(
    house: House, desk: Desk, *events: Event, story: Story, during: tuple[Event, ...] = ()
) -> tuple[int, str]:
    await story.permitted(story.signed(), *events)
    await story.add(*during)
    await story.visited()
    await house.sequence()
    return desk.check(await story.report())


async def test_a_list_that_was_signed_holds_and_so_does_what_it_lets_be_typed(house: House, desk: Desk) -> None:
    story = Story(house)
    code, said = await heard(
        house, desk, signed(story), changed(story), story=story, during=(typed(story), over(story))
    )
    assert (code, "were signed by the customer's own keys" in said) == (0, True), said
    words = (await story.report()).words()
    assert "these more commands are on: core-reload" in words
    assert "core reload" in words


async def test_less_takes_nobody_s_signature(house: House, desk: Desk) -> None:
    story = Story(house)
    events = signed(story), changed(story), changed(story, [], 2, "in the portal")
    code, said = await heard(house, desk, *events, story=story)
    assert (code, "commands were switched off" in said) == (0, True), said


async def test_a_call_is_told_as_not_signed(house: House, desk: Desk) -> None:
    story = Story(house)
    event = changed(story, how="by telephone, recorded by staff: a call")
    code, said = await heard(house, desk, event, story=story)
    assert (code, "NOT signed: by telephone" in said) == (0, True), said


@pytest.mark.parametrize(("terms", "fine"), [
    ({"consent_by_phone": True}, True), ({"consent_by_phone": False}, False),
    ({"consent_by_phone": True, "approvals_needed": 2}, False),
])  # fmt: skip
async def test_a_call_that_the_agreement_does_not_take_is_found(
    house: House, desk: Desk, terms: dict[str, Any], fine: bool
) -> None:
    """Otherwise whoever runs it could switch on what they like, and say that somebody had rung."""
    story = Story(house)
    call = changed(story, how="by telephone, recorded by staff: a call")
    code, said = await heard(house, desk, *agreed(story, **terms), call, story=story)
    assert (code == 0) is fine, said
    assert ("NOT signed: by telephone" if fine else "the agreement takes no call for that") in said


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda s: [changed(s)], "rests on no signature"),
        (lambda s: [signed(s), changed(s, [*MORE, "queue-show"])], "rests on no signature"),
        (lambda s: [signed(s), changed(s, version=2)], "does not follow the one before"),
        (lambda s: [signed(s, words=text(["queue-show"])), changed(s)], "is another than the log says"),
        (lambda s: [signed(s, words=text(system="sys_other")), changed(s)], "is another than the log says"),
        (lambda s: [signed(s, words=text(version=2)), changed(s)], "is another than the log says"),
        (lambda s: [signed(s, words="no words of ours"), changed(s)], "is another than the log says"),
        (lambda s: [signed(s, passkey=Passkey()), changed(s)], "was not enrolled before it"),
        (lambda s: [*agreed(s, approvals_needed=2), signed(s), changed(s)], "has 1 signatures, the agreement wants 2"),
        (lambda s: [signed(s), changed(s), changed(s, [], 2), changed(s, MORE, 3)], "rests on no signature"),
    ],
)  # fmt: skip
async def test_a_list_that_is_none_of_the_customer_s_is_found(house: House, desk: Desk, made: Any, words: str) -> None:
    story = Story(house)
    code, said = await heard(house, desk, *made(story), story=story)
    assert (code, words in said) == (1, True), said


async def test_the_words_of_a_list_that_were_not_signed_are_found(house: House, desk: Desk) -> None:
    story = Story(house)
    good = signed(story)
    words = Personal("words", text() + " ", "request:x")
    other = story.event("console.signed", dict(good.data), words, actor=good.actor, system=SYSTEM)
    code, said = await heard(house, desk, other, changed(story), story=story)
    assert (code, "are not those that were signed" in said) == (1, True), said


@pytest.mark.parametrize(
    ("before", "version"),
    [
        (lambda s: [], 1), (lambda s: [], 0),
        (lambda s: [signed(s, ["queue-show"]), changed(s, ["queue-show"])], 1),
        (lambda s: [signed(s), changed(s), changed(s, [], 2)], 2),
        (lambda s: [signed(s), changed(s), changed(s, [], 2)], 1),
    ],
)  # fmt: skip
async def test_a_command_that_was_not_on_is_found(house: House, desk: Desk, before: Any, version: int) -> None:
    story = Story(house)
    during = typed(story, version), over(story)
    code, said = await heard(house, desk, *before(story), story=story, during=during)
    assert (code, "was not switched on by the customer" in said) == (1, True), said
