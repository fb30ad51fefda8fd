"""One visit, from its opening to its closing event.

The spine (architecture): 1 accept and 2 authenticate are the door's (ssh_server.py); 3 the intent is read by shell.py;
here are 4 decide, 5 open the recording and commit the event, 6 dial, check identity, only then unseal; performing.py
has 7 perform (ask policy again, intent durable before, outcome after), closing.py 8 close, and watching.py asks about
permission in between. Every session that was opened gets exactly one of `session.closed` and `session.failed`; every
operation that was intended exactly one outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import insert

from audit.events import Personal
from audit.log import AuditLog
from audit.recording.recorder import Recorder, RecordingRefused, Segment, SessionRecording
from audit.sealing import MasterKeyAway, SealingError
from audit.steps import Step, Steps
from connectors.contract import OUTSIDE, Connector, Credential, Operation, Target
from connectors.errors import ConnectorError, OutcomeUnknown
from connectors.registry import families
from gateway import notify
from gateway.access.dials import Dials
from gateway.access.permission import Permission
from gateway.errors import EXIT_NOT_PERMITTED, EXIT_UNKNOWN, FrameroomError, NotPermittedError, UnavailableError
from gateway.lifecycle import SessionState
from gateway.model import Grant, PhoneSystem, new_id
from gateway.policy import decide
from gateway.session.channel import Identity
from gateway.session.closing import Closing, Ended, segment_event
from gateway.session.frozen import Frozen
from gateway.session.performing import Performing
from gateway.session.visit import Begun, Intent, Tools, Typed
from gateway.session.visit import Did as Did
from gateway.session.visit import Visit as Visit
from gateway.session.watching import Watch
from gateway.session.writers import Writers
from gateway.store.engine import Store
from gateway.store.tables import sessions
from gateway.vault import Vault

log = structlog.get_logger()

_TRY_AGAIN_S: Final = 1.0
_OPENED: Final = insert(sessions)


class ThisNode(Protocol):
    """This process among those that serve one deployment."""

    id: str

    def dead(self) -> Sequence[str] | None:
        """Ids of processes that ended without closing their sessions; None when that is every other one."""


class Visits:
    """Every visit of this process; `run` belongs to the caller's TaskGroup."""

    def __init__(
        self, store: Store, audit: AuditLog, permission: Permission, recorder: Recorder, vault: Vault, node: ThisNode,
        steps: Steps | None = None,
    ) -> None:  # fmt: skip
        self.store, self.audit, self.permission = store, audit, permission
        self._recorder, self.vault, self._node = recorder, vault, node
        self._tools = Tools(store, audit, permission, vault, steps or Steps())
        self.dials = Dials(store, audit.clock)
        self._performing = Performing(self._tools, Writers(store), self.dials, self._end_unknown)
        self._closing_books = Closing(self._tools, recorder)
        self._watch = Watch(self._tools, self.all, self.end)
        self._open: dict[tuple[str, str], Visit] = {}
        self._closing: set[Visit] = set()
        self._opening = asyncio.Lock()
        self._stopping = asyncio.Event()
        self.settled = True
        """False once something was left for a restart to close."""
        self._group: asyncio.TaskGroup | None = None

    def look_now(self) -> None:
        """Something about permission changed in this process: confirm every visit at once."""
        self._watch.look_now()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on that a visit began (the mail of a reset)."""
        if self._group is not None:
            self._group.create_task(self._contained("background", work))

    async def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for something that goes on to its end even when whoever waits is cancelled."""
        if self._group is None:
            work.close()
        else:
            await asyncio.shield(self._group.create_task(self._contained("background", work)))

    async def _contained(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """One visit's trouble must not end the group that every visit runs in; a restart settles what it left."""
        try:
            await work
        except Exception as error:
            log.error("left unfinished", what=what, exc_info=error)
            self.settled = False

    def all(self) -> list[Visit]:
        """Those that are open."""
        return list(self._open.values())

    def find(self, session_id: str) -> Visit | None:
        """The open visit of a session; None when it is over, or another process serves it."""
        return next((visit for visit in self._open.values() if visit.id == session_id), None)

    # --- 4 decide, 5 open ---

    async def open(self, identity: Identity, customer: str, system: PhoneSystem, grant: Grant) -> Visit:
        """The visit of this connection under this grant, opened if it is not."""
        async with self._opening:
            known = self._open.get((identity.connection_id, grant.id))
            if known is not None and known.ended is None:
                return known
            session = new_id("ses")
            # The recording's key, made in a thread: a file and an fsync that nobody else should wait for. What keeps
            # it from being made keeps the recorder from opening, which says so.
            keys = self._recorder.keys
            try:
                with contextlib.suppress(SealingError):
                    await keys.off_the_loop(keys.get_or_create, system.customer_id, f"session:{session}")
            except MasterKeyAway as error:  # the recorder would ask it again, on the loop
                raise UnavailableError(
                    f"No recording, no session: {error}.", next_step="Tell the operator; nothing was opened."
                ) from error
            visit = Visit(session, identity, customer, system, grant, self._record(system.customer_id, session))
            try:
                await self._commit_open(visit)
            except BaseException:
                await self._recorder.finish(visit.recording)
                raise
            visit.idle.set()
            self._open[identity.connection_id, grant.id] = visit
            await self._tools.steps.reached(Step.OPENED)
            if visit.recording.failed is not None:
                # It failed while the opening was being written, when there was no visit yet to be ended.
                self.end(visit, visit.recording.failed, failed=True)
                raise UnavailableError(f"No recording, no session: {visit.recording.failed}.")
            return visit

    def _record(self, customer_id: str, session: str) -> SessionRecording:
        async def on_segment(segment: Segment) -> None:
            async with self.store.scope(customer_id) as scope:
                event = segment_event(customer_id, session, "recorder", segment)
                await self.audit.append(scope.connection, event)

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

    async def _commit_open(self, visit: Visit) -> None:
        who, system = visit.identity, visit.system
        async with self.store.scope(system.customer_id) as scope:
            facts = await self.permission.facts(scope, who.engineer_id, system.id, visit.grant.id, True)
            # A visit opens when anything at all may be done in it; each operation is decided again.
            # What Frameroom is not in between at opens none: it is begun with `visit start`.
            wanted = sorted(visit.grant.operations - OUTSIDE) or [Operation.VIEW]
            decisions = [decide(facts, operation) for operation in wanted]
            if not any(decision.allowed for decision in decisions):
                data = {"engineer": who.engineer_id, "reason": decisions[0].code}
                refusal = decisions[0].words
            else:
                refusal, data = "", {}
            if refusal:
                await self._tools.append(scope, "session.refused", who.engineer_id, system=system.id, data=data)
            else:
                values = {
                    "customer_id": system.customer_id, "id": visit.id, "grant_id": visit.grant.id,
                    "system_id": system.id, "engineer_id": who.engineer_id, "node": self._node.id,
                    "state": SessionState.OPEN, "opened_ms": facts.now_ms, "segments": 0,
                }  # fmt: skip
                await scope.execute(_OPENED, values)
                await self._tools.append(
                    scope, "session.opened", who.engineer_id, system=system.id, session=visit.id, grant=visit.grant.id,
                    data={"engineer": who.engineer_id, "factor": who.factor, "fingerprint": who.fingerprint},
                    personal=(Personal("address", who.address, f"session:{visit.id}"),),
                )  # fmt: skip
                await notify.visit_opened(scope, visit.grant, facts.now_ms)
        if refusal:
            raise NotPermittedError(refusal)

    # --- 6 dial ---

    async def connector(self, visit: Visit) -> Frozen:
        """The visit's connection to the phone system, dialled at first use and again after it broke."""
        async with visit.dialling:
            if visit.connector is None:
                inner = await self.dials.connect(
                    visit.system,
                    self.target(visit),
                    lambda: self.unseal(visit),
                    "visit",
                    visit.id,
                    ahead=visit.dial,
                )
                visit.connector = self._without_restricted(visit, inner)
            return visit.connector

    def _without_restricted(self, visit: Visit, inner: Connector) -> Frozen:
        """Everything below looks through this: whoever is restricted is not there."""

        def hidden(person_id: str) -> bool:
            system = visit.system
            return bool(visit.hidden) and self.vault.subject(system.customer_id, system.id, person_id) in visit.hidden

        return Frozen(inner, hidden, lambda: bool(visit.hidden))

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
        typed: Typed | None = None,
        begun: Begun | None = None,
    ) -> Did:
        """One operation. It runs to its outcome even when the engineer hangs up in the middle of it."""
        return await self.act_on(visit, Intent(operation, person, fields, typed, begun), work)

    async def act_on(
        self, visit: Visit, intent: Intent, work: Callable[[str], Awaitable[Did]], then: Intent | None = None
    ) -> Did:  # fmt: skip
        """The same. `then` is what the caller will act on next in this visit, or abandon: it may be begun already when
        this returns (Performing.perform)."""
        if self._group is None:
            raise UnavailableError("Frameroom is stopping.")
        if visit.ended is not None:
            raise NotPermittedError(f"The visit has ended: {visit.ended}.")
        task = self._group.create_task(self._act_contained(visit, intent, work, then))
        try:
            did, error = await asyncio.shield(task)
        except asyncio.CancelledError:
            if then is not None:
                task.add_done_callback(lambda _: self.spawn(self.abandon(visit, then)))
            raise
        if error is not None:
            raise error
        if did is None:
            raise UnavailableError("The operation gave nothing.")
        return did

    async def abandon(self, visit: Visit, intent: Intent | None = None) -> None:
        """`intent`, or whatever was begun ahead, is not acted on: its outcome says so. Nothing when it was not."""
        with contextlib.suppress(OutcomeUnknown):  # what could not be written down is settled with the visit's end
            await self._performing.abandon(visit, intent)

    async def _act_contained(self, visit: Visit, *rest: Any) -> tuple[Did | None, Exception | None]:
        # An error of one operation must not end the group that everything runs in: it travels as a value.
        visit.acting += 1
        visit.idle.clear()
        try:
            return await self._performing.perform(visit, *rest), None
        except (FrameroomError, ConnectorError, RecordingRefused, OSError) as error:
            return None, error
        except Exception as error:
            log.error("an operation failed on our side", system=visit.system.id, exc_info=error)
            return None, UnavailableError(f"Something went wrong on our side ({type(error).__name__}).")
        finally:
            visit.acting -= 1
            if not visit.acting:
                visit.idle.set()

    # --- 8 close ---

    def _end_unknown(self, visit: Visit, why: str) -> None:
        # Its channels end with what is true of the act that was going on: nobody can tell whether it happened.
        self.end(visit, why, failed=True, code=EXIT_UNKNOWN)

    def end(
        self, visit: Visit, reason: str, *, failed: bool = False, code: int = EXIT_NOT_PERMITTED, typed: str = ""
    ) -> None:
        """End a visit from outside: tell its channels, end them with `code`, and write its last event. `typed`: what
        somebody says of it in their own words."""
        if visit.ended is not None or self._group is None:
            return
        ended = Ended(reason, typed, failed)
        visit.ended = ended.told
        visit.ending.set()
        self._closing.add(visit)
        for channel in tuple(visit.channels):
            channel.notify_line(f"The visit has ended: {ended.told}.", last=True)
            channel.exit(code)
        self._group.create_task(self._contained("closing a visit", self._close(visit, ended)))

    async def leave(self, identity: Identity) -> None:
        """The connection is gone: so are its visits."""
        for (connection_id, _), visit in list(self._open.items()):
            if connection_id == identity.connection_id:
                self.end(visit, "the engineer left")
                await visit.over.wait()

    async def _close(self, visit: Visit, ended: Ended) -> None:
        try:
            await visit.idle.wait()
            await self.abandon(visit)
            place = (visit.identity.connection_id, visit.grant.id)
            if self._open.get(place) is visit:  # and not the next one, which opened while this one's act went on
                del self._open[place]
            if visit.connector is not None:
                await visit.connector.close()
            while True:
                try:
                    await self._closing_books.close(visit, ended)
                except UnavailableError:
                    # The database is away: the visit's last events wait for it, and a restart has them otherwise.
                    if self._stopping.is_set():
                        raise
                else:
                    return
                with contextlib.suppress(TimeoutError):  # it is time to try again: a timeout is the ordinary case
                    async with asyncio.timeout(_TRY_AGAIN_S):
                        await self._stopping.wait()
        finally:
            self._closing.discard(visit)
            visit.over.set()

    # --- permission at the time of use: the watch ---

    async def run(self) -> None:
        """Watch every visit's permission; on the way out, end them all and wait for their last events."""
        async with contextlib.aclosing(self._watch), asyncio.TaskGroup() as group:
            self._group = group
            try:
                await self._watch.run(group)
            finally:
                self._stopping.set()
                for visit in self.all():
                    self.end(visit, "Frameroom is stopping")
                # Leaving the group cancels its tasks: first every visit's last event, also of those that were ending.
                while self._closing:
                    await next(iter(self._closing)).over.wait()

    # --- after a crash ---

    async def close_leftovers(self, recovered: Mapping[str, Sequence[Segment]]) -> int:
        """Close, as failed, what a crash left open; how many sessions that were."""
        return await self._closing_books.close_leftovers(recovered, self._node.dead())
