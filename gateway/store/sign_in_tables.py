"""Tables of signing in to read: a customer's own OpenID provider, whose account is whose, and one-time codes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, String, Text, UniqueConstraint

from gateway.store.columns import ID, customer_table, within

# One a customer. `secret` is the client secret, sealed; `domains`: of addresses, separated by spaces; `claim`:
# "name=value" that an account must have, or ""; `verified_claim`: what says that the provider verified the address;
# `for_contacts`: contacts read too, not approvers alone.
oidc_providers = customer_table(
    "oidc_providers",
    Column("name", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("domains", Text, nullable=False),
    Column("claim", Text, nullable=False),
    Column("verified_claim", Text, nullable=False),
    Column("for_contacts", Boolean, nullable=False),
    Column("set_ms", BigInteger, nullable=False),
    UniqueConstraint("customer_id"),
)
# Whose account is whose: an approver's, or a contact's. `digest`: keyed, of issuer and subject, which stand nowhere
# else.
oidc_accounts = customer_table(
    "oidc_accounts",
    Column("approver_id", ID),
    Column("contact_id", ID),
    Column("digest", String(64), nullable=False),
    Column("bound_ms", BigInteger, nullable=False),
    within("approver_id", "approvers"),
    within("contact_id", "contacts"),
)
# An approver's secret for one-time codes (RFC 6238), sealed; `id` is the approver's. Without `confirmed_ms` it was
# shown, and no code of it was ever given back. `last_step`: the newest time step that was used.
reading_codes = customer_table(
    "reading_codes",
    Column("sealed", LargeBinary, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until_ms", BigInteger, nullable=False),
    Column("added_ms", BigInteger, nullable=False),
    Column("confirmed_ms", BigInteger),
    within("id", "approvers"),
)
# A mailed link on whose page such a code is given. `digest`: SHA-256 of the link's secret; `tries`: wrong codes;
# `following`: the page that was wanted.
code_links = customer_table(
    "code_links",
    Column("approver_id", ID, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("following", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger),
    within("approver_id", "approvers"),
)
