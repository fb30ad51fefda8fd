"""Step 7 of the spine: one operation, from its intent to its outcome.

Ask policy again and write the intent (one transaction, the grant's row locked), touch the phone system, write the
outcome. Every operation that was intended gets exactly one outcome, whatever becomes of the phone system, the engineer
or this process: closing.py writes `unknown` for one whose own could not be written.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import bindparam, insert, update
from sqlalchemy.dialects import postgresql, sqlite

from audit.events import Personal
from audit.steps import Step
from connectors.contract import Person
from connectors.errors import ConnectorError, IdentityMismatch, OutcomeUnknown, ProtocolViolation, Unreachable
from gateway.access.console import switched_on
from gateway.access.dials import Ahead, Dials
from gateway.access.facts import locked_at_once
from gateway.access.restricting import restricted
from gateway.errors import FrameroomError, NotPermittedError
from gateway.lifecycle import OperationState, advance
from gateway.model import new_id
from gateway.numbers import country_of
from gateway.policy import decide
from gateway.session.visit import Did, Intended, Intent, SeveralPeople, Stopped, Tools, Visit
from gateway.session.writers import Writers
from gateway.store.engine import Scope
from gateway.store.sqlite import UNASKED
from gateway.store.tables import directory, operations

# Built once: what it costs to build a statement is a good part of what a short one costs.
_INTENDED: Final = insert(operations)
_DECIDED: Final = (
    update(operations)
    .where(operations.c.customer_id == bindparam("of_customer"), operations.c.id == bindparam("of_operation"))
    .prefix_with(UNASKED)
)


def _remembering(insert_into: Any) -> Any:
    """Who has which address since when: an address that stayed the same keeps its time, and whoever confirmed it."""
    row = insert_into(directory)
    return row.on_conflict_do_update(
        index_elements=[directory.c.customer_id, directory.c.system_id, directory.c.subject],
        set_={"email_digest": row.excluded.email_digest, "since_ms": row.excluded.since_ms, "confirmed_by": None},
        where=directory.c.email_digest != row.excluded.email_digest,
    )


_REMEMBERED: Final = {"sqlite": _remembering(sqlite.insert), "postgresql": _remembering(postgresql.insert)}

_UNFINISHED: Final = (Unreachable, ProtocolViolation, IdentityMismatch)

Work = Callable[[str], Awaitable[Did]]
_TURN_S: Final = 1.0
"""How long operations that are begun ahead keep the phone system from the writers of other nodes."""


class Performing:
    """Performs operations in visits. `end` ends a visit (reason) whose outcome could not be written."""

    def __init__(self, tools: Tools, writers: Writers, dials: Dials, end: Callable[[Visit, str], None]) -> None:
        self._tools, self._writers, self._dials, self._end = tools, writers, dials, end

    async def perform(self, visit: Visit, intent: Intent, work: Work, then: Intent | None = None) -> Did:
        """One operation: what it gave. NotPermittedError, ConflictError (another writer), what `work` raises.

        `then`: what will be performed in this visit next, or abandoned. When this one is done, and nobody else waits,
        the intent of that one is written in the transaction of this one's outcome.
        """
        mine = self._taken(visit, intent)
        async with mine.held if mine is not None else AsyncExitStack() as held:
            if mine is None:
                mine = await self._begun(visit, intent, held)
            visit.recording.marker(f"{intent.operation.value} {mine.id}")
            await self._tools.steps.reached(Step.INTENDED)
            did = await self._work(visit, mine, work)
            await self._tools.steps.reached(Step.TOUCHED)
            await self._finish(visit, mine, OperationState.DONE, did=did, then=then)
            await self._tools.steps.reached(Step.DECIDED)
            return did

    async def abandon(self, visit: Visit, intent: Intent | None = None) -> None:
        """What was begun ahead (`intent`, or whatever it is) and will not be done: its outcome says so."""
        ahead = self._taken(visit, intent)
        if ahead is not None:
            async with ahead.held:
                await self._finish(visit, ahead, OperationState.REFUSED, code="abandoned")

    @staticmethod
    def _taken(visit: Visit, intent: Intent | None) -> Intended | None:
        ahead = visit.ahead
        if ahead is None or (intent is not None and ahead.intent is not intent):
            return None
        visit.ahead = None
        return ahead

    async def _begun(self, visit: Visit, intent: Intent, held: AsyncExitStack) -> Intended:
        await held.enter_async_context(self._writers.alone(visit.system, intent.operation))
        mine = self._named(visit, intent, held, time.monotonic())
        visit.undecided.add(mine.id)
        async with self._tools.store.scope(visit.system.customer_id) as scope:
            dial = await self._intend(scope, visit, mine)
        visit.acts, visit.dial = visit.acts + 1, dial
        return mine

    def _next(self, visit: Visit, mine: Intended, then: Intent | None) -> Intended | None:
        """What is begun with this one's outcome: nothing where others have waited, or a key is not at hand whose
        making could fail."""
        if then is None or visit.ended is not None:
            return None
        if self._writers.waited_for(visit.system) or time.monotonic() - mine.since > _TURN_S:
            return None
        following = self._named(visit, then, AsyncExitStack(), mine.since)
        at_hand = self._tools.audit.keys.cached(visit.system.customer_id, f"subject:{following.subject}")
        return following if at_hand else None

    def _named(self, visit: Visit, intent: Intent, held: AsyncExitStack, since: float) -> Intended:
        system, person = visit.system, intent.person
        subject = self._tools.vault.subject(system.customer_id, system.id, person) if person else None
        return Intended(new_id("op"), intent, subject, held, since)

    async def _work(self, visit: Visit, mine: Intended, work: Work) -> Did:
        """Touch the phone system; what it answered instead of doing it is an outcome too."""
        try:
            return await work(mine.id)
        except OutcomeUnknown as error:
            if not isinstance(error, Stopped):
                visit.connector = None
            visit.lines.append(f"{mine.intent.operation.value}: tried, and it cannot be told whether it happened")
            await self._finish(visit, mine, OperationState.UNKNOWN, code=error.code)
            raise
        except ConnectorError as error:
            failed = isinstance(error, _UNFINISHED)
            if failed:
                visit.connector = None
            state = OperationState.FAILED if failed else OperationState.REFUSED
            await self._finish(visit, mine, state, code=error.code)
            raise
        except FrameroomError as error:
            shown = Did(count=len(error.people), people=error.people) if isinstance(error, SeveralPeople) else None
            await self._finish(visit, mine, OperationState.REFUSED, code=error.code, did=shown)
            raise
        except Exception:
            await self._finish(visit, mine, OperationState.UNKNOWN, code="crashed")
            raise

    async def _finish(
        self, visit: Visit, mine: Intended, state: OperationState, *,
        code: str | None = None, did: Did | None = None, then: Intent | None = None,
    ) -> None:  # fmt: skip
        """Write the outcome; what cannot be written cannot be called done."""
        system, following, dial = visit.system, self._next(visit, mine, then), None
        try:
            advance(OperationState.INTENDED, state)
            async with self._tools.store.scope(system.customer_id) as scope:
                # First of all, and without waiting: whoever decides on a grant has its row before anything else.
                if following is not None and not await locked_at_once(scope, visit.grant.id):
                    following = None
                await self._outcome(scope, visit, mine, state, code, did)
                if following is not None:
                    try:
                        dial = await self._intend(scope, visit, following, lock=False)
                    except FrameroomError:
                        following = None  # not allowed: asked again, and said, when it is its turn
                if following is not None:
                    visit.undecided.add(following.id)
        except FrameroomError as error:
            operation = mine.intent.operation.value
            visit.lines.append(f"{operation}: its outcome could not be written down")
            self._end(visit, f"an operation's outcome could not be written to the log: {error.message}")
            raise OutcomeUnknown(
                f"the phone system was asked, but the outcome could not be written to the log: {error.message}"
            ) from error
        if following is not None:
            visit.acts, visit.dial = visit.acts + 1, dial
            visit.ahead = replace(following, held=mine.held.pop_all())
        visit.undecided.discard(mine.id)
        if did is not None:
            visit.seen.update(p.id for p in did.people)
            visit.changed |= did.changed
            if did.line:
                visit.lines.append(did.line)

    async def _intend(self, scope: Scope, visit: Visit, mine: Intended, *, lock: bool = True) -> Ahead | None:
        """Ask policy and write the intent; the dial that is written with it. NotPermittedError before anything is."""
        system, who, intent = visit.system, visit.identity, mine.intent
        facts = await self._tools.permission.facts(scope, who.engineer_id, system.id, visit.grant.id, lock)
        typed, switched = intent.typed, None
        if typed is not None and typed.extra:
            switched = await switched_on(scope, system.id)
            facts = replace(facts, switched_on=switched.entries)
        decision = decide(facts, intent.operation, typed.entry if typed is not None and typed.extra else None)
        if not decision.allowed:
            raise NotPermittedError(decision.words)
        visit.zone = facts.agreement.terms.zone if facts.agreement is not None else None
        visit.country = country_of(visit.zone)
        visit.hidden = await restricted(scope, system.id) if facts.restrictions else frozenset()
        values = {
            "customer_id": system.customer_id, "id": mine.id, "session_id": visit.id, "grant_id": visit.grant.id,
            "name": intent.operation.value, "state": OperationState.INTENDED, "intended_ms": facts.now_ms,
        }  # fmt: skip
        await scope.execute(_INTENDED, values)
        if intent.begun is not None:
            await intent.begun(scope, mine.id)
        dials = visit.connector is None and visit.dial is None
        dial = await self._dials.ahead(scope, system, visit.id) if dials else visit.dial
        data: dict[str, Any] = {"name": intent.operation.value, "fields": list(intent.fields)}
        personal: tuple[Personal, ...] = ()
        if intent.person:
            personal = (Personal("person", intent.person, f"subject:{mine.subject}"),)
        if typed is not None:
            personal += (Personal("line", typed.line, f"session:{visit.id}"),)
        if switched is not None:
            data["list"] = switched.version
        if visit.grant.job_id is not None:
            data["job"] = visit.grant.job_id
        await self._append(scope, "operation.intended", visit, mine.id, mine.subject, data, personal)
        return dial

    async def _outcome(
        self, scope: Scope, visit: Visit, mine: Intended, state: OperationState, code: str | None, did: Did | None
    ) -> None:  # fmt: skip
        system, subject = visit.system, mine.subject
        values = {"of_customer": system.customer_id, "of_operation": mine.id, "state": state}
        await scope.execute(_DECIDED, values)
        dialled, visit.dial = visit.dial, None
        if dialled is not None and dialled.login is not None:
            await self._dials.name(scope, dialled.dial, dialled.login)
        data: dict[str, Any] = {"name": mine.intent.operation.value}
        data |= ({"count": did.count} if did else {}) | ({"code": code} if code else {})
        if did is not None and len(did.people) == 1:
            # Before, there was only what the engineer had typed; the log finds a person by this one.
            subject = self._tools.vault.subject(system.customer_id, system.id, did.people[0].id)
        key = f"subject:{subject}" if subject else f"session:{visit.id}"
        personal = tuple(Personal(name, value, key) for name, value in did.personal) if did else ()
        await self._append(scope, f"operation.{state.value}", visit, mine.id, subject, data, personal)
        if did is not None:
            await self._snapshot(scope, system.id, did.people)
            if did.also is not None:
                await did.also(scope)

    async def _append(
        self, scope: Scope, kind: str, visit: Visit, operation_id: str, subject: str | None, data: dict[str, Any],
        personal: tuple[Personal, ...],
    ) -> None:  # fmt: skip
        await self._tools.append(
            scope, kind, visit.identity.engineer_id, system=visit.system.id, session=visit.id, grant=visit.grant.id,
            operation=operation_id, subject=subject, data=data, personal=personal,
        )  # fmt: skip

    async def _snapshot(self, scope: Scope, system_id: str, people: Sequence[Person]) -> None:
        """Remember, keyed, who has which address since when (invariant 5)."""
        seen = {
            self._tools.vault.subject(scope.customer_id, system_id, p.id): self._tools.vault.digest(
                "email", (p.email or "").casefold()
            )
            for p in people
        }
        if not seen:
            return
        now = self._tools.audit.clock.now()
        rows = [
            {
                "customer_id": scope.customer_id, "id": new_id("dir"), "system_id": system_id, "subject": subject,
                "email_digest": digest, "since_ms": now, "confirmed_by": None,
            }
            # In one order: two that look at the same people at once must not wait for each other.
            for subject, digest in sorted(seen.items())
        ]  # fmt: skip
        await scope.execute(_REMEMBERED[scope.connection.dialect.name], rows if len(rows) > 1 else rows[0])
