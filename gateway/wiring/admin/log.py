"""`frameroom audit …`: the last entries, looking for some, and checking all. Looking is logged before it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from sqlalchemy import select

from audit import checkpoint
from audit.events import OPERATOR_LOG
from audit.inspect import Fault, Report, published_notes, verify_database
from audit.log import Row as Entry
from audit.sequencer import origin
from audit.tables import logs
from gateway.access.baseline import Baseline
from gateway.errors import InvalidError
from gateway.identity.staff import names
from gateway.store.engine import Scope
from gateway.store.outside_tables import outside_visits
from gateway.store.tables import operations, requests, sessions
from gateway.wiring.admin.base import Base, Row, Stream, told


def notes_in(text: str) -> list[str]:
    """The checkpoints in a file that somebody kept: alone, or in the text of the mail that brought them.

    InvalidError when there is none.
    """
    found = checkpoint.notes_in(text)
    if not found:
        raise InvalidError(
            "there is no checkpoint in the file that was kept",
            next_step="It has the log's name, a size, a root, an empty line and a line that begins with a dash.",
        )
    return found


class LogCommands(Base):
    """The audit log."""

    async def _told(self, scope: Scope, rows: Sequence[Entry]) -> list[Row]:
        clear = await self._parts.audit.personal_of_many(scope.connection, rows)
        staff = await names(scope)
        return [told(row, personal, staff) for row, personal in zip(rows, clear, strict=True)]

    async def do_audit_verify(
        self, actor: str, customer: str | None = None, held: Sequence[str] = (), *, stream: Stream
    ) -> Row:
        """Recompute everything of all logs, or one customer's; `held`: texts with checkpoints that somebody kept."""
        only = None if customer is None else await self._customer(customer)
        notes = [note for text in held for note in notes_in(text)]
        await self._parts.sequence()
        # Before the view of the database begins: a checkpoint published meanwhile would look like a cut tail.
        published = await asyncio.to_thread(published_notes, self._parts.objects)
        report = Report()
        async with self._parts.store.look_at_everyone() as scope:
            open_ids = await _open_ids(scope)
            sizes = {r.log_id: r.size for r in await scope.execute(select(logs.c.log_id, logs.c.size))}
            known = sorted(sizes.keys() | {name.split("/")[1] for name in published})
            for log in [log for log in known if only in (None, log)]:
                one = await verify_database(
                    scope.connection, self._parts.audit, self._parts.objects, self._parts.signing.trusted,
                    self._parts.settings.deployment.name, open_ids=open_ids, only=(log,), held=notes,
                    published=published,
                )  # fmt: skip
                _add(report, one)
                if log != OPERATOR_LOG:
                    theirs = await Baseline(self._parts.audit).faults(Scope(scope.connection, log))
                    report.faults += [Fault(log, None, words) for words in theirs]
                so_far = {
                    "logs": report.logs,
                    "of": len(known),
                    "entries": report.entries,
                    "faults": len(report.faults),
                }
                await stream.progress(so_far)
        report.faults += self._strangers(notes, known)
        return {
            "ok": report.ok, "logs": report.logs, "entries": report.entries, "checkpoints": report.checkpoints,
            "segments": report.segments, "held": len(notes), "vkey": self._parts.signer.vkey,
            "restored": list(report.restored), "faults": [str(f) for f in report.faults[:20]],
        }  # fmt: skip

    def _strangers(self, notes: Sequence[str], known: Sequence[str]) -> Iterator[Fault]:
        """Kept checkpoints of logs that are not here: of another deployment, or of a log that was made to vanish."""
        origins = {origin(self._parts.settings.deployment.name, log) for log in known}
        for note in notes:
            try:
                found = checkpoint.parse(note)
            except checkpoint.NoteError as error:
                yield Fault("?", None, f"a checkpoint that was kept does not hold: {error}")
            else:
                if found.origin not in origins:
                    yield Fault(
                        found.origin, None, f"a kept checkpoint commits to {found.size} entries; it is not here"
                    )


async def _open_ids(scope: Scope) -> frozenset[str]:
    """Sessions, requests and operations that are rightly without an outcome now."""
    found: set[str] = set()
    for table, state in ((sessions, "open"), (outside_visits, "open"), (requests, "waiting"), (operations, "intended")):
        found |= set((await scope.execute(select(table.c.id).where(table.c.state == state))).scalars())
    return frozenset(found)


def _add(report: Report, one: Report) -> None:
    report.logs += one.logs
    report.entries += one.entries
    report.checkpoints += one.checkpoints
    report.segments += one.segments
    report.faults += one.faults
    report.restored += one.restored
