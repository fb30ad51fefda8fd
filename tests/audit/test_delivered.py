"""New passwords that were addressed to an approver: opened with that approver's own key, or named by the verifier."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from audit import address_book, canonical
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


_GRACE = "grace@customer.example"
_SALT = "5a" * 16


def confirmed(story: Story, emails: tuple[str, ...] = (_GRACE, "tom@customer.example"), **more: Any) -> Event:
    """What an approver signs of the addresses; `more` is put in after the signature."""
    leaves = [address_book.leaf(_SUBJECT, email, is_right=True, salt=_SALT) for email in emails]
    data: dict[str, Any] = {
        "approver": APPROVER, "at_ms": 5, "baseline": "bas_1", "before": 0, "right": len(leaves), "wrong": 0,
        "size": len(leaves), "root": address_book.root(leaves).hex(),
    }  # fmt: skip
    digest = address_book.digest(story.log, SYSTEM, data)
    made = story.passkey.sign(bytes.fromhex(digest))
    data |= {
        "credential": story.passkey.credential, "digest": digest, "authenticator_data": b64(made.authenticator_data),
        "client_data": b64(made.client_data), "signature": b64(made.signature),
    }  # fmt: skip
    return story.event("addresses.confirmed", data | more, actor=APPROVER, system=SYSTEM)


def to_user(story: Story, email: str = _GRACE, **more: Any) -> Event:
    """A secret that went to the address that was confirmed; the proof is of `email` unless `more` says otherwise."""
    leaves = [address_book.leaf(_SUBJECT, one, is_right=True, salt=_SALT) for one in (_GRACE, "tom@customer.example")]
    data = {
        "link": _LINK, "secret": "sip", "to": "user", "opens": "link", "baseline": "bas_1", "leaf": leaves[0].hex(),
        "index": 0, "size": 2, "path": [leaves[1].hex()],
    }  # fmt: skip
    key = f"subject:{_SUBJECT}"
    personal = (Personal("address", email, key), Personal("salt", _SALT, key))
    return story.event("secret.issued", data | more, *personal, **_IDS)


async def test_an_address_that_was_confirmed_is_proved(house: House, desk: Desk) -> None:
    story = Story(house)
    await story.permitted(confirmed(story), story.signed())
    await story.visited()
    await story.add(to_user(story))
    await house.sequence()
    code, said = desk.check(await story.report())
    assert code == 0, said
    assert f"2 mail addresses were confirmed by {APPROVER} with their own key" in said
    assert f"the new password of {OPERATION} went to a confirmed address" in said
    house.keys.destroy(story.log, f"subject:{_SUBJECT}")
    code, said = desk.check(await story.report())
    assert (code, "went to a confirmed address" in said) == (0, True)  # erased, yet provable


@pytest.mark.parametrize(
    ("list_of", "issue", "words"),
    [
        ({}, {"email": "mallory@customer.example"}, "went to another address than the one that was confirmed"),
        ({}, {"path": ["00" * 32]}, "is not among those that were confirmed"),
        ({}, {"path": "x"}, "is not among those that were confirmed"),
        ({}, {"index": 1}, "is not among those that were confirmed"),
        ({}, {"baseline": "bas_2"}, "that nobody had confirmed"),
        ({"root": "00" * 32}, {}, "are not those that were signed"),
        ({"right": 1, "wrong": 1}, {}, "are not those that were signed"),
        ({"before": 1}, {}, "are not those that were signed"),
        ({"signature": b64(b"x" * 70)}, {}, "does not hold"),
        ({"credential": "another"}, {}, "was not enrolled before it"),
    ],
)
async def test_addresses_that_nobody_signed_are_found(
    house: House, desk: Desk, list_of: dict[str, Any], issue: dict[str, Any], words: str
) -> None:
    story = Story(house)
    await story.permitted(confirmed(story, **list_of), story.signed())
    await story.visited()
    await story.add(to_user(story, **issue))
    await house.sequence()
    code, said = desk.check(await story.report())
    assert (code, words in said) == (1, True), said


def elsewhere(story: Story, how: str) -> Event:
    """A secret whose proof leads to the root that was signed, of a list that was not: longer, or another system's."""
    leaves = [address_book.leaf(_SUBJECT, one, is_right=True, salt=_SALT) for one in (_GRACE, "tom@customer.example")]
    if how == "a longer list":
        # In a list of three, what stands third has the path of what stands second in a list of two.
        third = {"leaf": leaves[1].hex(), "index": 2, "size": 3, "path": [leaves[0].hex()]}
        return to_user(story, "tom@customer.example", **third)
    return replace(to_user(story), system="sys_" + "e" * 24)


@pytest.mark.parametrize("how", ["a longer list", "another phone system"])
async def test_an_address_that_was_confirmed_in_another_list_than_it_says_is_found(
    house: House, desk: Desk, how: str
) -> None:
    story = Story(house)
    await story.permitted(confirmed(story), story.signed())
    await story.visited()
    await story.add(elsewhere(story, how))
    await house.sequence()
    code, said = desk.check(await story.report())
    assert (code, "was confirmed elsewhere" in said) == (1, True), said


async def test_a_confirmation_that_was_cut_out_between_is_missed(house: House, desk: Desk) -> None:
    story = Story(house)
    first = confirmed(story)
    await story.permitted(first, confirmed(story), story.signed())  # the second says that there was none before it
    await story.visited()
    await house.sequence()
    code, said = desk.check(await story.report())
    assert (code, "others were confirmed, and they are not in the log" in said) == (1, True), said
