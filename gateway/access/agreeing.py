"""The agreement as its customer handles it: read in words, confirmed with as many keys as it takes, withdrawn.

As soon as a customer has had a key, staff cannot confirm an agreement for them any more (directory.confirm_agreement).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from audit import canonical
from audit.log import AuditLog
from gateway import notify
from gateway.access.directory import Directory
from gateway.access.ending import end_permissions
from gateway.access.facts import agreement_from
from gateway.access.permission import Permission
from gateway.access.persons import persons
from gateway.access.signing import Keys, Words, sign, signers
from gateway.errors import NotFoundError, StateError
from gateway.lifecycle import AgreementState
from gateway.model import Agreement
from gateway.store.engine import Scope, Store
from gateway.store.tables import agreements, grants


@dataclass(frozen=True, slots=True)
class Drawn:
    """The newest version: what it says, the words to sign, how many persons have to, and who has."""

    agreement: Agreement
    words: Words
    needed: int
    signers: list[str]
    given: int
    """As how many persons they count (persons.py)."""


class Agreeing:
    """Writes each step with its event and its mail."""

    def __init__(self, store: Store, audit: AuditLog, directory: Directory, permission: Permission, keys: Keys) -> None:
        self._store, self._audit, self._directory = store, audit, directory
        self._permission, self._keys = permission, keys

    async def drawn(self, scope: Scope, *, lock: bool = False) -> Drawn:
        """The newest version. NotFoundError when there is none."""
        mine = agreements.c.customer_id == scope.customer_id
        query = select(agreements).where(mine).order_by(agreements.c.version.desc()).limit(1)
        row = (await scope.execute(query.with_for_update() if lock else query)).first()
        if row is None:
            raise NotFoundError("There is no agreement yet.", next_step="Your telephone maintainer draws it up.")
        # The terms as they stand in the table: every byte of them is signed.
        text = canonical.encode(
            {"v": 1, "customer": scope.customer_id, "agreement": row.version, "terms": row.terms}
        ).decode()
        words = Words(row.id, text, f"customer:{scope.customer_id}")
        signed = await signers(scope, words)
        given = await persons(scope, signed, self._permission.now)
        return Drawn(agreement_from(row), words, await self._needed(scope), signed, given)

    @staticmethod
    async def _needed(scope: Scope) -> int:
        """As many as the newest one that was confirmed wants for a visit: fewer could not lower that number."""
        confirmed = select(func.max(agreements.c.version)).where(
            agreements.c.customer_id == scope.customer_id, agreements.c.confirmed_ms.is_not(None)
        )
        query = select(agreements).where(
            agreements.c.customer_id == scope.customer_id, agreements.c.version == confirmed.scalar_subquery()
        )
        row = (await scope.execute(query)).first()
        return 1 if row is None else agreement_from(row).terms.approvals_needed

    async def sign(self, customer_id: str, approver_id: str, version: int, answer: Any) -> bool:
        """One approver's signature under a version; True when with it the agreement is confirmed.

        StateError when it is confirmed or withdrawn already, or another version was drawn up meanwhile.
        """
        async with self._store.scope(customer_id) as scope:
            drawn = await self.drawn(scope, lock=True)
            agreement = drawn.agreement
            if agreement.version != version or agreement.state is not AgreementState.DRAFT:
                raise StateError("This is not the agreement that waits to be signed.", next_step="Load the page again.")
            signed = await sign(
                scope, self._audit, self._keys, approver_id, drawn.words, answer, "agreement.signed", {},
                version=version,
            )  # fmt: skip
            done = await persons(scope, signed, self._permission.now) >= drawn.needed
            if done:
                how = f"signed with {len(signed)} own keys" if len(signed) > 1 else "signed with the approver's own key"
                await self._directory.confirm(scope, approver_id, how)
            await notify.agreement_signed(scope, approver_id, version, self._permission.now, done=done)
        return done

    async def withdraw(self, customer_id: str, approver_id: str, name: str) -> None:
        """Take it back: it permits nothing any more, and every permission ends now."""
        await self._directory.withdraw_agreement(approver_id, customer_id, name, "in the portal")
        mine = grants.c.customer_id == customer_id
        await end_permissions(
            self._store, self._permission, approver_id, mine, "the customer withdrew the agreement",
            "with the agreement",
        )  # fmt: skip
