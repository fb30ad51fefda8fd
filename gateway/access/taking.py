"""The engineer's side of work that a customer asked for: seen, taken with the permission that it is, done."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from audit.events import Personal
from gateway import notify
from gateway.access.directory import agreement_of
from gateway.access.facts import grant_of, operations_of
from gateway.access.jobs import JobRows, words_of
from gateway.access.persons import persons
from gateway.access.signing import signers
from gateway.errors import NotFoundError, NotPermittedError, StateError
from gateway.lifecycle import AgreementState, GrantState, JobState, advance
from gateway.model import MINUTE, Grant
from gateway.store.engine import Scope
from gateway.store.portal_tables import jobs
from gateway.store.tables import approvers, customers, grants, roster, systems


class Taking(JobRows):
    """Writes each step with its event and its mail, in one transaction."""

    async def for_engineer(self, engineer_id: str) -> list[Any]:
        """What can be taken, or was taken by this engineer and is not done; the one that is due first, first."""
        theirs = (jobs.c.state == JobState.OPEN) | (
            (jobs.c.state == JobState.TAKEN) & (jobs.c.engineer_id == engineer_id)
        )
        query = (
            select(jobs, customers.c.name.label("customer"), systems.c.name.label("system"),
                   approvers.c.name.label("asker"))
            .join(customers, customers.c.id == jobs.c.customer_id)
            .join(systems, (systems.c.customer_id == jobs.c.customer_id) & (systems.c.id == jobs.c.system_id))
            .join(approvers, (approvers.c.customer_id == jobs.c.customer_id) & (approvers.c.id == jobs.c.asked_by))
            .join(roster, roster.c.customer_id == jobs.c.customer_id)
            .where(roster.c.engineer_id == engineer_id, ~roster.c.vetoed, theirs)
            .where(jobs.c.until_ms > self._permission.now, systems.c.removed_ms.is_(None))
            .order_by(jobs.c.until_ms, jobs.c.number)
        )  # fmt: skip
        async with self._store.look_at_everyone() as scope:
            return list((await scope.execute(query)).all())

    async def _numbered(self, engineer_id: str, number: int) -> Any:
        for row in await self.for_engineer(engineer_id):
            if row.number == number:
                return row
        raise NotFoundError(f"There is no job {number} that you could take.", next_step="`jobs` lists them.")

    async def take(self, engineer_id: str, number: int) -> Grant:
        """The permission to do it: what was signed for, until then, and no longer than the agreement lets a visit be.

        NotFoundError; StateError when somebody else was faster.
        """
        found = await self._numbered(engineer_id, number)
        async with self._store.scope(found.customer_id) as scope:
            job = await self.job(scope, found.id, lock=True)
            if job.state == JobState.TAKEN:
                held = await self._held(scope, job, engineer_id)
                if held is not None:
                    return held
            elif job.state != JobState.OPEN:
                raise StateError(f"the job is {job.state} already", next_step="`jobs` lists what is left.")
            else:
                await self._move(scope, job, JobState.TAKEN, engineer_id=engineer_id)
            return await self._permit(scope, job, engineer_id)

    async def _held(self, scope: Scope, job: Any, engineer_id: str) -> Grant | None:
        """The permission that the engineer has for it; None when it is over, and another can be had."""
        if job.engineer_id != engineer_id:
            raise StateError("Somebody else has taken the job.", next_step="`jobs` lists what is left.")
        query = select(grants).where(
            grants.c.customer_id == scope.customer_id, grants.c.job_id == job.id, grants.c.state == GrantState.OPEN
        )
        row = (await scope.execute(query)).first()
        return None if row is None else grant_of(row)

    async def _permit(self, scope: Scope, job: Any, engineer_id: str) -> Grant:
        agreement = await agreement_of(scope)
        if agreement is None or agreement.state is not AgreementState.CONFIRMED:
            raise NotPermittedError("The customer's agreement is not confirmed.", next_step="Tell the operator.")
        signed = tuple(await signers(scope, words_of(job)))
        if await persons(scope, signed, self._permission.now) < agreement.terms.approvals_needed:
            raise NotPermittedError("Whoever signed it may not any more.", next_step="The customer has to ask again.")
        until_ms = min(job.until_ms, self._permission.now + agreement.terms.max_minutes * MINUTE)
        grant = await self._permission.permit_job(
            scope, engineer_id, job.id, job.system_id, operations_of(job.operations), until_ms, job.what,
            str(job.number), signed,
        )  # fmt: skip
        here = (jobs.c.customer_id == scope.customer_id) & (jobs.c.id == job.id)
        await scope.execute(update(jobs).where(here).values(request_id=grant.request_id))
        data = {"job": job.id, "engineer": engineer_id}
        await self._log(scope, "job.taken", engineer_id, job.system_id, data, request=grant.request_id)
        return grant

    async def done(self, engineer_id: str, number: int, words: str) -> None:
        """The engineer says that it is done; whoever asked is told. NotFoundError, StateError."""
        found = await self._numbered(engineer_id, number)
        async with self._store.scope(found.customer_id) as scope:
            job = await self.job(scope, found.id, lock=True)
            state = advance(JobState(job.state), JobState.DONE)
            await self._move(scope, job, state)
            personal = (Personal("words", words, f"request:{job.id}"),)
            await self._log(scope, "job.done", engineer_id, job.system_id, {"job": job.id}, personal)
            await notify.job_done(scope, job.number, job.what, engineer_id, words, self._permission.now)
