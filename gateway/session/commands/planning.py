"""What a file of changes would do, row by row, before anything is written."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.contract import MOST_NAMES, Operation, Person, SecretKind
from connectors.errors import ConnectorError
from gateway.errors import AmbiguousError, FrameroomError, InvalidError, NotFoundError
from gateway.session.commands.acts import Acts, differences
from gateway.session.commands.caller import Caller
from gateway.session.commands.change_file import ChangeFile, Line
from gateway.session.commands.desk import Known
from gateway.session.commands.progress import Progress
from gateway.session.commands.text import moved, sealed_person
from gateway.session.session import Did, Visit

_SIZE: Final = 16
_SHOWN: Final = 20
# About one person: the next row may go through all the same.
_OF_ONE_PERSON: Final = frozenset(
    {"refused", "not-found", "conflict", "invalid-value", "not-supported", "outcome-unknown"}
)


@dataclass(slots=True)
class Plan:
    """What would happen. `seen` holds, by line, whom it was planned for as they were; memory stays small."""

    to_do: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    unfit: set[int] = field(default_factory=set)
    seen: dict[int, bytes] = field(default_factory=dict)


def _fingerprint(person: Person) -> bytes:
    """Stands for a person as they were."""
    return hashlib.blake2b(json.dumps(sealed_person(person)).encode(), digest_size=_SIZE).digest()


def planned_id(seen: bytes) -> str:
    """Under which id somebody can be looked at again; "" where only what was typed finds them."""
    return seen[_SIZE:].decode()


def is_as_planned(person: Person, seen: bytes) -> bool:
    """Whether somebody still is as they were seen."""
    return _fingerprint(person) == seen[:_SIZE]


def is_of_one_person(error: Exception) -> bool:
    """True for an error that says nothing about the rows that follow."""
    if isinstance(error, ConnectorError):
        return error.code in _OF_ONE_PERSON
    return isinstance(error, NotFoundError | AmbiguousError | InvalidError)


class Planner:
    """Looks everybody up, a hundred an operation."""

    def __init__(self, acts: Acts, visits: Mapping[Operation, Visit], *, phones_will_drop: bool) -> None:
        self._acts, self._desk, self._visits = acts, acts.desk, visits
        self._phones_will_drop = phones_will_drop
        self._people: dict[str, int] = {}

    async def plan(self, caller: Caller, file: ChangeFile, skip: set[int], *, show_all: bool) -> Plan:
        """The plan; shown whole on standard output, or its first rows as talk."""
        plan, progress = Plan(), Progress(caller, file.total, "looked at")
        listing, told = caller.listing(), 0
        for lines in _together(line for line in file.lines() if line.number not in skip):
            rows = await self._chunk(file, lines, plan)
            if show_all:
                listing.add(rows)
                await caller.channel.drain()
            for row in rows[: max(0, _SHOWN - told)] if not show_all else ():
                caller.say(f"  line {row['row']}: {row['user']}: {row['do']} {row['changes']}".rstrip())
            told += len(rows)
            progress.at(told)
        if show_all:
            listing.end()
        elif told > _SHOWN:
            caller.say(f"  … and {told - _SHOWN} more (--plan shows all).")
        return plan

    async def _chunk(self, file: ChangeFile, lines: list[Line], plan: Plan) -> list[dict[str, Any]]:
        """One operation: looking these people up under the permission that their change needs."""
        operation = lines[0].operation
        visit = self._visits[operation]

        known = Known(())

        async def work(_: str) -> Did:
            nonlocal known
            found = list[tuple[Line, Person | None, str]]()
            known = Known(await self._desk.named(visit, [line.user for line in lines]))
            for line in lines:
                try:
                    person = await self._desk.person(visit, line.user, known)
                    found.append((line, person, await self._objection(visit, line, person)))
                except (FrameroomError, ConnectorError) as error:
                    if not is_of_one_person(error):
                        raise
                    found.append((line, None, error.message))
            return Did(found, len(found), [person for _, person, _ in found if person is not None])

        did = await self._desk.visits.act(visit, operation, work, fields=("plan",))
        return [
            self._row(file, plan, *one, by_id=one[1] is not None and one[1].id in known.ids, country=visit.country)
            for one in did.result
        ]

    async def _objection(self, visit: Visit, line: Line, person: Person) -> str:
        earlier = self._people.setdefault(person.id, line.number)
        if earlier != line.number:
            return f"the same person as line {earlier}"
        if line.do == SecretKind.SIP.operation and not self._phones_will_drop:
            rules = await (await self._desk.visits.connector(visit)).secret_rules(person.id, SecretKind.SIP)
            if not rules.provisions_anew:
                return "telephones will drop: add --phones-will-drop when somebody is there to enter the new password"
        return ""

    @staticmethod
    def _row(
        file: ChangeFile, plan: Plan, line: Line, person: Person | None, objection: str, *, by_id: bool, country: str
    ) -> dict[str, Any]:  # fmt: skip
        changes = ""
        if person is None or objection:
            plan.problems.append(f"line {line.number}: {objection}")
            plan.unfit.add(line.number)
            changes = f"cannot be done: {objection}"
        else:
            plan.seen[line.number] = _fingerprint(person) + (person.id.encode() if by_id else b"")
            moves = differences(person, line.change(file.terms)) if line.do == "set" else {}
            same = line.do == "set" and not moves
            plan.counts["same" if same else line.do] += 1
            plan.to_do += not same
            changes = "is so already" if same else moved(moves, country) or "cannot be brought back"
        user = line.user if person is None else person.extension
        name = "" if person is None else person.name
        return {"row": line.number, "user": user, "name": name, "do": line.do, "changes": changes}


def _together(lines: Iterable[Line]) -> Iterable[list[Line]]:
    """Runs of rows that need the same permission, as many as can be asked for at once."""
    held: list[Line] = []
    for line in lines:
        if held and (held[0].operation is not line.operation or len(held) >= MOST_NAMES):
            yield held
            held = []
        held.append(line)
    if held:
        yield held
