"""Whom and when a customer lets in, above every single permission."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from gateway.store.columns import ID, customer_table, metadata, within

# The customer's switch (policy.access_is_on); without a row it is on. `hours`: JSON, a list of model.Hours.
access = Table(
    "access",
    metadata,
    Column("customer_id", ID, ForeignKey("customers.id"), primary_key=True),
    Column("mode", String(12), nullable=False),
    Column("until_ms", BigInteger),
    Column("hours", Text, nullable=False),
    Column("zone", String(64), nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)
# Commands of a phone system's prompt that the customer switched on, besides those that are on anyway: the newest
# version with `on_ms` counts; one without waits for more signatures. `entries`: their names, with spaces between.
console_lists = customer_table(
    "console_lists",
    Column("system_id", ID, nullable=False),
    Column("version", Integer, nullable=False),
    Column("entries", Text, nullable=False),
    Column("on_ms", BigInteger),
    within("system_id", "systems"),
    UniqueConstraint("customer_id", "system_id", "version", "entries"),
)
