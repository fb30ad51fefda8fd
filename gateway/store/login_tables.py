"""Tables of who used our credentials: our own dials, what the phone systems' records showed that was none of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Text, UniqueConstraint

from gateway.store.columns import ID, customer_table, within

# A use of a credential by us, written before the credential is presented. `why`: visit, reset, check, watch or
# addresses; `mark`: what the connection calls itself; `login`: the phone system's own id for it, once that is known.
# `session_id` is no reference: a dial holds up nobody who deletes a visit.
# `system_id` is null where a phone system was only tried, and not saved; `place` says then which it was.
dials = customer_table(
    "dials",
    Column("system_id", ID),
    Column("place", Text),
    Column("session_id", ID),
    Column("why", String(12), nullable=False),
    Column("mark", String(40), nullable=False),
    Column("login", String(80)),
    Column("begun_ms", BigInteger, nullable=False),
    within("system_id", "systems"),
    Index("dials_of_system", "customer_id", "system_id", "begun_ms"),
)
# A login that was none of ours. The constraint is what makes each told of exactly once.
foreign_logins = customer_table(
    "foreign_logins",
    Column("system_id", ID, nullable=False),
    Column("login", String(80), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    within("system_id", "systems"),
    UniqueConstraint("customer_id", "system_id", "login"),
)
# How far a phone system's record was looked through; `id` is the system's. `until_ms` is by the phone system's clock;
# `failed`: the code of what has kept us from looking since `failed_ms`, "" while nothing does;
# `told_ms`: when that was logged.
login_looks = customer_table(
    "login_looks",
    Column("until_ms", BigInteger, nullable=False),
    Column("looked_ms", BigInteger),
    Column("failed", String(40), nullable=False),
    Column("failed_ms", BigInteger),
    Column("told_ms", BigInteger),
    within("id", "systems"),
)
