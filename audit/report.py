"""Making a visit report out of the log: which entries belong into it, each with its proof, in clear for its customer.

Of a visit the report holds everything in the log from its beginning to its end, whoever else was in meanwhile, so
that its verifier sees that nothing was left out; and what the visit rests on: request, approvals, the keys they were
signed with, permission. Whoever makes one appends `looked.session` or `looked.audit` first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from audit import canonical, checkpoint
from audit.checkpoint import Checkpoint
from audit.events import PROMISES
from audit.log import AuditLog, Erased, Row, parse_entry
from audit.proofs import ProofError, consistency, inclusion
from audit.publisher import tile_of
from audit.reportfile import Clear, Entry, Held, Recorded, Report, ReportError
from audit.sealing import KeyDestroyed, KeyMissing, payload
from audit.storage import Objects
from audit.tables import checkpoints, entries
from audit.tiles import TileReader, parse_name
from audit.told import at

_PAGE: Final = 1_000
_HELD: Final = 50
_BEFORE: Final = (
    "request.submitted", "request.narrowed", "request.granted", "consent.recorded", "approval.signed",
    "approver.added", "approver.key_enrolled", "approver.key_removed", "agreement.set", "agreement.confirmed",
    "agreement.signed", "agreement.withdrawn", "job.asked", "job.signed", "system.added", "customer.added",
    "grant.revoked", "grant.expired", "addresses.confirmed", "console.signed", "console.changed",
    "visit.started", "visit.ended", "visit.told",
)  # fmt: skip
"""Kinds among which what a visit rests on is found."""
_OPENS: Final = frozenset({"session.opened", "visit.started"})
_CLOSES: Final = frozenset({"session.closed", "session.failed", "visit.told"})
"""A visit that is not recorded here is over for a report once it was told of."""
_INTENDED: Final = "operation.intended"
_BEGINS: Final = (_INTENDED, "visit.started")


class RecordingDeletedError(ReportError):
    """The log says that it was deleted because its period was over; a report with the rest of it would not hold."""


async def deleted_recordings(
    connection: AsyncConnection, log: str, sessions: Collection[str]
) -> dict[str, tuple[int | None, dict[str, Any]]]:
    """Which of these visits' recordings retention deleted: by visit the entry that says so, with its index."""
    query = select(entries.c.idx, entries.c.entry).where(entries.c.log_id == log, entries.c.kind == "retention.deleted")
    found: dict[str, tuple[int | None, dict[str, Any]]] = {}
    for row in await connection.execute(query.order_by(entries.c.seq)):
        body = parse_entry(row.entry)
        for session in set(sessions).intersection(body["data"].get("sessions", ())):
            found.setdefault(session, (row.idx, body))
    return found


async def check_recorded(connection: AsyncConnection, log: str, session: str) -> None:
    """RecordingDeletedError with the day and the period."""
    gone = await deleted_recordings(connection, log, (session,))
    if session in gone:
        _, body = gone[session]
        day, why = at(body["time"]).partition(" ")[0], body["data"]["why"]
        raise RecordingDeletedError(f"the recording of {session} was deleted on {day}, for its period was over: {why}")


class Reporter:
    """Makes reports of one log under `note`: its checkpoint, published before this view of the database began."""

    def __init__(
        self, connection: AsyncConnection, audit: AuditLog, objects: Objects, note: str, handovers: Sequence[str] = ()
    ) -> None:
        self._connection, self._audit, self._objects = connection, audit, objects
        self._note, self._root = note, checkpoint.parse(note)
        self._log = self._root.origin.partition("/")[2]
        self._handovers = tuple(handovers)

    async def visit(self, session: str, held: Sequence[str] = (), *, recording: bool = False) -> Report:
        """Of a session, or of a visit that is not recorded here. ReportError when it is not in the published log,
        RecordingDeletedError when its recording is asked for and was deleted."""
        if recording:
            await check_recorded(self._connection, self._log, session)
        found = await self._visits((session,))
        recordings = [await asyncio.to_thread(self._recorded, session)] if recording else []
        return await self._made({"session": session}, found, held, recordings)

    async def permission(self, grant: str, held: Sequence[str] = ()) -> Report:
        """Of a grant, with each visit under it."""
        opened = select(entries.c.session_id, entries.c.entry).where(
            entries.c.log_id == self._log, entries.c.kind == "session.opened", entries.c.idx.is_not(None)
        )
        rows = (await self._connection.execute(opened)).all()
        sessions = [str(row.session_id) for row in rows if parse_entry(row.entry).get("grant") == grant]
        found = await self._visits(sessions, grant)
        return await self._made({"grant": grant}, found, held, [])

    async def since(self, since_ms: int, held: Sequence[str] = ()) -> Report:
        """Everything from a time on, with the entry before, which shows that the beginning is the beginning. It begins
        earlier where an operation was going on: only its own beginning says what its outcome is one of."""
        first = select(entries.c.idx).where(
            entries.c.log_id == self._log, entries.c.idx.is_not(None), entries.c.time_ms >= since_ms
        )
        begin = (await self._connection.execute(first.order_by(entries.c.idx).limit(1))).scalar_one_or_none()
        size = self._root.size
        start = size if begin is None else await self._begun_before(begin)
        return await self._made({"since": since_ms}, set(range(max(0, start - 1), size)), held, [])

    async def _begun_before(self, start: int) -> int:
        """Where the first operation was begun that had its outcome from `start` on; `start` where that is later."""
        ended = select(entries.c.operation_id).where(
            entries.c.log_id == self._log, entries.c.idx >= start, entries.c.kind.in_(PROMISES[_INTENDED][1])
        )
        begun = select(func.min(entries.c.idx)).where(
            entries.c.log_id == self._log, entries.c.kind == _INTENDED, entries.c.operation_id.in_(ended)
        )
        first = (await self._connection.execute(begun)).scalar_one_or_none()
        return start if first is None else min(start, first)

    async def _visits(self, sessions: Sequence[str], grant: str | None = None) -> set[int]:
        """Indexes of all that belongs to these visits and to what they rest on."""
        found: set[int] = set()
        joined: set[str] = set(sessions) | ({grant} if grant else set())
        size = self._root.size
        for session in sessions:
            rows = await self._audit.read(self._connection, self._log, session=session, limit=1 << 31)
            numbered = [row for row in rows if row.index is not None]
            opened = [row for row in numbered if row.body.get("kind") in _OPENS]
            if not opened:
                raise ReportError(f"the visit {session} is not in the log, or not published yet")
            ends = [row for row in numbered if row.body.get("kind") in _CLOSES]
            last = ends[0].index if ends else size - 1
            first, until = opened[0].index or 0, (last or 0) + 1
            found |= set(range(first, until)) | {row.index or 0 for row in numbered}
            joined |= await self._used(first, until)
            joined |= {str(row.body[name]) for row in opened for name in ("grant", "system") if name in row.body}
        found |= await self._rests_on(joined)
        gone = await deleted_recordings(self._connection, self._log, sessions)
        found |= {index for index, _ in gone.values() if index is not None}
        return {index for index in found if index < size}

    async def _used(self, first: int, until: int) -> set[str]:
        """Permissions under which anybody began something meanwhile: what they did is in the report, so that nothing
        is left out, and has to be seen to be permitted."""
        query = select(entries.c.entry).where(
            entries.c.log_id == self._log, entries.c.idx >= first, entries.c.idx < until, entries.c.kind.in_(_BEGINS)
        )
        bodies = [parse_entry(entry) for entry in (await self._connection.execute(query)).scalars()]
        return {str(body["grant"]) for body in bodies if "grant" in body}

    async def _rests_on(self, joined: set[str]) -> set[int]:
        query = select(entries.c.idx, entries.c.entry).where(
            entries.c.log_id == self._log, entries.c.idx.is_not(None), entries.c.kind.in_(_BEFORE)
        )
        rows = [(row.idx, parse_entry(row.entry)) for row in await self._connection.execute(query)]
        # Until nothing is added: a permission names its request, that its job, and each its approvals.
        found: set[int] = set()
        known = -1
        while known < len(found):
            known = len(found)
            for index, body in rows:
                data = body.get("data", {})
                ids = {str(body[name]) for name in ("request", "grant") if name in body}
                ids |= {str(data["job"])} if "job" in data else set()
                person = data.get("approver") if body["kind"].startswith(("approver.", "approval.")) else None
                itself = body["kind"].startswith(("system.", "console.")) and body.get("system") in joined
                # Keys always: that there were some says that an agreement had to be signed.
                always = body["kind"].startswith(("agreement.", "customer.", "approver.key_", "addresses."))
                if ids & joined or person in joined or itself or always:
                    found.add(index)
                    joined |= ids | ({str(data["approver"])} if "approver" in data else set())
        return found

    async def _made(
        self, about: dict[str, Any], indexes: Iterable[int], held: Sequence[str], recordings: Sequence[Recorded]
    ) -> Report:
        root = self._root
        reader = TileReader(root.size, lambda name: tile_of(self._objects, self._log, *parse_name(name)))
        made: list[Entry] = []
        wanted = sorted(indexes)
        for start in range(0, len(wanted), _PAGE):
            rows = await self._rows(wanted[start : start + _PAGE])
            sealed = await self._audit.sealed_of(self._connection, rows)
            # In a thread, all of a page: tiles and keys are files, and a token may have to be asked for a key.
            made += await self._audit.keys.off_the_loop(self._entries, reader, rows, sealed)
        before = [*held, *await self._sent_before(root.size)]
        proofs = [await asyncio.to_thread(self._extends, reader, one, root) for one in dict.fromkeys(before)]
        return Report(
            root.origin, self._audit.clock.now(), about, self._note, tuple(made), self._handovers,
            tuple(one for one in proofs if one is not None), tuple(recordings),
        )  # fmt: skip

    async def _rows(self, indexes: Sequence[int]) -> list[Row]:
        query = select(entries).where(entries.c.log_id == self._log, entries.c.idx.in_(indexes))
        found = (await self._connection.execute(query.order_by(entries.c.idx))).all()
        if len(found) != len(indexes):
            raise ReportError("entries are missing in the database: `frameroom audit verify` says which")
        return [Row(r.log_id, r.seq, r.idx, r.entry, parse_entry(r.entry), r.leaf_hash) for r in found]

    def _entries(
        self, reader: TileReader, rows: Sequence[Row], sealed: Mapping[tuple[str, str], Sequence[Any]]
    ) -> list[Entry]:
        made = []
        for row in rows:
            index = int(row.index or 0)
            path = inclusion(reader.node, index, self._root.size)
            clear = self._clear(row, sealed.get((row.log, str(row.body.get("id"))), ()))
            made.append(Entry(index, row.entry, tuple(path), *clear))
        return made

    def _clear(self, row: Row, sealed: Sequence[Any]) -> tuple[dict[str, Clear], dict[str, str]]:
        """Personal fields with their salts, and why others are not there."""
        fields, _ = self._audit.open(row, sealed)
        gone = {name: str(value) for name, value in fields.items() if isinstance(value, Erased)}
        clear: dict[str, Clear] = {}
        for found in sealed if fields else ():
            try:
                opened = payload(self._audit.keys, row.log, str(row.body["id"]), found.key_id, found.sealed)
            except KeyDestroyed:
                continue
            for name, item in opened.items():
                clear[name] = Clear(bytes.fromhex(item["salt"]), canonical.encode(item["value"]).decode())
        return clear, gone

    async def _sent_before(self, size: int) -> list[str]:
        """The checkpoints that went out by mail, newest last, as the log itself tells of them."""
        query = (
            select(entries.c.entry)
            .where(entries.c.log_id == self._log, entries.c.kind == "notice.sent", entries.c.idx.is_not(None))
            .order_by(entries.c.idx.desc())
            .limit(_HELD * 20)
        )
        sizes: dict[int, None] = {}
        for entry in (await self._connection.execute(query)).scalars():
            told = parse_entry(entry).get("data", {}).get("size")
            if isinstance(told, int) and told <= size and len(sizes) < _HELD:
                sizes[told] = None
        notes = select(checkpoints.c.note).where(checkpoints.c.log_id == self._log, checkpoints.c.size.in_(sizes))
        return list((await self._connection.execute(notes.order_by(checkpoints.c.size))).scalars())

    def _extends(self, reader: TileReader, note: str, root: Checkpoint) -> Held | None:
        """None where it is not so: the verifier, who holds the note, then finds it not proven."""
        try:
            old = checkpoint.parse(note)
            if old.origin != root.origin:
                return None
            return Held(note, tuple(consistency(reader.node, old.size, root.size)))
        except (checkpoint.NoteError, ProofError):
            return None

    def _recorded(self, session: str) -> Recorded:
        segments: list[bytes] = []
        while (data := self._objects.get(f"recordings/{self._log}/{session}/{len(segments)}")) is not None:
            segments.append(data)
        try:
            key = self._audit.keys.get(self._log, f"session:{session}")
        except (KeyDestroyed, KeyMissing):
            key = b""
        return Recorded(session, key, tuple(segments))
