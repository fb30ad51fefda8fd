"""Whom and when a customer lets in, above every single permission."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, Text

from gateway.store.columns import ID, metadata

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
