"""Tables of whom is told and asked how: channels beside mail, turns, deputies, absences, and what became of each."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, LargeBinary, String, Text

from gateway.store.columns import ID, customer_table, within

# A way to reach somebody beside mail: an approver, or a contact. `sealed` is its address, an apprise URL, which is a
# secret (vault); `digest` its keyed digest; `service` says in words what it is; `name` is what its owner calls it.
channels = customer_table(
    "channels",
    Column("approver_id", ID),
    Column("contact_id", ID),
    Column("name", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("added_ms", BigInteger, nullable=False),
    Column("tested_ms", BigInteger),
    within("approver_id", "approvers"),
    within("contact_id", "contacts"),
    Index("channels_of_approver", "customer_id", "approver_id"),
    Index("channels_of_contact", "customer_id", "contact_id"),
)
# How an approver is asked and told; `id` is the approver's. Without a row: after those with a `place`, in the order
# in which they were named. Those of one place are asked together.
asking = customer_table(
    "asking",
    Column("place", Integer),
    Column("deputy_id", ID),
    Column("notices", String(12)),
    within("id", "approvers"),
    within("deputy_id", "approvers"),
    CheckConstraint("notices in ('each', 'changes', 'daily', 'none')", name="asking_notices_known"),
)
# Away from–until (exclusive). `deputy_id`: who stands in this time; without one, whoever is named in `asking`.
absences = customer_table(
    "absences",
    Column("approver_id", ID, nullable=False),
    Column("deputy_id", ID),
    Column("from_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    within("approver_id", "approvers"),
    within("deputy_id", "approvers"),
    Index("absences_of_approver", "customer_id", "approver_id", "until_ms"),
)
# What became of a message about a request; `id` is the message's in the outbox. `way`: "mail", or a service in words.
deliveries = customer_table(
    "deliveries",
    Column("request_id", ID, nullable=False),
    Column("approver_id", ID, nullable=False),
    Column("occasion", String(12), nullable=False),
    Column("way", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("code", String(40), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    within("request_id", "requests"),
    within("approver_id", "approvers"),
    Index("deliveries_of_request", "customer_id", "request_id"),
)
# A request that waits and is asked about again; `id` is the request's. `step`: which one follows, `since_ms`: when the
# one before was done.
chases = customer_table(
    "chases",
    Column("step", Integer, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    within("id", "requests"),
    Index("chases_since", "since_ms"),
)
