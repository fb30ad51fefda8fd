"""The sequencer: gives entries their index and publishes signed checkpoints, never the other way round.

Steps, each safe to be cut short: 1 lock the log (one sequencer at a time), 2 number the entries that have no index,
3 extend the compact range and sign, all in one transaction; 4 write tiles and then the checkpoint to the object store
(audit/publisher.py). A crash before the commit leaves nothing; a crash after it leaves an older checkpoint in the
store, which step 4 overtakes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Integer, bindparam, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audit import checkpoint
from audit.checkpoint import Checkpoint, Signer
from audit.merkle import Frontier
from audit.publisher import LogForked, Publisher, object_name
from audit.restored import Loss, is_abandoned, told
from audit.steps import Steps
from audit.storage import Objects
from audit.tables import checkpoints, entries, logs

_BATCH = 5_000
# Built once: a busy gateway asks them several times a second.
_UNSEQUENCED: Final = select(entries.c.log_id).where(entries.c.idx.is_(None)).distinct()
_STATE: Final = select(logs).where(logs.c.log_id == bindparam("of_log"))
_WAITING: Final = (
    select(entries.c.seq, entries.c.leaf_hash, entries.c.time_ms)
    .where(entries.c.log_id == bindparam("of_log"), entries.c.idx.is_(None))
    .order_by(entries.c.seq)
    .limit(bindparam("at_most", type_=Integer))
)
_NUMBERED: Final = update(entries).where(entries.c.seq == bindparam("b_seq")).values(idx=bindparam("b_idx"))
_GROWN: Final = update(logs).where(logs.c.log_id == bindparam("of_log"))
_SIGNED: Final = insert(checkpoints)


class LogBehind(Exception):
    """The object store holds a checkpoint that this database does not reach or contradicts: it may not go on.

    `losses` is what going on would lose, where it is a loss and not a contradiction.
    """

    def __init__(self, words: str, losses: tuple[Loss, ...] = ()) -> None:
        super().__init__(words)
        self.losses = losses


def origin(deployment: str, log: str) -> str:
    """The checkpoint's origin line of one log."""
    return f"{deployment}/{log}"


def _frontier(log: str, state: Any) -> Frontier:
    """Of a log's row, or the empty one. LogForked when the row was altered and cannot be true."""
    try:
        return Frontier.from_bytes(state.size, state.frontier) if state else Frontier()
    except ValueError as error:
        raise LogForked(
            f"log {log}: the database says {state.size} entries, with hashes that are not those of so many. Going on "
            "would fork it: put back the database as it was."
        ) from error


class Sequencer:
    """Works on connections that its caller opens, scopes and commits."""

    def __init__(
        self, signer: Signer, deployment: str, objects: Objects, steps: Steps | None = None,
        trusted: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """`trusted`: the verifier keys that published checkpoints may be signed with; the signer's own by default."""
        self._trusted = tuple(trusted) or (signer.vkey,)
        self._signer = signer
        self._deployment = deployment
        self._objects = objects
        self._publisher = Publisher(objects, steps)

    async def unsequenced(self, connection: AsyncConnection) -> list[str]:
        """Logs that have entries without an index."""
        found = await connection.execute(_UNSEQUENCED)
        return list(found.scalars())

    async def integrate(self, connection: AsyncConnection, log: str, at_most: int = _BATCH) -> str | None:
        """Steps 1 to 3 for one log, in the caller's transaction; the note to be published, or None."""
        if connection.dialect.name == "postgresql":
            await connection.execute(
                text("select pg_advisory_xact_lock(:key)"), {"key": zlib.crc32(log.encode()) + (7 << 40)}
            )
        state = (await connection.execute(_STATE, {"of_log": log})).one_or_none()
        waiting = (await connection.execute(_WAITING, {"of_log": log, "at_most": at_most})).all()
        if not waiting:
            return None
        frontier = _frontier(log, state)
        numbered = []
        for row in waiting:
            numbered.append({"b_seq": row.seq, "b_idx": frontier.size})
            frontier.append(row.leaf_hash)
        await connection.execute(_NUMBERED, numbered)
        last = max(row.time_ms for row in waiting)
        values = {"size": frontier.size, "frontier": frontier.to_bytes(), "last_time_ms": last}
        if state:
            await connection.execute(_GROWN, {"of_log": log, **values})
        else:
            await connection.execute(insert(logs), {"log_id": log, **values})
        note = self._signer.sign(Checkpoint(origin(self._deployment, log), frontier.size, frontier.root()))
        signed = {"log_id": log, "size": frontier.size, "time_ms": last, "note": note}
        await connection.execute(_SIGNED, signed)
        return note

    async def publish(self, connection: AsyncConnection, log: str, note: str) -> None:
        """Step 4, after the commit. StorageError, LogForked."""
        await self._publisher.publish(connection, log, note)

    async def check_not_behind(self, connection: AsyncConnection) -> None:
        """At start: every checkpoint in the store must be one that this database made or will make of what it has;
        what a crash left unpublished is published.

        Raises LogBehind when the store knows more: the database was rolled back or restored, and going on would fork.
        """
        lost = tuple(loss for loss in await self.losses(connection) if loss.lost)
        if lost:
            raise LogBehind(
                "the object store knows more of the log than this database, which was set back: going on would fork it."
                "\nLost here:\n" + "\n".join(f"  {loss}" for loss in lost) + "\nRestore a newer backup of the database "
                "if there is one. If not, `frameroom log accept-loss` goes on and says so in the log for good.",
                lost,
            )
        newest = select(checkpoints.c.log_id, func.max(checkpoints.c.size).label("size")).group_by(checkpoints.c.log_id)
        top = newest.subquery()
        notes = select(checkpoints.c.log_id, checkpoints.c.note).join(
            top, (checkpoints.c.log_id == top.c.log_id) & (checkpoints.c.size == top.c.size)
        )
        for row in (await connection.execute(notes)).all():
            await self.publish(connection, row.log_id, row.note)

    async def losses(self, connection: AsyncConnection) -> list[Loss]:
        """Every log of which the object store's checkpoint is not one of this database's, by log.

        Raises LogBehind when a checkpoint does not hold, or contradicts this database: no loss explains that.
        """
        found = []
        for log in self._objects.folders("log"):
            if (loss := await self._compare(connection, log)) is not None:
                found.append(loss)
        return found

    async def _compare(self, connection: AsyncConnection, log: str) -> Loss | None:
        note = self._objects.get(object_name(log))
        if note is None:
            return None
        try:
            held = checkpoint.verify(note.decode(), self._trusted, origin(self._deployment, log))
        except (checkpoint.NoteError, UnicodeDecodeError) as error:
            raise LogBehind(
                f"log {log}: the object store's checkpoint does not hold ({error}). Put back the one that stood there, "
                "or the signing key that made it."
            ) from error
        query = select(checkpoints.c.note).where(checkpoints.c.log_id == log, checkpoints.c.size == held.size)
        here = (await connection.execute(query)).scalar_one_or_none()
        state = (await connection.execute(select(logs).where(logs.c.log_id == log))).one_or_none()
        size = state.size if state else 0
        # A database whose tail was cut may still have the checkpoint that tells of it.
        if here is not None and checkpoint.parse(here).root == held.root and size >= held.size:
            return None
        if is_abandoned(self._objects, log, note) and (held.size, held.root.hex()) in await told(connection, log):
            return None
        if held.size <= size:
            raise LogBehind(
                f"log {log}: the object store holds a checkpoint of {held.size} entries that this database, which has "
                f"{size}, never made: it is another log, not an older one, and going on would fork it. Put back the "
                "database or the object store that belong together."
            )
        frontier = _frontier(log, state)
        waits = select(entries.c.leaf_hash).where(entries.c.log_id == log, entries.c.idx.is_(None))
        for leaf in (await connection.execute(waits.order_by(entries.c.seq).limit(held.size - size))).scalars():
            frontier.append(leaf)
        here_already = frontier.size == held.size and frontier.root() == held.root
        lost = 0 if here_already else held.size - size
        return Loss(log, size, held, note.decode(), state.last_time_ms if state else 0, lost)
