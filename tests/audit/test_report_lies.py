"""A gateway that signs its own lies: what it wrote into the log, or left out of a report, is named all the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audit.events import Event
from audit.reportfile import Clear

from .conftest import House
from .reported import GRANT, SYSTEM, Story
from .test_report import Desk, Reporter_of, altered, desk, kinds

__all__ = ["desk"]


@pytest.fixture
async def story(house: House) -> Story:
    made = Story(house)
    await made.whole()
    return made


async def test_a_personal_field_that_the_log_never_had_is_named(story: Story, desk: Desk) -> None:
    good = await story.report()
    place = kinds(good).index("heartbeat")
    code, said = desk.check(altered(good, place, clear={"name": Clear(bytes(32), '"Grace"')}))
    assert (code, "is not what the log committed to" in said) == (1, True)
    code, said = desk.check(altered(good, place, gone={"name": "(erased on 2026-11-25)"}))
    assert (code, "is not in the log" in said) == (1, True)


async def test_a_held_checkpoint_that_was_altered_is_no_proof_of_anything(story: Story, desk: Desk) -> None:
    size = story.note.split("\n")[1]
    mail = desk.file("mail.txt", story.note.replace(f"\n{size}\n", f"\n{int(size) - 1}\n"))
    code, said = desk.check(await story.report(), "--since", mail)
    assert (code, "does not hold itself" in said) == (3, True)


@pytest.mark.parametrize("left_out", [5, 12, 16])
async def test_an_entry_left_out_of_everything_since_a_time_is_named(story: Story, desk: Desk, left_out: int) -> None:
    since = await Reporter_of(story).since(0)
    assert desk.check(since)[0] == 0
    gone = since.entries[left_out]
    code, said = desk.check(replace(since, entries=tuple(one for one in since.entries if one is not gone)))
    assert (code, f"entry {gone.index}" in said) == (1, True), said


async def visited(house: House, desk: Desk, *events: Event) -> tuple[int, str]:
    """What the verifier says of a visit that left these, after its beginning."""
    story = Story(house)
    ids = {"system": SYSTEM, "session": "ses_" + "3" * 24, "grant": GRANT}
    await story.permitted()
    await story.add(story.event("session.opened", {"engineer": "eng_" + "6" * 24, "factor": "totp"}, **ids), *events)
    await story.add(story.event("session.closed", {"reason": "left"}, **ids))
    await house.sequence()
    return desk.check(await story.report(recording=False))


def of_the_visit(house: House, kind: str, data: dict[str, Any], **ids: str) -> Event:
    return Story(house).event(kind, data, system=SYSTEM, session="ses_" + "3" * 24, grant=GRANT, **ids)


@pytest.mark.parametrize("outcomes", [0, 2])
async def test_an_operation_without_just_one_outcome_is_named(house: House, desk: Desk, outcomes: int) -> None:
    operation = "op_" + "7" * 24
    begun = of_the_visit(house, "operation.intended", {"name": "alter"}, operation=operation)
    done = of_the_visit(house, "operation.done", {"name": "alter"}, operation=operation)
    code, said = await visited(house, desk, begun, *[done] * outcomes)
    assert (code, f"has {outcomes} outcomes instead of one" in said) == (1, True), said


@pytest.mark.parametrize("closing", [{"segments": 2, "digest": "00"}, {"segments": 1, "digest": "00"}])
async def test_a_segment_that_the_log_does_not_name_is_missed(
    house: House, desk: Desk, closing: dict[str, Any]
) -> None:
    segment = of_the_visit(house, "recording.segment", {"n": 0, "digest": "aa", "bytes": 1})
    code, said = await visited(house, desk, segment, of_the_visit(house, "recording.closed", closing))
    assert (code, "other segments than the log names" in said) == (1, True), said


async def test_an_entry_that_lacks_what_its_kind_has_is_no_traceback(house: House, desk: Desk) -> None:
    code, said = await visited(house, desk, Story(house).event("approver.key_enrolled", {}))
    assert (code, "it was not written by Frameroom" in said) == (1, True), said
