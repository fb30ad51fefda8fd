"""What a visit came to, as its log tells it: for the customer's pages, and the closing mail of one whose process is
gone."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from audit.log import AuditLog, Erased, Row
from audit.sealing import SealingError
from gateway import notify
from gateway.notify import SECRETS, WORDS, Told, summaries
from gateway.notify.letters import LINES
from gateway.notify.words import masked
from gateway.numbers import as_read
from gateway.store.engine import Scope

KINDS: Final = ("operation.done", "operation.unknown", "secret.issued")
"""The events that `line_of` has words for."""
_LOOKS: Final = frozenset({"find", "list-all", "view"})
TYPED: Final = frozenset({"diag", "console-look", "console-act"})
"""Operations that send a line to the phone system's prompt: what was typed stands with the intent."""
_A_READ: Final = 1000
_COUNTED: Final = 10 * _A_READ
"""Entries of one visit that a line in a list is worth."""
_REMEMBERED: Final = 20_000
_FALSE: Final = "what the log sealed of this does not hold: have the log verified"


async def told_by_log(
    audit: AuditLog, scope: Scope, session_id: str, ended: str = "Frameroom stopped in the middle of it"
) -> Told:
    """Everything that was done for certain, and what cannot be told. `ended`: why the visit ended.

    Lines beyond what anybody reads (letters.LINES) are only counted.
    """
    lines, seen, prepared = list[str](), 0, set[str]()
    country = await notify.country_of(scope)
    named: dict[str, Row] = {}  # what was intended, of those whose outcome does not name it
    async for row in _entries(audit, scope, session_id, (*KINDS, "operation.intended", "operation.refused")):
        kind, data, operation = row.body["kind"], row.body["data"], row.body["operation"]
        if kind == "operation.intended":
            if _only_prepared(row):
                prepared.add(operation)
            elif data["name"] in TYPED or str(data["name"]).startswith("reset-"):
                named[operation] = row
        elif kind == "operation.done" and (data["name"] in _LOOKS or operation in prepared):
            seen += int(data["count"])
        elif kind == "operation.refused":
            seen += int(data.get("count", 0))  # those whom ambiguous words listed
        elif tells(row):
            first = named.get(operation)
            lines.append(await line_of(audit, scope, row, country, first) if len(lines) < LINES else "more")
    lines = [line for line in lines if line]
    # Whoever was looked at twice counts twice here: the log holds how many, not whom.
    return Told(lines, seen, bool(lines), ended, at_most=True)


async def _entries(
    audit: AuditLog, scope: Scope, session_id: str, kinds: Sequence[str], at_most: int = 1 << 31
) -> AsyncIterator[Row]:
    """A visit's entries in order, some at a time: a long one must not hold up whatever else goes on."""
    after = read = 0
    while read < at_most:
        rows = await audit.read(
            scope.connection, scope.customer_id, session=session_id, kinds=kinds, after_seq=after, limit=_A_READ
        )
        for row in rows:
            yield row
        if len(rows) < _A_READ:
            return
        after, read = rows[-1].seq, read + len(rows)


def tells(row: Row) -> bool:
    """True for an entry of KINDS that `line_of` may have words for, as far as can be seen without opening it."""
    if row.body["kind"] != "operation.done":
        return True
    return row.body["data"]["name"] in TYPED or "before" in row.body.get("commit", {})


async def line_of(audit: AuditLog, scope: Scope, row: Row, country: str, intended: Row | None = None) -> str:
    """What an entry of one of KINDS tells of a change; "" when it tells of none. `country`: the customer's;
    `intended`: its operation's first."""
    if not tells(row):
        return ""
    try:
        personal = await audit.personal(scope.connection, row)
        if row.body["kind"] == "secret.issued" and intended is not None:
            personal = await audit.personal(scope.connection, intended) | personal
    except SealingError:
        return _FALSE
    if intended is not None and row.body["kind"] != "secret.issued" and row.body["data"]["name"] in TYPED:
        return await _typed(audit, scope, row, intended)
    return _line(row, personal, country)


async def _typed(audit: AuditLog, scope: Scope, row: Row, intended: Row) -> str:
    """What stood at the prompt, and what came of it."""
    try:
        line = (await audit.personal(scope.connection, intended)).get("line")
    except SealingError:
        return _FALSE
    entry = " ".join(intended.body["data"].get("fields", ()))
    what = f"a command ({entry}), {line}" if isinstance(line, Erased) else f"`{line or entry}`"
    if row.body["kind"] == "operation.unknown":
        return f"{what} was sent to the phone system's prompt, and it cannot be told whether it was done"
    return (
        f"the diagnostic {what} was run"
        if row.body["data"]["name"] == "diag"
        else (f"{what} was typed at the phone system's prompt")
    )


def _line(row: Row, personal: Mapping[str, Any], country: str) -> str:
    kind, data = row.body["kind"], row.body["data"]
    if kind == "operation.unknown":
        return f"{WORDS[data['name']]}: tried, and it cannot be told whether it happened"
    if kind == "secret.issued":
        to = "the user" if data["to"] == "user" else "an approver"
        address = personal["address"]
        where = str(address) if isinstance(address, Erased) else f"({masked(str(address))})"
        whose = f" of {personal['person']}" if "person" in personal else ""
        over = ", to hand over" if data.get("opens") == "passkey" else ""
        if data.get("opens") == "mail":
            return f"a {SECRETS[data['secret']]}{whose} was reset; the phone system mails the new one to {to} {where}"
        return f"a {SECRETS[data['secret']]}{whose} was reset; the new one went to {to} {where}{over}"
    before, after = personal.get("before"), personal.get("after")
    if data["name"] in TYPED:
        return "a diagnostic was run" if data["name"] == "diag" else "a command was typed at the phone system's prompt"
    if isinstance(before, Erased):
        return f"{'removed' if data['name'] == 'remove' else 'changed'}: somebody {before}"
    if not isinstance(before, Mapping):
        return ""
    if not isinstance(after, Mapping):
        return f"{before['name']} was removed"
    moved = [
        f"{word} from {_shown(before[field], country)} to {_shown(after[field], country)}"
        for field, word in (("name", "name"), ("email", "email"), ("ddis", "ddi"))
        if before[field] != after[field]
    ]
    return f"{before['name']}: {'; '.join(moved)}" if moved else ""


def _shown(value: Any, country: str) -> str:
    if isinstance(value, list):
        return ", ".join(as_read(one, country) for one in value) or "nothing"
    return str(value or "nothing")


class Counting:
    """What was done in visits, by count, from the log: it alone tells what was done from what was only prepared under
    the same name.

    A line is kept as long as the visit's log has as many entries as it had, up to the same one. Those that were looked
    at longest ago go first, at `_REMEMBERED` visits.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._known: OrderedDict[tuple[str, str], tuple[tuple[int, int], str]] = OrderedDict()

    async def told(self, scope: Scope, ids: Sequence[str]) -> dict[str, str]:
        """A line for each of these visits so far, "" for nothing."""
        sizes = await self._audit.sizes(scope.connection, scope.customer_id, ids, KINDS)
        told: dict[str, str] = {}
        for one in ids:
            key, size = (scope.customer_id, one), sizes.get(one, (0, 0))
            known = self._known.get(key)
            if known is None or known[0] != size:
                known = size, await self._line(scope, one) if size[0] else ""
            told[one] = known[1]
            self._known[key] = known
            self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return told

    async def _line(self, scope: Scope, session_id: str) -> str:
        counts, read = Counter[str](), 0
        async for row in _entries(self._audit, scope, session_id, KINDS, _COUNTED):
            counts[_counts_as(row)] += 1
            read += 1
        return summaries.did(counts, counts["unknown"]) + ("; and more" if read >= _COUNTED else "")


def _counts_as(row: Row) -> str:
    kind, data = row.body["kind"], row.body["data"]
    if kind == "secret.issued":
        return f"reset-{data['secret']}"
    if kind == "operation.unknown":
        return "unknown"
    name = str(data["name"])
    return name if name in _LOOKS or tells(row) else "prepare"


async def prepared_in(audit: AuditLog, scope: Scope, session_id: str) -> frozenset[str]:
    """The operations of a visit that only looked, to show what a change or a reset would do."""
    entries = _entries(audit, scope, session_id, ("operation.intended",))
    return frozenset([str(row.body["operation"]) async for row in entries if _only_prepared(row)])


def _only_prepared(intended: Row) -> bool:
    return intended.body["data"].get("fields") in (["plan"], ["changes"])
