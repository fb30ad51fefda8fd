"""Tables of the customer's word on mail addresses: what was read for them to look at, and what they confirmed."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Text, UniqueConstraint

from gateway.store.columns import ID, customer_table, within

# Everybody whom a phone system had when an approver had it read. It is there to be looked at and confirmed, and goes
# with that, or after `until_ms`.
readings = customer_table(
    "readings",
    Column("system_id", ID, nullable=False),
    Column("approver_id", ID, nullable=False),
    Column("people", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    within("system_id", "systems"),
    within("approver_id", "approvers"),
    Index("readings_system", "customer_id", "system_id", "at_ms"),
)
# `sealed`: name, extension, address and salt (vault). `found`: how the address stands to what was confirmed before.
# `left_out`: the approver says that the address is wrong.
reading_rows = customer_table(
    "reading_rows",
    Column("reading_id", ID, nullable=False),
    Column("position", Integer, nullable=False),
    Column("subject", String(80), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("found", String(12), nullable=False),
    Column("left_out", Boolean, nullable=False),
    within("reading_id", "readings"),
    Index("reading_rows_position", "customer_id", "reading_id", "position"),
)
# What an approver signed: `canonical`, which names the root over the rows' leaves. Its digest stands in the log.
baselines = customer_table(
    "baselines",
    Column("system_id", ID, nullable=False),
    Column("approver_id", ID, nullable=False),
    Column("canonical", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    within("system_id", "systems"),
    within("approver_id", "approvers"),
    Index("baselines_system", "customer_id", "system_id", "at_ms"),
)
# One person each: a salted hash of their address (access/baseline.py), never the address. Of an erased person
# `subject` and `salt` go, and `leaf` stays, so that the root can still be made.
baseline_rows = customer_table(
    "baseline_rows",
    Column("baseline_id", ID, nullable=False),
    Column("position", Integer, nullable=False),
    Column("subject", String(80), nullable=False),
    Column("salt", String(32), nullable=False),
    Column("leaf", String(64), nullable=False),
    Column("is_right", Boolean, nullable=False),
    within("baseline_id", "baselines"),
    UniqueConstraint("customer_id", "baseline_id", "position"),
    Index("baseline_rows_subject", "customer_id", "subject"),
)
