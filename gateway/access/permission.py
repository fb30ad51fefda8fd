"""Requests, yeses, grants: how permission comes about, ends, and is asked for at the time of use."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, insert, select, update

from audit import canonical
from audit.events import Event, Personal
from audit.log import AuditLog
from connectors.contract import Operation
from gateway import notify
from gateway.access.directory import agreement_of
from gateway.access.facts import facts_of, grant_of, operations_of
from gateway.errors import ConflictError, InvalidError, NotFoundError, NotPermittedError, StateError
from gateway.lifecycle import AgreementState, GrantState, RequestState, advance
from gateway.model import DAY, MINUTE, Grant, PhoneSystem, Request, new_id
from gateway.policy import Decision, Facts, decide
from gateway.store.engine import Scope, Store
from gateway.store.tables import (
    approvals,
    approvers,
    customers,
    engineers,
    grants,
    operations,
    requests,
)

_PENDING_PER_ENGINEER = 10
BY_PHONE = "by telephone"
_LATE_GRANTS: Final = select(grants).where(
    grants.c.state == GrantState.OPEN, grants.c.until_ms <= bindparam("now", type_=BigInteger)
)
_LATE_REQUESTS: Final = select(requests).where(
    requests.c.state == RequestState.WAITING, requests.c.until_ms <= bindparam("now", type_=BigInteger)
)
_OPEN_GRANTS: Final = (  # built once: every command asks it
    select(grants)
    .where(grants.c.engineer_id == bindparam("of_engineer"), grants.c.state == GrantState.OPEN)
    .order_by(grants.c.until_ms.desc())
)


async def grants_of(scope: Scope, engineer_id: str) -> list[Grant]:
    """The engineer's open grants, the one that ends last first."""
    return [grant_of(r) for r in await scope.execute(_OPEN_GRANTS, {"of_engineer": engineer_id})]


def _words(operations_: frozenset[Operation]) -> str:
    return " ".join(sorted(operations_))


def request_of(row: Any) -> Request:
    """The value of a table's row."""
    return Request(
        row.customer_id, row.id, row.system_id, row.engineer_id, operations_of(row.operations), row.from_ms,
        row.until_ms, row.ticket, row.reason, RequestState(row.state), row.digest, row.submitted_ms,
    )  # fmt: skip


def request_bytes(request: Request) -> bytes:
    """The canonical bytes that a yes is a yes to; their SHA-256 is the request's digest."""
    return canonical.encode(
        {
            "v": 1,
            "customer": request.customer_id,
            "request": request.id,
            "system": request.system_id,
            "engineer": request.engineer_id,
            "operations": sorted(request.operations),
            "from": request.from_ms,
            "until": request.until_ms,
            "ticket": request.ticket,
            "reason": request.reason,
        }
    )


class Permission:
    """Writes each change with its event, in one transaction."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit

    @property
    def now(self) -> int:
        """Time as permission counts it."""
        return self._audit.clock.now()

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
        """Ask the customer. Refused when the agreement could never allow it."""
        customer_id, now = system.customer_id, self.now
        request = Request(
            customer_id, new_id("req"), system.id, engineer_id, wanted, now, now + minutes * MINUTE, ticket, reason,
            RequestState.WAITING, "", now,
        )  # fmt: skip
        request = replace(request, digest=hashlib.sha256(request_bytes(request)).hexdigest())
        async with self._store.scope(customer_id) as scope:
            await self._check_request(scope, request, minutes)
            await scope.execute(
                insert(requests).values(
                    customer_id=customer_id, id=request.id, system_id=system.id, engineer_id=engineer_id,
                    operations=_words(wanted), from_ms=request.from_ms, until_ms=request.until_ms, ticket=ticket,
                    reason=reason, state=RequestState.WAITING, digest=request.digest, submitted_ms=now,
                )
            )  # fmt: skip
            key = f"request:{request.id}"
            await self._log(
                scope, "request.submitted", engineer_id, system=system.id, request=request.id,
                data={
                    "engineer": engineer_id, "operations": sorted(wanted), "from_ms": request.from_ms,
                    "until_ms": request.until_ms, "digest": request.digest,
                },
                personal=(Personal("ticket", ticket, key), Personal("reason", reason, key)),
            )  # fmt: skip
            await notify.request_waiting(scope, request, now)
        return request

    async def _check_request(self, scope: Scope, request: Request, minutes: int) -> None:
        agreement = await agreement_of(scope)
        if agreement is None or agreement.state is not AgreementState.CONFIRMED:
            raise NotPermittedError("The customer's agreement is not confirmed.", next_step="Tell the operator.")
        beyond = request.operations - agreement.terms.operations
        if beyond:
            raise NotPermittedError(
                f"The customer's agreement does not allow {_words(beyond)}.",
                next_step=f"It allows {_words(agreement.terms.operations)}.",
            )
        if not 1 <= minutes <= agreement.terms.max_minutes:
            raise InvalidError(f"A visit may last from 1 to {agreement.terms.max_minutes} minutes here.")
        if agreement.terms.ticket_required and not request.ticket:
            raise InvalidError("This customer wants a ticket number.", next_step="Add --ticket NUMBER.")
        if not request.reason:
            raise InvalidError("Say why, in words that the customer understands.", next_step='Add --reason "…".')
        if agreement.terms.approvals_needed > 1:
            await self._check_enough_approvers(scope, agreement.terms.approvals_needed)
        waiting = select(requests.c.id).where(
            requests.c.customer_id == scope.customer_id,
            requests.c.engineer_id == request.engineer_id,
            requests.c.state == RequestState.WAITING,
        )
        if len((await scope.execute(waiting)).all()) >= _PENDING_PER_ENGINEER:
            raise NotPermittedError("You have too many requests waiting here.", next_step="Let them be answered first.")

    @staticmethod
    async def _check_enough_approvers(scope: Scope, needed: int) -> None:
        query = select(approvers.c.email).where(
            approvers.c.customer_id == scope.customer_id, approvers.c.removed_ms.is_(None)
        )
        persons = {email.casefold() for email in (await scope.execute(query)).scalars()}
        if len(persons) < needed:
            raise NotPermittedError(
                f"This customer wants {needed} people to say yes, and has {len(persons)} who may.",
                next_step="The customer has to name more approvers; nobody was asked.",
            )

    async def record_consent(
        self, actor: str, recorded_by: str, customer_id: str, request_id: str, approver_id: str, at_ms: int, words: str
    ) -> Grant | None:
        """Enter a yes given by telephone. Labelled so for good, and mailed to all approvers in the same transaction.

        The grant, or None while the agreement wants more persons to say yes. ConflictError when this one has already.
        """
        async with self._store.scope(customer_id) as scope:
            request, approver, needed = await self._consent_basis(scope, request_id, approver_id, at_ms)
            earlier = await self._yeses(scope, request)
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
            recorders = dict.fromkeys([*(yes.recorded_by for yes in earlier.values()), recorded_by])
            how = f"{BY_PHONE}, recorded by {', '.join(recorders)}"
            missing = needed - len(earlier) - 1
            grant = None
            if missing <= 0:
                persons = (*(yes.approver_id for yes in earlier.values()), approver_id)
                grant = await self._write_grant(scope, actor, request, how, persons)
            await notify.consent_recorded(scope, request, how, approver.name, at_ms, self.now, max(missing, 0))
        return grant

    @staticmethod
    async def _yeses(scope: Scope, request: Request) -> dict[str, Any]:
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

    async def _consent_basis(
        self, scope: Scope, request_id: str, approver_id: str, at_ms: int
    ) -> tuple[Request, Any, int]:
        """The request, its approver, and how many persons have to say yes."""
        agreement = await agreement_of(scope)
        if agreement is None or not agreement.terms.consent_by_phone or agreement.state is not AgreementState.CONFIRMED:
            raise NotPermittedError(
                "This customer's agreement does not allow a yes by telephone.",
                next_step="Ask the approver to answer the mail.",
            )
        request = await self.request(scope, request_id, lock=True)
        if request.state is not RequestState.WAITING:
            raise StateError(f"the request is {request.state.value} already")
        if not request.submitted_ms - MINUTE <= at_ms <= self.now + MINUTE:
            raise InvalidError("The call cannot have been before the request or in the future.")
        if at_ms < self.now - DAY:
            raise InvalidError("A yes given more than a day ago cannot be entered any more.")
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
        if (await scope.execute(mail)).scalar_one().casefold() == approver.email.casefold():
            raise NotPermittedError("Nobody approves their own request.")
        return request, approver, agreement.terms.approvals_needed

    async def _write_grant(
        self, scope: Scope, actor: str, request: Request, how: str, approver_ids: tuple[str, ...]
    ) -> Grant:
        grant = Grant(
            request.customer_id, new_id("gra"), request.id, request.system_id, request.engineer_id, request.operations,
            request.from_ms, request.until_ms, GrantState.OPEN, 1, how, approver_ids,
        )  # fmt: skip
        state = advance(request.state, RequestState.GRANTED)
        here = (requests.c.customer_id == scope.customer_id) & (requests.c.id == request.id)
        await scope.execute(update(requests).where(here).values(state=state))
        await scope.execute(
            insert(grants).values(
                customer_id=grant.customer_id, id=grant.id, request_id=grant.request_id, system_id=grant.system_id,
                engineer_id=grant.engineer_id, operations=_words(grant.operations), from_ms=grant.from_ms,
                until_ms=grant.until_ms, state=grant.state, version=1, how=grant.how,
                approver_ids=" ".join(grant.approver_ids),
            )
        )  # fmt: skip
        await self._log(
            scope, "request.granted", actor, system=request.system_id, request=request.id, grant=grant.id,
            data={"how": BY_PHONE, "until_ms": grant.until_ms, "operations": sorted(grant.operations)},
        )  # fmt: skip
        return grant

    async def request(self, scope: Scope, request_id: str, *, lock: bool = False) -> Request:
        """NotFoundError when this customer has no such request. With `lock`, nobody answers it before the commit."""
        query = select(requests).where(requests.c.customer_id == scope.customer_id, requests.c.id == request_id)
        row = (await scope.execute(query.with_for_update() if lock else query)).first()
        if row is None:
            raise NotFoundError("there is no such request", next_step="`frameroom request list` shows them.")
        return request_of(row)

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
            await self._end(scope, grant, state)
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

    async def _end(self, scope: Scope, grant: Grant, state: GrantState) -> None:
        here = (grants.c.customer_id == scope.customer_id) & (grants.c.id == grant.id)
        await scope.execute(update(grants).where(here).values(state=state, version=grant.version + 1))

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

    async def grant(self, scope: Scope, grant_id: str, *, lock: bool = False) -> Grant:
        """NotFoundError when this customer has no such grant. With `lock`, nobody changes it before the commit."""
        query = select(grants).where(grants.c.customer_id == scope.customer_id, grants.c.id == grant_id)
        row = (await scope.execute(query.with_for_update() if lock else query)).first()
        if row is None:
            raise NotFoundError("there is no such permission", next_step="`frameroom grant list` shows them.")
        return grant_of(row)

    async def open_grants(self, engineer_id: str) -> list[Grant]:
        """The engineer's open grants, the one that ends last first."""
        async with self._store.look_at_everyone() as scope:
            return await grants_of(scope, engineer_id)

    async def requests_of(self, engineer_id: str) -> list[Request]:
        """The engineer's requests, newest first."""
        query = select(requests).where(requests.c.engineer_id == engineer_id)
        async with self._store.look_at_everyone() as scope:
            return [
                request_of(r) for r in await scope.execute(query.order_by(requests.c.submitted_ms.desc()).limit(50))
            ]

    async def facts(self, scope: Scope, engineer_id: str, system_id: str, grant_id: str | None, lock: bool) -> Facts:
        """Everything a decision rests on now, read in this transaction (facts.facts_of)."""
        return await facts_of(scope, engineer_id, system_id, grant_id, self.now, lock=lock)

    async def explain(self, engineer_id: str, system: PhoneSystem, operation: Operation, at_ms: int | None) -> Decision:
        """What policy would say, and why."""
        open_here = [g for g in await self.open_grants(engineer_id) if g.system_id == system.id]
        naming = [g for g in open_here if operation in g.operations] or open_here
        async with self._store.look(system.customer_id) as scope:
            facts = await self.facts(scope, engineer_id, system.id, naming[0].id if naming else None, False)
        return decide(facts if at_ms is None else replace(facts, now_ms=at_ms), operation)

    async def customer_name(self, customer_id: str) -> str:
        """For prompts."""
        async with self._store.look(customer_id) as scope:
            query = select(customers.c.name).where(customers.c.id == customer_id)
            return str((await scope.execute(query)).scalar_one())
