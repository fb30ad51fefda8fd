"""Tables of those who may read a customer's log over HTTP."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Text

from gateway.store.columns import customer_table

# A token is kept as its SHA-256 alone. `seen_ms` is when it was last told in the log that it is used.
readers = customer_table(
    "readers",
    Column("name", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("added_ms", BigInteger, nullable=False),
    Column("removed_ms", BigInteger),
    Column("seen_ms", BigInteger),
    Index("readers_digest", "digest", unique=True),
)
