"""That every permission rests on the customer's own yes, and goes no further than what was said yes to.

Followed entry by entry: keys enrolled and removed, requests asked and made less, yeses signed or given by telephone,
and the permission that they became. Standard library and cryptography alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from audit.assertions import Assertion, AssertionFault, fingerprint
from audit.assertions import check as check_assertion
from audit.checked import NOT_PINNED, Checked, Fault
from audit.reportfile import Entry
from audit.told import harmless

_ASSERTED: Final = ("authenticator_data", "client_data", "signature")


@dataclass(slots=True)
class _Asked:
    """A request as it stands: what a yes would be to, and who has said one to just that."""

    digest: str
    engineer: str
    system: str
    operations: frozenset[str]
    until_ms: int
    signed: set[str] = field(default_factory=set)
    spoken: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Seen:
    """What the entries so far have told. `whole`: what a permission rests on is in the report, or is nowhere."""

    by: Checked
    whole: bool
    keys: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    asked: dict[str, _Asked] = field(default_factory=dict)
    drawn_up: dict[int, int] = field(default_factory=dict)
    needed: int = 1
    """How many persons have to say yes, as the confirmed agreement has it."""


def check_approvals(by: Checked, *, whole: bool) -> None:
    """Every permission in the report. Fault. Unless `whole`, what stands before its first entry is passed over."""
    seen = _Seen(by, whole)
    for index, body, one in by.bodies:
        kind, data = str(body.get("kind")), body.get("data", {})
        if kind in _STEPS:
            _STEPS[kind](seen, index, body, data, one)


def _enrolled(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    seen.keys[str(data["approver"]), str(data["credential"])] = data


def _removed(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    seen.keys.pop((str(data["approver"]), str(data["credential"])), None)


def _drawn_up(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    seen.drawn_up[int(data["version"])] = int(data.get("approvals_needed", 1))


def _confirmed(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    seen.needed = seen.drawn_up.get(int(data["version"]), 1)


def _submitted(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    seen.asked[str(body["request"])] = _Asked(
        str(data["digest"]), str(data["engineer"]), str(body["system"]),
        frozenset(str(name) for name in data["operations"]), int(data["until_ms"]),
    )  # fmt: skip


def _narrowed(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    before = seen.asked.get(str(body["request"]))
    if before is None:
        return
    operations, until_ms = frozenset(str(name) for name in data["operations"]), int(data["until_ms"])
    if not operations <= before.operations or until_ms > before.until_ms:
        raise Fault(f"entry {index} makes a request wider than it was asked")
    seen.asked[str(body["request"])] = _Asked(
        str(data["digest"]), before.engineer, before.system, operations, until_ms
    )  # fmt: skip


def _spoken(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    asked = seen.asked.get(str(body["request"]))
    if asked is not None and data["digest"] == asked.digest:
        asked.spoken[str(data["approver"])] = one.told().partition("  ")[2]


def _granted(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    grant, asked = harmless(str(body["grant"])), seen.asked.get(str(body["request"]))
    if asked is None:
        if seen.whole:
            raise Fault(f"the permission in entry {index} rests on no approval: nobody asked for it")
        seen.by.told.append(f"the permission {grant} was asked for before this report begins: not checked here")
        return
    persons = asked.signed | asked.spoken.keys()
    if not persons:
        raise Fault(f"the permission in entry {index} rests on no approval: nobody of the customer's said yes")
    if len(persons) < seen.needed:
        raise Fault(f"the permission in entry {index} has {len(persons)} yeses, the agreement wants {seen.needed}")
    operations = frozenset(str(name) for name in data["operations"])
    if not operations <= asked.operations or int(data["until_ms"]) > asked.until_ms:
        raise Fault(f"the permission in entry {index} goes further than what was said yes to")
    if asked.signed:
        seen.by.told.append(f"the permission {grant} was signed by {len(asked.signed)} approvers with their own keys")
    for words in asked.spoken.values():
        seen.by.told.append(f"the permission {grant} was NOT signed: {words}")


def _signed(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    key = seen.keys.get((str(data["approver"]), str(data["credential"])))
    asked = seen.asked.get(str(body["request"]))
    if not seen.whole and (key is None or asked is None):
        seen.by.told.append(f"the approval in entry {index} rests on what stands before this report: not checked here")
        if asked is not None:
            asked.signed.add(str(data["approver"]))
        return
    if key is None:
        raise Fault(f"the approval in entry {index} is by a key that was not enrolled before it")
    if asked is None or data["digest"] != asked.digest:
        raise Fault(f"the approval in entry {index} is for another request than the one that was asked")
    _check_words(index, asked, one)
    try:
        public = base64.b64decode(key["public_key"], validate=True)
        parts = [base64.b64decode(data[name], validate=True) for name in _ASSERTED]
        check_assertion(Assertion(*parts), public, bytes.fromhex(data["digest"]), str(key["rp_id"]))
    except (AssertionFault, ValueError, binascii.Error) as error:
        raise Fault(f"the approval in entry {index} does not hold: {error}") from error
    if seen.by.pinned and fingerprint(public) not in seen.by.pinned:
        raise Fault(
            f"the approval in entry {index} was signed by a key that you did not pin: {fingerprint(public)}",
            NOT_PINNED,
        )
    asked.signed.add(str(data["approver"]))


def _check_words(index: int, asked: _Asked, one: Entry) -> None:
    """The words that were signed, where they are not erased: they are what the log says was asked."""
    shown = one.clear.get("request")
    if shown is None:
        return
    text = str(shown.value())
    if hashlib.sha256(text.encode()).hexdigest() != asked.digest:
        raise Fault(f"the words of the request in entry {index} are not those that were signed")
    try:
        told = json.loads(text)
        same = (
            told["engineer"] == asked.engineer and told["system"] == asked.system
            and frozenset(told["operations"]) == asked.operations and told["until"] == asked.until_ms
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, RecursionError):
        same = False
    if not same:
        raise Fault(f"the words that were signed in entry {index} ask for something else than the log says")


_STEPS: Final = {
    "approver.key_enrolled": _enrolled, "approver.key_removed": _removed, "agreement.set": _drawn_up,
    "agreement.confirmed": _confirmed, "request.submitted": _submitted, "request.narrowed": _narrowed,
    "consent.recorded": _spoken, "approval.signed": _signed, "request.granted": _granted,
}  # fmt: skip
