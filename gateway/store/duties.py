"""Tables of what the law asks: acts of two people, how long records are kept, what was deleted, who is frozen."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from gateway.store.columns import ID, customer_table, metadata, within

# Whatever takes two people: an erasure, a legal hold and its end, a look at a restricted recording. `log_id` is the
# customer's id, or "_operator" for what concerns an engineer. `target` is a subject, a session, or the customer.
proposals = Table(
    "proposals",
    metadata,
    Column("log_id", ID, primary_key=True),
    Column("id", ID, primary_key=True),
    Column("what", String(12), nullable=False),
    Column("target", String(80), nullable=False),
    Column("basis", String(40), nullable=False),
    Column("plan", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_ms", BigInteger, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_ms", BigInteger),
    Column("due_ms", BigInteger),
    Column("done_ms", BigInteger),
    Index("proposals_target", "log_id", "target", "what"),
    Index("proposals_state", "state", "what"),
)
# A person whose data is only kept (Article 18): engineers do not see them until it ends.
restrictions = customer_table(
    "restrictions",
    Column("system_id", ID, nullable=False),
    Column("subject", String(80), nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("placed_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    within("system_id", "systems"),
    Index("restrictions_system", "customer_id", "system_id", "ended_ms"),
)
# `kind` is a kind of record, `months` how long it is kept after the contract's end.
retention_terms = customer_table(
    "retention_terms",
    Column("kind", String(24), nullable=False),
    Column("months", Integer, nullable=False),
    Index("retention_kind", "customer_id", "kind", unique=True),
)
contracts = customer_table("contracts", Column("ends_ms", BigInteger), Column("set_by", Text, nullable=False))
# What was deleted, when and why; `waits` names what could not go yet (a locked object), until when if that is known.
ledger = customer_table(
    "ledger",
    Column("kind", String(24), nullable=False),
    Column("target", String(80), nullable=False),
    Column("why", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("waits", Text, nullable=False),
    Column("due_ms", BigInteger),
    Column("event_id", ID, nullable=False),
    Index("ledger_target", "customer_id", "kind", "target"),
)
