"""The phone systems that an engineer may know of, found by whatever is known of one: a town, an asset, a number."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import phonenumbers
from sqlalchemy import bindparam, func, select

from gateway.model import PhoneSystem
from gateway.store.engine import Scope
from gateway.store.tables import customers, roster, sessions, sites, systems

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

    def answers_to(self, words: str) -> bool:
        """True when every word is part of what is known of it, or the words are a number of its range."""
        about = (
            self.customer, self.system.name, self.site, self.town, self.postcode, self.postcode.replace(" ", ""),
            self.system.asset, self.system.ddi_range, self.system.id,
        )  # fmt: skip
        text = " ".join(about).casefold()
        if all(word in text for word in words.casefold().split()):
            return True
        return bool(_LOOKS_LIKE_NUMBER.fullmatch(words.strip())) and in_range(words, self.system.ddi_range)


def _digits(number: str) -> str | None:
    """The digits of a number in international form; None when it is none."""
    try:
        parsed = phonenumbers.parse(number, "GB")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)).removeprefix("+")


def in_range(number: str, ranges: str) -> bool:
    """True when a number, however typed, is one of "+442079460000-99", "020 7946 0000 to 0099" or a list of such."""
    wanted = _digits(number)
    if wanted is None:
        return False
    for part in re.split(r"[,;\n]", ranges):
        alone = _digits(part)
        if alone is not None and alone == wanted:
            return True
        found = _RANGE.fullmatch(part.strip())
        first = _digits(found["first"]) if found else None
        if found is None or first is None:
            continue
        tail = re.sub(r"\D", "", found["last"])
        last = _digits(found["last"]) if len(tail) >= len(first) - 2 else first[: len(first) - len(tail)] + tail
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
    found = [place for place in found if place.answers_to(words)]
    return sorted(found, key=lambda place: -(place.visited_ms or 0))


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
