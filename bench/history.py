"""Years of a company's log, made quickly: rows of the form, length and mix of real ones, straight into the tables.

Nothing is signed or numbered into a tree here, and no append is measured: it is for what reads a long log.
"""

from __future__ import annotations

import hashlib
import json
import random
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from sqlalchemy import Table, insert

from audit.canonical import encode
from audit.finding import columns_of, names_in
from audit.sealing import FileKeyStore, commitment, seal
from audit.tables import entries, known_by, logs, payloads
from gateway.store.engine import Store
from gateway.store.tables import customers, engineers, grants, requests, sessions, systems

CUSTOMERS, SYSTEMS, ENGINEERS, PEOPLE = 300, 600, 40, 60
"""People: of each phone system, those who come up in operations."""
BEGAN_MS: Final = 1_764_000_000_000
APART_MS: Final = 1_500
_NAMES: Final = ("view",) * 12 + ("find",) * 4 + ("alter",) * 3 + ("reset.voicemail",) * 2 + ("diag", "reset.sip")
ENTRY_COLUMNS: Final = tuple(c.name for c in entries.columns)
_PAYLOADS: Final = tuple(c.name for c in payloads.columns)
_KNOWN: Final = tuple(c.name for c in known_by.columns)


@dataclass(frozen=True)
class Place:
    """A phone system, whose it is, and the ids of its users."""

    customer: str
    system: str
    people: tuple[str, ...]


class History:
    """The same visits in the same order for the same number of entries."""

    def __init__(self, keys: FileKeyStore) -> None:
        self._keys = keys
        self.chance = random.Random(1)  # noqa: S311 - places, not secrets
        self._random = random.Random(2)  # noqa: S311 - ids that nobody has to guess
        ids = [self._lasting("cus") for _ in range(CUSTOMERS)]
        self.customers = tuple(ids)
        self.engineers = tuple(self._lasting("eng") for _ in range(ENGINEERS))
        self.places = tuple(
            Place(ids[n % CUSTOMERS], self._lasting("sys"), tuple(self._lasting("sub") for _ in range(PEOPLE)))
            for n in range(SYSTEMS)
        )
        self._sizes: dict[str, int] = {}
        self._seq = 0
        self.payloads: list[tuple[Any, ...]] = []
        self.known: set[tuple[str, str, str]] = set()
        self.visits: list[dict[str, Any]] = []
        """Some of those that were made, as the other tables know them."""
        self.people: list[tuple[str, str]] = []
        """Customer and id of persons who were changed."""

    def _lasting(self, what: str) -> str:
        return f"{what}_f{self._random.getrandbits(92):023x}"

    def _id(self, what: str) -> str:
        # The four noughts are what a copy of the entry has otherwise.
        return f"{what}_0000{self._random.getrandbits(80):020x}"

    def rows(self, count: int) -> Iterator[tuple[Any, ...]]:
        """So many rows of `entries`, in order of `ENTRY_COLUMNS`."""
        while self._seq < count:
            for row in self._permission():
                if self._seq <= count:
                    yield row

    def _permission(self) -> Iterator[tuple[Any, ...]]:
        """What one permission leaves: the request, and two visits under it."""
        place = self.places[min(int(self.chance.expovariate(4 / SYSTEMS)), SYSTEMS - 1)]
        engineer = self.engineers[min(int(self.chance.expovariate(4 / ENGINEERS)), ENGINEERS - 1)]
        request, grant, number = self._id("req"), self._id("grt"), self._seq // 24
        asked = {"actor": engineer, "system": place.system, "request": request}
        ticket = f"T-{number}"
        listed = {"engineer": engineer, "operations": ["alter", "find", "view"], "digest": "d" * 64}
        yield self._row(place, "request.submitted", asked, listed, {"ticket": ticket}, ticket=ticket)
        granted = {"how": "signed", "operations": ["alter", "find", "view"]}
        yield self._row(place, "request.granted", asked | {"grant": grant}, granted)
        for _ in range(2):
            visit = self._id("ses")
            if number % 29 == 0:
                self.visits.append({"place": place, "engineer": engineer, "request": request, "grant": grant,
                                    "session": visit, "ticket": ticket, "operation": ""})  # fmt: skip
            yield from self._visit(place, {"actor": engineer, "system": place.system, "session": visit, "grant": grant})

    def _visit(self, place: Place, ids: dict[str, str]) -> Iterator[tuple[Any, ...]]:
        yield self._row(place, "session.opened", ids, {"engineer": ids["actor"], "factor": "fido2"})
        for _ in range(3):
            about = ids | {"operation": self._id("op"), "subject": self.chance.choice(place.people)}
            name = "remove" if self.chance.random() < 0.002 else self.chance.choice(_NAMES)
            yield self._row(place, "operation.intended", about, {"name": name})
            luck = self.chance.random()
            kind = "operation.done" if luck > 0.03 else "operation.failed" if luck > 0.01 else "operation.refused"
            kind = "operation.unknown" if luck < 0.0001 else kind
            seen = {"before": person(about["subject"])} if kind == "operation.done" and name == "alter" else {}
            yield self._row(place, kind, about, {"name": name, "count": 1}, seen)
        session = {"actor": "recorder", "session": ids["session"]}
        for n in range(2):
            yield self._row(place, "recording.segment", session, {"n": n, "digest": "e" * 64, "bytes": 9_000})
        yield self._row(place, "recording.closed", session, {"segments": 2, "digest": "e" * 64, "bytes": 18_000})
        yield self._row(place, "session.closed", ids, {"reason": "left", "operations": 3, "segments": 2})

    def _row(
        self, place: Place, kind: str, ids: dict[str, str], data: dict[str, Any],
        personal: dict[str, Any] | None = None, ticket: str | None = None,
    ) -> tuple[Any, ...]:  # fmt: skip
        self._seq += 1
        log, event_id = place.customer, self._id("evt")
        body: dict[str, Any] = {"data": data, "id": event_id, "kind": kind, "log": log, "v": 1} | ids
        body["time"] = BEGAN_MS + self._seq * APART_MS
        if personal:
            body["commit"] = self._sealed(log, event_id, personal, ids.get("subject"))
        entry = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        index = self._sizes.get(log, 0)
        self._sizes[log] = index + 1
        keyed = None if ticket is None else self._keys.keyed(log, "ticket", ticket)
        _, time_ms, session, operation, subject, *rest = columns_of(body)
        return (self._seq, log, index, event_id, kind, time_ms, session, operation, subject, *rest, keyed, entry,
                hashlib.sha256(b"\0" + entry).digest())  # fmt: skip

    def _sealed(self, log: str, event_id: str, personal: dict[str, Any], subject: str | None) -> dict[str, str]:
        key_id = f"customer:{log}"
        key = self._keys.get_or_create(log, key_id)
        fields = {name: {"salt": secrets.token_hex(32), "value": value} for name, value in personal.items()}
        context = f"payload\0{event_id}\0{key_id}".encode()
        self.payloads.append((log, event_id, key_id, seal(key, context, encode(fields))))
        if subject is not None:
            self.people.append((log, subject))
            for word in names_in(personal["before"]):
                self.known.add((log, self._keys.keyed(log, "word", word), subject))
        return {name: commitment(bytes.fromhex(item["salt"]), item["value"]) for name, item in fields.items()}

    def log_sizes(self) -> dict[str, int]:
        """Entries of each log."""
        return dict(self._sizes)


def person(subject: str) -> dict[str, Any]:
    """A phone system's user, as an operation saw them."""
    return {"id": subject[4:12], "extension": subject[4:12], "name": f"Person {subject[4:16]}",
            "email": f"p.{subject[4:16]}@customer.example", "ddis": []}  # fmt: skip


_COPIED: Final[dict[str, dict[str, str]]] = {
    # What of a row is another in its copy: {k} the copy's number as four hex digits, {n} as a number.
    "entries": {
        "seq": "seq + {n} * {base}", "idx": "idx + {n} * 1000000", "time_ms": "time_ms + {later}",
        "event_id": "replace(event_id, '_0000', '_' || {k})", "session_id": "replace(session_id, '_0000', '_' || {k})",
        "operation_id": "replace(operation_id, '_0000', '_' || {k})",
        "permission_id": "replace(permission_id, '_0000', '_' || {k})", "ticket": "substr(ticket, 1, 28) || {k}",
        "entry": "{bytes}(substr(replace({text}, '_0000', '_' || {k}), 1, {length} - 20) || "
                 "(time_ms + {later}) || ',\"v\":1}}'{utf8})",
    },
    "payloads": {"event_id": "replace(event_id, '_0000', '_' || {k})"},
}  # fmt: skip
_SQLITE: Final = {"k": "printf('%04x', {n})", "bytes": "cast", "text": "cast(entry as text)",
                  "length": "length(entry)", "utf8": " as blob"}  # fmt: skip
_POSTGRES: Final = {"k": "lpad(to_hex({n}), 4, '0')", "bytes": "convert_to", "text": "convert_from(entry, 'UTF8')",
                    "length": "length(entry)", "utf8": ", 'UTF8'"}  # fmt: skip
MADE: Final = 100_000
"""Entries that are made one by one; the rest are copies of them with ids, tickets and times of their own."""


def _copies(table: Table, number: int, base: int, words: dict[str, str]) -> str:
    given = {name: word.replace("{n}", str(number)) for name, word in words.items()}
    # The product is made here: PostgreSQL would make it of 32-bit numbers, which do not hold that of ten million.
    given |= {"n": str(number), "base": str(base), "later": str(number * base * APART_MS)}
    columns = [c.name for c in table.columns]
    values = [_COPIED[table.name].get(name, name).format(**given) for name in columns]
    first = f" where seq <= {base}" if table is entries else " where event_id like 'evt\\_0000%' escape '\\'"
    return f"insert into {table.name} ({', '.join(columns)}) select {', '.join(values)} from {table.name}{first}"  # noqa: S608 - names and numbers of ours alone


def fill_sqlite(file: str, history: History, count: int) -> None:
    """Into a database with the schema: without its indexes, which are made again at the end."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.executescript("pragma synchronous=off; pragma journal_mode=off; pragma cache_size=-400000")
    made = connection.execute(
        "select name, sql from sqlite_master where type = 'index' and tbl_name in ('entries', 'payloads') "
        "and sql is not null"
    ).fetchall()
    for name, _ in made:
        connection.execute(f"drop index {name}")
    base = min(count, MADE)
    connection.execute("begin")
    for columns, table, rows in _parts(history, base):
        marks = ", ".join("?" * len(columns))
        connection.executemany(f"insert into {table} ({', '.join(columns)}) values ({marks})", rows)  # noqa: S608 - names of ours alone
    for number in range(1, count // base):
        for copied in (entries, payloads):
            connection.execute(_copies(copied, number, base, _SQLITE))
    for _, sql in made:
        connection.execute(sql)
    connection.execute("commit")
    connection.execute("pragma journal_mode=wal")
    connection.close()


def fill_postgres(url: str, history: History, count: int) -> None:
    """The same, by the owner's URL; then what autovacuum does in its own time."""
    base = min(count, MADE)
    with psycopg.connect(url) as connection:
        connection.execute("set maintenance_work_mem = '512MB'")
        connection.execute("select set_config('frameroom.customer', '*', false)")
        made = connection.execute(
            "select indexname, indexdef from pg_indexes where tablename in ('entries', 'payloads') "
            "and indexdef not like '%UNIQUE%'"
        ).fetchall()
        for name, _ in made:
            connection.execute(f"drop index {name}".encode())
        with connection.cursor() as cursor:
            for columns, table, rows in _parts(history, base):
                with cursor.copy(f"copy {table} ({', '.join(columns)}) from stdin".encode()) as copy:
                    for row in rows:
                        copy.write_row(row)
        for number in range(1, count // base):
            for copied in (entries, payloads):
                connection.execute(_copies(copied, number, base, _POSTGRES).encode())
        for _, sql in made:
            connection.execute(sql.encode())
        top = "select setval(pg_get_serial_sequence('entries', 'seq'), (select max(seq) from entries))"
        connection.execute(top)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze")


def _parts(history: History, count: int) -> Iterator[tuple[tuple[str, ...], str, Iterator[tuple[Any, ...]]]]:
    yield ENTRY_COLUMNS, "entries", history.rows(count)
    yield _PAYLOADS, "payloads", iter(history.payloads)
    yield _KNOWN, "known_by", iter(history.known)


async def surroundings(store: Store, history: History) -> None:
    """What stands beside the log: customers, engineers, phone systems, and the visits that are looked for by id."""
    async with store.everyone() as scope:
        await scope.execute(insert(customers), [
            {"id": one, "name": f"Customer {n}", "region": "uk", "added_ms": 1}
            for n, one in enumerate(history.customers)
        ])  # fmt: skip
        await scope.execute(insert(engineers), [
            {"id": one, "login": f"e{n}", "name": f"Engineer {n}", "email": f"e{n}@company.example", "enabled": True,
             "roles": "", "totp_last_step": 0, "failures": 0, "locked_until_ms": 0}
            for n, one in enumerate(history.engineers)
        ])  # fmt: skip
        await scope.execute(insert(systems), [
            {"customer_id": one.customer, "id": one.system, "name": f"System {n}", "connector": "lab", "host": "h",
             "port": 1, "pin": "", "settings": "{}", "credential": b"", "asset": "", "ddi_range": ""}
            for n, one in enumerate(history.places)
        ])  # fmt: skip
        await scope.execute(insert(logs), [
            {"log_id": log, "size": size, "frontier": bytes(32 * size.bit_count()), "last_time_ms": BEGAN_MS}
            for log, size in history.log_sizes().items()
        ])  # fmt: skip
        for visit in history.visits[:200]:
            place = visit["place"]
            own = {"customer_id": place.customer, "system_id": place.system, "engineer_id": visit["engineer"]}
            when = {"from_ms": 1, "until_ms": 2, "operations": "view"}
            known = {"id": visit["request"], "ticket": visit["ticket"], "reason": "", "state": "granted"}
            if visit is history.visits[0] or known["id"] != history.visits[history.visits.index(visit) - 1]["request"]:
                more = {"digest": "", "canonical": "", "submitted_ms": 1}
                await scope.execute(insert(requests).values(**own, **when, **known, **more))
                granted = {"id": visit["grant"], "request_id": visit["request"], "state": "open", "version": 1}
                await scope.execute(insert(grants).values(**own, **when, **granted, how="", approver_ids=""))
            opened = {"id": visit["session"], "grant_id": visit["grant"], "node": "n", "state": "closed"}
            await scope.execute(insert(sessions).values(**own, **opened, opened_ms=1, closed_ms=2, segments=2))
