"""What somebody with the signing key of the log could still try: signatures moved, counted short, or to other words."""

from __future__ import annotations

import json

import pytest

from audit import canonical
from audit.events import Personal
from tests.support.passkey import Passkey

from .conftest import House
from .reported import APPROVER, ENGINEER, REQUEST, SESSION, SYSTEM, Story
from .test_approvals import JOB, TERMS, Standing, agreed, heard, job, job_text, signature, taken
from .test_report import Desk, desk

__all__ = ["desk"]


async def test_a_permission_that_nobody_asked_for_is_found(house: House, desk: Desk) -> None:
    """In place of the request that it names, a request of another number."""
    story = Story(house)
    await story.permitted(story.signed())
    other = {"system": SYSTEM, "request": "req_" + "0" * 24, "grant": "gra_" + "0" * 24}
    await story.add(story.event("request.granted", story.granted, **other))
    ids = {"system": SYSTEM, "session": SESSION, "grant": other["grant"]}
    await story.add(
        story.event("session.opened", {"engineer": ENGINEER, "factor": "totp"}, **ids),
        story.event("session.closed", {"reason": "left"}, **ids),
    )
    await house.sequence()
    code, said = desk.check(await story.report(recording=False))
    assert (code, "nobody asked for it" in said) == (1, True), said


@pytest.mark.parametrize("signers", [1, 2])
async def test_a_change_of_the_agreement_takes_as_many_signatures_as_the_one_before_says(
    house: House, desk: Desk, signers: int
) -> None:
    story, other, key = Standing(house), "apr_" + "1" * 24, Passkey()
    told = TERMS | {"approvals_needed": 1, "standing": ["alter"]}
    text = canonical.encode({"v": 1, "customer": "c", "agreement": 2, "terms": json.dumps(told)}).decode()
    more = [signature(story, "agreement.signed", text, version=2)]
    if signers == 2:
        more.append(signature(story, "agreement.signed", text, other, key, version=2))
    code, said = await heard(
        house, desk, story, story.enrolled(key, other), *agreed(story, approvals_needed=2),
        story.event("agreement.set", {"version": 2, "digest": "d"} | told), *more,
        story.event("agreement.confirmed", {"version": 2, "how": "h"}),
    )  # fmt: skip
    assert (code == 0) is (signers == 2), said
    assert signers == 2 or "has 1 signatures, the one before wants 2" in said


async def test_the_words_of_an_agreement_that_were_not_signed_are_found(house: House, desk: Desk) -> None:
    story = Standing(house)
    drawn, signed, confirmed = agreed(story, standing=["alter"])
    (words,) = signed.personal
    other = story.event(
        "agreement.signed", dict(signed.data), Personal("words", words.value + " ", words.key_id), actor=APPROVER
    )
    code, said = await heard(house, desk, story, drawn, other, confirmed)
    assert (code, "are not those that were signed" in said) == (1, True), said


async def test_the_words_of_a_request_that_were_not_signed_are_found(house: House, desk: Desk) -> None:
    story = Story(house)
    signed = story.signed()
    words = Personal("request", story.request + " ", f"request:{REQUEST}")
    other = story.event("approval.signed", dict(signed.data), words, actor=APPROVER, **story.about)
    code, said = await heard(house, desk, story, other)
    assert (code, "are not those that were signed" in said) == (1, True), said


async def test_a_signature_for_another_job_is_found(house: House, desk: Desk) -> None:
    story = Story(house)
    signed = signature(story, "job.signed", job_text(what="Change another name"), job=JOB)
    code, said = await heard(house, desk, story, job(story, job_text()), signed, taken(story))
    assert (code, "is for another job than the one that was asked for" in said) == (1, True), said


async def test_a_job_takes_as_many_signatures_as_the_agreement_wants(house: House, desk: Desk) -> None:
    story, other, key = Story(house), "apr_" + "1" * 24, Passkey()
    text = job_text()
    first = (*agreed(story, approvals_needed=2), job(story, text), signature(story, "job.signed", text, job=JOB))
    code, said = await heard(house, desk, story, story.enrolled(key, other), *first, taken(story))
    assert (code, "has 1 signatures, the agreement wants 2" in said) == (1, True), said


async def test_a_permission_that_the_agreement_would_stand_for_and_does_not_say_so_is_found(
    house: House, desk: Desk
) -> None:
    story = Story(house)  # it says "signed"
    code, said = await heard(house, desk, story, *agreed(story, standing=["alter"]))
    assert (code, "nobody of the customer's said yes" in said) == (1, True), said
