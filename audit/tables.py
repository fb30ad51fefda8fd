"""The log's tables. `log_id` is the customer's id (or "_operator"), and row-level security stands on it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

_BIG = BigInteger().with_variant(Integer, "sqlite")

logs = Table(
    "logs",
    metadata,
    Column("log_id", String(40), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("last_time_ms", BigInteger, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("seq", _BIG, primary_key=True, autoincrement=True),
    Column("log_id", String(40), nullable=False),
    Column("idx", BigInteger, nullable=True),
    Column("event_id", String(40), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("session_id", String(40)),
    Column("operation_id", String(40)),
    Column("subject", String(80)),
    Column("entry", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    UniqueConstraint("log_id", "idx"),
    UniqueConstraint("log_id", "event_id"),
    Index("entries_session", "log_id", "session_id"),
    Index("entries_time", "log_id", "time_ms"),
    sqlite_autoincrement=True,
)
# The sequencer looks only for what has no index yet.
Index(
    "entries_unsequenced",
    entries.c.log_id,
    entries.c.seq,
    sqlite_where=entries.c.idx.is_(None),
    postgresql_where=entries.c.idx.is_(None),
)

# Every reset asks for these of its customer, and there are few of them in a long log.
Index(
    "entries_confirmed",
    entries.c.log_id,
    entries.c.seq,
    sqlite_where=entries.c.kind == "addresses.confirmed",
    postgresql_where=entries.c.kind == "addresses.confirmed",
)

payloads = Table(
    "payloads",
    metadata,
    Column("log_id", String(40), primary_key=True),
    Column("event_id", String(40), primary_key=True),
    Column("key_id", String(80), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("log_id", String(40), primary_key=True),
    Column("size", BigInteger, primary_key=True),
    Column("time_ms", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
)
