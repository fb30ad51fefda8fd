"""Work that the customer asks for: written and signed in the portal, seen and taken by an engineer, done, told.

The signature under a job is the approval for just that: whoever takes it gets a permission that goes no further.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import insert, select, update

from audit import canonical
from audit.events import Event, Personal
from audit.log import AuditLog
from connectors.contract import Operation
from gateway import notify
from gateway.access.askable import check_reached
from gateway.access.directory import agreement_of
from gateway.access.permission import Permission
from gateway.access.persons import persons
from gateway.access.signing import Keys, Words, sign
from gateway.errors import ConflictError, InvalidError, NotFoundError, NotPermittedError
from gateway.lifecycle import AgreementState, GrantState, JobState, advance
from gateway.model import DAY, MINUTE, new_id
from gateway.store.engine import Scope, Store
from gateway.store.portal_tables import jobs
from gateway.store.tables import grants, systems

_LONGEST: Final = 500
_LATEST_MS: Final = 31 * DAY
_JOB: Final = re.compile(r"job_[0-9a-f]{24}")
_NUMBERS: Final = range(1000, 10_000_000)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a customer asks for. `until_ms`: by when."""

    system_id: str
    operations: frozenset[Operation]
    until_ms: int
    what: str
    for_whom: str


class JobRows:
    """What both sides of a job do with its row."""

    def __init__(self, store: Store, audit: AuditLog, permission: Permission) -> None:
        self._store, self._audit, self._permission = store, audit, permission

    async def job(self, scope: Scope, job_id: str, *, lock: bool = False) -> Any:
        """The row. NotFoundError when this customer has no such job."""
        query = select(jobs).where(jobs.c.customer_id == scope.customer_id, jobs.c.id == job_id)
        row = (await scope.execute(query.with_for_update() if lock else query)).first()
        if row is None:
            raise NotFoundError("There is no such job.")
        return row

    @staticmethod
    async def _move(scope: Scope, job: Any, state: JobState, **values: Any) -> None:
        here = (jobs.c.customer_id == scope.customer_id) & (jobs.c.id == job.id)
        await scope.execute(update(jobs).where(here).values(state=state, **values))

    async def _log(
        self, scope: Scope, kind: str, actor: str, system_id: str, data: dict[str, Any],
        personal: Collection[Personal] = (), **ids: str,
    ) -> None:  # fmt: skip
        event = Event(kind, scope.customer_id, actor, system=system_id, data=data, personal=tuple(personal), **ids)
        await self._audit.append(scope.connection, event)


class Jobs(JobRows):
    """The customer's side: writes each step with its event and its mail, in one transaction."""

    def __init__(self, store: Store, audit: AuditLog, permission: Permission, keys: Keys) -> None:
        super().__init__(store, audit, permission)
        self._keys = keys

    @property
    def now(self) -> int:
        """Time as permission counts it, Unix ms."""
        return self._permission.now

    async def offered(self, customer_id: str, approver_id: str, from_ms: int, wanted: Wanted) -> tuple[str, Words]:
        """A job's id and the words that are signed for it; nothing is kept before they are. InvalidError and
        NotPermittedError as `ask`."""
        async with self._store.look(customer_id) as scope:
            return await self._drawn(scope, approver_id, new_id("job"), from_ms, wanted)

    async def _drawn(
        self, scope: Scope, approver_id: str, job_id: str, from_ms: int, wanted: Wanted
    ) -> tuple[str, Words]:
        what, for_whom = " ".join(wanted.what.split()), " ".join(wanted.for_whom.split())
        if not what or len(what) > _LONGEST or len(for_whom) > _LONGEST:
            raise InvalidError("Say what is to be done, in a few words.", next_step="The engineer reads them.")
        if not from_ms < wanted.until_ms <= from_ms + _LATEST_MS:
            raise InvalidError("The latest time for it has to be in the future, and within a month.")
        agreement = await agreement_of(scope)
        if agreement is None or agreement.state is not AgreementState.CONFIRMED:
            raise NotPermittedError("The agreement is not confirmed.", next_step="See under Agreement.")
        if not wanted.operations or wanted.operations - agreement.terms.operations:
            raise InvalidError("Tick what may be done for it; the agreement names what can be ticked.")
        here = (systems.c.customer_id == scope.customer_id) & (systems.c.id == wanted.system_id)
        query = select(systems.c.name, systems.c.connector).where(here, systems.c.removed_ms.is_(None))
        system = (await scope.execute(query)).first()
        if system is None:
            raise NotFoundError("There is no such phone system.")
        check_reached(system.connector, wanted.operations)
        text = canonical.encode(
            {
                "v": 1, "customer": scope.customer_id, "job": job_id, "system": wanted.system_id,
                "system_name": system.name, "operations": sorted(wanted.operations), "from": from_ms,
                "until": wanted.until_ms, "what": what, "for": for_whom, "asked_by": approver_id,
            }
        ).decode()  # fmt: skip
        return job_id, Words(job_id, text, f"request:{job_id}")

    async def ask(
        self, customer_id: str, approver_id: str, job_id: str, from_ms: int, wanted: Wanted, answer: Any
    ) -> int:
        """Keep a job with its first signature: over just these words. Its number.

        ConflictError when it was sent before; InvalidError for words, operations or a time that cannot be;
        NotPermittedError when the signature is not the
        approver's own, or without a confirmed agreement.
        """
        if not _JOB.fullmatch(job_id) or not 0 <= self._permission.now - from_ms <= 10 * MINUTE:
            raise InvalidError("The page was too old.", next_step="Load it again.")
        async with self._store.scope(customer_id) as scope:
            _, words = await self._drawn(scope, approver_id, job_id, from_ms, wanted)
            here = (jobs.c.customer_id == customer_id) & (jobs.c.id == job_id)
            if (await scope.execute(select(jobs.c.id).where(here))).first() is not None:
                raise ConflictError("You have asked for this already.", next_step="It stands under Work.")
            number = secrets.choice(_NUMBERS)
            values = {
                "customer_id": customer_id, "id": job_id, "number": number, "system_id": wanted.system_id,
                "operations": " ".join(sorted(wanted.operations)), "from_ms": from_ms, "until_ms": wanted.until_ms,
                "what": " ".join(wanted.what.split()), "for_whom": " ".join(wanted.for_whom.split()),
                "asked_by": approver_id, "canonical": words.text, "state": JobState.ASKED,
            }  # fmt: skip
            await scope.execute(insert(jobs).values(**values))
            data = {
                "job": job_id, "number": number, "approver": approver_id, "operations": sorted(wanted.operations),
                "from_ms": from_ms, "until_ms": wanted.until_ms, "digest": words.digest,
            }  # fmt: skip
            personal = (
                Personal("what", values["what"], words.key_id), Personal("for_whom", values["for_whom"], words.key_id),
            )  # fmt: skip
            await self._log(scope, "job.asked", approver_id, wanted.system_id, data, personal)
            await self._sign(scope, approver_id, job_id, answer)
        return number

    async def sign(self, customer_id: str, approver_id: str, job_id: str, answer: Any) -> None:
        """One more approver's signature under a job that waits for it. StateError when none is wanted any more."""
        async with self._store.scope(customer_id) as scope:
            await self._sign(scope, approver_id, job_id, answer)

    async def _sign(self, scope: Scope, approver_id: str, job_id: str, answer: Any) -> None:
        job = await self.job(scope, job_id, lock=True)
        state = advance(JobState(job.state), JobState.OPEN)
        await self._permission.check_no_recovery(scope)
        signed = await sign(
            scope, self._audit, self._keys, approver_id, words_of(job), answer, "job.signed",
            {"system": job.system_id}, job=job_id,
        )  # fmt: skip
        agreement = await agreement_of(scope)
        count = await persons(scope, signed, self._permission.now)
        missing = 0 if agreement is None else max(0, agreement.terms.approvals_needed - count)
        if not missing:
            await self._move(scope, job, state)
        await notify.job_asked(scope, job.number, job.canonical, missing, self._permission.now)

    async def withdraw(self, customer_id: str, approver_id: str, job_id: str) -> None:
        """It is wanted no more; a permission that came of it ends. StateError when it is over."""
        async with self._store.scope(customer_id) as scope:
            job = await self.job(scope, job_id, lock=True)
            await self._move(scope, job, advance(JobState(job.state), JobState.WITHDRAWN))
            await self._log(scope, "job.withdrawn", approver_id, job.system_id, {"job": job_id})
            query = select(grants.c.id).where(
                grants.c.customer_id == customer_id, grants.c.job_id == job_id, grants.c.state == GrantState.OPEN
            )
            still = list((await scope.execute(query)).scalars())
        for grant in still:
            await self._permission.revoke(approver_id, customer_id, grant, "the job was withdrawn")


def words_of(job: Any) -> Words:
    """What is signed for a job."""
    return Words(job.id, job.canonical, f"request:{job.id}")
