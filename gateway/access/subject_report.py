"""What is held about one person, and who looked at it (GDPR Article 15): from the tables and from their events."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import select

from audit.events import OPERATOR_LOG
from audit.log import Row
from gateway.access.proposals import ERASE
from gateway.access.subjects import PEOPLE, Subject, Subjects
from gateway.identity.staff import names as staff_names
from gateway.store.address_tables import baseline_rows, reading_rows
from gateway.store.duties import proposals, restrictions
from gateway.store.engine import Scope, Store
from gateway.store.tables import directory, engineer_keys, engineers, links, sessions, staff, systems
from gateway.store.telling_tables import absences, channels

Told = dict[str, Any]
_LOOKS: Final = ("looked.audit", "looked.recording", "looked.session", "looked.subject")
_SEEN_BY_ENGINEERS: Final = ("operation.intended", "operation.done")
_AT_ONCE: Final = 500


class SubjectReports:
    """Reads only; whoever asks logs `looked.subject` first."""

    def __init__(self, store: Store, subjects: Subjects) -> None:
        self._store, self._subjects = store, subjects

    async def of(self, subject: Subject) -> Told:
        """{"held", "events", "looked", "recordings", "restricted", "erasures"}: times are Unix ms."""
        async with self._store.look(subject.log) as scope:
            names = await self._names(scope)
            keys = await self._subjects.keys(scope, subject)
            rows = {row.seq: row async for row in self._subjects.events(scope, keys)}
            rows |= {row.seq: row async for row in self._subjects.about(scope, subject.id)}
            mine = [rows[seq] for seq in sorted(rows)]
            visits = sorted({str(row.body["session"]) for row in mine if "session" in row.body})
            looks = [row async for row in self._subjects.looks(scope, visits, subject.id, _LOOKS)]
            held = await self._held(scope, subject)
            events = await self._events(scope, mine, keys, names)
            looked = await self._events(scope, looks, keys, names)
            looked += [one for one in events if one["kind"] in _SEEN_BY_ENGINEERS]
            frozen = select(restrictions.c.placed_ms).where(
                restrictions.c.customer_id == subject.log, restrictions.c.subject == subject.id,
                restrictions.c.ended_ms.is_(None),
            )  # fmt: skip
            asked = select(proposals).where(
                proposals.c.log_id == subject.log, proposals.c.target == subject.id, proposals.c.what == ERASE
            )
            restricted = (await scope.execute(frozen)).scalars().first()
            erasures = [{"id": r.id, "state": r.state, "basis": r.basis} for r in await scope.execute(asked)]
        return {
            "subject": subject.id, "kind": subject.kind, "names": sorted(subject.names),
            "addresses": sorted(subject.addresses), "held": held, "events": events,
            "looked": sorted(looked, key=lambda one: one["at_ms"]), "recordings": await self._recordings(visits),
            "restricted_since_ms": restricted, "erasures": erasures,
        }  # fmt: skip

    async def _names(self, scope: Scope) -> dict[str, str]:
        """Who an actor is, in words: engineers by name, staff by login."""
        named = {r.id: r.name for r in await scope.execute(select(engineers.c.id, engineers.c.name))}
        return named | await staff_names(scope)

    async def _events(
        self, scope: Scope, rows: list[Row], keys: frozenset[str], names: dict[str, str]
    ) -> list[Told]:  # fmt: skip
        own = await self._subjects.own(scope, rows, keys)
        return [_event(row, told, names) for row, told in zip(rows, own, strict=True)]

    async def _held(self, scope: Scope, subject: Subject) -> list[Told]:
        if subject.kind == "user":
            return await self._held_of_user(scope, subject)
        if subject.kind == "staff":
            mine = (await scope.execute(select(staff).where(staff.c.id == subject.id))).one()
            return [{"what": "staff", "login": mine.login, "since_ms": mine.added_ms, "last_seen_ms": mine.seen_ms}]
        if subject.log == OPERATOR_LOG:
            row = (await scope.execute(select(engineers).where(engineers.c.id == subject.id))).one()
            keys = select(engineer_keys.c.fingerprint).where(engineer_keys.c.engineer_id == subject.id)
            prints = list((await scope.execute(keys)).scalars())
            told = {"login": row.login, "name": row.name, "email": row.email, "roles": row.roles, "keys": prints}
            return [{"what": "engineer"} | told | {"one-time codes": row.totp_sealed is not None}]
        table = PEOPLE[subject.id[:3]]
        here = (table.c.customer_id == subject.log) & (table.c.id == subject.id)
        row = (await scope.execute(select(table).where(here))).one()
        told = {name: getattr(row, name) for name in table.c.keys() if name not in {"customer_id", "id"}}  # noqa: SIM118
        return [{"what": subject.kind} | told, *await self._ways(scope, subject)]

    @staticmethod
    async def _ways(scope: Scope, subject: Subject) -> list[Told]:
        """How they are reached beside mail (never the sealed address itself), and when they are away."""
        theirs = (channels.c.approver_id == subject.id) | (channels.c.contact_id == subject.id)
        ways = select(channels).where(channels.c.customer_id == subject.log, theirs).order_by(channels.c.added_ms)
        gone = select(absences).where(absences.c.customer_id == subject.log, absences.c.approver_id == subject.id)
        return [
            {"what": "channel", "name": row.name, "service": row.service, "added_ms": row.added_ms}
            for row in await scope.execute(ways)
        ] + [
            {"what": "absence", "from_ms": row.from_ms, "until_ms": row.until_ms}
            for row in await scope.execute(gone.order_by(absences.c.from_ms))
        ]

    @staticmethod
    async def _held_of_user(scope: Scope, subject: Subject) -> list[Told]:
        names = select(systems.c.id, systems.c.name).where(systems.c.customer_id == subject.log)
        places = {r.id: r.name for r in await scope.execute(names)}
        known = (directory.c.customer_id == subject.log) & (directory.c.subject == subject.id)
        given = (links.c.customer_id == subject.log) & (links.c.subject == subject.id)
        held = [
            {
                "what": "since when their address stands, as a keyed hash", "system": places.get(r.system_id, ""),
                "since_ms": r.since_ms,
            }
            for r in await scope.execute(select(directory).where(known))
        ]  # fmt: skip
        said = (baseline_rows.c.customer_id == subject.log) & (baseline_rows.c.subject == subject.id)
        held += [
            {"what": "whether their address was confirmed, as a salted hash", "right": r.is_right}
            for r in await scope.execute(select(baseline_rows).where(said))
        ]
        waits = (reading_rows.c.customer_id == subject.log) & (reading_rows.c.subject == subject.id)
        held += [
            {"what": "name, extension and address, sealed, until an approver has looked at them", "found": r.found}
            for r in await scope.execute(select(reading_rows).where(waits))
        ]
        held += [
            {"what": "one-time link", "state": r.state, "made_ms": r.made_ms, "opened_ms": r.opened_ms}
            for r in await scope.execute(select(links).where(given).order_by(links.c.made_ms))
        ]
        return held

    async def _recordings(self, visits: list[str]) -> list[Told]:
        found: list[Told] = []
        async with self._store.look_at_everyone() as scope:
            for at in range(0, len(visits), _AT_ONCE):
                query = select(sessions).where(sessions.c.id.in_(visits[at : at + _AT_ONCE]))
                found += [
                    {"visit": r.id, "opened_ms": r.opened_ms, "closed_ms": r.closed_ms, "segments": r.segments}
                    for r in await scope.execute(query)
                ]
        return sorted(found, key=lambda one: one["opened_ms"])


def _event(row: Row, told: dict[str, Any], names: dict[str, str]) -> Told:
    actor = str(row.body.get("actor", "?"))
    return {
        "at_ms": int(row.body.get("time", 0)), "index": row.index, "kind": str(row.body.get("kind", "?")),
        "by": names.get(actor, actor), "visit": str(row.body.get("session", "")), "told": told,
        "operation": str(row.body.get("data", {}).get("name", "")),
    }  # fmt: skip
