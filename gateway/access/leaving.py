"""What a person had to sign in to read with, which goes when they do."""

from __future__ import annotations

from sqlalchemy import delete, or_

from gateway.store.engine import Scope
from gateway.store.sign_in_tables import code_links, oidc_accounts, reading_codes


async def forget_ways_in(scope: Scope, person_id: str) -> None:
    """Take their account, codes and links away, in the caller's transaction. Whoever has their address next starts
    anew."""
    theirs = (
        (oidc_accounts, or_(oidc_accounts.c.approver_id == person_id, oidc_accounts.c.contact_id == person_id)),
        (code_links, code_links.c.approver_id == person_id),
        (reading_codes, reading_codes.c.id == person_id),
    )
    for table, which in theirs:
        await scope.execute(delete(table).where(table.c.customer_id == scope.customer_id, which))
