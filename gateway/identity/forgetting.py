"""Codes end with what they hang on: turned off by their person, or with a key that is lost."""

from __future__ import annotations

from sqlalchemy import delete, select

from audit.events import Event
from audit.log import AuditLog
from gateway import notify
from gateway.store.engine import Scope
from gateway.store.sign_in_tables import code_links, reading_codes
from gateway.store.tables import approvers


async def email_of(scope: Scope, approver_id: str) -> str:
    """An approver's address."""
    here = (approvers.c.customer_id == scope.customer_id) & (approvers.c.id == approver_id)
    return str((await scope.execute(select(approvers.c.email).where(here))).scalar_one())


async def forget_codes(scope: Scope, audit: AuditLog, actor: str, approver_id: str) -> None:
    """Take somebody's codes and the links for them away, in the caller's transaction; told and logged if there were
    any."""
    mine = (code_links.c.customer_id == scope.customer_id) & (code_links.c.approver_id == approver_id)
    await scope.execute(delete(code_links).where(mine))
    theirs = (reading_codes.c.customer_id == scope.customer_id, reading_codes.c.id == approver_id)
    counted = reading_codes.c.confirmed_ms.is_not(None)
    query = select(reading_codes.c.id).where(*theirs, counted)
    there = (await scope.execute(query)).first() is not None
    await scope.execute(delete(reading_codes).where(*theirs))
    if there:
        data = {"approver": approver_id}
        await audit.append(scope.connection, Event("approver.code_removed", scope.customer_id, actor, data=data))
        await notify.codes_turned(scope, await email_of(scope, approver_id), False, audit.clock.now())
