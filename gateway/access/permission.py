"""Requests, yeses, grants: how permission comes about, ends, and is asked for at the time of use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, insert, select, update

from audit.events import Event, Personal
from connectors.contract import Operation
from gateway import notify
from gateway.access.askable import check_askable
from gateway.access.asked import request_of, written
from gateway.access.directory import agreement_of
from gateway.access.facts import grant_of
from gateway.access.permitted import Permitted
from gateway.access.persons import persons
from gateway.access.proposals import RECOVER, pending
from gateway.errors import ConflictError, InvalidError, NotFoundError, NotPermittedError, StateError
from gateway.lifecycle import AgreementState, GrantState, RequestState, advance
from gateway.model import DAY, MINUTE, Agreement, Grant, PhoneSystem, Request, new_id, same_address
from gateway.store.engine import Scope
from gateway.store.tables import (
    approvals,
    approvers,
    engineers,
    grants,
    operations,
    requests,
    systems,
)

BY_PHONE: Final = "by telephone"
BY_KEY: Final = "signed"
STANDING: Final = "standing agreement"
_LATE_GRANTS: Final = select(grants).where(
    grants.c.state == GrantState.OPEN, grants.c.until_ms <= bindparam("now", type_=BigInteger)
)
_LATE_REQUESTS: Final = select(requests).where(
    requests.c.state == RequestState.WAITING, requests.c.until_ms <= bindparam("now", type_=BigInteger)
)


def _words(operations_: frozenset[Operation]) -> str:
    return " ".join(sorted(operations_))


def _unnamed(how: str) -> str:
    return "; ".join(part.partition(", recorded by")[0] for part in how.split("; "))


@dataclass(frozen=True, slots=True)
class Answerable:
    """A waiting request and an approver who may answer it. `needed`: how many persons have to say yes."""

    request: Request
    approver: Any
    needed: int
    agreement: Agreement


def _how(yeses: Sequence[Any]) -> str:
    """How they came, in words that stand wherever the permission is shown."""
    signed = [yes for yes in yeses if yes.how == BY_KEY]
    recorders = dict.fromkeys(yes.recorded_by for yes in yeses if yes.how == BY_PHONE)
    told = []
    if signed:
        told.append("signed with the approver's own key" if len(signed) == 1 else f"signed with {len(signed)} own keys")
    if recorders:
        told.append(f"{BY_PHONE}, recorded by {', '.join(recorders)}")
    return "; ".join(told)


class Permission(Permitted):
    """Writes each change with its event, in one transaction."""

    async def _log(self, scope: Scope, kind: str, actor: str, **rest: Any) -> None:
        await self._audit.append(scope.connection, Event(kind, scope.customer_id, actor, **rest))

    async def submit(
        self,
        engineer_id: str,
        system: PhoneSystem,
        wanted: frozenset[Operation],
        minutes: int,
        ticket: str,
        reason: str,
    ) -> Request:
        """Ask the customer (askable.py: what cannot be asked); granted at once where that stands agreed."""
        customer_id, now = system.customer_id, self.now
        request = Request(
            customer_id, new_id("req"), system.id, engineer_id, wanted, now, now + minutes * MINUTE, ticket, reason,
            RequestState.WAITING, "", now, "",
        )  # fmt: skip
        async with self._store.scope(customer_id) as scope:
            agreement = await check_askable(scope, request, now)
            request = await self._put(scope, request)
            if wanted <= agreement.terms.standing:
                how = f"{STANDING}, version {agreement.version}"
                await self._write_grant(scope, engineer_id, request, how, ())
                return replace(request, state=RequestState.GRANTED)
            await notify.request_waiting(scope, self._audit, request, self.link(request.id), now)
        return request

    async def _put(self, scope: Scope, request: Request, job_id: str | None = None) -> Request:
        """Write a new request down with its event; it with its digest."""
        names = (
            select(engineers.c.name, systems.c.name.label("system"))
            .join_from(systems, engineers, engineers.c.id == request.engineer_id)
            .where(systems.c.customer_id == scope.customer_id, systems.c.id == request.system_id)
        )
        row = (await scope.execute(names)).one()
        request = written(request, row.name, row.system)
        await scope.execute(
            insert(requests).values(
                customer_id=scope.customer_id, id=request.id, system_id=request.system_id,
                engineer_id=request.engineer_id, operations=_words(request.operations), from_ms=request.from_ms,
                until_ms=request.until_ms, ticket=request.ticket, reason=request.reason, state=request.state,
                digest=request.digest, canonical=request.canonical, submitted_ms=request.submitted_ms,
            )
        )  # fmt: skip
        data = {
            "engineer": request.engineer_id, "operations": sorted(request.operations), "from_ms": request.from_ms,
            "until_ms": request.until_ms, "digest": request.digest,
        }  # fmt: skip
        if job_id is not None:
            data["job"] = job_id
        key = f"request:{request.id}"
        await self._log(
            scope, "request.submitted", request.engineer_id, system=request.system_id, request=request.id, data=data,
            personal=(Personal("ticket", request.ticket, key), Personal("reason", request.reason, key)),
        )  # fmt: skip
        return request

    async def permit_job(
        self, scope: Scope, engineer_id: str, job_id: str, system_id: str, wanted: frozenset[Operation], until_ms: int,
        what: str, number: str, persons: tuple[str, ...],
    ) -> Grant:  # fmt: skip
        """The permission that a signed job is, in the caller's transaction (jobs.py checked the signatures)."""
        now = self.now
        request = Request(
            scope.customer_id, new_id("req"), system_id, engineer_id, wanted, now, until_ms, f"job {number}", what,
            RequestState.WAITING, "", now, "",
        )  # fmt: skip
        request = await self._put(scope, request, job_id)
        return await self._write_grant(scope, engineer_id, request, f"asked for as {request.ticket}", persons, job_id)

    def link(self, request_id: str) -> str:
        """The page where the customer answers it; opening it decides nothing. Empty where no portal is served."""
        return f"{here}/requests/{request_id}" if (here := self.pages()) else ""

    async def record_consent(
        self, actor: str, recorded_by: str, customer_id: str, request_id: str, approver_id: str, at_ms: int, words: str
    ) -> Grant | None:
        """Enter a yes given by telephone. Labelled so for good, and mailed to all approvers in the same transaction.

        The grant, or None while the agreement wants more persons to say yes. ConflictError when this one has already.
        """
        async with self._store.scope(customer_id) as scope:
            to = await self.answerable(scope, request_id, approver_id)
            request, approver = to.request, to.approver
            self._check_call(to, at_ms)
            earlier = await self.yeses(scope, request)
            if approver.email.casefold() in earlier:
                raise ConflictError(f"{approver.name} has said yes to this request already.")
            await scope.execute(
                insert(approvals).values(
                    customer_id=customer_id, id=new_id("app"), request_id=request_id, approver_id=approver_id,
                    request_digest=request.digest, how=BY_PHONE, recorded_by=recorded_by, at_ms=at_ms,
                )
            )  # fmt: skip
            key = f"request:{request_id}"
            personal = (
                Personal("by", approver.name, f"subject:{approver_id}"),
                Personal("to", recorded_by, key),
                Personal("words", words, key),
            )
            await self._log(
                scope, "consent.recorded", actor, system=request.system_id, request=request_id, personal=personal,
                data={"approver": approver_id, "at_ms": at_ms, "digest": request.digest},
            )  # fmt: skip
            grant, missing, how = await self.settle(scope, actor, to, request)
            await notify.consent_recorded(scope, request, how, approver.name, at_ms, self.now, missing)
        return grant

    async def settle(self, scope: Scope, actor: str, to: Answerable, request: Request) -> tuple[Grant | None, int, str]:
        """After a yes: the grant when enough persons have given theirs, how many are missing, and how they came."""
        found = await self.yeses(scope, request)
        # Calls are entered with the minute they were made in: whoever comes last stands last.
        yeses = dict(sorted(found.items(), key=lambda item: bool(item[1].approver_id == to.approver.id)))
        given = tuple(str(yes.approver_id) for yes in yeses.values())
        how, missing = _how(list(yeses.values())), max(0, to.needed - await persons(scope, given, self.now))
        if missing:
            return None, missing, how
        return await self._write_grant(scope, actor, request, how, given), 0, how

    @staticmethod
    async def yeses(scope: Scope, request: Request) -> dict[str, Any]:
        """Who has said yes to exactly this request, and still may: by address, since persons count, not accounts."""
        query = (
            select(approvals, approvers.c.email)
            .join(
                approvers,
                (approvers.c.customer_id == approvals.c.customer_id) & (approvers.c.id == approvals.c.approver_id),
            )
            .where(approvals.c.customer_id == scope.customer_id, approvals.c.request_id == request.id)
            .where(approvals.c.request_digest == request.digest, approvers.c.removed_ms.is_(None))
            .order_by(approvals.c.at_ms)
        )
        return {row.email.casefold(): row for row in await scope.execute(query)}

    async def answerable(self, scope: Scope, request_id: str, approver_id: str, *, lock: bool = True) -> Answerable:
        """With `lock`, nobody else answers it before the commit. NotFoundError; StateError when it was answered
        already; NotPermittedError for one's own request, and without a confirmed agreement."""
        request = await self.request(scope, request_id, lock=lock)
        if request.state is not RequestState.WAITING:
            raise StateError(f"the request is {request.state.value} already")
        agreement = await agreement_of(scope)
        if agreement is None or agreement.state is not AgreementState.CONFIRMED:
            raise NotPermittedError("The agreement is not confirmed.", next_step="Ask your telephone maintainer.")
        await self.check_no_recovery(scope)
        query = select(approvers).where(
            approvers.c.customer_id == scope.customer_id,
            approvers.c.id == approver_id,
            approvers.c.removed_ms.is_(None),
        )
        approver = (await scope.execute(query)).first()
        if approver is None:
            raise NotFoundError(
                "that is no approver of this customer", next_step="`frameroom approver list` shows them."
            )
        mail = select(engineers.c.email).where(engineers.c.id == request.engineer_id)
        if same_address((await scope.execute(mail)).scalar_one(), approver.email):
            raise NotPermittedError("Nobody approves their own request.")
        return Answerable(request, approver, agreement.terms.approvals_needed, agreement)

    @staticmethod
    async def check_no_recovery(scope: Scope) -> None:
        """NotPermittedError while a lost key of the customer's is on its way back (recovering.py)."""
        if await pending(scope, RECOVER) is not None:
            raise NotPermittedError("No yes counts while a lost key is being recovered.", next_step="See under People.")

    def _check_call(self, to: Answerable, at_ms: int) -> None:
        """A yes by telephone: allowed by the agreement, and at a time when it can have been given."""
        if not to.agreement.terms.consent_by_phone:
            raise NotPermittedError(
                "This customer's agreement does not allow a yes by telephone.",
                next_step="Ask the approver to answer the mail.",
            )
        if not to.request.submitted_ms - MINUTE <= at_ms <= self.now + MINUTE:
            raise InvalidError("The call cannot have been before the request or in the future.")
        if at_ms < self.now - DAY:
            raise InvalidError("A yes given more than a day ago cannot be entered any more.")

    async def _write_grant(
        self,
        scope: Scope,
        actor: str,
        request: Request,
        how: str,
        approver_ids: tuple[str, ...],
        job_id: str | None = None,
    ) -> Grant:
        grant = Grant(
            request.customer_id, new_id("gra"), request.id, request.system_id, request.engineer_id, request.operations,
            request.from_ms, request.until_ms, GrantState.OPEN, 1, how, approver_ids, job_id,
        )  # fmt: skip
        state = advance(request.state, RequestState.GRANTED)
        here = (requests.c.customer_id == scope.customer_id) & (requests.c.id == request.id)
        await scope.execute(update(requests).where(here).values(state=state, answered_ms=self.now))
        await scope.execute(
            insert(grants).values(
                customer_id=grant.customer_id, id=grant.id, request_id=grant.request_id, system_id=grant.system_id,
                engineer_id=grant.engineer_id, operations=_words(grant.operations), from_ms=grant.from_ms,
                until_ms=grant.until_ms, state=grant.state, version=1, how=grant.how,
                approver_ids=" ".join(grant.approver_ids), job_id=job_id,
            )
        )  # fmt: skip
        await self._log(
            scope, "request.granted", actor, system=request.system_id, request=request.id, grant=grant.id,
            # Who wrote it down is personal, and stands sealed in consent.recorded.
            data={"how": _unnamed(how), "until_ms": grant.until_ms, "operations": sorted(grant.operations)},
        )  # fmt: skip
        return grant

    async def withdraw(self, actor: str, customer_id: str, request_id: str) -> None:
        """Take a waiting request back. NotFoundError, StateError when it was answered already."""
        async with self._store.scope(customer_id) as scope:
            request = await self.request(scope, request_id, lock=True)
            state = advance(request.state, RequestState.WITHDRAWN)
            here = (requests.c.customer_id == customer_id) & (requests.c.id == request_id)
            await scope.execute(update(requests).where(here).values(state=state))
            await self._log(scope, "request.withdrawn", actor, system=request.system_id, request=request_id)

    async def revoke(
        self, actor: str, customer_id: str, grant_id: str, reason: str, how: str = "by the customer"
    ) -> int:
        """End a grant now. How many operations had begun before it and are still without an outcome."""
        async with self._store.scope(customer_id) as scope:
            grant = await self.grant(scope, grant_id, lock=True)
            state = advance(grant.state, GrantState.REVOKED)
            await self._end(scope, grant, state, how)
            busy = select(operations.c.id).where(
                operations.c.customer_id == customer_id,
                operations.c.grant_id == grant_id,
                operations.c.state == "intended",
            )
            in_flight = [str(o) for o in (await scope.execute(busy)).scalars()]
            await self._log(
                scope, "grant.revoked", actor, system=grant.system_id, grant=grant_id,
                data={"how": how, "in_flight": in_flight}, personal=(Personal("reason", reason, f"grant:{grant_id}"),),
            )  # fmt: skip
            await notify.revoked(scope, grant, reason, self.now)
        return len(in_flight)

    async def _end(self, scope: Scope, grant: Grant, state: GrantState, how: str | None = None) -> None:
        here = (grants.c.customer_id == scope.customer_id) & (grants.c.id == grant.id)
        await scope.execute(update(grants).where(here).values(state=state, version=grant.version + 1, ended_how=how))

    async def expire(self) -> None:
        """End every grant and request that is past its time."""
        now = self.now
        async with self._store.look_at_everyone() as scope:
            over = [grant_of(r) for r in await scope.execute(_LATE_GRANTS, {"now": now})]
            asked = [request_of(r) for r in await scope.execute(_LATE_REQUESTS, {"now": now})]
        for grant in over:
            async with self._store.scope(grant.customer_id) as scope:
                fresh = await self.grant(scope, grant.id, lock=True)
                if fresh.state is GrantState.OPEN:
                    await self._end(scope, fresh, GrantState.EXPIRED)
                    await self._log(scope, "grant.expired", "clock", system=grant.system_id, grant=grant.id)
        for request in asked:
            async with self._store.scope(request.customer_id) as scope:
                state = advance(RequestState.WAITING, RequestState.EXPIRED)
                here = (requests.c.customer_id == scope.customer_id) & (requests.c.id == request.id)
                changed = await scope.execute(
                    update(requests).where(here, requests.c.state == RequestState.WAITING).values(state=state)
                )
                if changed.rowcount:
                    await self._log(scope, "request.expired", "clock", system=request.system_id, request=request.id)
