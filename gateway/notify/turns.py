"""Who of a customer's approvers is asked, in which turn, and who stands in for whom.

The order is the operator's (`approver order`); without one, that in which they were named, each in a turn of their own.
Whoever is away is not asked: their deputy is, in their place. Pure but for `rota_of`, which reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from sqlalchemy import select

from gateway.store.engine import Scope
from gateway.store.tables import approvers
from gateway.store.telling_tables import absences, asking

_LAST: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Approver:
    """One who may be asked. `place`: those of one place are asked together; None: alone, after the others."""

    id: str
    name: str
    email: str
    place: int | None = None
    deputy_id: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One person who is asked. `instead_of`: the name of whoever is away, or has not answered, for whom they stand."""

    approver: Approver
    instead_of: str = ""


@dataclass(frozen=True, slots=True)
class Rota:
    """A customer's approvers in order. `away`: who is away now, and who was named to stand in (None: nobody)."""

    approvers: tuple[Approver, ...]
    away: Mapping[str, str | None]

    def _by_id(self, approver_id: str | None) -> Approver | None:
        return next((one for one in self.approvers if one.id == approver_id), None)

    def deputy(self, approver: Approver) -> Approver | None:
        """Who stands in for them now: their deputy, or, when that one is away, the deputy's."""
        seen, one = {approver.id}, approver
        while True:
            named = self._by_id(self.away.get(one.id) or one.deputy_id)
            if named is None or named.id in seen:
                return None
            if named.id not in self.away:
                return named
            seen.add(named.id)
            one = named

    def _groups(self) -> list[list[Approver]]:
        alone = enumerate(self.approvers)
        return [
            [one for _, one in group]
            for _, group in groupby(alone, lambda at: (at[1].place or _LAST, 0 if at[1].place else at[0]))
        ]

    def numbers(self) -> dict[str, int]:
        """In which turn each is, from 1, whoever is away."""
        return {one.id: number for number, group in enumerate(self._groups(), 1) for one in group}

    def turns(self) -> list[list[Turn]]:
        """Everybody who can be asked, turn by turn, each person once; all of them at once when all are away."""
        found: list[list[Turn]] = []
        seen: set[str] = set()
        for group in self._groups():
            turn: list[Turn] = []
            for one in group:
                stands = one if one.id not in self.away else self.deputy(one)
                if stands is not None and stands.id not in seen:
                    seen.add(stands.id)
                    turn.append(Turn(stands, "" if stands is one else one.name))
            found += [turn] if turn else []
        return found or ([[Turn(one) for one in self.approvers]] if self.approvers else [])

    def first(self, needed: int) -> list[Turn]:
        """Whom to ask first: as many turns as give `needed` persons."""
        asked: list[Turn] = []
        for turn in self.turns():
            if len(asked) >= needed:
                break
            asked += turn
        return asked

    def following(self, asked: Collection[str]) -> list[Turn]:
        """The next turn with somebody who was not asked yet; [] when everybody was."""
        for turn in self.turns():
            if left := [one for one in turn if one.approver.id not in asked]:
                return left
        return []

    def deputies(self, asked: Collection[str]) -> list[Turn]:
        """The deputies of those who were asked and did not answer, as far as they were not asked themselves."""
        found: dict[str, Turn] = {}
        for one in self.approvers:
            deputy = self.deputy(one) if one.id in asked else None
            if deputy is not None and deputy.id not in asked:
                found.setdefault(deputy.id, Turn(deputy, one.name))
        return list(found.values())


def _approver(row: Any) -> Approver:
    return Approver(row.id, row.name, row.email, row.place, row.deputy_id)


async def rota_of(scope: Scope, now: int) -> Rota:
    """As it stands at `now` (Unix ms)."""
    here = (asking.c.customer_id == approvers.c.customer_id) & (asking.c.id == approvers.c.id)
    query = (
        select(approvers, asking.c.place, asking.c.deputy_id)
        .outerjoin(asking, here)
        .where(approvers.c.customer_id == scope.customer_id, approvers.c.removed_ms.is_(None))
    )
    rows = [_approver(row) for row in await scope.execute(query.order_by(approvers.c.added_ms, approvers.c.name))]
    gone = (
        select(absences.c.approver_id, absences.c.deputy_id)
        .where(absences.c.customer_id == scope.customer_id)
        .where(absences.c.from_ms <= now, absences.c.until_ms > now)
        .order_by(absences.c.from_ms)
    )
    away = {row.approver_id: row.deputy_id for row in await scope.execute(gone)}
    return Rota(tuple(sorted(rows, key=lambda one: one.place or _LAST)), away)
