"""One visit, from its opening to its closing event.

The spine (architecture): 1 accept and 2 authenticate are the door's (ssh_server.py); 3 the intent is read by shell.py;
here are 4 decide, 5 open the recording and commit the event, 6 dial, check identity, only then unseal,
7 perform (ask policy again, intent durable before, outcome after), 8 close. Every session that was opened gets exactly
one of `session.closed` and `session.failed`; every operation that was intended exactly one outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import insert, select, update

from audit.events import Event, Personal
from audit.log import AuditLog
from audit.recording.recorder import Recorder, RecordingRefused, Segment, SessionRecording
from audit.recording.recover import stored_segments
from audit.sealing import SealingError
from connectors.contract import Connector, Credential, Operation, Person, Target
from connectors.errors import ConnectorError, IdentityMismatch, OutcomeUnknown, ProtocolViolation, Unreachable
from connectors.registry import families
from gateway import notify
from gateway.access.permission import Permission
from gateway.errors import FrameroomError, NotPermittedError, UnavailableError
from gateway.lifecycle import GrantState, OperationState, SessionState, advance
from gateway.model import Grant, PhoneSystem, new_id
from gateway.policy import decide
from gateway.session.channel import Channel, Identity
from gateway.store.engine import Scope, Store
from gateway.store.tables import directory, grants, operations, sessions
from gateway.vault import Vault

log = structlog.get_logger()

_CONFIRM_WITHIN_S = 1.0
_POLL_S = 0.3
_UNFINISHED = (Unreachable, ProtocolViolation, IdentityMismatch)


@dataclass(slots=True)
class Did:
    """What an operation gave, for its outcome event and for the customer's summary."""

    result: Any = None
    count: int = 0
    people: Sequence[Person] = ()
    personal: tuple[tuple[str, Any], ...] = ()
    line: str = ""
    changed: bool = False
    also: Callable[[Scope], Awaitable[None]] | None = None
    """More to be written in the outcome's own transaction."""


@dataclass(slots=True, eq=False)
class Visit:
    """A session while it is open."""

    id: str
    identity: Identity
    customer: str
    system: PhoneSystem
    grant: Grant
    recording: SessionRecording
    channels: set[Channel] = field(default_factory=set)
    connector: Connector | None = None
    dialling: asyncio.Lock = field(default_factory=asyncio.Lock)
    acting: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    ended: str | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    acts: int = 0
    seen: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    changed: bool = False


class Visits:
    """Every visit of this process; `run` belongs to the caller's TaskGroup."""

    def __init__(
        self, store: Store, audit: AuditLog, permission: Permission, recorder: Recorder, vault: Vault, node: str
    ) -> None:
        self.store, self.audit, self.permission = store, audit, permission
        self._recorder, self.vault, self._node = recorder, vault, node
        self._open: dict[tuple[str, str], Visit] = {}
        self._closing: set[Visit] = set()
        self._opening = asyncio.Lock()
        self._group: asyncio.TaskGroup | None = None
        self._look = asyncio.Event()

    def look_now(self) -> None:
        """Something about permission changed in this process: confirm every visit at once."""
        self._look.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on that a visit began (the mail of a reset)."""
        if self._group is not None:
            self._group.create_task(self._contained("background", work))

    async def _contained(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """One visit's trouble must not end the group that every visit runs in; a restart settles what it left."""
        try:
            await work
        except Exception as error:
            # The type alone: a message could carry what a phone system said.
            log.error("left unfinished", what=what, kind=type(error).__name__)

    def all(self) -> list[Visit]:
        """Those that are open."""
        return list(self._open.values())

    # --- 4 decide, 5 open ---

    async def open(self, identity: Identity, customer: str, system: PhoneSystem, grant: Grant) -> Visit:
        """The visit of this connection under this grant, opened if it is not."""
        async with self._opening:
            known = self._open.get((identity.connection_id, grant.id))
            if known is not None and known.ended is None:
                return known
            session = new_id("ses")
            visit = Visit(session, identity, customer, system, grant, self._record(system.customer_id, session))
            try:
                await self._commit_open(visit)
            except BaseException:
                await self._recorder.finish(visit.recording)
                raise
            visit.idle.set()
            self._open[identity.connection_id, grant.id] = visit
            return visit

    def _record(self, customer_id: str, session: str) -> SessionRecording:
        async def on_segment(segment: Segment) -> None:
            async with self.store.scope(customer_id) as scope:
                data = {
                    "n": segment.number, "digest": segment.digest, "first_us": segment.first_us,
                    "last_us": segment.last_us, "bytes": segment.size,
                }  # fmt: skip
                await self._append(scope, "recording.segment", "recorder", session=session, data=data)

        def on_failed(reason: str) -> None:
            for visit in self.all():
                if visit.id == session:
                    self.end(visit, reason, failed=True)

        try:
            return self._recorder.open(
                customer_id, session, columns=80, rows=24, on_segment=on_segment, on_failed=on_failed
            )
        except RecordingRefused as error:
            raise UnavailableError(
                f"No recording, no session: {error}.", next_step="Tell the operator; nothing was opened."
            ) from error

    async def _append(self, scope: Scope, kind: str, actor: str, **rest: Any) -> None:
        await self.audit.append(scope.connection, Event(kind, scope.customer_id, actor, **rest))

    async def _commit_open(self, visit: Visit) -> None:
        who, system = visit.identity, visit.system
        async with self.store.scope(system.customer_id) as scope:
            facts = await self.permission.facts(scope, who.engineer_id, system.id, visit.grant.id, True)
            # A visit opens when anything at all may be done in it; each operation is decided again.
            decisions = [decide(facts, operation) for operation in sorted(visit.grant.operations)]
            if not any(decision.allowed for decision in decisions):
                data = {"engineer": who.engineer_id, "reason": decisions[0].code}
                refusal = decisions[0].words
            else:
                refusal, data = "", {}
            if refusal:
                await self._append(scope, "session.refused", who.engineer_id, system=system.id, data=data)
            else:
                await scope.execute(
                    insert(sessions).values(
                        customer_id=system.customer_id, id=visit.id, grant_id=visit.grant.id, system_id=system.id,
                        engineer_id=who.engineer_id, node=self._node, state=SessionState.OPEN,
                        opened_ms=facts.now_ms, segments=0,
                    )
                )  # fmt: skip
                await self._append(
                    scope, "session.opened", who.engineer_id, system=system.id, session=visit.id, grant=visit.grant.id,
                    data={"engineer": who.engineer_id, "factor": who.factor, "fingerprint": who.fingerprint},
                    personal=(Personal("address", who.address, f"session:{visit.id}"),),
                )  # fmt: skip
                await notify.visit_opened(scope, who.engineer_id, system.id, visit.grant.how, facts.now_ms)
        if refusal:
            raise NotPermittedError(refusal)

    # --- 6 dial ---

    async def connector(self, visit: Visit) -> Connector:
        """The visit's connection to the phone system, dialled at first use and again after it broke."""
        async with visit.dialling:
            if visit.connector is None:
                family = families()[visit.system.connector]
                visit.connector = await family.connect(self.target(visit), lambda: self.unseal(visit))
            return visit.connector

    def target(self, visit: Visit) -> Target:
        """The phone system as its connector gets it."""
        system = visit.system
        settings = families()[system.connector].settings_model.model_validate_json(system.settings_json)
        return Target(system.id, system.host, system.port, system.pin, settings)

    async def unseal(self, visit: Visit) -> Credential:
        """Called by the connector once the phone system's identity is proven."""
        system = visit.system
        return self.vault.open_credential(system.customer_id, system.id, system.sealed_credential)

    # --- 7 perform ---

    async def act(
        self,
        visit: Visit,
        operation: Operation,
        work: Callable[[str], Awaitable[Did]],
        *,
        person: str | None = None,
        fields: Sequence[str] = (),
    ) -> Did:
        """One operation. It runs to its outcome even when the engineer hangs up in the middle of it."""
        if self._group is None:
            raise UnavailableError("Frameroom is stopping.")
        if visit.ended is not None:
            raise NotPermittedError(f"The visit has ended: {visit.ended}.")
        task = self._group.create_task(self._act_contained(visit, operation, work, person, fields))
        did, error = await asyncio.shield(task)
        if error is not None:
            raise error
        if did is None:
            raise UnavailableError("The operation gave nothing.")
        return did

    async def _act_contained(self, visit: Visit, *rest: Any) -> tuple[Did | None, Exception | None]:
        # An error of one operation must not end the group that everything runs in: it travels as a value.
        visit.acting += 1
        visit.idle.clear()
        try:
            return await self._act(visit, *rest), None
        except (FrameroomError, ConnectorError, RecordingRefused, OSError) as error:
            return None, error
        except Exception as error:
            return None, UnavailableError(f"Something went wrong on our side ({type(error).__name__}).")
        finally:
            visit.acting -= 1
            if not visit.acting:
                visit.idle.set()

    async def _act(
        self, visit: Visit, operation: Operation, work: Callable[[str], Awaitable[Did]], person: str | None,
        fields: Sequence[str],
    ) -> Did:  # fmt: skip
        operation_id = new_id("op")
        subject = self.vault.subject(visit.system.customer_id, visit.system.id, person) if person else None
        await self._intend(visit, operation, operation_id, person, subject, fields)
        visit.recording.marker(f"{operation.value} {operation_id}")
        try:
            did = await work(operation_id)
        except OutcomeUnknown as error:
            visit.connector = None
            visit.lines.append(f"{operation.value}: tried, and it cannot be told whether it happened")
            await self._outcome(visit, operation, operation_id, subject, OperationState.UNKNOWN, code=error.code)
            raise
        except ConnectorError as error:
            failed = isinstance(error, _UNFINISHED)
            if failed:
                visit.connector = None
            state = OperationState.FAILED if failed else OperationState.REFUSED
            await self._outcome(visit, operation, operation_id, subject, state, code=error.code)
            raise
        except FrameroomError as error:
            await self._outcome(visit, operation, operation_id, subject, OperationState.REFUSED, code=error.code)
            raise
        except Exception:
            await self._outcome(visit, operation, operation_id, subject, OperationState.UNKNOWN, code="crashed")
            raise
        await self._outcome(visit, operation, operation_id, subject, OperationState.DONE, did=did)
        return did

    async def _intend(
        self, visit: Visit, operation: Operation, operation_id: str, person: str | None, subject: str | None,
        fields: Sequence[str],
    ) -> None:  # fmt: skip
        system, who = visit.system, visit.identity
        async with self.store.scope(system.customer_id) as scope:
            facts = await self.permission.facts(scope, who.engineer_id, system.id, visit.grant.id, True)
            decision = decide(facts, operation)
            if not decision.allowed:
                raise NotPermittedError(decision.words)
            await scope.execute(
                insert(operations).values(
                    customer_id=system.customer_id, id=operation_id, session_id=visit.id, grant_id=visit.grant.id,
                    name=operation.value, state=OperationState.INTENDED, intended_ms=facts.now_ms,
                )
            )  # fmt: skip
            personal = (Personal("person", person, f"subject:{subject}"),) if person else ()
            await self._append(
                scope, "operation.intended", who.engineer_id, system=system.id, session=visit.id, grant=visit.grant.id,
                operation=operation_id, subject=subject, data={"name": operation.value, "fields": list(fields)},
                personal=personal,
            )  # fmt: skip
        visit.acts += 1

    async def _outcome(
        self, visit: Visit, operation: Operation, operation_id: str, subject: str | None, state: OperationState, *,
        code: str | None = None, did: Did | None = None,
    ) -> None:  # fmt: skip
        system = visit.system
        advance(OperationState.INTENDED, state)
        async with self.store.scope(system.customer_id) as scope:
            here = (operations.c.customer_id == system.customer_id) & (operations.c.id == operation_id)
            await scope.execute(update(operations).where(here).values(state=state))
            data: dict[str, Any] = {"name": operation.value}
            data |= {"count": did.count} if did else {"code": code}
            key = f"subject:{subject}" if subject else f"session:{visit.id}"
            personal = tuple(Personal(name, value, key) for name, value in did.personal) if did else ()
            await self._append(
                scope, f"operation.{state.value}", visit.identity.engineer_id, system=system.id, session=visit.id,
                grant=visit.grant.id, operation=operation_id, subject=subject, data=data, personal=personal,
            )  # fmt: skip
            if did is not None:
                await self._snapshot(scope, system.id, did.people)
                if did.also is not None:
                    await did.also(scope)
        if did is not None:
            visit.seen.update(p.id for p in did.people)
            visit.changed |= did.changed
            if did.line:
                visit.lines.append(did.line)

    async def _snapshot(self, scope: Scope, system_id: str, people: Sequence[Person]) -> None:
        """Remember, keyed, who has which address since when (invariant 5)."""
        seen = {
            self.vault.subject(scope.customer_id, system_id, p.id): self.vault.digest(
                "email", (p.email or "").casefold()
            )
            for p in people
        }
        if not seen:
            return
        here = (directory.c.customer_id == scope.customer_id) & (directory.c.system_id == system_id)
        found = await scope.execute(select(directory).where(here, directory.c.subject.in_(seen)))
        held = {row.subject: row.email_digest for row in found}
        for subject, digest in seen.items():
            values = {"email_digest": digest, "since_ms": self.audit.clock.now(), "confirmed_by": None}
            if subject not in held:
                await scope.execute(
                    insert(directory).values(
                        customer_id=scope.customer_id, id=new_id("dir"), system_id=system_id, subject=subject, **values
                    )
                )
            elif held[subject] != digest:
                await scope.execute(update(directory).where(here, directory.c.subject == subject).values(**values))

    # --- 8 close ---

    def end(self, visit: Visit, reason: str, *, failed: bool = False) -> None:
        """End a visit from outside: tell its channels, end them with 3, and write its last event."""
        if visit.ended is not None or self._group is None:
            return
        visit.ended = reason
        self._closing.add(visit)
        for channel in tuple(visit.channels):
            channel.notify_line(f"The visit has ended: {reason}.")
            channel.exit(3)
        self._group.create_task(self._contained("closing a visit", self._close(visit, reason, failed)))

    async def leave(self, identity: Identity) -> None:
        """The connection is gone: so are its visits."""
        for (connection_id, _), visit in list(self._open.items()):
            if connection_id == identity.connection_id:
                self.end(visit, "the engineer left")
                await visit.over.wait()

    async def _close(self, visit: Visit, reason: str, failed: bool) -> None:
        try:
            await self._write_close(visit, reason, failed)
        finally:
            self._closing.discard(visit)
            visit.over.set()

    async def _write_close(self, visit: Visit, reason: str, failed: bool) -> None:
        await visit.idle.wait()
        self._open.pop((visit.identity.connection_id, visit.grant.id), None)
        if visit.connector is not None:
            await visit.connector.close()
        digest = await visit.recording.close()
        segments = visit.recording.segments
        size = sum(s.size for s in segments)
        system = visit.system
        async with self.store.scope(system.customer_id) as scope:
            state = SessionState.FAILED if failed or visit.recording.failed else SessionState.CLOSED
            now = self.audit.clock.now()
            here = (sessions.c.customer_id == system.customer_id) & (sessions.c.id == visit.id)
            await scope.execute(update(sessions).where(here).values(state=state, closed_ms=now, segments=len(segments)))
            closing = {"segments": len(segments), "digest": digest, "bytes": size}
            await self._append(scope, "recording.closed", "recorder", session=visit.id, data=closing)
            ids = {"system": system.id, "session": visit.id, "grant": visit.grant.id}
            data: dict[str, Any] = {"reason": reason}
            if state is SessionState.CLOSED:
                data |= {"operations": visit.acts, "segments": len(segments), "bytes": size}
            await self._append(scope, f"session.{state.value}", visit.identity.engineer_id, data=data, **ids)
            lines = [*visit.lines]
            if visit.seen:
                lines.insert(0, f"{len(visit.seen)} people were seen")
            lines.append(f"the visit ended because {reason}")
            await notify.visit_closed(scope, visit.identity.engineer_id, system.id, lines, visit.changed, now)

    # --- permission at the time of use: the watch ---

    async def run(self) -> None:
        """Watch every visit's permission; on the way out, end them all and wait for their last events."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await self._watch(group)
            finally:
                for visit in self.all():
                    self.end(visit, "Frameroom is stopping")
                # Leaving the group cancels its tasks: first every visit's last event, also of those that were ending.
                while self._closing:
                    await next(iter(self._closing)).over.wait()

    async def _watch(self, group: asyncio.TaskGroup) -> None:
        # The loop's clock: the wall clock may be set back, and then nothing would ever seem to be late.
        loop = asyncio.get_running_loop()
        confirmed = loop.time()
        asked, asking = confirmed, None
        while True:
            with contextlib.suppress(TimeoutError):  # the poll is due: a timeout is the ordinary case here
                async with asyncio.timeout(_POLL_S):
                    await self._look.wait()
            self._look.clear()
            if not self._open:
                confirmed = loop.time()
                continue
            if asking is None:
                asked, asking = loop.time(), group.create_task(self._confirmed())
            # Not cancelled when it is late: a database that hangs must not hold up the end of a visit.
            await asyncio.wait({asking}, timeout=_POLL_S)
            if asking.done():
                confirmed = asked if asking.result() else confirmed
                asking = None
            if loop.time() - confirmed > _CONFIRM_WITHIN_S - 0.3:
                for visit in self.all():
                    self.end(visit, "the permission could not be confirmed", failed=True)

    async def _confirmed(self) -> bool:
        try:
            await self._confirm()
        except (FrameroomError, OSError):
            return False
        return True

    async def _confirm(self) -> None:
        now = self.audit.clock.now()
        ids = [visit.grant.id for visit in self.all()]
        async with self.store.look_at_everyone() as scope:
            query = select(grants.c.id, grants.c.state, grants.c.until_ms).where(grants.c.id.in_(ids))
            held = {row.id: row for row in await scope.execute(query)}
        for visit in self.all():
            row = held.get(visit.grant.id)
            if row is None or row.state == GrantState.REVOKED:
                self.end(visit, "the customer ended the permission")
            elif row.state == GrantState.EXPIRED or row.until_ms <= now:
                self.end(visit, "the permitted time is over")

    # --- after a crash ---

    async def close_leftovers(self, recovered: dict[str, tuple[Segment, ...]]) -> int:
        """Close, as failed, what a crash of this node left open; how many sessions that were."""
        async with self.store.look_at_everyone() as scope:
            left = (sessions.c.state == SessionState.OPEN) & (sessions.c.node == self._node)
            rows = (await scope.execute(select(sessions).where(left))).all()
        for row in rows:
            async with self.store.scope(row.customer_id) as scope:
                await self._close_leftover(scope, row, recovered.get(row.id) or self._stored(row))
        return len(rows)

    def _stored(self, row: Any) -> tuple[Segment, ...]:
        """Segments of a session whose journal an earlier, cut-short restart has used up already."""
        try:
            found, _ = stored_segments(self._recorder.objects, self._recorder.keys, row.customer_id, row.id)
        except SealingError:
            return ()
        return tuple(found)

    async def _close_leftover(self, scope: Scope, row: Any, segments: tuple[Segment, ...]) -> None:
        mine = operations.c.customer_id == row.customer_id
        query = select(operations).where(mine, operations.c.session_id == row.id, operations.c.state == "intended")
        ids = {"system": row.system_id, "session": row.id, "grant": row.grant_id}
        for operation in (await scope.execute(query)).all():
            await scope.execute(
                update(operations).where(mine, operations.c.id == operation.id).values(state=OperationState.UNKNOWN)
            )
            data = {"name": operation.name, "code": "crashed"}
            await self._append(scope, "operation.unknown", "restart", operation=operation.id, data=data, **ids)
        logged = await self.audit.read(scope.connection, row.customer_id, session=row.id, kinds=("recording.segment",))
        for segment in segments[len(logged) :]:
            data = {"n": segment.number, "digest": segment.digest, "bytes": segment.size}
            await self._append(scope, "recording.segment", "restart", session=row.id, data=data)
        now = self.audit.clock.now()
        here = (sessions.c.customer_id == row.customer_id) & (sessions.c.id == row.id)
        values = {"state": SessionState.FAILED, "closed_ms": now, "segments": len(segments)}
        await scope.execute(update(sessions).where(here).values(**values))
        await self._append(scope, "session.failed", "restart", data={"reason": "crashed"}, **ids)
