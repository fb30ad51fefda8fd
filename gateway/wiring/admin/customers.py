"""`frameroom customer …`, `contact …`, `approver …`, `agreement …`."""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Table, func, select

from audit.sequencer import origin
from gateway import notify
from gateway.access.directory import agreement_of
from gateway.errors import AmbiguousError, InvalidError, NotFoundError
from gateway.model import Terms
from gateway.store.tables import approvers, contacts, customers, engineers, grants, roster, systems
from gateway.wiring.admin.base import SHORTEST_PREFIX, Row, invalid, when
from gateway.wiring.admin.ends import EndingCommands
from gateway.wiring.duties import passkeys_of, providers_of

_CONTACT: Final = ("id", "name", "position", "email", "phone", "mobile", "notices", "standing", "marketing_out")
_APPROVER: Final = ("id", "name", "email", "phone")
_EXAMPLES: Final = {
    "operations": '["find", "view", "alter", "reset-voicemail"]',
    "mail_domains": '["customer.example"]',
    "zone": '"Europe/London"',
    "hours": '{"weekdays": [1, 2, 3, 4, 5], "start_minute": 480, "end_minute": 1080}',
    "max_minutes": "480",
    "ticket_required": "true",
    "consent_by_phone": "false",
    "only_approver_may_receive": "false",
    "secret_lengths": '{"voicemail": 8}',
    "secret_classes": '{"sip": ["lower", "digit"]}',
    "approvals_needed": "1",
    "standing": '["find", "view"]',
}


class CustomerCommands(EndingCommands):
    """Customers, their people, and what they agreed to."""

    async def do_customer_add(self, actor: str, name: str, region: str = "uk") -> Row:
        """Add one."""
        if not name.strip():
            raise InvalidError("a customer has a name")
        return {"id": await self._parts.directory.add_customer(actor, name, region), "name": name}

    async def do_customer_list(self, actor: str) -> list[Row]:
        """All, with how many phone systems are in service."""
        counted = select(systems.c.customer_id, func.count().label("n")).where(systems.c.removed_ms.is_(None))
        async with self._parts.store.look_at_everyone() as scope:
            of = {row.customer_id: row.n for row in await scope.execute(counted.group_by(systems.c.customer_id))}
        return [{**row, "systems": of.get(row["id"], 0)} for row in await self._parts.directory.customer_list()]

    async def do_customer_show(self, actor: str, customer: str) -> Row:
        """One: their people, phone systems, agreement, engineers, and the log that they can check."""
        customer_id = await self._customer(customer)
        named = (
            select(engineers.c.login, engineers.c.name, roster.c.vetoed)
            .join(roster, roster.c.engineer_id == engineers.c.id)
            .where(roster.c.customer_id == customer_id)
            .order_by(engineers.c.login)
        )
        has = select(systems).where(systems.c.customer_id == customer_id, systems.c.removed_ms.is_(None))
        provider = await providers_of(self._parts).of(customer_id)
        open_now = (grants.c.customer_id == customer_id) & (grants.c.state == "open")
        async with self._parts.store.look(customer_id) as scope:
            row = (await scope.execute(select(customers).where(customers.c.id == customer_id))).one()
            agreement = await agreement_of(scope)
            people = (await scope.execute(named)).all()
            places = (await scope.execute(has.order_by(systems.c.name))).all()
            permitted = (await scope.execute(select(func.count()).select_from(grants).where(open_now))).scalar_one()
        return {
            "id": row.id, "name": row.name, "region": row.region, "added": when(row.added_ms),
            "agreement": f"version {agreement.version}, {agreement.state.value}" if agreement else "none yet",
            "open permissions": permitted, "log": origin(self._parts.settings.deployment.name, row.id),
            "log key": self._parts.signer.vkey,
            "sign-in provider": f"{provider.name}, {provider.issuer}" if provider else "none of their own",
            "engineers": [{"login": e.login, "name": e.name, "struck off": bool(e.vetoed)} for e in people],
            "systems": [{"id": s.id, "name": s.name, "connector": s.connector} for s in places],
            "contacts": await self._people(customer_id, contacts, _CONTACT),
            "approvers": await self._people(customer_id, approvers, _APPROVER),
        }  # fmt: skip

    async def do_customer_engineer(self, actor: str, customer: str, login: str, veto: bool) -> Row:
        """Name an engineer on the customer's list, or strike them off."""
        customer_id = await self._customer(customer)
        await self._parts.directory.name_engineer(actor, customer_id, (await self._engineer(login)).id, veto)
        if self._app is not None:
            self._app.visits.look_now()
        return {"customer": customer, "engineer": login, "vetoed": veto}

    # --- their people ---

    async def _people(self, customer_id: str, table: Table, columns: tuple[str, ...]) -> list[Row]:
        here = (table.c.customer_id == customer_id) & table.c.removed_ms.is_(None)
        async with self._parts.store.look(customer_id) as scope:
            found = await scope.execute(select(table).where(here).order_by(table.c.name, table.c.id))
            return [{column: getattr(row, column) for column in columns} for row in found]

    async def _person(self, customer_id: str, table: Table, what: str, given: str) -> str:
        """The id of the one person meant by an id, a name or an address."""
        people = await self._people(customer_id, table, _APPROVER)
        found = [
            p for p in people if given == p["id"] or given.casefold() in (p["name"].casefold(), p["email"].lower())
        ] or [p for p in people if len(given) >= SHORTEST_PREFIX and p["id"].startswith(given)]
        if not found:
            raise NotFoundError(f"no {what} is called {given}", next_step=f"`frameroom {what} list` shows them.")
        if len(found) > 1:
            told = tuple(f"{p['id']}  {p['name']}  {p['email']}" for p in found)
            raise AmbiguousError(f"several {what}s are called {given}:", told, next_step="Give the id.")
        return str(found[0]["id"])

    async def do_contact_add(self, actor: str, customer: str, **values: Any) -> Row:
        """Add one."""
        customer_id = await self._customer(customer)
        return {"id": await self._parts.directory.add_contact(actor, customer_id, values), "name": values["name"]}

    async def do_contact_list(self, actor: str, customer: str) -> list[Row]:
        """A customer's."""
        return await self._people(await self._customer(customer), contacts, _CONTACT)

    async def do_contact_set(self, actor: str, customer: str, contact: str, values: dict[str, Any]) -> Row:
        """Change what is given."""
        customer_id = await self._customer(customer)
        stray = set(values) - set(_CONTACT[1:])
        if stray or not values:
            raise InvalidError("there is nothing to change", next_step="Give --name, --email, --notices and so on.")
        contact_id = await self._person(customer_id, contacts, "contact", contact)
        await self._parts.directory.contacts.change(actor, customer_id, contact_id, values)
        return next(p for p in await self._people(customer_id, contacts, _CONTACT) if p["id"] == contact_id)

    async def do_contact_remove(self, actor: str, customer: str, contact: str) -> Row:
        """Tell one of nothing any more."""
        customer_id = await self._customer(customer)
        contact_id = await self._person(customer_id, contacts, "contact", contact)
        await self._parts.directory.contacts.remove(actor, customer_id, contact_id)
        return {"id": contact_id, "state": "removed"}

    async def do_approver_add(self, actor: str, customer: str, name: str, email: str, phone: str) -> Row:
        """Add one."""
        customer_id = await self._customer(customer)
        return {
            "id": await self._parts.directory.add_approver(actor, customer_id, name, email, phone),
            "name": name,
        }

    async def do_approver_invite(self, actor: str, customer: str, approver: str) -> Row:
        """Mail one the link to make a passkey; only the first of a customer's, the others are invited by approvers."""
        customer_id = await self._customer(customer)
        approver_id = await self._person(customer_id, approvers, "approver", approver)
        to = await passkeys_of(self._parts).invite(actor, customer_id, approver_id)
        return {"id": approver_id, "invited": to, "holds for hours": self._parts.settings.portal.invitation_hours}

    async def do_approver_list(self, actor: str, customer: str) -> list[Row]:
        """A customer's."""
        return await self._people(await self._customer(customer), approvers, _APPROVER)

    async def do_approver_remove(self, actor: str, customer: str, approver: str) -> Row:
        """From now on this person's yes counts for nothing."""
        customer_id = await self._customer(customer)
        approver_id = await self._person(customer_id, approvers, "approver", approver)
        await self._parts.directory.remove_approver(actor, customer_id, approver_id)
        left = len(await self._people(customer_id, approvers, _APPROVER))
        return {"id": approver_id, "state": "removed", "approvers left": left}

    async def do_approver_confirm(
        self, actor: str, customer: str, approver: str, by: str, recorded_by: str, words: str
    ) -> Row:
        """One approver vouched for another by telephone: new passwords may be sent to that one from now on."""
        customer_id = await self._customer(customer)
        approver_id = await self._person(customer_id, approvers, "approver", approver)
        by_id = await self._person(customer_id, approvers, "approver", by)
        await self._parts.directory.confirm_approver(actor, customer_id, approver_id, by_id, recorded_by, words)
        return {"id": approver_id, "state": f"confirmed by telephone, recorded by {recorded_by}"}

    async def do_system_confirm_address(
        self, actor: str, system: str, user: str, email: str, by: str, recorded_by: str, words: str,
        customer: str | None = None,
    ) -> Row:  # fmt: skip
        """An approver vouched for a user's address by telephone."""
        found = await self._system(system, customer)
        by_id = await self._person(found.customer_id, approvers, "approver", by)
        await self._parts.directory.confirm_address(actor, found, user, email, by_id, recorded_by, words)
        return {"system": found.name, "user": user, "state": f"confirmed by telephone, recorded by {recorded_by}"}

    # --- what they agreed to ---

    async def do_agreement_set(self, actor: str, customer: str, terms: Any) -> Row:
        """A new version, closed until confirmed."""
        customer_id = await self._customer(customer)
        try:
            checked = Terms.model_validate(terms)
        except ValidationError as error:
            raise invalid(error, Terms, "the agreement", _EXAMPLES) from error
        version = await self._parts.directory.set_agreement(actor, customer_id, checked)
        return {"customer": customer, "version": version, "state": "draft: it permits nothing until it is confirmed"}

    async def do_agreement_show(self, actor: str, customer: str) -> Row:
        """The newest version; its operations in plain words too."""
        async with self._parts.store.look(await self._customer(customer)) as scope:
            agreement = await agreement_of(scope)
        if agreement is None:
            raise NotFoundError(f"{customer} has no agreement yet", next_step="`frameroom agreement set` makes one.")
        terms = agreement.terms.model_dump(mode="json")
        terms["operations"] = sorted(terms["operations"])
        return {
            "customer": customer, "version": agreement.version, "state": agreement.state.value, "terms": terms,
            "in words": [notify.WORDS[operation] for operation in terms["operations"]],
        }  # fmt: skip

    async def do_agreement_confirm(self, actor: str, customer: str, by: str, how: str) -> Row:
        """The customer confirmed it."""
        await self._parts.directory.confirm_agreement(actor, await self._customer(customer), by, how)
        return {"customer": customer, "state": "confirmed", "by": by}

    async def do_agreement_withdraw(self, actor: str, customer: str, by: str, how: str) -> Row:
        """The customer took it back: every permission under it ends. Done again, it finishes the rest."""
        customer_id = await self._customer(customer)
        withdrawn = await self._parts.directory.withdraw_agreement(actor, customer_id, by, how)
        here = grants.c.customer_id == customer_id
        ended = await self._end_permissions(actor, here, "the customer withdrew the agreement", "with the agreement")
        state = "withdrawn" if withdrawn else "withdrawn before"
        return {"customer": customer, "state": state, "by": by, "permissions ended": ended}
