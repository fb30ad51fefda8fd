"""The first schema."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from gateway.store.schema import row_security_statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Table to the column that says whose a row is; empty where rows are nobody's.
COLUMNS: Final = {
    "checkpoints": "log_id",
    "customers": "id",
    "access": "customer_id",
    "engineers": "",
    "staff": "",
    "entries": "log_id",
    "known_by": "log_id",
    "logs": "log_id",
    "payloads": "log_id",
    "agreements": "customer_id",
    "approvers": "customer_id",
    "backup_codes": "",
    "contacts": "customer_id",
    "engineer_keys": "",
    "outbox": "customer_id",
    "roster": "customer_id",
    "sites": "customer_id",
    "systems": "customer_id",
    "batches": "customer_id",
    "directory": "customer_id",
    "requests": "customer_id",
    "approvals": "customer_id",
    "batch_rows": "customer_id",
    "grants": "customer_id",
    "sessions": "customer_id",
    "notes": "customer_id",
    "operations": "customer_id",
    "links": "customer_id",
    "proposals": "log_id",
    "restrictions": "customer_id",
    "retention_terms": "customer_id",
    "contracts": "customer_id",
    "ledger": "customer_id",
    "readers": "customer_id",
    "invitations": "customer_id",
    "passkeys": "customer_id",
    "sign_ins": "customer_id",
    "dials": "customer_id",
    "foreign_logins": "customer_id",
    "login_looks": "customer_id",
    "stream_cursors": "log_id",
    "signatures": "customer_id",
    "jobs": "customer_id",
    "month_letters": "customer_id",
    "channels": "customer_id",
    "asking": "customer_id",
    "absences": "customer_id",
    "deliveries": "customer_id",
    "chases": "customer_id",
    "oidc_providers": "customer_id",
    "oidc_accounts": "customer_id",
    "reading_codes": "customer_id",
    "code_links": "customer_id",
    "readings": "customer_id",
    "reading_rows": "customer_id",
    "baselines": "customer_id",
    "baseline_rows": "customer_id",
    "console_lists": "customer_id",
    "outside_visits": "customer_id",
}


# What a search finds entries by: index to columns, each in order of appending and only of entries that have the thing.
FOUND_BY: Final = {
    "entries_system": ("system_id",),
    "entries_subject": ("subject",),
    "entries_operation": ("operation_id",),
    "entries_permission": ("permission_id",),
    "entries_ticket": ("ticket",),
    "entries_engineer": ("engineer_id",),
    "entries_log_engineer": ("log_id", "engineer_id"),
    "entries_name": ("operation_name",),
    "entries_log_name": ("log_id", "operation_name"),
    "entries_kind": ("kind",),
    "entries_log_kind": ("log_id", "kind"),
}
_UNCOMMON: Final = (
    "kind NOT IN ('operation.intended', 'operation.done', 'session.opened', 'session.closed', 'recording.segment', "
    "'recording.closed', 'heartbeat')"
)


def upgrade() -> None:
    """Up."""
    op.create_table(
        "checkpoints",
        sa.Column("log_id", sa.String(length=40), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "size"),
    )
    op.create_table(
        "customers",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("region", sa.String(length=8), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "access",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=12), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("hours", sa.Text(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id"),
    )
    op.create_table(
        "engineers",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("login", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("totp_last_step", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("login"),
    )
    op.create_table(
        "staff",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("login", sa.String(length=64), nullable=True),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("login"),
    )
    op.create_table(
        "entries",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("log_id", sa.String(length=40), nullable=False),
        sa.Column("idx", sa.BigInteger(), nullable=True),
        sa.Column("event_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("session_id", sa.String(length=40), nullable=True),
        sa.Column("operation_id", sa.String(length=40), nullable=True),
        sa.Column("subject", sa.String(length=80), nullable=True),
        sa.Column("system_id", sa.String(length=40), nullable=True),
        sa.Column("engineer_id", sa.String(length=40), nullable=True),
        sa.Column("operation_name", sa.Text(), nullable=True),
        sa.Column("permission_id", sa.String(length=40), nullable=True),
        sa.Column("ticket", sa.String(length=32), nullable=True),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("log_id", "event_id"),
        sa.UniqueConstraint("log_id", "idx"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("entries", schema=None) as batch_op:
        batch_op.create_index("entries_session", ["log_id", "session_id"], unique=False)
        batch_op.create_index("entries_time", ["log_id", "time_ms"], unique=False)
        batch_op.create_index("entries_log", ["log_id", "seq"], unique=False)
        batch_op.create_index(
            "entries_unsequenced",
            ["log_id", "seq"],
            unique=False,
            sqlite_where=sa.text("idx IS NULL"),
            postgresql_where=sa.text("idx IS NULL"),
        )
        batch_op.create_index(
            "entries_confirmed",
            ["log_id", "seq"],
            unique=False,
            sqlite_where=sa.text("kind = 'addresses.confirmed'"),
            postgresql_where=sa.text("kind = 'addresses.confirmed'"),
        )
        for name, columns in FOUND_BY.items():
            where = sa.text(_UNCOMMON if columns[-1] == "kind" else f"{columns[-1]} IS NOT NULL")
            batch_op.create_index(name, [*columns, "seq"], sqlite_where=where, postgresql_where=where)

    op.create_table(
        "known_by",
        sa.Column("log_id", sa.String(length=40), nullable=False),
        sa.Column("word", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "word", "subject"),
    )
    with op.batch_alter_table("known_by", schema=None) as batch_op:
        batch_op.create_index("known_by_subject", ["log_id", "subject"], unique=False)

    op.create_table(
        "logs",
        sa.Column("log_id", sa.String(length=40), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("last_time_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_id"),
    )
    op.create_table(
        "payloads",
        sa.Column("log_id", sa.String(length=40), nullable=False),
        sa.Column("event_id", sa.String(length=40), nullable=False),
        sa.Column("key_id", sa.String(length=80), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "event_id", "key_id"),
    )
    with op.batch_alter_table("payloads", schema=None) as batch_op:
        batch_op.create_index("payloads_key", ["log_id", "key_id"], unique=False)

    op.create_table(
        "agreements",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("confirmed_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
        sa.UniqueConstraint("customer_id", "version"),
    )
    op.create_table(
        "approvers",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("named_by", sa.String(length=40), nullable=True),
        sa.Column("confirmed_by", sa.String(length=40), nullable=True),
        sa.Column("removed_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    op.create_table(
        "backup_codes",
        sa.Column("engineer_id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["engineer_id"],
            ["engineers.id"],
        ),
        sa.PrimaryKeyConstraint("engineer_id", "digest"),
    )
    op.create_table(
        "contacts",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("mobile", sa.Text(), server_default="", nullable=False),
        sa.Column("notices", sa.String(length=12), nullable=False),
        sa.Column("standing", sa.String(length=12), server_default="current", nullable=False),
        sa.Column("marketing_out", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("marketing_ms", sa.BigInteger(), nullable=True),
        sa.Column("removed_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("notices in ('each', 'changes', 'daily', 'none')", name="notices_known"),
        sa.CheckConstraint("standing in ('prospective', 'current', 'former')", name="standing_known"),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    op.create_table(
        "engineer_keys",
        sa.Column("engineer_id", sa.String(length=40), nullable=False),
        sa.Column("fingerprint", sa.String(length=80), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["engineer_id"],
            ["engineers.id"],
        ),
        sa.PrimaryKeyConstraint("engineer_id", "fingerprint"),
    )
    _channels()
    op.create_table(
        "outbox",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("channel_id", sa.String(length=40), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("what", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("batch", sa.String(length=12), server_default="", nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.ForeignKeyConstraint(["customer_id", "channel_id"], ["channels.customer_id", "channels.id"]),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index("outbox_due", ["due_ms"], unique=False)

    op.create_table(
        "roster",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("engineer_id", sa.String(length=40), nullable=False),
        sa.Column("vetoed", sa.Boolean(), nullable=False),
        sa.Column("vetoed_by", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.ForeignKeyConstraint(
            ["engineer_id"],
            ["engineers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "engineer_id"),
    )
    op.create_table(
        "sites",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("town", sa.Text(), nullable=False),
        sa.Column("postcode", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
        sa.UniqueConstraint("customer_id", "name"),
    )
    op.create_table(
        "systems",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("connector", sa.String(length=40), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("pin", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("credential", sa.LargeBinary(), nullable=False),
        sa.Column("site_id", sa.String(length=40), nullable=True),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("ddi_range", sa.Text(), nullable=False),
        sa.Column("removed_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id", "site_id"],
            ["sites.customer_id", "sites.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    with op.batch_alter_table("systems", schema=None) as batch_op:
        batch_op.create_index(
            "systems_in_service",
            ["customer_id", "name"],
            unique=True,
            sqlite_where=sa.text("removed_ms IS NULL"),
            postgresql_where=sa.text("removed_ms IS NULL"),
        )

    op.create_table(
        "batches",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("system_id", sa.String(length=40), nullable=False),
        sa.Column("engineer_id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id", "system_id"],
            ["systems.customer_id", "systems.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.ForeignKeyConstraint(
            ["engineer_id"],
            ["engineers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.create_index("batches_digest", ["customer_id", "system_id", "digest"], unique=False)

    op.create_table(
        "directory",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("system_id", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("email_digest", sa.String(length=64), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_by", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id", "system_id"],
            ["systems.customer_id", "systems.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
        sa.UniqueConstraint("customer_id", "system_id", "subject"),
    )
    op.create_table(
        "requests",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("system_id", sa.String(length=40), nullable=False),
        sa.Column("engineer_id", sa.String(length=40), nullable=False),
        sa.Column("operations", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("submitted_ms", sa.BigInteger(), nullable=False),
        sa.Column("answered_ms", sa.BigInteger(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id", "system_id"],
            ["systems.customer_id", "systems.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.ForeignKeyConstraint(
            ["engineer_id"],
            ["engineers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.create_index("requests_waiting", ["state", "engineer_id"], unique=False)

    op.create_table(
        "approvals",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("approver_id", sa.String(length=40), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("how", sa.String(length=24), nullable=False),
        sa.Column("assertion", sa.Text(), nullable=True),
        sa.Column("recorded_by", sa.Text(), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id", "approver_id"],
            ["approvers.customer_id", "approvers.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id", "request_id"],
            ["requests.customer_id", "requests.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
        sa.UniqueConstraint("customer_id", "request_id", "approver_id", "request_digest"),
    )
    op.create_table(
        "batch_rows",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("operation_id", sa.String(length=40), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id", "batch_id"],
            ["batches.customer_id", "batches.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "batch_id", "number"),
    )
    op.create_table(
        "grants",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("system_id", sa.String(length=40), nullable=False),
        sa.Column("engineer_id", sa.String(length=40), nullable=False),
        sa.Column("operations", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("approver_ids", sa.Text(), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=True),
        sa.Column("ended_how", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id", "request_id"],
            ["requests.customer_id", "requests.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id", "system_id"],
            ["systems.customer_id", "systems.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.ForeignKeyConstraint(
            ["engineer_id"],
            ["engineers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.create_index("grants_of_engineer", ["engineer_id", "state"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("grant_id", sa.String(length=40), nullable=False),
        sa.Column("system_id", sa.String(length=40), nullable=False),
        sa.Column("engineer_id", sa.String(length=40), nullable=False),
        sa.Column("node", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("segments", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id", "grant_id"],
            ["grants.customer_id", "grants.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id", "system_id"],
            ["systems.customer_id", "systems.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.ForeignKeyConstraint(
            ["engineer_id"],
            ["engineers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index("sessions_of_engineer", ["engineer_id", "opened_ms"], unique=False)
        batch_op.create_index("sessions_state", ["state"], unique=False)

    op.create_table(
        "notes",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("system_id", sa.String(length=40), nullable=False),
        sa.Column("session_id", sa.String(length=40), nullable=True),
        sa.Column("author", sa.String(length=40), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id", "session_id"],
            ["sessions.customer_id", "sessions.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id", "system_id"],
            ["systems.customer_id", "systems.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    with op.batch_alter_table("notes", schema=None) as batch_op:
        batch_op.create_index("notes_of_system", ["customer_id", "system_id", "at_ms"], unique=False)

    op.create_table(
        "operations",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("session_id", sa.String(length=40), nullable=False),
        sa.Column("grant_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=24), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("intended_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id", "grant_id"],
            ["grants.customer_id", "grants.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id", "session_id"],
            ["sessions.customer_id", "sessions.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    with op.batch_alter_table("operations", schema=None) as batch_op:
        batch_op.create_index("operations_session", ["customer_id", "session_id"], unique=False)
        batch_op.create_index("operations_state", ["state"], unique=False)

    op.create_table(
        "links",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("operation_id", sa.String(length=40), nullable=False),
        sa.Column("system_id", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=True),
        sa.Column("approver_id", sa.String(length=40), nullable=True),
        sa.Column("handed_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id", "approver_id"], ["approvers.customer_id", "approvers.id"]),
        sa.ForeignKeyConstraint(
            ["customer_id", "operation_id"],
            ["operations.customer_id", "operations.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id", "system_id"],
            ["systems.customer_id", "systems.id"],
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
        ),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    with op.batch_alter_table("links", schema=None) as batch_op:
        batch_op.create_index("links_id", ["id"], unique=False)
        batch_op.create_index("links_state", ["state", "made_ms"], unique=False)

    _duties()
    _readers()
    _telling()
    _signing_in()
    _portal()
    _logins()
    _streams()
    _addresses()
    _months()

    if op.get_bind().dialect.name == "postgresql":
        for statement in row_security_statements(COLUMNS):
            op.execute(statement)


def _portal() -> None:
    op.create_table(
        "invitations",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("approver_id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("invited_by", sa.String(length=40), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id", "approver_id"], ["approvers.customer_id", "approvers.id"]),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    op.create_table(
        "passkeys",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("approver_id", sa.String(length=40), nullable=False),
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=40), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("removed_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id", "approver_id"], ["approvers.customer_id", "approvers.id"]),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.PrimaryKeyConstraint("customer_id", "id"),
        sa.UniqueConstraint("customer_id", "credential"),
    )
    op.create_table(
        "sign_ins",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("approver_id", sa.String(length=40), nullable=True),
        sa.Column("contact_id", sa.String(length=40), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("challenge", sa.String(length=96), nullable=False),
        sa.Column("factor", sa.String(length=12), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("began_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id", "approver_id"], ["approvers.customer_id", "approvers.id"]),
        sa.ForeignKeyConstraint(["customer_id", "contact_id"], ["contacts.customer_id", "contacts.id"]),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.PrimaryKeyConstraint("customer_id", "id"),
        sa.UniqueConstraint("customer_id", "challenge"),
    )
    op.create_table(
        "signatures",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("target", sa.String(length=40), nullable=False),
        sa.Column("approver_id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id", "approver_id"], ["approvers.customer_id", "approvers.id"]),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.PrimaryKeyConstraint("customer_id", "id"),
        sa.UniqueConstraint("customer_id", "target", "approver_id", "digest"),
    )
    op.create_table(
        "console_lists",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("system_id", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.Column("on_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id", "system_id"], ["systems.customer_id", "systems.id"]),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.PrimaryKeyConstraint("customer_id", "id"),
        sa.UniqueConstraint("customer_id", "system_id", "version", "entries"),
    )
    op.create_table(
        "jobs",
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("system_id", sa.String(length=40), nullable=False),
        sa.Column("operations", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("for_whom", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.String(length=40), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("request_id", sa.String(length=40), nullable=True),
        sa.Column("engineer_id", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["customer_id", "asked_by"], ["approvers.customer_id", "approvers.id"]),
        sa.ForeignKeyConstraint(["customer_id", "system_id"], ["systems.customer_id", "systems.id"]),
        sa.ForeignKeyConstraint(["customer_id", "request_id"], ["requests.customer_id", "requests.id"]),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.ForeignKeyConstraint(["engineer_id"], ["engineers.id"]),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index("jobs_number", ["number"], unique=True)


def _duties() -> None:
    op.create_table(
        "proposals",
        sa.Column("log_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("what", sa.String(length=12), nullable=False),
        sa.Column("target", sa.String(length=80), nullable=False),
        sa.Column("basis", sa.String(length=40), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("log_id", "id"),
    )
    op.create_index("proposals_target", "proposals", ["log_id", "target", "what"])
    op.create_index("proposals_state", "proposals", ["state", "what"])
    op.create_table(
        "restrictions",
        *_owned(),
        sa.Column("system_id", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("placed_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id", "system_id"], ["systems.customer_id", "systems.id"]),
    )
    op.create_index("restrictions_system", "restrictions", ["customer_id", "system_id", "ended_ms"])
    op.create_table(
        "retention_terms",
        *_owned(),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("months", sa.Integer(), nullable=False),
    )
    op.create_index("retention_kind", "retention_terms", ["customer_id", "kind"], unique=True)
    op.create_table(
        "contracts",
        *_owned(),
        sa.Column("ends_ms", sa.BigInteger(), nullable=True),
        sa.Column("set_by", sa.Text(), nullable=False),
    )
    op.create_table(
        "ledger",
        *_owned(),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("target", sa.String(length=80), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("waits", sa.Text(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("event_id", sa.String(length=40), nullable=False),
    )
    op.create_index("ledger_target", "ledger", ["customer_id", "kind", "target"])


def _addresses() -> None:
    for name, more in (
        ("readings", (sa.Column("people", sa.Integer(), nullable=False),)),
        ("baselines", (sa.Column("canonical", sa.Text(), nullable=False),)),
    ):
        op.create_table(
            name,
            *_owned(),
            sa.Column("system_id", sa.String(length=40), nullable=False),
            sa.Column("approver_id", sa.String(length=40), nullable=False),
            *more,
            sa.Column("at_ms", sa.BigInteger(), nullable=False),
            *((sa.Column("until_ms", sa.BigInteger(), nullable=False),) if name == "readings" else ()),
            sa.ForeignKeyConstraint(["customer_id", "system_id"], ["systems.customer_id", "systems.id"]),
            _approver("approver_id"),
        )
        op.create_index(f"{name}_system", name, ["customer_id", "system_id", "at_ms"])
    op.create_table(
        "reading_rows",
        *_owned(),
        sa.Column("reading_id", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("found", sa.String(length=12), nullable=False),
        sa.Column("left_out", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id", "reading_id"], ["readings.customer_id", "readings.id"]),
    )
    op.create_index("reading_rows_position", "reading_rows", ["customer_id", "reading_id", "position"])
    op.create_table(
        "baseline_rows",
        *_owned(),
        sa.Column("baseline_id", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("salt", sa.String(length=32), nullable=False),
        sa.Column("leaf", sa.String(length=64), nullable=False),
        sa.Column("is_right", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id", "baseline_id"], ["baselines.customer_id", "baselines.id"]),
        sa.UniqueConstraint("customer_id", "baseline_id", "position"),
    )
    op.create_index("baseline_rows_subject", "baseline_rows", ["customer_id", "subject"])


def _months() -> None:
    op.create_table("month_letters", *_owned(), sa.Column("sent_ms", sa.BigInteger(), nullable=False))


def _readers() -> None:
    op.create_table(
        "readers",
        *_owned(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("removed_ms", sa.BigInteger(), nullable=True),
        sa.Column("seen_ms", sa.BigInteger(), nullable=True),
    )
    op.create_index("readers_digest", "readers", ["digest"], unique=True)


def _logins() -> None:
    op.create_table(
        "dials",
        *_owned(),
        sa.Column("system_id", sa.String(length=40), nullable=True),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("session_id", sa.String(length=40), nullable=True),
        sa.Column("why", sa.String(length=12), nullable=False),
        sa.Column("mark", sa.String(length=40), nullable=False),
        sa.Column("login", sa.String(length=80), nullable=True),
        sa.Column("begun_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id", "system_id"], ["systems.customer_id", "systems.id"]),
    )
    op.create_index("dials_of_system", "dials", ["customer_id", "system_id", "begun_ms"], unique=False)
    op.create_table(
        "outside_visits",
        *_owned(),
        sa.Column("grant_id", sa.String(length=40), nullable=False),
        sa.Column("system_id", sa.String(length=40), nullable=False),
        sa.Column("engineer_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("told_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id", "grant_id"], ["grants.customer_id", "grants.id"]),
        sa.ForeignKeyConstraint(["customer_id", "system_id"], ["systems.customer_id", "systems.id"]),
        sa.ForeignKeyConstraint(["engineer_id"], ["engineers.id"]),
    )
    op.create_index("outside_visits_state", "outside_visits", ["state"], unique=False)
    op.create_index("outside_visits_of_engineer", "outside_visits", ["engineer_id", "state"], unique=False)
    op.create_table(
        "foreign_logins",
        *_owned(),
        sa.Column("system_id", sa.String(length=40), nullable=False),
        sa.Column("login", sa.String(length=80), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id", "system_id"], ["systems.customer_id", "systems.id"]),
        sa.UniqueConstraint("customer_id", "system_id", "login"),
    )
    op.create_table(
        "login_looks",
        *_owned(),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("looked_ms", sa.BigInteger(), nullable=True),
        sa.Column("failed", sa.String(length=40), nullable=False),
        sa.Column("failed_ms", sa.BigInteger(), nullable=True),
        sa.Column("told_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id", "id"], ["systems.customer_id", "systems.id"]),
    )


def _streams() -> None:
    op.create_table(
        "stream_cursors",
        sa.Column("log_id", sa.String(length=40), nullable=False),
        sa.Column("receiver", sa.String(length=40), nullable=False),
        sa.Column("next_idx", sa.BigInteger(), nullable=False),
        sa.Column("moved_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "receiver"),
    )


def _channels() -> None:
    op.create_table(
        "channels",
        *_owned(),
        sa.Column("approver_id", sa.String(length=40), nullable=True),
        sa.Column("contact_id", sa.String(length=40), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("tested_ms", sa.BigInteger(), nullable=True),
        _approver("approver_id"),
        sa.ForeignKeyConstraint(["customer_id", "contact_id"], ["contacts.customer_id", "contacts.id"]),
    )
    op.create_index("channels_of_approver", "channels", ["customer_id", "approver_id"])
    op.create_index("channels_of_contact", "channels", ["customer_id", "contact_id"])


def _approver(column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["customer_id", column], ["approvers.customer_id", "approvers.id"])


def _request(column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["customer_id", column], ["requests.customer_id", "requests.id"])


def _telling() -> None:
    op.create_table(
        "asking",
        *_owned(),
        sa.Column("place", sa.Integer(), nullable=True),
        sa.Column("deputy_id", sa.String(length=40), nullable=True),
        sa.Column("notices", sa.String(length=12), nullable=True),
        sa.CheckConstraint("notices in ('each', 'changes', 'daily', 'none')", name="asking_notices_known"),
        _approver("id"),
        _approver("deputy_id"),
    )
    op.create_table(
        "absences",
        *_owned(),
        sa.Column("approver_id", sa.String(length=40), nullable=False),
        sa.Column("deputy_id", sa.String(length=40), nullable=True),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        _approver("approver_id"),
        _approver("deputy_id"),
    )
    op.create_index("absences_of_approver", "absences", ["customer_id", "approver_id", "until_ms"])
    op.create_table(
        "deliveries",
        *_owned(),
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("approver_id", sa.String(length=40), nullable=False),
        sa.Column("occasion", sa.String(length=12), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        _request("request_id"),
        _approver("approver_id"),
    )
    op.create_index("deliveries_of_request", "deliveries", ["customer_id", "request_id"])
    op.create_table(
        "chases",
        *_owned(),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        _request("id"),
    )
    op.create_index("chases_since", "chases", ["since_ms"])


def _signing_in() -> None:
    op.create_table(
        "oidc_providers",
        *_owned(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("domains", sa.Text(), nullable=False),
        sa.Column("claim", sa.Text(), nullable=False),
        sa.Column("verified_claim", sa.Text(), nullable=False),
        sa.Column("for_contacts", sa.Boolean(), nullable=False),
        sa.Column("set_ms", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("customer_id"),
    )
    op.create_table(
        "oidc_accounts",
        *_owned(),
        sa.Column("approver_id", sa.String(length=40), nullable=True),
        sa.Column("contact_id", sa.String(length=40), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("bound_ms", sa.BigInteger(), nullable=False),
        _approver("approver_id"),
        sa.ForeignKeyConstraint(["customer_id", "contact_id"], ["contacts.customer_id", "contacts.id"]),
    )
    op.create_table(
        "reading_codes",
        *_owned(),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_ms", sa.BigInteger(), nullable=True),
        _approver("id"),
    )
    op.create_table(
        "code_links",
        *_owned(),
        sa.Column("approver_id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("following", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        _approver("approver_id"),
    )


def _owned() -> tuple[sa.schema.SchemaItem, ...]:
    return (
        sa.Column("customer_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"]),
        sa.PrimaryKeyConstraint("customer_id", "id"),
    )


def downgrade() -> None:
    """Down."""
    for name in (
        "code_links", "reading_codes", "oidc_accounts", "oidc_providers",
        "baseline_rows", "reading_rows", "baselines", "readings", "stream_cursors", "login_looks", "foreign_logins",
        "dials", "outside_visits",
    ):  # fmt: skip
        op.drop_table(name)
    for name in ("chases", "deliveries", "absences", "asking"):
        op.drop_table(name)
    for name in ("month_letters", "readers", "ledger", "contracts", "retention_terms", "restrictions", "proposals"):
        op.drop_table(name)
    op.drop_table("jobs")
    op.drop_table("console_lists")
    op.drop_table("signatures")
    op.drop_table("sign_ins")
    op.drop_table("passkeys")
    op.drop_table("invitations")
    with op.batch_alter_table("links", schema=None) as batch_op:
        batch_op.drop_index("links_state")
        batch_op.drop_index("links_id")

    op.drop_table("links")
    with op.batch_alter_table("operations", schema=None) as batch_op:
        batch_op.drop_index("operations_state")
        batch_op.drop_index("operations_session")

    op.drop_table("operations")
    with op.batch_alter_table("notes", schema=None) as batch_op:
        batch_op.drop_index("notes_of_system")

    op.drop_table("notes")
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_index("sessions_state")
        batch_op.drop_index("sessions_of_engineer")

    op.drop_table("sessions")
    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.drop_index("grants_of_engineer")

    op.drop_table("grants")
    op.drop_table("batch_rows")
    op.drop_table("approvals")
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.drop_index("requests_waiting")

    op.drop_table("requests")
    op.drop_table("directory")
    with op.batch_alter_table("batches", schema=None) as batch_op:
        batch_op.drop_index("batches_digest")

    op.drop_table("batches")
    with op.batch_alter_table("systems", schema=None) as batch_op:
        batch_op.drop_index(
            "systems_in_service",
            sqlite_where=sa.text("removed_ms IS NULL"),
            postgresql_where=sa.text("removed_ms IS NULL"),
        )

    op.drop_table("systems")
    op.drop_table("sites")
    op.drop_table("roster")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index("outbox_due")

    op.drop_table("outbox")
    op.drop_table("channels")
    op.drop_table("engineer_keys")
    op.drop_table("contacts")
    op.drop_table("backup_codes")
    op.drop_table("approvers")
    op.drop_table("agreements")
    op.drop_table("payloads")
    op.drop_table("known_by")
    op.drop_table("logs")
    with op.batch_alter_table("entries", schema=None) as batch_op:
        batch_op.drop_index("entries_confirmed")
        batch_op.drop_index(
            "entries_unsequenced", sqlite_where=sa.text("idx IS NULL"), postgresql_where=sa.text("idx IS NULL")
        )
        batch_op.drop_index("entries_time")
        batch_op.drop_index("entries_session")

    op.drop_table("entries")
    op.drop_table("staff")
    op.drop_table("engineers")
    op.drop_table("access")
    op.drop_table("customers")
    op.drop_table("checkpoints")
