"""The phone systems that an engineer may know of, found by whatever is known of one: a town, an asset, a number."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, func, select

from gateway.model import PhoneSystem
from gateway.numbers import HOME, country_of, found_in
from gateway.store.engine import Scope
from gateway.store.tables import agreements, customers, roster, sessions, sites, systems

_LOOKS_LIKE_NUMBER: Final = re.compile(r"\+?[0-9][0-9 ()./-]{5,}")
_RANGE: Final = re.compile(r"(?P<first>.*?[0-9])\s*(?:-|–|/|\.\.|\bto\b)\s*(?P<last>\+?[0-9][0-9 ]*)\s*")


def system_of(row: Any) -> PhoneSystem:
    """The value of a table's row."""
    return PhoneSystem(
        row.customer_id, row.id, row.name, row.connector, row.host, row.port, row.pin, row.settings, row.credential,
        row.site_id, row.asset, row.ddi_range, row.removed_ms is not None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A phone system and where it stands; `visited_ms` is when this engineer was last in (Unix ms), or None."""

    customer: str
    system: PhoneSystem
    site: str
    town: str
    postcode: str
    visited_ms: int | None

    def answers_to(self, words: str, country: str = HOME) -> bool:
        """True when every word is part of what is known of it, or the words are a number of its range, both as they
        are written in `country`."""
        about = (
            self.customer, self.system.name, self.site, self.town, self.postcode, self.postcode.replace(" ", ""),
            self.system.asset, self.system.ddi_range, self.system.id,
        )  # fmt: skip
        text = " ".join(about).casefold()
        if all(word in text for word in words.casefold().split()):
            return True
        return _is_like_number(words) and in_range(words, self.system.ddi_range, country)


def _is_like_number(words: str) -> bool:
    return _LOOKS_LIKE_NUMBER.fullmatch(words.strip()) is not None


def _digits(number: str, country: str) -> str | None:
    """The digits of a number in international form; None when it is none."""
    found = found_in(number, country)
    return found.removeprefix("+") if found is not None else None


def in_range(number: str, ranges: str, country: str = HOME) -> bool:
    """True when a number, however typed, is one of "+442079460000-99", "020 7946 0000 to 0099" or a list of such."""
    wanted = _digits(number, country)
    if wanted is None:
        return False
    for part in re.split(r"[,;\n]", ranges):
        alone = _digits(part, country)
        if alone is not None and alone == wanted:
            return True
        found = _RANGE.fullmatch(part.strip())
        first = _digits(found["first"], country) if found else None
        if found is None or first is None:
            continue
        tail = re.sub(r"\D", "", found["last"])
        last = (
            _digits(found["last"], country) if len(tail) >= len(first) - 2 else first[: len(first) - len(tail)] + tail
        )
        if last is not None and len(first) == len(wanted) == len(last) and first <= wanted <= last:
            return True
    return False


ALL: Final = (  # built once: most commands ask it
    select(systems, customers.c.name.label("customer"), sites.c.name.label("site"), sites.c.town, sites.c.postcode)
    .join(customers, customers.c.id == systems.c.customer_id)
    .join(sites, (sites.c.customer_id == systems.c.customer_id) & (sites.c.id == systems.c.site_id), isouter=True)
    .join(roster, roster.c.customer_id == systems.c.customer_id)
    .where(roster.c.engineer_id == bindparam("of_engineer"), ~roster.c.vetoed, systems.c.removed_ms.is_(None))
    .order_by(customers.c.name, systems.c.name)
)
_ONLY: Final = ALL.where(systems.c.id.in_(bindparam("only", expanding=True)))


_NEWEST: Final = (
    select(agreements.c.customer_id, func.max(agreements.c.version).label("version"))
    .where(agreements.c.customer_id.in_(bindparam("of_customers", expanding=True)))
    .group_by(agreements.c.customer_id)
    .subquery()
)
_TERMS: Final = select(agreements.c.customer_id, agreements.c.terms).join(
    _NEWEST, (_NEWEST.c.customer_id == agreements.c.customer_id) & (_NEWEST.c.version == agreements.c.version)
)


async def places_of(
    scope: Scope, engineer_id: str, words: str = "", *, only: Collection[str] | None = None, recent: bool = False
) -> list[Place]:
    """Phone systems of every customer whose list names the engineer, filtered by words.

    `only` narrows them to these ids. By customer and name; with `recent` the engineer's own last visits come first.
    """
    query, values = (ALL, {"of_engineer": engineer_id}) if only is None else (
        _ONLY, {"of_engineer": engineer_id, "only": list(only)}
    )  # fmt: skip
    visited = await _last_visits(scope, engineer_id) if recent else {}
    found = [place_of(row, visited.get((row.customer_id, row.id))) for row in await scope.execute(query, values)]
    found = await answering(scope, found, words)
    return sorted(found, key=lambda place: -(place.visited_ms or 0))


async def answering(scope: Scope, places: Collection[Place], words: str) -> list[Place]:
    """Those that answer to words (Place.answers_to), each in its own customer's country."""
    if not _is_like_number(words):
        return [place for place in places if place.answers_to(words)]
    asked = {"of_customers": list({place.system.customer_id for place in places})}
    countries = {
        row.customer_id: country_of(json.loads(row.terms)["zone"]) for row in await scope.execute(_TERMS, asked)
    }
    return [place for place in places if place.answers_to(words, countries.get(place.system.customer_id, HOME))]


def place_of(row: Any, visited_ms: int | None = None) -> Place:
    """The value of a row of `ALL`."""
    return Place(str(row.customer), system_of(row), row.site or "", row.town or "", row.postcode or "", visited_ms)


async def _last_visits(scope: Scope, engineer_id: str) -> dict[tuple[str, str], int]:
    last = func.max(sessions.c.opened_ms)
    query = (
        select(sessions.c.customer_id, sessions.c.system_id, last.label("at_ms"))
        .where(sessions.c.engineer_id == engineer_id)
        .group_by(sessions.c.customer_id, sessions.c.system_id)
    )
    return {(row.customer_id, row.system_id): row.at_ms for row in await scope.execute(query)}
