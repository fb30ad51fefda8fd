"""Altering, removing, resetting one person: the one path that `set`, `undo`, `apply` and the rest take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.contract import UNSET, Change, Operation, Person, Removal, SecretKind
from gateway import notify
from gateway.errors import NotPermittedError
from gateway.model import Terms
from gateway.numbers import country_of
from gateway.session.commands.desk import Desk
from gateway.session.commands.text import field_of, mail_address, moved, person_name, sealed_person, telephone
from gateway.session.recipients import Recipient
from gateway.session.resets import Resets
from gateway.session.session import Did, Visit
from gateway.session.visit import Intent
from gateway.store.engine import Scope


async def _nothing(*_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Around:
    """What goes with an act: `begun` gets the operation's id in the transaction of its intent, `done` runs in that of
    its outcome. `line` gets the act's line for the customer's summary and gives what stands there of it;
    `to_approvers` tells them of a change of address or number, where they are not told of each one. `intent` is an
    alteration's where the one before it said `then` of it (Visits.act_on)."""

    begun: Callable[[Scope, str], Awaitable[None]] = _nothing
    done: Callable[[Scope], Awaitable[None]] = _nothing
    line: Callable[[str], str] = str
    to_approvers: Callable[[Scope, str], Awaitable[None]] | None = None
    intent: Intent | None = None
    then: Intent | None = None


ALONE = Around()


@dataclass(frozen=True, slots=True)
class Altered:
    """A person before and after, and the fields that moved; none when everything was so already."""

    before: Person
    after: Person
    changes: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Planned:
    """Somebody by their id; `check` raises when they are not as they were planned for."""

    id: str
    check: Callable[[Person], None]


def differences(person: Person, change: Change) -> dict[str, tuple[str | None, str | None]]:
    """What a change would move, from what to what; fields that are so already are left out."""
    wanted = {name: getattr(change, name) for name in change.fields()}
    return {n: (field_of(person, n), value) for n, value in wanted.items() if field_of(person, n) != value}


def _narrowed(person: Person, change: Change) -> Change:
    """What of a change is not so already."""
    moves = differences(person, change)
    return Change(**{name: getattr(change, name) if name in moves else UNSET for name in ("name", "email", "ddi")})


def checked(values: Mapping[str, str], terms: Terms | None) -> Change:
    """A change from what was typed; an empty email or ddi is taken away. Numbers are those of the customer's country.

    InvalidValue for what is no name, address or number; NotPermittedError for a domain the agreement does not name.
    """
    change = Change()
    if "name" in values:
        change = replace(change, name=person_name(values["name"]))
    if "email" in values:
        change = replace(change, email=_within(mail_address(values["email"]), terms) if values["email"] else None)
    if "ddi" in values:
        country = country_of(terms.zone if terms is not None else None)
        change = replace(change, ddi=telephone(values["ddi"], country) if values["ddi"] else None)
    return change


def _within(email: str, terms: Terms | None) -> str:
    domains = terms.mail_domains if terms is not None else ()
    if email.rpartition("@")[2].lower() not in domains:
        where = (
            f"addresses at {', '.join(domains)} only" if domains else "no change of addresses: it names no mail domain"
        )
        raise NotPermittedError(f"The agreement allows {where}.")
    return email


class Acts:
    """Runs acts in visits, each as one operation."""

    def __init__(self, desk: Desk, resets: Resets) -> None:
        self.desk, self.resets = desk, resets

    async def look(
        self, visit: Visit, operation: Operation, words: str, whom: Callable[[], Awaitable[Person]]
    ) -> Person:
        """The person that `whom` finds, looked up before an act: an operation of its own."""

        async def work(_: str) -> Did:
            person = await whom()
            return Did(person, 1, (person,))

        person: Person = (await self.desk.visits.act(visit, operation, work, person=words, fields=("plan",))).result
        return person

    async def alter(
        self, visit: Visit, whom: Planned | Callable[[], Awaitable[Person]], words: str, change: Change,
        around: Around = ALONE,
    ) -> Altered:  # fmt: skip
        """Write a change to the person that `whom` finds, if they still are as it found them (else Conflict)."""
        visits = self.desk.visits

        async def work(_: str) -> Did:
            before, after = await self._written(visit, whom, change)
            changes = differences(before, change)
            if not changes:
                return Did(Altered(before, before), 1, (before,), also=around.done)
            told = moved(changes, visit.country)

            async def also(scope: Scope) -> None:
                await self._tell_of_change(scope, visit, before, _narrowed(before, change), told, around)
                await around.done(scope)

            personal = (("before", sealed_person(before)), ("after", sealed_person(after)))
            line = around.line(f"{before.name}: {told}")
            return Did(Altered(before, after, changes), 1, (after,), personal, line, True, also)

        intent = around.intent or Intent(Operation.ALTER, words, change.fields(), begun=around.begun)
        did = await visits.act_on(visit, intent, work, around.then)
        altered: Altered = did.result
        return altered

    async def _written(
        self, visit: Visit, whom: Planned | Callable[[], Awaitable[Person]], change: Change
    ) -> tuple[Person, Person]:  # fmt: skip
        """The person before and after; the same where everything was so already."""
        connector = await self.desk.visits.connector(visit)
        if isinstance(whom, Planned):
            planned = whom

            def agree(seen: Person) -> Change:
                planned.check(seen)
                return _narrowed(seen, change)

            return await connector.alter_seen(planned.id, change, agree)
        before = await whom()
        to_write = _narrowed(before, change)
        return before, await connector.alter(before.id, to_write, before) if to_write.fields() else before

    async def _tell_of_change(
        self, scope: Scope, visit: Visit, before: Person, change: Change, told: str, around: Around
    ) -> None:  # fmt: skip
        """An email or number that changes is told to the old address and the approvers at once (invariant 6)."""
        if change.email is not UNSET or change.ddi is not UNSET:
            await notify.person_changed(
                scope, before, told, email_changed=change.email is not UNSET, now=self.desk.permission.now,
                to_approvers=around.to_approvers is None, zone=visit.zone,
            )  # fmt: skip
            if around.to_approvers is not None:
                await around.to_approvers(scope, f"{before.name} (extension {before.extension}): {told}")

    async def remove(self, visit: Visit, person: Person, around: Around = ALONE) -> Removal:
        """Remove a person who still is as shown (else Conflict)."""
        visits = self.desk.visits

        async def work(_: str) -> Did:
            done = await (await visits.connector(visit)).remove(person.id, person)
            line = around.line(f"{person.name} was removed")
            return Did(done, 1, (), (("before", sealed_person(person)),), line, True, around.done)

        did = await visits.act(visit, Operation.REMOVE, work, person=person.id, begun=around.begun)
        removal: Removal = did.result
        return removal

    async def reset(
        self, visit: Visit, person: Person, kind: SecretKind, to: Recipient, around: Around = ALONE
    ) -> tuple[str, ...]:
        """Reset a password that nobody here sees; what the phone system says besides."""

        async def work(operation: str) -> Did:
            did = await self.resets.run(visit, person, kind, operation, to)
            first = did.also

            async def also(scope: Scope) -> None:
                if first is not None:
                    await first(scope)
                await around.done(scope)

            return replace(did, also=also, line=around.line(did.line))

        done = await self.desk.visits.act(visit, kind.operation, work, person=person.id, begun=around.begun)
        notes: tuple[str, ...] = done.result
        return notes
