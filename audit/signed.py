"""The approvers' keys as the log tells of them, entry by entry, and that one of them signed what an entry says.

Standard library and cryptography alone.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from audit.assertions import Assertion, AssertionFault, fingerprint
from audit.assertions import check as check_assertion
from audit.checked import NOT_PINNED, Checked, Fault

_ASSERTED: Final = ("authenticator_data", "client_data", "signature")


@dataclass(slots=True)
class EnrolledKeys:
    """Read entries into it in the log's order. `whole`: what is enrolled stands in the report, or nowhere."""

    by: Checked
    whole: bool
    held: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def read(self, body: Mapping[str, Any]) -> None:
        """One entry: a key more, or one less."""
        if body.get("kind") not in {"approver.key_enrolled", "approver.key_removed"}:
            return
        data = body["data"]
        which = (str(data["approver"]), str(data["credential"]))
        if body["kind"] == "approver.key_enrolled":
            self.held[which] = data
        else:
            self.held.pop(which, None)

    def check(self, index: int, data: Mapping[str, Any], what: str = "approval") -> None:
        """That an approver's enrolled key, and a pinned one, signed the entry's digest; passed over, and told, where
        the key was enrolled before the report begins. Fault. `what` it is, in words."""
        key = self.held.get((str(data["approver"]), str(data["credential"])))
        if key is None and not self.whole:
            told = f"the key that signed in entry {index} was enrolled before this report: not checked here"
            self.by.told.append(told)
            return
        if key is None:
            raise Fault(f"the {what} in entry {index} is by a key that was not enrolled before it")
        try:
            public = base64.b64decode(key["public_key"], validate=True)
            parts = [base64.b64decode(data[name], validate=True) for name in _ASSERTED]
            check_assertion(Assertion(*parts), public, bytes.fromhex(data["digest"]), str(key["rp_id"]))
        except (AssertionFault, ValueError, binascii.Error) as error:
            raise Fault(f"the {what} in entry {index} does not hold: {error}") from error
        if self.by.pinned and fingerprint(public) not in self.by.pinned:
            raise Fault(
                f"the {what} in entry {index} was signed by a key that you did not pin: {fingerprint(public)}",
                NOT_PINNED,
            )
