"""Work that the customer asks for: written here, signed, and watched until it is done."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from connectors.contract import Operation
from gateway import notify
from gateway.access.directory import agreement_of
from gateway.access.jobs import Jobs, Wanted, words_of
from gateway.access.signing import signers
from gateway.errors import InvalidError
from gateway.identity.passkeys import Passkeys
from gateway.lifecycle import JobState
from gateway.portal.access import local_ms
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Scope, Store
from gateway.store.portal_tables import jobs
from gateway.store.tables import approvers, engineers, systems

_SHOWN = 50
_STATES = {
    JobState.ASKED: "waits for more signatures of yours",
    JobState.OPEN: "waits for an engineer",
    JobState.TAKEN: "an engineer has taken it",
    JobState.DONE: "done, says the engineer",
    JobState.WITHDRAWN: "withdrawn",
}


class JobPages:
    """The list, the form, and one job's signing and end."""

    def __init__(self, store: Store, jobs_: Jobs, passkeys: Passkeys) -> None:
        self._store, self._jobs, self._passkeys = store, jobs_, passkeys

    def pages(self) -> list[Page]:
        """All of them."""
        one = "/jobs/{job}"
        return [
            Page("GET", "/jobs", Who.SIGNED_IN, self.show),
            Page("POST", "/jobs/options", Who.APPROVER, self.options),
            Page("POST", "/jobs/yes", Who.APPROVER, self.ask),
            Page("POST", one + "/options", Who.APPROVER, self.sign_options),
            Page("POST", one + "/yes", Who.APPROVER, self.sign),
            Page("POST", one + "/withdraw", Who.APPROVER, self.withdraw),
        ]

    async def show(self, asked: Asked) -> Response:
        """What was asked for, newest first, and the form."""
        async with self._store.look(asked.customer_id) as scope:
            zone, agreement = await notify.zone_of(scope), await agreement_of(scope)
            rows = [await self._row(scope, row, zone, asked.who.approver_id) for row in await _found(scope)]
            here = (systems.c.customer_id == scope.customer_id) & systems.c.removed_ms.is_(None)
            places = (await scope.execute(select(systems.c.id, systems.c.name).where(here))).all()
        may = sorted(agreement.terms.operations) if agreement is not None else []
        return asked.show(
            "jobs.html", jobs=rows, systems=[(p.id, notify.plain(p.name)) for p in places], zone=zone.key,
            operations=[(name, notify.WORDS[name]) for name in may],
        )  # fmt: skip

    @staticmethod
    async def _row(scope: Scope, row: Any, zone: ZoneInfo, me: str) -> dict[str, Any]:
        signed = await signers(scope, words_of(row))
        state = JobState(row.state)
        return {
            "id": row.id, "number": row.number, "what": notify.plain(row.what), "for": notify.plain(row.for_whom),
            "system": notify.plain(row.system), "asker": notify.plain(row.asker), "state": _STATES[state],
            "engineer": notify.plain(row.engineer or ""), "until": notify.when(row.until_ms, zone),
            "operations": [notify.WORDS[name] for name in sorted(row.operations.split())],
            "sign": state is JobState.ASKED and me not in signed,
            "withdraw": state not in {JobState.DONE, JobState.WITHDRAWN},
        }  # fmt: skip

    async def _wanted(self, asked: Asked) -> Wanted:
        given = {name: asked.sent.get(name) for name in ("system", "until", "what", "for")}
        names = asked.sent.get("operations")
        if not all(isinstance(value, str) for value in given.values()) or not isinstance(names, list):
            raise InvalidError("that is no job", next_step="Load the page again.")
        try:
            wanted = frozenset(Operation(name) for name in names)
        except ValueError as error:
            raise InvalidError("that names something that nobody can do", next_step="Load the page again.") from error
        async with self._store.look(asked.customer_id) as scope:
            until_ms = local_ms(str(given["until"]), await notify.zone_of(scope))
        return Wanted(str(given["system"]), wanted, until_ms, str(given["what"]), str(given["for"]))

    async def options(self, asked: Asked) -> Response:
        """What the passkey is to sign for just what stands in the form."""
        me = asked.who
        from_ms = self._jobs.now
        job_id, words = await self._jobs.offered(me.customer_id, me.approver_id, from_ms, await self._wanted(asked))
        async with self._store.look(me.customer_id) as scope:
            told = await self._passkeys.signing_options(scope, me.approver_id, words.digest)
        return JSONResponse(told | {"keep": {"job": job_id, "from_ms": from_ms}})

    async def ask(self, asked: Asked) -> Response:
        """The signed job."""
        me, job_id, from_ms = asked.who, asked.sent.get("job"), asked.sent.get("from_ms")
        if not isinstance(job_id, str) or type(from_ms) is not int:
            raise InvalidError("that is no job", next_step="Load the page again.")
        wanted = await self._wanted(asked)
        await self._jobs.ask(me.customer_id, me.approver_id, job_id, from_ms, wanted, asked.sent.get("answer"))
        return JSONResponse({"go": "/jobs"})

    async def sign_options(self, asked: Asked) -> Response:
        """What one more passkey is to sign."""
        async with self._store.look(asked.customer_id) as scope:
            words = words_of(await self._jobs.job(scope, asked.path("job")))
            return JSONResponse(await self._passkeys.signing_options(scope, asked.who.approver_id, words.digest))

    async def sign(self, asked: Asked) -> Response:
        """One more signature."""
        me = asked.who
        await self._jobs.sign(me.customer_id, me.approver_id, asked.path("job"), asked.sent.get("answer"))
        return JSONResponse({"go": "/jobs"})

    async def withdraw(self, asked: Asked) -> Response:
        """It is wanted no more."""
        me = asked.who
        await self._jobs.withdraw(me.customer_id, me.approver_id, asked.path("job"))
        return asked.go("/jobs")


async def _found(scope: Scope) -> list[Any]:
    query = (
        select(jobs, systems.c.name.label("system"), approvers.c.name.label("asker"),
               engineers.c.name.label("engineer"))
        .join(systems, (systems.c.customer_id == jobs.c.customer_id) & (systems.c.id == jobs.c.system_id))
        .join(approvers, (approvers.c.customer_id == jobs.c.customer_id) & (approvers.c.id == jobs.c.asked_by))
        .outerjoin(engineers, engineers.c.id == jobs.c.engineer_id)
        .where(jobs.c.customer_id == scope.customer_id)
        .order_by(jobs.c.from_ms.desc())
        .limit(_SHOWN)
    )  # fmt: skip
    return list((await scope.execute(query)).all())
