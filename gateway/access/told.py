"""What a visit came to, as its log tells it: for the customer's pages, and the closing mail of one whose process is
gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from audit.log import AuditLog, Erased, Row
from audit.sealing import SealingError
from gateway.notify import SECRETS, WORDS, Told, summaries
from gateway.notify.words import masked
from gateway.store.engine import Scope

KINDS: Final = ("operation.done", "operation.unknown", "secret.issued")
"""The events that `line_of` has words for."""
_LOOKS: Final = frozenset({"find", "list-all", "view"})
_ALL: Final = 1 << 31
_FALSE: Final = "what the log sealed of this does not hold: have the log verified"


async def told_by_log(
    audit: AuditLog, scope: Scope, session_id: str, ended: str = "Frameroom stopped in the middle of it"
) -> Told:
    """Everything that was done for certain, and what cannot be told. `ended`: why the visit ended."""
    kinds = (*KINDS, "operation.intended")
    rows = await audit.read(scope.connection, scope.customer_id, session=session_id, kinds=kinds, limit=_ALL)
    intended = {row.body["operation"]: row for row in rows if row.body["kind"] == "operation.intended"}
    lines, seen, changed = [], 0, False
    for row in rows:
        kind, data = row.body["kind"], row.body["data"]
        first = intended.get(row.body["operation"])
        if kind == "operation.done" and (data["name"] in _LOOKS or _only_prepared(first)):
            seen += int(data["count"])
        elif kind in KINDS and (line := await line_of(audit, scope, row, first)):
            lines.append(line)
            changed = True
    # Whoever was looked at twice counts twice here: the log holds how many, not whom.
    return Told(lines, seen, changed, ended, at_most=True)


async def line_of(audit: AuditLog, scope: Scope, row: Row, intended: Row | None = None) -> str:
    """What an entry of one of KINDS tells of a change; "" when it tells of none. `intended`: its operation's first."""
    try:
        personal = await audit.personal(scope.connection, row)
        if row.body["kind"] == "secret.issued" and intended is not None:
            personal = await audit.personal(scope.connection, intended) | personal
    except SealingError:
        return _FALSE
    return _line(row, personal)


def _line(row: Row, personal: Mapping[str, Any]) -> str:
    kind, data = row.body["kind"], row.body["data"]
    if kind == "operation.unknown":
        return f"{WORDS[data['name']]}: tried, and it cannot be told whether it happened"
    if kind == "secret.issued":
        to = "the user" if data["to"] == "user" else "an approver"
        address = personal["address"]
        where = str(address) if isinstance(address, Erased) else f"({masked(str(address))})"
        whose = f" of {personal['person']}" if "person" in personal else ""
        return f"a {SECRETS[data['secret']]}{whose} was reset; the new one went to {to} {where}"
    before, after = personal.get("before"), personal.get("after")
    if data["name"] == "diag":
        return "a diagnostic was run"
    if isinstance(before, Erased):
        return f"{'removed' if data['name'] == 'remove' else 'changed'}: somebody {before}"
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


async def counted(audit: AuditLog, scope: Scope, ids: Sequence[str]) -> dict[str, str]:
    """What was done in each of these visits so far, by count: a line, "" for nothing.

    From the log, since it alone tells what was done from what was only prepared under the same name.
    """
    counts = {one: Counter[str]() for one in ids}
    for one in ids:
        for row in await audit.read(scope.connection, scope.customer_id, session=one, kinds=KINDS, limit=_ALL):
            counts[one][_counts_as(row)] += 1
    return {one: summaries.did(found, found["unknown"]) for one, found in counts.items()}


def _counts_as(row: Row) -> str:
    kind, data = row.body["kind"], row.body["data"]
    if kind == "secret.issued":
        return f"reset-{data['secret']}"
    if kind == "operation.unknown":
        return "unknown"
    name = str(data["name"])
    changed = "before" in row.body.get("commit", {})
    return name if changed or name in _LOOKS or name == "diag" else "prepare"


async def prepared_in(audit: AuditLog, scope: Scope, session_id: str) -> frozenset[str]:
    """The operations of a visit that only looked, to show what a change or a reset would do."""
    kinds = ("operation.intended",)
    rows = await audit.read(scope.connection, scope.customer_id, session=session_id, kinds=kinds, limit=_ALL)
    return frozenset(str(row.body["operation"]) for row in rows if _only_prepared(row))


def _only_prepared(intended: Row | None) -> bool:
    return intended is not None and intended.body["data"].get("fields") in (["plan"], ["changes"])
