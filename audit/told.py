"""What an entry tells, in plain words: one line each. Pure; standard library alone.

A report begins with these lines, and its verifier makes them again from the entries that it proved, so that the words
cannot say anything else than the log.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

_LONGEST: Final = 300
_SENTENCES: Final[Mapping[str, str]] = {
    "customer.added": "this log was begun for {name}",
    "approver.added": "{name} became an approver ({approver})",
    "approver.removed": "the approver {approver} was removed",
    "agreement.set": "an agreement was drawn up (version {version}): {operations}",
    "agreement.confirmed": "the agreement (version {version}) was confirmed by {by}: {how}",
    "agreement.withdrawn": "the agreement (version {version}) was withdrawn by {by}: {how}",
    "system.added": "the phone system {name} was added",
    "login.foreign": "OUR LOGIN TO {system} WAS USED, AND NOT BY US: on {at_ms} by its own clock, from {address}",
    "login.unread": "who uses our login to {system} could not be looked at since {since_ms}: {code}",
    "request.submitted": "engineer {engineer} asked for: {operations}. Ticket: {ticket}. Reason: {reason}",
    "request.granted": "permitted until {until_ms}, {how}: {operations}",
    "request.denied": "refused: {reason}",
    "request.expired": "the request ran out without an answer",
    "request.withdrawn": "the request was withdrawn",
    "consent.recorded": "{to} entered a yes by telephone, said by {by} on {at_ms}: {words}",
    "grant.revoked": "the permission was ended: {reason}",
    "grant.expired": "the permission ran out",
    "session.opened": "engineer {engineer} came in, signed in by {factor}, from {address}",
    "session.closed": "the visit ended: {reason}; {operations} operations, {segments} segments of {bytes} bytes",
    "session.failed": "the visit ended by a failure: {reason}",
    "operation.intended": "{name} was begun ({operation})",
    "operation.done": "{name} was done ({operation}): {before} → {after}",
    "operation.refused": "{name} was refused by the phone system ({operation}): {code}",
    "operation.failed": "{name} failed ({operation}): {code}",
    "operation.unknown": "{name}: it cannot be told whether it happened ({operation}): {code}",
    "recording.segment": "segment {n} of the recording was stored",
    "recording.closed": "the recording ended with {segments} segments",
    "secret.issued": "a {secret} password was made and sent to {to} ({address})",
    "secret.opened": "the new password was shown, once ({operation})",
    "log.key_changed": "the log's signing key {old} was handed over to {vkey}",
    "log.restored": "THE LOG WENT ON AFTER A LOSS: {lost} entries were lost",
}


class _Fields(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "-"


def harmless(text: str) -> str:
    """Text from outside on one line: nothing that moves a terminal or turns the direction of writing."""
    seen = "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs"} else c for c in text)
    line = " ".join(seen.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def at(time_ms: int) -> str:
    """2026-11-25 14:03:07 UTC; out of the calendar's range the number itself."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"


def _shown(name: str, value: Any) -> str:
    if name.endswith("_ms") and isinstance(value, int):
        return at(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown('', item)}" for key, item in value.items() if item not in (None, "", []))
    if isinstance(value, list | tuple):
        return ", ".join(_shown("", item) for item in value)
    return str(value)


def line(body: Mapping[str, Any], clear: Mapping[str, Any]) -> str:
    """When and what, of one entry: `body` as parsed, `clear` its personal fields (or why one is not there)."""
    data = body.get("data")
    ids = {name: body[name] for name in ("operation", "session", "system", "grant", "request") if name in body}
    values = ids | (dict(data) if isinstance(data, Mapping) else {}) | dict(clear)
    fields = _Fields({name: harmless(_shown(name, value)) or "-" for name, value in values.items()})
    kind = str(body.get("kind", "?"))
    sentence = _SENTENCES.get(kind)
    words = sentence.format_map(fields) if sentence else _plain(kind, fields)
    time_ms = body.get("time")
    return f"{at(time_ms) if isinstance(time_ms, int) else '?'}  {words}"


def _plain(kind: str, fields: Mapping[str, str]) -> str:
    rest = "; ".join(f"{name} {value}" for name, value in fields.items())
    return f"{harmless(kind)}: {rest}" if rest else harmless(kind)
