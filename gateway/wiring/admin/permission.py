"""`frameroom request …`, `grant …`, `explain`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from connectors.console import catalogue
from connectors.contract import Operation
from gateway import notify
from gateway.access.asked import request_of
from gateway.access.facts import grant_of
from gateway.access.permission import BY_PHONE
from gateway.errors import AmbiguousError, InvalidError, NotFoundError
from gateway.policy import words_about
from gateway.store.engine import Scope
from gateway.store.outside_tables import outside_visits as outside
from gateway.store.tables import approvals, approvers, grants, requests, sessions
from gateway.wiring.admin.base import LIMIT, Base, Row, only_state, when, with_names


def in_words(operations: frozenset[Operation]) -> list[str]:
    """Operations as the customer reads them."""
    return [notify.WORDS[operation.value] for operation in sorted(operations)]


class PermissionCommands(Base):
    """What engineers ask for, what customers gave, and why policy says what it says."""

    async def do_request_list(
        self, actor: str, customer: str | None = None, state: str | None = None, limit: int = LIMIT
    ) -> list[Row]:
        """Newest first."""
        query = with_names(requests).where(*only_state(requests, state))
        query = await self._narrowed(query, requests, customer, None, None)
        async with self._parts.store.look_at_everyone() as scope:
            rows = (await scope.execute(query.order_by(requests.c.submitted_ms.desc()).limit(limit))).all()
        return [self._request_row(row) for row in rows]

    @staticmethod
    def _request_row(row: Any) -> Row:
        request = request_of(row)
        return {
            "id": request.id, "customer": row.customer, "engineer": row.engineer, "system": row.system,
            "operations": sorted(request.operations), "until": when(request.until_ms), "ticket": request.ticket,
            "reason": request.reason, "state": request.state.value,
        }  # fmt: skip

    async def do_request_show(self, actor: str, request: str) -> Row:
        """One: what was asked for, who said yes to whom and when, and what it led to."""
        request_id = (await self._row(requests, request, "request", "request list")).id
        async with self._parts.store.look_at_everyone() as scope:
            row = (await scope.execute(with_names(requests).where(requests.c.id == request_id))).one()
        words = await self._consent_words(actor, row)
        async with self._parts.store.look(row.customer_id) as scope:
            yeses = await self._yeses(scope, row.customer_id, request_id)
            zone = await notify.zone_of(scope)
            asked = notify.by_person(await notify.deliveries_of(scope, request_id), zone)
            led = await scope.execute(select(grants).where(grants.c.request_id == request_id))
            permissions = [(grant.id, grant.state, grant.how) for grant in led]
        return self._request_row(row) | {
            "in words": in_words(request_of(row).operations), "from": when(row.from_ms),
            "submitted": when(row.submitted_ms), "digest": row.digest,
            "asked": [{"who": who, "what was sent": words} for who, words in asked],
            "answers": [yes | {"words": words.get(yes["approver id"], "")} for yes in yeses],
            "permissions": [{"id": i, "state": state, "how": how} for i, state, how in permissions],
        }  # fmt: skip

    async def _consent_words(self, actor: str, row: Any) -> dict[str, str]:
        """What was said on the telephone, by approver: out of the log, so the look is logged first."""
        kinds = ("consent.recorded",)
        async with self._parts.store.look(row.customer_id) as scope:
            found = await self._parts.audit.read(
                scope.connection, row.customer_id, kinds=kinds, from_ms=row.submitted_ms
            )
        mine = [entry for entry in found if entry.body.get("request") == row.id]
        if not mine:
            return {}
        async with self._parts.store.scope(row.customer_id) as scope:
            await self._look(scope, "looked.audit", actor, f"request show {row.id}")
        async with self._parts.store.look(row.customer_id) as scope:
            told = [(e.body["data"]["approver"], await self._parts.audit.personal(scope.connection, e)) for e in mine]
        return {str(approver): str(fields.get("words", "")) for approver, fields in told}

    async def _yeses(self, scope: Scope, customer_id: str, request_id: str) -> list[Row]:
        """Who said yes, how, when, and who wrote it down."""
        here = (approvers.c.customer_id == approvals.c.customer_id) & (approvers.c.id == approvals.c.approver_id)
        query = (
            select(approvals, approvers.c.name)
            .join(approvers, here)
            .where(approvals.c.customer_id == customer_id, approvals.c.request_id == request_id)
            .order_by(approvals.c.at_ms)
        )
        return [
            {
                "approver": row.name, "approver id": row.approver_id, "at": when(row.at_ms),
                "how": f"{BY_PHONE}, recorded by {row.recorded_by}" if row.how == BY_PHONE else row.how,
            }
            for row in await scope.execute(query)
        ]  # fmt: skip

    async def do_request_record_consent(
        self, actor: str, request: str, by: str, recorded_by: str, at_ms: int | None, words: str
    ) -> Row:
        """Enter a yes given by telephone."""
        if not recorded_by.strip():
            raise InvalidError("say who of you took the call", next_step="Add --recorded-by NAME.")
        row = await self._row(requests, request, "request", "request list")
        named = (approvers.c.name == by) | (approvers.c.email == by) | (approvers.c.id == by)
        mine = (approvers.c.customer_id == row.customer_id) & approvers.c.removed_ms.is_(None)
        async with self._parts.store.look(row.customer_id) as scope:
            found = (await scope.execute(select(approvers).where(named, mine))).all()
        if not found:
            raise NotFoundError(
                f"{by} is no approver of this customer", next_step="`frameroom approver list` shows them."
            )
        if len(found) > 1:
            raise AmbiguousError(f"several approvers are called {by}:", tuple(f"{a.id}  {a.email}" for a in found))
        at = self._parts.permission.now if at_ms is None else at_ms
        grant = await self._parts.permission.record_consent(
            actor, recorded_by, row.customer_id, row.id, found[0].id, at, words
        )
        if grant is None:
            return {"request": row.id, "state": "waiting: the agreement wants more people to say yes"}
        return {"grant": grant.id, "how": grant.how, "until": when(grant.until_ms)}

    async def do_request_withdraw(self, actor: str, request: str) -> Row:
        """Take a waiting one back."""
        row = await self._row(requests, request, "request", "request list")
        await self._parts.permission.withdraw(actor, row.customer_id, row.id)
        return {"request": row.id, "state": "withdrawn"}

    async def do_grant_list(
        self, actor: str, customer: str | None = None, system: str | None = None, engineer: str | None = None,
        state: str | None = None, limit: int = LIMIT,
    ) -> list[Row]:  # fmt: skip
        """Newest first."""
        query = with_names(grants).where(*only_state(grants, state))
        query = await self._narrowed(query, grants, customer, system, engineer)
        async with self._parts.store.look_at_everyone() as scope:
            rows = (await scope.execute(query.order_by(grants.c.from_ms.desc()).limit(limit))).all()
        return [self._grant_row(row) for row in rows]

    @staticmethod
    def _grant_row(row: Any) -> Row:
        grant = grant_of(row)
        return {
            "id": grant.id, "customer": row.customer, "engineer": row.engineer, "system": row.system,
            "operations": sorted(grant.operations), "until": when(grant.until_ms), "state": grant.state.value,
            "how": grant.how,
        }  # fmt: skip

    async def do_grant_show(self, actor: str, grant: str) -> Row:
        """One: for what, from whom and how it came, and the visits under it."""
        grant_id = (await self._row(grants, grant, "permission", "grant list")).id
        async with self._parts.store.look_at_everyone() as scope:
            row = (await scope.execute(with_names(grants).where(grants.c.id == grant_id))).one()
            asked = (await scope.execute(select(requests).where(requests.c.id == row.request_id))).one()
            yeses = await self._yeses(scope, row.customer_id, row.request_id)
            under = select(sessions).where(sessions.c.grant_id == grant_id).order_by(sessions.c.opened_ms)
            visits = (await scope.execute(under)).all()
            others = select(outside).where(outside.c.grant_id == grant_id).order_by(outside.c.started_ms)
            beside = (await scope.execute(others)).all()
        return self._grant_row(row) | {
            "in words": in_words(grant_of(row).operations), "from": when(row.from_ms), "request": row.request_id,
            "ticket": asked.ticket, "reason": asked.reason, "answers": yeses,
            "visits": [
                {"id": v.id, "opened": when(v.opened_ms), "closed": when(v.closed_ms), "state": v.state} for v in visits
            ],
            "visits not recorded here": [
                {"id": v.id, "started": when(v.started_ms), "ended": when(v.ended_ms), "state": v.state} for v in beside
            ],
        }  # fmt: skip

    async def do_grant_revoke(self, actor: str, grant: str, reason: str) -> Row:
        """End it now."""
        row = await self._row(grants, grant, "permission", "grant list")
        in_flight = await self._parts.permission.revoke(actor, row.customer_id, row.id, reason, "by staff")
        if self._app is not None:
            self._app.visits.look_now()
        return {"grant": row.id, "state": "revoked", "operations that had begun": in_flight}

    async def do_explain(
        self, actor: str, engineer: str, system: str, operation: str, at_ms: int | None, customer: str | None = None,
        command: str | None = None,
    ) -> Row:  # fmt: skip
        """What policy says, and why."""
        try:
            asked = Operation(operation)
        except ValueError as error:
            known = ", ".join(known.value for known in Operation)
            raise InvalidError(f"{operation} is not an operation", next_step=f"They are: {known}.") from error
        who, where = await self._engineer(engineer), await self._system(system, customer)
        extra = None
        if command is not None:
            entry = next((e for e in catalogue(where.connector) if e.name == command), None)
            if entry is None or entry.kind.operation is not asked:
                raise InvalidError(
                    f"{command} is no command of {operation} there", next_step="`frameroom console list` shows them."
                )
            extra = command if entry.extra else None
        decision = await self._parts.permission.explain(who.id, where, asked, at_ms, extra)
        return {"permitted": decision.allowed, "why": words_about(decision, who.name), "asked": list(decision.steps)}
