"""How far a file of changes came (tables `batches`, `batch_rows`): what `--resume` goes by.

A row is `begun` before the phone system is touched, with its operation's id; what became of one that stayed so is
the operation's own outcome. Rows are numbered by their line in the file, which is known by its digest alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from audit.log import AuditLog
from gateway.lifecycle import OperationState
from gateway.model import PhoneSystem, new_id
from gateway.store.engine import Scope, Store
from gateway.store.tables import batch_rows, batches, operations

BEGUN, DONE, UNKNOWN = "begun", "done", "unknown"
_OVER = "over"


def _putting(insert_into: Any) -> Any:
    """What became of a row; its operation is the one that it was begun with, unless another is told."""
    row = insert_into(batch_rows)
    operation = func.coalesce(row.excluded.operation_id, batch_rows.c.operation_id)
    return row.on_conflict_do_update(
        index_elements=[batch_rows.c.customer_id, batch_rows.c.batch_id, batch_rows.c.number],
        set_={"operation_id": operation, "state": row.excluded.state, "code": row.excluded.code},
    )


_PUT: Final = {"sqlite": _putting(sqlite.insert), "postgresql": _putting(postgresql.insert)}


@dataclass(slots=True)
class Batch:
    """One run of a file, or several that resumed it."""

    customer_id: str
    id: str
    total: int
    over: bool
    made_ms: int
    done: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)


class Batches:
    """Reads and writes them; one engineer's, on one phone system."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit

    async def newest(self, system: PhoneSystem, engineer_id: str, digest: str) -> Batch | None:
        """The last run of this very file, with the rows that are done and those whose outcome is unknown."""
        customer = system.customer_id
        query = (
            select(batches)
            .where(
                batches.c.customer_id == customer, batches.c.system_id == system.id,
                batches.c.engineer_id == engineer_id, batches.c.digest == digest,
            )
            .order_by(batches.c.made_ms.desc(), batches.c.id)
            .limit(1)
        )  # fmt: skip
        async with self._store.look(customer) as scope:
            row = (await scope.execute(query)).first()
            if row is None:
                return None
            batch = Batch(customer, row.id, row.total, row.state == _OVER, row.made_ms)
            rows = (
                select(batch_rows.c.number, batch_rows.c.state, operations.c.state.label("outcome"))
                .join(
                    operations,
                    (operations.c.customer_id == batch_rows.c.customer_id)
                    & (operations.c.id == batch_rows.c.operation_id),
                    isouter=True,
                )
                .where(batch_rows.c.customer_id == customer, batch_rows.c.batch_id == row.id)
            )
            for number, state, outcome in await scope.execute(rows):
                became = outcome if state == BEGUN else state
                if became == OperationState.DONE:
                    batch.done.add(number)
                elif became in (OperationState.UNKNOWN, OperationState.INTENDED):
                    batch.unknown.add(number)
        return batch

    async def begin(self, system: PhoneSystem, engineer_id: str, digest: str, total: int) -> Batch:
        """A new run."""
        customer, now = system.customer_id, self._audit.clock.now()
        batch = Batch(customer, new_id("bat"), total, False, now)
        async with self._store.scope(customer) as scope:
            last = select(func.max(batches.c.made_ms)).where(
                batches.c.customer_id == customer, batches.c.digest == digest
            )
            # A later run sorts after an earlier one, also within one millisecond.
            batch.made_ms = max(now, ((await scope.execute(last)).scalar() or 0) + 1)
            await scope.execute(
                insert(batches).values(
                    customer_id=customer, id=batch.id, system_id=system.id, engineer_id=engineer_id, digest=digest,
                    total=total, state="open", made_ms=batch.made_ms,
                )
            )  # fmt: skip
        return batch

    async def begun(self, batch: Batch, number: int, operation_id: str) -> None:
        """Durable before the phone system is touched."""
        async with self._store.scope(batch.customer_id) as scope:
            await self._put(scope, batch, number, operation_id, BEGUN, "")

    async def done(self, scope: Scope, batch: Batch, number: int) -> None:
        """In the transaction of the operation's outcome."""
        await self._put(scope, batch, number, None, DONE, "")

    async def ended(self, batch: Batch, number: int, state: str, code: str) -> None:
        """Refused, failed or unknown."""
        async with self._store.scope(batch.customer_id) as scope:
            await self._put(scope, batch, number, None, state, code)

    async def over(self, batch: Batch) -> None:
        """Every row of it is done."""
        async with self._store.scope(batch.customer_id) as scope:
            here = (batches.c.customer_id == batch.customer_id) & (batches.c.id == batch.id)
            await scope.execute(update(batches).where(here).values(state=_OVER))

    @staticmethod
    async def _put(
        scope: Scope, batch: Batch, number: int, operation_id: str | None, state: str, code: str
    ) -> None:  # fmt: skip
        values = {
            "customer_id": batch.customer_id, "batch_id": batch.id, "number": number, "operation_id": operation_id,
            "state": state, "code": code,
        }  # fmt: skip
        await scope.execute(_PUT[scope.connection.dialect.name], values)
