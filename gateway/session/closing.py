"""Step 8 of the spine: a visit's last entries, written by the process that had it, or after a crash by the next one.

Exactly one of `session.closed` and `session.failed`: whoever finds the session closed already writes nothing. An
operation that is still without an outcome then gets `unknown`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from audit.events import Event, Personal
from audit.recording.recorder import Recorder, Segment, recording_digest
from audit.recording.recover import stored_segments
from audit.sealing import SealingError
from audit.steps import Step
from gateway import notify
from gateway.access.told import told_by_log
from gateway.lifecycle import OperationState, SessionState, advance
from gateway.session.visit import Tools, Visit
from gateway.store.engine import Scope
from gateway.store.tables import operations, sessions

# Built once: every visit's end asks them.
_CLOSED: Final = update(sessions).where(
    sessions.c.customer_id == bindparam("of_customer"), sessions.c.id == bindparam("of_session"),
    sessions.c.state == SessionState.OPEN,
)  # fmt: skip
_UNDECIDED: Final = select(operations).where(
    operations.c.customer_id == bindparam("of_customer"), operations.c.session_id == bindparam("of_session"),
    operations.c.state == OperationState.INTENDED,
)  # fmt: skip
_ALL: Final = 1 << 31
"""A session may last longer than one page of entries."""


def segment_event(customer: str, session: str, actor: str, segment: Segment) -> Event:
    """What the log says of a stored segment."""
    data = {
        "n": segment.number, "digest": segment.digest, "first_us": segment.first_us, "last_us": segment.last_us,
        "bytes": segment.size,
    }  # fmt: skip
    return Event("recording.segment", customer, actor, session=session, data=data)


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a visit ended: what Frameroom says of it, and what somebody typed, who ended it."""

    reason: str
    typed: str = ""
    failed: bool = False

    @property
    def told(self) -> str:
        """Both, for people."""
        return f"{self.reason}: {self.typed}" if self.typed else self.reason


class Closing:
    """Writes the end of sessions."""

    def __init__(self, tools: Tools, recorder: Recorder) -> None:
        self._tools, self._recorder = tools, recorder

    async def close(self, visit: Visit, ended: Ended) -> None:
        """The end of a visit of this process. It can be called again after UnavailableError."""
        digest = await visit.recording.close(log_last=False)
        await self._tools.steps.reached(Step.UNRECORDED)
        segments, last = visit.recording.stored, visit.recording.unlogged
        size = sum(s.size for s in segments)
        system = visit.system
        async with self._tools.store.scope(system.customer_id) as scope:
            state = SessionState.FAILED if ended.failed or visit.recording.failed else SessionState.CLOSED
            if not await self._mark(scope, visit.id, state, len(segments)):
                return
            closing = {"segments": len(segments), "digest": digest, "bytes": size}
            ids: dict[str, Any] = {"system": system.id, "session": visit.id, "grant": visit.grant.id}
            if visit.undecided:
                await self._settle_operations(scope, visit.identity.engineer_id, "unwritten", ids)
            data: dict[str, Any] = {"reason": ended.reason}
            typed = (Personal("reason", ended.told, f"session:{visit.id}"),) if ended.typed else ()
            if state is SessionState.CLOSED:
                data |= {"operations": visit.acts, "segments": len(segments), "bytes": size}
            customer = scope.customer_id
            ending = [
                Event("recording.closed", customer, "recorder", session=visit.id, data=closing),
                Event(f"session.{state.value}", customer, visit.identity.engineer_id, data=data, personal=typed, **ids),
            ]
            if last is not None:
                ending.insert(0, segment_event(customer, visit.id, "recorder", last))
            await self._tools.audit.append_many(scope.connection, ending)
            told = notify.Told(visit.lines, len(visit.seen), visit.changed, ended.told)
            await notify.visit_closed(scope, visit.id, told, self._tools.audit.clock.now())

    async def _mark(self, scope: Scope, session: str, state: SessionState, segments: int) -> bool:
        """Take the session out of `open`; False when somebody did already."""
        values = {
            "of_customer": scope.customer_id, "of_session": session, "state": advance(SessionState.OPEN, state),
            "closed_ms": self._tools.audit.clock.now(), "segments": segments,
        }  # fmt: skip
        done = await scope.execute(_CLOSED, values)
        return bool(done.rowcount)

    async def _settle_operations(self, scope: Scope, actor: str, code: str, ids: Mapping[str, str]) -> None:
        mine = operations.c.customer_id == scope.customer_id
        values = {"of_customer": scope.customer_id, "of_session": ids["session"]}
        for operation in (await scope.execute(_UNDECIDED, values)).all():
            state = advance(OperationState.INTENDED, OperationState.UNKNOWN)
            await scope.execute(update(operations).where(mine, operations.c.id == operation.id).values(state=state))
            data = {"name": operation.name, "code": code}
            await self._tools.append(scope, "operation.unknown", actor, operation=operation.id, data=data, **ids)

    # --- after a crash ---

    async def close_leftovers(self, recovered: Mapping[str, Sequence[Segment]], nodes: Sequence[str] | None) -> int:
        """Close, as failed, what dead processes left open; how many sessions that were.

        `recovered`: the segments of each session whose journal was found. `nodes`: the dead processes; None means all
        but this one, where no other can be (SQLite).
        """
        left = sessions.c.state == SessionState.OPEN
        if nodes is not None:
            left &= sessions.c.node.in_(nodes)
        async with self._tools.store.look_at_everyone() as scope:
            rows = (await scope.execute(select(sessions).where(left))).all()
        for row in rows:
            segments = recovered.get(row.id, ())
            if not segments:
                segments = await asyncio.to_thread(self._stored, row)
            async with self._tools.store.scope(row.customer_id) as scope:
                await self._close_leftover(scope, row, segments)
        return len(rows)

    def _stored(self, row: Any) -> Sequence[Segment]:
        """Segments of a session whose journal an earlier, cut-short restart has used up already. MasterKeyAway."""
        try:
            found, _ = stored_segments(self._recorder.objects, self._recorder.keys, row.customer_id, row.id)
        except SealingError:
            return ()
        return found

    async def _close_leftover(self, scope: Scope, row: Any, segments: Sequence[Segment]) -> None:
        if not await self._mark(scope, row.id, SessionState.FAILED, len(segments)):
            return
        ids = {"system": row.system_id, "session": row.id, "grant": row.grant_id}
        await self._settle_operations(scope, "restart", "crashed", ids)
        logged = await self._tools.audit.read(
            scope.connection, row.customer_id, session=row.id, kinds=("recording.segment",), limit=_ALL
        )
        told = [(str(entry.body["data"]["digest"]), int(entry.body["data"]["bytes"])) for entry in logged]
        for segment in segments[len(told) :]:
            data = {"n": segment.number, "digest": segment.digest, "bytes": segment.size}
            await self._tools.append(scope, "recording.segment", "restart", session=row.id, data=data)
            told.append((segment.digest, segment.size))
        digest = recording_digest([digest for digest, _ in told])
        closing = {"segments": len(told), "digest": digest, "bytes": sum(size for _, size in told)}
        await self._tools.append(scope, "recording.closed", "restart", session=row.id, data=closing)
        await self._tools.append(scope, "session.failed", "restart", data={"reason": "crashed"}, **ids)
        told_all = await told_by_log(self._tools.audit, scope, row.id)
        await notify.visit_closed(scope, row.id, told_all, self._tools.audit.clock.now())
