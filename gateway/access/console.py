"""Commands of a phone system's prompt that its customer switched on, besides those that are on anyway.

More than before takes the customer's own signatures, as many as a visit takes; less takes nobody's. Nothing else than
an entry of the family's reviewed catalogue can be switched on (connectors/console).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from audit import canonical
from audit.events import Event
from audit.log import AuditLog
from connectors.console import Entry, extras
from connectors.contract import Operation
from connectors.registry import families
from gateway import notify
from gateway.access.directory import agreement_of
from gateway.access.persons import persons
from gateway.access.proposals import RECOVER, pending
from gateway.access.said import BY_STAFF, said
from gateway.access.signing import Keys, Words, sign, signers
from gateway.errors import InvalidError, NotFoundError, NotPermittedError, StateError
from gateway.lifecycle import AgreementState
from gateway.model import Agreement, new_id, same_address
from gateway.store.engine import Scope, Store
from gateway.store.tables import approvers, console_lists, systems


@dataclass(frozen=True, slots=True)
class Listed:
    """What is switched on; version 0 where nothing ever was."""

    version: int
    entries: frozenset[str]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A longer list that some have signed, and not yet enough."""

    entries: tuple[str, ...]
    signers: tuple[str, ...]


async def switched_on(scope: Scope, system_id: str) -> Listed:
    """As it stands; until the commit nobody changes it."""
    here = (systems.c.customer_id == scope.customer_id) & (systems.c.id == system_id)
    await scope.execute(select(systems.c.id).where(here).with_for_update(read=True))
    return await listed(scope, system_id)


async def listed(scope: Scope, system_id: str) -> Listed:
    """As it stands when it is looked at."""
    mine = (console_lists.c.customer_id == scope.customer_id) & (console_lists.c.system_id == system_id)
    query = select(console_lists.c.version, console_lists.c.entries).where(mine, console_lists.c.on_ms.is_not(None))
    row = (await scope.execute(query.order_by(console_lists.c.version.desc()).limit(1))).first()
    return Listed(0, frozenset()) if row is None else Listed(row.version, frozenset(row.entries.split()))


def offered(connector: str) -> Mapping[str, Entry]:
    """What may be switched on at a phone system of this family, by name; nothing where it has no console, or where the
    family is not installed here."""
    family = families().get(connector)
    operations = family.capabilities().operations if family is not None else frozenset[Operation]()
    mine = {name: entry for name, entry in extras(connector).items() if entry.kind.operation in operations}
    return dict(sorted(mine.items()))


class ConsoleLists:
    """Writes each change with its event and its mail to every approver, in one transaction."""

    def __init__(self, store: Store, audit: AuditLog, keys: Keys) -> None:
        self._store, self._audit, self._keys = store, audit, keys

    async def system(self, scope: Scope, system_id: str, *, lock: bool = False) -> Any:
        """A phone system of this customer's in service. NotFoundError."""
        here = (systems.c.customer_id == scope.customer_id) & (systems.c.id == system_id)
        query = select(systems.c.id, systems.c.name, systems.c.connector, systems.c.settings)
        query = query.where(here, systems.c.removed_ms.is_(None))
        row = (await scope.execute(query.with_for_update() if lock else query)).first()
        if row is None:
            raise NotFoundError("There is no such phone system.", next_step="Go back to the list of them.")
        return row

    async def standing(self, scope: Scope, system_id: str) -> tuple[Listed, list[Waiting]]:
        """What is on, and what waits for more signatures."""
        system, now_on = await self.system(scope, system_id), await listed(scope, system_id)
        mine = (console_lists.c.customer_id == scope.customer_id) & (console_lists.c.system_id == system_id)
        query = select(console_lists.c.entries).where(
            mine, console_lists.c.on_ms.is_(None), console_lists.c.version == now_on.version + 1
        )
        waiting = []
        for row in await scope.execute(query.order_by(console_lists.c.entries)):
            entries = row.entries.split()
            signed = await signers(scope, self._words(scope, system, now_on.version + 1, entries))
            waiting.append(Waiting(tuple(entries), tuple(signed)))
        return now_on, waiting

    async def needed(self, scope: Scope) -> int:
        """How many persons have to sign. NotPermittedError where no agreement with a console is confirmed."""
        return (await self._agreement(scope)).terms.approvals_needed

    @staticmethod
    async def _agreement(scope: Scope) -> Agreement:
        agreement = await agreement_of(scope)
        if agreement is None or agreement.state is not AgreementState.CONFIRMED:
            raise NotPermittedError("The agreement is not confirmed.", next_step="Sign it first, under Agreement.")
        if not agreement.terms.operations & {Operation.CONSOLE_LOOK, Operation.CONSOLE_ACT}:
            raise NotPermittedError(
                "Your agreement does not let anybody type at a phone system's prompt.",
                next_step="Ask your telephone maintainer for another agreement, if you want that.",
            )
        return agreement

    @staticmethod
    def _words(scope: Scope, system: Any, version: int, entries: Collection[str]) -> Words:
        text = canonical.encode(
            {
                "v": 1, "customer": scope.customer_id, "system": system.id, "system_name": system.name,
                "list": version, "entries": sorted(entries),
            }
        ).decode()  # fmt: skip
        return Words(f"{system.id}.{version}", text, f"customer:{scope.customer_id}")

    async def drawn(self, scope: Scope, system_id: str, version: int, entries: Collection[str]) -> Words:
        """What is to be signed for just these to be on. StateError when the list changed since `version` was shown;
        InvalidError for what is not in the catalogue."""
        system = await self.system(scope, system_id)
        await self._agreement(scope)
        await self._fits(scope, system, version, entries)
        return self._words(scope, system, version + 1, entries)

    @staticmethod
    async def _fits(scope: Scope, system: Any, version: int, entries: Collection[str]) -> Listed:
        before = await listed(scope, system.id)
        if before.version != version:
            raise StateError("The list was changed meanwhile.", next_step="Load the page again.")
        if stray := sorted(set(entries) - set(offered(system.connector))):
            raise InvalidError(
                f"{stray[0][:60]} is no command that can be switched on here",
                next_step="The list shows which can (in the portal, under Console; `frameroom console list SYSTEM`).",
            )
        if set(entries) == before.entries:
            raise InvalidError("That is how the list stands already.", next_step="Choose others.")
        return before

    async def sign(
        self, customer_id: str, approver_id: str, system_id: str, version: int, entries: Collection[str], answer: Any
    ) -> bool:
        """One approver's signature; True when with it these are on. As `drawn`; NotPermittedError for a wrong key."""
        async with self._store.scope(customer_id) as scope:
            system = await self.system(scope, system_id, lock=True)
            agreement, now = await self._agreement(scope), self._audit.clock.now()
            if await pending(scope, RECOVER) is not None:
                raise NotPermittedError(
                    "No yes counts while a lost key is being recovered.", next_step="See under People."
                )
            await self._fits(scope, system, version, entries)
            words, names = self._words(scope, system, version + 1, entries), sorted(entries)
            signed = await sign(
                scope, self._audit, self._keys, approver_id, words, answer, "console.signed", {"system": system_id},
                list=version + 1, entries=names,
            )  # fmt: skip
            done = await persons(scope, signed, now) >= agreement.terms.approvals_needed
            count = f"{len(signed)} own keys" if len(signed) > 1 else "the approver's own key"
            if done:
                by = await self._name(scope, approver_id)
                await self._write(scope, approver_id, system, version + 1, names, by, f"signed with {count}")
            else:
                await self._keep(scope, system_id, version + 1, names, None)
        return done

    async def all_off(self, customer_id: str, approver_id: str, system_id: str, name: str) -> None:
        """Switch off what is on, as an approver does in the portal. InvalidError when nothing is."""
        await self._fewer(customer_id, approver_id, system_id, (), name, "in the portal")

    async def fewer_by_staff(
        self, customer_id: str, actor: str, system_id: str, off: Collection[str], by: str, how: str
    ) -> Listed:
        """Switch these off, or all where `off` is empty: at once, whoever of the customer asks. InvalidError."""
        if not by.strip() or not how.strip():
            raise InvalidError("say who of the customer asked for it, and how", next_step="Add --by and --how.")
        return await self._fewer(customer_id, actor, system_id, off, by, BY_STAFF, how)

    async def _fewer(
        self, customer_id: str, actor: str, system_id: str, off: Collection[str], by: str, how: str, typed: str = ""
    ) -> Listed:
        async with self._store.scope(customer_id) as scope:
            system = await self.system(scope, system_id, lock=True)
            before = await listed(scope, system_id)
            if stray := sorted(set(off) - before.entries):
                raise InvalidError(f"{stray[0][:60]} is not switched on here", next_step="Nothing was changed.")
            if not before.entries:
                raise InvalidError("Nothing is switched on here.", next_step="Nothing was changed.")
            left = sorted(before.entries - set(off)) if off else []
            await self._write(scope, actor, system, before.version + 1, left, by, how, typed)
        return Listed(before.version + 1, frozenset(left))

    async def more_by_staff(
        self, customer_id: str, actor: str, system_id: str, on: Collection[str], by: str, how: str
    ) -> Listed:
        """Switch these on too, as an approver asked by telephone; it is labelled so for good.

        NotPermittedError unless the agreement takes a yes by telephone, and one alone. InvalidError for what is not in
        the catalogue.
        """
        if not by.strip() or not how.strip():
            raise InvalidError("say who of the customer asked for it, and how", next_step="Add --by and --how.")
        async with self._store.scope(customer_id) as scope:
            system, agreement = await self.system(scope, system_id, lock=True), await self._agreement(scope)
            if not agreement.terms.consent_by_phone or agreement.terms.approvals_needed > 1:
                raise NotPermittedError(
                    "This customer's agreement does not let you switch a command on for it; off you always may.",
                    next_step="An approver of theirs signs it in the portal, under Console.",
                )
            name, before = await self._approver(scope, by), await listed(scope, system_id)
            names = sorted(before.entries & set(offered(system.connector)) | set(on))
            await self._fits(scope, system, before.version, names)
            label = f"by telephone, {BY_STAFF}"
            await self._write(scope, actor, system, before.version + 1, names, name, label, how)
        return Listed(before.version + 1, frozenset(names))

    @staticmethod
    async def _approver(scope: Scope, by: str) -> str:
        mine = (approvers.c.customer_id == scope.customer_id) & approvers.c.removed_ms.is_(None)
        for row in await scope.execute(select(approvers.c.name, approvers.c.email).where(mine)):
            if by == row.name or same_address(by, row.email):
                return str(row.name)
        raise NotPermittedError(
            f"{by} is no approver of this customer.", next_step="`frameroom approver list` shows them."
        )

    @staticmethod
    async def _name(scope: Scope, approver_id: str) -> str:
        here = (approvers.c.customer_id == scope.customer_id) & (approvers.c.id == approver_id)
        return str((await scope.execute(select(approvers.c.name).where(here))).scalar_one())

    @staticmethod
    async def _keep(scope: Scope, system_id: str, version: int, names: list[str], on_ms: int | None) -> None:
        mine = (console_lists.c.customer_id == scope.customer_id) & (console_lists.c.system_id == system_id)
        this = (console_lists.c.version == version) & (console_lists.c.entries == " ".join(names))
        changed = await scope.execute(update(console_lists).where(mine, this).values(on_ms=on_ms))
        if not changed.rowcount:
            await scope.execute(
                insert(console_lists).values(
                    customer_id=scope.customer_id, id=new_id("con"), system_id=system_id, version=version,
                    entries=" ".join(names), on_ms=on_ms,
                )
            )  # fmt: skip

    async def _write(
        self, scope: Scope, actor: str, system: Any, version: int, names: list[str], by: str, how: str, typed: str = ""
    ) -> None:
        now = self._audit.clock.now()
        await self._keep(scope, system.id, version, names, now)
        told = f"{how}: {typed}" if typed else how
        personal = said(self._audit, scope, by, told if typed else "")
        event = Event(
            "console.changed", scope.customer_id, actor, system=system.id,
            data={"list": version, "entries": names, "how": how}, personal=personal,
        )  # fmt: skip
        await self._audit.append(scope.connection, event)
        known = offered(system.connector)
        lines = [f"{known[name].usage()}: {known[name].shows}" if name in known else name for name in names]
        await notify.console_changed(scope, system.name, lines, by, told, now)
