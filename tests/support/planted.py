"""A customer with a row in every table, made from the metadata, so that a table added tomorrow is planted too.

Whatever text a row can hold carries the customer's mark, so that a search for the mark finds any of it anywhere.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from sqlalchemy import Boolean, Column, Integer, LargeBinary, Table, insert

from audit.merkle import leaf_hash
from gateway.model import Terms
from gateway.store.engine import Scope
from gateway.store.tables import CUSTOMER_TABLES, LOG_TABLES, customers, engineer_keys, engineers, metadata, staff

_WORDS: dict[str, str] = {
    "notices": "each", "operations": "find view", "roles": "", "connector": "lab", "settings": "{}", "region": "uk",
    "batch": "", "kind": "session.opened", "mode": "off", "hours": "[]", "zone": "Europe/London",
    "standing": "current", "occasion": "first",
}  # fmt: skip
_STATES: dict[str, str] = {
    "agreements": "confirmed", "requests": "waiting", "grants": "open", "sessions": "open", "operations": "done",
    "links": "ready", "proposals": "proposed", "batches": "open", "batch_rows": "done",
    "deliveries": "waiting", "jobs": "open", "outside_visits": "open",
}  # fmt: skip


def planted_id(table: str, customer: str) -> str:
    """The id of a customer's only row in a table."""
    return f"{table[:6]}_{customer}"


def _value(column: Column[Any], table: Table, customer: str) -> Any:
    for key in column.foreign_keys:
        if key.column.table is customers:
            return customer
        if key.column.name == "id":
            return planted_id(key.column.table.name, customer)
        if key.column.name == "customer_id":
            return customer
    if column.name == "customer_id" or (table is customers and column.name == "id") or column.name == "log_id":
        return customer
    if column.name == "id":
        return planted_id(table.name, customer)
    if column.name == "state":
        return _STATES[table.name]
    if column.name == "terms":
        return Terms(operations=frozenset({"find"}), mail_domains=(f"{customer}.example",)).model_dump_json()
    if column.name == "entry":
        return entry(customer)
    if column.name == "idx":
        return 0
    if column.name == "until_ms":  # nothing of it runs out in the middle of a test
        return 4_000_000_000_000
    if table.name == "jobs" and column.name == "number":  # what people call it by is one customer's alone
        return zlib.crc32(customer.encode()) >> 1
    if column.name in {"leaf_hash", "frontier"}:  # the compact range of a log with one entry is that entry's hash
        return leaf_hash(entry(customer))
    if column.name in _WORDS:
        return _WORDS[column.name]
    if column.name in {"removed_ms", "confirmed_by", "used_ms", "ended_ms", "told_ms"}:
        return None
    if isinstance(column.type, Boolean):
        return column.name == "enabled"
    if isinstance(column.type, LargeBinary):
        return f"sealed of {customer}".encode()
    if isinstance(column.type, Integer):
        return 1
    return f"{customer} {column.name}"[: getattr(column.type, "length", None) or 200]


def entry(customer: str) -> bytes:
    """The bytes of the planted entry of the customer's log."""
    body = {"actor": customer, "commit": {}, "data": {"of": customer}, "id": "evt_1", "kind": "session.opened",
            "log": customer, "session": planted_id("sessions", customer), "time": 1, "v": 1}  # fmt: skip
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()


def row(table: Table, customer: str) -> dict[str, Any]:
    """The row of a customer in a table."""
    return {
        column.name: _value(column, table, customer) for column in table.columns if column.autoincrement is not True
    }


PLANTED = tuple(
    t
    for t in metadata.sorted_tables
    if t in {staff, engineers, engineer_keys, customers, *CUSTOMER_TABLES, *LOG_TABLES}
)
"""In an order in which references can be filled in."""


async def plant(scope: Scope, customer: str) -> None:
    """A row in every table. The scope is everyone's or the customer's own."""
    for table in PLANTED:
        await scope.execute(insert(table).values(**row(table, customer)))
