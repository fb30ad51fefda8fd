"""What may be asked of a customer at all: within the agreement, in words that can be answered, and not too often."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import func, select

from connectors.contract import NO_CONNECTOR, OUTSIDE, Operation
from connectors.registry import families
from gateway.access.directory import agreement_of
from gateway.access.persons import persons
from gateway.errors import InvalidError, NotPermittedError, StateError
from gateway.harmless import CONTROL
from gateway.lifecycle import AgreementState, RequestState
from gateway.model import MINUTE, Agreement, Request
from gateway.store.engine import Scope
from gateway.store.tables import approvers, requests, systems

_PENDING_PER_ENGINEER: Final = 10
_LONGEST_TICKET, _LONGEST_REASON = 100, 500
_AFTER_DENIAL_MS: Final = 15 * MINUTE


def _names(operations: Collection[Operation]) -> str:
    return " ".join(sorted(operations))


async def _check_in_service(scope: Scope, system_id: str) -> str:
    """Its connector. Until the commit nobody takes it out of service, so that whoever does finds the request and takes
    it back."""
    here = (systems.c.customer_id == scope.customer_id) & (systems.c.id == system_id)
    query = select(systems.c.removed_ms, systems.c.connector).where(here).with_for_update(read=True)
    row = (await scope.execute(query)).one()
    if row.removed_ms is not None:
        raise StateError(
            "That phone system was taken out of service; nobody was asked.", next_step="`systems` lists the others."
        )
    return str(row.connector)


def check_reached(connector: str, operations: Collection[Operation]) -> None:
    """InvalidError for what needs a connector, of a phone system that has none, and for what its connector cannot do:
    nobody is asked for a yes that would be worth nothing."""
    if connector == NO_CONNECTOR and (beyond := set(operations) - OUTSIDE):
        raise InvalidError(
            f"Frameroom does not reach this phone system, so nobody can be permitted {_names(beyond)} there.",
            next_step="What can be permitted is visit (not recorded here).",
        )
    family = families().get(connector)
    if family is None or connector == NO_CONNECTOR:
        return
    can = family.capabilities()
    if beyond := set(operations) - OUTSIDE - can.operations:
        why = "; ".join(f"{one.value}: {can.cannot[one.value]}" for one in sorted(beyond) if one.value in can.cannot)
        raise InvalidError(
            f"This phone system cannot be asked for {_names(beyond)}{f' ({why})' if why else ''}; nobody was asked.",
            next_step=f"What can be permitted there is {_names(can.operations | OUTSIDE)}.",
        )


async def check_askable(scope: Scope, request: Request, now: int) -> Agreement:
    """The agreement under which this may be asked at `now` (Unix ms). Until the commit the system stays in service.

    StateError when it was taken out of service; NotPermittedError when the agreement could never allow it, when too
    many of the engineer's wait, or too soon after a no; InvalidError for a length, ticket or reason that cannot be.
    """
    connector = await _check_in_service(scope, request.system_id)
    agreement = await agreement_of(scope)
    if agreement is None or agreement.state is not AgreementState.CONFIRMED:
        raise NotPermittedError("The customer's agreement is not confirmed.", next_step="Tell the operator.")
    beyond = request.operations - agreement.terms.operations
    if beyond:
        raise NotPermittedError(
            f"The customer's agreement does not allow {_names(beyond)}.",
            next_step=f"It allows {_names(agreement.terms.operations)}.",
        )
    check_reached(connector, request.operations)
    minutes = (request.until_ms - request.from_ms) // MINUTE
    if not 1 <= minutes <= agreement.terms.max_minutes:
        raise InvalidError(f"A visit may last from 1 to {agreement.terms.max_minutes} minutes here.")
    if agreement.terms.ticket_required and not request.ticket:
        raise InvalidError("This customer wants a ticket number.", next_step="Add --ticket NUMBER.")
    if not request.reason.strip():
        raise InvalidError("Say why, in words that the customer understands.", next_step='Add --reason "…".')
    # Whoever answers sees exactly the words that the digest is of, whole and in their order.
    for what, words, most in (
        ("ticket", request.ticket, _LONGEST_TICKET),
        ("reason", request.reason, _LONGEST_REASON),
    ):
        if len(words) > most or CONTROL.search(words):
            raise InvalidError(f"A {what} is at most {most} characters, in one line, without control characters.")
    if agreement.terms.approvals_needed > 1:
        await _check_enough_approvers(scope, agreement.terms.approvals_needed, now)
    waiting = select(requests.c.id).where(
        requests.c.customer_id == scope.customer_id,
        requests.c.engineer_id == request.engineer_id,
        requests.c.state == RequestState.WAITING,
    )
    if len((await scope.execute(waiting)).all()) >= _PENDING_PER_ENGINEER:
        raise NotPermittedError("You have too many requests waiting here.", next_step="Let them be answered first.")
    await _check_not_denied(scope, request, now)
    return agreement


async def _check_not_denied(scope: Scope, request: Request, now: int) -> None:
    # Whoever may ask again at once wears the approver down until they say yes to be left in peace.
    query = select(func.max(requests.c.answered_ms)).where(
        requests.c.customer_id == scope.customer_id, requests.c.engineer_id == request.engineer_id,
        requests.c.system_id == request.system_id, requests.c.state == RequestState.DENIED,
    )  # fmt: skip
    denied_ms = (await scope.execute(query)).scalar_one_or_none()
    if denied_ms is not None and now < denied_ms + _AFTER_DENIAL_MS:
        wait = -(-(denied_ms + _AFTER_DENIAL_MS - now) // MINUTE)
        raise NotPermittedError(
            "The customer said no a short while ago.", next_step=f"Ask again in {wait} min, or ring them."
        )


async def _check_enough_approvers(scope: Scope, needed: int, now: int) -> None:
    query = select(approvers.c.email, approvers.c.id).where(
        approvers.c.customer_id == scope.customer_id, approvers.c.removed_ms.is_(None)
    )
    by_address = {row.email.casefold(): row.id for row in await scope.execute(query)}
    count = await persons(scope, by_address.values(), now)
    if count < needed:
        raise NotPermittedError(
            f"This customer wants {needed} people to say yes, and has {count} who may.",
            next_step="They have to name more, each of whom counts for themselves a week later. Nobody was asked.",
        )
