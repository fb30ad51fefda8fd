"""Running a file of changes: each row an operation, its result shown as it comes, its state kept for a resume."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from itertools import islice, zip_longest
from typing import Any, Final

from connectors.contract import Operation, Person, SecretKind
from connectors.errors import Conflict, ConnectorError, OutcomeUnknown, Refused
from gateway.errors import FrameroomError, NotPermittedError
from gateway.session.commands.acts import Acts, Around, Planned
from gateway.session.commands.batches import UNKNOWN, Batch, Batches
from gateway.session.commands.caller import Caller
from gateway.session.commands.change_file import ChangeFile, Line
from gateway.session.commands.planning import Plan, is_as_planned, is_of_one_person, planned_id
from gateway.session.commands.progress import Progress
from gateway.session.commands.run_telling import RunTelling
from gateway.session.commands.text import moved
from gateway.session.recipients import masked
from gateway.session.session import Visit
from gateway.session.visit import Begun, Intent
from gateway.store.engine import Scope

_TOGETHER: Final = 100
"""Rows whose keys are made at once."""
_WIDTHS: Final = {"row": 6, "user": 12, "do": 15, "result": 8}


class Run:
    """One run. However it ends, it says which rows are done."""

    def __init__(
        self, acts: Acts, batches: Batches, batch: Batch, visits: Mapping[Operation, Visit], plan: Plan, *,
        go_on: bool,
    ) -> None:  # fmt: skip
        self._acts, self._desk, self._batches, self._batch = acts, acts.desk, batches, batch
        self._visits, self._plan, self._go_on = visits, plan, go_on
        self._telling = RunTelling(acts.desk, visits.values())
        self._results: Counter[str] = Counter()
        self._begins: tuple[Intent | None, Intent | None] = (None, None)
        """Of the row that goes on, and of the one after it, which may be begun already."""
        self._last = 0
        self._told = self._whole = False

    async def run(self, caller: Caller, file: ChangeFile, skip: set[int]) -> Counter[str]:
        """Every row that the plan can do and that is not done; how many came out how.

        NotPermittedError when the permission ends on the way; a connector's error when a row stops it.
        """
        listing, progress = caller.listing(_WIDTHS), Progress(caller, file.total, "done")

        def ended() -> None:
            listing.end()
            self._tell(caller)

        caller.channel.on_end = ended
        try:
            async for line, following in self._lines(file, skip):
                row = await self._one(file, line, following)
                listing.add([row])
                await caller.channel.drain()
                self._last = line.number
                self._results[row["result"]] += 1
                progress.at(sum(self._results.values()))
                if row["result"] not in {"done", "same"} and not self._go_on:
                    raise _stopped(row)
            if len(self._batch.done) + self._results["done"] + self._results["same"] == file.total:
                self._whole = True
                await self._batches.over(self._batch)
        finally:
            caller.channel.on_end = None
            ended()
            try:
                await self._tell_customer()
            finally:
                await self._abandon()
        return self._results

    async def _lines(self, file: ChangeFile, skip: set[int]) -> AsyncIterator[tuple[Line, Line | None]]:
        """The rows to be done, each with the one after it as far as that is known. Their keys are made some at a time:
        each is a file, and many are made durable together in little more than the time of one."""
        left = (line for line in file.lines() if line.number not in skip and line.number not in self._plan.unfit)
        while some := list(islice(left, _TOGETHER)):
            visits, system = self._desk.visits, self._visits[some[0].operation].system
            people = {who for line in some for who in (line.user, planned_id(self._plan.seen[line.number])) if who}
            keys = [f"subject:{visits.vault.subject(system.customer_id, system.id, who)}" for who in people]
            await visits.audit.keys_ahead(system.customer_id, keys)
            for line, following in zip_longest(some, some[1:]):
                yield line, following

    async def _abandon(self) -> None:
        """What was begun ahead, and did not come to its turn, is not done."""
        visits = self._desk.visits
        for intent in filter(None, self._begins):
            for visit in set(self._visits.values()):
                await visits.finish(visits.abandon(visit, intent))

    def _tell(self, caller: Caller) -> None:
        if self._told:
            return
        self._told = True
        counted = ", ".join(f"{number} {result}" for result, number in sorted(self._results.items())) or "none"
        on = "" if self._whole else " --resume goes on with this very file."
        caller.say(f"Rows: {counted}; the last was line {self._last}.{on}")

    async def _tell_customer(self) -> None:
        async def tell() -> None:
            with suppress(FrameroomError):  # the database is away: the visit's own mail tells it all, once it is back
                await self._telling.over(self._results)

        # Whoever hangs up now does not keep it from being told.
        await self._desk.visits.finish(tell())

    async def _one(self, file: ChangeFile, line: Line, following: Line | None) -> dict[str, Any]:
        """One row, to its result. Raises only what ends the whole run."""
        row: dict[str, Any] = {"row": line.number, "user": line.user, "do": line.do, "result": "", "about": ""}
        try:
            result, about = await self._act(file, line, following)
        except (FrameroomError, ConnectorError) as error:
            if not is_of_one_person(error):
                raise
            result = UNKNOWN if isinstance(error, OutcomeUnknown) else "refused"
            about = error.message
            await self._batches.ended(self._batch, line.number, result, error.code)
        return row | {"result": result, "about": about}

    def _alteration(self, file: ChangeFile, line: Line) -> Intent:
        return Intent(Operation.ALTER, line.user, line.change(file.terms).fields(), begun=self._begun(line))

    def _begun(self, line: Line) -> Begun:
        async def begun(scope: Scope, operation_id: str) -> None:
            await self._batches.begun(scope, self._batch, line.number, operation_id)

        return begun

    async def _act(self, file: ChangeFile, line: Line, following: Line | None) -> tuple[str, str]:
        visit = self._visits[line.operation]
        mine, then = self._begins[1], None
        if line.do == "set":
            mine = mine or self._alteration(file, line)
            if following is not None and following.do == "set":
                then = self._alteration(file, following)
        self._begins = mine, then

        async def done(scope: Scope) -> None:
            await self._batches.done(scope, self._batch, line.number)

        to_approvers = self._telling.to_approvers(visit)
        around = Around(self._begun(line), done, self._telling.line, to_approvers, mine, then)
        seen = self._plan.seen[line.number]

        def check(person: Person) -> None:
            if not is_as_planned(person, seen):
                raise Conflict("it changed since it was shown; nothing was written")

        async def whom() -> Person:
            if known := planned_id(seen):
                person = await (await self._desk.visits.connector(visit)).view(known)
            else:
                person = await self._desk.person(visit, line.user)
            check(person)
            return person

        if line.do == "set":
            planned = Planned(known, check) if (known := planned_id(seen)) else whom
            altered = await self._acts.alter(visit, planned, line.user, line.change(file.terms), around)
            return ("done", moved(altered.changes, visit.country)) if altered.changes else ("same", "")
        person = await self._acts.look(visit, line.operation, line.user, whom)
        if line.do == "remove":
            removal = await self._acts.remove(visit, person, around)
            return "done", ", ".join(removal.removed)
        kind = next(kind for kind in SecretKind if kind.operation is line.operation)
        try:
            to = await self._acts.resets.recipient(visit, person, kind)
        except NotPermittedError as error:
            # About this person's address, not about the permission: others may still receive theirs.
            raise Refused(error.message) from error
        notes = await self._acts.reset(visit, person, kind, to, around)
        return "done", "; ".join((f"sent to {masked(to.address) if to.is_user else to.told}", *notes))


def _stopped(row: Mapping[str, Any]) -> ConnectorError:
    """Why the run stops at a row, as an error of the row's own exit code."""
    words = f"Stopped at line {row['row']}: {row['about']}."
    if row["result"] == UNKNOWN:
        return OutcomeUnknown(words, next_step="Look with `show USER` what became of it, then --resume.")
    return Refused(words, next_step="Mend it and --resume, or add --go-on to do the others.")
