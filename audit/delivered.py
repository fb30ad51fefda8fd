"""That a new password which was addressed to an approver was opened with that approver's own key, and by nobody else.

Standard library and cryptography alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.checked import Checked, Fault
from audit.reportfile import Entry
from audit.signed import EnrolledKeys
from audit.told import harmless


@dataclass(slots=True)
class _Seen:
    """What the entries so far have told. `issued`: by link."""

    by: Checked
    keys: EnrolledKeys
    issued: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def check_delivered(by: Checked, *, whole: bool) -> None:
    """Every secret in the report. Fault. Unless `whole`, what stands before its first entry is passed over."""
    seen = _Seen(by, EnrolledKeys(by, whole))
    for index, body, one in by.bodies:
        seen.keys.read(body)
        if body.get("kind") == "secret.issued":
            seen.issued[str(body["data"]["link"])] = body["data"]
        elif body.get("kind") == "secret.opened":
            _opened(seen, index, body, one)


def _opened(seen: _Seen, index: int, body: Mapping[str, Any], one: Entry) -> None:
    data = body["data"]
    issued = seen.issued.get(str(data["link"]))
    if issued is not None and issued.get("opens") == "passkey":
        to = str(issued.get("to"))
        if "signature" not in data:
            raise Fault(f"the password for {harmless(to)} was opened in entry {index} without a key of theirs")
        if str(data["approver"]) != to:
            raise Fault(f"the password for {harmless(to)} was opened in entry {index} by somebody else")
    if "signature" in data:
        seen.keys.check(index, data, "opening")
        _check_words(index, data, one)
        operation, who = harmless(str(body["operation"])), harmless(str(data["approver"]))
        seen.by.told.append(f"the new password of {operation} was opened by {who} with their own key")


def _check_words(index: int, data: Mapping[str, Any], one: Entry) -> None:
    """What was signed, where it is not erased, is about this secret."""
    shown = one.clear.get("words")
    if shown is None:
        return
    text = str(shown.value())
    try:
        same = json.loads(text)["hand_over"] == data["link"]
    except (ValueError, TypeError, KeyError, RecursionError):
        same = False
    if not same or hashlib.sha256(text.encode()).hexdigest() != data["digest"]:
        raise Fault(f"the words that were signed to open a password in entry {index} are for something else")
