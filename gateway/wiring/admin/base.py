"""What every part of `Admin` stands on: finding what a command names, and telling of more than fits one answer."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError
from sqlalchemy import ColumnElement, Select, Table, select

from audit.events import OPERATOR_LOG, Event, Personal
from audit.log import Row as Entry
from audit.told import shown
from gateway.access.places import system_of
from gateway.errors import AmbiguousError, InvalidError, NotFoundError
from gateway.identity.staff import Names
from gateway.model import Engineer, PhoneSystem
from gateway.store.engine import Scope
from gateway.store.outside_tables import outside_visits
from gateway.store.tables import customers, engineers, sessions, systems
from gateway.wiring.asking import Gathered as Gathered
from gateway.wiring.asking import Row as Row
from gateway.wiring.asking import Stream as Stream

if TYPE_CHECKING:
    from gateway.wiring.app import App
    from gateway.wiring.parts import Parts

LIMIT: Final = 200
"""Rows of a list, unless another number is asked for."""
SHORTEST_PREFIX: Final = 8
"""Characters of an id that stand for the whole of it, where no other begins with them."""


def when(at_ms: int | None) -> str:
    """A time as it travels and as JSON shows it: ISO 8601 in UTC, to the second; "" for none."""
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def invalid(error: ValidationError, model: type[BaseModel], what: str, examples: Mapping[str, str]) -> InvalidError:
    """pydantic's findings in words: each with its key, what was expected, and an example where there is one."""
    known = [field.alias or name for name, field in model.model_fields.items()]
    lines = []
    for one in error.errors(include_url=False, include_context=False):
        key = ".".join(str(part) for part in one["loc"])
        top = str(one["loc"][0]) if one["loc"] else ""
        words = str(one["msg"]).removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            near = difflib.get_close_matches(top, known, 1, 0.5)
            words = f"no such key; did you mean {near[0]}?" if near else f"no such key; there are {', '.join(known)}"
        elif one["type"] == "missing":
            words = "is missing"
        example = f"; for example {examples[top]}" if top in examples and one["type"] != "extra_forbidden" else ""
        lines.append(f"  {key or what}: {words}{example}")
    return InvalidError("\n".join([f"{what} cannot be taken:", *lines]), next_step="Nothing was changed.")


class Base:
    """`actor` is the id of whoever calls (gateway/identity/staff.py); it stands in every event."""

    def __init__(self, parts: Parts, app: App | None = None) -> None:
        self._parts, self._app = parts, app

    async def _customer(self, name: str) -> str:
        return await self._parts.directory.customer_id(name)

    async def _engineer(self, login: str) -> Engineer:
        async with self._parts.store.look(OPERATOR_LOG) as scope:
            return await self._parts.engineers.by_login(scope, login)

    async def _row(self, table: Table, given: str, what: str, command: str) -> Any:
        """The row of any customer whose id is, or begins with, what was given; at least 8 characters of it."""
        async with self._parts.store.look_at_everyone() as scope:
            found = (await scope.execute(select(table).where(table.c.id == given))).all()
            if not found and len(given) >= SHORTEST_PREFIX:
                begins = table.c.id.startswith(given, autoescape=True)
                found = (await scope.execute(select(table).where(begins).limit(20))).all()
        if len(found) > 1:
            raise AmbiguousError(f"several ids begin with {given}:", tuple(str(row.id) for row in found))
        if not found:
            raise NotFoundError(f"there is no such {what}", next_step=f"`frameroom {command}` shows them.")
        return found[0]

    async def _any_visit(self, given: str) -> Any:
        """The row of a visit, recorded here or not. As `_row`."""
        if given.startswith("vis_"):
            return await self._row(outside_visits, given, "visit", "visit list")
        return await self._row(sessions, given, "visit", "session list")

    async def _system(self, name: str, customer: str | None = None) -> PhoneSystem:
        """A phone system by id, or by its name where that is one customer's; those in service come first."""
        begins = systems.c.id.startswith(name, autoescape=True)
        query = (
            select(systems, customers.c.name.label("customer"))
            .join(customers, customers.c.id == systems.c.customer_id)
            .where((systems.c.name == name) | begins if len(name) >= SHORTEST_PREFIX else systems.c.name == name)
            .order_by(customers.c.name)
        )
        if customer is not None:
            query = query.where(systems.c.customer_id == await self._customer(customer))
        async with self._parts.store.look_at_everyone() as scope:
            rows = (await scope.execute(query)).all()
        named = [row for row in rows if row.id == name] or [row for row in rows if row.name == name]
        rows = named or rows
        rows = [row for row in rows if row.removed_ms is None or row.id == name] or rows
        if not rows:
            where = "" if customer is None else f" at {customer}"
            raise NotFoundError(
                f"no phone system is called {name}{where}", next_step="`frameroom system list` shows them."
            )
        if len(rows) > 1:
            raise AmbiguousError(
                f"several phone systems are called {name}:", tuple(f"{r.customer}: {r.name} ({r.id})" for r in rows),
                next_step="Say whose with --customer NAME, or give the id.",
            )  # fmt: skip
        return system_of(rows[0])

    async def _narrowed(
        self, query: Select[Any], table: Table, customer: str | None, system: str | None, engineer: str | None
    ) -> Select[Any]:
        """The query for this customer, phone system and engineer alone, where they are given."""
        if system is not None:
            found = await self._system(system, customer)
            query = query.where(table.c.customer_id == found.customer_id, table.c.system_id == found.id)
        elif customer is not None:
            query = query.where(table.c.customer_id == await self._customer(customer))
        if engineer is not None:
            query = query.where(table.c.engineer_id == (await self._engineer(engineer)).id)
        return query

    async def _look(self, scope: Scope, kind: str, actor: str, why: str, **rest: Any) -> None:
        """Log that somebody looks, in the caller's transaction: before anything of it is shown."""
        await self._parts.audit.append(scope.connection, looked(scope.customer_id, kind, actor, why, **rest))


def looked(log: str, kind: str, actor: str, why: str, **rest: Any) -> Event:
    """Somebody looked: what a log says of it. InvalidError without a reason."""
    if not why.strip():
        raise InvalidError("say why you look: it stands in the log", next_step='Add --why "…".')
    data = {"who": actor} | rest.pop("data", {})
    key = "operator" if log == OPERATOR_LOG else f"customer:{log}"
    return Event(kind, log, actor, data=data, personal=(Personal("why", why, key),), **rest)


def told(row: Entry, personal: Mapping[str, Any] | None, staff: Names) -> Row:
    """An entry of the log as it is shown; `personal` None when what was sealed of it does not hold. `staff`: the logins
    of the maintainer's own people, by id."""
    body = row.body
    if personal is None:
        personal = {"sealed": "(does not hold: `frameroom audit verify` says where)"}
    ids = {name: body[name] for name in ("system", "session", "request", "grant", "operation") if name in body}
    data = body.get("data")
    words = (data if isinstance(data, dict) else {}) | dict(personal)
    at = body.get("time")
    values = {name: staff[value] if type(value) is str else value for name, value in (words | ids).items()}
    said = [f"{name.removesuffix('_ms')}={shown(name, value)}" for name, value in values.items()]
    return {
        "index": row.index, "time": when(at if isinstance(at, int) else None), "kind": body.get("kind", "?"),
        "actor": staff[str(body.get("actor", "?"))], "told": "; ".join(said),
    }  # fmt: skip


def with_names(table: Table) -> Select[Any]:
    """Rows of a table of permission or visits, with the names of engineer, phone system and customer."""
    here = (systems.c.customer_id == table.c.customer_id) & (systems.c.id == table.c.system_id)
    return (
        select(
            table, engineers.c.name.label("engineer"), engineers.c.login, systems.c.name.label("system"),
            customers.c.name.label("customer"),
        )
        .join(engineers, engineers.c.id == table.c.engineer_id)
        .join(systems, here)
        .join(customers, customers.c.id == table.c.customer_id)
    )  # fmt: skip


def only_state(table: Table, state: str | None) -> Sequence[ColumnElement[bool]]:
    """The condition that a list's --state asks for."""
    return () if state is None else (table.c.state == state,)
