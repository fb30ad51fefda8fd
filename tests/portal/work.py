"""Work that a customer asks for, as a row."""

from __future__ import annotations

from sqlalchemy import insert

from gateway.lifecycle import JobState
from gateway.model import DAY, new_id
from gateway.store.portal_tables import jobs
from tests.portal.conftest import Site


async def a_job(site: Site, approver: str) -> str:
    """One that nobody signed."""
    job, now = new_id("job"), site.brook.clock.now()
    async with site.brook.store.scope(site.brook.customer) as scope:
        await scope.execute(
            insert(jobs).values(
                customer_id=site.brook.customer, id=job, number=7, system_id=site.brook.system.id, operations="view",
                from_ms=now, until_ms=now + DAY, what="Look after Kate Mark", for_whom="", asked_by=approver,
                canonical="{}", state=JobState.ASKED,
            )
        )  # fmt: skip
    return job
