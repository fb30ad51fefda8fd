"""Confirmations by telephone: an approver vouches for another one, or for the address of a telephone user.

Each is labelled by whom it was given and who of the staff wrote it down, and mailed to every approver at once, as a yes
by telephone is. Only where the agreement allows a yes by telephone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from audit.events import Event, Personal
from audit.log import AuditLog
from gateway import notify
from gateway.access.facts import agreement_from
from gateway.errors import InvalidError, NotFoundError, NotPermittedError
from gateway.lifecycle import AgreementState
from gateway.model import PhoneSystem, same_address
from gateway.store.engine import Scope
from gateway.store.tables import agreements, approvers, directory
from gateway.vault import Vault


async def _voucher(scope: Scope, approver_id: str, recorded_by: str) -> Any:
    """The approver who was on the telephone. NotPermittedError where the agreement does not allow it."""
    if not recorded_by.strip():
        raise InvalidError("say who of you took the call", next_step="Add --recorded-by NAME.")
    mine = select(agreements).where(agreements.c.customer_id == scope.customer_id)
    row = (await scope.execute(mine.order_by(agreements.c.version.desc()).limit(1))).first()
    agreement = None if row is None else agreement_from(row)
    if agreement is None or agreement.state is not AgreementState.CONFIRMED or not agreement.terms.consent_by_phone:
        raise NotPermittedError("This customer's agreement does not allow a yes by telephone.")
    return await _approver(scope, approver_id)


async def _approver(scope: Scope, approver_id: str) -> Any:
    here = (approvers.c.customer_id == scope.customer_id) & (approvers.c.id == approver_id)
    found = (await scope.execute(select(approvers).where(here, approvers.c.removed_ms.is_(None)))).first()
    if found is None:
        raise NotFoundError("that is no approver of this customer", next_step="`frameroom approver list` shows them.")
    return found


async def confirm_approver(
    scope: Scope, audit: AuditLog, actor: str, approver_id: str, by_id: str, recorded_by: str, words: str
) -> None:
    """One approver vouches for another, who may be sent new passwords from then on."""
    by, whom, now = await _voucher(scope, by_id, recorded_by), await _approver(scope, approver_id), audit.clock.now()
    if by.id == whom.id or same_address(by.email, whom.email):
        raise NotPermittedError("Nobody confirms themselves.")
    if by.confirmed_by is None and by.added_ms >= whom.added_ms:
        raise NotPermittedError(
            f"{by.name} was named no earlier than {whom.name}, and is not confirmed either.",
            next_step="An approver who was there before has to confirm.",
        )
    here = (approvers.c.customer_id == scope.customer_id) & (approvers.c.id == whom.id)
    await scope.execute(update(approvers).where(here).values(confirmed_by=by.id))
    how = f"by telephone, recorded by {recorded_by}"
    key = f"subject:{whom.id}"
    personal = _told(by, recorded_by, words, key)
    data = {"approver": whom.id, "how": "by telephone"}
    await audit.append(
        scope.connection, Event("approver.confirmed", scope.customer_id, actor, data=data, personal=personal)
    )
    await notify.approver_confirmed(scope, whom.name, whom.email, how, by.name, now)


async def confirm_address(
    scope: Scope, audit: AuditLog, vault: Vault, actor: str, system: PhoneSystem, user: str, email: str, by_id: str,
    recorded_by: str, words: str,
) -> None:  # fmt: skip
    """An approver vouches for the address that a user has in Frameroom's own snapshot. NotFoundError for another."""
    by, now = await _voucher(scope, by_id, recorded_by), audit.clock.now()
    subject = vault.subject(scope.customer_id, system.id, user)
    here = (
        (directory.c.customer_id == scope.customer_id)
        & (directory.c.system_id == system.id)
        & (directory.c.subject == subject)
        & (directory.c.email_digest == vault.digest("email", email.casefold()))
    )
    if not (await scope.execute(update(directory).where(here).values(confirmed_by=by.id))).rowcount:
        raise NotFoundError(
            f"Frameroom has not seen {email} as the address of {user} on {system.name}",
            next_step="An engineer has to look the person up first; then compare the address letter by letter. Where "
            "an extension is not the person's id, give the id (`show USER --json`).",
        )
    key = f"customer:{scope.customer_id}"
    personal = _told(by, recorded_by, words, key)
    event = Event(
        "address.confirmed", scope.customer_id, actor, system=system.id, subject=subject, data={"approver": by.id},
        personal=personal,
    )  # fmt: skip
    await audit.append(scope.connection, event)
    how = f"by telephone, recorded by {recorded_by}"
    await notify.address_confirmed(scope, system.id, user, email, how, by.name, now)


def _told(by: Any, recorded_by: str, words: str, key_id: str) -> tuple[Personal, ...]:
    """Who vouched, which goes with them; who wrote it down, and the words, which go with whatever they are about."""
    return (
        Personal("by", by.name, f"subject:{by.id}"), Personal("to", recorded_by, key_id),
        Personal("words", words, key_id),
    )  # fmt: skip
