"""May this engineer do this, here, now? Pure: everything it looks at is a parameter, and it explains itself.

SSH, command line and every later way in ask this one function.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from connectors.contract import NO_CONNECTOR, OUTSIDE, Operation
from gateway.lifecycle import AgreementState, GrantState
from gateway.model import ACCESS_ON, Access, AccessMode, Agreement, Engineer, Grant, Hours, PhoneSystem, Terms


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer. `steps` are the questions asked, in order, each with its answer in words; the last one decided."""

    allowed: bool
    code: str
    words: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a decision rests on, read in one transaction."""

    engineer: Engineer
    on_roster: bool
    system: PhoneSystem
    agreement: Agreement | None
    grant: Grant | None
    now_ms: int
    access: Access = ACCESS_ON
    restrictions: bool = False
    """Whether anybody of the phone system is restricted: nothing is decided by it, but who that is must be asked."""
    switched_on: frozenset[str] = frozenset()
    """Commands of the console, by name, that the customer switched on for the phone system."""


def within_hours(terms: Terms, at_ms: int) -> bool:
    """True when `at_ms` falls in the working hours, in the agreement's own zone (daylight saving counted)."""
    if terms.hours is None:
        return True
    return _in_hours(terms.hours, terms.zone, at_ms)


def _in_hours(hours: Hours, zone: str, at_ms: int) -> bool:
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    minute = local.hour * 60 + local.minute
    return local.isoweekday() in hours.weekdays and hours.start_minute <= minute < hours.end_minute


def access_is_on(access: Access, at_ms: int) -> bool:
    """True when the customer's own switch lets engineers in at `at_ms`; what it does not know, it does not allow."""
    if access.mode is AccessMode.UNTIL:
        return access.until_ms is not None and at_ms < access.until_ms
    if access.mode is AccessMode.WEEKLY:
        return any(_in_hours(hours, access.zone, at_ms) for hours in access.hours)
    return access.mode is AccessMode.ON


def why_not_stay(*, on_roster: bool, access: Access, at_ms: int) -> str | None:
    """Why an open visit ends though its grant holds, in words; None when it may go on."""
    if not on_roster:
        return "the customer struck the engineer off its list"
    if not access_is_on(access, at_ms):
        return (
            "the customer switched access off"
            if access.mode is AccessMode.OFF
            else "the customer's access time is over"
        )
    return None


def why_over(
    state: str, until_ms: int, ended_how: str | None, *, on_roster: bool, access: Access, at_ms: int
) -> str | None:
    """Why a visit under a permission that stands so ends, in words; None when it may go on."""
    if state == GrantState.REVOKED:
        return f"the permission was ended {ended_how}"
    if state == GrantState.EXPIRED or until_ms <= at_ms:
        return "the permitted time is over"
    return why_not_stay(on_roster=on_roster, access=access, at_ms=at_ms)


def decide(facts: Facts, operation: Operation, extra: str | None = None) -> Decision:
    """Ask every question in order; the first no is the answer.

    `extra`: the console's command that is meant, where it is one that stays off until the customer switches it on.
    """
    steps: list[str] = []
    for code, question, fine, refusal in _questions(facts, operation, extra):
        steps.append(f"{question}: {'yes' if fine else 'no'}")
        if not fine:
            return Decision(False, code, refusal, tuple(steps))
    return Decision(True, "permitted", f"{operation.value} is permitted", tuple(steps))


def words_about(decision: Decision, engineer: str) -> str:
    """The answer for somebody else than the engineer, who is named."""
    if decision.code in _OF_THEM:
        return f"{_OF_THEM[decision.code][0]}{engineer}{_OF_THEM[decision.code][1]}"
    return decision.words.replace(_ASK, "The engineer asks with `request`.")


_ASK: Final = "Ask with `request`."
_OF_THEM: Final = {
    "engineer-disabled": ("The account of ", " is switched off."),
    "not-on-roster": ("The customer's list of engineers does not name ", "."),
    "out-of-hours": ("It is outside the customer's working hours, and ", " is not on call."),
}


def _questions(facts: Facts, operation: Operation, extra: str | None) -> list[tuple[str, str, bool, str]]:
    """(code, question, answer, what to say when it is no), in the order in which they are asked."""
    return [*_standing(facts, operation), *_switched(facts, extra), *_permitted(facts, operation)]


def _switched(facts: Facts, extra: str | None) -> list[tuple[str, str, bool, str]]:
    """A command that is off until the customer switches it on for this phone system."""
    if extra is None:
        return []
    return [
        (
            "command-off",
            f"the customer switched {extra} on for this phone system",
            extra in facts.switched_on,
            f"{extra} is off here until the customer switches it on (in the portal, under Console).",
        )
    ]


def _standing(facts: Facts, operation: Operation) -> list[tuple[str, str, bool, str]]:
    """What has to hold whoever permitted what: engineer, phone system, agreement, hours."""
    engineer, agreement = facts.engineer, facts.agreement
    confirmed = agreement is not None and agreement.state is AgreementState.CONFIRMED
    terms = agreement.terms if agreement is not None else None
    in_terms = terms is not None and operation in terms.operations
    in_time = terms is not None and (within_hours(terms, facts.now_ms) or "out-of-hours" in engineer.roles)
    return [
        ("engineer-disabled", "the engineer is enabled", engineer.enabled, "Your account is switched off."),
        (
            "not-on-roster",
            "the customer's list names the engineer",
            facts.on_roster,
            "The customer's list of engineers does not name you.",
        ),
        (
            "access-off",
            "the customer has access switched on",
            access_is_on(facts.access, facts.now_ms),
            "The customer has access switched off now.",
        ),
        (
            "system-removed",
            "the phone system is in service",
            not facts.system.removed,
            "It is out of service.",
        ),
        *_reached(facts.system, operation),
        (
            "agreement-not-confirmed",
            "the agreement is confirmed",
            confirmed,
            "The customer's agreement is not confirmed.",
        ),
        (
            "not-in-agreement",
            f"the agreement names {operation.value}",
            in_terms,
            f"The customer's agreement does not allow {operation.value}.",
        ),
        (
            "out-of-hours",
            "it is within working hours, or the engineer may work outside them",
            in_time,
            "It is outside the customer's working hours, and you are not on call.",
        ),
    ]


def _reached(system: PhoneSystem, operation: Operation) -> list[tuple[str, str, bool, str]]:
    """What Frameroom needs to reach the phone system; a visit that it is not in between at needs nothing of it."""
    if operation in OUTSIDE:
        return []
    if system.connector == NO_CONNECTOR:
        return [
            (
                "no-connector",
                "Frameroom reaches the phone system",
                False,
                "Frameroom does not reach this phone system. What can be permitted here is a visit, which is not "
                "recorded here: `request SYSTEM --ops visit`.",
            )
        ]
    return [
        (
            "no-credential",
            "Frameroom has a credential for the phone system",
            bool(system.sealed_credential),
            "The phone system has no credential yet. The operator gives it one: `frameroom system credential`.",
        )
    ]


def _permitted(facts: Facts, operation: Operation) -> list[tuple[str, str, bool, str]]:
    """What the customer's own permission has to be: given, to this engineer, here, now, for this."""
    engineer, grant = facts.engineer, facts.grant
    ours = (
        grant is not None
        and grant.engineer_id == engineer.id
        and grant.system_id == facts.system.id
        and grant.customer_id == facts.system.customer_id
    )
    is_open = ours and grant is not None and grant.state is GrantState.OPEN
    started = is_open and grant is not None and grant.from_ms <= facts.now_ms
    not_over = is_open and grant is not None and facts.now_ms < grant.until_ms
    named = is_open and grant is not None and operation in grant.operations
    return [
        (
            "no-grant",
            "the customer gave this engineer permission here",
            ours,
            f"The customer gave no permission. {_ASK}",
        ),
        ("grant-over", "the permission is neither revoked nor expired", is_open, "The permission was ended."),
        ("grant-not-begun", "the permission has begun", started, "The permission has not begun yet."),
        ("grant-expired", "the permission is not past its end", not_over, f"The permission has ended. {_ASK}"),
        (
            "not-in-grant",
            f"the permission names {operation.value}",
            named,
            f"The customer's permission does not include {operation.value}. {_ASK}",
        ),
    ]
