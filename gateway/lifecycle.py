"""Every state and every transition. Nothing else in Frameroom changes a state.

Rule 1: what a thing may become is decided here and nowhere else, as data. Repositories call `advance` for the new
state and write it together with its event.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from gateway.errors import StateError


class RequestState(StrEnum):
    """A request ends in exactly one of the last four."""

    WAITING = "waiting"
    GRANTED = "granted"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class GrantState(StrEnum):
    """A grant is open, or over for one of two reasons."""

    OPEN = "open"
    REVOKED = "revoked"
    EXPIRED = "expired"


class SessionState(StrEnum):
    """A session gets exactly one of closed and failed."""

    OPEN = "open"
    CLOSED = "closed"
    FAILED = "failed"


class OutsideState(StrEnum):
    """A visit that Frameroom is not in between at ends, and then is told of by the engineer."""

    OPEN = "open"
    ENDED = "ended"
    TOLD = "told"


class OperationState(StrEnum):
    """An intended operation gets exactly one outcome."""

    INTENDED = "intended"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


class AgreementState(StrEnum):
    """An agreement permits nothing before the customer confirmed it."""

    DRAFT = "draft"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"


class LinkState(StrEnum):
    """A one-time link: prepared before the phone system is touched, ready after, then over.

    What an approver opened in order to pass it on is handed over once they say that they did.
    """

    PREPARED = "prepared"
    READY = "ready"
    OPENED = "opened"
    HANDED = "handed"
    EXPIRED = "expired"
    VOID = "void"


class ProposalState(StrEnum):
    """What takes two people: proposed, then in force or on its way (`pending` says that something is still left)."""

    PROPOSED = "proposed"
    WITHDRAWN = "withdrawn"
    ACTIVE = "active"
    PENDING = "pending"
    DONE = "done"


class JobState(StrEnum):
    """Work that the customer asked for: signed by enough of them it is open, then taken, then over."""

    ASKED = "asked"
    OPEN = "open"
    TAKEN = "taken"
    DONE = "done"
    WITHDRAWN = "withdrawn"


State = (
    JobState
    | RequestState
    | GrantState
    | SessionState
    | OutsideState
    | OperationState
    | AgreementState
    | LinkState
    | ProposalState
)

S = TypeVar(
    "S", JobState, RequestState, GrantState, SessionState, OutsideState, OperationState, AgreementState, LinkState,
    ProposalState,
)  # fmt: skip

# A table for each type: members of two StrEnums with one value are equal, so one common table would mix them up.
_TABLES: Final[tuple[Mapping[State, frozenset[State]], ...]] = (
    {
        RequestState.WAITING: frozenset(
            {RequestState.GRANTED, RequestState.DENIED, RequestState.EXPIRED, RequestState.WITHDRAWN}
        ),
        RequestState.GRANTED: frozenset(),
        RequestState.DENIED: frozenset(),
        RequestState.EXPIRED: frozenset(),
        RequestState.WITHDRAWN: frozenset(),
    },
    {
        GrantState.OPEN: frozenset({GrantState.REVOKED, GrantState.EXPIRED}),
        GrantState.REVOKED: frozenset(),
        GrantState.EXPIRED: frozenset(),
    },
    {
        SessionState.OPEN: frozenset({SessionState.CLOSED, SessionState.FAILED}),
        SessionState.CLOSED: frozenset(),
        SessionState.FAILED: frozenset(),
    },
    {
        OutsideState.OPEN: frozenset({OutsideState.ENDED}),
        OutsideState.ENDED: frozenset({OutsideState.TOLD}),
        OutsideState.TOLD: frozenset(),
    },
    {
        OperationState.INTENDED: frozenset(
            {OperationState.DONE, OperationState.REFUSED, OperationState.FAILED, OperationState.UNKNOWN}
        ),
        OperationState.DONE: frozenset(),
        OperationState.REFUSED: frozenset(),
        OperationState.FAILED: frozenset(),
        OperationState.UNKNOWN: frozenset(),
    },
    {
        AgreementState.DRAFT: frozenset({AgreementState.CONFIRMED, AgreementState.WITHDRAWN}),
        AgreementState.CONFIRMED: frozenset({AgreementState.WITHDRAWN, AgreementState.DRAFT}),
        AgreementState.WITHDRAWN: frozenset({AgreementState.DRAFT}),
    },
    {
        LinkState.PREPARED: frozenset({LinkState.READY, LinkState.VOID}),
        LinkState.READY: frozenset({LinkState.OPENED, LinkState.EXPIRED, LinkState.VOID}),
        LinkState.OPENED: frozenset({LinkState.HANDED}),
        LinkState.HANDED: frozenset(),
        LinkState.EXPIRED: frozenset(),
        LinkState.VOID: frozenset(),
    },
    {
        ProposalState.PROPOSED: frozenset(
            {ProposalState.WITHDRAWN, ProposalState.ACTIVE, ProposalState.PENDING, ProposalState.DONE}
        ),
        ProposalState.WITHDRAWN: frozenset(),
        ProposalState.ACTIVE: frozenset({ProposalState.DONE}),
        ProposalState.PENDING: frozenset({ProposalState.DONE, ProposalState.WITHDRAWN}),
        ProposalState.DONE: frozenset(),
    },
    {
        JobState.ASKED: frozenset({JobState.OPEN, JobState.WITHDRAWN}),
        JobState.OPEN: frozenset({JobState.TAKEN, JobState.WITHDRAWN}),
        JobState.TAKEN: frozenset({JobState.DONE, JobState.WITHDRAWN}),
        JobState.DONE: frozenset(),
        JobState.WITHDRAWN: frozenset(),
    },
)
TRANSITIONS: Final = {(type(state), state.value): to for table in _TABLES for state, to in table.items()}


def is_over(state: State) -> bool:
    """True when nothing can follow."""
    return not TRANSITIONS[type(state), state.value]


def advance(current: S, to: S) -> S:
    """The new state, or StateError saying what it is and what it could become."""
    if to not in TRANSITIONS[type(current), current.value]:
        could = ", ".join(sorted(TRANSITIONS[type(current), current.value])) or "nothing: it is over"
        raise StateError(f"it is {current.value} and cannot become {to.value}", next_step=f"It can become {could}.")
    return to
