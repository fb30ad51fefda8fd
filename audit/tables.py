"""The log's tables. `log_id` is the customer's id (or "_operator"), and row-level security stands on it."""

from __future__ import annotations

from typing import Final

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
    text,
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
    Column("system_id", String(40)),
    Column("engineer_id", String(40)),
    Column("operation_name", Text),
    Column("permission_id", String(40)),
    Column("ticket", String(32)),
    Column("entry", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    UniqueConstraint("log_id", "idx"),
    UniqueConstraint("log_id", "event_id"),
    Index("entries_session", "log_id", "session_id"),
    Index("entries_time", "log_id", "time_ms"),
    Index("entries_log", "log_id", "seq"),
    sqlite_autoincrement=True,
)
# What a search finds entries by (audit/finding.py), in order of appending; only entries that have the thing are in
# an index, and of kinds only those that are not most of every log: each index costs a part of every append.
COMMON: Final = ("operation.intended", "operation.done", "session.opened", "session.closed", "recording.segment",
                 "recording.closed", "heartbeat")  # fmt: skip
UNCOMMON: Final = text(f"kind NOT IN ({', '.join(repr(kind) for kind in COMMON)})")
for _name, _columns, _where in (
    ("entries_system", (entries.c.system_id,), entries.c.system_id.is_not(None)),
    ("entries_subject", (entries.c.subject,), entries.c.subject.is_not(None)),
    ("entries_operation", (entries.c.operation_id,), entries.c.operation_id.is_not(None)),
    ("entries_permission", (entries.c.permission_id,), entries.c.permission_id.is_not(None)),
    ("entries_ticket", (entries.c.ticket,), entries.c.ticket.is_not(None)),
    ("entries_engineer", (entries.c.engineer_id,), entries.c.engineer_id.is_not(None)),
    ("entries_log_engineer", (entries.c.log_id, entries.c.engineer_id), entries.c.engineer_id.is_not(None)),
    ("entries_name", (entries.c.operation_name,), entries.c.operation_name.is_not(None)),
    ("entries_log_name", (entries.c.log_id, entries.c.operation_name), entries.c.operation_name.is_not(None)),
    ("entries_kind", (entries.c.kind,), UNCOMMON),
    ("entries_log_kind", (entries.c.log_id, entries.c.kind), UNCOMMON),
):
    Index(_name, *_columns, entries.c.seq, sqlite_where=_where, postgresql_where=_where)
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
    Index("payloads_key", "log_id", "key_id"),
)

# By which words a phone system's user is known: keyed digests (audit/finding.py), never the words.
known_by = Table(
    "known_by",
    metadata,
    Column("log_id", String(40), primary_key=True),
    Column("word", String(32), primary_key=True),
    Column("subject", String(80), primary_key=True),
    Index("known_by_subject", "log_id", "subject"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("log_id", String(40), primary_key=True),
    Column("size", BigInteger, primary_key=True),
    Column("time_ms", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
)

TABLES: Final = (logs, entries, payloads, known_by, checkpoints)
"""The log alone, for whoever keeps one without a gateway."""
