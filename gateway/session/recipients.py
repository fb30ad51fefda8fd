"""Who may receive a new secret: altering must not become reading (architecture 5).

The user, at an address in an agreed mail domain that has stood unchanged for 30 days in our own keyed snapshots or that
an approver confirmed. Where addresses were confirmed in the portal (access/baseline.py), one that is not among them
counts as changed. Otherwise an approver who neither asked for the reset nor approved this grant and who is no newcomer
(30 days, or confirmed), or, where the agreement says so, the only approver there is. Otherwise nobody, and nothing is
written.

Where the customer has had a passkey, only an approver who holds one: they open it with it, on their own page
(access/handing.py), so that their mailbox alone opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select

from audit.log import AuditLog
from connectors.contract import Person
from gateway.access.baseline import Baseline, Proof, Standing
from gateway.access.directory import agreement_of
from gateway.errors import NotPermittedError
from gateway.model import DAY, Grant, Terms, is_address, same_address
from gateway.notify.words import masked as masked
from gateway.store.engine import Scope
from gateway.store.portal_tables import ANY_KEY, passkeys
from gateway.store.tables import approvers, directory, engineers
from gateway.vault import Vault

_STOOD_MS: Final = 30 * DAY


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets the link: an address, who that is ("the user", "approver NAME"), and in the log "user" or an id."""

    address: str
    words: str
    logged: str
    by_passkey: bool = False
    """It opens with this approver's passkey alone."""
    proof: Proof | None = None
    """That the user's address is among those that the customer confirmed."""

    @property
    def is_user(self) -> bool:
        """True when it is the person whose password it is."""
        return self.logged == "user"

    @property
    def told(self) -> str:
        """approver Carol (c…@customer.example), to hand over; for the engineer and the customer."""
        return f"{self.words} ({masked(self.address)}){', to hand over' if self.by_passkey else ''}"


class Recipients:
    """Reads in the caller's transaction; writes nothing."""

    def __init__(self, audit: AuditLog, vault: Vault) -> None:
        self._audit, self._vault, self._baseline = audit, vault, Baseline(audit)

    async def choose(self, scope: Scope, system_id: str, grant: Grant, person: Person) -> Recipient:
        """Who may get the secret. NotPermittedError when nobody may."""
        agreement = await agreement_of(scope)
        if agreement is None:
            raise NotPermittedError("There is no agreement.")
        if person.email:
            stands, proof = await self._stands(scope, system_id, person, agreement.terms)
            if stands:
                return Recipient(person.email, "the user", "user", proof=proof)
        had = (await scope.execute(ANY_KEY, {"of_customer": scope.customer_id})).first() is not None
        approver = await self._approver(scope, grant, agreement.terms, by_passkey=had)
        if approver is None:
            holding = ", who holds a passkey," if had else ","
            raise NotPermittedError(
                "Nobody may receive the new password: the user's address is new, missing or outside the agreed "
                "domains, and no approver is eligible.",
                next_step=f"The customer needs a second approver{holding} who is confirmed by another one or was "
                "named 30 days ago; nothing was changed.",
            )
        return Recipient(approver.email, f"approver {approver.name}", approver.id, by_passkey=had)

    async def _stands(self, scope: Scope, system_id: str, person: Person, terms: Terms) -> tuple[bool, Proof | None]:
        given = person.email or ""
        # Before capital letters are made small: what is no ASCII could become it (a long s is an s then), and read as
        # an address that stood, while the mail goes to another domain.
        if not is_address(given) or given.casefold().rpartition("@")[2] not in terms.mail_domains:
            return False, None
        email = given.casefold()
        subject = self._vault.subject(scope.customer_id, system_id, person.id)
        confirmed = await self._baseline.stands(scope, system_id, subject, email)
        if confirmed.standing in {Standing.SAME, Standing.WRONG}:
            return confirmed.standing is Standing.SAME, confirmed.proof
        query = select(directory).where(
            directory.c.customer_id == scope.customer_id,
            directory.c.system_id == system_id,
            directory.c.subject == subject,
            directory.c.email_digest == self._vault.digest("email", email),
        )
        row = (await scope.execute(query)).first()
        if row is None:
            return False, None
        # An address that is another than the confirmed one is a changed one, however long we have known it.
        stood = self._audit.clock.now() - max(row.since_ms, confirmed.since_ms) >= _STOOD_MS
        return stood or await self._is_approver(scope, row.confirmed_by), None

    @staticmethod
    async def _is_approver(scope: Scope, approver_id: str | None) -> bool:
        """Of this customer, also one who has left since: what they confirmed stays confirmed."""
        here = (approvers.c.customer_id == scope.customer_id) & (approvers.c.id == approver_id)
        return approver_id is not None and (await scope.execute(select(approvers.c.id).where(here))).first() is not None

    def _is_newcomer(self, row: Any) -> bool:
        """Whoever could name an approver could read passwords, if the newly named received them."""
        return row.confirmed_by is None and self._audit.clock.now() - row.added_ms < _STOOD_MS

    async def _approver(self, scope: Scope, grant: Grant, terms: Terms, *, by_passkey: bool) -> Any:
        query = select(approvers).where(approvers.c.customer_id == scope.customer_id).order_by(approvers.c.name)
        everyone = (await scope.execute(query)).all()
        mail = select(engineers.c.email).where(engineers.c.id == grant.engineer_id)
        requester = str((await scope.execute(mail)).scalar_one())
        # Persons, not accounts: one address is one person, under however many names it stands.
        said_yes = {row.email.casefold() for row in everyone if row.id in grant.approver_ids}
        present = [row for row in everyone if row.removed_ms is None and is_address(row.email)]
        holders = await self._holders(scope) if by_passkey else {row.id for row in present}
        known = [row for row in present if row.id in holders and not self._is_newcomer(row)]
        others = [row for row in known if not same_address(row.email, requester)]
        eligible = [row for row in others if row.email.casefold() not in said_yes]
        if eligible:
            return eligible[0]
        persons = {row.email.casefold() for row in present}
        return others[0] if terms.only_approver_may_receive and others and len(persons) == 1 else None

    @staticmethod
    async def _holders(scope: Scope) -> set[str]:
        """Approvers with a passkey that counts."""
        mine = (passkeys.c.customer_id == scope.customer_id) & passkeys.c.removed_ms.is_(None)
        return set((await scope.execute(select(passkeys.c.approver_id).where(mine))).scalars())
