"""Work that a customer asks for, and an address to be confirmed, as rows."""

from __future__ import annotations

from sqlalchemy import insert, select

from connectors.contract import Person
from gateway.lifecycle import JobState
from gateway.model import DAY, new_id
from gateway.store.address_tables import reading_rows
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


async def a_row(site: Site, approver: str) -> str:
    """A person who was read."""
    site.phones.people = [Person("2001", "2001", "Kate Mark", "k@customer.example", ())]
    await site.readings.read(site.brook.customer, approver, site.brook.system.id)
    async with site.brook.store.look(site.brook.customer) as scope:
        return str((await scope.execute(select(reading_rows.c.id))).scalar_one())
