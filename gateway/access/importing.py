"""Importing a spreadsheet's rows: planned, then written, one customer and one transaction at a time.

A plan is made from a view that takes no lock, and the keys that its events need are made before the transaction
begins: while it lasts nobody else can write, and visits that are open must not wait for an import.
"""

from __future__ import annotations

import asyncio
import copy
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from audit.events import Event
from audit.log import AuditLog
from connectors.contract import Credential
from gateway import notify
from gateway.access.directory import agreement_of
from gateway.access.import_plan import Held, Planner, Step
from gateway.errors import ConflictError, NotFoundError
from gateway.model import new_id
from gateway.store.engine import Scope, Store
from gateway.store.portal_tables import ANY_KEY
from gateway.store.tables import agreements, approvers, contacts, customers, sites, systems
from gateway.vault import Vault

TOGETHER: Final = 2_000
"""Rows of one customer in one transaction. A customer with more is done in several, each whole."""
_EVENTS: Final = 250
_TRIES: Final = 5
_WRITTEN = {"add": "added", "change": "changed"}
_ORDER: Final = (customers, sites, agreements, systems, contacts, approvers)


@dataclass(frozen=True, slots=True)
class Given:
    """A row as it comes to be imported: cells by column (columns.py), and a phone system's credential if it has one."""

    kind: str
    cells: Mapping[str, str]
    credential: Mapping[str, str | None] | None = None


class Importer:
    """Plans and writes rows. What it writes, and the events with it, is what Directory writes one at a time."""

    def __init__(self, store: Store, audit: AuditLog, vault: Vault, company_domains: tuple[str, ...]) -> None:
        self._store, self._audit, self._vault, self._company = store, audit, vault, company_domains

    async def take(self, actor: str, customer: str, rows: Sequence[Given], plan: bool) -> list[tuple[str, str]]:
        """(result, words) of each row of one customer, by name: add, change, same, refused.

        With `plan` nothing is written; without it what is not refused is, in one transaction, and the results are
        added and changed. ConflictError when others keep changing the same customer.
        """
        customer_id, name = await self._customer(customer)
        emails = {email for row in rows if (email := row.cells.get("email", ""))}
        for _ in range(_TRIES):
            async with self._store.look(customer_id) as scope:
                held = await self._held(scope, name, emails)
            seen = copy.deepcopy(held)
            steps = self._steps(held, actor, rows)
            if held.region is None:
                steps = await self._nearest(customer, steps)
            results = [(step.result, step.words) for step in steps]
            if plan or not any(step.events for step in steps):
                return results
            events = [event for step in steps for event in step.events]
            await asyncio.to_thread(self._make_keys, events)
            if await self._write(seen, emails, steps, events):
                return [(_WRITTEN.get(result, result), words) for result, words in results]
        raise ConflictError(f"{customer} is being changed by somebody else", next_step="Import the file again.")

    async def _customer(self, name: str) -> tuple[str, str]:
        """(id, name) of the customer of that name, whatever its case; a new id where there is none."""
        async with self._store.look_at_everyone() as scope:
            query = select(customers.c.id, customers.c.name)
            row = (await scope.execute(query.where(customers.c.name == name))).first()
            if row is None:
                everyone = await scope.execute(query)
                row = next((r for r in everyone if r.name.casefold() == name.casefold()), None)
        return (new_id("cus"), name) if row is None else (str(row.id), str(row.name))

    async def _nearest(self, name: str, steps: list[Step]) -> list[Step]:
        """Say which customer may have been meant."""
        async with self._store.look_at_everyone() as scope:
            names = list((await scope.execute(select(customers.c.name))).scalars())
        near = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {near[0]}?" if near else "; add it first, with a row of kind customer"
        for step in steps:
            step.words += hint
        return steps

    async def _held(self, scope: Scope, name: str, emails: set[str]) -> Held:
        """What there is, of people only those who are asked about: a customer may have very many."""
        held = Held(scope.customer_id, name)
        query = select(customers.c.region).where(customers.c.id == scope.customer_id)
        held.region = (await scope.execute(query)).scalar_one_or_none()
        if held.region is None:
            return held
        for table, key, into in (
            (sites, "name", held.sites), (systems, "name", held.systems), (contacts, "email", held.contacts),
            (approvers, "email", held.approvers),
        ):  # fmt: skip
            here = table.c.customer_id == scope.customer_id
            if "removed_ms" in table.c:
                here &= table.c.removed_ms.is_(None)
            if key == "email":
                lower = func.lower(table.c.email).in_([email.lower() for email in emails])
                here &= lower | table.c.email.in_(emails)
            for row in await scope.execute(select(table).where(here)):
                into[row._mapping[key].casefold()] = dict(row._mapping)
        held.agreement = await agreement_of(scope)
        held.had_keys = (await scope.execute(ANY_KEY, {"of_customer": scope.customer_id})).first() is not None
        return held

    def _steps(self, held: Held, actor: str, rows: Sequence[Given]) -> list[Step]:
        planner = Planner(held, actor, self._vault, self._company, self._audit.clock.now())
        return [planner.step(row.kind, row.cells, row.credential) for row in rows]

    def _make_keys(self, events: Sequence[Event]) -> None:
        """In a thread, before the transaction: each new key is a file and an fsync."""
        for log, key in {(event.log, item.key_id) for event in events for item in event.personal}:
            self._audit.keys.get_or_create(log, key)

    async def _write(self, seen: Held, emails: set[str], steps: Sequence[Step], events: Sequence[Event]) -> bool:
        """Write it all, or nothing: False when what the plan was made from has changed meanwhile."""
        try:
            async with self._store.scope(seen.customer_id) as scope:
                if await self._held(scope, seen.name, emails) != seen:
                    return False
                for table in _ORDER:
                    new = [values for step in steps for t, values in step.inserts if t is table]
                    if new:
                        await scope.execute(insert(table), new)
                for name, email in ((v["name"], v["email"]) for s in steps for t, v in s.inserts if t is approvers):
                    await notify.approver_added(scope, name, email, self._audit.clock.now())
                for step in steps:
                    for table, row_id, values in step.updates:
                        here = (table.c.customer_id == seen.customer_id) & (table.c.id == row_id)
                        await scope.execute(update(table).where(here).values(**values))
                for start in range(0, len(events), _EVENTS):
                    await self._audit.append_many(scope.connection, events[start : start + _EVENTS])
        except IntegrityError:
            # Somebody added the same thing between the look and the write: the next look sees it.
            return False
        return True

    async def give_credential(self, actor: str, customer_id: str, system_id: str, credential: Credential) -> None:
        """Seal a phone system's credential, its first or a new one in the place of the old. NotFoundError."""
        sealed = self._vault.seal_credential(customer_id, system_id, credential)
        async with self._store.scope(customer_id) as scope:
            here = (systems.c.customer_id == customer_id) & (systems.c.id == system_id)
            changed = await scope.execute(
                update(systems).where(here, systems.c.removed_ms.is_(None)).values(credential=sealed)
            )
            if not changed.rowcount:
                raise NotFoundError("there is no such phone system", next_step="`frameroom system list` shows them.")
            event = Event("system.changed", customer_id, actor, system=system_id, data={"what": ["credential"]})
            await self._audit.append(scope.connection, event)
