"""What a decision of policy rests on, read in one statement: it is asked before every operation."""

from __future__ import annotations

import json
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import Row, Select, String, bindparam, exists, func, select
from sqlalchemy.sql import FromClause

from connectors.contract import Operation
from gateway.access.places import system_of
from gateway.errors import NotFoundError
from gateway.identity.engineers import engineer_of
from gateway.lifecycle import AgreementState, GrantState
from gateway.model import Access, AccessMode, Agreement, Grant, Hours, Terms
from gateway.policy import Facts
from gateway.store.duties import restrictions
from gateway.store.engine import Scope
from gateway.store.tables import access, agreements, engineers, grants, roster, systems


def operations_of(text: str) -> frozenset[Operation]:
    """What a table's column names."""
    return frozenset(Operation(word) for word in text.split())


def grant_of(row: Any) -> Grant:
    """The value of a table's row."""
    return Grant(
        row.customer_id, row.id, row.request_id, row.system_id, row.engineer_id, operations_of(row.operations),
        row.from_ms, row.until_ms, GrantState(row.state), row.version, row.how, tuple(row.approver_ids.split()),
        row.job_id,
    )  # fmt: skip


@lru_cache(256)
def _terms(text: str) -> Terms:
    return Terms.model_validate_json(text)


def agreement_from(row: Any) -> Agreement:
    """The value of a table's row."""
    return Agreement(row.customer_id, row.version, AgreementState(row.state), _terms(row.terms))


def switch_of(row: Any) -> Access:
    """The value of a table's row; of a row whose mode is NULL (an outer join that found none), access that is on."""
    if row.mode is None:
        return Access()
    hours = tuple(Hours.model_validate(one) for one in json.loads(row.hours))
    return Access(AccessMode(row.mode), row.access_until_ms, hours, row.zone)


SWITCH: Final = (access.c.mode, access.c.until_ms.label("access_until_ms"), access.c.hours, access.c.zone)
"""What switch_of reads."""


_CUSTOMER: Final = bindparam("customer", type_=String)
_SYSTEM: Final = bindparam("system", type_=String)
_ENGINEER: Final = bindparam("engineer", type_=String)
_GRANT: Final = bindparam("grant", type_=String)
_ITS_GRANT: Final = select(grants.c.id).where(grants.c.customer_id == _CUSTOMER, grants.c.id == _GRANT)
_LOCK: Final = _ITS_GRANT.with_for_update()
_LOCK_IF_FREE: Final = _ITS_GRANT.with_for_update(skip_locked=True)


_TABLES: Final = (engineers, systems, agreements, grants)


def _statement() -> Select[Any]:
    versions = agreements.alias()
    newest = (
        select(func.max(versions.c.version)).where(versions.c.customer_id == systems.c.customer_id).scalar_subquery()
    )
    joined: FromClause = (
        systems.join(engineers, engineers.c.id == _ENGINEER)
        .outerjoin(roster, (roster.c.customer_id == systems.c.customer_id) & (roster.c.engineer_id == engineers.c.id))
        .outerjoin(agreements, (agreements.c.customer_id == systems.c.customer_id) & (agreements.c.version == newest))
        .outerjoin(access, access.c.customer_id == systems.c.customer_id)
        .outerjoin(grants, (grants.c.customer_id == systems.c.customer_id) & (grants.c.id == _GRANT))
    )
    wanted = [column for table in _TABLES for column in table.c]
    here = (systems.c.customer_id == _CUSTOMER) & (systems.c.id == _SYSTEM)
    restricted = exists().where(
        restrictions.c.customer_id == systems.c.customer_id, restrictions.c.system_id == systems.c.id,
        restrictions.c.ended_ms.is_(None),
    )  # fmt: skip
    return select(roster.c.vetoed, restricted, *SWITCH, *wanted).select_from(joined).where(here)


_FACTS: Final = _statement()


async def locked_at_once(scope: Scope, grant_id: str) -> bool:
    """Whether the grant's row is locked now, as `facts_of` locks it: nobody who has it is waited for."""
    if scope.connection.dialect.name == "sqlite":
        return True
    values = {"customer": scope.customer_id, "grant": grant_id}
    return (await scope.execute(_LOCK_IF_FREE, values)).first() is not None


async def facts_of(
    scope: Scope, engineer_id: str, system_id: str, grant_id: str | None, now_ms: int, *, lock: bool
) -> Facts:
    """Everything a decision rests on, as it stands in this transaction at `now_ms` (Unix ms).

    With `lock` nobody changes the grant before the commit: what is read is read after its row was got.
    NotFoundError when this customer has no such grant.
    """
    values = {"customer": scope.customer_id, "system": system_id, "engineer": engineer_id, "grant": grant_id}
    if lock and grant_id and scope.connection.dialect.name != "sqlite":  # whose scopes hold the one write lock
        await scope.execute(_LOCK, values)
    row = (await scope.execute(_FACTS, values)).one()
    engineer, system, agreement, grant = _apart(row)
    if grant_id and grant is None:
        raise NotFoundError("there is no such permission", next_step="`frameroom grant list` shows them.")
    return Facts(
        engineer_of(engineer), row[0] is False, system_of(system), agreement and agreement_from(agreement),
        grant and grant_of(grant), now_ms, switch_of(row), bool(row[1]),
    )  # fmt: skip


def _apart(row: Row[Any]) -> list[Any]:
    """Each table's share of the joined row, by its columns' own names; None where an outer join found none."""
    found: list[Any] = []
    place = 2 + len(SWITCH)
    for table in _TABLES:
        names, place = table.c.keys(), place + len(table.c)
        share = dict(zip(names, row[place - len(names) : place], strict=True))
        found.append(SimpleNamespace(**share) if share["id"] is not None else None)
    return found
