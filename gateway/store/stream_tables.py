"""How far each log was streamed to each receiver outside."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from gateway.store.columns import ID, metadata

# Entries below `next_idx` were written to the receiver and are old enough to have arrived; `receiver` is its name in
# the settings.
stream_cursors = Table(
    "stream_cursors",
    metadata,
    Column("log_id", ID, primary_key=True),
    Column("receiver", String(40), primary_key=True),
    Column("next_idx", BigInteger, nullable=False),
    Column("moved_ms", BigInteger, nullable=False),
)
