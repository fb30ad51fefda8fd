"""Why a person is not erased yet: a legal hold, the statutory floor for access logs, or something that they began."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import LargeBinary, bindparam, func, or_, select

from audit.tables import entries, payloads
from gateway.access.blanking import is_theirs, recoveries
from gateway.access.proposals import HOLD, holds_on
from gateway.access.subjects import Subject
from gateway.choices import FLOOR_MONTHS
from gateway.lifecycle import ProposalState
from gateway.model import DAY
from gateway.store.duties import proposals
from gateway.store.engine import Scope, Store
from gateway.store.outside_tables import outside_visits
from gateway.store.tables import grants, sessions, staff

_LAST_SEEN: Final = {
    "engineer": (
        (sessions.c.engineer_id, sessions.c.opened_ms), (outside_visits.c.engineer_id, outside_visits.c.started_ms),
    ),
    "staff": ((staff.c.id, staff.c.seen_ms),),
}  # fmt: skip
"""Of the company's own: by which columns it is seen when each had access last."""


def floor_ms(at_ms: int) -> int:
    """When the statutory floor of what happened at `at_ms` is over: 13 months of 31 days, never less than the law's."""
    return at_ms + FLOOR_MONTHS * 31 * DAY


async def due_ms(store: Store, subject: Subject, now: int) -> int | None:
    """Until when the law wants a name of the company's kept: who had access is what an access log is for."""
    if subject.kind not in _LAST_SEEN:
        return None
    async with store.look_at_everyone() as scope:
        last = [select(func.max(at)).where(whose == subject.id) for whose, at in _LAST_SEEN[subject.kind]]
        times = [(await scope.execute(query)).scalar_one_or_none() for query in last]
    at_ms = max((time for time in times if time is not None), default=None)
    due = None if at_ms is None else floor_ms(at_ms)
    return due if due is not None and due > now else None


async def held_elsewhere(store: Store, subject: Subject) -> list[str]:
    """Legal holds in customers' logs that a name of the company's is needed for: on visits of theirs or that they
    had a hand in, or on everything of a customer of whom that is so."""
    if subject.kind not in _LAST_SEEN:
        return []
    theirs = [select(t.c.customer_id, t.c.id).where(t.c.engineer_id == subject.id) for t in (sessions, outside_visits)]
    held = select(proposals).where(proposals.c.what == HOLD, proposals.c.state == ProposalState.ACTIVE)
    async with store.look_at_everyone() as scope:
        needed = {word for query in theirs for row in await scope.execute(query) for word in row}
        holds = (await scope.execute(held)).all()
        return sorted([
            str(row.id)
            for row in holds
            if row.target in needed or (subject.kind == "staff" and await _had_a_hand(scope, row, subject.id))
        ])  # fmt: skip


async def begun(store: Store, subject: Subject) -> list[str]:
    """Proposals that have to be over first: what waits for a second person, and they are the first (whoever was erased
    comes back as somebody else, who could be the second), but for what they proposed of themselves; and a recovery of
    their key, which would bring them back."""
    theirs = select(proposals.c.id).where(
        proposals.c.proposed_by == subject.id, proposals.c.state == ProposalState.PROPOSED,
        proposals.c.target != subject.id,
    )  # fmt: skip
    recovered = recoveries(subject).where(proposals.c.state.in_((ProposalState.PROPOSED, ProposalState.PENDING)))
    async with store.look_at_everyone() as scope:
        waiting = set((await scope.execute(theirs)).scalars())
        return sorted(waiting | {row.id for row in await scope.execute(recovered) if is_theirs(row, subject)})


async def holds_over(scope: Scope, subject: Subject, keys: Collection[str]) -> list[str]:
    """Legal holds on them, on everything of the customer's, or on a visit that would tell less without them."""
    found = await holds_on(scope, subject.id)
    held = select(proposals.c.id, proposals.c.target).where(
        proposals.c.log_id == scope.customer_id, proposals.c.what == HOLD, proposals.c.state == ProposalState.ACTIVE
    )
    for row in (await scope.execute(held)).all():
        if row.id not in found and await _tells_of(scope, row.target, subject, keys):
            found.append(row.id)
    return sorted(found)


async def _tells_of(scope: Scope, visit: str, subject: Subject, keys: Collection[str]) -> bool:
    """Whether somebody comes up in a visit, or in the request and the yes that it rests on."""
    table = sessions if visit.startswith("ses_") else outside_visits
    under = select(table.c.grant_id).where(table.c.customer_id == scope.customer_id, table.c.id == visit)
    given = select(grants.c.request_id).where(grants.c.customer_id == scope.customer_id, grants.c.id.in_(under))
    here = (entries.c.log_id == scope.customer_id) & (
        (entries.c.session_id == visit) | entries.c.permission_id.in_(under) | entries.c.permission_id.in_(given)
    )
    joined = (payloads.c.log_id == entries.c.log_id) & (payloads.c.event_id == entries.c.event_id)
    told = select(entries.c.seq).join(payloads, joined).where(here, payloads.c.key_id.in_(keys))
    if (await scope.execute(told.limit(1))).first() is not None:
        return True
    # An approver who signed stands there by id alone: without their name nobody could say who that was.
    return any(
        subject.id.encode() in entry for entry in (await scope.execute(select(entries.c.entry).where(here))).scalars()
    )


async def _had_a_hand(scope: Scope, hold: Any, staff_id: str) -> bool:
    """Whether one of the staff stands in what is held: in a visit, or in anything of the customer's."""
    here = entries.c.log_id == hold.log_id
    if hold.target != hold.log_id:
        here &= or_(entries.c.session_id == hold.target, entries.c.subject == hold.target)
    if scope.connection.dialect.name == "sqlite":  # whose LIKE does not look into bytes
        named = func.instr(entries.c.entry, bindparam("named", staff_id.encode(), LargeBinary)) > 0
    else:
        # Its underscore stands for any letter, which in an id that is random is no matter.
        named = entries.c.entry.op("LIKE")(bindparam("named", f"%{staff_id}%".encode(), LargeBinary))
    return (await scope.execute(select(entries.c.seq).where(here, named).limit(1))).first() is not None
