"""Every table. Whatever belongs to a customer has (customer_id, id) as its key, and references carry both."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from gateway.store import address_tables as address_tables
from gateway.store import duties as duties
from gateway.store import login_tables as login_tables
from gateway.store import month_tables as month_tables
from gateway.store import outside_tables as outside_tables
from gateway.store import portal_tables as portal_tables
from gateway.store import reading as reading
from gateway.store import sign_in_tables as sign_in_tables
from gateway.store import stream_tables as stream_tables
from gateway.store import telling_tables as telling_tables
from gateway.store.access_tables import access as access
from gateway.store.access_tables import console_lists as console_lists
from gateway.store.columns import ID, customer_table, within
from gateway.store.columns import metadata as metadata

customers = Table(
    "customers",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("region", String(8), nullable=False),
    Column("added_ms", BigInteger, nullable=False),
)
engineers = Table(
    "engineers",
    metadata,
    Column("id", ID, primary_key=True),
    Column("login", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("roles", Text, nullable=False),
    Column("totp_sealed", LargeBinary),
    Column("totp_last_step", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until_ms", BigInteger, nullable=False),
)
engineer_keys = Table(
    "engineer_keys",
    metadata,
    Column("engineer_id", ID, ForeignKey("engineers.id"), primary_key=True),
    Column("fingerprint", String(80), primary_key=True),
    Column("public_key", Text, nullable=False),
    Column("added_ms", BigInteger, nullable=False),
)
# Whoever uses the operator's commands, by the operating system's account (`login`), which goes when they are erased:
# the log has the id. `seen_ms`: to the day.
staff = Table(
    "staff",
    metadata,
    Column("id", ID, primary_key=True),
    Column("login", String(64), unique=True),
    Column("added_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
)
backup_codes = Table(
    "backup_codes",
    metadata,
    Column("engineer_id", ID, ForeignKey("engineers.id"), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("used_ms", BigInteger),
)

roster = Table(
    "roster",
    metadata,
    Column("customer_id", ID, ForeignKey("customers.id"), primary_key=True),
    Column("engineer_id", ID, ForeignKey("engineers.id"), primary_key=True),
    Column("vetoed", Boolean, nullable=False),
    # The approver whose veto it is: staff cannot take that back.
    Column("vetoed_by", ID),
)
contacts = customer_table(
    "contacts",
    Column("name", Text, nullable=False),
    Column("position", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("mobile", Text, nullable=False, server_default=""),
    Column("notices", String(12), nullable=False),
    Column("standing", String(12), nullable=False, server_default="current"),
    # No advertising, and since when; what a customer must be told (operational, pricing) is not touched by it.
    Column("marketing_out", Boolean, nullable=False, server_default=false()),
    Column("marketing_ms", BigInteger),
    Column("removed_ms", BigInteger),
    CheckConstraint("notices in ('each', 'changes', 'daily', 'none')", name="notices_known"),
    CheckConstraint("standing in ('prospective', 'current', 'former')", name="standing_known"),
)
# `named_by`: the approver who named this one, None where staff did. `confirmed_by`: another approver of the customer's,
# or the agreement that was confirmed when this one was named.
approvers = customer_table(
    "approvers",
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("added_ms", BigInteger, nullable=False),
    Column("named_by", ID),
    Column("confirmed_by", ID),
    Column("removed_ms", BigInteger),
)
agreements = customer_table(
    "agreements",
    Column("version", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("terms", Text, nullable=False),
    Column("confirmed_ms", BigInteger),
    UniqueConstraint("customer_id", "version"),
)
sites = customer_table(
    "sites",
    Column("name", Text, nullable=False),
    Column("town", Text, nullable=False),
    Column("postcode", Text, nullable=False),
    UniqueConstraint("customer_id", "name"),
)
systems = customer_table(
    "systems",
    Column("name", Text, nullable=False),
    Column("connector", String(40), nullable=False),
    Column("host", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("pin", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("credential", LargeBinary, nullable=False),
    Column("site_id", ID),
    Column("asset", Text, nullable=False),
    Column("ddi_range", Text, nullable=False),
    Column("removed_ms", BigInteger),
    within("site_id", "sites"),
)
# A phone system that was removed stays for the history, and its name is free for the one that replaces it.
Index(
    "systems_in_service",
    systems.c.customer_id,
    systems.c.name,
    unique=True,
    sqlite_where=systems.c.removed_ms.is_(None),
    postgresql_where=systems.c.removed_ms.is_(None),
)
# `canonical`: the bytes that a yes is a yes to, whose SHA-256 is `digest` (access/asked.py). `answer`: why not.
requests = customer_table(
    "requests",
    Column("system_id", ID, nullable=False),
    Column("engineer_id", ID, ForeignKey("engineers.id"), nullable=False),
    Column("operations", Text, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("canonical", Text, nullable=False),
    Column("submitted_ms", BigInteger, nullable=False),
    Column("answered_ms", BigInteger),
    Column("answer", Text),
    within("system_id", "systems"),
    Index("requests_waiting", "state", "engineer_id"),
)
# Persons, not accounts: one row for each person's decision on exactly this digest. `assertion` is the WebAuthn
# assertion when the person signed; a consent by telephone has none and says so in `how`.
approvals = customer_table(
    "approvals",
    Column("request_id", ID, nullable=False),
    Column("approver_id", ID, nullable=False),
    Column("request_digest", String(64), nullable=False),
    Column("how", String(24), nullable=False),
    Column("assertion", Text),
    Column("recorded_by", Text),
    Column("at_ms", BigInteger, nullable=False),
    within("request_id", "requests"),
    within("approver_id", "approvers"),
    UniqueConstraint("customer_id", "request_id", "approver_id", "request_digest"),
)
grants = customer_table(
    "grants",
    Column("request_id", ID, nullable=False),
    Column("system_id", ID, nullable=False),
    Column("engineer_id", ID, ForeignKey("engineers.id"), nullable=False),
    Column("operations", Text, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),
    Column("version", Integer, nullable=False),
    Column("how", Text, nullable=False),
    Column("approver_ids", Text, nullable=False),
    Column("job_id", ID),
    Column("ended_how", Text),
    within("request_id", "requests"),
    within("system_id", "systems"),
    Index("grants_of_engineer", "engineer_id", "state"),
)
sessions = customer_table(
    "sessions",
    Column("grant_id", ID, nullable=False),
    Column("system_id", ID, nullable=False),
    Column("engineer_id", ID, ForeignKey("engineers.id"), nullable=False),
    Column("node", ID, nullable=False),
    Column("state", String(12), nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger),
    Column("segments", Integer, nullable=False),
    within("grant_id", "grants"),
    within("system_id", "systems"),
    Index("sessions_state", "state"),
    Index("sessions_of_engineer", "engineer_id", "opened_ms"),
)
operations = customer_table(
    "operations",
    Column("session_id", ID, nullable=False),
    Column("grant_id", ID, nullable=False),
    Column("name", String(24), nullable=False),
    Column("state", String(12), nullable=False),
    Column("intended_ms", BigInteger, nullable=False),
    within("session_id", "sessions"),
    within("grant_id", "grants"),
    Index("operations_session", "customer_id", "session_id"),
    Index("operations_state", "state"),
)
# `approver_id`: to whom alone it opens, with their passkey, so that they hand it over; without one it opens to
# whoever holds the link.
links = customer_table(
    "links",
    Column("operation_id", ID, nullable=False),
    Column("system_id", ID, nullable=False),
    Column("subject", String(80), nullable=False),
    Column("state", String(12), nullable=False),
    Column("sealed", LargeBinary),
    Column("made_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("opened_ms", BigInteger),
    Column("approver_id", ID),
    Column("handed_ms", BigInteger),
    within("operation_id", "operations"),
    within("system_id", "systems"),
    within("approver_id", "approvers"),
    # Whoever opens one has its id alone; the loop that ends them looks by state.
    Index("links_id", "id"),
    Index("links_state", "state", "made_ms"),
)
# Keyed digests of who had which address since when: never the address itself.
directory = customer_table(
    "directory",
    Column("system_id", ID, nullable=False),
    Column("subject", String(80), nullable=False),
    Column("email_digest", String(64), nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("confirmed_by", ID),
    within("system_id", "systems"),
    UniqueConstraint("customer_id", "system_id", "subject"),
)
# What engineers leave for whoever comes next; `session_id` when it was written in a visit.
notes = customer_table(
    "notes",
    Column("system_id", ID, nullable=False),
    Column("session_id", ID),
    Column("author", ID, nullable=False),
    Column("text", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    within("system_id", "systems"),
    within("session_id", "sessions"),
    Index("notes_of_system", "customer_id", "system_id", "at_ms"),
)
# A CSV of changes (`apply`): how far it came, so that the same file goes on where it stopped. The file itself is
# not kept; its digest names it.
batches = customer_table(
    "batches",
    Column("system_id", ID, nullable=False),
    Column("engineer_id", ID, ForeignKey("engineers.id"), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("total", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    within("system_id", "systems"),
    Index("batches_digest", "customer_id", "system_id", "digest"),
)
batch_rows = Table(
    "batch_rows",
    metadata,
    Column("customer_id", ID, ForeignKey("customers.id"), primary_key=True),
    Column("batch_id", ID, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("operation_id", ID),
    Column("state", String(12), nullable=False),
    Column("code", String(40), nullable=False),
    ForeignKeyConstraint(["customer_id", "batch_id"], ["batches.customer_id", "batches.id"]),
)
# `batch`: messages of one address that are gathered into one mail (a daily digest); empty for one of its own.
# `channel_id`: the channel that it goes by instead of mail; `address` is empty then.
outbox = customer_table(
    "outbox",
    Column("channel_id", ID),
    Column("address", Text, nullable=False),
    Column("what", String(40), nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("batch", String(12), nullable=False, server_default=""),
    Column("tries", Integer, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    within("channel_id", "channels"),
    Index("outbox_due", "due_ms"),
)

CUSTOMER_TABLES = tuple(t for t in metadata.sorted_tables if "customer_id" in t.c)
LOG_TABLES = tuple(t for t in metadata.sorted_tables if "log_id" in t.c)
