"""Step 7 of the spine: one operation, from its intent to its outcome.

Ask policy again and write the intent (one transaction, the grant's row locked), touch the phone system, write the
outcome. Every operation that was intended gets exactly one outcome, whatever becomes of the phone system, the engineer
or this process: closing.py writes `unknown` for one whose own could not be written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import bindparam, insert, update
from sqlalchemy.dialects import postgresql, sqlite

from audit.events import Personal
from audit.steps import Step
from connectors.contract import Operation, Person
from connectors.errors import ConnectorError, IdentityMismatch, OutcomeUnknown, ProtocolViolation, Unreachable
from gateway.access.console import switched_on
from gateway.access.dials import Dials
from gateway.access.restricting import restricted
from gateway.errors import FrameroomError, NotPermittedError
from gateway.lifecycle import OperationState, advance
from gateway.model import new_id
from gateway.numbers import country_of
from gateway.policy import decide
from gateway.session.visit import Did, SeveralPeople, Stopped, Tools, Typed, Visit
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
Begun = Callable[[Scope, str], Awaitable[None]]


class Performing:
    """Performs operations in visits. `end` ends a visit (reason) whose outcome could not be written."""

    def __init__(self, tools: Tools, writers: Writers, dials: Dials, end: Callable[[Visit, str], None]) -> None:
        self._tools, self._writers, self._dials, self._end = tools, writers, dials, end

    async def perform(
        self, visit: Visit, operation: Operation, work: Work, person: str | None, fields: Sequence[str],
        typed: Typed | None = None, begun: Begun | None = None,
    ) -> Did:  # fmt: skip
        """One operation: what it gave. NotPermittedError, ConflictError (another writer), what `work` raises.

        `begun` writes, in the transaction of the intent, what has to be known of it whatever happens.
        """
        async with self._writers.alone(visit.system, operation):
            operation_id = new_id("op")
            system = visit.system
            subject = self._tools.vault.subject(system.customer_id, system.id, person) if person else None
            visit.undecided.add(operation_id)
            await self._intend(visit, operation, operation_id, person, subject, fields, typed, begun)
            visit.recording.marker(f"{operation.value} {operation_id}")
            await self._tools.steps.reached(Step.INTENDED)
            did = await self._work(visit, operation, operation_id, subject, work)
            await self._tools.steps.reached(Step.TOUCHED)
            await self._finish(visit, operation, operation_id, subject, OperationState.DONE, did=did)
            await self._tools.steps.reached(Step.DECIDED)
            return did

    async def _work(
        self, visit: Visit, operation: Operation, operation_id: str, subject: str | None, work: Work
    ) -> Did:
        """Touch the phone system; what it answered instead of doing it is an outcome too."""
        try:
            return await work(operation_id)
        except OutcomeUnknown as error:
            if not isinstance(error, Stopped):
                visit.connector = None
            visit.lines.append(f"{operation.value}: tried, and it cannot be told whether it happened")
            await self._finish(visit, operation, operation_id, subject, OperationState.UNKNOWN, code=error.code)
            raise
        except ConnectorError as error:
            failed = isinstance(error, _UNFINISHED)
            if failed:
                visit.connector = None
            state = OperationState.FAILED if failed else OperationState.REFUSED
            await self._finish(visit, operation, operation_id, subject, state, code=error.code)
            raise
        except FrameroomError as error:
            shown = Did(count=len(error.people), people=error.people) if isinstance(error, SeveralPeople) else None
            await self._finish(
                visit, operation, operation_id, subject, OperationState.REFUSED, code=error.code, did=shown
            )
            raise
        except Exception:
            await self._finish(visit, operation, operation_id, subject, OperationState.UNKNOWN, code="crashed")
            raise

    async def _finish(
        self, visit: Visit, operation: Operation, operation_id: str, subject: str | None, state: OperationState, *,
        code: str | None = None, did: Did | None = None,
    ) -> None:  # fmt: skip
        """Write the outcome; what cannot be written cannot be called done."""
        try:
            await self._outcome(visit, operation, operation_id, subject, state, code=code, did=did)
        except FrameroomError as error:
            visit.lines.append(f"{operation.value}: its outcome could not be written down")
            self._end(visit, f"an operation's outcome could not be written to the log: {error.message}")
            raise OutcomeUnknown(
                f"the phone system was asked, but the outcome could not be written to the log: {error.message}"
            ) from error

    async def _intend(
        self, visit: Visit, operation: Operation, operation_id: str, person: str | None, subject: str | None,
        fields: Sequence[str], typed: Typed | None, begun: Begun | None,
    ) -> None:  # fmt: skip
        system, who = visit.system, visit.identity
        async with self._tools.store.scope(system.customer_id) as scope:
            facts = await self._tools.permission.facts(scope, who.engineer_id, system.id, visit.grant.id, True)
            switched = None
            if typed is not None and typed.extra:
                switched = await switched_on(scope, system.id)
                facts = replace(facts, switched_on=switched.entries)
            decision = decide(facts, operation, typed.entry if typed is not None and typed.extra else None)
            if not decision.allowed:
                raise NotPermittedError(decision.words)
            visit.country = country_of(facts.agreement.terms.zone if facts.agreement is not None else None)
            visit.hidden = await restricted(scope, system.id) if facts.restrictions else frozenset()
            values = {
                "customer_id": system.customer_id, "id": operation_id, "session_id": visit.id,
                "grant_id": visit.grant.id, "name": operation.value, "state": OperationState.INTENDED,
                "intended_ms": facts.now_ms,
            }  # fmt: skip
            await scope.execute(_INTENDED, values)
            if begun is not None:
                await begun(scope, operation_id)
            dials = visit.connector is None and visit.dial is None
            ahead = await self._dials.ahead(scope, system, visit.id) if dials else visit.dial
            personal: tuple[Personal, ...] = (Personal("person", person, f"subject:{subject}"),) if person else ()
            data: dict[str, Any] = {"name": operation.value, "fields": list(fields)}
            if typed is not None:
                personal += (Personal("line", typed.line, f"session:{visit.id}"),)
            if switched is not None:
                data["list"] = switched.version
            if visit.grant.job_id is not None:
                data["job"] = visit.grant.job_id
            await self._tools.append(
                scope, "operation.intended", who.engineer_id, system=system.id, session=visit.id, grant=visit.grant.id,
                operation=operation_id, subject=subject, data=data, personal=personal,
            )  # fmt: skip
        visit.acts += 1
        visit.dial = ahead

    async def _outcome(
        self, visit: Visit, operation: Operation, operation_id: str, subject: str | None, state: OperationState, *,
        code: str | None = None, did: Did | None = None,
    ) -> None:  # fmt: skip
        system = visit.system
        advance(OperationState.INTENDED, state)
        async with self._tools.store.scope(system.customer_id) as scope:
            values = {"of_customer": system.customer_id, "of_operation": operation_id, "state": state}
            await scope.execute(_DECIDED, values)
            dialled, visit.dial = visit.dial, None
            if dialled is not None and dialled.login is not None:
                await self._dials.name(scope, dialled.dial, dialled.login)
            data: dict[str, Any] = {"name": operation.value}
            data |= ({"count": did.count} if did else {}) | ({"code": code} if code else {})
            if did is not None and len(did.people) == 1:
                # Before, there was only what the engineer had typed; the log finds a person by this one.
                subject = self._tools.vault.subject(system.customer_id, system.id, did.people[0].id)
            key = f"subject:{subject}" if subject else f"session:{visit.id}"
            personal = tuple(Personal(name, value, key) for name, value in did.personal) if did else ()
            await self._tools.append(
                scope, f"operation.{state.value}", visit.identity.engineer_id, system=system.id, session=visit.id,
                grant=visit.grant.id, operation=operation_id, subject=subject, data=data, personal=personal,
            )  # fmt: skip
            if did is not None:
                await self._snapshot(scope, system.id, did.people)
                if did.also is not None:
                    await did.also(scope)
        visit.undecided.discard(operation_id)
        if did is not None:
            visit.seen.update(p.id for p in did.people)
            visit.changed |= did.changed
            if did.line:
                visit.lines.append(did.line)

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
