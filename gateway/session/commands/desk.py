"""What every command needs: the phone system meant, the visit to act in, the one person meant, the customer's clock."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, Final

from connectors.contract import MOST_NAMES, FindsByName, Operation, Person
from connectors.errors import InvalidValue, NotFound, NotSupported
from gateway.access.directory import Directory, agreement_of
from gateway.access.permitted import places_and_grants
from gateway.access.places import Place
from gateway.errors import AmbiguousError, NotFoundError, NotPermittedError, UsageError
from gateway.model import Grant, PhoneSystem, Terms
from gateway.numbers import as_begun
from gateway.session.commands.caller import Caller
from gateway.session.commands.text import shown
from gateway.session.session import Visit, Visits
from gateway.session.visit import SeveralPeople

FIND_LIMIT: Final = 20
# An extension may be part of many numbers: its owner must be among those that are looked at.
_LOOK_AT: Final = 100
_DIGITS: Final = re.compile(r"[+0-9 ()./-]+")


class Known:
    """People who were found together, by whatever each can be meant by."""

    def __init__(self, people: Collection[Person]) -> None:
        self.ids = {person.id for person in people}
        self._by: dict[str, dict[str, Person]] = {}
        for person in people:
            for word in (person.id, person.extension, *(person.ddis or ()), (person.email or "").casefold()):
                self._by.setdefault(word, {})[person.id] = person

    def __bool__(self) -> bool:
        return bool(self.ids)

    def meant(self, meanings: Collection[str]) -> list[Person]:
        """Those who are meant by any of these digits."""
        return list({i: one for wanted in meanings if wanted for i, one in self._by.get(wanted, {}).items()}.values())


class Desk:
    """Shared by all commands of a process."""

    def __init__(self, visits: Visits, places: Directory) -> None:
        self.visits, self.places = visits, places
        self.permission = visits.permission
        self.store = visits.store

    # --- which phone system ---

    async def place(self, caller: Caller, words: str) -> Place:
        """The one phone system meant. NotFoundError, or AmbiguousError with those that match."""
        _said(words)
        return await self._one(caller, words, await self.places.places_for(caller.identity.engineer_id, words))

    async def _one(self, caller: Caller, words: str, found: list[Place]) -> Place:
        exact = [p for p in found if words.casefold() in (p.system.name.casefold(), p.system.id)]
        found = exact or found or await self._by_path(caller, words)
        if not found:
            raise NotFoundError("There is no such phone system for you.", next_step="`systems` lists them.")
        if len(found) > 1:
            matches = tuple(f"{p.customer}/{p.system.name}" for p in found[:FIND_LIMIT])
            raise AmbiguousError("Several phone systems match:", matches, next_step="Write one as it stands here.")
        return found[0]

    async def _by_path(self, caller: Caller, words: str) -> list[Place]:
        """CUSTOMER/SYSTEM, as the prompt shows it."""
        customer, slash, name = words.partition("/")
        if not slash:
            return []
        wanted = (customer.strip().casefold(), name.strip().casefold())
        known = await self.places.places_for(caller.identity.engineer_id)
        return [p for p in known if (p.customer.casefold(), p.system.name.casefold()) == wanted]

    async def here(self, caller: Caller) -> Place:
        """The phone system that a command without a visit is about: the chosen one, or the only one there is."""
        only = None if caller.system is None else {caller.system.id}
        found = await self.places.places_for(caller.identity.engineer_id, only=only)
        if caller.system is None and len(found) > 1:
            grants = await self.permission.open_grants(caller.identity.engineer_id)
            permitted = {grant.system_id for grant in grants}
            found = [p for p in found if p.system.id in permitted]
        if len(found) != 1:
            raise UsageError("Say which phone system: `use SYSTEM`, or --system NAME.")
        return found[0]

    async def enter(self, caller: Caller, place: Place) -> Grant | None:
        """Choose a phone system; the permission that the prompt counts down, when there is one."""
        return self._entered(caller, place, await self.permission.open_grants(caller.identity.engineer_id))

    @staticmethod
    def _entered(caller: Caller, place: Place, grants: Collection[Grant]) -> Grant | None:
        mine = [grant for grant in grants if grant.system_id == place.system.id]
        caller.enter(place.customer, place.system, mine[0].until_ms if mine else None)
        return mine[0] if mine else None

    async def choose(self, caller: Caller, words: str) -> tuple[Place, Grant | None]:
        """`place` and `enter` in one look at the database; the permissions seen are left for this line's visit."""
        _said(words)
        engineer_id = caller.identity.engineer_id
        async with self.store.look_at_everyone() as scope:
            found, grants = await places_and_grants(scope, engineer_id, words)
        place = await self._one(caller, words, found)
        caller.grants = grants
        return place, self._entered(caller, place, grants)

    # --- the visit ---

    async def visit(self, caller: Caller, *wanted: Operation) -> Visit:
        """The visit to act in, opened if it is not, under a grant that names the first of `wanted` that any names.

        NotPermittedError, in policy's own words, when there is none.
        """
        grant, system = await self._grant(caller, wanted)
        visit = await self.visits.open(caller.identity, caller.customer, system, grant)
        caller.until_ms = visit.grant.until_ms
        caller.visits = {v for v in caller.visits if v.ended is None} | {visit}
        if caller.channel not in visit.channels:
            visit.channels.add(caller.channel)
            visit.recording.resize(caller.channel.columns, caller.channel.rows)
        caller.channel.tap = visit.recording.output
        caller.channel.on_resize = visit.recording.resize
        return visit

    async def _grant(self, caller: Caller, wanted: Sequence[Operation]) -> tuple[Grant, PhoneSystem]:
        # What `--system` saw a moment ago will do where it names the operation: whether it holds is asked again, with
        # the grant's row locked, before the visit opens and before anything is done in it.
        seen, caller.grants = caller.grants, ()
        if caller.system is not None and (naming := _naming(seen, caller.system, wanted)):
            return naming[0], caller.system
        grants = await self.permission.open_grants(caller.identity.engineer_id)
        if caller.system is None:
            await self._only_one(caller, grants)
        if caller.system is None:
            raise NotPermittedError("No customer has given you permission.", next_step="Ask with `request`.")
        system = caller.system
        naming = _naming(grants, system, wanted) or [g for g in grants if g.system_id == system.id]
        if not naming:
            decision = await self.permission.explain(caller.identity.engineer_id, system, wanted[0], None)
            raise NotPermittedError(decision.words, next_step="`grants` shows what you may do now.")
        return naming[0], system

    async def _only_one(self, caller: Caller, grants: Collection[Grant]) -> None:
        ids = {grant.system_id for grant in grants}
        mine = await self.places.places_for(caller.identity.engineer_id, only=ids) if ids else []
        if len(mine) != 1:
            raise NotPermittedError(
                "No customer has given you permission." if not mine else "You have permission for several systems.",
                next_step="Ask with `request`." if not mine else "Say which: `use SYSTEM`, or --system NAME.",
            )
        caller.enter(mine[0].customer, mine[0].system, None)

    # --- the person ---

    async def named(self, visit: Visit, words: Sequence[str]) -> tuple[Person, ...]:
        """Everybody whom one of these can mean by its digits, asked for at once; nobody where the phone system cannot
        be asked so. Called inside an operation."""
        connector = await self.visits.connector(visit)
        names = [
            name for one in words if _DIGITS.fullmatch(one) and one.strip() for name in _meanings(one, visit.country)
        ]
        if not names or not isinstance(connector, FindsByName):
            return ()
        found: dict[str, Person] = {}
        with suppress(NotSupported, InvalidValue):
            for at in range(0, len(names), MOST_NAMES):
                found |= {one.id: one for one in await connector.named(names[at : at + MOST_NAMES])}
            return tuple(found.values())
        return ()

    async def person(self, visit: Visit, words: str, known: Known | None = None) -> Person:
        """The one person meant by an extension, a number however typed, an email or part of a name. `known`: what
        `named` told of it.

        Called inside an operation. NotFoundError, or SeveralPeople with those that match.
        """
        if not words.strip():
            raise NotFoundError("Nobody was named.", next_step="`find` looks for part of a name.")
        connector = await self.visits.connector(visit)
        meanings, digits = _meanings(words, visit.country), _DIGITS.fullmatch(words) is not None
        if digits:
            meant = (known or Known(await self.named(visit, (words,)))).meant(meanings)
            if len(meant) == 1:
                return meant[0]
        found: tuple[Person, ...] = ()
        exact: list[Person] = []
        for wanted in meanings:
            found = (await connector.find(wanted, _LOOK_AT if digits else FIND_LIMIT)).people
            exact += [p for p in found if _is(p, wanted) and p not in exact]
        if not exact and digits:
            exact = [p for wanted in meanings for p in await self._by_key(connector, wanted)]
        # Digits mean exactly one extension or number: part of somebody's number must never pick who is removed.
        found = tuple(exact) or (() if digits else found)
        if not found:
            raise NotFoundError(f"Nobody matches {shown(words)[:60]}.", next_step="`find` looks for part of a name.")
        if len(found) > 1:
            raise SeveralPeople(found)
        return found[0]

    @staticmethod
    async def _by_key(connector: Any, wanted: str) -> list[Person]:
        try:
            person: Person = await connector.view(wanted)
        except (NotFound, InvalidValue):
            return []
        return [person] if _is(person, wanted) else []

    # --- the customer's clock ---

    async def terms(self, customer_id: str) -> Terms | None:
        """What the customer's newest agreement says."""
        async with self.store.look(customer_id) as scope:
            agreement = await agreement_of(scope)
        return agreement.terms if agreement is not None else None

    async def zone(self, customer_id: str) -> str:
        """The zone that the customer's times are shown in."""
        terms = await self.terms(customer_id)
        return terms.zone if terms is not None else Terms(operations=frozenset()).zone

    async def zones(self, customer_ids: Collection[str]) -> dict[str, str]:
        """The same for several customers."""
        return {customer_id: await self.zone(customer_id) for customer_id in set(customer_ids)}


def _said(words: str) -> None:
    if not words.strip():
        raise UsageError("Say which phone system.", next_step="`systems` lists them.")


def _naming(grants: Collection[Grant], system: PhoneSystem, wanted: Sequence[Operation]) -> list[Grant]:
    """The grants for a phone system that name any of the operations, by the first that they name."""
    here = [grant for grant in grants if grant.system_id == system.id]
    return [grant for operation in wanted for grant in here if operation in grant.operations]


def _meanings(words: str, country: str) -> tuple[str, ...]:
    """What may be meant: a telephone number, and the same digits as they stand, for an extension can be as long."""
    number = as_begun(words, country)
    if number is None or number == words:
        return (words,)
    return (number,) if re.search("[+ ()/]", words) else (words, number)


def _is(person: Person, wanted: str) -> bool:
    if not wanted:  # is nobody, above all not whoever has no address
        return False
    return (
        wanted in (person.id, person.extension, *(person.ddis or ()))
        or (person.email or "").casefold() == wanted.casefold()
    )
