"""What a visit came to, as its log tells it: for the customer's pages, and the closing mail of one whose process is
gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import func, select

from audit.log import AuditLog, Erased, Row
from audit.sealing import SealingError
from gateway.lifecycle import OperationState
from gateway.notify import SECRETS, WORDS, Told, summaries
from gateway.notify.words import masked
from gateway.store.engine import Scope
from gateway.store.tables import operations

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
        if kind == "operation.done" and data["name"] in _LOOKS:
            seen += int(data["count"])
        elif kind in KINDS and (line := await line_of(audit, scope, row, intended.get(row.body["operation"]))):
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


async def counted(scope: Scope, ids: Sequence[str]) -> dict[str, str]:
    """What was done in each of these visits so far, by count: a line, "" for nothing."""
    query = (
        select(operations.c.session_id, operations.c.name, operations.c.state, func.count().label("n"))
        .where(operations.c.customer_id == scope.customer_id, operations.c.session_id.in_(ids))
        .where(operations.c.state.in_((OperationState.DONE, OperationState.UNKNOWN)))
        .group_by(operations.c.session_id, operations.c.name, operations.c.state)
    )
    counts: dict[str, dict[str, int]] = {}
    uncertain: dict[str, int] = {}
    for row in await scope.execute(query):
        if row.state == OperationState.UNKNOWN:
            uncertain[row.session_id] = uncertain.get(row.session_id, 0) + row.n
        else:
            counts.setdefault(row.session_id, {})[row.name] = row.n
    return {one: summaries.did(counts.get(one, {}), uncertain.get(one, 0)) for one in ids}
