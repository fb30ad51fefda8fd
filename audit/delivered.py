"""To whom new passwords went: what was addressed to an approver was opened with that approver's own key, and by nobody
else; what went to a user since their address was confirmed went to one that an approver signed.

Standard library and cryptography alone.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audit import address_book
from audit.checked import Checked, Fault
from audit.proofs import ProofError, check_inclusion
from audit.reportfile import Entry
from audit.signed import EnrolledKeys
from audit.told import harmless


@dataclass(slots=True)
class _Seen:
    """What the entries so far have told. `issued`: by link; `confirmed`: by id, `of_system` how many."""

    by: Checked
    keys: EnrolledKeys
    whole: bool
    issued: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    confirmed: dict[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    of_system: Counter[str] = field(default_factory=Counter)


def check_delivered(by: Checked, *, whole: bool) -> None:
    """Every secret in the report. Fault. Unless `whole`, what stands before its first entry is passed over."""
    seen = _Seen(by, EnrolledKeys(by, whole), whole)
    for index, body, one in by.bodies:
        seen.keys.read(body)
        if body.get("kind") == "secret.issued":
            seen.issued[str(body["data"]["link"])] = body["data"]
            _issued(seen, index, body, one)
        elif body.get("kind") == "addresses.confirmed":
            _confirmed(seen, index, body)
        elif body.get("kind") == "secret.opened":
            _opened(seen, index, body, one)


def _confirmed(seen: _Seen, index: int, body: Mapping[str, Any]) -> None:
    """The approver's key signed just these numbers and this root, and none was taken out between."""
    data, system = body["data"], str(body["system"])
    if address_book.digest(str(body["log"]), system, data) != data["digest"]:
        raise Fault(f"the addresses in entry {index} are not those that were signed")
    seen.keys.check(index, data, "list of addresses")
    if seen.whole and data["before"] != seen.of_system[system]:
        raise Fault(f"before the addresses in entry {index} others were confirmed, and they are not in the log")
    seen.of_system[system] += 1
    seen.confirmed[str(data["baseline"])] = (system, data)
    who = harmless(str(data["approver"]))
    seen.by.told.append(f"{data['right']} mail addresses were confirmed by {who} with their own key")


def _issued(seen: _Seen, index: int, body: Mapping[str, Any], one: Entry) -> None:
    """Where it says that it went to a confirmed address: that it is among those, and is the address that it went to."""
    data = body["data"]
    if "baseline" not in data:
        return
    system, signed = seen.confirmed.get(str(data["baseline"]), ("", None))
    if signed is None:
        if seen.whole:
            raise Fault(f"the password in entry {index} went to an address that nobody had confirmed")
        seen.by.told.append(f"the address in entry {index} was confirmed before this report: not checked here")
        return
    try:
        path = [bytes.fromhex(item) for item in data["path"]]
        made = bytes.fromhex(data["leaf"])
        check_inclusion(made, data["index"], data["size"], path, bytes.fromhex(signed["root"]))
    except (ProofError, ValueError) as error:
        raise Fault(f"the address in entry {index} is not among those that were confirmed: {error}") from error
    email, salt = one.clear.get("address"), one.clear.get("salt")
    if email is not None and salt is not None:
        told = address_book.leaf(str(body["subject"]), str(email.value()), is_right=True, salt=str(salt.value()))
        if told != made:
            raise Fault(f"the password in entry {index} went to another address than the one that was confirmed")
    if data["size"] != signed["size"] or body["system"] != system:
        raise Fault(f"the address in entry {index} was confirmed elsewhere")
    seen.by.told.append(f"the new password of {harmless(str(body['operation']))} went to a confirmed address")


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
