"""`frameroom audit verify`: recomputes everything from the stored bytes and names the first fault.

Steps: 1 every leaf hash from its entry, 2 indexes without a gap, 3 the root at every checkpoint and its signature,
4 times that never run back, 5 commitments against what can be opened, 6 exactly-one promises, and that each operation
was permitted (audit/permitted.py), 7 every recorded segment against its digest and count, 8 every published tile and
bundle of entries.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from audit import checkpoint, finding, restored
from audit.checks import LATE_MS
from audit.events import PROMISES
from audit.log import AuditLog, Erased, Row, all_entries, parse_entry
from audit.merkle import Frontier, leaf_hash
from audit.permitted import Permissions
from audit.publisher import note_names, object_name, tile_of
from audit.sealing import SealingError
from audit.sequencer import origin
from audit.storage import Objects
from audit.tables import checkpoints, entries, logs
from audit.tiles import TileWriter, parse_name


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not hold: in which log, at which index (None: not at one), and what."""

    log: str
    index: int | None
    what: str

    def __str__(self) -> str:
        place = "" if self.index is None else f", entry {self.index}"
        return f"log {self.log}{place}: {self.what}"


@dataclass(slots=True)
class Report:
    """What was looked at and what was wrong, first fault first."""

    logs: int = 0
    entries: int = 0
    checkpoints: int = 0
    segments: int = 0
    faults: list[Fault] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    """Every time that a log went on after a loss, in plain words: no fault, and never silent."""

    @property
    def ok(self) -> bool:
        """True when nothing was found."""
        return not self.faults


class _OneLog:
    """The check of one log, entry by entry."""

    def __init__(
        self, report: Report, log: str, notes: dict[int, list[str]], vkey: str | Sequence[str], deployment: str
    ) -> None:
        self.report, self.log, self.notes, self.vkey = report, log, notes, vkey
        self.origin = origin(deployment, log)
        self.frontier = Frontier()
        self.last_time = 0
        self.outcomes: dict[str, Counter[str]] = {first: Counter() for first in PROMISES}
        self.firsts: dict[str, dict[str, int]] = {first: {} for first in PROMISES}
        self.segments: dict[str, list[str]] = {}
        self.restored: list[tuple[int, dict[str, Any]]] = []
        self.erased: set[str] = set()
        self.gone: list[tuple[int | None, list[str], frozenset[str]]] = []
        self.deleted: set[str] = set()
        self.permissions = Permissions()
        self.tiles = TileWriter()
        self.published = 0

    def fault(self, index: int | None, what: str) -> None:
        self.report.faults.append(Fault(self.log, index, what))

    def entry(self, row: Row) -> None:
        index = self.frontier.size
        self.report.entries += 1
        if row.index != index:
            self.fault(index, f"expected entry {index}, found {row.index}: one was inserted, cut out or moved")
        hashed = leaf_hash(row.entry)
        if hashed != row.leaf:
            self.fault(index, "the entry is not what was hashed when it was appended")
        self.frontier.append(hashed)
        if row.found_by != finding.columns_of(row.body):
            self.fault(index, "a search would not find it by what it says: the columns beside its bytes were altered")
        try:
            self.read(index, row.body)
        except (KeyError, TypeError, ValueError, AttributeError):
            self.fault(index, "the entry's bytes are no entry of this log")
        for note in self.notes.pop(self.frontier.size, ()):
            self.check_note(note)

    def read(self, index: int, body: dict[str, Any]) -> None:
        if body["log"] != self.log:
            self.fault(index, f"the entry belongs to log {body['log']}")
        time_ms = int(body["time"])
        if time_ms < self.last_time - LATE_MS:
            self.fault(index, "its time is before the entry in front of it")
        self.last_time = max(self.last_time, time_ms)
        self.promise(index, body)
        if (broken := self.permissions.read(body)) is not None:
            self.fault(index, broken)

    def check_note(self, note: str) -> None:
        self.report.checkpoints += 1
        size = self.frontier.size
        try:
            found = checkpoint.verify(note, self.vkey, self.origin)
        except checkpoint.NoteError as error:
            self.fault(size - 1, f"the checkpoint of {size} entries does not hold: {error}")
            return
        if (found.size, found.root) != (size, self.frontier.root()):
            self.fault(size - 1, f"the first {size} entries are not those that the signed checkpoint commits to")

    def promise(self, index: int, body: dict[str, Any]) -> None:
        kind = body["kind"]
        for first, (joined, outcomes) in PROMISES.items():
            if kind == first:
                self.firsts[first][body[joined]] = index
            elif kind in outcomes:
                self.outcomes[first][body[joined]] += 1
        if kind == "recording.segment":
            self.segments.setdefault(body["session"], []).append(body["data"]["digest"])
        elif kind == restored.KIND:
            self.restored.append((index, body))
        elif kind in {"erased", "retention.deleted"}:
            self.erased |= set(body["data"].get("keys", ()))
            self.deleted |= set(body["data"].get("sessions", ()))
        elif kind == "recording.closed":
            told, seen = body["data"]["segments"], len(self.segments.get(body["session"], []))
            if told != seen:
                self.fault(index, f"the recording has {told} segments, the log names {seen}")

    def finish(self, open_ids: frozenset[str]) -> None:
        for at, names, keys in self.gone:
            # What erases says so in the log, by the key's id: a key that is gone without a word was taken.
            if not keys or keys - self.erased:
                why = "though no key was destroyed" if not keys else "and no entry says that its key was destroyed"
                self.fault(at, f"what was sealed of {', '.join(names)} is gone, {why}")
        for first, (joined, _) in PROMISES.items():
            for identity, index in self.firsts[first].items():
                times = self.outcomes[first][identity]
                if times > 1 or (times == 0 and identity not in open_ids):
                    self.fault(index, f"{first} of {joined} {identity} has {times} outcomes instead of one")


async def verify_database(
    connection: AsyncConnection,
    audit: AuditLog,
    objects: Objects,
    vkey: str | Sequence[str],
    deployment: str,
    *,
    open_ids: frozenset[str] = frozenset(),
    only: Sequence[str] = (),
    held: Sequence[str] = (),
    published: Mapping[str, bytes] | None = None,
) -> Report:
    """Check all logs (or `only` some).

    `published`: what `published_notes` gave before `connection`'s view of the database began, where the log goes on
    being written meanwhile; without it the object store is read now.
    `open_ids`: sessions, operations, requests that are rightly without an outcome. `held`: checkpoints that somebody
    kept (the mail after a visit), which the log must extend.
    """
    report = Report()
    outside = published_notes(objects) if published is None else published
    states = {row.log_id: row for row in await connection.execute(select(logs))}
    for log, state in sorted(states.items()):
        if only and log not in only:
            continue
        report.logs += 1
        found = await connection.execute(
            select(checkpoints.c.size, checkpoints.c.note).where(checkpoints.c.log_id == log)
        )
        one = _OneLog(report, log, {row.size: [row.note] for row in found}, vkey, deployment)
        if state.size not in one.notes:
            one.fault(None, f"it has {state.size} entries and no checkpoint that says so")
        _take_outside_notes(one, outside.get(object_name(log)), held)
        async for row in all_entries(connection, log):
            one.entry(row)
            await _check_tiles(one, row, objects)
            await _check_personal(one, connection, audit, row)
        if one.frontier.size != state.size:
            one.fault(None, f"it should have {state.size} entries and has {one.frontier.size}")
        for size in sorted(one.notes):
            one.fault(
                None, f"a checkpoint commits to {size} entries and {one.frontier.size} are left: the tail was cut"
            )
        await _count_waiting(one, connection)
        one.finish(open_ids)
        judged = restored.judge(log, one.origin, vkey, one.restored, outside)
        report.restored += judged.told
        for index, words in judged.faults:
            one.fault(index, words)
        for session, digests in one.segments.items():
            if session in one.deleted:
                continue  # deleted when its period was over, and the log says so
            await _check_segments(one, session, digests, objects)
    for log in sorted({name.split("/")[1] for name in outside} - states.keys()):
        if not only or log in only:
            report.faults.append(Fault(log, None, "the object store has its checkpoint and the database no such log"))
    return report


async def _count_waiting(one: _OneLog, connection: AsyncConnection) -> None:
    """An outcome that waits for its place in the log is an outcome: its first may just have got one before it."""
    query = select(entries.c.entry).where(entries.c.log_id == one.log, entries.c.idx.is_(None))
    for (entry,) in await connection.execute(query):
        body = parse_entry(entry)
        for first, (joined, outcomes) in PROMISES.items():
            if body.get("kind") in outcomes and joined in body:
                one.outcomes[first][body[joined]] += 1


def published_notes(objects: Objects) -> dict[str, bytes]:
    """Every published checkpoint by its object's name."""
    return {name: note for name in note_names(objects) if (note := objects.get(name)) is not None}


def _take_outside_notes(one: _OneLog, published: bytes | None, held: Sequence[str]) -> None:
    """Checkpoints that lie outside the database, where whoever alters the database cannot take them along."""
    if published is None:
        one.fault(None, "its published checkpoint is gone from the object store")
    else:
        with suppress(checkpoint.NoteError, UnicodeDecodeError):
            one.published = checkpoint.parse(published.decode()).size
    outside = [(published or b"").decode(errors="replace")] if published is not None else []
    for note in (*outside, *held):
        try:
            found = checkpoint.parse(note)
            if note in held and found.origin != one.origin:
                continue
            checkpoint.verify(note, one.vkey, one.origin)
        except checkpoint.NoteError as error:
            one.fault(None, f"a checkpoint outside the database does not hold: {error}")
            continue
        known = one.notes.setdefault(found.size, [])
        if note not in known:
            known.append(note)


async def _check_personal(one: _OneLog, connection: AsyncConnection, audit: AuditLog, row: Row) -> None:
    try:
        fields, destroyed = await audit.personal_of(connection, row)
    except (SealingError, KeyError, TypeError, ValueError, AttributeError) as error:
        one.fault(row.index, f"a personal field cannot be checked: {error}")
        return
    gone = sorted(name for name, value in fields.items() if isinstance(value, Erased))
    if gone:
        one.gone.append((row.index, gone, destroyed))


async def _check_tiles(one: _OneLog, row: Row, objects: Objects) -> None:
    """Up to the published checkpoint: what lies in the object store is what these entries make."""
    if one.tiles.size >= one.published:
        return
    made = list(one.tiles.add(row.entry, leaf_hash(row.entry)))
    if one.tiles.size == one.published:
        made += one.tiles.edge()
    for name, data in made:
        found = await asyncio.to_thread(tile_of, objects, one.log, *parse_name(name))
        if found != data:
            one.fault(row.index, f"{name} in the object store is {'missing' if found is None else 'not of this log'}")


async def _check_segments(one: _OneLog, session: str, digests: list[str], objects: Objects) -> None:
    for number, digest in enumerate(digests):
        one.report.segments += 1
        # In a thread: gigabytes of recordings must not hold up the visits of the process that checks them.
        found = await asyncio.to_thread(_stored_digest, objects, f"recordings/{one.log}/{session}/{number}")
        if found is None:
            one.fault(None, f"segment {number} of the recording of {session} is missing")
        elif found != digest:
            one.fault(None, f"segment {number} of the recording of {session} is not what was recorded")


def _stored_digest(objects: Objects, name: str) -> str | None:
    data = objects.get(name)
    return None if data is None else hashlib.sha256(data).hexdigest()
