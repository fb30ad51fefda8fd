"""The customer's own answer to a request: a yes signed with the approver's key, a yes to less, a no with a reason."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import insert, update

from audit.events import Event, Personal
from audit.log import AuditLog
from gateway import notify
from gateway.access.asked import narrowed
from gateway.access.permission import BY_KEY, Permission
from gateway.access.signing import Keys, check
from gateway.errors import ConflictError, InvalidError
from gateway.lifecycle import RequestState, advance
from gateway.model import Grant, Request, new_id
from gateway.store.engine import Scope, Store
from gateway.store.tables import approvals, requests

_REASON: Final = 500


class Approving:
    """Writes each answer with its event and its mails, in one transaction."""

    def __init__(self, store: Store, audit: AuditLog, permission: Permission, keys: Keys) -> None:
        self._store, self._audit, self._permission, self._keys = store, audit, permission, keys

    async def offered(
        self, customer_id: str, approver_id: str, request_id: str, operations: Collection[str], until_ms: int
    ) -> Request:
        """What would be signed: the request, or less of it. Its digest's bytes are the challenge."""
        async with self._store.look(customer_id) as scope:
            to = await self._permission.answerable(scope, request_id, approver_id, lock=False)
            return narrowed(to.request, operations, until_ms, self._permission.now)

    async def yes(
        self, customer_id: str, approver_id: str, request_id: str, operations: Collection[str], until_ms: int,
        answer: Any,
    ) -> Grant | None:  # fmt: skip
        """Count a signed yes to exactly this much. The grant, or None while more persons have to say yes.

        A yes to less makes the request less for everybody, and whoever said yes to more is asked again. InvalidError
        for anything wider, NotPermittedError when it is not this approver's own signature over just that,
        ConflictError for a second yes of one person, StateError when the request was answered already.
        """
        async with self._store.scope(customer_id) as scope:
            to = await self._permission.answerable(scope, request_id, approver_id)
            request = narrowed(to.request, operations, until_ms, self._permission.now)
            signed = await check(scope, self._keys, approver_id, request.digest, answer)
            if to.approver.email.casefold() in await self._permission.yeses(scope, request):
                raise ConflictError("You have said yes to this already.", next_step="Nothing more is needed of you.")
            if request.digest != to.request.digest:
                await self._narrow(scope, approver_id, request)
            await self._keep(scope, approver_id, request, signed)
            grant, missing, _ = await self._permission.settle(scope, approver_id, to, request)
            link, now = self._permission.link(request_id), self._permission.now
            less = request.digest != to.request.digest
            await notify.answered_yes(scope, request, to.approver.name, link, now, missing=missing, less=less)
        return grant

    async def _narrow(self, scope: Scope, approver_id: str, request: Request) -> None:
        here = (requests.c.customer_id == scope.customer_id) & (requests.c.id == request.id)
        values = {
            "operations": " ".join(sorted(request.operations)), "until_ms": request.until_ms, "digest": request.digest,
            "canonical": request.canonical,
        }  # fmt: skip
        await scope.execute(update(requests).where(here).values(**values))
        data = {
            "approver": approver_id, "operations": sorted(request.operations), "until_ms": request.until_ms,
            "digest": request.digest,
        }  # fmt: skip
        await self._log(scope, "request.narrowed", approver_id, request, data=data)

    async def _keep(self, scope: Scope, approver_id: str, request: Request, signed: dict[str, str]) -> None:
        assertion = {name: signed[name] for name in ("authenticator_data", "client_data", "signature")}
        await scope.execute(
            insert(approvals).values(
                customer_id=scope.customer_id, id=new_id("app"), request_id=request.id, approver_id=approver_id,
                request_digest=request.digest, how=BY_KEY, assertion=json.dumps(assertion), at_ms=self._permission.now,
            )
        )  # fmt: skip
        words = (Personal("request", request.canonical, f"request:{request.id}"),)
        await self._log(scope, "approval.signed", approver_id, request, data=signed, personal=words)

    async def no(self, customer_id: str, approver_id: str, request_id: str, reason: str) -> None:
        """Refuse it; one no is enough. InvalidError without a reason, StateError when it was answered already."""
        words = " ".join(reason.split())
        if not 1 <= len(words) <= _REASON:
            raise InvalidError("Say why not, in a few words.", next_step="The engineer reads them.")
        async with self._store.scope(customer_id) as scope:
            to = await self._permission.answerable(scope, request_id, approver_id)
            state, now = advance(to.request.state, RequestState.DENIED), self._permission.now
            here = (requests.c.customer_id == customer_id) & (requests.c.id == request_id)
            await scope.execute(update(requests).where(here).values(state=state, answered_ms=now, answer=words))
            personal = (Personal("reason", words, f"request:{request_id}"),)
            data = {"how": "in the portal"}
            await self._log(scope, "request.denied", approver_id, to.request, data=data, personal=personal)
            await notify.answered_no(scope, to.request, to.approver.name, words, now)

    async def _log(self, scope: Scope, kind: str, actor: str, request: Request, **rest: Any) -> None:
        event = Event(kind, scope.customer_id, actor, system=request.system_id, request=request.id, **rest)
        await self._audit.append(scope.connection, event)
