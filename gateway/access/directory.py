"""Customers, their contacts and approvers, agreements and phone systems: what the operator writes down."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import bindparam, func, insert, select, update

from audit.events import Event, Personal
from audit.log import AuditLog
from connectors.contract import Credential
from gateway import notify
from gateway.access import confirming
from gateway.access.channels import forget_all
from gateway.access.contacts import Contacts, checked
from gateway.access.facts import agreement_from
from gateway.access.leaving import forget_ways_in
from gateway.access.places import Place, places_of
from gateway.access.said import BY_STAFF, said
from gateway.errors import ConflictError, InvalidError, NotFoundError, NotPermittedError
from gateway.lifecycle import AgreementState, advance
from gateway.model import Agreement, PhoneSystem, Terms, new_id, same_address
from gateway.store.engine import Scope, Store
from gateway.store.login_tables import dials
from gateway.store.portal_tables import ANY_KEY, BY_OPERATOR, BY_RECOVERY
from gateway.store.tables import agreements, approvers, customers, roster, sites, systems
from gateway.vault import Vault

_NEWEST_AGREEMENT: Final = (  # built once: whatever shows a time asks for its zone
    select(agreements)
    .where(agreements.c.customer_id == bindparam("of_customer"))
    .order_by(agreements.c.version.desc())
    .limit(1)
)


async def agreement_of(scope: Scope) -> Agreement | None:
    """The customer's newest agreement."""
    row = (await scope.execute(_NEWEST_AGREEMENT, {"of_customer": scope.customer_id})).first()
    if row is None:
        return None
    return agreement_from(row)


NAME_EACH_OTHER: Final = "This customer's approvers name each other: one of them has had a passkey."


async def _had_keys(scope: Scope) -> bool:
    return (await scope.execute(ANY_KEY, {"of_customer": scope.customer_id})).first() is not None


class Directory:
    """Writes each change with its event, in one transaction."""

    def __init__(self, store: Store, audit: AuditLog, vault: Vault, company_domains: tuple[str, ...]) -> None:
        self._store, self._audit, self._vault = store, audit, vault
        self._company = company_domains
        self.contacts = Contacts(store, audit)

    async def _log(self, scope: Scope, kind: str, actor: str, **rest: Any) -> None:
        await self._audit.append(scope.connection, Event(kind, scope.customer_id, actor, **rest))

    async def add_customer(self, actor: str, name: str, region: str = "uk") -> str:
        """A new customer's id. ConflictError when the name is taken."""
        customer_id = new_id("cus")
        async with self._store.everyone() as scope:
            taken = await scope.execute(select(customers.c.id).where(customers.c.name == name))
            if taken.first() is not None:
                raise ConflictError(f"there is a customer {name} already")
        async with self._store.scope(customer_id) as scope:
            now = self._audit.clock.now()
            await scope.execute(insert(customers).values(id=customer_id, name=name, region=region, added_ms=now))
            personal = (Personal("name", name, f"customer:{customer_id}"),)
            await self._log(scope, "customer.added", actor, data={"region": region}, personal=personal)
        return customer_id

    async def customer_list(self) -> list[dict[str, str]]:
        """Every customer by name."""
        async with self._store.look_at_everyone() as scope:
            found = await scope.execute(select(customers).order_by(customers.c.name))
            return [{"id": r.id, "name": r.name, "region": r.region} for r in found]

    async def customer_id(self, name_or_id: str) -> str:
        """Find a customer by id or name. NotFoundError."""
        async with self._store.look_at_everyone() as scope:
            query = select(customers.c.id).where((customers.c.id == name_or_id) | (customers.c.name == name_or_id))
            found = (await scope.execute(query)).scalar_one_or_none()
        if found is None:
            raise NotFoundError(
                f"no customer is called {name_or_id}", next_step="`frameroom customer list` shows them."
            )
        return str(found)

    async def add_contact(self, actor: str, customer_id: str, values: dict[str, Any]) -> str:
        """A person who is told of visits (contacts.Contacts.add)."""
        return await self.contacts.add(actor, customer_id, values)

    async def remove_approver(self, actor: str, customer_id: str, approver_id: str) -> None:
        """From now on this person's yes counts for nothing; what they approved before stands. Everybody is told."""
        async with self._store.scope(customer_id) as scope:
            here = (approvers.c.customer_id == customer_id) & (approvers.c.id == approver_id)
            here &= approvers.c.removed_ms.is_(None)
            row = (await scope.execute(select(approvers).where(here).with_for_update())).first()
            if row is None:
                raise NotFoundError("there is no such approver", next_step="`frameroom approver list` shows them.")
            await scope.execute(update(approvers).where(here).values(removed_ms=self._audit.clock.now()))
            await forget_all(scope, self._audit, actor, approver_id)
            await forget_ways_in(scope, approver_id)
            await self._log(scope, "approver.removed", actor, data={"approver": approver_id})
            await notify.approver_removed(scope, row.name, row.email, self._audit.clock.now())

    def check_approver(self, name: str, email: str) -> None:
        """InvalidError for a person who cannot be an approver: the company's own addresses never can."""
        checked(name, email)
        if email.rpartition("@")[2].lower() in self._company:
            raise InvalidError("an address of the maintenance company cannot approve for a customer")

    async def add_approver(
        self, actor: str, customer_id: str, name: str, email: str, phone: str, by: str = BY_OPERATOR
    ) -> str:
        """A person whose yes counts, named `by` another approver (an id), who vouches for them, or by staff.

        InvalidError (check_approver); NotPermittedError by BY_OPERATOR once the customer has had a passkey;
        ConflictError for an address that an approver has already.
        """
        self.check_approver(name, email)
        approver_id = new_id("apr")
        async with self._store.scope(customer_id) as scope:
            if by == BY_OPERATOR and await _had_keys(scope):
                raise NotPermittedError(NAME_EACH_OTHER, next_step="Ask one of them to open the portal, under People.")
            mine = (approvers.c.customer_id == customer_id) & approvers.c.removed_ms.is_(None)
            held = (await scope.execute(select(approvers.c.email).where(mine))).scalars()
            if any(same_address(email, other) for other in held):
                raise ConflictError(f"{email} is an approver of theirs already.")
            namer = None if by in {BY_OPERATOR, BY_RECOVERY} else by
            await scope.execute(
                insert(approvers).values(
                    customer_id=customer_id, id=approver_id, name=name, email=email, phone=phone,
                    added_ms=self._audit.clock.now(), named_by=namer, confirmed_by=namer,
                )
            )  # fmt: skip
            key = f"subject:{approver_id}"
            given = (("name", name), ("email", email), ("phone", phone))
            personal = tuple(Personal(field, value, key) for field, value in given)
            await self._log(scope, "approver.added", actor, data={"approver": approver_id}, personal=personal)
            await notify.approver_added(scope, name, email, self._audit.clock.now())
        return approver_id

    async def confirm_approver(
        self, actor: str, customer_id: str, approver_id: str, by_id: str, recorded_by: str, words: str
    ) -> None:
        """One approver vouched for another by telephone (confirming.confirm_approver)."""
        async with self._store.scope(customer_id) as scope:
            await confirming.confirm_approver(scope, self._audit, actor, approver_id, by_id, recorded_by, words)

    async def confirm_address(
        self, actor: str, system: PhoneSystem, user: str, email: str, by_id: str, recorded_by: str, words: str
    ) -> None:
        """An approver vouched for a user's address by telephone (confirming.confirm_address)."""
        async with self._store.scope(system.customer_id) as scope:
            await confirming.confirm_address(
                scope, self._audit, self._vault, actor, system, user, email, by_id, recorded_by, words
            )

    async def set_agreement(self, actor: str, customer_id: str, terms: Terms) -> int:
        """A new version, a draft that permits nothing until it is confirmed; its number."""
        async with self._store.scope(customer_id) as scope:
            query = select(func.max(agreements.c.version)).where(agreements.c.customer_id == customer_id)
            version = ((await scope.execute(query)).scalar() or 0) + 1
            text = terms.model_dump_json()
            await scope.execute(
                insert(agreements).values(
                    customer_id=customer_id, id=new_id("agr"), version=version, state=AgreementState.DRAFT, terms=text
                )
            )
            data = {
                "version": version,
                "digest": self._vault.digest("terms", text),
                "operations": sorted(terms.operations),
                "consent_by_phone": terms.consent_by_phone,
                "approvals_needed": terms.approvals_needed,
                "standing": sorted(terms.standing),
                "max_minutes": terms.max_minutes,
            }
            await self._log(scope, "agreement.set", actor, data=data)
        return version

    async def confirm_agreement(self, actor: str, customer_id: str, by: str, how: str) -> None:
        """Record that the customer confirmed the newest version: by whom, and how it came to us.

        NotPermittedError once the customer has had a passkey: then they sign it themselves (agreeing.py).
        """
        async with self._store.scope(customer_id) as scope:
            if await _had_keys(scope):
                raise NotPermittedError(
                    "This customer signs agreements with their own key.",
                    next_step="Ask an approver of theirs to open the portal, under Agreement.",
                )
            await self.confirm(scope, actor, BY_STAFF, *said(self._audit, scope, by, how))

    async def confirm(self, scope: Scope, actor: str, how: str, *by: Personal) -> None:
        """The newest version is confirmed, in the caller's transaction."""
        agreement = await agreement_of(scope)
        if agreement is None:
            raise NotFoundError("there is no agreement to confirm", next_step="`frameroom agreement set` first.")
        state = advance(agreement.state, AgreementState.CONFIRMED)
        here = (agreements.c.customer_id == scope.customer_id) & (agreements.c.version == agreement.version)
        values = {"state": state, "confirmed_ms": self._audit.clock.now()}
        await scope.execute(update(agreements).where(here).values(**values))
        data = {"version": agreement.version, "how": how}
        await self._log(scope, "agreement.confirmed", actor, data=data, personal=by)
        await self._found_approvers(scope, agreement.version)

    @staticmethod
    async def _found_approvers(scope: Scope, version: int) -> None:
        """Whoever stood as an approver when the customer first confirmed an agreement was confirmed along with it."""
        query = select(agreements.c.id, agreements.c.version, agreements.c.state).where(
            agreements.c.customer_id == scope.customer_id
        )
        rows = (await scope.execute(query)).all()
        if any(row.version != version and row.state != AgreementState.DRAFT for row in rows):
            return
        agreement_id = next(row.id for row in rows if row.version == version)
        here = (approvers.c.customer_id == scope.customer_id) & approvers.c.removed_ms.is_(None)
        await scope.execute(update(approvers).where(here).values(confirmed_by=agreement_id))

    async def withdraw_agreement(self, actor: str, customer_id: str, by: str, how: str) -> bool:
        """Record that the customer took the newest version back: it permits nothing any more. False: was so before."""
        async with self._store.scope(customer_id) as scope:
            agreement = await agreement_of(scope)
            if agreement is None:
                raise NotFoundError("there is no agreement to withdraw")
            if agreement.state is AgreementState.WITHDRAWN:
                return False
            state = advance(agreement.state, AgreementState.WITHDRAWN)
            here = (agreements.c.customer_id == customer_id) & (agreements.c.version == agreement.version)
            await scope.execute(update(agreements).where(here).values(state=state))
            data = {"version": agreement.version, "how": BY_STAFF}
            personal = said(self._audit, scope, by, how)
            await self._log(scope, "agreement.withdrawn", actor, data=data, personal=personal)
        return True

    async def remove_system(self, actor: str, customer_id: str, system_id: str) -> bool:
        """Take a phone system out of service and destroy its credential; False when that was done before.

        Its row stays, for the history. Policy refuses every operation from then on.
        """
        async with self._store.scope(customer_id) as scope:
            here = (systems.c.customer_id == customer_id) & (systems.c.id == system_id) & systems.c.removed_ms.is_(None)
            values = {"removed_ms": self._audit.clock.now(), "credential": b""}
            removed = await scope.execute(update(systems).where(here).values(**values))
            if not removed.rowcount:
                return False
            await self._log(scope, "system.removed", actor, system=system_id)
        return True

    async def name_engineer(
        self, actor: str, customer_id: str, engineer_id: str, vetoed: bool = False, by: str = BY_OPERATOR
    ) -> None:
        """Put an engineer on the customer's list, or strike them off it; `by` an approver of theirs (an id), or staff.

        NotPermittedError for staff where the customer's own veto stands.
        """
        async with self._store.scope(customer_id) as scope:
            here = (roster.c.customer_id == customer_id) & (roster.c.engineer_id == engineer_id)
            held = (await scope.execute(select(roster).where(here).with_for_update())).first()
            if by == BY_OPERATOR and held is not None and held.vetoed_by is not None:
                raise NotPermittedError(
                    "The customer struck this engineer off their list themselves.",
                    next_step="Only they can take that back, in the portal under Access.",
                )
            await scope.execute(roster.delete().where(here))
            veto = by if vetoed and by != BY_OPERATOR else None
            await scope.execute(
                insert(roster).values(customer_id=customer_id, engineer_id=engineer_id, vetoed=vetoed, vetoed_by=veto)
            )
            data = {"engineer": engineer_id, "state": "vetoed" if vetoed else "named"}
            await self._log(scope, "roster.changed", actor, data=data)
            if by == BY_OPERATOR and not vetoed:
                await notify.engineer_named(scope, engineer_id, self._audit.clock.now())

    async def add_system(
        self,
        actor: str,
        customer_id: str,
        values: dict[str, Any],
        credential: Credential | None,
        secrecy: list[str],
        dial: str | None = None,
    ) -> str:
        """A phone system: name, connector, host, port, pin, settings (JSON), asset, ddi_range, and the name of its
        site, which is added when the customer has none of that name (town, postcode); its credential sealed, or
        none. `dial`: the id of that with which it was tried."""
        system_id = new_id("sys")
        plain = dict(values)
        site = {key: plain.pop(key, "") for key in ("site", "town", "postcode")}
        sealed = b"" if credential is None else self._vault.seal_credential(customer_id, system_id, credential)
        async with self._store.scope(customer_id) as scope:
            same = (systems.c.customer_id == customer_id) & (systems.c.name == values["name"])
            serving = select(systems.c.id).where(same, systems.c.removed_ms.is_(None))
            if (await scope.execute(serving)).first() is not None:
                raise ConflictError(f"this customer has a phone system {values['name']} already")
            site_id = await self.site(scope, site["site"], site["town"], site["postcode"])
            plain = {"asset": "", "ddi_range": ""} | plain
            await scope.execute(
                insert(systems).values(
                    customer_id=customer_id, id=system_id, credential=sealed, site_id=site_id, **plain
                )
            )  # fmt: skip
            if dial is not None:
                tried_with = (dials.c.customer_id == customer_id) & (dials.c.id == dial)
                await scope.execute(update(dials).where(tried_with).values(system_id=system_id, place=None))
            key = f"customer:{customer_id}"
            await self._log(
                scope, "system.added", actor, system=system_id,
                data={
                    "connector": values["connector"], "secrecy": secrecy,
                    "pin": self._vault.digest("pin", values["pin"]),
                },
                personal=(Personal("name", values["name"], key), Personal("host", values["host"], key)),
            )  # fmt: skip
        return system_id

    @staticmethod
    async def site(scope: Scope, name: str, town: str = "", postcode: str = "") -> str | None:
        """The id of the customer's site of that name, added or brought up to date; None for no name."""
        if not name:
            return None
        here = (sites.c.customer_id == scope.customer_id) & (sites.c.name == name)
        row = (await scope.execute(select(sites).where(here))).first()
        given = {key: value for key, value in (("town", town), ("postcode", postcode)) if value}
        if row is None:
            site_id = new_id("sit")
            values = {"town": "", "postcode": ""} | given
            await scope.execute(insert(sites).values(customer_id=scope.customer_id, id=site_id, name=name, **values))
            return site_id
        if any(getattr(row, key) != value for key, value in given.items()):
            await scope.execute(update(sites).where(here).values(**given))
        return str(row.id)

    async def places_for(
        self, engineer_id: str, words: str = "", *, only: Collection[str] | None = None, recent: bool = False
    ) -> list[Place]:
        """Phone systems of every customer whose list names the engineer (places.places_of)."""
        async with self._store.look_at_everyone() as scope:
            return await places_of(scope, engineer_id, words, only=only, recent=recent)

    async def systems_for(self, engineer_id: str, words: str = "") -> list[tuple[str, PhoneSystem]]:
        """The same as (customer's name, phone system)."""
        return [(place.customer, place.system) for place in await self.places_for(engineer_id, words)]
