"""What stands of a person in the tables, outside the log: counted for a plan, and blanked when they are erased."""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import Select, delete, func, select, update

from audit.events import OPERATOR_LOG
from audit.tables import known_by
from gateway.access.baseline import forget
from gateway.access.leaving import forget_ways_in
from gateway.access.proposals import RECOVER
from gateway.access.subjects import PEOPLE, Subject
from gateway.lifecycle import LinkState
from gateway.store.address_tables import baseline_rows, reading_rows
from gateway.store.duties import proposals
from gateway.store.engine import Scope
from gateway.store.tables import backup_codes, directory, engineer_keys, engineers, links, outbox, staff
from gateway.store.telling_tables import absences, channels

_GONE: Final = "(erased)"


def _letters(subject: Subject) -> Any:
    wanted = {address.casefold() for address in subject.addresses}
    here = func.lower(outbox.c.address).in_(wanted)
    return here if subject.log == OPERATOR_LOG else (outbox.c.customer_id == subject.log) & here


def recoveries(subject: Subject) -> Select[Any]:
    """Where a key was, or is to be, recovered at their customer's."""
    return select(proposals).where(proposals.c.log_id == subject.log, proposals.c.what == RECOVER)


def is_theirs(row: Any, subject: Subject) -> bool:
    """Whether a recovery is of this person's key."""
    who = json.loads(row.plan)
    addresses = {address.casefold() for address in subject.addresses}
    return bool(who["approver_id"] == subject.id or who["email"].casefold() in addresses)


async def _blank_recoveries(scope: Scope, subject: Subject) -> None:
    for row in (await scope.execute(recoveries(subject))).all():
        if is_theirs(row, subject):
            plan = json.dumps({"approver_id": subject.id, "name": _GONE, "email": "", "phone": ""})
            here = (proposals.c.log_id == row.log_id) & (proposals.c.id == row.id)
            await scope.execute(update(proposals).where(here).values(plan=plan))


async def rows_of(scope: Scope, subject: Subject) -> dict[str, int]:
    """Rows outside the log that hold something of the person, by what they are."""
    counted = {"mail that waits": select(func.count()).select_from(outbox).where(_letters(subject))}
    if subject.kind == "user":
        known = (directory.c.customer_id == subject.log) & (directory.c.subject == subject.id)
        waits = (links.c.customer_id == subject.log) & (links.c.subject == subject.id) & links.c.sealed.is_not(None)
        counted["what was remembered of their address"] = select(func.count()).select_from(directory).where(known)
        named = {"what was confirmed of their address": baseline_rows, "addresses to be confirmed": reading_rows}
        for name, table in named.items():
            theirs = (table.c.customer_id == subject.log) & (table.c.subject == subject.id)
            counted[name] = select(func.count()).select_from(table).where(theirs)
        counted["one-time links"] = select(func.count()).select_from(links).where(waits)
    found = {name: int((await scope.execute(query)).scalar_one()) for name, query in counted.items()}
    return found if subject.kind == "user" else {subject.kind: 1} | found


async def _blank_ways(scope: Scope, subject: Subject) -> None:
    """Where they were reached beside mail, and when they were away."""
    mine = (channels.c.customer_id == subject.log) & (
        (channels.c.approver_id == subject.id) | (channels.c.contact_id == subject.id)
    )
    ids = list((await scope.execute(select(channels.c.id).where(mine))).scalars())
    await scope.execute(delete(outbox).where(outbox.c.customer_id == subject.log, outbox.c.channel_id.in_(ids)))
    await scope.execute(delete(channels).where(mine))
    gone = (absences.c.customer_id == subject.log) & (absences.c.approver_id == subject.id)
    await scope.execute(delete(absences).where(gone))
    await forget_ways_in(Scope(scope.connection, subject.log), subject.id)


async def blank_rows(scope: Scope, subject: Subject, now: int) -> None:
    """Blank what stands of the person outside the log, in the caller's transaction."""
    await scope.execute(delete(outbox).where(_letters(subject)))
    if subject.kind == "user":
        known = (directory.c.customer_id == subject.log) & (directory.c.subject == subject.id)
        await scope.execute(delete(directory).where(known))
        words = (known_by.c.log_id == subject.log) & (known_by.c.subject == subject.id)
        await scope.execute(delete(known_by).where(words))
        await forget(scope, subject.id)
        live = links.c.state.in_((LinkState.PREPARED, LinkState.READY))
        mine = (links.c.customer_id == subject.log) & (links.c.subject == subject.id)
        await scope.execute(update(links).where(mine, live).values(state=LinkState.VOID, sealed=None))
        return
    if subject.kind == "engineer":
        values: dict[str, Any] = {"name": _GONE, "email": "", "enabled": False, "totp_sealed": None, "roles": ""}
        values["login"] = f"erased.{subject.id.removeprefix('eng_')}"
        await scope.execute(update(engineers).where(engineers.c.id == subject.id).values(**values))
        for table in (engineer_keys, backup_codes):
            await scope.execute(delete(table).where(table.c.engineer_id == subject.id))
        return
    if subject.kind == "staff":
        await scope.execute(update(staff).where(staff.c.id == subject.id).values(login=None))
        return
    await _blank_ways(scope, subject)
    await _blank_recoveries(scope, subject)
    table = PEOPLE[subject.id[:3]]
    blank = {"name": _GONE, "email": "", "phone": ""}
    blank |= {name: "" for name in ("position", "mobile") if name in table.c}
    here = (table.c.customer_id == subject.log) & (table.c.id == subject.id)
    removed = func.coalesce(table.c.removed_ms, now)
    await scope.execute(update(table).where(here).values(removed_ms=removed, **blank))
