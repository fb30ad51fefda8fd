"""Whom a request of the law is about: one person of whom Frameroom holds something, and what names them.

A subject is a user of a phone system (`sub_…`), a contact (`con_…`), an approver (`apr_…`), an engineer (`eng_…`) or
one of the maintainer's staff (`stf_…`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, func, or_, select

from audit.events import OPERATOR_LOG
from audit.log import AuditLog, Erased, Row, parse_entry
from audit.sealing import SealingError
from audit.tables import entries, known_by, payloads
from gateway.errors import AmbiguousError, NotFoundError
from gateway.notify.outbox import country_of
from gateway.numbers import as_begun
from gateway.store.engine import Scope, Store
from gateway.store.tables import approvers, contacts, directory, engineers, staff, systems
from gateway.vault import Vault

_PAGE: Final = 500
_A_PERSONS: Final = ("subject:", "engineer:", "staff:")
_OF_COMPANY: Final = ("engineer", "staff")
_ANOTHERS: Final = "(another person's)"
PEOPLE: Final[Mapping[str, Table]] = {"con": contacts, "apr": approvers}


@dataclass(frozen=True, slots=True)
class Subject:
    """One person. `log` is whose log tells of them; `names` and `addresses` are how they are known there."""

    id: str
    log: str
    kind: str
    names: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    systems: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """For people: a name, else the id."""
        return min(self.names, default=self.id)


class Subjects:
    """Finds them. Only reads."""

    def __init__(self, store: Store, audit: AuditLog, vault: Vault) -> None:
        self._store, self._audit, self._vault = store, audit, vault

    async def find(self, given: str, customer: str | None, system: str | None = None) -> Subject:
        """By id, name, address, number or login. NotFoundError; AmbiguousError when several are known so."""
        found = await self._of_company(given) if customer is None and system is None else []
        if customer is not None:
            async with self._store.look(customer) as scope:
                found = await self._people(scope, given)
                found += await self._users(scope, given, system)
        if not found:
            raise NotFoundError(
                f"nobody is known here as {given}",
                next_step="Give an id, a name, an address, or with --system an extension or number. Engineers and "
                "staff are looked for without --customer, everybody else with it.",
            )
        if len(found) > 1:
            told = tuple(f"{one.id}  {one.kind}  {one.label}" for one in found)
            raise AmbiguousError(f"several are known as {given}:", told, next_step="Give the id.")
        return found[0]

    async def _of_company(self, given: str) -> list[Subject]:
        """The maintainer's own: engineers, and staff by their login."""
        async with self._store.look(OPERATOR_LOG) as scope:
            rows = (await scope.execute(select(engineers))).all()
            mine = (await scope.execute(select(staff).where(or_(staff.c.id == given, staff.c.login == given)))).all()
        return [
            Subject(row.id, OPERATOR_LOG, "engineer", frozenset({row.name}), frozenset({row.email}))
            for row in rows
            if given == row.id or _same(given, (row.login, row.name, row.email))
        ] + [Subject(row.id, OPERATOR_LOG, "staff", frozenset({row.login} - {None})) for row in mine]

    async def _people(self, scope: Scope, given: str) -> list[Subject]:
        found = []
        for kind, table in (("contact", contacts), ("approver", approvers)):
            for row in await scope.execute(select(table).where(table.c.customer_id == scope.customer_id)):
                if given == row.id or _same(given, (row.name, row.email, row.phone, getattr(row, "mobile", ""))):
                    named = await self._named_before(scope, row.id)
                    names = {row.name, *named[0]} - {""}
                    addresses = {row.email, *named[1]} - {""}
                    found.append(Subject(row.id, scope.customer_id, kind, frozenset(names), frozenset(addresses)))
        return found

    async def _named_before(self, scope: Scope, subject: str) -> tuple[set[str], set[str]]:
        """Names and addresses that the log knows a contact or approver by."""
        names: set[str] = set()
        addresses: set[str] = set()
        async for row in self.events(scope, frozenset({f"subject:{subject}"})):
            told = await self.opened(scope, row)
            names |= {value for key, value in told.items() if key in {"name", "by"} and type(value) is str}
            addresses |= {value for key, value in told.items() if key == "email" and type(value) is str}
        return names, addresses

    async def _users(self, scope: Scope, given: str, system: str | None) -> list[Subject]:
        ids = {given} if given.startswith("sub_") else await self._users_by_word(scope, given, system)
        return [one for subject in sorted(ids) if (one := await self.user(scope, subject)) is not None]

    async def _users_by_word(self, scope: Scope, given: str, system: str | None) -> set[str]:
        known = select(systems.c.id).where(systems.c.customer_id == scope.customer_id)
        places = [system] if system is not None else list((await scope.execute(known)).scalars())
        keyed = {self._vault.subject(scope.customer_id, place, given) for place in places}
        here = (directory.c.customer_id == scope.customer_id) & directory.c.subject.in_(keyed)
        ids = set((await scope.execute(select(directory.c.subject).where(here))).scalars())
        # Logs have numbers in E.164, and whoever asks has read them as the customer writes them.
        number = as_begun(given, await country_of(scope))
        words = {self._audit.keys.keyed(scope.customer_id, "word", one) for one in (given, number) if one}
        called = (known_by.c.log_id == scope.customer_id) & known_by.c.word.in_(words)
        named = set((await scope.execute(select(known_by.c.subject).where(called))).scalars())
        if named and system is not None:
            there = (entries.c.log_id == scope.customer_id) & entries.c.subject.in_(named)
            seen = select(entries.c.subject).where(there, entries.c.system_id == system).distinct()
            named = set((await scope.execute(seen)).scalars())
        return ids | named

    async def user(self, scope: Scope, subject: str) -> Subject | None:
        """A phone system's user by id, with every name and address that the log still tells; None for nobody."""
        names: set[str] = set()
        addresses: set[str] = set()
        places: set[str] = set()
        async for row, told in self._opened(scope, entries.c.subject == subject):
            places |= {row.body["system"]} if "system" in row.body else set()
            for side in ("before", "after"):
                value = told.get(side)
                if isinstance(value, dict):
                    names |= {str(value["name"])} if value.get("name") else set()
                    addresses |= {str(value["email"])} if value.get("email") else set()
            # A password that went to an approver names the approver's address: theirs, and no matter of this person's.
            if type(told.get("address")) is str and row.body.get("data", {}).get("to") == "user":
                addresses.add(told["address"])
        here = (directory.c.customer_id == scope.customer_id) & (directory.c.subject == subject)
        held = list((await scope.execute(select(directory.c.system_id).where(here))).scalars())
        if not places and not held:
            return None
        return Subject(
            subject, scope.customer_id, "user", frozenset(names), frozenset(addresses), frozenset(places | set(held))
        )

    async def keys(self, scope: Scope, subject: Subject) -> frozenset[str]:
        """Every key under which something of this person is sealed, as it stands in `payloads`.

        The person's own; those of their names and addresses; and for a user those of the words that engineers typed
        for them, unless the same words meant somebody else too.
        """
        alias = self._audit.keys.alias
        bare = {f"{subject.kind if subject.kind in _OF_COMPANY else 'subject'}:{subject.id}"}
        bare |= {alias(subject.log, "address", address) for address in subject.addresses}
        bare |= {alias(subject.log, "name", name) for name in subject.names if subject.kind != "user"}
        if subject.kind == "user":
            bare |= await self._typed(scope, subject)
        mine = or_(*(payloads.c.key_id.in_({k, *(f"{k}~{n}" for n in range(2, 10))}) for k in bare))
        query = select(payloads.c.key_id).where(payloads.c.log_id == subject.log, mine).distinct()
        return frozenset((await scope.execute(query)).scalars())

    async def _typed(self, scope: Scope, subject: Subject) -> set[str]:
        log = subject.log
        acts = select(entries.c.operation_id).where(
            entries.c.log_id == log, entries.c.subject == subject.id, entries.c.operation_id.is_not(None)
        )
        words = select(entries.c.subject).where(
            entries.c.log_id == log, entries.c.operation_id.in_(acts), entries.c.subject.is_not(None)
        )
        typed = set((await scope.execute(words.distinct())).scalars()) - {subject.id}
        for place in subject.systems:
            typed |= {self._vault.subject(log, place, word) for word in subject.names | subject.addresses}
        return {f"subject:{one}" for one in typed if not await self._shared(scope, log, one, subject.id)}

    @staticmethod
    async def _shared(scope: Scope, log: str, typed: str, subject: str) -> bool:
        """True when an operation that was asked for with these words turned out to be about somebody else."""
        asked = select(entries.c.operation_id).where(entries.c.log_id == log, entries.c.subject == typed)
        others = (
            select(func.count())
            .select_from(entries)
            .where(
                entries.c.log_id == log, entries.c.operation_id.in_(asked), entries.c.subject.is_not(None),
                entries.c.subject.not_in({typed, subject}),
            )
        )  # fmt: skip
        return bool((await scope.execute(others)).scalar_one())

    async def events(self, scope: Scope, keys: frozenset[str]) -> AsyncIterator[Row]:
        """Every entry of which something is sealed under one of these keys."""
        mine = select(payloads.c.event_id).where(payloads.c.log_id == scope.customer_id, payloads.c.key_id.in_(keys))
        async for row in self._entries(scope, entries.c.event_id.in_(mine)):
            yield row

    async def about(self, scope: Scope, subject: str) -> AsyncIterator[Row]:
        """Every entry that names this subject's id."""
        async for row in self._entries(scope, entries.c.subject == subject):
            yield row

    async def looks(
        self, scope: Scope, visits: Sequence[str], subject: str, kinds: Sequence[str]
    ) -> AsyncIterator[Row]:
        """Entries of these kinds about the subject, or about one of the visits."""
        for at in range(0, max(len(visits), 1), _PAGE):
            # The subject's own are asked for once, with the first visits.
            mine = entries.c.session_id.in_(visits[at : at + _PAGE])
            which = mine if at else mine | (entries.c.subject == subject)
            async for row in self._entries(scope, entries.c.kind.in_(kinds) & which):
                yield row

    async def opened(self, scope: Scope, row: Row) -> dict[str, Any]:
        """The entry's personal fields; {} when what was sealed does not hold, which `audit verify` is to say."""
        try:
            return await self._audit.personal(scope.connection, row)
        except SealingError:
            return {}

    async def own(self, scope: Scope, rows: Sequence[Row], keys: frozenset[str]) -> list[dict[str, Any]]:
        """As `opened` of each, for the person whose `keys` these are: of what is sealed as another person's only that,
        like the address of an approver who got this user's new password."""
        sealed = await self._audit.sealed_of(scope.connection, rows)
        # In a thread: keys are files, and a token may have to be asked for one.
        return await self._audit.keys.off_the_loop(lambda: [self._own(row, sealed, keys) for row in rows])

    def _own(
        self, row: Row, sealed: Mapping[tuple[str, str], Sequence[Any]], keys: frozenset[str]
    ) -> dict[str, Any]:  # fmt: skip
        found = sealed.get((row.log, str(row.body.get("id"))), ())
        others = [one for one in found if one.key_id.startswith(_A_PERSONS) and one.key_id not in keys]
        try:
            told, theirs = self._audit.open(row, found)[0], self._audit.open(row, others)[0]
        except (SealingError, KeyError, TypeError, ValueError, AttributeError):
            return {}
        return {name: value if isinstance(theirs[name], Erased) else _ANOTHERS for name, value in told.items()}

    async def _opened(self, scope: Scope, which: Any) -> AsyncIterator[tuple[Row, dict[str, Any]]]:
        async for rows in self._pages(scope, which):
            clear = await self._audit.personal_of_many(scope.connection, rows)
            for row, told in zip(rows, clear, strict=True):
                yield row, told or {}

    async def _entries(self, scope: Scope, which: Any) -> AsyncIterator[Row]:
        async for rows in self._pages(scope, which):
            for row in rows:
                yield row

    async def _pages(self, scope: Scope, which: Any) -> AsyncIterator[list[Row]]:
        after = 0
        while True:
            query = select(entries).where(entries.c.log_id == scope.customer_id, entries.c.seq > after, which)
            rows = (await scope.execute(query.order_by(entries.c.seq).limit(_PAGE))).all()
            yield [Row(r.log_id, r.seq, r.idx, r.entry, parse_entry(r.entry), r.leaf_hash) for r in rows]
            if len(rows) < _PAGE:
                return
            after = rows[-1].seq


def _same(given: str, among: Any) -> bool:
    return given.strip().casefold() in {str(one).casefold() for one in among if one}
