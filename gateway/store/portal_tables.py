"""The tables of the portal: invitations, passkeys, sign-ins. No secret stands in them, only digests of some."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    bindparam,
    select,
)

from gateway.store.columns import ID, customer_table, within

BY_OPERATOR: Final = "operator"
BY_RECOVERY: Final = "recovery"
"""Who named or invited an approver, where it was not another approver (whose id stands there then)."""

# `digest`: SHA-256 of the secret in the mailed link. `invited_by`: an approver's id, BY_OPERATOR or BY_RECOVERY.
invitations = customer_table(
    "invitations",
    Column("approver_id", ID, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("invited_by", ID, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger),
    within("approver_id", "approvers"),
)
# `credential` is WebAuthn's credential id, `public_key` its COSE key, both base64url. `fingerprint` is what the
# approver wrote on the agreement.
passkeys = customer_table(
    "passkeys",
    Column("approver_id", ID, nullable=False),
    Column("credential", Text, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("fingerprint", String(40), nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("added_ms", BigInteger, nullable=False),
    Column("removed_ms", BigInteger),
    within("approver_id", "approvers"),
    UniqueConstraint("customer_id", "credential"),
)
# `digest`: SHA-256 of the cookie's secret. `challenge`: what was answered, so that no answer serves twice. Of an
# approver, or of a contact, who only reads.
sign_ins = customer_table(
    "sign_ins",
    Column("approver_id", ID),
    Column("contact_id", ID),
    Column("digest", String(64), nullable=False),
    Column("challenge", String(96), nullable=False),
    Column("factor", String(12), nullable=False),
    Column("device", Text, nullable=False),
    Column("began_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    within("approver_id", "approvers"),
    within("contact_id", "contacts"),
    UniqueConstraint("customer_id", "challenge"),
)
# An approver's signature over something other than a request: an agreement's version, a job. `target`: its id;
# `digest`: SHA-256 of the canonical text that was signed. Persons are counted, so one row for each and each text.
signatures = customer_table(
    "signatures",
    Column("target", ID, nullable=False),
    Column("approver_id", ID, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    within("approver_id", "approvers"),
    UniqueConstraint("customer_id", "target", "approver_id", "digest"),
)
# Work that the customer asked for; what was signed is `canonical`. `number` is what people call it by.
jobs = customer_table(
    "jobs",
    Column("number", Integer, nullable=False),
    Column("system_id", ID, nullable=False),
    Column("operations", Text, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("what", Text, nullable=False),
    Column("for_whom", Text, nullable=False),
    Column("asked_by", ID, nullable=False),
    Column("canonical", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("request_id", ID),
    Column("engineer_id", ID, ForeignKey("engineers.id")),
    within("asked_by", "approvers"),
    within("system_id", "systems"),
    within("request_id", "requests"),
    Index("jobs_number", "number", unique=True),
)

ANY_KEY: Final = select(passkeys.c.id).where(passkeys.c.customer_id == bindparam("of_customer")).limit(1)
"""Finds something once the customer has had a passkey, whether or not it still counts: from then on they name each
other, and who could take the last key away could otherwise put their own in its place."""
