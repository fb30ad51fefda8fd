"""Visits that Frameroom is not in between at."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Text

from gateway.store.columns import ID, customer_table, within

# `state`: lifecycle.OutsideState. `reason`: why it ended. What the engineer says was done stands in the log alone,
# sealed, so that whatever is erased or runs out there is gone.
outside_visits = customer_table(
    "outside_visits",
    Column("grant_id", ID, nullable=False),
    Column("system_id", ID, nullable=False),
    Column("engineer_id", ID, ForeignKey("engineers.id"), nullable=False),
    Column("state", String(12), nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("reason", Text, nullable=False),
    Column("told_ms", BigInteger),
    within("grant_id", "grants"),
    within("system_id", "systems"),
    Index("outside_visits_state", "state"),
    Index("outside_visits_of_engineer", "engineer_id", "state"),
)
