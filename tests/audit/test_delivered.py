"""New passwords that were addressed to an approver: opened with that approver's own key, or named by the verifier."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from audit import canonical
from audit.events import Event, Personal
from tests.support.passkey import PRESENT, Passkey

from .conftest import House
from .reported import APPROVER, GRANT, OPERATION, SESSION, SYSTEM, Story, b64
from .test_report import Desk, desk

__all__ = ["desk"]
_LINK, _OTHER = "lnk_" + "2" * 24, "apr_" + "1" * 24
_SUBJECT = "sub_" + "9" * 24
_IDS = {"system": SYSTEM, "session": SESSION, "grant": GRANT, "operation": OPERATION, "subject": _SUBJECT}


def issued(story: Story, **more: Any) -> Event:
    data = {"link": _LINK, "secret": "sip", "to": APPROVER, "opens": "passkey"} | more
    return story.event("secret.issued", data, Personal("address", "k@b.example", f"subject:{_SUBJECT}"), **_IDS)


def opened(
    story: Story, key: Passkey | None = None, about: str = _LINK, approver: str = APPROVER, **client: Any
) -> Event:
    key = key or story.passkey
    text = canonical.encode({"v": 1, "hand_over": about, "asked": 7}).decode()
    digest = hashlib.sha256(text.encode()).hexdigest()
    made = key.sign(bytes.fromhex(digest), **client)
    data = {
        "link": _LINK, "approver": approver, "credential": key.credential, "digest": digest,
        "authenticator_data": b64(made.authenticator_data), "client_data": b64(made.client_data),
        "signature": b64(made.signature),
    }  # fmt: skip
    ids = {name: value for name, value in _IDS.items() if name != "grant"}
    return story.event("secret.opened", data, Personal("words", text, f"subject:{_SUBJECT}"), actor=approver, **ids)


def by_link(story: Story) -> Event:
    """Opened without any key, as a one-time link is."""
    return story.event("secret.opened", {"link": _LINK}, actor="link", session=SESSION, operation=OPERATION)


async def heard(house: House, desk: Desk, story: Story, *events: Event) -> tuple[int, str]:
    await story.permitted()
    await story.visited()
    await story.add(*events)
    await house.sequence()
    return desk.check(await story.report())


async def test_opened_with_the_approvers_own_key_holds_and_is_told(house: House, desk: Desk) -> None:
    story = Story(house)
    code, said = await heard(house, desk, story, issued(story), opened(story))
    assert code == 0, said
    assert f"the new password of {OPERATION} was opened by {APPROVER} with their own key" in said


async def test_a_one_time_link_needs_no_key(house: House, desk: Desk) -> None:
    story = Story(house)
    for opens in ({"opens": "link", "to": "user"}, {"opens": "link"}):
        await story.add(issued(story, **opens))
    code, said = await heard(house, desk, story, by_link(story))
    assert code == 0, said


async def test_what_was_addressed_to_an_approver_and_opened_without_a_key_is_found(house: House, desk: Desk) -> None:
    story = Story(house)
    code, said = await heard(house, desk, story, issued(story), by_link(story))
    assert (code, "was opened in entry" in said, "without a key of theirs" in said) == (1, True, True), said


async def test_opened_by_another_approver_is_found(house: House, desk: Desk) -> None:
    story, other = Story(house), Passkey()
    enrolled = story.enrolled(other, approver=_OTHER)
    code, said = await heard(house, desk, story, enrolled, issued(story), opened(story, other, approver=_OTHER))
    assert (code, "by somebody else" in said) == (1, True), said


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"key": Passkey()}, "was not enrolled before it"),
        ({"about": "lnk_" + "3" * 24}, "are for something else"),
        ({"flags": PRESENT}, "was not verified by their authenticator"),
    ],
)
async def test_an_opening_that_is_none_is_found(house: House, desk: Desk, made: dict[str, Any], words: str) -> None:
    story = Story(house)
    code, said = await heard(house, desk, story, issued(story), opened(story, **made))
    assert (code, words in said) == (1, True), said
