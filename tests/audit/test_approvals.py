"""Every permission in a report rests on the customer's own yes; whatever is forged, widened or invented is named."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar

import pytest

from audit import canonical
from audit.assertions import fingerprint
from audit.events import Event, Personal
from tests.support.passkey import PRESENT, Passkey

from .conftest import House
from .reported import APPROVER, ENGINEER, REQUEST, SYSTEM, UNTIL, Story, b64
from .test_report import Desk, desk

__all__ = ["desk"]


async def verdict(house: House, desk: Desk, *approvals: str, **made: Any) -> tuple[int, str]:
    story = Story(house)
    events = {"signed": lambda: story.signed(**made), "enrolled": lambda: story.enrolled(made["passkey"])}
    await story.permitted(*(events[name]() for name in approvals))
    await story.visited()
    await house.sequence()
    return desk.check(await story.report())


async def test_a_permission_that_nobody_signed_is_found(house: House, desk: Desk) -> None:
    story = Story(house)
    await story.permitted(story.event("heartbeat", {"sessions": 0}))
    await story.visited()
    await house.sequence()
    code, said = desk.check(await story.report())
    assert (code, "rests on no approval" in said) == (1, True)


async def test_an_approval_by_a_key_that_was_never_enrolled_is_found(house: House, desk: Desk) -> None:
    code, said = await verdict(house, desk, "signed", passkey=Passkey())
    assert (code, "was not enrolled before it" in said) == (1, True)


async def test_an_approver_whom_the_operator_invented_is_found_by_the_pinned_fingerprints(
    house: House, desk: Desk
) -> None:
    story, mallory = Story(house), Passkey()
    await story.permitted(story.enrolled(mallory), story.signed(mallory))
    await story.visited()
    await house.sequence()
    report = await story.report()
    pins = desk.file("pins.txt", f"# on our agreement\n{fingerprint(story.passkey.public)}  Kate Brook\n")
    assert desk.check(report)[0] == 0, "without the pins nobody can tell"
    code, said = desk.check(report, "--approvers", pins)
    assert (code, "that you did not pin" in said) == (4, True)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"challenge": b"x" * 32}, "a yes to something else"),
        ({"type": "webauthn.create"}, "not made as a yes"),
        ({"crossOrigin": True}, "not made as a yes"),
        ({"flags": PRESENT}, "was not verified by their authenticator"),
    ],
)
async def test_an_approval_that_is_none_is_found(house: House, desk: Desk, made: dict[str, Any], words: str) -> None:
    code, said = await verdict(house, desk, "signed", **made)
    assert (code, words in said) == (1, True), said


async def test_an_approval_for_an_edited_request_is_found(house: House, desk: Desk) -> None:
    story = Story(house)
    edited = story.signed()
    edited.data["digest"] = "0" * 64  # type: ignore[index]
    await story.permitted(edited)
    await story.visited()
    await house.sequence()
    code, said = desk.check(await story.report())
    assert (code, "for another request" in said) == (1, True)


async def heard(house: House, desk: Desk, story: Story, *events: Event) -> tuple[int, str]:
    """What the verifier says of a visit under a permission that came about like this."""
    await story.permitted(*events)
    await story.visited()
    await house.sequence()
    return desk.check(await story.report())


def narrowed(story: Story, **less: Any) -> Event:
    data = {"approver": APPROVER, "operations": ["alter"], "until_ms": UNTIL, "digest": story.digest} | less
    return story.event("request.narrowed", data, actor=APPROVER, **story.about)


class Wider(Story):
    """An operator writes a permission for more than was signed."""

    more: ClassVar[dict[str, Any]] = {}

    @property
    def granted(self) -> dict[str, Any]:
        return super().granted | self.more


@pytest.mark.parametrize("more", [{"operations": ["alter", "remove"]}, {"until_ms": UNTIL + 1}])
async def test_a_permission_for_more_than_was_signed_is_found(house: House, desk: Desk, more: dict[str, Any]) -> None:
    story = Wider(house)
    story.more = more  # type: ignore[misc]
    code, said = await heard(house, desk, story)
    assert (code, "goes further than what was said yes to" in said) == (1, True), said


async def test_a_yes_to_less_holds_and_voids_the_yes_before(house: House, desk: Desk) -> None:
    story = Story(house, wanted=("alter", "view"), until=UNTIL + 9)
    more = story.signed()
    asked = {
        "engineer": ENGINEER, "operations": ["alter", "view"], "until_ms": UNTIL + 9, "digest": story.digest,
    }  # fmt: skip
    submitted = story.event("request.submitted", asked, **story.about)
    story.wanted, story.until = ("alter",), UNTIL
    less = narrowed(story)
    code, said = await heard(house, desk, story, submitted, more, less)
    assert (code, "rests on no approval" in said) == (1, True), said


async def test_a_request_that_grows_when_it_is_narrowed_is_found(house: House, desk: Desk) -> None:
    story = Story(house)
    code, said = await heard(house, desk, story, narrowed(story, operations=["alter", "remove"]), story.signed())
    assert (code, "wider than it was asked" in said) == (1, True), said


async def test_words_that_ask_for_something_else_than_the_log_says_are_found(house: House, desk: Desk) -> None:
    """The approver signed "view"; the operator wrote "alter" into the entry that names the signed digest."""
    story = Story(house, wanted=("view",))
    signed = story.signed()
    asked = {"engineer": ENGINEER, "operations": ["alter"], "until_ms": UNTIL, "digest": story.digest}
    code, said = await heard(house, desk, story, story.event("request.submitted", asked, **story.about), signed)
    assert (code, "ask for something else than the log says" in said) == (1, True), said


@pytest.mark.parametrize(("second", "fine"), [(False, False), (True, True)])
async def test_as_many_yeses_as_the_agreement_wants(house: House, desk: Desk, second: bool, fine: bool) -> None:
    story, other, key = Story(house), "apr_" + "1" * 24, Passkey()
    twice = (story.enrolled(key, other), story.signed(key, approver=other)) if second else (story.signed(),)
    code, said = await heard(house, desk, story, *agreed(story, approvals_needed=2), story.signed(), *twice)
    assert (code == 0) is fine, said
    assert ("signed by 2 approvers" if fine else "has 1 yeses, the agreement wants 2") in said


@pytest.mark.parametrize(("terms", "fine"), [({"consent_by_phone": True}, True), ({}, False)])
async def test_a_yes_by_telephone_that_the_agreement_does_not_take_is_found(
    house: House, desk: Desk, terms: dict[str, Any], fine: bool
) -> None:
    story = Story(house)
    data = {"approver": APPROVER, "digest": story.digest, "at_ms": 1}
    call = story.event("consent.recorded", data, Personal("words", "yes", f"request:{REQUEST}"), **story.about)
    code, said = await heard(house, desk, story, *agreed(story, **terms), call)
    assert (code == 0) is fine, said
    assert ("was NOT signed" if fine else "the agreement takes none") in said


@pytest.mark.parametrize(("by", "count"), [(APPROVER, 1), ("lee", 2), ("apr_" + "1" * 24, 2)])
async def test_a_newcomer_and_who_named_them_are_one_person(house: House, desk: Desk, by: str, count: int) -> None:
    """Whoever may name another approver alone has not two yeses; staff who name the first ones have none."""
    story, other, key = Story(house), "apr_" + "1" * 24, Passkey()
    named = story.event("approver.added", {"approver": other}, actor=by)
    both = (named, story.enrolled(key, other), story.signed(), story.signed(key, approver=other))
    code, said = await heard(house, desk, story, *agreed(story, approvals_needed=2), *both)
    assert (code == 0) is (count == 2), said
    assert ("signed by 2 approvers" if count == 2 else "has 1 yeses, the agreement wants 2") in said


# --- jobs and what stands agreed ---

JOB = "job_" + "1" * 24
TERMS: dict[str, Any] = {
    "operations": ["alter"], "approvals_needed": 1, "consent_by_phone": False, "max_minutes": 70_000_000,
    "standing": [],
}  # fmt: skip


def signature(
    story: Story, kind: str, text: str, approver: str = APPROVER, passkey: Passkey | None = None, **data: Any
) -> Event:
    """An event that keeps a signature over these words."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    key = passkey or story.passkey
    made = key.sign(bytes.fromhex(digest))
    data |= {
        "approver": approver, "credential": key.credential, "digest": digest,
        "authenticator_data": b64(made.authenticator_data), "client_data": b64(made.client_data),
        "signature": b64(made.signature),
    }  # fmt: skip
    ids = {"system": SYSTEM} if kind in {"job.signed", "console.signed"} else {}
    return story.event(kind, data, Personal("words", text, "request:x"), actor=approver, **ids)


def job_text(**more: Any) -> str:
    told = {
        "v": 1, "customer": "c", "job": JOB, "system": SYSTEM, "system_name": "Head office", "operations": ["alter"],
        "from": 1, "until": UNTIL, "what": "Change a name", "for": "Grace", "asked_by": APPROVER,
    } | more  # fmt: skip
    return canonical.encode(told).decode()


def job(story: Story, text: str, **more: Any) -> Event:
    digest = hashlib.sha256(text.encode()).hexdigest()
    data = {
        "job": JOB, "number": 7, "approver": APPROVER, "operations": ["alter"], "from_ms": 1, "until_ms": UNTIL,
        "digest": digest,
    } | more  # fmt: skip
    return story.event("job.asked", data, actor=APPROVER, system=SYSTEM)


def taken(story: Story, **more: Any) -> Event:
    """The request that taking a job is."""
    data = {"engineer": ENGINEER, "operations": ["alter"], "until_ms": UNTIL, "digest": story.digest, "job": JOB} | more
    return story.event("request.submitted", data, **story.about)


async def test_a_permission_that_a_signed_job_is_holds(house: House, desk: Desk) -> None:
    story = Story(house)
    text = job_text()
    code, said = await heard(
        house, desk, story, job(story, text), signature(story, "job.signed", text, job=JOB), taken(story)
    )
    assert (code, "for a job that was asked for and signed by 1 approvers" in said) == (0, True), said
    assert "Change a name" in said or "Change a name" in (await story.report()).words()


async def test_a_job_that_nobody_signed_is_found(house: House, desk: Desk) -> None:
    story = Story(house)
    code, said = await heard(house, desk, story, job(story, job_text()), taken(story))
    assert (code, "nobody of the customer's asked for the job" in said) == (1, True), said


@pytest.mark.parametrize("wider", [{"operations": ["alter", "remove"]}, {"until_ms": UNTIL + 1}])
async def test_a_permission_that_goes_further_than_its_job_is_found(
    house: House, desk: Desk, wider: dict[str, Any]
) -> None:
    story = Wider(house)
    story.more = wider  # type: ignore[misc]
    text = job_text()
    events = job(story, text), signature(story, "job.signed", text, job=JOB), taken(story, **wider)
    code, said = await heard(house, desk, story, *events)
    assert (code, "goes further than the job that was signed" in said) == (1, True), said


async def test_a_job_that_says_other_words_than_were_signed_is_found(house: House, desk: Desk) -> None:
    story = Story(house)
    text = job_text(operations=["view"])
    events = job(story, text), signature(story, "job.signed", text, job=JOB), taken(story)
    code, said = await heard(house, desk, story, *events)
    assert (code, "ask for something else than the log says" in said) == (1, True), said


def agreed(story: Story, signed: bool = True, **terms: Any) -> tuple[Event, ...]:
    """An agreement drawn up, signed or not, and confirmed."""
    told = TERMS | terms
    text = canonical.encode({"v": 1, "customer": "c", "agreement": 1, "terms": json.dumps(told)}).decode()
    drawn = story.event("agreement.set", {"version": 1, "digest": "d"} | told)
    confirmed = story.event("agreement.confirmed", {"version": 1, "how": "h"})
    return (drawn, *((signature(story, "agreement.signed", text, version=1),) if signed else ()), confirmed)


class Standing(Story):
    """A permission that says it stands agreed."""

    @property
    def granted(self) -> dict[str, Any]:
        return super().granted | {"how": "standing agreement, version 1"}


async def test_what_stands_agreed_and_signed_holds(house: House, desk: Desk) -> None:
    story = Standing(house)
    code, said = await heard(house, desk, story, *agreed(story, standing=["alter"]))
    assert (code, "rests on the standing agreement" in said) == (0, True), said
    assert "the agreement, version 1, was signed by 1 approvers" in said


@pytest.mark.parametrize("terms", [{"standing": []}, {"standing": ["alter"], "max_minutes": 0}])
async def test_a_permission_that_says_it_stands_agreed_and_does_not_is_found(
    house: House, desk: Desk, terms: dict[str, Any]
) -> None:
    story = Standing(house)
    code, said = await heard(house, desk, story, *agreed(story, **terms))
    assert (code, "does not permit it standing" in said) == (1, True), said


async def test_an_agreement_that_staff_confirmed_for_a_customer_with_keys_is_found(house: House, desk: Desk) -> None:
    story = Standing(house)
    code, said = await heard(house, desk, story, *agreed(story, signed=False, standing=["alter"]))
    assert (code, "confirmed without a signature, though the customer has keys" in said) == (1, True), said


async def test_terms_in_clear_that_are_not_those_that_were_signed_are_found(house: House, desk: Desk) -> None:
    story = Standing(house)
    drawn, signed, confirmed = agreed(story)
    forged = story.event("agreement.set", dict(drawn.data) | {"standing": ["alter"]})
    code, said = await heard(house, desk, story, forged, signed, confirmed)
    assert (code, "is another than the log says" in said) == (1, True), said
