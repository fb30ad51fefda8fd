"""Reading a phone system's people so that their customer can look at the addresses: kept sealed, for a day at most."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import delete, func, insert, select, update

from audit import address_book
from audit.events import Event
from audit.log import AuditLog
from connectors.contract import Person
from gateway.access.baseline import Baseline, Standing
from gateway.access.places import system_of
from gateway.errors import ConflictError, NotFoundError, UnavailableError
from gateway.model import DAY, PhoneSystem, new_id
from gateway.store.address_tables import reading_rows, readings
from gateway.store.engine import Scope, Store
from gateway.store.tables import systems
from gateway.vault import Vault

PAGE: Final = 50
_KEPT_MS: Final = DAY
_CHUNK: Final = 500
_MOST: Final = 50_000
TO_CONFIRM: Final = (Standing.NEW.value, Standing.CHANGED.value, Standing.WRONG.value)
"""What a row is found to be when there is something to confirm of it."""
NO_ADDRESS: Final = "none"


class Reader(Protocol):
    """Reads a phone system (people_reader.py)."""

    def pages(self, system: PhoneSystem) -> AsyncIterator[tuple[Person, ...]]:
        """Everybody, page by page. UnavailableError."""


@dataclass(frozen=True, slots=True)
class Line:
    """One person as they were read. `found`: a Standing's value, or NO_ADDRESS."""

    id: str
    subject: str
    name: str
    extension: str
    email: str
    salt: str
    found: str
    left_out: bool

    def matches(self, words: str) -> bool:
        """True when each word is part of name, extension or address."""
        said = f"{self.name} {self.extension} {self.email}".casefold()
        return all(word in said for word in words.casefold().split())

    @property
    def leaf(self) -> bytes:
        """What is signed of it."""
        return address_book.leaf(self.subject, self.email, is_right=not self.left_out, salt=self.salt)


class Readings:
    """One reading of a phone system at a time; the next one replaces it."""

    def __init__(self, store: Store, audit: AuditLog, vault: Vault, reader: Reader) -> None:
        self._store, self._audit, self._vault, self._reader = store, audit, vault, reader
        self._baseline = Baseline(audit)
        self._busy: set[str] = set()

    async def system(self, scope: Scope, system_id: str) -> PhoneSystem:
        """A phone system in service. NotFoundError."""
        here = (systems.c.customer_id == scope.customer_id) & (systems.c.id == system_id)
        row = (await scope.execute(select(systems).where(here, systems.c.removed_ms.is_(None)))).first()
        if row is None:
            raise NotFoundError("There is no such phone system.")
        return system_of(row)

    async def read(self, customer_id: str, approver_id: str, system_id: str) -> int:
        """Read everybody, for this approver to look at; how many. UnavailableError, ConflictError (it goes on)."""
        async with self._store.scope(customer_id) as scope:
            system = await self.system(scope, system_id)
            await self._log(scope, "addresses.asked", approver_id, system_id)
        if system_id in self._busy:
            raise ConflictError("It is being read already.", next_step="Wait a moment, and load the page again.")
        self._busy.add(system_id)
        try:
            people: list[Person] = []
            async for page in self._reader.pages(system):
                people += page
                if len(people) > _MOST:
                    raise UnavailableError(f"It has more than {_MOST:,} people, more than can be shown here.")
            await self._keep(customer_id, approver_id, system_id, people)
        finally:
            self._busy.discard(system_id)
        return len(people)

    async def _keep(self, customer_id: str, approver_id: str, system_id: str, people: Sequence[Person]) -> None:
        now, reading = self._audit.clock.now(), new_id("rea")
        async with self._store.scope(customer_id) as scope:
            newest = await self._baseline.latest(scope, system_id)
            await self.drop(scope, readings.c.system_id == system_id)
            await scope.execute(
                insert(readings).values(
                    customer_id=customer_id, id=reading, system_id=system_id, approver_id=approver_id,
                    people=len(people), at_ms=now, until_ms=now + _KEPT_MS,
                )
            )  # fmt: skip
            ordered = sorted(people, key=lambda one: (len(one.extension), one.extension, one.id))
            rows = [self._row(customer_id, system_id, reading, at, one, newest) for at, one in enumerate(ordered)]
            for start in range(0, len(rows), _CHUNK):
                await scope.execute(insert(reading_rows), rows[start : start + _CHUNK])
            count = sum(row["found"] in TO_CONFIRM for row in rows)
            await self._log(
                scope, "addresses.read", approver_id, system_id, reading=reading, count=len(rows), new=count
            )

    def _row(
        self, customer_id: str, system_id: str, reading: str, at: int, person: Person, newest: Mapping[str, Any]
    ) -> dict[str, Any]:
        row_id, subject = new_id("rrw"), self._vault.subject(customer_id, system_id, person.id)
        found = _found(newest.get(subject), subject, person.email or "")
        told = {
            "name": person.name, "extension": person.extension, "email": person.email or "",
            "salt": secrets.token_hex(16),
        }  # fmt: skip
        return {
            "customer_id": customer_id, "id": row_id, "reading_id": reading, "position": at, "subject": subject,
            "sealed": self._vault.seal(f"reading:{customer_id}:{row_id}", json.dumps(told).encode()), "found": found,
            "left_out": found == Standing.WRONG,
        }  # fmt: skip

    def line(self, row: Any) -> Line:
        """Open a row."""
        told = json.loads(self._vault.open(f"reading:{row.customer_id}:{row.id}", row.sealed))
        return Line(
            row.id, row.subject, told["name"], told["extension"], told["email"], told["salt"], row.found, row.left_out
        )

    async def current(self, scope: Scope, system_id: str, *, lock: bool = False) -> Any:
        """The reading that can be looked at, or None."""
        here = (readings.c.customer_id == scope.customer_id) & (readings.c.system_id == system_id)
        query = select(readings).where(here, readings.c.until_ms > self._audit.clock.now())
        newest = query.order_by(readings.c.at_ms.desc(), readings.c.id).limit(1)
        return (await scope.execute(newest.with_for_update() if lock else newest)).first()

    async def lines(self, scope: Scope, reading: str, *, only_new: bool) -> AsyncIterator[Line]:
        """Everybody of a reading in order, some at a time. `only_new`: of whom there is something to confirm."""
        mine = (reading_rows.c.customer_id == scope.customer_id) & (reading_rows.c.reading_id == reading)
        if only_new:
            mine &= reading_rows.c.found.in_(TO_CONFIRM)
        after = -1
        while True:
            query = select(reading_rows).where(mine, reading_rows.c.position > after)
            rows = (await scope.execute(query.order_by(reading_rows.c.position).limit(_CHUNK))).all()
            for row in rows:
                yield self.line(row)
            if len(rows) < _CHUNK:
                return
            after = rows[-1].position

    async def page(
        self, scope: Scope, reading: str, words: str, number: int, *, only_new: bool
    ) -> tuple[list[Line], int]:
        """One page (from 1 on) of those who match, and how many match."""
        if words.strip():
            found = [line async for line in self.lines(scope, reading, only_new=only_new) if line.matches(words)]
            return found[(number - 1) * PAGE : number * PAGE], len(found)
        mine = (reading_rows.c.customer_id == scope.customer_id) & (reading_rows.c.reading_id == reading)
        if only_new:
            mine &= reading_rows.c.found.in_(TO_CONFIRM)
        count = (await scope.execute(select(func.count()).select_from(reading_rows).where(mine))).scalar_one()
        query = select(reading_rows).where(mine).order_by(reading_rows.c.position)
        rows = await scope.execute(query.offset((number - 1) * PAGE).limit(PAGE))
        return [self.line(row) for row in rows], int(count)

    async def counts(self, scope: Scope, reading: str) -> dict[str, int]:
        """How many there are of each `found`, and "left out" of those there is something to confirm of."""
        mine = (reading_rows.c.customer_id == scope.customer_id) & (reading_rows.c.reading_id == reading)
        query = select(reading_rows.c.found, reading_rows.c.left_out, func.count()).where(mine)
        told: dict[str, int] = {}
        for found, left_out, count in await scope.execute(
            query.group_by(reading_rows.c.found, reading_rows.c.left_out)
        ):
            told[found] = told.get(found, 0) + count
            if left_out and found in TO_CONFIRM:
                told["left out"] = told.get("left out", 0) + count
        return told

    async def mark(self, customer_id: str, row_id: str, *, wrong: bool) -> str:
        """An approver says that an address is wrong, or is not; the phone system's id. NotFoundError."""
        async with self._store.scope(customer_id) as scope:
            here = (reading_rows.c.customer_id == customer_id) & (reading_rows.c.id == row_id)
            joined = (readings.c.customer_id == reading_rows.c.customer_id) & (
                readings.c.id == reading_rows.c.reading_id
            )
            query = select(readings.c.system_id).join(reading_rows, joined)
            still = (readings.c.until_ms > self._audit.clock.now()) & reading_rows.c.found.in_(TO_CONFIRM)
            system_id = (await scope.execute(query.where(here, still))).scalar_one_or_none()
            if system_id is None:
                raise NotFoundError("That is not there any more.", next_step="Read the addresses anew.")
            await scope.execute(update(reading_rows).where(here).values(left_out=wrong))
        return str(system_id)

    @staticmethod
    async def drop(scope: Scope, which: Any) -> None:
        """Take readings away, with everybody in them, in the caller's transaction."""
        mine = (readings.c.customer_id == scope.customer_id) & which
        for reading in list((await scope.execute(select(readings.c.id).where(mine))).scalars()):
            theirs = (reading_rows.c.customer_id == scope.customer_id) & (reading_rows.c.reading_id == reading)
            await scope.execute(delete(reading_rows).where(theirs))
            gone = (readings.c.customer_id == scope.customer_id) & (readings.c.id == reading)
            await scope.execute(delete(readings).where(gone))

    async def tidy(self) -> None:
        """What nobody confirmed within a day goes."""
        over = readings.c.until_ms <= self._audit.clock.now()
        async with self._store.look_at_everyone() as scope:
            customers = set((await scope.execute(select(readings.c.customer_id).where(over))).scalars())
        for customer_id in customers:
            async with self._store.scope(customer_id) as scope:
                await self.drop(scope, over)

    async def _log(self, scope: Scope, kind: str, actor: str, system_id: str, **data: Any) -> None:
        event = Event(kind, scope.customer_id, actor, system=system_id, data={"approver": actor, **data})
        await self._audit.append(scope.connection, event)


def _found(held: Any, subject: str, email: str) -> str:
    if not email:
        return NO_ADDRESS
    if held is None:
        return Standing.NEW.value
    made = address_book.leaf(subject, email, is_right=held.is_right, salt=held.salt)
    if made.hex() != held.leaf:
        return Standing.CHANGED.value
    return (Standing.SAME if held.is_right else Standing.WRONG).value
