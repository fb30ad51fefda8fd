"""What a visit came to, as its log tells it: for the closing mail of one whose process is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from audit.log import AuditLog, Row
from gateway.notify import SECRETS, WORDS, Told
from gateway.session.recipients import masked
from gateway.store.engine import Scope

_KINDS: Final = ("operation.done", "operation.refused", "operation.unknown", "secret.issued")
_LOOKS: Final = frozenset({"find", "list-all", "view"})
_ALL: Final = 1 << 31


async def told_by_log(audit: AuditLog, scope: Scope, session_id: str) -> Told:
    """Everything that was done for certain, and what cannot be told."""
    rows = await audit.read(scope.connection, scope.customer_id, session=session_id, kinds=_KINDS, limit=_ALL)
    lines, seen, changed = [], 0, False
    for row in rows:
        data = row.body["data"]
        if row.body["kind"] == "operation.done" and data["name"] in _LOOKS:
            seen += int(data["count"])
            continue
        if row.body["kind"] == "operation.refused":
            seen += int(data.get("count", 0))  # those whom ambiguous words listed
            continue
        line = _line(row, await audit.personal(scope.connection, row))
        if line:
            lines.append(line)
            changed = True
    # Whoever was looked at twice counts twice here: the log holds how many, not whom.
    return Told(lines, seen, changed, "Frameroom stopped in the middle of it", at_most=True)


def _line(row: Row, personal: Mapping[str, Any]) -> str:
    kind, data = row.body["kind"], row.body["data"]
    if kind == "operation.unknown":
        return f"{WORDS[data['name']]}: tried, and it cannot be told whether it happened"
    if kind == "secret.issued":
        to = "the user" if data["to"] == "user" else "an approver"
        return f"a {SECRETS[data['secret']]} was reset; the new one went to {to} ({masked(str(personal['address']))})"
    before, after = personal.get("before"), personal.get("after")
    if data["name"] == "diag":
        return "a diagnostic was run"
    if not isinstance(before, Mapping):
        return ""
    if not isinstance(after, Mapping):
        return f"{before['name']} was removed"
    moved = [
        f"{word} from {_shown(before[field])} to {_shown(after[field])}"
        for field, word in (("name", "name"), ("email", "email"), ("ddis", "ddi"))
        if before[field] != after[field]
    ]
    return f"{before['name']}: {'; '.join(moved)}" if moved else ""


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value or "nothing")
