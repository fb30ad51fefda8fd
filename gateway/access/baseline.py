"""The addresses that a customer confirmed with their own key, and how one of today stands to them.

The rows in the database are believed only as far as the log bears them out: every confirmation that the log holds of a
phone system has to be there, whole, with the root that was signed. Whoever edits, adds or takes away one is found at
the next reset, and by `audit verify`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from audit import address_book
from audit.log import AuditLog
from audit.proofs import inclusion
from gateway.errors import NotPermittedError
from gateway.store.address_tables import baseline_rows, baselines, reading_rows
from gateway.store.engine import Scope

CONFIRMED: Final = "addresses.confirmed"
_ROWS: Final = (
    select(baseline_rows.c.leaf)
    .where(
        baseline_rows.c.customer_id == bindparam("of_customer"), baseline_rows.c.baseline_id == bindparam("of_baseline")
    )
    .order_by(baseline_rows.c.position)
)  # fmt: skip


class Standing(StrEnum):
    """How an address stands to what was confirmed."""

    NONE = "none"
    """Nothing was ever confirmed of this phone system."""
    NEW = "new"
    """The person was not there, or had no address, when it was."""
    SAME = "same"
    CHANGED = "changed"
    WRONG = "wrong"
    """The customer said that just this address is not theirs."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That a person's address is among those that were signed: the confirmation's id, the leaf, its place, its path."""

    baseline: str
    leaf: str
    index: int
    size: int
    path: tuple[str, ...]
    salt: str

    @property
    def told(self) -> dict[str, Any]:
        """What the entry of a secret's issue keeps of it."""
        return {
            "baseline": self.baseline, "leaf": self.leaf, "index": self.index, "size": self.size,
            "path": list(self.path),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stands:
    """`since_ms`: when it was confirmed that the address was another (or none): an age counts from there."""

    standing: Standing
    since_ms: int = 0
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """One confirmation, as it was found to hold."""

    id: str
    at_ms: int
    leaves: tuple[bytes, ...]


class Baseline:
    """Reads in the caller's transaction."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    async def _kept(self, scope: Scope, system_id: str) -> list[_Kept]:
        """Every confirmation of a phone system, oldest first. NotPermittedError when one was altered."""
        logged = await self._audit.confirmed(scope.connection, scope.customer_id)
        signed = {row.body["data"]["baseline"]: row.body for row in logged if row.body.get("system") == system_id}
        here = (baselines.c.customer_id == scope.customer_id) & (baselines.c.system_id == system_id)
        rows = {row.id: row for row in await scope.execute(select(baselines).where(here))}
        if rows.keys() != signed.keys():
            raise _altered("one was added or taken away")
        kept = []
        for row in sorted(rows.values(), key=lambda one: int(signed[one.id]["data"]["before"])):
            data = signed[row.id]["data"]
            digest = hashlib.sha256(row.canonical.encode()).hexdigest()
            found = await scope.execute(_ROWS, {"of_customer": scope.customer_id, "of_baseline": row.id})
            leaves = tuple(bytes.fromhex(leaf) for leaf in found.scalars())
            if digest != data["digest"] or len(leaves) != data["size"] or address_book.root(leaves).hex() != _root(row):
                raise _altered("one does not have the root that was signed")
            kept.append(_Kept(row.id, row.at_ms, leaves))
        return kept

    async def stands(self, scope: Scope, system_id: str, subject: str, email: str) -> Stands:
        """How this person's address stands. NotPermittedError when what was confirmed was altered in the database."""
        kept = await self._kept(scope, system_id)
        if not kept:
            return Stands(Standing.NONE)
        of = {one.id: one for one in kept}
        here = (baseline_rows.c.customer_id == scope.customer_id) & (baseline_rows.c.subject == subject)
        rows = [row for row in await scope.execute(select(baseline_rows).where(here)) if row.baseline_id in of]
        if not rows:
            return Stands(Standing.NEW, kept[0].at_ms)
        row = max(rows, key=lambda one: list(of).index(one.baseline_id))
        one = of[row.baseline_id]
        made = address_book.leaf(subject, email, is_right=row.is_right, salt=row.salt)
        if one.leaves[row.position].hex() != row.leaf:
            raise _altered("a row does not stand where it was signed")
        if made.hex() != row.leaf:
            return Stands(Standing.CHANGED, one.at_ms)
        if not row.is_right:
            return Stands(Standing.WRONG, one.at_ms)
        path = inclusion(address_book.node_of(one.leaves), row.position, len(one.leaves))
        shown = tuple(item.hex() for item in path)
        return Stands(Standing.SAME, one.at_ms, Proof(one.id, row.leaf, row.position, len(one.leaves), shown, row.salt))

    async def latest(self, scope: Scope, system_id: str) -> dict[str, Any]:
        """The newest row of each person, by subject; none where nothing was confirmed. NotPermittedError as above."""
        newest: dict[str, Any] = {}
        for one in await self._kept(scope, system_id):
            here = (baseline_rows.c.customer_id == scope.customer_id) & (baseline_rows.c.baseline_id == one.id)
            newest |= {row.subject: row for row in await scope.execute(select(baseline_rows).where(here))}
        return newest

    async def faults(self, scope: Scope) -> list[str]:
        """What was altered of the customer's, for whoever verifies: phone system and words."""
        logged = await self._audit.confirmed(scope.connection, scope.customer_id)
        query = select(baselines.c.system_id).where(baselines.c.customer_id == scope.customer_id).distinct()
        systems = {str(row.body.get("system")) for row in logged} | set((await scope.execute(query)).scalars())
        found = []
        for system_id in sorted(systems):
            try:
                await self._kept(scope, system_id)
            except NotPermittedError as error:
                found.append(f"phone system {system_id}: {error.message}")
        return found


def _root(row: Any) -> str:
    try:
        return str(json.loads(row.canonical)["root"])
    except (ValueError, KeyError, TypeError):
        return ""


def _altered(how: str) -> NotPermittedError:
    return NotPermittedError(
        f"The mail addresses that the customer confirmed were altered in the database ({how}).",
        next_step="Nothing was written. Tell the operator: `frameroom audit verify` names it; a backup has the rows.",
    )


async def forget(scope: Scope, subject: str) -> None:
    """An erased person: what links a row to them goes, and the hash without its salt stays for the root."""
    mine = (baseline_rows.c.customer_id == scope.customer_id) & (baseline_rows.c.subject == subject)
    await scope.execute(update(baseline_rows).where(mine).values(subject="", salt=""))
    read = (reading_rows.c.customer_id == scope.customer_id) & (reading_rows.c.subject == subject)
    await scope.execute(reading_rows.delete().where(read))
