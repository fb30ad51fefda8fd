"""`frameroom channel …`, and of `approver …` and `contact …` what says who is asked and told how."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import func, select

from gateway import notify
from gateway.access.asking import How
from gateway.access.channels import Channel
from gateway.access.contacts import Contacts
from gateway.choices import EXPORTS
from gateway.errors import InvalidError, NotFoundError
from gateway.store.engine import Scope
from gateway.store.portal_tables import passkeys
from gateway.store.tables import approvers, contacts
from gateway.wiring.admin.base import SHORTEST_PREFIX, Row, when
from gateway.wiring.admin.customers import CustomerCommands

_KINDS: Final = {"approver": approvers, "contact": contacts}


def _day(at_ms: int, zone: Any) -> str:
    return notify.when(at_ms, zone).partition(",")[0]


class TellingCommands(CustomerCommands):
    """Who is asked in which turn, who stands in, who is told where."""

    @property
    def _contacts(self) -> Contacts:
        return self._parts.directory.contacts

    # --- channels ---

    async def _whom(self, customer_id: str, given: str, kind: str | None) -> tuple[str, str]:
        """(id, name) of an approver, or of a contact where that is wanted or nobody else is called so."""
        for one in (kind,) if kind else ("approver", "contact"):
            try:
                person_id = await self._person(customer_id, _KINDS[one], one, given)
            except NotFoundError:
                if kind or one == "contact":
                    raise
            else:
                rows = await self._people(customer_id, _KINDS[one], ("id", "name"))
                return person_id, next(row["name"] for row in rows if row["id"] == person_id)
        raise NotFoundError(f"nobody is called {given}")

    async def _channel(self, customer_id: str, given: str) -> Channel:
        """By its id or the beginning of it, or by its name where only one is called so."""
        there = await self._parts.channels.of(customer_id)
        found = [one for one in there if given in (one.id, one.name)] or [
            one for one in there if len(given) >= SHORTEST_PREFIX and one.id.startswith(given)
        ]
        if len(found) != 1:
            words = f"several are called {given}" if found else f"there is no channel {given}"
            raise NotFoundError(words, next_step="`frameroom channel list` shows them; give the id.")
        return found[0]

    async def do_channel_add(
        self, actor: str, customer: str, person: str, name: str, address: str, kind: str | None = None
    ) -> Row:
        """A new way to reach somebody; its address is shown to nobody after this."""
        customer_id = await self._customer(customer)
        person_id, who = await self._whom(customer_id, person, kind)
        one = await self._parts.channels.add(actor, customer_id, person_id, name, address)
        return {"id": one.id, "person": who, "name": one.name, "service": one.service}

    async def do_channel_list(self, actor: str, customer: str, person: str | None = None) -> list[Row]:
        """A customer's, or one person's: never where they lead."""
        customer_id = await self._customer(customer)
        person_id = (await self._whom(customer_id, person, None))[0] if person else None
        names = {
            row["id"]: (row["name"], kind)
            for kind, table in _KINDS.items()
            for row in await self._people(customer_id, table, ("id", "name"))
        }
        return [
            {
                "id": one.id, "person": names[one.person_id][0], "as": names[one.person_id][1], "name": one.name,
                "service": one.service, "added": when(one.added_ms),
            }
            for one in await self._parts.channels.of(customer_id, person_id)
            if one.person_id in names
        ]  # fmt: skip

    async def do_channel_test(self, actor: str, customer: str, channel: str) -> Row:
        """Send a line there now, and say whether the service took it."""
        customer_id = await self._customer(customer)
        one = await self._channel(customer_id, channel)
        await self._parts.channels.test(actor, customer_id, one.id)
        return {"id": one.id, "name": one.name, "state": f"the service took it ({one.service})"}

    async def do_channel_remove(self, actor: str, customer: str, channel: str) -> Row:
        """Nothing goes there any more."""
        customer_id = await self._customer(customer)
        one = await self._channel(customer_id, channel)
        await self._parts.channels.remove(actor, customer_id, one.id)
        return {"id": one.id, "name": one.name, "state": "removed"}

    # --- approvers ---

    async def _hows(self, scope: Scope) -> tuple[dict[str, How], dict[str, str]]:
        query = select(approvers.c.id, approvers.c.name).where(approvers.c.customer_id == scope.customer_id)
        names = {row.id: row.name for row in await scope.execute(query)}
        return await self._parts.asking.of(scope), names

    def _how(self, how: How, names: dict[str, str], zone: Any) -> Row:
        away = [
            f"{_day(one.from_ms, zone)} to {_day(one.until_ms - 1, zone)}"
            + (f", {names.get(one.deputy_id, '?')} stands in" if one.deputy_id else "")
            for one in how.away
        ]
        deputy = names.get(how.deputy_id, "") if how.deputy_id else ""
        return {"turn": how.turn, "deputy": deputy, "away": away, "told of visits": how.notices}

    async def do_approver_list(self, actor: str, customer: str) -> list[Row]:
        """A customer's, in the order in which they are asked."""
        rows = await super().do_approver_list(actor, customer)
        async with self._parts.store.look(await self._customer(customer)) as scope:
            hows, names = await self._hows(scope)
            zone = await notify.zone_of(scope)
        told = [row | self._how(hows[row["id"]], names, zone) for row in rows if row["id"] in hows]
        return sorted(told, key=lambda row: int(row["turn"]))

    async def do_approver_show(self, actor: str, customer: str, approver: str) -> Row:
        """One: how they are reached, their turn, deputy and absences."""
        customer_id = await self._customer(customer)
        approver_id = await self._person(customer_id, approvers, "approver", approver)
        here = (approvers.c.customer_id == customer_id) & (approvers.c.id == approver_id)
        keys = (passkeys.c.customer_id == customer_id) & (passkeys.c.approver_id == approver_id)
        async with self._parts.store.look(customer_id) as scope:
            row = (await scope.execute(select(approvers).where(here))).one()
            held = select(func.count()).select_from(passkeys).where(keys, passkeys.c.removed_ms.is_(None))
            count = (await scope.execute(held)).scalar_one()
            hows, names = await self._hows(scope)
            zone = await notify.zone_of(scope)
        beside = await self._parts.channels.of(customer_id, approver_id)
        return {
            "id": row.id, "name": row.name, "email": row.email, "phone": row.phone, "added": when(row.added_ms),
            "passkeys": count, **self._how(hows[row.id], names, zone),
            "channels": [{"id": one.id, "name": one.name, "service": one.service} for one in beside],
        }  # fmt: skip

    async def do_approver_order(self, actor: str, customer: str, approver: list[str], together: bool) -> list[Row]:
        """In which turn they are asked."""
        customer_id = await self._customer(customer)
        ids = [await self._person(customer_id, approvers, "approver", one) for one in approver]
        if together and not ids:
            ids = [row["id"] for row in await self._people(customer_id, approvers, ("id",))]
        await self._parts.asking.order(actor, customer_id, ids, together)
        return await self.do_approver_list(actor, customer)

    async def do_approver_deputy(self, actor: str, customer: str, approver: str, deputy: str | None) -> Row:
        """Who stands in for one."""
        customer_id = await self._customer(customer)
        approver_id = await self._person(customer_id, approvers, "approver", approver)
        deputy_id = await self._person(customer_id, approvers, "approver", deputy) if deputy else None
        await self._parts.asking.deputy(actor, customer_id, approver_id, deputy_id)
        return await self.do_approver_show(actor, customer, approver_id)

    async def do_approver_away(
        self, actor: str, customer: str, approver: str, first: str, last: str, deputy: str | None = None
    ) -> Row:
        """Away from one day to another."""
        customer_id = await self._customer(customer)
        approver_id = await self._person(customer_id, approvers, "approver", approver)
        deputy_id = await self._person(customer_id, approvers, "approver", deputy) if deputy else None
        await self._parts.asking.away(actor, customer_id, approver_id, first, last, deputy_id)
        return await self.do_approver_show(actor, customer, approver_id)

    async def do_approver_back(self, actor: str, customer: str, approver: str) -> Row:
        """There again: every absence of theirs ends."""
        customer_id = await self._customer(customer)
        approver_id = await self._person(customer_id, approvers, "approver", approver)
        await self._parts.asking.back(actor, customer_id, approver_id)
        return await self.do_approver_show(actor, customer, approver_id)

    async def do_approver_notices(self, actor: str, customer: str, approver: str, notices: str) -> Row:
        """Of which visits one is told."""
        customer_id = await self._customer(customer)
        approver_id = await self._person(customer_id, approvers, "approver", approver)
        await self._parts.asking.notices(actor, customer_id, approver_id, notices)
        return await self.do_approver_show(actor, customer, approver_id)

    # --- contacts ---

    async def do_contact_export(
        self, actor: str, customer: str | None = None, kind: str | None = None, standing: str | None = None
    ) -> list[Row]:
        """Who may be sent notices of a kind; every customer's where none is named. Each customer's log tells of it."""
        if kind is not None and kind not in EXPORTS:
            raise InvalidError(f"{kind} is no kind of notice", next_step=f"There are {', '.join(EXPORTS)}.")
        if customer is not None:
            ids = [await self._customer(customer)]
        else:
            ids = [row["id"] for row in await self._parts.directory.customer_list()]
        found = [row for one in ids for row in await self._contacts.export(actor, one, kind, standing)]
        return [
            {
                "customer": row["customer"], "name": row["name"], "position": row["position"], "email": row["email"],
                "phone": row["phone"], "mobile": row["mobile"], "notices": row["notices"],
                "standing": row["standing"], "marketing opt-out": "yes" if row["marketing_out"] else "no",
                "opted out": when(row["said_ms"]),
            }
            for row in found
        ]  # fmt: skip
