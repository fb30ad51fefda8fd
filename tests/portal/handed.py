"""A secret that waits to be handed over, as a reset leaves it."""

from __future__ import annotations

from connectors.contract import SecretKind
from gateway.model import new_id
from gateway.session.links import Links, Reset
from gateway.session.recipients import Recipient
from tests.portal.conftest import Site

SEALED = b"ciphertext"


async def a_secret(site: Site, to: str, said_yes: str, person: str = "Grace Okonkwo (extension 2001)") -> Reset:
    """Addressed to the approver `to`; `said_yes` permitted the visit."""
    brook = site.brook
    permitted = await brook.say_yes(await brook.ask(), said_yes)
    assert permitted is not None
    session = await brook.session(permitted)
    operation = await brook.operation(permitted, session, SecretKind.SIP.operation)
    subject = brook.vault.subject(brook.customer, brook.system.id, "2001")
    reset = Reset(
        brook.customer, brook.system.id, session, permitted.id, brook.engineer, operation, subject, SecretKind.SIP,
        new_id("lnk"),
    )  # fmt: skip
    links, recipient = Links(brook.store, brook.audit), Recipient("c@customer.example", "approver Carol", to, True)
    async with brook.store.scope(brook.customer) as scope:
        await links.prepare(scope, reset, SEALED, recipient)
    async with brook.store.scope(brook.customer) as scope:
        await links.ready(scope, reset, recipient, person)
    return reset
