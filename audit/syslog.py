"""Entries of the log as syslog messages (RFC 5424), framed for TLS (RFC 5425: octets counted).

One entry, one message. Nothing personal is in an entry, and so nothing personal is in the message. What is not plain
stands in the structured data too, so that a collector need not read the body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from audit.ocsf import Severity, Status, mapped_of, to_ocsf

EXAMPLE_NUMBER: Final = 32473
"""The enterprise number that IANA keeps for examples (RFC 5612)."""
Form = Literal["json", "ocsf"]

_ALERT, _WARNING, _NOTICE, _INFO = 1, 4, 5, 6
_IDS: Final = ("actor", "system", "session", "grant", "request", "operation", "subject")
_ESCAPED: Final = re.compile(r'["\\\]]')
_NOT_ALLOWED: Final = re.compile("[\x00-\x1f\x7f]")
_NOT_A_NAME: Final = re.compile(r"[^!-~]")


def severity(kind: str) -> int:
    """The syslog severity of a kind of event: alert, warning, notice or informational."""
    mapped = mapped_of(kind)
    if mapped.severity >= Severity.HIGH:
        return _ALERT
    if mapped.status is Status.FAILURE:
        return _WARNING
    return _NOTICE if mapped.severity > Severity.INFORMATIONAL else _INFO


def message(
    body: Mapping[str, Any], *, kind: str, time_ms: int, index: int, leaf: bytes, entry: bytes, host: str,
    form: Form = "json", facility: int = 13, enterprise: int = EXAMPLE_NUMBER,
) -> bytes:  # fmt: skip
    """One message, without its frame. `kind` and `time_ms` are the row's own, so that an entry that was tampered with
    still has both. `host` is the deployment's name."""
    # Milliseconds, for RFC 5424 allows no more than six digits and entries have three.
    at = datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"
    values = {"log": body.get("log"), "index": index, "id": body.get("id"), "leaf": leaf.hex()}
    values |= {name: body.get(name) for name in _IDS}
    told = "".join(f' {name}="{_value(value)}"' for name, value in values.items() if value is not None)
    head = (
        f"<{facility * 8 + severity(kind)}>1 {at} {_name(host, 255)} frameroom - {_name(kind, 32)} "
        f"[entry@{enterprise}{told}] "
    )
    if form == "json":
        # As it was hashed: whoever keeps it can recompute the leaf.
        return head.encode() + entry
    event = to_ocsf(body, index=index, leaf=leaf, entry=entry)
    return head.encode() + json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def frame(one: bytes) -> bytes:
    """RFC 5425 section 4.3: the number of octets, a space, the message."""
    return str(len(one)).encode() + b" " + one


def _value(value: object) -> str:
    """RFC 5424 section 6.3.3: three characters are escaped; control characters are ours to leave out."""
    return _ESCAPED.sub(lambda found: "\\" + found[0], _NOT_ALLOWED.sub("?", str(value)))


def _name(text: str, longest: int) -> str:
    """Printable ASCII without blanks, as header fields are; "-" for nothing."""
    return _NOT_A_NAME.sub("?", text)[:longest] or "-"
