"""Confirming addresses: what an approver read and looked at becomes, with their own key, what counts from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, insert, select

from audit import address_book
from audit.events import Event
from audit.log import AuditLog
from gateway import notify
from gateway.access.baseline import CONFIRMED
from gateway.access.permission import Permission
from gateway.access.reading import Line, Readings
from gateway.access.signing import Keys, check
from gateway.errors import InvalidError, StateError
from gateway.model import MINUTE, new_id
from gateway.store.address_tables import baseline_rows, baselines, readings
from gateway.store.engine import Scope, Store

_FRESH_MS: Final = 10 * MINUTE
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Drawn:
    """What would be signed: the fields of its words, and whom they are about."""

    data: dict[str, Any]
    lines: Sequence[Line]
    reading: str


class Addresses:
    """Writes a confirmation with its event and its mail. `readings` are what is confirmed."""

    def __init__(self, store: Store, audit: AuditLog, permission: Permission, keys: Keys, readings_: Readings) -> None:
        self._store, self._audit, self._permission, self._keys = store, audit, permission, keys
        self.readings = readings_

    @property
    def now(self) -> int:
        """Unix ms, as the log counts."""
        return self._audit.clock.now()

    async def drawn(
        self, scope: Scope, approver_id: str, system_id: str, reading: str, at_ms: int, *, lock: bool = False
    ) -> Drawn:
        """What is to be confirmed of a reading, now. StateError when there is nothing, or it is another reading."""
        await self.readings.system(scope, system_id)
        current = await self.readings.current(scope, system_id, lock=lock)
        if current is None or current.id != reading:
            raise StateError("The addresses were read anew meanwhile.", next_step="Load the page again, and look.")
        lines = [line async for line in self.readings.lines(scope, current.id, only_new=True)]
        if not lines:
            raise StateError("There is nothing to confirm: all addresses are as you confirmed them.")
        mine = (baselines.c.customer_id == scope.customer_id) & (baselines.c.system_id == system_id)
        before = (await scope.execute(select(func.count()).select_from(baselines).where(mine))).scalar_one()
        wrong = sum(line.left_out for line in lines)
        data = {
            "approver": approver_id, "at_ms": at_ms, "baseline": f"bas_{current.id.removeprefix('rea_')}",
            "before": int(before), "right": len(lines) - wrong, "wrong": wrong, "size": len(lines),
            "root": address_book.root([line.leaf for line in lines]).hex(),
        }  # fmt: skip
        return Drawn(data, lines, current.id)

    async def confirm(
        self, customer_id: str, approver_id: str, system_id: str, reading: str, at_ms: int, answer: Any
    ) -> None:
        """Keep the confirmation. NotPermittedError when the signature is not the approver's own or is over another
        list than this; StateError as `drawn`; InvalidError when `at_ms` is too long ago."""
        if not 0 <= self.now - at_ms <= _FRESH_MS:
            raise InvalidError("It took too long. Nothing was kept.", next_step="Load the page again.")
        async with self._store.scope(customer_id) as scope:
            await self._permission.check_no_recovery(scope)
            drawn = await self.drawn(scope, approver_id, system_id, reading, at_ms, lock=True)
            digest = address_book.digest(customer_id, system_id, drawn.data)
            given = await check(scope, self._keys, approver_id, digest, answer)
            await self._keep(scope, approver_id, system_id, drawn)
            event = Event(CONFIRMED, customer_id, approver_id, system=system_id, data={**drawn.data, **given})
            await self._audit.append(scope.connection, event)
            await self.readings.drop(scope, readings.c.id == drawn.reading)
            await notify.addresses_confirmed(
                scope, system_id, approver_id, drawn.data["right"], drawn.data["wrong"], self.now
            )

    async def _keep(self, scope: Scope, approver_id: str, system_id: str, drawn: Drawn) -> None:
        baseline = drawn.data["baseline"]
        await scope.execute(
            insert(baselines).values(
                customer_id=scope.customer_id, id=baseline, system_id=system_id, approver_id=approver_id,
                canonical=address_book.words(scope.customer_id, system_id, drawn.data), at_ms=drawn.data["at_ms"],
            )
        )  # fmt: skip
        rows = [
            {
                "customer_id": scope.customer_id, "id": new_id("bar"), "baseline_id": baseline, "position": at,
                "subject": line.subject, "salt": line.salt, "leaf": line.leaf.hex(), "is_right": not line.left_out,
            }
            for at, line in enumerate(drawn.lines)
        ]  # fmt: skip
        for start in range(0, len(rows), _CHUNK):
            await scope.execute(insert(baseline_rows), rows[start : start + _CHUNK])

    async def confirmed(self, scope: Scope) -> dict[str, dict[str, Any]]:
        """The newest confirmation of each phone system, by its id: what was signed, as the log has it."""
        rows = await self._audit.confirmed(scope.connection, scope.customer_id)
        return {row.body["system"]: row.body["data"] for row in rows}
