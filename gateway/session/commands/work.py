"""Work that customers asked for: jobs, job take, job done."""

from __future__ import annotations

from gateway.access.taking import Taking
from gateway.errors import UsageError
from gateway.session.commands.book import Command
from gateway.session.commands.caller import Caller
from gateway.session.commands.desk import Desk
from gateway.session.commands.text import clock


class Work:
    """jobs, job."""

    def __init__(self, desk: Desk, taking: Taking) -> None:
        self._desk, self._taking = desk, taking

    def commands(self) -> list[Command]:
        """In the order in which help lists them."""
        return [
            Command("jobs", self.jobs, "jobs", "work that customers asked for, the most urgent first", "jobs"),
            Command(
                "job", self.job, "job take N | job done N [WORDS]",
                "take a job, which is the permission for just that, and go in; or say that it is done",
                "job take 4711", "It records who of the customer asked with each change.",
            ),
        ]  # fmt: skip

    async def jobs(self, caller: Caller) -> None:
        """List them."""
        found = await self._taking.for_engineer(caller.identity.engineer_id)
        zones = await self._desk.zones({job.customer_id for job in found})
        rows = [
            {
                "job": job.number, "customer": job.customer, "system": job.system, "what": job.what,
                "for": job.for_whom, "by": clock(job.until_ms, zones[job.customer_id]), "asked by": job.asker,
                "operations": " ".join(sorted(job.operations.split())), "state": job.state,
            }
            for job in found
        ]  # fmt: skip
        caller.out(rows, "No customer waits for work.")

    async def job(self, caller: Caller) -> None:
        """Take one, or say that it is done."""
        what, number, *words = [*caller.words, "", ""]
        if what not in {"take", "done"} or not (number.isascii() and number.isdigit() and len(number) < 12):
            raise UsageError("Say which job: job take N, or job done N.", next_step="`jobs` lists them.")
        engineer, wanted = caller.identity.engineer_id, int(number)
        if what == "done":
            await self._taking.done(engineer, wanted, " ".join(words).strip())
            caller.say(f"Job {wanted} is done; the customer is told.")
            return
        grant = await self._taking.take(engineer, wanted)
        place = next(p for p in await self._desk.places.places_for(engineer, only={grant.system_id}))
        caller.say(f"Job {wanted} is yours: {' '.join(sorted(grant.operations))}.")
        await self._desk.enter(caller, place)
