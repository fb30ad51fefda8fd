"""apply: a file of changes on standard input. Plan, ask, run; a result per row; the same file can go on later."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from connectors.contract import Operation
from connectors.errors import OutcomeUnknown, Refused
from gateway.errors import UsageError
from gateway.model import PhoneSystem
from gateway.session.commands.acts import Acts
from gateway.session.commands.batches import Batch, Batches
from gateway.session.commands.book import Command
from gateway.session.commands.caller import Caller
from gateway.session.commands.change_file import COLUMNS, DOES, MAX_BYTES, MAX_ROWS, ChangeFile, FileRefused
from gateway.session.commands.planning import Plan, Planner
from gateway.session.commands.running import Run
from gateway.session.commands.text import clock, options, shown
from gateway.session.session import Visit

# Files are held while they run; so many at a time, so that nobody's file can take all the memory.
_FILES_AT_ONCE: Final = 4
_SWITCHES: Final = ("plan", "stop", "go-on", "resume", "again", "retry-unknown", "phones-will-drop")
_MORE: Final = (
    f"A CSV with a header of {','.join(COLUMNS)} (user, and those you need); do is one of {', '.join(DOES)}, and set "
    "when empty. An empty cell leaves a field alone, - takes an email or number away. At most "
    f"{MAX_ROWS:,} rows and {MAX_BYTES >> 20} MB.\n"
    "--plan only shows. --stop (what it does unless told otherwise) ends at the first row that does not go through, "
    "--go-on does the others. --resume goes on where this very file stopped; rows whose outcome is unknown are shown, "
    "and repeated only with --retry-unknown. --again runs a file anew that was run before.\n"
    "The customer's contacts and approvers get one mail about the whole file; whoever had an address that changes is "
    "told at once."
)


class Apply:
    """apply."""

    def __init__(self, acts: Acts) -> None:
        self._acts, self._desk = acts, acts.desk
        self._batches = Batches(acts.desk.store, acts.desk.visits.audit)
        self._room = asyncio.Semaphore(_FILES_AT_ONCE)

    def commands(self) -> list[Command]:
        """For help."""
        return [
            Command(
                "apply", self.apply, "apply - [--plan] [--yes] [--go-on] [--resume] < FILE.csv",
                "many changes from a file: planned, asked about, a result per row",
                "ssh gw apply - --plan < changes.csv",
                _MORE,
            )
        ]  # fmt: skip

    async def apply(self, caller: Caller) -> None:
        """Read, plan, ask, run."""
        plain, _, given = options(caller.words, switches=_SWITCHES)
        _check_words(caller, plain, given)
        if self._room.locked():
            caller.say("Other files are being applied; yours is next.")
        async with self._room:
            data = await _received(caller)
            place = await self._desk.here(caller)
            caller.enter(place.customer, place.system, caller.until_ms)
            terms = await self._desk.terms(place.system.customer_id)
            try:
                # In a thread: a hundred thousand rows take a while, and everybody else's sessions share this one.
                file = await asyncio.to_thread(ChangeFile, data, terms)
            except FileRefused as error:
                for problem in error.problems:
                    caller.say(f"  {problem.strip()}")
                raise
            del data
            await self._run(caller, file, place.system, given)

    async def _run(self, caller: Caller, file: ChangeFile, system: PhoneSystem, given: set[str]) -> None:
        before = await self._before(caller, file, system, given)
        visits: dict[Operation, Visit] = {op: await self._desk.visit(caller, op) for op in sorted(file.operations)}
        skip = set(before.done) if before is not None else set()
        if before is not None and "retry-unknown" not in given:
            skip |= before.unknown
        planner = Planner(self._acts, visits, phones_will_drop="phones-will-drop" in given)
        plan = await planner.plan(caller, file, skip, show_all="plan" in given)
        self._tell(caller, plan, before)
        if plan.problems and "go-on" not in given:
            raise UsageError(
                f"{len(plan.problems)} rows cannot be done; nothing was written.",
                next_step="Mend the file, or add --go-on to do the others.",
            )
        if "plan" in given:
            return
        if not plan.to_do:
            caller.say("There is nothing to write.")
            return
        if not await caller.confirm(f"Apply {plan.to_do} changes?"):
            caller.say("Nothing was written.")
            return
        batch = before or await self._batches.begin(system, caller.identity.engineer_id, file.digest, file.total)
        run = Run(self._acts, self._batches, batch, visits, plan, go_on="go-on" in given)
        _raise_for(await run.run(caller, file, skip), before, given)

    async def _before(
        self, caller: Caller, file: ChangeFile, system: PhoneSystem, given: set[str]
    ) -> Batch | None:  # fmt: skip
        """The run to go on with. UsageError when there was one and nothing says what to do about it."""
        batch = await self._batches.newest(system, caller.identity.engineer_id, file.digest)
        if "resume" in given:
            if batch is None:
                raise UsageError("This very file was not begun here before.", next_step="Leave --resume out.")
            return batch
        if batch is None or given & {"again", "plan"}:
            return None
        when = clock(batch.made_ms, await self._desk.zone(system.customer_id))
        unknown = f", {len(batch.unknown)} with an unknown outcome" if batch.unknown else ""
        raise UsageError(
            f"This very file was begun on {when}: {len(batch.done)} of {batch.total} rows are done{unknown}.",
            next_step="--resume goes on where it stopped; --again does all of it anew.",
        )

    @staticmethod
    def _tell(caller: Caller, plan: Plan, before: Batch | None) -> None:
        if before is not None:
            caller.say(f"{len(before.done)} of {before.total} rows were done before.")
            for number in sorted(before.unknown)[:20]:
                caller.say(f"  line {number}: its outcome is unknown; look before you repeat it (--retry-unknown).")
        for problem in plan.problems[:20]:
            caller.say(f"  {problem}")
        counted = Counter(plan.counts)
        caller.say(
            f"{counted['set']} would be set, {counted['same']} are so already, {counted['remove']} would be removed, "
            f"{sum(n for do, n in counted.items() if do.startswith('reset-'))} passwords would be reset, "
            f"{len(plan.problems)} cannot be done."
        )
        if any(do not in {"set", "same"} for do in counted):
            caller.say("Removals and resets cannot be brought back.")


def _check_words(caller: Caller, plain: list[str], given: set[str]) -> None:
    name = plain[0] if len(plain) == 1 and plain[0] != "-" else "changes.csv"
    if len(plain) != 1 or plain[0] != "-" or caller.channel.terminal is not None:
        raise UsageError(
            "Files at your end cannot be seen from here: send it on standard input, from your own prompt.",
            next_step=f"ssh gw apply - < {shown(name)[:100]}",
        )
    if {"stop", "go-on"} <= given or {"resume", "again"} <= given:
        raise UsageError("Say --stop or --go-on, and --resume or --again, not both.")


async def _received(caller: Caller) -> bytes:
    """Standard input to its end. UsageError as soon as it is too long."""
    data = bytearray()
    async for piece in caller.channel.read_all():
        data += piece.encode("utf-8", "surrogateescape")
        if len(data) > MAX_BYTES:
            raise UsageError(f"The file is over {MAX_BYTES >> 20} MB.", next_step="Split it.")
    return bytes(data)


def _raise_for(results: Counter[str], before: Batch | None, given: set[str]) -> None:
    """What the exit code says: 5 when an outcome is unknown, 4 when something was refused, 0 otherwise."""
    left = len(before.unknown) if before is not None and "retry-unknown" not in given else 0
    if results["unknown"] or left:
        raise OutcomeUnknown(
            f"The outcome of {results['unknown'] + left} rows is unknown.", next_step="Look at them with `show USER`."
        )
    refused = results["refused"] + results["failed"]
    if refused:
        raise Refused(f"{refused} rows did not go through.", next_step="Mend what is said there, then --resume.")
